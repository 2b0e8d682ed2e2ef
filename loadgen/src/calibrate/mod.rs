//! The testbed held against known truths: one file a check, each of which measures with what trials
//! measure with, and judges in a pure function.
//!
//! What is injected is drawn by another process, from a seed that this one does not hold, and told only
//! when the measurement is closed.

pub mod accounting;
mod budget;
pub mod clock;
pub mod delay;
pub mod disturbance;
pub mod false_alarms;
pub mod injector;
pub mod memory;
pub mod overhead;
mod power;
mod probe;
mod quantiles;
mod rate;
pub mod reconnect;
mod recording;
mod rounds;
pub mod saturation;
pub mod stall;
pub mod store;

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use pushbench_reports::{
    calibration::{Check, Row},
    quantity::grouped,
};
use pushbench_server::contract::transport::Transport;
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    bench::{Broken, Site},
    refusal::Refusal,
    trial::blank_record,
};
use budget::{ALL_BUDGET, Budget, ROUNDS_BUDGET};
use rounds::Rounds;

/// Where checks are run, and how thoroughly.
#[derive(Debug, Clone)]
pub struct Lab {
    /// The server's program and cores; its directory takes what checks write.
    pub site: Site,
    /// How much is measured.
    pub effort: Effort,
}

/// The transports on which checks measure: one of each kind of client. What is checked, the stamps, the
/// recorder, the books and the meters, is the same for all.
pub const TRANSPORTS: [Transport; 2] = [Transport::SseH1, Transport::WsH1];

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All checks within three minutes, by reduced counts that each check states.
    Quick,
    /// As many as the check's statement needs; all checks within half an hour.
    Whole,
}

impl Effort {
    /// One of two counts.
    pub fn pick<T>(self, quick: T, whole: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Whole => whole,
        }
    }

    /// A count in words, with what it would be if it is reduced.
    pub fn told(self, counts: &str, whole: &str) -> String {
        match self {
            Self::Quick => format!("{counts}; reduced, a whole calibration has {whole}"),
            Self::Whole => counts.to_owned(),
        }
    }
}

/// What the checks of one calibration share.
#[derive(Debug)]
pub struct Sitting {
    /// Of all that is resampled here; what is injected is drawn elsewhere.
    pub seed: u64,
    began: Instant,
    rounds: OnceCell<Rounds>,
}

impl Sitting {
    /// Before the first check.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            began: Instant::now(),
            rounds: OnceCell::new(),
        }
    }

    /// Until all checks together have taken what is promised.
    fn left(&self, effort: Effort) -> Duration {
        let elapsed = self.began.elapsed();
        ALL_BUDGET.of(effort).saturating_sub(elapsed)
    }

    /// Real rounds of identical arms, recorded for the check that asks first.
    async fn rounds(&self, lab: &Lab) -> Result<&Rounds, Broken> {
        let budget = ROUNDS_BUDGET.of(lab.effort).min(self.left(lab.effort));
        let recorded = self
            .rounds
            .get_or_try_init(|| recording::record(lab, self.seed, budget));
        recorded.await
    }
}

/// A check and, of the one that measures them, the client floors.
#[derive(Debug)]
pub struct Made {
    /// With its rows.
    pub check: Check,
    /// As in [`Digest::client_us`](pushbench_reports::calibration::Digest::client_us).
    pub client_us: BTreeMap<String, f64>,
}

type Making<'a> = Pin<Box<dyn Future<Output = Result<Made, Broken>> + 'a>>;

/// A check there is.
#[derive(Debug)]
pub struct Entry {
    /// As in the table of docs/reference/calibration.md.
    pub number: u32,
    /// For `--only`.
    pub name: &'static str,
    /// Of the check itself; its rounds have a budget of their own.
    budget: Budget,
    /// Whether it draws from the sitting's rounds.
    draws: bool,
    make: for<'a> fn(&'a Lab, &'a Sitting) -> Making<'a>,
}

/// In the order of their numbers.
pub const ALL: &[Entry] = &[
    Entry {
        number: 1,
        name: "delay",
        budget: Budget {
            quick_s: 50,
            whole_s: 240,
        },
        draws: false,
        make: |lab, _| alone(delay::check(lab)),
    },
    Entry {
        number: 2,
        name: "stall",
        budget: Budget {
            quick_s: 20,
            whole_s: 90,
        },
        draws: false,
        make: |lab, _| alone(stall::check(lab)),
    },
    Entry {
        number: 3,
        name: "accounting",
        budget: Budget {
            quick_s: 6,
            whole_s: 40,
        },
        draws: false,
        make: |lab, _| alone(accounting::check(lab)),
    },
    Entry {
        number: 4,
        name: "memory",
        budget: Budget {
            quick_s: 10,
            whole_s: 80,
        },
        draws: false,
        make: |lab, _| alone(memory::check(lab)),
    },
    Entry {
        number: 5,
        name: "reconnect",
        budget: Budget {
            quick_s: 10,
            whole_s: 80,
        },
        draws: false,
        make: |lab, _| alone(reconnect::check(lab)),
    },
    Entry {
        number: 6,
        name: "saturation",
        budget: Budget {
            quick_s: 35,
            whole_s: 260,
        },
        draws: false,
        make: |lab, _| alone(saturation::check(lab)),
    },
    Entry {
        number: 7,
        name: "clock",
        budget: Budget {
            quick_s: 8,
            whole_s: 60,
        },
        draws: false,
        make: |lab, _| alone(clock::check(lab)),
    },
    Entry {
        number: 8,
        name: "overhead",
        budget: Budget {
            quick_s: 15,
            whole_s: 90,
        },
        draws: false,
        make: |lab, _| Box::pin(with_floors(overhead::check(lab))),
    },
    Entry {
        number: 9,
        name: "quantiles",
        budget: Budget {
            quick_s: 15,
            whole_s: 60,
        },
        draws: false,
        make: |lab, _| alone(quantiles::check(lab)),
    },
    Entry {
        number: 10,
        name: "false_alarms",
        budget: Budget {
            quick_s: 25,
            whole_s: 120,
        },
        draws: true,
        make: |lab, sitting| alone(false_alarms::check(lab, sitting)),
    },
    Entry {
        number: 11,
        name: "power",
        budget: Budget {
            quick_s: 15,
            whole_s: 90,
        },
        draws: true,
        make: |lab, sitting| alone(power::check(lab, sitting)),
    },
    Entry {
        number: 12,
        name: "disturbance",
        budget: Budget {
            quick_s: 75,
            whole_s: 700,
        },
        draws: false,
        make: |lab, _| alone(disturbance::check(lab)),
    },
];

fn alone<'a>(check: impl Future<Output = Result<Check, Broken>> + 'a) -> Making<'a> {
    Box::pin(async {
        Ok(Made {
            check: check.await?,
            client_us: BTreeMap::new(),
        })
    })
}

/// Of the check that measures the client floors too.
async fn with_floors(
    check: impl Future<Output = Result<(Check, BTreeMap<String, f64>), Broken>>,
) -> Result<Made, Broken> {
    let (check, client_us) = check.await?;
    Ok(Made { check, client_us })
}

/// The checks of these names, in the order of [`ALL`]; all of them where none is named.
///
/// # Errors
/// A name that no check has.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Entry>, Refusal> {
    if let Some(unknown) = names
        .iter()
        .find(|name| ALL.iter().all(|entry| entry.name != **name))
    {
        let choice: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
        return Err(Refusal(format!(
            "unknown check `{unknown}`: use one or more of {}, separated by commas",
            choice.join(", ")
        )));
    }
    let named = |entry: &&Entry| names.is_empty() || names.iter().any(|name| name == entry.name);
    Ok(ALL.iter().filter(named).collect())
}

impl Entry {
    /// Makes the check, in a folder of its own. One that is broken or takes too long has failed, and says
    /// why.
    pub async fn make(&self, lab: &Lab, sitting: &Sitting) -> Made {
        let made = async {
            let mut lab = lab.clone();
            lab.site.directory.push(self.name);
            fs::create_dir_all(&lab.site.directory).map_err(Broken::io(format!(
                "create a folder for the check {}",
                self.name
            )))?;
            if self.draws {
                // Within a budget of their own, which both checks that draw from them share.
                sitting.rounds(&lab).await?;
            }
            let budget = self.budget.of(lab.effort).min(sitting.left(lab.effort));
            let made = timeout(budget, (self.make)(&lab, sitting)).await;
            made.unwrap_or_else(|_| Ok(self.late(budget)))
        };
        made.await.unwrap_or_else(|broken| Made {
            check: self.broken(&broken),
            client_us: BTreeMap::new(),
        })
    }

    /// What was measured until then is not judged: a part of a check shows nothing.
    fn late(&self, budget: Duration) -> Made {
        let measured = format!("out of time after {} s", budget.as_secs());
        Made {
            check: self.unmade(measured),
            client_us: BTreeMap::new(),
        }
    }

    fn broken(&self, broken: &Broken) -> Check {
        self.unmade(broken.to_string())
    }

    fn unmade(&self, measured: String) -> Check {
        Check {
            number: self.number,
            name: self.name.to_owned(),
            title: format!("The check {}", self.name),
            method: "The check could not be made, and so shows nothing.".to_owned(),
            counts: "nothing was measured".to_owned(),
            rows: vec![Row {
                subject: "the check itself".to_owned(),
                truth: "can be made".to_owned(),
                measured,
                tolerance: "none".to_owned(),
                pass: false,
            }],
            picture: None,
            note: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_numbered_in_order_and_each_has_a_name_of_its_own() {
        assert!(ALL.is_sorted_by(|one, next| one.number < next.number));
        for entry in ALL {
            let [found] = chosen(&[entry.name.to_owned()]).unwrap()[..] else {
                panic!("{} is not alone", entry.name)
            };
            assert_eq!(found.number, entry.number);
        }
        assert_eq!(chosen(&[]).unwrap().len(), ALL.len());
        let refusal = chosen(&["speed".to_owned()]).unwrap_err().to_string();
        assert!(
            refusal.contains("`speed`") && refusal.contains("quantiles, "),
            "{refusal}"
        );
    }

    #[tokio::test]
    async fn no_check_goes_on_beyond_what_is_promised_of_all() {
        let late = Sitting {
            began: Instant::now() - ALL_BUDGET.of(Effort::Quick),
            ..Sitting::new(1)
        };
        let scratch = tempfile::tempdir().unwrap();
        let lab = Lab {
            site: Site {
                server_binary: Default::default(),
                directory: scratch.path().to_owned(),
                server_cores: Vec::new(),
                generator_cores: Vec::new(),
            },
            effort: Effort::Quick,
        };
        let endless = Entry {
            number: 1,
            name: "endless",
            budget: Budget {
                quick_s: 3_600,
                whole_s: 3_600,
            },
            draws: false,
            make: |_, _| alone(std::future::pending()),
        };
        let check = endless.make(&lab, &late).await.check;
        assert!(!check.passed());
        assert!(check.rows[0].measured.starts_with("out of time"));
    }

    #[tokio::test]
    async fn a_check_that_takes_too_long_has_failed_and_says_so() {
        let entry = Entry {
            number: 1,
            name: "endless",
            budget: Budget {
                quick_s: 0,
                whole_s: 70,
            },
            draws: false,
            make: |_, _| alone(std::future::pending()),
        };
        let scratch = tempfile::tempdir().unwrap();
        let lab = Lab {
            site: Site {
                server_binary: Default::default(),
                directory: scratch.path().to_owned(),
                server_cores: Vec::new(),
                generator_cores: Vec::new(),
            },
            effort: Effort::Quick,
        };
        let made = entry.make(&lab, &Sitting::new(1)).await;
        assert!(!made.check.passed());
        assert_eq!(made.check.rows[0].measured, "out of time after 0 s");
    }

    #[test]
    fn a_check_that_cannot_be_made_has_failed() {
        let check = ALL[0].broken(&Broken::Waited("something".into()));
        assert!(!check.passed() && check.rows[0].measured.contains("something"));
    }
}

//! Another process keeps a core busy that a trial needs, and what the rules of validity say of the trial.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use pushbench_reports::record::{Metric, Record};
use pushbench_server::{
    affinity,
    contract::{clock::now_ns, transport::Transport},
};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    arm::{Arm, Build, Factors},
    bench::Broken,
    calibrate::Lab,
    experiment::{Experiment, throughput},
    quantity::seconds,
    trial::{self, Trial},
    validity::{Evidence, Process},
};

/// What the neighbour may choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// It chooses one of them.
    pub cores: Vec<usize>,
    /// From now until the measurement begins, milliseconds.
    pub after_ms: u64,
    /// Length of the measurement, milliseconds; at most [`LONGEST_MS`].
    pub window_ms: u64,
}

/// A neighbour leaves by itself, whatever becomes of who ordered it.
pub const LONGEST_MS: u64 = 10_000;

/// What it did; times are [`now_ns`], which all processes of a machine share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disturbed {
    /// Where.
    pub core: usize,
    /// It began.
    pub begin_ns: u64,
    /// It was over.
    pub end_ns: u64,
}

/// Keeps one of the cores busy for 50 to 70 % of the window, from the second or third tenth of it on: not
/// before it opens, where the warm-up would wait until it is over.
///
/// # Errors
/// An order that cannot be followed, or a core that is not allowed.
pub fn disturb(order: &Order, random: &mut impl Rng) -> io::Result<Disturbed> {
    let &Order {
        ref cores,
        after_ms,
        window_ms,
    } = order;
    if cores.is_empty() || after_ms > LONGEST_MS || window_ms > LONGEST_MS {
        return Err(io::Error::other(
            "the order names no core, or lasts for too long",
        ));
    }
    let started = Instant::now();
    let share = |range, random: &mut _| -> u64 {
        let share: f64 = RngExt::random_range(random, range);
        (window_ms as f64 * share) as u64
    };
    let core = cores[random.random_range(0..cores.len())];
    let from_ms = after_ms + share(0.1..0.3, random);
    let for_ms = share(0.5..0.7, random);
    affinity::pin(&[core])?;
    std::thread::sleep(Duration::from_millis(from_ms).saturating_sub(started.elapsed()));
    let begin_ns = now_ns();
    let until = Duration::from_millis(from_ms + for_ms);
    while started.elapsed() < until {
        std::hint::spin_loop();
    }
    Ok(Disturbed {
        core,
        begin_ns,
        end_ns: now_ns(),
    })
}

/// A trial, what was done to it and what the rules said of it.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    /// Share of its window that the neighbour was there for, at least; none of a trial left alone.
    pub covered: Option<f64>,
    /// Why it is invalid for what the machine or the generator did.
    pub flagged: Vec<String>,
    /// What reports compare, by name.
    pub figures: BTreeMap<String, f64>,
}

const WARM_UP_S: f64 = 0.3;

/// As in the quick plan: over less than a second the kernel's count of who used a core says too little.
const WINDOW_S: f64 = 1.2;

/// From a trial's start until its feed begins, with room for a warm-up that takes a few slices more: a
/// server is started and a hundred subscribers join. A neighbour that comes earlier is waited for, as
/// part of the warm-up.
const JOINING_MS: u64 = 400;

/// How many trials there are, with the neighbour and without.
pub(super) fn wanted(lab: &Lab) -> [u32; 2] {
    lab.effort.pick([5, 3], [30, 15])
}

/// Runs trials, some of them with the neighbour, until as many were disturbed as are wanted, or half as
/// many again were not: the neighbour may miss a window that opens late.
pub(super) async fn measure(lab: &Lab) -> Result<Vec<Tried>, Broken> {
    let [disturbed, alone] = wanted(lab);
    let window_s = WINDOW_S;
    let most = disturbed + disturbed / 2 + alone;
    let mut tried: Vec<Tried> = Vec::new();
    for number in 1..=most {
        let hit = tried.iter().filter(|one| super::hit(one)).count() as u32;
        let left = tried.iter().filter(|one| one.covered.is_none()).count() as u32;
        if hit >= disturbed && left >= alone {
            break;
        }
        // One after another, so that what else the machine does meets both.
        let leave = left < alone && (hit >= disturbed || left * disturbed <= hit * alone);
        tried.push(one(lab, number, window_s, !leave).await?);
    }
    Ok(tried)
}

async fn one(lab: &Lab, number: u32, window_s: f64, disturbed: bool) -> Result<Tried, Broken> {
    let neighbour = match disturbed {
        true => Some(Neighbour::order(&lab.site.server_binary, &order(lab, window_s)).await?),
        false => None,
    };
    let began_ns = now_ns();
    let record = trial::run(&trial(number, window_s), &lab.site).await?;
    let ended_ns = now_ns();
    let did = match neighbour {
        Some(neighbour) => Some(neighbour.leave().await?),
        None => None,
    };
    let warm_up_ms = record.metrics.get("warm_up_ms").copied().flatten();
    let whole = Whole {
        began_ns,
        ended_ns,
        warm_up_ns: (warm_up_ms.unwrap_or(0.0) * 1e6) as u64,
        window_ns: (window_s * 1e9) as u64,
    };
    let figures = record.metrics.iter();
    Ok(Tried {
        covered: did.map(|did| whole.covered(did)),
        flagged: flags(&record),
        figures: figures
            .filter_map(|(name, figure)| Some((name.clone(), (*figure)?)))
            .collect(),
    })
}

/// A trial in time: its window lies between its warm-up and its end, and not before the warm-up's length has
/// passed.
struct Whole {
    began_ns: u64,
    ended_ns: u64,
    warm_up_ns: u64,
    window_ns: u64,
}

impl Whole {
    /// The share of the window that a disturbance covered at least, wherever the window lay.
    fn covered(&self, did: Disturbed) -> f64 {
        let earliest = self.began_ns + self.warm_up_ns;
        let latest = self.ended_ns.saturating_sub(self.window_ns);
        // As the window moves, what is covered of it rises, stays and falls: it is least at an end.
        let covered = [earliest, latest].map(|opens| {
            let (from, until) = (
                opens.max(did.begin_ns),
                (opens + self.window_ns).min(did.end_ns),
            );
            until.saturating_sub(from) as f64 / self.window_ns as f64
        });
        covered[0].min(covered[1])
    }
}

/// The reasons that the machine or the generator gave: not accidents, which a neighbour does not make.
fn flags(record: &Record) -> Vec<String> {
    let figure = |name: &str| record.metrics.get(name).copied().flatten();
    let wait = |whose, name| figure(name).map(|share| Evidence::RunQueueWait { whose, share });
    let others = |whose, name| figure(name).map(|share| Evidence::Others { whose, share });
    let evidence = [
        others(Process::Server, "server_core_others"),
        others(Process::Generator, "generator_core_others"),
        wait(Process::Server, "server_run_queue_wait"),
        wait(Process::Generator, "generator_run_queue_wait"),
        figure("steal").map(Evidence::Steal),
        figure("generator_load").map(Evidence::GeneratorLoad),
        figure("read_lag_ms_p99").map(|ms| Evidence::ReadLag(ms * 1e6)),
    ];
    let reasons = evidence.iter().flatten().filter_map(Evidence::reason);
    // Only what the trial itself says: another rule than its own flags nothing.
    reasons.filter(|why| record.invalid.contains(why)).collect()
}

/// What the trials' figures are judged by.
pub(super) fn metrics() -> Vec<Metric> {
    Experiment::Throughput(throughput::Settings::default())
        .describe()
        .metrics
}

fn order(lab: &Lab, window_s: f64) -> Order {
    let cores = [&lab.site.server_cores[..], &lab.site.generator_cores].concat();
    Order {
        // Where nobody is pinned there is one core, and everybody is on it.
        cores: match cores.is_empty() {
            true => affinity::cores().unwrap_or_default(),
            false => cores,
        },
        after_ms: JOINING_MS + (WARM_UP_S * 1e3) as u64,
        window_ms: (window_s * 1e3) as u64,
    }
}

fn trial(number: u32, window_s: f64) -> Trial {
    Trial {
        number,
        experiment: Experiment::Throughput(throughput::Settings {
            warm_up_s: seconds(WARM_UP_S),
            // On a machine that never settles the check ends in time all the same, and says so.
            warm_up_max_s: seconds(1.0),
            window_s: seconds(window_s),
            ..Default::default()
        }),
        arm: Arm {
            label: "sse-h1".to_owned(),
            transport: Transport::SseH1,
            control_of: None,
            factors: Factors::default(),
            build: Build::Own,
        },
        round: number,
        seed: u64::from(number),
        trace: None,
    }
}

/// The process; killed when dropped.
struct Neighbour(Child);

impl Neighbour {
    async fn order(binary: &Path, order: &Order) -> Result<Self, Broken> {
        let failed = || "start the noisy neighbour";
        // It is pinned like this process until it pins itself.
        let mut child = Command::new(binary)
            .arg("neighbour")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Broken::io(failed()))?;
        let line = serde_json::to_string(order).unwrap_or_default() + "\n";
        if let Some(mut input) = child.stdin.take() {
            let sent = input.write_all(line.as_bytes()).await;
            sent.map_err(Broken::io(failed()))?;
        }
        Ok(Self(child))
    }

    /// Waits for what it did; one that did nothing has broken the check.
    async fn leave(mut self) -> Result<Disturbed, Broken> {
        let told = async {
            let mut told = String::new();
            if let Some(output) = &mut self.0.stdout {
                output.read_to_string(&mut told).await?;
            }
            self.0.wait().await?;
            serde_json::from_str(&told).map_err(io::Error::from)
        };
        let told = timeout(Duration::from_millis(2 * LONGEST_MS), told).await;
        let told = told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        told.map_err(Broken::io("hear what the noisy neighbour did"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_stays_within_its_order_and_refuses_what_it_cannot_follow() {
        let cores = affinity::cores().unwrap();
        let order = |cores: &[usize], window_ms| Order {
            cores: cores.to_vec(),
            after_ms: 1,
            window_ms,
        };
        std::thread::spawn(move || {
            let asked_ns = now_ns();
            let did = disturb(&order(&cores, 20), &mut rand::rng()).unwrap();
            assert!(cores.contains(&did.core));
            // Later than ordered it may be, on a busy machine; earlier never.
            assert!(did.begin_ns >= asked_ns + 3_000_000, "{did:?}");
            assert!(did.end_ns >= asked_ns + 13_000_000, "{did:?}");
            assert!(disturb(&order(&[], 20), &mut rand::rng()).is_err());
            assert!(disturb(&order(&cores, LONGEST_MS + 1), &mut rand::rng()).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_neighbour_covers_what_it_surely_covers() {
        let whole = Whole {
            began_ns: 1_000,
            ended_ns: 2_600,
            warm_up_ns: 300,
            window_ns: 1_000,
        };
        let did = |begin_ns, end_ns| Disturbed {
            core: 0,
            begin_ns,
            end_ns,
        };
        // The window opens between 1,300 and 1,600.
        assert_eq!(whole.covered(did(1_700, 2_200)), 0.5);
        assert_eq!(whole.covered(did(1_200, 1_800)), 0.2);
        assert_eq!(whole.covered(did(1_000, 1_600)), 0.0);
        assert_eq!(whole.covered(did(2_700, 2_900)), 0.0);
    }

    #[test]
    fn a_trial_is_flagged_for_what_the_machine_did_and_for_no_accident() {
        let mut record = crate::calibrate::blank_record("throughput", "x", 1);
        record.metrics = [("server_run_queue_wait".to_owned(), Some(0.2))].into();
        assert!(flags(&record).is_empty(), "the trial does not say so");
        let wait = Evidence::RunQueueWait {
            whose: Process::Server,
            share: 0.2,
        };
        let accident = "a subscriber was cut off: reset".to_owned();
        record.invalid = vec![accident, wait.reason().unwrap()];
        assert_eq!(flags(&record), [wait.reason().unwrap()]);
    }
}

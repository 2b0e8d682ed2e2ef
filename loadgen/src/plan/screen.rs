//! The plan `screen`: every knob at two levels, in a design that tells the effects of all of them apart in
//! few trials, on both transports.

use std::{collections::BTreeMap, num::NonZeroU32};

use pushbench_reports::record::{Screen, ScreenRow, ScreenedFactor};
use pushbench_server::contract::{
    factors::{Allocator, Coding, Compression, Factors, Flush},
    message::Envelope,
    transport::Transport,
};

use super::{Entry, Plan, SEED};
use crate::{
    arm::{Arm, Build},
    experiment::{Experiment, screen},
    meter::machine,
};

/// The baseline's first.
const TRANSPORTS: [Transport; 2] = [Transport::SseH1, Transport::WsH1];

/// Columns of the design: as many factors as it can hold.
const COLUMNS: usize = 11;

/// The first row for 12 runs; the next ten are its cyclic shifts (Plackett and Burman, "The design of
/// optimum multifactorial experiments", Biometrika 33, 1946, p. 323).
const GENERATOR: [i8; COLUMNS] = [1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1];

/// Level of each column: −1 low, +1 high.
type Row = [i8; COLUMNS];

/// The twelve runs, then each with all levels turned around. The half alone confounds main effects with
/// interactions of two factors; folded over, it does not (Box and Wilson, 1951).
fn design() -> [Row; 2 * (COLUMNS + 1)] {
    std::array::from_fn(|run| {
        let (run, sign) = match run.checked_sub(COLUMNS + 1) {
            Some(mirrored) => (mirrored, -1),
            None => (run, 1),
        };
        std::array::from_fn(|column| {
            // The last of the twelve is all low.
            let level = match run {
                COLUMNS => -1,
                _ => GENERATOR[(column + COLUMNS - run) % COLUMNS],
            };
            sign * level
        })
    })
}

/// A factor and how each of its levels is set; `low` is what a tuned server has.
struct Knob {
    name: &'static str,
    low: String,
    high: String,
    /// The one transport on which it exists.
    only: Option<Transport>,
    /// Whether it stands in the column of the one before, which only the other transport has.
    beside: bool,
    set: Set,
}

/// Sets a level: low, or high where that is said.
type Set = Box<dyn Fn(&mut Factors, High)>;

/// Whether the level is the high one.
type High = bool;

fn knob(
    name: &'static str,
    [low, high]: [&str; 2],
    set: impl Fn(&mut Factors, High) + 'static,
) -> Knob {
    Knob {
        name,
        low: low.to_owned(),
        high: high.to_owned(),
        only: None,
        beside: false,
        set: Box::new(set),
    }
}

/// A read buffer that holds any prompt, and `tungstenite`'s own, bytes.
const WS_READ_BUFFERS: [NonZeroU32; 2] = const {
    [
        NonZeroU32::new(4_096).unwrap(),
        NonZeroU32::new(131_072).unwrap(),
    ]
};

/// The least that hyper's HTTP/1.1 builder takes for its buffers, bytes; on its own it takes up to 400 KiB.
const HTTP_BUFFER: u32 = 8_192;

/// Bytes of the longer text: a paragraph, where a token has about four.
const LONG_TEXT: u32 = 512;

/// What is screened, in the order of the columns; columns that are left estimate nothing but noise.
/// `controls` are the congestion control that the kernel takes by itself, and another that it offers.
fn knobs(controls: Option<[String; 2]>) -> Vec<Knob> {
    let mut knobs = vec![
        knob("tls", ["off", "on"], |factors, high| factors.tls = high),
        knob("nodelay", ["on", "off"], |factors, high| {
            factors.nodelay = !high;
        }),
        // What each side's library buffers by itself, and what it needs. `http_stack` is not screened: with
        // TLS there is no other stack to compare.
        Knob {
            only: Some(Transport::WsH1),
            ..knob(
                "ws_read_buffer_bytes",
                ["4096", "131072"],
                |factors, high| {
                    factors.ws_read_buffer_bytes = WS_READ_BUFFERS[usize::from(high)];
                },
            )
        },
        Knob {
            only: Some(Transport::SseH1),
            beside: true,
            ..knob("http_buffer_bytes", ["8192", "default"], |factors, high| {
                factors.http_buffer_bytes = (!high).then(|| HTTP_BUFFER.try_into().ok()).flatten();
            })
        },
        knob("flush", ["ready", "each"], |factors, high| {
            factors.flush = if high { Flush::Each } else { Flush::Ready };
        }),
        Knob {
            only: Some(Transport::SseH1),
            ..knob("compression", ["off", "gzip-1"], |factors, high| {
                factors.compression = match high {
                    true => Compression::Coding(Coding::Gzip, 1),
                    false => Compression::Off,
                };
            })
        },
        knob("envelope", ["minimal", "openai"], |factors, high| {
            factors.envelope = match high {
                true => Envelope::OpenAi,
                false => Envelope::Minimal,
            };
        }),
        knob("payload_bytes", ["a token", "512"], |factors, high| {
            factors.payload_bytes = high.then(|| LONG_TEXT.try_into().ok()).flatten();
        }),
        knob("allocator", ["glibc", "jemalloc"], |factors, high| {
            factors.allocator = match high {
                true => Allocator::Jemalloc,
                false => Allocator::Glibc,
            };
        }),
        knob("resume", ["off", "on"], |factors, high| {
            factors.resume = high;
        }),
    ];
    knobs.extend(controls.map(|[own, other]| {
        let levels = [&*own, &*other];
        let other = other.clone();
        knob("congestion_control", levels, move |factors, high| {
            factors.congestion_control = high.then(|| other.clone());
        })
    }));
    knobs
}

/// Every row on both transports, in replicates: about ten minutes on two cores.
pub fn screen() -> Plan {
    plan(machine::congestion_controls())
}

/// The column of each knob.
fn columns(knobs: &[Knob]) -> Vec<usize> {
    let counted = knobs.iter().scan(0, |taken, knob| {
        *taken += usize::from(!knob.beside);
        taken.checked_sub(1)
    });
    counted.collect()
}

fn plan(controls: Option<[String; 2]>) -> Plan {
    let knobs = knobs(controls);
    let columns = columns(&knobs);
    let mut arms = Vec::new();
    let mut rows = Vec::new();
    for (row, number) in design().iter().zip(1..) {
        let levels: Vec<i8> = columns.iter().map(|&column| row[column]).collect();
        let of_row = TRANSPORTS.map(|transport| arm(number, transport, &knobs, &levels));
        rows.push(ScreenRow {
            arms: of_row.each_ref().map(|arm| arm.label.clone()),
            levels,
        });
        arms.extend(of_row);
    }
    let design = Screen {
        transports: TRANSPORTS.map(|transport| transport.name().to_owned()),
        factors: knobs.iter().map(described).collect(),
        rows,
    };
    let entry = Entry {
        experiment: Experiment::Screen(screen::Settings::default()),
        arms: arms.iter().map(|arm| arm.label.clone()).collect(),
        margins: BTreeMap::new(),
        design: Some(design),
    };
    Plan {
        name: "screen".to_owned(),
        seed: SEED,
        baseline: entry.arms.first().cloned().unwrap_or_default(),
        arms,
        experiments: vec![entry],
        replay: None,
        looks: Vec::new(),
    }
}

fn arm(row: u32, transport: Transport, knobs: &[Knob], levels: &[i8]) -> Arm {
    let mut factors = Factors::default();
    for (knob, level) in knobs.iter().zip(levels) {
        if knob.only.is_none_or(|only| only == transport) {
            (knob.set)(&mut factors, *level > 0);
        }
    }
    Arm {
        label: format!("row {row:02} {transport}"),
        transport,
        control_of: None,
        factors,
        build: Build::Own,
    }
}

fn described(knob: &Knob) -> ScreenedFactor {
    ScreenedFactor {
        name: knob.name.to_owned(),
        low: knob.low.clone(),
        high: knob.high.clone(),
        only: knob.only.map(|transport| transport.name().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use pushbench_reports::record::Facts;

    use super::*;
    use crate::{quantity::rounds, trial::Trial};

    fn both() -> [Plan; 2] {
        let controls = ["bbr", "cubic"].map(str::to_owned);
        [plan(Some(controls)), plan(None)]
    }

    fn dot(rows: &[Row], of: impl Fn(&Row) -> i32) -> i32 {
        rows.iter().map(of).sum()
    }

    #[test]
    fn each_column_is_balanced_and_no_two_columns_look_alike() {
        let rows = design();
        for half in [&rows[..12], &rows[12..]] {
            for one in 0..COLUMNS {
                assert_eq!(dot(half, |row| row[one].into()), 0, "{one}");
                for other in 0..one {
                    let product = |row: &Row| i32::from(row[one] * row[other]);
                    assert_eq!(dot(half, product), 0, "{one} {other}");
                }
            }
        }
    }

    #[test]
    fn the_second_half_mirrors_the_first_which_clears_main_effects_of_interactions() {
        let rows = design();
        let (first, second) = rows.split_at(12);
        for (row, mirrored) in first.iter().zip(second) {
            assert_eq!(row.map(|level| -level), *mirrored);
        }
        let confounded = |rows: &[Row]| {
            let mut confounded = 0;
            for column in 0..COLUMNS {
                for one in (0..COLUMNS).filter(|one| *one != column) {
                    for other in (0..one).filter(|other| *other != column) {
                        let product = |row: &Row| i32::from(row[column] * row[one] * row[other]);
                        confounded += i32::from(dot(rows, product) != 0);
                    }
                }
            }
            confounded
        };
        assert_eq!(confounded(&rows), 0);
        assert!(confounded(first) > 0, "one half alone would not do");
    }

    #[test]
    fn an_arm_has_the_levels_of_its_row_and_none_is_impossible() {
        for plan in both() {
            let design = plan.experiments[0].design.as_ref().unwrap();
            assert!((10..=COLUMNS).contains(&design.factors.len()));
            assert_eq!((design.rows.len(), plan.arms.len()), (24, 48));
            for row in &design.rows {
                assert_eq!(row.levels.len(), design.factors.len());
                for (label, transport) in row.arms.iter().zip(&design.transports) {
                    let mut arms = plan.arms.iter();
                    let arm = arms.find(|arm| arm.label == *label).unwrap();
                    assert_eq!(arm.transport.name(), transport);
                    assert_eq!(arm.factors.misfit(arm.transport), None, "{label}");
                    check(arm, design, row);
                }
            }
        }
    }

    /// That the arm has the level in each factor, by what the plan file would say of it.
    fn check(arm: &Arm, design: &Screen, row: &ScreenRow) {
        let levels: BTreeMap<_, _> = arm.factors.levels().into_iter().collect();
        for (factor, level) in design.factors.iter().zip(&row.levels) {
            let has = factor
                .only
                .as_ref()
                .is_none_or(|only| only == arm.transport.name());
            let high = *level > 0 && has;
            let of = |name: &str, [low, high_level]: [&str; 2]| {
                let expected = if high { high_level } else { low };
                assert_eq!(levels[name], expected, "{} of {}", factor.name, arm.label);
            };
            let words = [factor.low.as_str(), factor.high.as_str()];
            match factor.name.as_str() {
                "ws_read_buffer_bytes" | "http_buffer_bytes" if !has => {}
                "tls" | "resume" => of(&factor.name, ["false", "true"]),
                "nodelay" => of(&factor.name, ["true", "false"]),
                "payload_bytes" => of(&factor.name, ["default", "512"]),
                "congestion_control" => of(&factor.name, ["default", words[1]]),
                name => of(name, words),
            }
        }
    }

    #[test]
    fn a_screen_fits_fifteen_minutes_and_runs_both_arms_of_a_row_back_to_back() {
        let mut plan = screen();
        assert!(plan.is_screen() && !crate::plan::quick().is_screen());
        let trials = plan.trials();
        let seconds = plan.seconds();
        assert!((300.0..=900.0).contains(&seconds), "{seconds}");
        assert_eq!(trials.len(), 24 * 2 * 3);
        let manifest = plan.manifest(String::new(), Facts::new());
        let described = &manifest.plan.experiments[0];
        let design = described.screen.as_ref().unwrap();
        assert_eq!((described.rounds, design.rows.len()), (3, 24));
        for pair in trials.chunks(2) {
            let labels = [0, 1].map(|place: usize| pair[place].arm.label.clone());
            let is_row = |row: &ScreenRow| {
                labels == row.arms || labels == [row.arms[1].clone(), row.arms[0].clone()]
            };
            assert!(design.rows.iter().any(is_row), "{labels:?}");
            assert_eq!(pair[0].round, pair[1].round);
        }
        // As many replicates as are asked for, the first ones the same.
        plan.set_rounds(rounds(4));
        let more = plan.trials();
        assert_eq!(more.len(), 24 * 2 * 4);
        let key = |trial: &Trial| (trial.arm.label.clone(), trial.round, trial.seed);
        assert!(
            more.iter()
                .map(key)
                .take(trials.len())
                .eq(trials.iter().map(key))
        );
        plan.seed += 1;
        assert!(!plan.trials().iter().map(key).eq(more.iter().map(key)));
        plan.only(&["screen".to_owned()]).unwrap();
        assert!(plan.only(&["latency".to_owned()]).is_err());
    }

    #[test]
    fn a_factor_that_the_kernel_does_not_offer_is_left_out_and_moves_no_other() {
        let [with, without] = both().map(|plan| plan.experiments[0].design.clone().unwrap());
        assert_eq!(with.factors[10].name, "congestion_control");
        assert_eq!(with.factors[..10], without.factors);
        for (with, without) in with.rows.iter().zip(&without.rows) {
            assert_eq!(with.levels[..10], without.levels);
        }
    }
}

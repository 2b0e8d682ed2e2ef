//! Runs whose figures drift from the first trial to the last, and runs that lost rounds, through the whole
//! statistics.

use std::collections::BTreeMap;

use pushbench_reports::{
    calibration::Row,
    effect::{Effect, Verdict},
    estimate::effects,
    record::{self, Record},
    statistics::Level,
};
use pushbench_server::faults::Faults;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    arm::Arm,
    bench::Broken,
    calibrate::{Lab, blank_record, injector::normal},
    experiment::{Experiment, throughput},
    plan::{self, Plan},
    quantity::{rate, rounds, seconds},
    trial::{self, ATTEMPTS, Trial},
};

/// Which arm goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As a plan has it.
    Mirrored,
    /// Always the same.
    Fixed,
}

const EXPERIMENT: &str = "throughput";
const METRIC: &str = "server_cpu_us_per_message";
const ARMS: [&str; 2] = ["one", "other"];

/// What the figures drift by over a run: the metric's margin, 10 %.
const DRIFT: f64 = 0.1;

/// Standard deviation of a trial's figure: as small as on a quiet machine, where a drift shows most.
const NOISE: f64 = 0.005;

/// Rounds of a run, as the built-in plan has.
const ROUNDS: u32 = 6;

/// A series of trials of identical arms, run here on servers that work ever more for each message.
#[derive(Debug)]
pub(super) struct Series {
    /// In the order in which they ran.
    records: Vec<Record>,
    plan: Plan,
    /// Work for a message in the first and in the last trial, nanoseconds.
    pub work_ns: [u64; 2],
    /// Trials that were run again, because they were invalid.
    pub again: u32,
}

/// What the servers work for a message at first, nanoseconds: about what a delivery costs them without.
const WORK_NS: std::ops::Range<u64> = 8_000..10_000;

/// What the last one's work is, as a multiple of the first one's: so steep a drift that a fixed order must
/// take it for a difference even of six rounds.
const STEEP: std::ops::Range<f64> = 7.0..8.0;

/// Messages a second to a hundred subscribers: with the most work for each, the last server is still idle
/// for a fifth of its time.
const MESSAGES_PER_SECOND: f64 = 100.0;

/// Runs the series, with a drift drawn from the system's randomness.
pub(super) async fn series(lab: &Lab) -> Result<Series, Broken> {
    let mut random = rand::rng();
    let first_ns = random.random_range(WORK_NS);
    let last_ns = (first_ns as f64 * random.random_range(STEEP)) as u64;
    let mut plan = plan(random.random());
    for entry in &mut plan.experiments {
        entry.experiment.set_rounds(rounds(lab.effort.pick(6, 8)));
        if let Experiment::Throughput(settings) = &mut entry.experiment {
            *settings = throughput::Settings {
                rounds: settings.rounds,
                warm_up_s: seconds(0.1),
                window_s: seconds(lab.effort.pick(0.4, 0.8)),
                messages_per_second: rate(MESSAGES_PER_SECOND),
                ..Default::default()
            };
        }
    }
    let (trials, mut records, mut again) = (plan.trials(), Vec::new(), 0);
    let last = trials.len().saturating_sub(1).max(1) as f64;
    // With more of them the machine is too busy for a series, and time has a bound.
    let most_again = trials.len() as u32 / 2;
    for (place, trial) in trials.iter().enumerate() {
        let risen = (last_ns - first_ns) as f64 * place as f64 / last;
        for attempt in 1..=ATTEMPTS {
            let mut bench = trial::bench(trial, attempt, &lab.site)?;
            bench.faults = Faults {
                work_ns: Some(first_ns + risen as u64),
                ..Faults::default()
            };
            trial.experiment.measure(&mut bench).await?;
            let valid = bench.record.invalid.is_empty();
            records.push(bench.record);
            if valid || attempt == ATTEMPTS || again == most_again {
                break;
            }
            again += 1;
        }
    }
    Ok(Series {
        records,
        plan,
        work_ns: [first_ns, last_ns],
        again,
    })
}

impl Series {
    /// Trials that are valid, in order.
    pub(super) fn trials(&self) -> usize {
        let valid = self
            .records
            .iter()
            .filter(|record| record.invalid.is_empty());
        valid.count()
    }

    /// The p of the effect between the arms, in the order of the plan or as if the first arm had always
    /// gone first.
    pub(super) fn p(&self, order: Order) -> Option<f64> {
        let mut records = self.records.clone();
        if order == Order::Fixed {
            let mut gone = BTreeMap::new();
            for record in records
                .iter_mut()
                .filter(|record| record.invalid.is_empty())
            {
                let nth: &mut usize = gone.entry(record.round).or_default();
                if let Some(label) = ARMS.get(*nth) {
                    record.arm = (*label).to_owned();
                }
                *nth += 1;
            }
        }
        judged(&self.plan, &records)?.p
    }
}

/// Simulated runs without a difference, but with the drift, in which one is found.
pub(super) fn alarms(runs: usize, seed: u64, order: Order) -> usize {
    let alarms = (0..runs as u64).filter(|run| {
        let seed = seed.wrapping_add(*run);
        let plan = plan(seed);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let records = drifting(&plan, order, &mut random);
        judged(&plan, &records)
            .and_then(|effect| effect.p)
            .is_some_and(|p| p <= Level::CONVENTION.significance())
    });
    alarms.count()
}

/// The throughput experiment of the quick plan with one arm under two labels.
fn plan(seed: u64) -> Plan {
    let mut plan = plan::quick();
    plan.seed = seed;
    plan.arms.truncate(1);
    let first = plan.arms.pop();
    let named = |label: &str| {
        first.clone().map(|arm| Arm {
            label: label.to_owned(),
            ..arm
        })
    };
    plan.arms.extend(ARMS.into_iter().filter_map(named));
    plan.baseline = ARMS[0].to_owned();
    plan.experiments
        .retain(|entry| entry.experiment.name() == EXPERIMENT);
    for entry in &mut plan.experiments {
        entry.arms = ARMS.map(str::to_owned).to_vec();
    }
    plan
}

/// The trials of a plan, in order; in a fixed order the first arm always goes first.
fn trials(plan: &Plan, order: Order) -> Vec<Trial> {
    let mut trials = plan.trials();
    trials.retain(|trial| trial.round <= ROUNDS);
    if order == Order::Fixed {
        trials.sort_by_key(|trial| (trial.round, trial.arm.label != ARMS[0]));
    }
    trials
}

fn drifting(plan: &Plan, order: Order, random: &mut impl Rng) -> Vec<Record> {
    let trials = trials(plan, order);
    let last = trials.len().saturating_sub(1).max(1) as f64;
    let figure = |(place, trial): (usize, &Trial)| {
        let drift = DRIFT.ln_1p() * place as f64 / last;
        record(trial, 5.0 * f64::exp(drift + NOISE * normal(random)))
    };
    trials.iter().enumerate().map(figure).collect()
}

/// A run in which the other arm costs half as much again loses rounds to invalid trials; with fewer left
/// than a verdict needs there is none.
pub(super) fn without_a_verdict() -> Vec<Row> {
    [0, 2, 3]
        .map(|lost| {
            let verdict = after_losing(lost);
            let wanted = if lost > 2 {
                Verdict::Inconclusive
            } else {
                Verdict::Worse
            };
            Row {
                subject: format!("a true difference of 50 %, {lost} of {ROUNDS} rounds invalid"),
                truth: word(Some(wanted)),
                measured: word(verdict),
                tolerance: "none".to_owned(),
                pass: verdict == Some(wanted),
            }
        })
        .to_vec()
}

fn after_losing(lost: u32) -> Option<Verdict> {
    let plan = plan(plan::SEED);
    let mut random = ChaCha8Rng::seed_from_u64(plan::SEED);
    let mut records = Vec::new();
    for trial in trials(&plan, Order::Mirrored) {
        let other = trial.arm.label == ARMS[1];
        let cost = if other { 7.5 } else { 5.0 };
        let mut record = record(&trial, cost * f64::exp(NOISE * normal(&mut random)));
        if other && trial.round <= lost {
            record.invalid.push("the machine was busy".to_owned());
        }
        records.push(record);
    }
    judged(&plan, &records).map(|effect| effect.verdict)
}

fn word(verdict: Option<Verdict>) -> String {
    match verdict {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        Some(Verdict::Equivalent) => "equivalent",
        Some(Verdict::Inconclusive) => "inconclusive",
        None => "no effect at all",
    }
    .to_owned()
}

/// The effect of the primary metric, as a report has it.
fn judged(plan: &Plan, records: &[Record]) -> Option<Effect> {
    let plan: record::Plan = plan.manifest(String::new(), BTreeMap::new()).plan;
    let mut found = effects(&plan, records).effects.into_iter();
    found.find(|effect| effect.metric == METRIC)
}

fn record(trial: &Trial, cpu_us: f64) -> Record {
    let mut record = blank_record(EXPERIMENT, &trial.arm.label, trial.round);
    record.trial = trial.number;
    record.metrics.insert(METRIC.to_owned(), Some(cpu_us));
    record
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A series whose figures rise by this factor from trial to trial, as the statistics get it.
    pub fn made_up(rise: f64) -> Series {
        let plan = plan(7);
        let trials = trials(&plan, Order::Mirrored);
        let figure = |(place, trial): (usize, &Trial)| record(trial, 5.0 * rise.powi(place as i32));
        Series {
            records: trials.iter().enumerate().map(figure).collect(),
            plan,
            work_ns: [5_000, 15_000],
            again: 0,
        }
    }

    #[test]
    fn a_run_that_lost_too_many_rounds_has_no_verdict() {
        let rows = without_a_verdict();
        assert!(rows.iter().all(|row| row.pass), "{rows:?}");
    }

    #[test]
    fn a_plan_mirrors_each_odd_round_in_the_next_and_the_fixed_order_does_not() {
        let firsts = |order| {
            let trials = trials(&plan(3), order);
            let firsts = trials.chunks(2).map(|round| round[0].arm.label.clone());
            firsts.collect::<Vec<_>>()
        };
        assert!(
            firsts(Order::Mirrored)
                .chunks(2)
                .all(|two| two[0] != two[1])
        );
        assert!(firsts(Order::Fixed).iter().all(|first| first == ARMS[0]));
    }
}

//! Runs whose figures drift from the first trial to the last, and runs that lost rounds, through the whole
//! statistics.

use std::collections::BTreeMap;

use pushbench_reports::{
    calibration::Row,
    effect::{Effect, Verdict},
    estimate::effects,
    record::{self, FORMAT, Record},
    statistics::Level,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    arm::Arm,
    plan::{self, Plan},
    trial::Trial,
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

/// Runs without a difference, but with the drift, in which one is found.
pub(super) fn alarms(runs: usize, order: Order) -> usize {
    let alarms = (0..runs as u64).filter(|seed| {
        let plan = plan(*seed);
        let mut random = ChaCha8Rng::seed_from_u64(*seed);
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
    Record {
        format: FORMAT,
        trial: trial.number,
        experiment: EXPERIMENT.to_owned(),
        arm: trial.arm.label.clone(),
        round: trial.round,
        attempt: 1,
        started_at: String::new(),
        duration_ms: 0,
        settings: BTreeMap::new(),
        metrics: [(METRIC.to_owned(), Some(cpu_us))].into(),
        points: BTreeMap::new(),
        counters: BTreeMap::new(),
        books: Vec::new(),
        histograms: BTreeMap::new(),
        invalid: Vec::new(),
        notes: Vec::new(),
    }
}

/// A standard normal number (Box and Muller 1958, Annals of Mathematical Statistics 29:610).
fn normal(random: &mut impl Rng) -> f64 {
    let (one, other): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

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

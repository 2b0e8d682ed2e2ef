//! The rounds of identical arms that the statistics are held against, recorded as any run's are.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    Effort, Lab,
    rounds::{LABELS, Rounds, Subject},
};
use crate::{
    arm::Arm,
    bench::Broken,
    experiment::{
        Experiment, latency,
        memory::{self, rungs},
        reconnect, setup, throughput,
    },
    plan::{self, Plan},
    quantity::{count, rate, rounds, seconds},
    trial::{self, ATTEMPTS},
};

/// Runs identical arms, interleaved as in any run, until all rounds are there or the time is over.
///
/// # Errors
/// When a trial cannot be run at all.
pub async fn record(lab: &Lab, seed: u64, budget: Duration) -> Result<Rounds, Broken> {
    let plan = plan(lab.effort, seed);
    let trials = plan.trials();
    let (mut figures, mut repeated, mut reasons) = (BTreeMap::new(), 0, BTreeMap::new());
    // With more invalid trials than that a report calls the machine too noisy, and time has a bound.
    let most_repeated = trials.len() as u32 / 4;
    let (begun, mut out_of_time_s) = (Instant::now(), None);
    'trials: for trial in trials {
        for attempt in 1..=ATTEMPTS {
            let left = budget.saturating_sub(begun.elapsed());
            let tried = timeout(left, trial::attempt(&trial, attempt, &lab.site));
            let Ok(record) = tried.await else {
                out_of_time_s = Some(budget.as_secs());
                break 'trials;
            };
            let record = record?;
            if record.invalid.is_empty() {
                let key = (record.experiment.clone(), record.round, record.arm.clone());
                figures.insert(key, record.metrics);
                break;
            }
            reasons.insert(record.experiment, record.invalid.join("; "));
            if attempt == ATTEMPTS || repeated == most_repeated {
                break;
            }
            repeated += 1;
        }
    }
    let described = plan.manifest(String::new(), BTreeMap::new()).plan;
    let planned = described
        .experiments
        .first()
        .map_or(0, |experiment| experiment.rounds);
    let subjects = described.experiments.into_iter().filter_map(|experiment| {
        let mut subject = Subject::new(experiment)?;
        let name = subject.metric()?.name.clone();
        let of = |round, arm: &str| {
            let key = (subject.experiment.name.clone(), round, arm.to_owned());
            let metrics: &BTreeMap<String, Option<f64>> = figures.get(&key)?;
            metrics.get(&name).copied().flatten()
        };
        let complete = |round| {
            let figures = LABELS.iter().map(|label| of(round, label));
            figures.collect::<Option<Vec<f64>>>()?.try_into().ok()
        };
        subject.rounds = (1..=planned).filter_map(complete).collect();
        subject.invalid = reasons.remove(&subject.experiment.name);
        Some(subject)
    });
    Ok(Rounds {
        subjects: subjects.collect(),
        planned,
        repeated,
        out_of_time_s,
    })
}

/// The experiments of the built-in plans, shortened: the statistics do not know how long a trial was,
/// and short ones scatter more. Quick leaves out the two that take longest.
pub(super) fn plan(effort: Effort, seed: u64) -> Plan {
    let rounds = effort.pick(rounds(6), rounds(24));
    let short = |quick: f64, whole: f64| seconds(effort.pick(quick, whole));
    let mut plan = plan::quick();
    plan.seed = seed;
    let first = plan.arms.first().cloned();
    let named = |label: &str| {
        first.clone().map(|arm| Arm {
            label: label.to_owned(),
            ..arm
        })
    };
    plan.arms = LABELS.iter().filter_map(|label| named(label)).collect();
    plan.baseline = LABELS[0].to_owned();
    for entry in &mut plan.experiments {
        entry.arms = LABELS.map(str::to_owned).to_vec();
        match &mut entry.experiment {
            Experiment::Latency(settings) => {
                *settings = latency::Settings {
                    warm_up_s: short(0.1, 0.2),
                    window_s: short(0.25, 0.6),
                    warm_connections: count(100),
                    ..Default::default()
                };
            }
            Experiment::Throughput(settings) => {
                *settings = throughput::Settings {
                    warm_up_s: short(0.1, 0.15),
                    window_s: short(0.2, 0.4),
                    ..Default::default()
                };
            }
            Experiment::Memory(settings) => {
                *settings = memory::Settings {
                    connections: rungs([50, 100, 150, 200]),
                    streaming_s: seconds(0.05),
                    ..Default::default()
                };
            }
            Experiment::Reconnect(settings) => {
                *settings = reconnect::Settings {
                    messages_per_second: rate(100.0),
                    retry_s: seconds(0.1),
                    phase_s: seconds(0.2),
                    down_s: seconds(0.1),
                    ..Default::default()
                };
            }
            // Nothing to scatter, and no pairs: the plan has neither.
            Experiment::Setup(settings) => {
                *settings = setup::Settings {
                    starts: count(10),
                    window_s: short(0.2, 0.4),
                    ..Default::default()
                };
            }
            Experiment::Wire(_) | Experiment::Screen(_) => {}
        }
        entry.experiment.set_rounds(rounds);
    }
    if effort == Effort::Quick {
        let cheap =
            |e: &Experiment| matches!(e, Experiment::Latency(_) | Experiment::Throughput(_));
        plan.experiments.retain(|entry| cheap(&entry.experiment));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::super::ROUNDS_BUDGET;
    use super::*;

    #[test]
    fn both_plans_have_arms_that_differ_in_their_labels_only() {
        for effort in [Effort::Quick, Effort::Whole] {
            let plan = plan(effort, 3);
            assert_eq!(plan.arms.len(), LABELS.len());
            let what = |arm: &Arm| (arm.transport, arm.factors.clone());
            assert!(plan.arms.iter().all(|arm| what(arm) == what(&plan.arms[0])));
            // What is expected fits into the time that is given.
            let given = ROUNDS_BUDGET.of(effort).as_secs_f64();
            assert!(plan.seconds() <= given, "{} s", plan.seconds());
        }
    }
}

//! The trials that count: of several of one arm in one round, the last valid one.

use std::collections::BTreeMap;

use crate::record::{Experiment, Plan, Record};
use crate::statistics::Pair;

/// The arm that `label` is set against in `experiment`: the one that it repeats, the one that it is held
/// against, or the experiment's baseline; nothing for the baseline itself.
pub fn opposite<'a>(plan: &'a Plan, experiment: &'a Experiment, label: &str) -> Option<&'a str> {
    let arm = plan.arms.iter().find(|arm| arm.label == label);
    let named = arm.and_then(|arm| arm.control_of.as_ref().or(arm.held_against.as_ref()));
    let opposite = named.unwrap_or(&experiment.baseline);
    (opposite != label).then_some(opposite)
}

/// Valid trials by experiment, arm and round. A trial that was run again stays in its round.
pub struct Trials<'a>(BTreeMap<(&'a str, &'a str, u32), &'a Record>);

impl<'a> Trials<'a> {
    /// Of records in the order in which they were made.
    pub fn new(records: &'a [Record]) -> Self {
        let valid = records.iter().filter(|record| record.invalid.is_empty());
        Self(
            valid
                .map(|r| ((r.experiment.as_str(), r.arm.as_str(), r.round), r))
                .collect(),
        )
    }

    /// Whether the arm has a valid trial in that round.
    pub fn holds(&self, experiment: &str, arm: &str, round: u32) -> bool {
        self.0.contains_key(&(experiment, arm, round))
    }

    /// One pair for each round in which both arms yielded the metric.
    pub fn pairs(&self, experiment: &str, metric: &str, baseline: &str, arm: &str) -> Vec<Pair> {
        self.rounds(experiment, arm)
            .filter_map(|(round, of_arm)| {
                let of_baseline = self.0.get(&(experiment, baseline, round))?;
                Some(Pair {
                    baseline: figure(of_baseline, metric)?,
                    arm: figure(of_arm, metric)?,
                })
            })
            .collect()
    }

    /// The arm's figures of one metric, a round each.
    pub fn figures(&self, experiment: &str, metric: &str, arm: &str) -> Vec<f64> {
        let readings = self.readings(experiment, metric, arm).into_iter();
        readings.map(|(_, figure)| figure).collect()
    }

    /// The same, each with its round.
    pub fn readings(&self, experiment: &str, metric: &str, arm: &str) -> Vec<(u32, f64)> {
        self.rounds(experiment, arm)
            .filter_map(|(round, record)| Some((round, figure(record, metric)?)))
            .collect()
    }

    fn rounds<'b>(
        &'b self,
        experiment: &'b str,
        arm: &'b str,
    ) -> impl Iterator<Item = (u32, &'a Record)> + 'b {
        let rounds = (experiment, arm, 0)..=(experiment, arm, u32::MAX);
        let rounds = self.0.range(rounds);
        rounds.map(|((_, _, round), record)| (*round, *record))
    }
}

/// The trial's figure, if it yielded a number.
fn figure(record: &Record, metric: &str) -> Option<f64> {
    let value = record.metrics.get(metric).copied().flatten()?;
    value.is_finite().then_some(value)
}

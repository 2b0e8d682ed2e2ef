//! Which trials of each arm count, which do not, and which rounds are lost with them.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::record::{Experiment, Plan, Record};
use crate::trials::{Trials, opposite};

/// An arm's trials in one experiment. Every trial that was made is either valid or invalid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attendance {
    /// Experiment's name.
    pub experiment: String,
    /// Arm's label.
    pub arm: String,
    /// Rounds planned; of a run that may stop at a look, the most.
    pub planned: usize,
    /// Trials that measured what they claim.
    pub valid: usize,
    /// Trials left out.
    pub invalid: usize,
    /// Of both, those that were a further attempt within their round.
    pub run_again: usize,
    /// Rounds that were begun and count for nothing in this arm's effects, because it or the arm it is
    /// set against has no valid trial in them.
    pub rounds_dropped: usize,
}

/// One row for each experiment and arm of the plan.
pub fn attendance(plan: &Plan, records: &[Record]) -> Vec<Attendance> {
    let trials = Trials::new(records);
    let mut rows = Vec::new();
    for experiment in &plan.experiments {
        for arm in &experiment.arms {
            let own: Vec<&Record> = records
                .iter()
                .filter(|record| record.experiment == experiment.name && record.arm == *arm)
                .collect();
            let invalid = own.iter().filter(|record| !record.invalid.is_empty());
            let invalid = invalid.count();
            rows.push(Attendance {
                experiment: experiment.name.clone(),
                arm: arm.clone(),
                planned: plan.most_rounds(experiment) as usize,
                valid: own.len() - invalid,
                invalid,
                run_again: own.iter().filter(|record| record.attempt > 1).count(),
                rounds_dropped: dropped(plan, records, &trials, experiment, arm),
            });
        }
    }
    rows
}

fn dropped(
    plan: &Plan,
    records: &[Record],
    trials: &Trials<'_>,
    experiment: &Experiment,
    arm: &str,
) -> usize {
    let opposite = match experiment.screen {
        None => opposite(plan, experiment, arm),
        // Every trial of a screen counts for itself.
        Some(_) => None,
    };
    let pair: Vec<&str> = [Some(arm), opposite].into_iter().flatten().collect();
    let begun: BTreeSet<u32> = records
        .iter()
        .filter(|record| record.experiment == experiment.name && pair.contains(&&*record.arm))
        .map(|record| record.round)
        .collect();
    let counts = |round: &u32| {
        let mut pair = pair.iter();
        pair.all(|arm| trials.holds(&experiment.name, arm, *round))
    };
    begun.iter().filter(|round| !counts(round)).count()
}

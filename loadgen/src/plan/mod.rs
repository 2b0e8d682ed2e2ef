//! A plan: which experiments, which arms, how often, from which seed; and the trials that follow from it.

mod builtin;
mod claims;
mod described;
mod file;
mod order;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use pushbench_reports::record::{FORMAT, Facts, Manifest};

use crate::{
    arm::Arm,
    experiment::Experiment,
    quantity::{Rate, Rounds},
    trace::Trace,
    trial::Trial,
};

pub use builtin::{full, quick};
pub use file::{Fault, parse};

/// A plan file with every key, commented, valid as it stands.
pub const EXAMPLE: &str = include_str!("../../plans/example.toml");

/// The seed of a plan that names none.
pub const SEED: u64 = 1;

/// What is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `quick`, `full`, or the plan file's own.
    pub name: String,
    /// The trial order, the arrivals and the turn lengths follow from it.
    pub seed: u64,
    /// Each label is unique.
    pub arms: Vec<Arm>,
    /// Label of the arm that the others are held against.
    pub baseline: String,
    /// Each at most once, in the order of [`Experiment::NAMES`].
    pub experiments: Vec<Entry>,
    /// Real traffic in place of the synthetic.
    pub replay: Option<Replay>,
}

/// One experiment and the arms that take part in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// With its settings.
    pub experiment: Experiment,
    /// Labels, the baseline and a control among them.
    pub arms: Vec<String>,
    /// Margins of metrics that the plan sets itself, in place of the experiment's.
    pub margins: BTreeMap<String, f64>,
}

/// Real traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The file's name, for the record.
    pub name: String,
    /// The requests.
    pub trace: Arc<Trace>,
}

/// The name of no experiment in this plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown experiment `{name}`: use one or more of {choice}, separated by commas")]
pub struct UnknownExperiment {
    name: String,
    choice: String,
}

impl Plan {
    /// Leaves out all experiments but these.
    ///
    /// # Errors
    /// When the plan has none of a name.
    pub fn only(&mut self, names: &[String]) -> Result<(), UnknownExperiment> {
        let has: Vec<_> = self
            .experiments
            .iter()
            .map(|entry| entry.experiment.name())
            .collect();
        if let Some(name) = names.iter().find(|name| !has.contains(&name.as_str())) {
            return Err(UnknownExperiment {
                name: name.clone(),
                choice: has.join(", "),
            });
        }
        self.experiments
            .retain(|entry| names.iter().any(|name| name == entry.experiment.name()));
        Ok(())
    }

    /// Runs every experiment in this many rounds.
    pub fn set_rounds(&mut self, rounds: Rounds) {
        for entry in &mut self.experiments {
            entry.experiment.set_rounds(rounds);
        }
    }

    /// Replays the trace this much faster than it was recorded.
    pub fn set_speed_up(&mut self, speed_up: Rate) {
        for entry in &mut self.experiments {
            entry.experiment.set_speed_up(speed_up);
        }
    }

    /// The trials in order: experiment by experiment, round by round.
    pub fn trials(&self) -> Vec<Trial> {
        let rounds = self.experiments.iter().flat_map(|entry| {
            let place = Experiment::NAMES
                .iter()
                .position(|name| *name == entry.experiment.name());
            let arms: Vec<_> = self
                .arms
                .iter()
                .filter(|arm| entry.arms.contains(&arm.label))
                .collect();
            let rounds = order::rounds(
                self.seed,
                place.unwrap_or_default() as u32,
                &arms,
                entry.experiment.rounds(),
            );
            rounds
                .map(|round| (&entry.experiment, round))
                .collect::<Vec<_>>()
        });
        let trials = rounds.flat_map(|(experiment, order::Round { number, arms, seed })| {
            arms.into_iter()
                .map(move |arm| (experiment, number, seed, arm))
        });
        trials
            .zip(1..)
            .map(|((experiment, round, seed, arm), number)| Trial {
                number,
                experiment: experiment.clone(),
                arm: arm.clone(),
                round,
                seed,
                trace: self.replay.as_ref().map(|replay| replay.trace.clone()),
            })
            .collect()
    }

    /// Expected seconds of all trials.
    pub fn seconds(&self) -> f64 {
        self.trials()
            .iter()
            .map(|trial| trial.experiment.trial_seconds())
            .sum()
    }

    /// Connections that a trial holds open at most.
    pub fn connections(&self) -> u32 {
        self.experiments
            .iter()
            .map(|entry| entry.experiment.connections())
            .max()
            .unwrap_or(0)
    }

    /// What the run's directory says was asked.
    pub fn manifest(&self, started_at: String, environment: Facts) -> Manifest {
        Manifest {
            format: FORMAT,
            started_at,
            environment,
            calibration: None,
            plan: described::plan(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_fits_three_minutes_and_full_an_hour() {
        let (quick, full) = (quick().seconds(), full().seconds());
        assert!(quick <= 180.0, "{quick}");
        assert!((600.0..=3_600.0).contains(&full), "{full}");
    }

    #[test]
    fn trials_are_numbered_and_a_round_has_each_of_its_arms_once_with_one_seed() {
        let plan = full();
        let trials = plan.trials();
        assert_eq!(trials, plan.trials());
        assert!(
            trials
                .iter()
                .zip(1..)
                .all(|(trial, number)| trial.number == number)
        );
        for entry in &plan.experiments {
            for round in 1..=entry.experiment.rounds() {
                let of_round =
                    |trial: &&Trial| trial.experiment == entry.experiment && trial.round == round;
                let of_round: Vec<_> = trials.iter().filter(of_round).collect();
                let mut labels: Vec<_> = of_round
                    .iter()
                    .map(|trial| trial.arm.label.clone())
                    .collect();
                let mut expected = entry.arms.clone();
                labels.sort();
                expected.sort();
                assert_eq!(labels, expected);
                assert!(of_round.iter().all(|trial| trial.seed == of_round[0].seed));
            }
        }
    }

    #[test]
    fn a_part_of_a_plan_keeps_its_order_and_its_seeds() {
        let mut plan = quick();
        let whole: Vec<_> = plan
            .trials()
            .into_iter()
            .filter(|trial| trial.experiment.name() == "memory")
            .collect();
        plan.only(&["memory".to_owned()]).unwrap();
        let part = plan.trials();
        let order = |trials: &[Trial]| {
            let order = trials
                .iter()
                .map(|trial| (trial.arm.label.clone(), trial.round, trial.seed));
            order.collect::<Vec<_>>()
        };
        assert_eq!(order(&whole), order(&part));
        let refusal = plan.only(&["latency".to_owned()]).unwrap_err().to_string();
        assert!(
            refusal.contains("`latency`") && refusal.contains("memory"),
            "{refusal}"
        );
    }
}

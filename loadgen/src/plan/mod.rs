//! A plan: which experiments, which arms, how often, from which seed; and the trials that follow from it.

mod builtin;
mod claims;
mod described;
mod file;
pub mod looks;
mod order;
mod published;
mod screen;
mod table;

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path, sync::Arc};

use pushbench_reports::record::{FORMAT, Facts, Manifest, Screen};
use pushbench_server::contract::factors::Served;

use crate::{
    arm::Arm,
    experiment::Experiment,
    quantity::{Rate, Rounds},
    trace::Trace,
    trial::Trial,
};

pub use builtin::{BUILT_IN, BuiltIn, full, quick, transports};
pub use file::{Fault, parse};
pub use screen::screen;

/// A plan file with every key, commented, valid as it stands.
pub const EXAMPLE: &str = include_str!("../../plans/example.toml");

/// The seed of a plan that names none.
pub const SEED: u64 = 1;

/// What is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `quick`, `full`, `screen`, or the plan file's own.
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
    /// Rounds after which the run looks whether it is decided, rising; the experiments' own rounds are
    /// the first of them then. Empty where the number of rounds is fixed.
    pub looks: Vec<u32>,
}

/// Some rounds of one experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub experiment: String,
    /// From 1.
    pub rounds: RangeInclusive<u32>,
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
    /// Where the arms are no contenders but rows of a screening design, every row's one after the other.
    pub design: Option<Screen>,
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

/// Another build's arm would have the label of an arm that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plan has an arm `{label}`, which is what --against calls another build's: give it another label"
)]
pub struct LabelTaken {
    label: String,
}

impl Plan {
    /// Gives every arm but the controls, and but those that no build of ours serves, a twin that another build
    /// serves, in every experiment that the arm takes part in.
    ///
    /// # Errors
    /// When a twin's label is taken.
    pub fn against(&mut self, binary: &Path) -> Result<(), LabelTaken> {
        let twins: Vec<Arm> = self
            .arms
            .iter()
            .filter(|arm| arm.control_of.is_none() && arm.factors.server == Served::Pushbench)
            .map(|arm| arm.twin(binary.to_owned()))
            .collect();
        let taken = |twin: &&Arm| self.arms.iter().any(|arm| arm.label == twin.label);
        if let Some(twin) = twins.iter().find(taken) {
            return Err(LabelTaken {
                label: twin.label.clone(),
            });
        }
        for entry in &mut self.experiments {
            let takes_part = |twin: &&Arm| {
                let held_against = twin.held_against();
                entry
                    .arms
                    .iter()
                    .any(|arm| Some(arm.as_str()) == held_against)
            };
            let labels: Vec<_> = twins
                .iter()
                .filter(takes_part)
                .map(|twin| twin.label.clone())
                .collect();
            entry.arms.extend(labels);
        }
        self.arms.extend(twins);
        Ok(())
    }

    /// Has the run look after these rounds whether it is decided.
    pub fn look_after(&mut self, looks: &[Rounds]) {
        self.looks = looks.iter().map(|rounds| rounds.get()).collect();
        if let Some(&first) = looks.first() {
            self.set_rounds(first);
        }
    }

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
        self.trials_of(&self.parts(), 1)
    }

    /// All rounds of each experiment.
    pub fn parts(&self) -> Vec<Part> {
        let experiments = self.experiments.iter().map(|entry| &entry.experiment);
        experiments
            .map(|experiment| Part {
                experiment: experiment.name().to_owned(),
                rounds: 1..=experiment.rounds(),
            })
            .collect()
    }

    /// Those of these rounds, numbered from `first`. A round is the same whichever others are run.
    pub fn trials_of(&self, parts: &[Part], first: u32) -> Vec<Trial> {
        let rounds = parts.iter().flat_map(|part| {
            let entries = self.experiments.iter();
            entries
                .filter(|entry| entry.experiment.name() == part.experiment)
                .flat_map(|entry| self.rounds(entry, &part.rounds))
        });
        let trials = rounds.flat_map(|(experiment, order::Round { number, arms, seed })| {
            arms.into_iter()
                .map(move |arm| (experiment.clone(), number, seed, arm))
        });
        trials
            .zip(first..)
            .map(|((experiment, round, seed, arm), number)| Trial {
                number,
                experiment,
                arm: arm.clone(),
                round,
                seed,
                trace: self.replay.as_ref().map(|replay| replay.trace.clone()),
            })
            .collect()
    }

    /// Each with its experiment, which says how many rounds there will have been.
    fn rounds(
        &self,
        entry: &Entry,
        rounds: &RangeInclusive<u32>,
    ) -> Vec<(Experiment, order::Round<&Arm>)> {
        let mut experiment = entry.experiment.clone();
        if let Ok(rounds) = Rounds::try_from(*rounds.end()) {
            experiment.set_rounds(rounds);
        }
        let place = Experiment::NAMES
            .iter()
            .position(|name| *name == experiment.name());
        let arms: Vec<_> = self
            .arms
            .iter()
            .filter(|arm| entry.arms.contains(&arm.label))
            .collect();
        let place = place.unwrap_or_default() as u32;
        let asked = |round: &order::Round<_>| rounds.contains(&round.number);
        let order: Vec<_> = match entry.design {
            Some(_) => {
                let (rows, _) = arms.as_chunks::<2>();
                let replicates = order::replicates(self.seed, place, rows, *rounds.end());
                replicates.filter(asked).collect()
            }
            None => {
                let rounds = order::rounds(self.seed, place, &arms, *rounds.end());
                rounds.filter(asked).collect()
            }
        };
        order
            .into_iter()
            .map(|round| (experiment.clone(), round))
            .collect()
    }

    /// Whether arms are rows of a design in some experiment, and nobody is judged.
    pub fn is_screen(&self) -> bool {
        self.experiments.iter().any(|entry| entry.design.is_some())
    }

    /// Expected seconds of all trials.
    pub fn seconds(&self) -> f64 {
        self.trials()
            .iter()
            .map(|trial| trial.experiment.trial_seconds())
            .sum()
    }

    /// Expected seconds of one round of an experiment; 0 of one that is not in the plan.
    pub fn round_seconds(&self, experiment: &str) -> f64 {
        let entries = self.experiments.iter();
        entries
            .filter(|entry| entry.experiment.name() == experiment)
            .map(|entry| entry.experiment.trial_seconds() * entry.arms.len() as f64)
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
    use pushbench_server::contract::transport::Transport;

    use super::*;
    use crate::quantity::rounds;

    #[test]
    fn another_builds_arms_take_part_where_their_own_do_and_are_held_against_them() {
        let mut plan = full();
        plan.experiments[0].arms.retain(|label| label != "ws-h1");
        // Nobody's twin: no build of ours serves it.
        let mut theirs = plan.arms[1].clone();
        theirs.label = "theirs".into();
        theirs.factors.server = Served::Websockets;
        plan.arms.push(theirs);
        plan.against(Path::new("/other")).unwrap();
        let labels = |entry: &Entry| -> Vec<_> {
            let twins = entry
                .arms
                .iter()
                .filter(|label| label.ends_with(" (against)"));
            twins.cloned().collect()
        };
        assert_eq!(labels(&plan.experiments[0]), ["sse-h1 (against)"]);
        assert_eq!(
            labels(&plan.experiments[1]),
            [
                "sse-h1 (against)",
                "ws-h1 (against)",
                "ws-h1 (library default) (against)"
            ],
            "a control has none"
        );
        let manifest = plan.manifest(String::new(), Facts::new());
        let held: BTreeMap<_, _> = manifest
            .plan
            .arms
            .iter()
            .filter_map(|arm| Some((arm.label.as_str(), arm.held_against.as_deref()?)))
            .collect();
        assert_eq!(held.len(), 3);
        assert_eq!(held["ws-h1 (against)"], "ws-h1");
        // In the same rounds as their own, in an order that the seed shuffles.
        let trials = plan.trials();
        let of_round = |number| {
            let throughput = trials
                .iter()
                .filter(|trial| trial.experiment.name() == "throughput");
            let of_round = throughput.filter(move |trial| trial.round == number);
            of_round
                .map(|trial| trial.arm.label.as_str())
                .collect::<Vec<_>>()
        };
        let (first, second) = (of_round(1), of_round(2));
        assert_eq!(first.len(), 7);
        assert!(first.iter().rev().eq(second.iter()), "mirrored");
        let refusal = plan.against(Path::new("/other")).unwrap_err();
        assert!(refusal.to_string().contains("sse-h1 (against)"));
    }

    #[test]
    fn rounds_that_are_added_are_those_that_a_longer_plan_would_have_had() {
        let mut plan = quick();
        plan.look_after(&[rounds(6), rounds(12)]);
        let first = plan.trials();
        let more = Part {
            experiment: "latency".into(),
            rounds: 7..=12,
        };
        let added = plan.trials_of(&[more], first.len() as u32 + 1);
        assert_eq!(added.len(), 18);
        assert_eq!(added[0].number, first.last().unwrap().number + 1);
        plan.set_rounds(rounds(12));
        let key = |trial: &Trial| (trial.arm.label.clone(), trial.round, trial.seed);
        let longer = plan.trials();
        let latency = longer
            .iter()
            .filter(|trial| trial.experiment.name() == "latency");
        assert!(latency.skip(18).map(key).eq(added.iter().map(key)));
    }

    #[test]
    fn the_transports_plan_has_all_of_them_in_all_experiments_within_twenty_minutes() {
        let plan = transports();
        assert!(
            (600.0..=1_200.0).contains(&plan.seconds()),
            "{}",
            plan.seconds()
        );
        assert_eq!(plan.arms.len(), Transport::ALL.len() + 1);
        assert_eq!(plan.experiments.len(), Experiment::NAMES.len() - 1);
        for entry in &plan.experiments {
            assert_eq!(entry.arms.len(), plan.arms.len());
            for arm in &plan.arms {
                assert_eq!(entry.experiment.misfit(&arm.factors), None);
            }
        }
    }

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

//! Effective settings of an experiment's arms side by side, those that differ apart from the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Experiment, Record};

/// Values shown of a setting that changed from trial to trial.
const VALUES_SHOWN: usize = 3;

/// The settings as the trials read them back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The columns: arms that have a trial.
    pub arms: Vec<String>,
    /// Name, and each arm's value, where they are not all the same.
    pub different: Vec<(String, Vec<String>)>,
    /// Name and value that all arms share.
    pub alike: Vec<(String, String)>,
}

impl Comparison {
    /// Where the arms differ, a line an arm: its label, and its values in the order of `different`.
    pub fn by_arm(&self) -> Vec<(&str, Vec<&str>)> {
        let values = |place: usize| {
            let values = self
                .different
                .iter()
                .filter_map(move |(_, values)| values.get(place));
            values.map(String::as_str).collect()
        };
        let arms = self.arms.iter().enumerate();
        arms.map(|(place, arm)| (arm.as_str(), values(place)))
            .collect()
    }
}

/// Compares the arms of `experiment`, each over its valid trials, or over all where none is valid.
pub fn compare(experiment: &Experiment, records: &[Record]) -> Comparison {
    let own = |record: &&Record| record.experiment == experiment.name;
    let measured = |arm: &str| {
        let mut trials = records
            .iter()
            .filter(own)
            .filter(|record| record.arm == arm);
        trials.any(|record| record.invalid.is_empty())
    };
    let trials: Vec<&Record> = records
        .iter()
        .filter(own)
        .filter(|record| record.invalid.is_empty() || !measured(&record.arm))
        .collect();

    let mut values: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for record in &trials {
        for (name, value) in &record.settings {
            let arms = values.entry(name).or_default();
            arms.entry(&record.arm).or_default().insert(value);
        }
    }
    let has_trial = |arm: &&String| trials.iter().any(|record| record.arm == **arm);
    let arms: Vec<String> = experiment.arms.iter().filter(has_trial).cloned().collect();
    let (mut different, mut alike) = (Vec::new(), Vec::new());
    for (name, by_arm) in values {
        let cells: Vec<String> = arms
            .iter()
            .map(|arm| cell(by_arm.get(arm.as_str())))
            .collect();
        match cells.first() {
            Some(first) if cells.iter().all(|cell| cell == first) => {
                alike.push((name.to_owned(), first.clone()));
            }
            _ => different.push((name.to_owned(), cells)),
        }
    }
    Comparison {
        arms,
        different,
        alike,
    }
}

fn cell(values: Option<&BTreeSet<&str>>) -> String {
    let Some(values) = values else {
        return "not read back".to_owned();
    };
    let shown: Vec<&str> = values.iter().copied().take(VALUES_SHOWN).collect();
    match values.len() - shown.len() {
        0 => shown.join(" / "),
        more => format!("{} and {more} more", shown.join(" / ")),
    }
}

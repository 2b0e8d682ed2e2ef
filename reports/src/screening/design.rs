//! A screen's design, as numbers and as something that may be wrong in a run's manifest.

use std::collections::BTreeSet;

use crate::record::{Experiment, Screen};
use crate::statistics::{Half, Layout};

/// The design as numbers.
pub(super) fn layout(screen: &Screen) -> Layout {
    let half = |only: &String| match *only == screen.transports[0] {
        true => Half::First,
        false => Half::Second,
    };
    Layout {
        levels: screen.rows.iter().map(|row| row.levels.clone()).collect(),
        only: screen
            .factors
            .iter()
            .map(|factor| factor.only.as_ref().map(half))
            .collect(),
    }
}

/// Why a screen is no design, if so.
pub(crate) fn flaw(screen: &Screen, experiment: &Experiment) -> Option<String> {
    let [first, second] = &screen.transports;
    if first == second {
        return Some(format!("both its transports are `{first}`"));
    }
    let mut names = BTreeSet::new();
    for factor in &screen.factors {
        if !names.insert(&factor.name) {
            return Some(format!("it has the factor `{}` twice", factor.name));
        }
        if let Some(only) = factor
            .only
            .as_ref()
            .filter(|only| !screen.transports.contains(only))
        {
            return Some(format!(
                "its factor `{}` is of `{only}`, which it does not have",
                factor.name
            ));
        }
    }
    let mut arms = BTreeSet::new();
    for row in &screen.rows {
        for arm in &row.arms {
            if !experiment.arms.contains(arm) {
                return Some(format!(
                    "its row has the arm `{arm}`, which the experiment has not"
                ));
            }
            if !arms.insert(arm) {
                return Some(format!("the arm `{arm}` is in two places of it"));
            }
        }
        let levels = row.levels.iter().filter(|level| matches!(level, -1 | 1));
        if levels.count() != screen.factors.len() || row.levels.len() != screen.factors.len() {
            let arm = &row.arms[0];
            return Some(format!(
                "the row of `{arm}` has not one level, −1 or 1, for each factor"
            ));
        }
    }
    None
}

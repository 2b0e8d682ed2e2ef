//! What a reader must know before any figure: warnings, the looks, and the calibration a run rests on.

use std::collections::BTreeSet;

use crate::estimate::level;
use crate::record::{Experiment, Manifest, Plan, Record};

/// Share of invalid trials above which the machine is called too noisy.
pub const NOISY: f64 = 0.25;

/// A run cut short, a machine too noisy, no control, and what the run itself warned of when it began.
pub fn warnings(manifest: &Manifest, records: &[Record]) -> Vec<String> {
    let plan = &manifest.plan;
    let mut warnings: Vec<String> = manifest
        .environment
        .get("warnings")
        .map(|told| format!("When the run began: {told}."))
        .into_iter()
        .collect();
    // However often a trial was run again, it is one of those planned.
    let made: BTreeSet<(&str, &str, u32)> = records
        .iter()
        .map(|record| (&*record.experiment, &*record.arm, record.round))
        .collect();
    let expected: usize = plan
        .experiments
        .iter()
        .map(|experiment| rounds_due(plan, experiment, records) * experiment.arms.len())
        .sum();
    if made.len() < expected {
        warnings.push(format!(
            "This run is incomplete: {} of {expected} trials were finished before it stopped.",
            made.len()
        ));
    }
    let invalid = records.iter().filter(|record| !record.invalid.is_empty());
    let (invalid, count) = (invalid.count(), records.len());
    if invalid as f64 > NOISY * count as f64 {
        warnings.push(format!(
            "This machine is too noisy for this plan: {invalid} of {count} trials are invalid. \
             Close other programs or use a quieter machine, then run again."
        ));
    }
    if !plan.arms.iter().any(|arm| arm.control_of.is_some()) {
        warnings.push(
            "This plan has no A/A control, so how far two equal arms differ on this machine is unknown."
                .to_owned(),
        );
    }
    warnings
}

/// The rounds that a whole run holds: those planned, or those of the look that was under way, at which
/// it may stop.
fn rounds_due(plan: &Plan, experiment: &Experiment, records: &[Record]) -> usize {
    let own = records
        .iter()
        .filter(|record| record.experiment == experiment.name);
    let begun = own.map(|record| record.round).max().unwrap_or(0);
    let look = plan.looks.iter().find(|look| **look >= begun);
    look.copied().unwrap_or(experiment.rounds) as usize
}

/// How often the run looked, and what each look costs; nothing where the rounds were fixed.
pub fn looks(plan: &Plan) -> Option<String> {
    let (last, others) = plan.looks.split_last()?;
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let rounds = match &others[..] {
        [] => last.to_string(),
        _ => format!("{} and {last}", others.join(", ")),
    };
    let level = level(plan);
    Some(format!(
        "This run was to look after {rounds} rounds whether every primary verdict is decided, and to stop \
         then. So that looking often raises no alarms, each look is judged at a significance of {} and \
         every interval covers {}.",
        level.significance(),
        level.words(),
    ))
}

/// The calibration that the run's figures rest on, in a line.
pub fn calibration(manifest: &Manifest) -> String {
    let Some(digest) = &manifest.calibration else {
        return "There is no calibration of this machine and build: run `pushbench calibrate`."
            .to_owned();
    };
    let date = digest.started_at.split('T').next().unwrap_or_default();
    let extent = if digest.quick { "quick" } else { "whole" };
    format!(
        "Calibrated on {date} ({extent}): {} of {} checks passed.",
        digest.passed, digest.of
    )
}

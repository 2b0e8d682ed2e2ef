//! What a reader must know before any figure: warnings, the looks, and the calibration a run rests on.

use std::collections::BTreeSet;

use crate::answer::listed;
use crate::effect::{Effect, Verdict};
use crate::estimate::level;
use crate::noise;
use crate::quantity::number;
use crate::record::{Experiment, Manifest, Plan, Record};

/// A run cut short, a machine too noisy, no control, and what the run itself warned of when it began.
pub fn warnings(manifest: &Manifest, records: &[Record], effects: &[Effect]) -> Vec<String> {
    let plan = &manifest.plan;
    let mut warnings: Vec<String> = manifest
        .environment
        .get("warnings")
        .map(|told| format!("When the run began: {told}."))
        .into_iter()
        .collect();
    warnings.extend(incomplete(plan, records).or_else(|| stopped_early(plan, records, effects)));
    warnings.extend(noise::warning(records));
    let contests = plan.experiments.iter().any(|own| own.screen.is_none());
    if contests && !plan.arms.iter().any(|arm| arm.control_of.is_some()) {
        warnings.push(
            "This plan has no A/A control, so how far two equal arms differ on this machine is unknown."
                .to_owned(),
        );
    }
    warnings
}

/// Said where trials are missing from rounds that were begun, or were planned.
fn incomplete(plan: &Plan, records: &[Record]) -> Option<String> {
    // However often a trial was run again, it is one of those planned.
    let made: BTreeSet<(&str, &str, u32)> = records
        .iter()
        .map(|record| (&*record.experiment, &*record.arm, record.round))
        .collect();
    let due = plan
        .experiments
        .iter()
        .map(|experiment| rounds_due(plan, experiment, records) as usize * experiment.arms.len());
    let expected: usize = due.sum();
    (made.len() < expected).then(|| {
        format!(
            "This run is incomplete: {} of {expected} trials were finished before it stopped.",
            made.len()
        )
    })
}

/// Said where a run ended between rounds with something undecided that further looks could have
/// decided. Its time was up, or it was interrupted just then: the records are the same.
fn stopped_early(plan: &Plan, records: &[Record], effects: &[Effect]) -> Option<String> {
    let last = *plan.looks.last()?;
    let begun = |experiment: &Experiment| rounds_begun(experiment, records);
    let open: Vec<String> = plan
        .experiments
        .iter()
        .filter(|experiment| begun(experiment) < last && is_open(experiment, effects))
        .map(|experiment| format!("`{}` with {} rounds", experiment.name, begun(experiment)))
        .collect();
    (!open.is_empty()).then(|| {
        format!(
            "This run ended before its last look, after {last} rounds, with primary verdicts undecided: {}. \
             Either its time was up or it was stopped.",
            open.join(", ")
        )
    })
}

fn is_open(experiment: &Experiment, effects: &[Effect]) -> bool {
    effects.iter().any(|effect| {
        effect.experiment == experiment.name
            && effect.primary
            && effect.verdict == Verdict::Inconclusive
    })
}

/// The rounds that a whole run holds: those planned, or those of the look that was under way, at which
/// it may stop.
fn rounds_due(plan: &Plan, experiment: &Experiment, records: &[Record]) -> u32 {
    let begun = rounds_begun(experiment, records);
    let look = plan.looks.iter().find(|look| **look >= begun);
    look.copied().unwrap_or(plan.most_rounds(experiment))
}

fn rounds_begun(experiment: &Experiment, records: &[Record]) -> u32 {
    let own = records
        .iter()
        .filter(|record| record.experiment == experiment.name);
    own.map(|record| record.round).max().unwrap_or(0)
}

/// How often the run may look, what each look costs, and how far it came; nothing where the rounds were
/// fixed.
pub fn looks(plan: &Plan, records: &[Record]) -> Option<String> {
    let (last, others) = plan.looks.split_last()?;
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let rounds = match &others[..] {
        [] => last.to_string(),
        _ => format!("{} and {last}", others.join(", ")),
    };
    let level = level(plan);
    let made: Vec<String> = plan
        .experiments
        .iter()
        .map(|own| format!("{} of `{}`", rounds_begun(own, records), own.name))
        .collect();
    Some(format!(
        "This run was to look after {rounds} rounds whether every primary verdict is decided, and to stop \
         then. So that looking often raises no alarms, each look is judged at a significance of {} and \
         every interval covers {}. Rounds made: {}.",
        number(level.significance()),
        level.words(),
        made.join(", "),
    ))
}

/// What stands in the place of an A/A control in the plan's screens; nothing without one.
pub fn noise_of_screens(plan: &Plan) -> Option<String> {
    let screens = plan.experiments.iter().filter(|own| own.screen.is_some());
    let named: Vec<String> = screens.map(|own| format!("`{}`", own.name)).collect();
    let named = listed(&named)?;
    Some(format!(
        "The arms of {named} are rows of a screening design and are not compared one by one: each factor's \
         effect is found from all of them, and stands in the experiment's section. No A/A control is needed \
         there, since every row is measured several times on either transport: what these replicates differ by \
         is the noise that the effects are held against."
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

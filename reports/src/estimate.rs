//! Records to effects: pairs the trials of each round, estimates, judges, and says it.

use crate::effect::Effect;
use crate::judge::{Estimated, judge};
use crate::record::{Experiment, Metric, Plan, Record};
use crate::sentence::{control_sentence, sentence};
use crate::statistics::{
    Interval, Level, Pair, Spread, differences, hodges_lehmann, log_ratios, mean_difference, ratio,
};
use crate::trials::{Trials, opposite};
use crate::verdict::Scale;

/// All that a run found.
#[derive(Debug, Clone, PartialEq)]
pub struct Effects {
    /// Each compared arm against its baseline, in the plan's order: experiment, arm, metric.
    pub effects: Vec<Effect>,
    /// The same of each control against the arm that it repeats.
    pub noise_floor: Vec<Effect>,
}

/// Estimates every effect of a run. Each experiment has its rows, also without a valid trial.
///
/// Invalid trials are left out, and of several valid ones for the same arm and round the last counts; a
/// round in which one of a pair has none is no round of that pair. The arms of a screen are no contenders,
/// so it is left out here: [`crate::screening`] has its effects.
pub fn effects(plan: &Plan, records: &[Record]) -> Effects {
    let (level, trials) = (level(plan), Trials::new(records));
    let (mut compared, mut twins, mut controls) = (Vec::new(), Vec::new(), Vec::new());
    let contests = plan.experiments.iter().filter(|own| own.screen.is_none());
    for experiment in contests {
        for label in &experiment.arms {
            let Some(baseline) = opposite(plan, experiment, label) else {
                continue;
            };
            let rows = if is_control(plan, label) {
                &mut controls
            } else if is_another_builds(plan, label) {
                &mut twins
            } else {
                &mut compared
            };
            for metric in &experiment.metrics {
                rows.push(estimated(
                    &trials, experiment, metric, baseline, label, level,
                ));
            }
        }
    }
    let mut noise_floor = judge(&controls);
    for (control, own) in noise_floor.iter_mut().zip(&controls) {
        control.sentence = control_sentence(control, own.metric);
    }
    // Two families, since they answer two questions: which arm is better, and whether a build is. Whoever
    // asks the second is not to pay for the first.
    let mut effects = Vec::new();
    for family in [compared, twins] {
        let judged = judge(&family).into_iter().zip(&family);
        effects.extend(judged.map(|(mut effect, own)| {
            effect.sentence = sentence(&effect, own.metric, &noise_floor);
            effect
        }));
    }
    let place = |name: &str| plan.experiments.iter().position(|own| own.name == name);
    effects.sort_by_key(|effect| place(&effect.experiment));
    Effects {
        effects,
        noise_floor,
    }
}

/// What each effect of a run is judged at: a run that looked several times at its effects, and could
/// have stopped at each, gives every look an equal part of the significance.
pub fn level(plan: &Plan) -> Level {
    Level::CONVENTION.shared(plan.looks.len())
}

/// Whether the arm repeats another.
fn is_control(plan: &Plan, label: &str) -> bool {
    let arm = plan.arms.iter().find(|arm| arm.label == label);
    arm.is_some_and(|arm| arm.control_of.is_some())
}

/// Whether another build serves the arm.
fn is_another_builds(plan: &Plan, label: &str) -> bool {
    let arm = plan.arms.iter().find(|arm| arm.label == label);
    arm.is_some_and(|arm| arm.held_against.is_some())
}

/// One metric of one arm against another, over their rounds in common.
fn estimated<'a>(
    trials: &Trials<'_>,
    experiment: &'a Experiment,
    metric: &'a Metric,
    baseline: &'a str,
    arm: &'a str,
    level: Level,
) -> Estimated<'a> {
    let pairs = trials.pairs(&experiment.name, &metric.name, baseline, arm);
    let ratio = ratio(&pairs, level);
    let scale = Scale::of(metric.margin_kind, ratio.is_some());
    let rounds = on_scale(&pairs, scale);
    Estimated {
        experiment: &experiment.name,
        metric,
        baseline,
        arm,
        rounds: u32::try_from(pairs.len()).unwrap_or(u32::MAX),
        of_baseline: pairs.iter().map(|pair| pair.baseline).collect(),
        of_arm: pairs.iter().map(|pair| pair.arm).collect(),
        ratio,
        difference: mean_difference(&pairs, level),
        rank: by_rank(&rounds, scale, level),
        spread: Spread::of(&rounds),
        level,
    }
}

/// Every round's log ratio or difference.
fn on_scale(pairs: &[Pair], scale: Scale) -> Vec<f64> {
    match scale {
        // Where the scale is the ratio, every round has one.
        Scale::Ratio => log_ratios(pairs).unwrap_or_default(),
        Scale::Difference => differences(pairs),
    }
}

/// Estimate and interval without the assumption of normal rounds.
fn by_rank(rounds: &[f64], scale: Scale, level: Level) -> Option<(f64, Interval)> {
    let (center, interval) = hodges_lehmann(rounds, level)?;
    Some(match scale {
        Scale::Ratio => (center.exp(), interval.map(f64::exp)),
        Scale::Difference => (center, interval),
    })
}

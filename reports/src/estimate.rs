//! Records to effects: pairs the trials of each round, estimates, corrects, decides, and says it.

use std::collections::BTreeMap;

use crate::effect::Effect;
use crate::record::{Arm, Experiment, MarginKind, Metric, Plan, Record};
use crate::sentence::{control_sentence, sentence};
use crate::statistics::{
    Estimate, Interval, Level, Pair, differences, geometric_mean, hodges_lehmann, holm, log_ratios,
    mean, mean_difference, ratio,
};
use crate::verdict::{Case, Scale, harmless};

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
/// Invalid trials are left out, and of several valid ones for the same arm and round the last counts.
pub fn effects(plan: &Plan, records: &[Record]) -> Effects {
    let level = level(plan);
    let trials = Trials::new(records);
    let (mut compared, mut controls) = (Vec::new(), Vec::new());
    for experiment in &plan.experiments {
        for label in experiment
            .arms
            .iter()
            .filter(|l| **l != experiment.baseline)
        {
            let (rows, baseline) = match repeated(plan, label) {
                Some(original) => (&mut controls, original),
                None => (&mut compared, experiment.baseline.as_str()),
            };
            for metric in &experiment.metrics {
                rows.push(Comparison::new(
                    &trials, experiment, metric, baseline, label, level,
                ));
            }
        }
    }
    let mut noise_floor = decide(&controls);
    for (control, comparison) in noise_floor.iter_mut().zip(&controls) {
        control.sentence = control_sentence(control, comparison.metric);
    }
    let mut effects = decide(&compared);
    for (effect, comparison) in effects.iter_mut().zip(&compared) {
        effect.sentence = sentence(effect, comparison.metric, &noise_floor);
    }
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

/// The arm that `label` is a control of.
fn repeated<'a>(plan: &'a Plan, label: &str) -> Option<&'a str> {
    let arm: &Arm = plan.arms.iter().find(|arm| arm.label == label)?;
    arm.control_of.as_deref()
}

/// The valid trials, by experiment, arm and round.
struct Trials<'a>(BTreeMap<(&'a str, &'a str, u32), &'a Record>);

impl<'a> Trials<'a> {
    fn new(records: &'a [Record]) -> Self {
        let valid = records.iter().filter(|record| record.invalid.is_empty());
        Self(
            valid
                .map(|r| ((r.experiment.as_str(), r.arm.as_str(), r.round), r))
                .collect(),
        )
    }

    /// One pair for each round in which both arms yielded the metric.
    fn pairs(&self, experiment: &str, metric: &str, baseline: &str, arm: &str) -> Vec<Pair> {
        let rounds = self
            .0
            .range((experiment, arm, 0)..=(experiment, arm, u32::MAX));
        rounds
            .filter_map(|((_, _, round), of_arm)| {
                let of_baseline = self.0.get(&(experiment, baseline, *round))?;
                Some(Pair {
                    baseline: figure(of_baseline, metric)?,
                    arm: figure(of_arm, metric)?,
                })
            })
            .collect()
    }
}

/// The trial's figure, if it yielded a number.
fn figure(record: &Record, metric: &str) -> Option<f64> {
    let value = record.metrics.get(metric).copied().flatten()?;
    value.is_finite().then_some(value)
}

/// One metric of one arm against another, estimated on both scales.
struct Comparison<'a> {
    experiment: &'a Experiment,
    metric: &'a Metric,
    baseline: &'a str,
    arm: &'a str,
    pairs: Vec<Pair>,
    ratio: Option<Estimate>,
    difference: Option<Estimate>,
    level: Level,
}

impl<'a> Comparison<'a> {
    fn new(
        trials: &Trials<'_>,
        experiment: &'a Experiment,
        metric: &'a Metric,
        baseline: &'a str,
        arm: &'a str,
        level: Level,
    ) -> Self {
        let pairs = trials.pairs(&experiment.name, &metric.name, baseline, arm);
        Self {
            experiment,
            metric,
            baseline,
            arm,
            ratio: ratio(&pairs, level),
            difference: mean_difference(&pairs, level),
            level,
            pairs,
        }
    }

    fn scale(&self) -> Scale {
        Scale::of(self.metric.margin_kind, self.ratio.is_some())
    }

    /// On the scale that decides.
    fn judged(&self) -> Option<Estimate> {
        match self.scale() {
            Scale::Ratio => self.ratio,
            Scale::Difference => self.difference,
        }
    }

    /// The metric's central value over the rounds counted, of either arm.
    fn center(&self, of: impl Fn(&Pair) -> f64) -> Option<f64> {
        let values: Vec<f64> = self.pairs.iter().map(of).collect();
        match (self.metric.margin_kind, self.ratio) {
            (MarginKind::Relative, Some(_)) => geometric_mean(&values),
            _ => mean(&values),
        }
    }

    /// Estimate and interval without the assumption of normal rounds, on the scale that decides.
    fn rank_estimate(&self) -> Option<(f64, Interval)> {
        match self.scale() {
            Scale::Difference => hodges_lehmann(&differences(&self.pairs), self.level),
            Scale::Ratio => {
                let (center, interval) = hodges_lehmann(&log_ratios(&self.pairs)?, self.level)?;
                Some((center.exp(), interval.map(f64::exp)))
            }
        }
    }
}

/// Corrects over the primary metrics of all `comparisons` and decides each; the sentences are empty.
fn decide(comparisons: &[Comparison<'_>]) -> Vec<Effect> {
    // A primary metric that no round yielded was asked all the same, so it stays in the family.
    let family: Vec<f64> = comparisons
        .iter()
        .filter(|comparison| comparison.metric.primary)
        .map(|comparison| comparison.judged().and_then(|e| e.p).unwrap_or(1.0))
        .collect();
    let mut adjusted = holm(&family).into_iter();
    comparisons
        .iter()
        .map(|comparison| {
            let p_family = if comparison.metric.primary {
                adjusted.next()
            } else {
                None
            };
            row(comparison, p_family)
        })
        .collect()
}

/// The effect with its verdict, given Holm's p where it is in the family.
fn row(comparison: &Comparison<'_>, p_family: Option<f64>) -> Effect {
    let metric = comparison.metric;
    let (scale, judged) = (comparison.scale(), comparison.judged());
    let (ratio, difference) = (comparison.ratio, comparison.difference);
    let interval = judged.and_then(|estimate| estimate.interval);
    let p = judged.and_then(|estimate| estimate.p);
    let p_holm = p.and(p_family);
    let rounds = u32::try_from(comparison.pairs.len()).unwrap_or(u32::MAX);
    let baselines: Vec<f64> = comparison.pairs.iter().map(|pair| pair.baseline).collect();
    let baseline_mean = mean(&baselines).unwrap_or(0.0);
    let case = Case {
        rounds,
        scale,
        interval,
        harmless: harmless(scale, metric.margin, metric.margin_kind, baseline_mean),
        p: if metric.primary { p_holm } else { p },
        level: comparison.level,
        better: metric.better,
    };
    let rank = comparison.rank_estimate();
    let disagreement = rank.zip(interval).is_some_and(|((_, by_rank), by_t)| {
        by_rank.excludes(scale.no_effect()) != by_t.excludes(scale.no_effect())
    });
    let low = |e: Option<Estimate>| e.and_then(|e| e.interval).map(|i| i.low);
    let high = |e: Option<Estimate>| e.and_then(|e| e.interval).map(|i| i.high);
    Effect {
        experiment: comparison.experiment.name.clone(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        baseline: comparison.baseline.to_owned(),
        arm: comparison.arm.to_owned(),
        baseline_value: comparison.center(|pair| pair.baseline),
        arm_value: comparison.center(|pair| pair.arm),
        rounds,
        significance: comparison.level,
        ratio: ratio.map(|estimate| estimate.value),
        ratio_low: low(ratio),
        ratio_high: high(ratio),
        difference: difference.map(|estimate| estimate.value),
        difference_low: low(difference),
        difference_high: high(difference),
        margin: metric.margin,
        margin_kind: metric.margin_kind,
        primary: metric.primary,
        p,
        p_holm,
        hodges_lehmann: rank.map(|(center, interval)| [center, interval.low, interval.high]),
        disagreement,
        verdict: case.verdict(),
        sentence: String::new(),
    }
}

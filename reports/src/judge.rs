//! Estimates to effects: corrects over the family, decides each, and says how many rounds would have.

use crate::effect::{Effect, Verdict};
use crate::record::{MarginKind, Metric};
use crate::statistics::{
    Estimate, Interval, Level, Spread, geometric_mean, holm, mean, rounds_to_decide,
};
use crate::verdict::{Case, Scale, harmless};

/// One metric of one arm against another, estimated on both scales.
#[derive(Debug, Clone)]
pub struct Estimated<'a> {
    /// Experiment's name.
    pub experiment: &'a str,
    /// What was measured, and its margin.
    pub metric: &'a Metric,
    /// Label.
    pub baseline: &'a str,
    /// Label.
    pub arm: &'a str,
    /// Rounds counted.
    pub rounds: u32,
    /// The baseline's figures, a round each; those counted.
    pub of_baseline: Vec<f64>,
    /// The arm's.
    pub of_arm: Vec<f64>,
    /// Arm over baseline; nothing where undefined.
    pub ratio: Option<Estimate>,
    /// Arm minus baseline.
    pub difference: Option<Estimate>,
    /// Hodges–Lehmann's on the scale that decides, where there is one.
    pub rank: Option<(f64, Interval)>,
    /// Of the rounds on the scale that decides; nothing below two rounds.
    pub spread: Option<Spread>,
    /// At which the estimates' intervals were made and the effect is judged.
    pub level: Level,
}

impl Estimated<'_> {
    /// On which scale the verdict is decided.
    pub fn scale(&self) -> Scale {
        Scale::of(self.metric.margin_kind, self.ratio.is_some())
    }

    /// On the scale that decides.
    fn judged(&self) -> Option<Estimate> {
        match self.scale() {
            Scale::Ratio => self.ratio,
            Scale::Difference => self.difference,
        }
    }

    fn p(&self) -> Option<f64> {
        self.judged().and_then(|estimate| estimate.p)
    }

    /// The metric's central value over the rounds counted.
    fn center(&self, values: &[f64]) -> Option<f64> {
        match (self.metric.margin_kind, self.ratio) {
            (MarginKind::Relative, Some(_)) => geometric_mean(values),
            _ => mean(values),
        }
    }

    fn harmless(&self) -> Interval {
        let Metric {
            margin,
            margin_kind,
            ..
        } = *self.metric;
        let baseline = mean(&self.of_baseline).unwrap_or(0.0);
        harmless(self.scale(), margin, margin_kind, baseline)
    }

    /// From the estimate and the spread just seen, in a family of so many; Holm's first step is the
    /// strictest, so the number is on the safe side of it.
    fn rounds_to_decide(&self, family: usize) -> Option<u32> {
        let (estimate, margin) = (self.judged()?.value, self.harmless().high);
        let (estimate, margin) = match self.scale() {
            Scale::Ratio => (estimate.ln(), margin.ln()),
            Scale::Difference => (estimate, margin),
        };
        let family = if self.metric.primary { family } else { 1 };
        let levels = (self.level, self.level.shared(family));
        rounds_to_decide(estimate, self.spread?, margin, levels, self.rounds)
    }
}

/// Corrects over the primary metrics of all that was estimated and decides each; the sentences are
/// empty.
pub fn judge(estimated: &[Estimated<'_>]) -> Vec<Effect> {
    // A primary metric that no round yielded was asked all the same, so it stays in the family.
    let family: Vec<f64> = estimated
        .iter()
        .filter(|own| own.metric.primary)
        .map(|own| own.p().unwrap_or(1.0))
        .collect();
    let mut adjusted = holm(&family).into_iter();
    estimated
        .iter()
        .map(|own| {
            let p_family = if own.metric.primary {
                adjusted.next()
            } else {
                None
            };
            effect(own, p_family, family.len())
        })
        .collect()
}

/// The effect with its verdict, given Holm's p where it is in the family.
fn effect(own: &Estimated<'_>, p_family: Option<f64>, family: usize) -> Effect {
    let metric = own.metric;
    let (scale, judged) = (own.scale(), own.judged());
    let (ratio, difference) = (own.ratio, own.difference);
    let interval = judged.and_then(|estimate| estimate.interval);
    let p = own.p();
    let p_holm = p.and(p_family);
    let verdict = Case {
        rounds: own.rounds,
        scale,
        interval,
        harmless: own.harmless(),
        p: if metric.primary { p_holm } else { p },
        level: own.level,
        better: metric.better,
    }
    .verdict();
    let disagreement = own.rank.zip(interval).is_some_and(|((_, by_rank), by_t)| {
        by_rank.excludes(scale.no_effect()) != by_t.excludes(scale.no_effect())
    });
    let low = |e: Option<Estimate>| e.and_then(|e| e.interval).map(|i| i.low);
    let high = |e: Option<Estimate>| e.and_then(|e| e.interval).map(|i| i.high);
    Effect {
        experiment: own.experiment.to_owned(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        baseline: own.baseline.to_owned(),
        arm: own.arm.to_owned(),
        baseline_value: own.center(&own.of_baseline),
        arm_value: own.center(&own.of_arm),
        rounds: own.rounds,
        significance: own.level,
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
        hodges_lehmann: own
            .rank
            .map(|(center, interval)| [center, interval.low, interval.high]),
        disagreement,
        verdict,
        rounds_to_decide: (verdict == Verdict::Inconclusive)
            .then(|| own.rounds_to_decide(family))
            .flatten(),
        sentence: String::new(),
    }
}

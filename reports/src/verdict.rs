//! From an estimate to a verdict, in a fixed order and from nothing else (DESIGN, rule 4).

use crate::effect::Verdict;
use crate::record::{Better, MarginKind};
use crate::statistics::Interval;

/// Fewest rounds that a verdict may rest on: below four, Student's interval is so wide, and one bad
/// round so weighty, that any other answer would be luck (DESIGN, rule 2).
pub const MIN_ROUNDS: u32 = 4;

/// The p at which a difference counts as one: what the 95 % interval promises.
pub const SIGNIFICANCE: f64 = 0.05;

/// On what an effect is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Arm over baseline.
    Ratio,
    /// Arm minus baseline.
    Difference,
}

impl Scale {
    /// Ratios where the margin is a share and every value is above 0; differences otherwise.
    pub fn of(margin_kind: MarginKind, ratio_defined: bool) -> Self {
        match margin_kind {
            MarginKind::Relative if ratio_defined => Scale::Ratio,
            MarginKind::Relative | MarginKind::Absolute => Scale::Difference,
        }
    }

    /// Where both arms are the same.
    pub fn no_effect(self) -> f64 {
        match self {
            Scale::Ratio => 1.0,
            Scale::Difference => 0.0,
        }
    }
}

/// The effects that do not matter. A share of a baseline without a ratio is taken of
/// `baseline_mean`, so that two arms which are 0 throughout are equivalent.
pub fn harmless(scale: Scale, margin: f64, kind: MarginKind, baseline_mean: f64) -> Interval {
    let around_zero = |reach: f64| Interval {
        low: -reach,
        high: reach,
    };
    match (scale, kind) {
        (Scale::Ratio, _) => Interval {
            low: 1.0 / (1.0 + margin),
            high: 1.0 + margin,
        },
        (Scale::Difference, MarginKind::Absolute) => around_zero(margin),
        (Scale::Difference, MarginKind::Relative) => around_zero(margin * baseline_mean.abs()),
    }
}

/// All that a verdict is decided from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Rounds in which both arms were measured.
    pub rounds: u32,
    /// What `interval` and `harmless` are of.
    pub scale: Scale,
    /// 95 %.
    pub interval: Option<Interval>,
    /// The effects that do not matter ([`harmless`]).
    pub harmless: Interval,
    /// Holm's within a family, Student's own for an exploratory metric.
    pub p: Option<f64>,
    /// Which way is better.
    pub better: Better,
}

impl Case {
    /// The verdict, said of the arm against the baseline.
    pub fn verdict(&self) -> Verdict {
        let Some(interval) = self.interval.filter(|_| self.rounds >= MIN_ROUNDS) else {
            return Verdict::Inconclusive;
        };
        if interval.inside(self.harmless) {
            return Verdict::Equivalent;
        }
        let significant = self.p.is_some_and(|p| p <= SIGNIFICANCE);
        if !significant || !interval.excludes(self.scale.no_effect()) {
            return Verdict::Inconclusive;
        }
        let lower = interval.high < self.scale.no_effect();
        if lower == (self.better == Better::Lower) {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

//! From an estimate to a verdict, in a fixed order and from nothing else (docs/reference/method.md).

use serde::Serialize;

use crate::effect::Verdict;
use crate::record::{Better, MarginKind};
use crate::statistics::{Interval, Level};

/// Fewest rounds that a verdict may rest on: below four, Student's interval is so wide, and one bad
/// round so weighty, that any other answer would be luck (docs/reference/method.md).
pub const MIN_ROUNDS: u32 = 4;

/// On what an effect is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// At the level.
    pub interval: Option<Interval>,
    /// The effects that do not matter ([`harmless`]).
    pub harmless: Interval,
    /// Holm's within a family, Student's own for an exploratory metric.
    pub p: Option<f64>,
    /// At which p counts as a difference.
    pub level: Level,
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
        let significant = self.p.is_some_and(|p| p <= self.level.significance());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A significant drop of one to two against a margin of 0.5, over enough rounds.
    const DROP: Case = Case {
        rounds: MIN_ROUNDS,
        scale: Scale::Difference,
        interval: Some(Interval {
            low: -2.0,
            high: -1.0,
        }),
        harmless: Interval {
            low: -0.5,
            high: 0.5,
        },
        p: Some(0.01),
        level: Level::CONVENTION,
        better: Better::Lower,
    };

    fn interval(low: f64, high: f64) -> Option<Interval> {
        Some(Interval { low, high })
    }

    #[test]
    fn a_drop_is_better_or_worse_as_the_metric_says() {
        assert_eq!(DROP.verdict(), Verdict::Better);
        let wanted = Case {
            better: Better::Higher,
            ..DROP
        };
        assert_eq!(wanted.verdict(), Verdict::Worse);
    }

    #[test]
    fn too_few_rounds_come_before_all_else() {
        for interval in [DROP.interval, interval(0.0, 0.0), None] {
            let few = Case {
                rounds: MIN_ROUNDS - 1,
                interval,
                ..DROP
            };
            assert_eq!(few.verdict(), Verdict::Inconclusive);
        }
    }

    #[test]
    fn inside_the_margin_comes_before_significance() {
        for (low, high) in [(-0.4, -0.1), (-0.5, 0.5), (0.0, 0.0)] {
            let small = Case {
                interval: interval(low, high),
                ..DROP
            };
            assert_eq!(small.verdict(), Verdict::Equivalent, "{low} to {high}");
        }
    }

    #[test]
    fn neither_the_interval_nor_p_decides_alone() {
        let touching = Case {
            interval: interval(-2.0, 0.0),
            ..DROP
        };
        assert_eq!(touching.verdict(), Verdict::Inconclusive);
        for p in [Some(0.051), None] {
            assert_eq!(Case { p, ..DROP }.verdict(), Verdict::Inconclusive);
        }
        let at_the_limit = Case {
            p: Some(Level::CONVENTION.significance()),
            ..DROP
        };
        assert_eq!(at_the_limit.verdict(), Verdict::Better);
        let stricter = Case {
            level: Level::CONVENTION.shared(4),
            ..at_the_limit
        };
        assert_eq!(stricter.verdict(), Verdict::Inconclusive);
    }

    #[test]
    fn a_margin_of_nothing_is_met_by_exactly_nothing() {
        let exact = Case {
            interval: interval(0.0, 0.0),
            harmless: harmless(Scale::Difference, 0.0, MarginKind::Absolute, 7.0),
            p: Some(1.0),
            ..DROP
        };
        assert_eq!(exact.verdict(), Verdict::Equivalent);
        let nearly = Case {
            interval: interval(-1e-9, 0.0),
            ..exact
        };
        assert_eq!(nearly.verdict(), Verdict::Inconclusive);
    }

    #[test]
    fn a_share_is_harmless_both_ways_alike() {
        let share = harmless(Scale::Ratio, 0.1, MarginKind::Relative, 0.0);
        assert!((share.low * share.high - 1.0).abs() < 1e-12);
        let of_baseline = harmless(Scale::Difference, 0.1, MarginKind::Relative, 20.0);
        assert_eq!((of_baseline.low, of_baseline.high), (-2.0, 2.0));
    }
}

//! From figures to a verdict: pure, and without a look at any text.

use serde::Serialize;

use crate::published::claim::Expected;
use crate::statistics::Interval;

/// What one figure says of the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bearing {
    /// As it would be if the claim is right.
    Holds,
    /// As it would not be.
    Fails,
    /// The interval holds both.
    Open,
    /// No run has it.
    Missing,
}

/// What was found of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The figures are as they would be if the claim is right.
    Confirmed,
    /// At least one that it rests on is as it would not be.
    Refuted,
    /// Right at one level of a knob, wrong at another.
    DependsOn,
    /// No record, intervals that hold both, or nothing that this machine could measure.
    NotDecidableHere,
}

/// What a figure with this interval says where this is expected.
pub fn bearing(expected: Expected, interval: Interval) -> Bearing {
    let Interval { low, high } = interval;
    match expected {
        Expected::Published {
            low: from,
            high: to,
            null,
        } => {
            if high < from || to < low {
                Bearing::Fails
            } else if null.is_some_and(|null| !interval.excludes(null)) {
                // So wide that it would confirm whatever was published.
                Bearing::Open
            } else {
                Bearing::Holds
            }
        }
        Expected::Above(bound) if low > bound => Bearing::Holds,
        Expected::Above(bound) if high <= bound => Bearing::Fails,
        Expected::Below(bound) if high < bound => Bearing::Holds,
        Expected::Below(bound) if low >= bound => Bearing::Fails,
        Expected::Inside { low, high } if interval.inside(Interval { low, high }) => Bearing::Holds,
        Expected::Inside {
            low: from,
            high: to,
        } if high < from || to < low => Bearing::Fails,
        Expected::Above(_) | Expected::Below(_) | Expected::Inside { .. } => Bearing::Open,
    }
}

/// Of a claim that says several things: one that fails is enough against it, and all must hold for it.
pub fn all(bearings: &[Bearing]) -> Verdict {
    if bearings.contains(&Bearing::Fails) {
        Verdict::Refuted
    } else if !bearings.is_empty() && bearings.iter().all(|own| *own == Bearing::Holds) {
        Verdict::Confirmed
    } else {
        Verdict::NotDecidableHere
    }
}

/// Of a claim at several levels of a knob. A level that is missing or open may be either, so that only two
/// levels that contradict each other decide without it.
pub fn by_knob(bearings: &[Bearing]) -> Verdict {
    let has = |bearing| bearings.contains(&bearing);
    if has(Bearing::Holds) && has(Bearing::Fails) {
        Verdict::DependsOn
    } else if has(Bearing::Open) || has(Bearing::Missing) || bearings.is_empty() {
        Verdict::NotDecidableHere
    } else if has(Bearing::Fails) {
        Verdict::Refuted
    } else {
        Verdict::Confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bears(expected: Expected, low: f64, high: f64) -> Bearing {
        bearing(expected, Interval { low, high })
    }

    #[test]
    fn a_published_range_is_met_missed_or_the_interval_too_wide() {
        let published = Expected::Published {
            low: 0.79,
            high: 0.83,
            null: Some(1.0),
        };
        assert_eq!(bears(published, 0.75, 0.80), Bearing::Holds);
        assert_eq!(bears(published, 0.84, 0.90), Bearing::Fails);
        assert_eq!(bears(published, 0.60, 0.78), Bearing::Fails);
        assert_eq!(bears(published, 0.70, 1.10), Bearing::Open);
    }

    #[test]
    fn a_direction_holds_on_its_side_and_fails_on_the_other() {
        for (expected, holds, fails) in [
            (Expected::Above(1.0), (1.1, 2.0), (0.5, 1.0)),
            (Expected::Below(1.0), (0.5, 0.9), (1.0, 2.0)),
        ] {
            assert_eq!(bears(expected, holds.0, holds.1), Bearing::Holds);
            assert_eq!(bears(expected, fails.0, fails.1), Bearing::Fails);
            assert_eq!(bears(expected, 0.9, 1.1), Bearing::Open);
        }
    }

    #[test]
    fn closeness_wants_the_whole_interval_close() {
        let close = Expected::Inside {
            low: 0.9,
            high: 1.1,
        };
        assert_eq!(bears(close, 0.95, 1.05), Bearing::Holds);
        assert_eq!(bears(close, 1.2, 1.3), Bearing::Fails);
        assert_eq!(bears(close, 1.05, 1.2), Bearing::Open);
    }

    #[test]
    fn a_claim_of_several_things_stands_with_all_and_falls_with_one() {
        use Bearing::*;
        assert_eq!(all(&[Holds, Holds]), Verdict::Confirmed);
        assert_eq!(all(&[Holds, Fails, Missing]), Verdict::Refuted);
        assert_eq!(all(&[Holds, Open]), Verdict::NotDecidableHere);
        assert_eq!(all(&[Holds, Missing]), Verdict::NotDecidableHere);
        assert_eq!(all(&[]), Verdict::NotDecidableHere);
    }

    #[test]
    fn a_knob_decides_where_two_levels_disagree() {
        use Bearing::*;
        assert_eq!(by_knob(&[Holds, Fails, Missing]), Verdict::DependsOn);
        assert_eq!(by_knob(&[Holds, Holds]), Verdict::Confirmed);
        assert_eq!(by_knob(&[Fails, Fails]), Verdict::Refuted);
        assert_eq!(by_knob(&[Fails, Missing]), Verdict::NotDecidableHere);
        assert_eq!(by_knob(&[Holds, Open]), Verdict::NotDecidableHere);
    }
}

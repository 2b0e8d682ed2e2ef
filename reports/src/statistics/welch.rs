//! Welch's t for two samples that share no rounds: their variances may differ, and are not pooled.

use statrs::distribution::ContinuousCDF;

use super::student::{critical, student};
use super::{Estimate, Interval, Level, mean};

/// Mean of `arm` less that of `baseline`; nothing where either is empty.
pub fn welch_difference(baseline: &[f64], arm: &[f64], level: Level) -> Option<Estimate> {
    let (baseline, arm) = (Sample::new(baseline)?, Sample::new(arm)?);
    let value = arm.mean - baseline.mean;
    let (Some(of_baseline), Some(of_arm)) = (baseline.squared_error, arm.squared_error) else {
        return Some(Estimate {
            value,
            interval: None,
            p: None,
        });
    };
    let error = (of_baseline + of_arm).sqrt();
    if error == 0.0 {
        return Some(Estimate {
            value,
            interval: Some(Interval {
                low: value,
                high: value,
            }),
            p: Some(if value == 0.0 { 1.0 } else { 0.0 }),
        });
    }
    let student = student(freedom(&baseline, &arm)?)?;
    let half = critical(&student, level) * error;
    Some(Estimate {
        value,
        interval: Some(Interval {
            low: value - half,
            high: value + half,
        }),
        p: Some((2.0 * student.sf((value / error).abs())).min(1.0)),
    })
}

/// Geometric mean of `arm` over that of `baseline`, by way of logarithms; nothing where either is empty
/// or a value is not above 0.
pub fn welch_ratio(baseline: &[f64], arm: &[f64], level: Level) -> Option<Estimate> {
    let logs = |values: &[f64]| -> Option<Vec<f64>> {
        let log = |value: &f64| (*value > 0.0).then(|| value.ln());
        values.iter().map(log).collect()
    };
    let of_logs = welch_difference(&logs(baseline)?, &logs(arm)?, level)?;
    Some(Estimate {
        value: of_logs.value.exp(),
        interval: of_logs.interval.map(|interval| interval.map(f64::exp)),
        p: of_logs.p,
    })
}

/// What the test needs of one side.
struct Sample {
    size: f64,
    mean: f64,
    /// Variance of the mean; nothing below two values.
    squared_error: Option<f64>,
}

impl Sample {
    fn new(values: &[f64]) -> Option<Self> {
        let (first, size) = (*values.first()?, values.len() as f64);
        // By definition, not by rounding: values that all agree have themselves as mean.
        if values.iter().all(|value| *value == first) {
            return Some(Self {
                size,
                mean: first,
                squared_error: (size > 1.0).then_some(0.0),
            });
        }
        let mean = mean(values)?;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Some(Self {
            size,
            mean,
            squared_error: Some(squares / (size - 1.0) / size),
        })
    }
}

/// Welch's and Satterthwaite's degrees of freedom (Welch 1947, Biometrika 34:28).
fn freedom(a: &Sample, b: &Sample) -> Option<f64> {
    let (of_a, of_b) = (a.squared_error?, b.squared_error?);
    let share = |error: f64, size: f64| error * error / (size - 1.0);
    Some((of_a + of_b).powi(2) / (share(of_a, a.size) + share(of_b, b.size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: [f64; 10] = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
    const SECOND: [f64; 10] = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];

    /// Student's sleep data taken as two groups, as R's manual of `t.test` does: t = −1.8608,
    /// df = 17.776, p = 0.07939, the interval −3.3654832 to 0.2054832.
    #[test]
    fn agrees_with_r_on_the_sleep_data() {
        let found = welch_difference(&SECOND, &FIRST, Level::CONVENTION).unwrap();
        let interval = found.interval.unwrap();
        assert!((found.value + 1.58).abs() < 1e-12);
        assert!((interval.low + 3.365_483_2).abs() < 1e-6, "{interval:?}");
        assert!((interval.high - 0.205_483_2).abs() < 1e-6, "{interval:?}");
        assert!((found.p.unwrap() - 0.079_39).abs() < 5e-6);
        let sides = [&SECOND, &FIRST].map(|side| Sample::new(side).unwrap());
        assert!((freedom(&sides[0], &sides[1]).unwrap() - 17.776).abs() < 5e-4);
    }

    #[test]
    fn a_ratio_is_the_difference_of_logarithms() {
        let (baseline, arm) = ([1.0, 4.0], [4.0, 16.0, 8.0]);
        let found = welch_ratio(&baseline, &arm, Level::CONVENTION).unwrap();
        assert!((found.value - 4.0).abs() < 1e-12);
        let interval = found.interval.unwrap();
        assert!((interval.low * interval.high - 16.0).abs() < 1e-9);
        assert_eq!(welch_ratio(&[0.0, 1.0], &arm, Level::CONVENTION), None);
    }

    #[test]
    fn sides_without_spread_leave_a_point_and_single_values_no_interval() {
        let found = |a: &[f64], b: &[f64]| welch_difference(a, b, Level::CONVENTION).unwrap();
        let same = found(&[0.1; 3], &[0.1; 4]);
        assert_eq!((same.value, same.p), (0.0, Some(1.0)));
        assert_eq!(found(&[1.0; 3], &[2.0; 4]).p, Some(0.0));
        let single = found(&[1.0], &[2.0, 3.0]);
        assert_eq!((single.value, single.interval, single.p), (1.5, None, None));
        assert_eq!(welch_difference(&[], &[1.0], Level::CONVENTION), None);
    }

    proptest! {
        #[test]
        fn swapping_the_sides_mirrors(
            a in prop::collection::vec(-100.0..100.0, 2..12),
            b in prop::collection::vec(-100.0..100.0, 2..12),
        ) {
            let forth = welch_difference(&a, &b, Level::CONVENTION).unwrap();
            let back = welch_difference(&b, &a, Level::CONVENTION).unwrap();
            prop_assert_eq!(forth.value, -back.value);
            prop_assert_eq!(forth.p, back.p);
            let (forth, back) = (forth.interval.unwrap(), back.interval.unwrap());
            prop_assert_eq!(forth.low, -back.high);
        }

        /// Never surer than both sides pooled, never less sure than the smaller alone.
        #[test]
        fn freedom_lies_between_the_smaller_side_and_both(
            a in prop::collection::vec(-100.0..100.0, 2..12),
            b in prop::collection::vec(-100.0..100.0, 2..12),
        ) {
            let sides = [&a, &b].map(|side| Sample::new(side).unwrap());
            let freedom = freedom(&sides[0], &sides[1]).unwrap();
            let (n, m) = (a.len() as f64, b.len() as f64);
            prop_assert!(n.min(m) - 1.0 - 1e-9 <= freedom && freedom <= n + m - 2.0 + 1e-9);
        }
    }
}

//! Student's t over rounds: the mean difference, and the geometric-mean ratio by way of logarithms.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Interval, Level, Pair, differences, log_ratios, mean};

/// A figure with what the rounds say about its precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean difference or the geometric-mean ratio.
    pub value: f64,
    /// Of the level asked for; nothing below two rounds.
    pub interval: Option<Interval>,
    /// Two-sided, of no effect (difference 0, ratio 1); nothing below two rounds.
    pub p: Option<f64>,
}

/// Mean of arm − baseline within rounds; nothing without a round.
pub fn mean_difference(pairs: &[Pair], level: Level) -> Option<Estimate> {
    one_sample(&differences(pairs), level)
}

/// Geometric mean of arm / baseline within rounds; nothing without a round or where a value is not
/// above 0.
pub fn ratio(pairs: &[Pair], level: Level) -> Option<Estimate> {
    let of_logs = one_sample(&log_ratios(pairs)?, level)?;
    Some(Estimate {
        value: of_logs.value.exp(),
        interval: of_logs.interval.map(|interval| interval.map(f64::exp)),
        p: of_logs.p,
    })
}

/// Mean of `values`, its interval, and p that their true mean is 0.
fn one_sample(values: &[f64], level: Level) -> Option<Estimate> {
    let first = *values.first()?;
    if values.len() < 2 {
        return Some(Estimate {
            value: first,
            interval: None,
            p: None,
        });
    }
    // By definition, not by division: rounds that all agree leave no spread to divide by.
    if values.iter().all(|value| *value == first) {
        return Some(Estimate {
            value: first,
            interval: Some(Interval {
                low: first,
                high: first,
            }),
            p: Some(if first == 0.0 { 1.0 } else { 0.0 }),
        });
    }
    let value = mean(values)?;
    let n = values.len() as f64;
    let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let student = student(n - 1.0)?;
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

/// The standard t distribution; nothing where `freedom` is not above 0.
pub(super) fn student(freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom).ok()
}

/// How many standard errors the interval reaches to either side.
pub(super) fn critical(student: &StudentsT, level: Level) -> f64 {
    student.inverse_cdf(1.0 - level.significance() / 2.0)
}

/// The same for so many degrees of freedom; nothing where they are not above 0.
pub(super) fn critical_at(freedom: f64, level: Level) -> Option<f64> {
    student(freedom).map(|student| critical(&student, level))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use statrs::distribution::Normal;

    use super::*;

    const LEVEL: Level = Level::CONVENTION;

    fn close(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance * (1.0 + b.abs())
    }

    fn pairs(baseline: &[f64], arm: &[f64]) -> Vec<Pair> {
        let both = baseline.iter().zip(arm);
        both.map(|(&baseline, &arm)| Pair { baseline, arm })
            .collect()
    }

    /// Hours of sleep gained under two drugs, from the paper that introduced the test
    /// (Student 1908, Biometrika 6:1); R prints t = 4.0621, p = 0.002833 and the interval below.
    #[test]
    fn agrees_with_students_sleep_data() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let pairs = pairs(&first, &second);
        let estimate = mean_difference(&pairs, LEVEL).unwrap();
        let interval = estimate.interval.unwrap();
        assert!(close(estimate.value, 1.58, 1e-12));
        assert!(close(interval.low, 0.700_114_2, 1e-7));
        assert!(close(interval.high, 2.459_885_8, 1e-7));
        assert!((estimate.p.unwrap() - 0.002_833).abs() < 5e-7);
        assert_eq!(ratio(&pairs, LEVEL), None, "some values are not above 0");
    }

    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (freedom, tabled) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (5.0, 2.571),
            (9.0, 2.262),
            (30.0, 2.042),
        ] {
            assert!((critical_at(freedom, LEVEL).unwrap() - tabled).abs() < 5e-4);
        }
    }

    #[test]
    fn ratio_is_the_geometric_mean_and_its_interval_is_symmetric_in_logarithms() {
        let estimate = ratio(&pairs(&[1.0, 1.0], &[2.0, 8.0]), LEVEL).unwrap();
        let interval = estimate.interval.unwrap();
        assert!(close(estimate.value, 4.0, 1e-12));
        assert!(close(interval.low * interval.high, 16.0, 1e-9));
    }

    #[test]
    fn rounds_that_all_agree_leave_a_point() {
        let same = mean_difference(&pairs(&[5.0; 4], &[5.0; 4]), LEVEL).unwrap();
        assert_eq!(same.p, Some(1.0));
        let shifted = mean_difference(&pairs(&[5.0; 4], &[7.0; 4]), LEVEL).unwrap();
        let point = Interval {
            low: 2.0,
            high: 2.0,
        };
        assert_eq!((shifted.interval, shifted.p), (Some(point), Some(0.0)));
    }

    #[test]
    fn one_round_has_a_value_and_no_interval_and_none_has_nothing() {
        let one = mean_difference(&pairs(&[5.0], &[7.0]), LEVEL).unwrap();
        assert_eq!((one.value, one.interval, one.p), (2.0, None, None));
        assert_eq!(mean_difference(&[], LEVEL), None);
        assert_eq!(ratio(&[], LEVEL), None);
    }

    /// Without an effect the interval must miss 0 in 5 % of runs: 4,000 runs of 6 rounds each, the
    /// bound four standard errors of that share wide.
    #[test]
    fn six_rounds_cover_the_truth_as_often_as_promised() {
        const RUNS: u32 = 4000;
        let normal = Normal::new(0.0, 1.0).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let mut draw = || normal.inverse_cdf(random.random_range(1e-9..1.0));
        let covering = (0..RUNS).filter(|_| {
            let round = |_| Pair {
                baseline: (0.3 * draw()).exp(),
                arm: 1.2 * (0.3 * draw()).exp(),
            };
            let rounds: Vec<Pair> = (0..6).map(round).collect();
            !ratio(&rounds, LEVEL)
                .unwrap()
                .interval
                .unwrap()
                .excludes(1.2)
        });
        let share = covering.count() as f64 / f64::from(RUNS);
        let error = (LEVEL.coverage() * (1.0 - LEVEL.coverage()) / f64::from(RUNS)).sqrt();
        assert!(
            (share - LEVEL.coverage()).abs() < 4.0 * error,
            "covered in {share}"
        );
    }

    fn any_pairs() -> impl Strategy<Value = Vec<Pair>> {
        let value = 0.01..1000.0;
        let pair = (value.clone(), value).prop_map(|(baseline, arm)| Pair { baseline, arm });
        prop::collection::vec(pair, 2..12)
    }

    proptest! {
        #[test]
        fn another_unit_leaves_the_ratio(pairs in any_pairs(), unit in 0.001..1000.0) {
            let scaled: Vec<Pair> = pairs
                .iter()
                .map(|p| Pair { baseline: p.baseline * unit, arm: p.arm * unit })
                .collect();
            let (before, after) = (ratio(&pairs, LEVEL).unwrap(), ratio(&scaled, LEVEL).unwrap());
            prop_assert!(close(after.value, before.value, 1e-9));
            prop_assert!(close(after.interval.unwrap().low, before.interval.unwrap().low, 1e-6));
            prop_assert!(close(after.p.unwrap(), before.p.unwrap(), 1e-6));
        }

        #[test]
        fn swapping_the_arms_inverts_the_ratio_and_negates_the_difference(pairs in any_pairs()) {
            let swapped: Vec<Pair> = pairs
                .iter()
                .map(|p| Pair { baseline: p.arm, arm: p.baseline })
                .collect();
            let (a, b) = (ratio(&pairs, LEVEL).unwrap(), ratio(&swapped, LEVEL).unwrap());
            prop_assert!(close(a.value * b.value, 1.0, 1e-12));
            prop_assert!(close(a.interval.unwrap().low * b.interval.unwrap().high, 1.0, 1e-9));
            prop_assert_eq!(a.p, b.p);
            let (a, b) = (mean_difference(&pairs, LEVEL).unwrap(), mean_difference(&swapped, LEVEL).unwrap());
            prop_assert_eq!(a.value, -b.value);
            prop_assert_eq!(a.interval.unwrap().high, -b.interval.unwrap().low);
            prop_assert_eq!(a.p, b.p);
        }

        #[test]
        fn p_is_a_probability_and_agrees_with_the_interval(pairs in any_pairs()) {
            let estimate = mean_difference(&pairs, LEVEL).unwrap();
            let p = estimate.p.unwrap();
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert_eq!(estimate.interval.unwrap().excludes(0.0), p < 0.05);
        }
    }
}

//! Hodges–Lehmann's estimate with the exact interval of Wilcoxon's signed-rank test.
//!
//! Assumes symmetry about the centre and nothing else, so one wild round moves it little
//! (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.2 and 3.3).

use super::{Interval, Level};

/// Median of the pairwise means of `values`, with its interval of at least the level's coverage;
/// nothing for too few values (below 6 at 95 %, below 8 at 98.75 %), where no such interval is that sure.
pub fn hodges_lehmann(values: &[f64], level: Level) -> Option<(f64, Interval)> {
    let skipped = critical(values.len(), level)?;
    let walsh = walsh_averages(values);
    let last = walsh.len() - 1;
    let median = (walsh[last / 2] + walsh[walsh.len() / 2]) / 2.0;
    let interval = Interval {
        low: walsh[skipped],
        high: walsh[last - skipped],
    };
    Some((median, interval))
}

/// The mean of every pair, each value with itself among them, ascending.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let mut averages: Vec<f64> = values
        .iter()
        .enumerate()
        .flat_map(|(i, a)| values[i..].iter().map(move |b| (a + b) / 2.0))
        .collect();
    averages.sort_by(f64::total_cmp);
    averages
}

/// The largest rank sum whose lower tail is at most half of what the interval may miss: the critical
/// value in the tables. Nothing where even a sum of 0 is more likely than that.
fn critical(n: usize, level: Level) -> Option<usize> {
    let tail = level.significance() / 2.0;
    let mut below = 0.0;
    let fitting = rank_sum_probabilities(n)
        .iter()
        .take_while(|probability| {
            below += **probability;
            below <= tail
        })
        .count();
    fitting.checked_sub(1)
}

/// P(rank sum = w) without an effect, for w from 0: each rank from 1 to n is in the sum or is not,
/// with equal chance.
fn rank_sum_probabilities(n: usize) -> Vec<f64> {
    let mut probabilities = vec![0.0; n * (n + 1) / 2 + 1];
    probabilities[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..probabilities.len()).rev() {
            let with_rank = sum
                .checked_sub(rank)
                .map_or(0.0, |rest| probabilities[rest]);
            probabilities[sum] = (probabilities[sum] + with_rank) / 2.0;
        }
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEVEL: Level = Level::CONVENTION;

    /// Two-sided 5 % critical values of the signed rank as printed in every table.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for n in 0..=5 {
            assert_eq!(critical(n, LEVEL), None, "{n} values cannot be 95 % sure");
        }
        for (n, tabled) in [
            (6, 0),
            (7, 2),
            (8, 3),
            (9, 5),
            (10, 8),
            (12, 13),
            (15, 25),
            (20, 52),
            (25, 89),
            (30, 137),
        ] {
            assert_eq!(critical(n, LEVEL), Some(tabled), "{n} values");
        }
    }

    #[test]
    fn probabilities_are_those_of_every_choice_of_ranks() {
        let counts: Vec<f64> = rank_sum_probabilities(4).iter().map(|p| p * 16.0).collect();
        assert_eq!(
            counts,
            [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]
        );
        let many: f64 = rank_sum_probabilities(60).iter().sum();
        assert!((many - 1.0).abs() < 1e-12);
    }

    /// Depression scores before and after tranquillisers (Hollander and Wolfe, table 3.1).
    #[test]
    #[expect(clippy::approx_constant, reason = "a score of 3.14 is not π")]
    fn agrees_with_hollander_and_wolfe() {
        let before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let fall: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
        let (center, interval) = hodges_lehmann(&fall, LEVEL).unwrap();
        assert!((center - 0.46).abs() < 1e-9);
        assert!((interval.low - 0.010).abs() < 1e-9);
        assert!((interval.high - 0.786).abs() < 1e-9);
    }

    #[test]
    fn one_wild_round_of_seven_moves_the_estimate_little() {
        let calm = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 1.0];
        let mut wild = calm;
        wild[6] = 1000.0;
        let centers = [calm, wild].map(|values| hodges_lehmann(&values, LEVEL).unwrap().0);
        assert!((centers[0] - centers[1]).abs() < 0.1);
    }

    proptest! {
        #[test]
        fn six_values_reach_from_the_least_to_the_most(
            values in prop::collection::vec(-100.0..100.0, 6),
        ) {
            let (center, interval) = hodges_lehmann(&values, LEVEL).unwrap();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!((interval.low, interval.high), (least, most));
            prop_assert!(!interval.excludes(center));
        }

        #[test]
        fn negating_mirrors(values in prop::collection::vec(-100.0..100.0, 6..20)) {
            let negated: Vec<f64> = values.iter().map(|v: &f64| -v).collect();
            let (a, b) = (hodges_lehmann(&values, LEVEL).unwrap(), hodges_lehmann(&negated, LEVEL).unwrap());
            prop_assert_eq!(a.0, -b.0);
            prop_assert_eq!((a.1.low, a.1.high), (-b.1.high, -b.1.low));
        }
    }
}

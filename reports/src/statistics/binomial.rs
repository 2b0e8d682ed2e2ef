//! The exact binomial test: whether so many hits in so many tries fit a stated rate.

use statrs::distribution::{Binomial, Discrete, DiscreteCDF};

/// Which departures from the stated rate count as evidence against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Either way, by the method of small p-values: every outcome that is no likelier than the one seen,
    /// as R's `binom.test` has it.
    Both,
    /// A true rate above the stated one.
    Above,
    /// A true rate below the stated one.
    Below,
}

/// Outcomes as likely as the one seen but for rounding count as seen; R's `binom.test` allows the same.
const ROUNDING: f64 = 1e-7;

/// p of `hits` in `tries`, were the true rate `rate` (Clopper and Pearson 1934, Biometrika 26:404, for
/// the tails); nothing where that is no experiment: more hits than tries, or a rate outside 0 to 1.
pub fn binomial(hits: u64, tries: u64, rate: f64, side: Side) -> Option<f64> {
    if hits > tries {
        return None;
    }
    let outcomes = Binomial::new(rate, tries).ok()?;
    let p = match side {
        Side::Above => at_least(&outcomes, hits),
        Side::Below => outcomes.cdf(hits),
        Side::Both => {
            let seen = outcomes.pmf(hits) * (1.0 + ROUNDING);
            let likelihoods = (0..=tries).map(|outcome| outcomes.pmf(outcome));
            likelihoods.filter(|likelihood| *likelihood <= seen).sum()
        }
    };
    Some(p.min(1.0))
}

fn at_least(outcomes: &Binomial, hits: u64) -> f64 {
    match hits.checked_sub(1) {
        Some(fewer) => outcomes.sf(fewer),
        None => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(hits: u64, tries: u64, rate: f64, side: Side) -> f64 {
        binomial(hits, tries, rate, side).unwrap()
    }

    /// Mendel's peas as in R's manual of `binom.test` (after Conover 1971, Practical Nonparametric
    /// Statistics): 682 giants of 925, expected three in four, p = 0.3825.
    #[test]
    fn agrees_with_mendels_peas() {
        let two_sided = p(682, 925, 0.75, Side::Both);
        assert!((two_sided - 0.3825).abs() < 5e-5, "{two_sided}");
    }

    /// The lady tasting tea, eight cups: 1, 8 and 28 of 256 equally likely outcomes.
    #[test]
    fn agrees_with_counting() {
        let close = |got: f64, of_256: f64| assert!((got - of_256 / 256.0).abs() < 1e-12, "{got}");
        close(p(8, 8, 0.5, Side::Above), 1.0);
        close(p(7, 8, 0.5, Side::Above), 9.0);
        close(p(2, 8, 0.5, Side::Below), 37.0);
        close(p(7, 8, 0.5, Side::Both), 18.0);
        close(p(4, 8, 0.5, Side::Both), 256.0);
    }

    #[test]
    fn a_lopsided_rate_counts_the_far_tail_by_its_likelihood_not_by_its_distance() {
        // 0 to 3 of 4 at a rate of 0.2: .4096, .4096, .1536, .0256; 4: .0016.
        assert!((p(2, 4, 0.2, Side::Both) - 0.1808).abs() < 1e-12);
        assert!((p(3, 4, 0.2, Side::Both) - 0.0272).abs() < 1e-12);
        assert!((p(0, 4, 0.2, Side::Both) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_experiment_has_no_p() {
        assert_eq!(binomial(3, 2, 0.5, Side::Both), None);
        assert_eq!(binomial(1, 2, 1.5, Side::Both), None);
        assert_eq!(binomial(1, 2, f64::NAN, Side::Both), None);
        assert_eq!(binomial(0, 0, 0.5, Side::Both), Some(1.0));
    }

    proptest! {
        #[test]
        fn the_tails_overlap_in_what_was_seen(
            (tries, hits) in (1_u64..200).prop_flat_map(|tries| (Just(tries), 0..=tries)),
            rate in 0.01_f64..0.99,
        ) {
            let outcomes = Binomial::new(rate, tries).unwrap();
            let both_tails = p(hits, tries, rate, Side::Above) + p(hits, tries, rate, Side::Below);
            prop_assert!((both_tails - 1.0 - outcomes.pmf(hits)).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&p(hits, tries, rate, Side::Both)));
        }

        #[test]
        fn counting_misses_in_place_of_hits_changes_nothing(
            (tries, hits) in (1_u64..60).prop_flat_map(|tries| (Just(tries), 0..=tries)),
            rate in 0.01_f64..0.99,
        ) {
            let (hit, missed) = (
                p(hits, tries, rate, Side::Both),
                p(tries - hits, tries, 1.0 - rate, Side::Both),
            );
            prop_assert!((hit - missed).abs() < 1e-9);
        }
    }
}

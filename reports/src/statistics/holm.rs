//! Holm's step-down correction: several questions asked of one run are one family.

/// Adjusted p values, in the order given: the k-th smallest of m times m − k + 1, never below a
/// smaller one's, at most 1 (Holm 1979, Scandinavian Journal of Statistics 6:65).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let left = (p.len() - rank) as f64;
        highest = highest.max((p[index] * left).min(1.0));
        adjusted[index] = highest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_the_textbook() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, told) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - told).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.2]), [0.2]);
        assert_eq!(holm(&[]), [] as [f64; 0]);
    }

    proptest! {
        #[test]
        fn is_monotone_and_between_p_and_one(p in prop::collection::vec(0.0..=1.0, 1..20)) {
            let adjusted = holm(&p);
            for (i, a) in adjusted.iter().enumerate() {
                prop_assert!(p[i] <= *a && *a <= 1.0);
                for (j, b) in adjusted.iter().enumerate() {
                    prop_assert!(p[i] > p[j] || a <= b);
                }
            }
        }
    }
}

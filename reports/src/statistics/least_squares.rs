//! Least squares by orthogonal columns: what a set of columns explains, and what only one of them does.

/// A column of whose square no more than this share lies outside the others is what they add up to, but for
/// rounding: designs here are of −1, 0 and +1, where a true share is not below a hundredth.
const ROUNDING: f64 = 1e-6;

/// All that some columns add up to, as an orthonormal basis.
#[derive(Debug, Clone)]
pub(super) struct Span(Vec<Vec<f64>>);

impl Span {
    /// Of columns of one length; one that the others add up to adds nothing.
    pub(super) fn of<'a>(columns: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let mut span = Self(Vec::new());
        for column in columns {
            if let Some(beyond) = span.beyond(column) {
                let length = dot(&beyond, &beyond).sqrt();
                span.0.push(beyond.iter().map(|x| x / length).collect());
            }
        }
        span
    }

    /// How many columns it takes.
    pub(super) fn rank(&self) -> usize {
        self.0.len()
    }

    /// What the columns do not explain of `values`.
    pub(super) fn residual(&self, values: &[f64]) -> Vec<f64> {
        let mut rest = values.to_vec();
        // Twice, since once leaves an error that grows with what was taken away (Björck 1967, BIT 7:1).
        for _ in 0..2 {
            for unit in &self.0 {
                let share = dot(unit, &rest);
                rest.iter_mut().zip(unit).for_each(|(x, u)| *x -= share * u);
            }
        }
        rest
    }

    /// The part of a column outside; nothing where that is rounding.
    fn beyond(&self, column: &[f64]) -> Option<Vec<f64>> {
        let rest = self.residual(column);
        let outside = dot(&rest, &rest) > ROUNDING * dot(column, column);
        outside.then_some(rest)
    }
}

/// With what weight each reading enters the least-squares coefficient of `column` beside `others`:
/// regressing on what of it lies outside the others gives the same coefficient as regressing on all
/// (Frisch and Waugh 1933, Econometrica 1:387). Nothing where no part does: then no reading tells it
/// from the others.
pub(super) fn weights<'a>(
    column: &[f64],
    others: impl IntoIterator<Item = &'a [f64]>,
) -> Option<Vec<f64>> {
    let mut beyond = Span::of(others).beyond(column)?;
    let square = dot(&beyond, &beyond);
    beyond.iter_mut().for_each(|x| *x /= square);
    Some(beyond)
}

/// Σ aᵢ bᵢ.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// y = 2 + 3 x over x = 1, 2, 4, by hand: mean of x 7/3, Σ(x − mean)² = 14/3.
    #[test]
    fn a_line_is_found() {
        let (ones, x) = ([1.0; 3], [1.0, 2.0, 4.0]);
        let weights = weights(&x, [ones.as_slice()]).unwrap();
        let by_hand = [1.0, 2.0, 4.0].map(|x: f64| (x - 7.0 / 3.0) / (14.0 / 3.0));
        for (got, told) in weights.iter().zip(by_hand) {
            assert!((got - told).abs() < 1e-12);
        }
        assert!((dot(&weights, &[5.0, 8.0, 14.0]) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_the_others_add_up_to_has_no_coefficient() {
        let (a, b) = ([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(weights(&[3.0, 3.0, -2.0, -2.0], [&a[..], &b[..]]), None);
        assert_eq!(weights(&[0.0; 4], [&a[..]]), None);
        assert_eq!(Span::of([&a[..], &b[..], &[1.0; 4][..]]).rank(), 2);
    }

    proptest! {
        #[test]
        fn what_is_planted_is_found_and_nothing_is_left(
            columns in prop::collection::vec(prop::collection::vec(-3_i8..4, 9), 1..5),
            coefficients in prop::collection::vec(-5.0..5.0_f64, 5),
        ) {
            let columns: Vec<Vec<f64>> = columns
                .iter()
                .map(|column| column.iter().map(|x| f64::from(*x)).collect())
                .collect();
            let mut values = vec![0.0; 9];
            for (column, coefficient) in columns.iter().zip(&coefficients) {
                values.iter_mut().zip(column).for_each(|(y, x)| *y += coefficient * x);
            }
            let left = Span::of(columns.iter().map(Vec::as_slice)).residual(&values);
            prop_assert!(left.iter().all(|rest| rest.abs() < 1e-9), "{left:?}");
            for (place, column) in columns.iter().enumerate() {
                let others = columns.iter().enumerate().filter(|(other, _)| *other != place);
                let Some(weights) = weights(column, others.map(|(_, other)| other.as_slice())) else {
                    continue;
                };
                prop_assert!((dot(&weights, &values) - coefficients[place]).abs() < 1e-6);
            }
        }
    }
}

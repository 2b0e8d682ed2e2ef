//! A straight line through points by ordinary least squares.

use super::Level;
use super::student::{critical, student};

/// A fitted line, with the interval of its slope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// Units of y for one of x.
    pub slope: f64,
    /// y at x = 0.
    pub intercept: f64,
    /// Lower end of the slope's interval.
    pub low: f64,
    /// Upper end of the slope's interval.
    pub high: f64,
}

/// The line through `[x, y]` points; nothing below three points or where all share one x, because
/// then there is no interval.
pub fn slope(points: &[[f64; 2]], level: Level) -> Option<Slope> {
    let n = points.len() as f64;
    let student = student(n - 2.0)?;
    let mean_x = points.iter().map(|[x, _]| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|[_, y]| y).sum::<f64>() / n;
    let spread_x: f64 = points.iter().map(|[x, _]| (x - mean_x).powi(2)).sum();
    if spread_x <= 0.0 {
        return None;
    }
    let together: f64 = points
        .iter()
        .map(|[x, y]| (x - mean_x) * (y - mean_y))
        .sum();
    let slope = together / spread_x;
    let intercept = mean_y - slope * mean_x;
    let residuals: f64 = points
        .iter()
        .map(|[x, y]| (y - intercept - slope * x).powi(2))
        .sum();
    let half = critical(&student, level) * (residuals / (n - 2.0) / spread_x).sqrt();
    Some(Slope {
        slope,
        intercept,
        low: slope - half,
        high: slope + half,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The first of Anscombe's four data sets (1973, The American Statistician 27:17): the line is
    /// 3.0001 + 0.5001 x, the slope's standard error 0.1179 at 9 degrees of freedom.
    #[test]
    fn agrees_with_anscombe() {
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [
            8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68,
        ];
        let points: Vec<[f64; 2]> = x.into_iter().zip(y).map(|(x, y)| [x, y]).collect();
        let line = slope(&points, Level::CONVENTION).unwrap();
        assert!((line.slope - 0.5001).abs() < 5e-5);
        assert!((line.intercept - 3.0001).abs() < 5e-5);
        let error = (line.high - line.low) / 2.0 / 2.262_157;
        assert!((error - 0.1179).abs() < 5e-5);
    }

    #[test]
    fn too_few_points_or_a_single_x_have_no_slope() {
        assert_eq!(slope(&[], Level::CONVENTION), None);
        assert_eq!(slope(&[[1.0, 1.0], [2.0, 2.0]], Level::CONVENTION), None);
        assert_eq!(
            slope(&[[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], Level::CONVENTION),
            None
        );
    }

    proptest! {
        #[test]
        fn a_true_line_is_found(
            truth in -1e4_f64..1e4,
            intercept in -1e6_f64..1e6,
            n in 3_u8..20,
        ) {
            let point = |x: u8| [f64::from(x), intercept + truth * f64::from(x)];
            let points: Vec<[f64; 2]> = (0..n).map(point).collect();
            let line = slope(&points, Level::CONVENTION).unwrap();
            prop_assert!((line.slope - truth).abs() < 1e-6);
            prop_assert!((line.intercept - intercept).abs() < 1e-6);
            prop_assert!(line.high - line.low < 1e-6);
        }
    }
}

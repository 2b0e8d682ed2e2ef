//! Estimates over rounds, pure: numbers in, numbers out.
//!
//! The unit is the trial, never the message: each round yields one pair of figures, and an estimate
//! says what the pairs have in common. At 4 to 10 rounds Student's t keeps its promise where
//! bootstraps do not (docs/reference/method.md); the signed rank stands beside it as a check that assumes no normality.

mod binomial;
mod hodges_lehmann;
mod holm;
mod least_squares;
mod level;
mod line;
mod power;
mod screen;
mod spread;
mod student;
mod welch;

pub use binomial::{Side, binomial};
pub use hodges_lehmann::hodges_lehmann;
pub use holm::holm;
pub use level::Level;
pub use line::{Slope, slope};
pub use power::{MOST, POWER, Prospect, rounds_needed, rounds_to_decide};
pub use screen::{Design, Half, Layout, Place, Term};
pub use spread::Spread;
pub use student::{Estimate, mean_difference, ratio};
pub use welch::{welch_difference, welch_ratio};

/// One round's figures, of the baseline and of the arm, in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The baseline's.
    pub baseline: f64,
    /// The arm's.
    pub arm: f64,
}

impl Pair {
    /// Arm minus baseline.
    pub fn difference(self) -> f64 {
        self.arm - self.baseline
    }

    /// Logarithm of arm over baseline; nothing where either is not above 0. A difference of
    /// logarithms, so that swapping the two negates it exactly.
    pub fn log_ratio(self) -> Option<f64> {
        (self.baseline > 0.0 && self.arm > 0.0).then(|| self.arm.ln() - self.baseline.ln())
    }
}

/// Every round's arm − baseline.
pub fn differences(pairs: &[Pair]) -> Vec<f64> {
    pairs.iter().map(|pair| pair.difference()).collect()
}

/// Every round's ln(arm / baseline); nothing where a value is not above 0.
pub fn log_ratios(pairs: &[Pair]) -> Option<Vec<f64>> {
    pairs.iter().map(|pair| pair.log_ratio()).collect()
}

/// From `low` to `high`, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies outside.
    pub fn excludes(self, value: f64) -> bool {
        value < self.low || self.high < value
    }

    /// Whether all of it lies in `other`.
    pub fn inside(self, other: Interval) -> bool {
        other.low <= self.low && self.high <= other.high
    }

    /// Both ends through an increasing function.
    pub fn map(self, increasing: impl Fn(f64) -> f64) -> Self {
        Self {
            low: increasing(self.low),
            high: increasing(self.high),
        }
    }
}

/// Arithmetic mean; nothing of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Geometric mean; nothing where a value is not above 0.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: Option<Vec<f64>> = values.iter().map(|v| (*v > 0.0).then(|| v.ln())).collect();
    mean(&logs?).map(f64::exp)
}

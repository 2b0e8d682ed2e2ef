//! How sure a verdict is: the significance it is tested at, and with it the coverage of its interval.

use serde::{Deserialize, Serialize};

/// The significance at which an effect is judged, above 0 and below 1; its interval covers 1 − it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Level(f64);

impl Level {
    /// 0.05: the convention, so that one alarm in twenty between equal arms is what a reader expects of
    /// a "95 %" (Fisher 1925, Statistical Methods for Research Workers).
    pub const CONVENTION: Level = Level(0.05);

    /// Of a significance.
    ///
    /// # Errors
    /// One that is not above 0 and below 1.
    pub fn new(significance: f64) -> Result<Self, String> {
        if 0.0 < significance && significance < 1.0 {
            Ok(Self(significance))
        } else {
            Err(format!(
                "a significance is above 0 and below 1, not {significance}"
            ))
        }
    }

    /// The equal part of one of so many looks at the same effect, or questions of the same run: however
    /// they depend on each other, together they err no more often than this level alone (the union
    /// bound, Bonferroni 1936). None is as one.
    pub fn shared(self, looks: usize) -> Self {
        Self(self.0 / looks.max(1) as f64)
    }

    /// The p at which a difference counts as one.
    pub fn significance(self) -> f64 {
        self.0
    }

    /// How often an interval holds the truth.
    pub fn coverage(self) -> f64 {
        1.0 - self.0
    }

    /// The coverage as a reader meets it, to a hundredth of a per cent: `95 %`, `98.75 %`.
    pub fn words(self) -> String {
        let percent = format!("{:.2}", self.coverage() * 100.0);
        format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl TryFrom<f64> for Level {
    type Error = String;

    fn try_from(significance: f64) -> Result<Self, String> {
        Self::new(significance)
    }
}

impl From<Level> for f64 {
    fn from(level: Level) -> Self {
        level.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_looks_share_one_significance() {
        let shared = Level::CONVENTION.shared(4);
        assert_eq!(shared.significance(), 0.0125);
        let words = [0, 1, 3, 4].map(|looks| Level::CONVENTION.shared(looks).words());
        assert_eq!(words, ["95 %", "95 %", "98.33 %", "98.75 %"]);
    }

    #[test]
    fn a_level_is_a_probability_that_is_neither_sure_nor_impossible() {
        for wrong in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(Level::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Level::new(0.05), Ok(Level::CONVENTION));
    }
}

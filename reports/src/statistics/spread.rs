//! By how much rounds scatter.

use super::mean;

/// Standard deviation of the within-round differences on the scale that decides: of log ratios where the
/// margin is relative, else in the metric's unit. Finite and at least 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Spread(pub(super) f64);

impl Spread {
    /// Of a known standard deviation.
    pub fn new(standard_deviation: f64) -> Option<Self> {
        (standard_deviation.is_finite() && standard_deviation >= 0.0)
            .then_some(Self(standard_deviation))
    }

    /// Of rounds, with n − 1 in the denominator; nothing below two.
    pub fn of(values: &[f64]) -> Option<Self> {
        let center = mean(values).filter(|_| values.len() >= 2)?;
        // By definition, not by rounding, as Student's interval has it.
        if values.iter().all(|value| *value == values[0]) {
            return Some(Self(0.0));
        }
        let squares: f64 = values.iter().map(|v| (v - center).powi(2)).sum();
        Self::new((squares / (values.len() - 1) as f64).sqrt())
    }

    /// The standard deviation.
    pub fn standard_deviation(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_standard_deviation_of_the_rounds() {
        let sd = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((sd.standard_deviation() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[0.1; 5]), Some(Spread(0.0)));
        assert_eq!((Spread::of(&[1.0]), Spread::new(f64::NAN)), (None, None));
        assert_eq!(Spread::new(-1.0), None);
    }
}

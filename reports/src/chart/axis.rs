//! Scales and their ticks: linear from zero, logarithmic, and by percentile.

use crate::quantity::number;

/// Smallest span of a logarithmic axis: any factor of 5 holds at least two of 1, 2 and 5.
const LEAST_LOG_SPAN: f64 = 5.0;

/// From this many decades only the powers of ten are labelled.
const DECADES_ONLY: f64 = 2.4;

/// An axis of factors shows at least these: smaller ones than 2 % are nothing to look at.
const LEAST_FACTORS: [f64; 2] = [0.98, 1.02];

/// Up to this span an axis of factors has equal steps: of 1, 2 and 5 it would hold two at most.
const NARROW: f64 = 3.0;

/// Samples that must lie beyond a percentile before it is shown.
pub const SAMPLES_BEYOND: f64 = 10.0;

/// Where the percentile axis begins: the fastest tenth says nothing about waiting.
pub const FIRST_QUANTILE: f64 = 0.1;

/// Percentiles that get a tick.
const QUANTILES: [(f64, &str); 8] = [
    (0.1, "10 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
    (0.999999, "99.9999 %"),
];

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
    /// log(1 / (1 − q)): each further nine takes the same room.
    Quantile,
}

/// A place with a grid line and, mostly, a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Its place.
    pub value: f64,
    /// Empty for a grid line of its own.
    pub label: String,
}

/// Values mapped to CSS pixels.
#[derive(Debug, Clone)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    /// In ascending order.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// From zero (or the least value, if negative) to a round figure, in about `count` steps.
    pub fn linear(
        values: impl IntoIterator<Item = f64>,
        count: usize,
        (from, to): (f64, f64),
    ) -> Self {
        let (least, most) = span(values.into_iter().chain([0.0])).unwrap_or((0.0, 1.0));
        let most = if most > least { most } else { least + 1.0 };
        let step = round_step((most - least) / count.max(1) as f64);
        let (first, last) = ((least / step).floor(), (most / step - 1e-9).ceil());
        let ticks = (first as i64..=last as i64).map(|multiple| {
            let value = tidy(multiple as f64 * step);
            Tick {
                value,
                label: number(value),
            }
        });
        Self {
            scale: Scale::Linear,
            low: first * step,
            high: last * step,
            from,
            to,
            ticks: ticks.collect(),
        }
    }

    /// From the 1, 2 or 5 below the least positive value to the one above the greatest; `None`
    /// without a positive value.
    pub fn log(values: impl IntoIterator<Item = f64>, (from, to): (f64, f64)) -> Option<Self> {
        let (least, most) = span(values.into_iter().filter(|value| *value > 0.0))?;
        let short = (LEAST_LOG_SPAN * least / most).max(1.0).sqrt();
        let (least, most) = (least / short, most * short);
        let grid = one_two_five(least, most);
        let (low, high) = (grid.first()?.0, grid.last()?.0);
        let decades_only = (high / low).log10() > DECADES_ONLY;
        let ticks = grid.iter().map(|&(value, power)| Tick {
            value,
            label: if power || !decades_only {
                number(value)
            } else {
                String::new()
            },
        });
        Some(Self {
            scale: Scale::Log,
            low,
            high,
            from,
            to,
            ticks: ticks.collect(),
        })
    }

    /// Factors around ×1, which is on it: of a wide span a logarithmic axis, of a narrow one round steps,
    /// laid out by their logarithms so that ×½ and ×2 are equally far. Values must be above 0.
    pub fn factors(values: impl IntoIterator<Item = f64>, ends: (f64, f64)) -> Option<Self> {
        let around = values.into_iter().filter(|value| *value > 0.0);
        let (least, most) = span(around.chain(LEAST_FACTORS))?;
        let mut axis = if most / least > NARROW {
            Self::log([least, most], ends)?
        } else {
            let step = round_step((most - least) / 5.0);
            let (first, last) = ((least / step + 1e-9).floor(), (most / step - 1e-9).ceil());
            let ticks = (first.max(1.0) as i64..=last as i64).map(|multiple| {
                let value = tidy(multiple as f64 * step);
                Tick {
                    value,
                    label: number(value),
                }
            });
            let ticks: Vec<Tick> = ticks.collect();
            Self {
                scale: Scale::Log,
                low: ticks.first()?.value,
                high: ticks.last()?.value,
                from: ends.0,
                to: ends.1,
                ticks,
            }
        };
        let labelled = axis.ticks.iter_mut().filter(|tick| !tick.label.is_empty());
        labelled.for_each(|tick| tick.label.insert(0, '×'));
        Some(axis)
    }

    /// From [`FIRST_QUANTILE`] to the last quantile with [`SAMPLES_BEYOND`] of `samples` beyond it;
    /// `None` where that is not past the median.
    pub fn quantile(samples: u64, (from, to): (f64, f64)) -> Option<Self> {
        let high = last_quantile(samples);
        if high <= 0.5 {
            return None;
        }
        let shown = QUANTILES
            .iter()
            .filter(|(quantile, _)| *quantile <= high + 1e-12);
        let ticks = shown.map(|(value, label)| Tick {
            value: *value,
            label: (*label).to_owned(),
        });
        Some(Self {
            scale: Scale::Quantile,
            low: FIRST_QUANTILE,
            high,
            from,
            to,
            ticks: ticks.collect(),
        })
    }

    /// The pixel of a value; one outside the axis is put at its end.
    pub fn at(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Quantile => -(1.0 - value).max(1e-12).log10(),
        };
        let (low, high) = (place(self.low), place(self.high));
        let share = (place(value) - low) / (high - low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// The same with grid lines only.
    pub fn without_labels(&self) -> Self {
        let mut bare = self.clone();
        bare.ticks.iter_mut().for_each(|tick| tick.label.clear());
        bare
    }

    /// First and last pixel.
    pub fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }
}

/// The last quantile that has [`SAMPLES_BEYOND`] of `samples` beyond it; 0 where there is none.
pub fn last_quantile(samples: u64) -> f64 {
    (1.0 - SAMPLES_BEYOND / samples.max(1) as f64).max(0.0)
}

/// Least and greatest of the finite values.
fn span(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold(None, |span, value| match span {
            None => Some((value, value)),
            Some((least, most)) => Some((value.min(least), value.max(most))),
        })
}

/// The 1, 2 or 5 times a power of ten that is at least `raw`.
fn round_step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| tidy(digit * power));
    let fits = |step: &f64| *step >= raw * (1.0 - 1e-9);
    steps.into_iter().find(fits).unwrap_or(10.0 * power)
}

/// All 1, 2 and 5 times a power of ten from the last not above `least` to the first not below `most`,
/// each with whether it is a power of ten.
fn one_two_five(least: f64, most: f64) -> Vec<(f64, bool)> {
    let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
    let all = (first..=last).flat_map(|exponent| {
        [1.0, 2.0, 5.0].map(|digit: f64| (tidy(digit * 10_f64.powi(exponent)), digit == 1.0))
    });
    let all: Vec<_> = all.collect();
    let below = all
        .iter()
        .rposition(|(value, _)| *value <= least * (1.0 + 1e-9));
    let above = all
        .iter()
        .position(|(value, _)| *value >= most * (1.0 - 1e-9));
    let (below, above) = (below.unwrap_or(0), above.unwrap_or(all.len() - 1));
    all[below..=above].to_vec()
}

/// Without the last digits' rounding error, so that 3 × 0.1 is 0.3.
fn tidy(value: f64) -> f64 {
    format!("{value:.9e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ENDS: (f64, f64) = (40.0, 500.0);

    fn labels(axis: &Axis) -> Vec<&str> {
        let labels = axis.ticks.iter().map(|tick| tick.label.as_str());
        labels.filter(|label| !label.is_empty()).collect()
    }

    /// What every axis owes: at least two labels, none twice, and each value on the axis.
    fn sound(axis: &Axis, values: &[f64]) -> Result<(), TestCaseError> {
        let labels = labels(axis);
        prop_assert!(labels.len() >= 2, "{labels:?}");
        let mut different = labels.clone();
        different.sort_unstable();
        different.dedup();
        prop_assert_eq!(different.len(), labels.len(), "{:?}", labels);
        for value in values
            .iter()
            .chain(axis.ticks.iter().map(|tick| &tick.value))
        {
            let at = axis.at(*value);
            prop_assert!(ENDS.0 <= at && at <= ENDS.1, "{value} at {at}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_linear_axis_is_sound(values in vec(-1e9..1e9_f64, 0..20), scale in -9..9_i32) {
            let values: Vec<f64> = values.iter().map(|value| value * 10_f64.powi(scale)).collect();
            let axis = Axis::linear(values.iter().copied(), 5, ENDS);
            sound(&axis, &values)?;
            prop_assert!(labels(&axis).contains(&"0"));
        }

        #[test]
        fn a_logarithmic_axis_is_sound(exponents in vec(-6.0..9.0_f64, 1..20)) {
            let values: Vec<f64> = exponents.iter().map(|exponent| 10_f64.powf(*exponent)).collect();
            let axis = Axis::log(values.iter().copied(), ENDS).unwrap();
            sound(&axis, &values)?;
            let all_inside = values.iter().all(|value| {
                axis.low <= value * (1.0 + 1e-6) && *value <= axis.high * (1.0 + 1e-6)
            });
            prop_assert!(all_inside);
        }

        #[test]
        fn an_axis_of_factors_is_sound(exponents in vec(-2.0..2.0_f64, 0..20), scale in 0.001..1.0_f64) {
            let values: Vec<f64> = exponents.iter().map(|x| 10_f64.powf(x * scale)).collect();
            let axis = Axis::factors(values.iter().copied(), ENDS).unwrap();
            sound(&axis, &values)?;
            prop_assert!(labels(&axis).contains(&"×1"), "{:?}", labels(&axis));
            let inside = |value: &f64| axis.low <= value * (1.0 + 1e-6) && *value <= axis.high * (1.0 + 1e-6);
            prop_assert!(values.iter().all(inside));
        }

        #[test]
        fn a_percentile_axis_ends_where_ten_samples_lie_beyond(samples in 21..100_000_000_u64) {
            let axis = Axis::quantile(samples, ENDS).unwrap();
            sound(&axis, &[])?;
            let beyond = (1.0 - axis.high) * samples as f64;
            prop_assert!((beyond - SAMPLES_BEYOND).abs() < 1e-3, "{beyond}");
        }
    }

    #[test]
    fn a_figure_that_is_none_has_no_place() {
        assert!(Axis::log([f64::NAN, f64::INFINITY, 0.0, -1.0], ENDS).is_none());
        let axis = Axis::linear([f64::NAN, 3.0], 5, ENDS);
        assert_eq!(labels(&axis).last(), Some(&"3"));
        assert!(Axis::quantile(20, ENDS).is_none());
    }

    #[test]
    fn ticks_are_ones_twos_and_fives() {
        let axis = Axis::log([0.06, 0.9], ENDS).unwrap();
        assert_eq!(labels(&axis), ["0.05", "0.1", "0.2", "0.5", "1"]);
        let axis = Axis::log([0.06, 90.0], ENDS).unwrap();
        assert_eq!(labels(&axis), ["0.1", "1", "10", "100"]);
        let axis = Axis::factors([0.93, 1.3], ENDS).unwrap();
        assert_eq!(labels(&axis), ["×0.9", "×1", "×1.1", "×1.2", "×1.3"]);
        let axis = Axis::factors([0.5, 10.0], ENDS).unwrap();
        assert_eq!(labels(&axis), ["×0.5", "×1", "×2", "×5", "×10"]);
        let axis = Axis::quantile(4_000, ENDS).unwrap();
        assert_eq!(labels(&axis), ["10 %", "50 %", "90 %", "99 %"]);
    }
}

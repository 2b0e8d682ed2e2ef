//! Numbers as a reader wants them: two or three digits, in a unit that keeps them between 1 and 1000.

/// A time unit's length in nanoseconds.
const TIMES: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

/// A size unit in bytes.
const SIZES: [(&str, f64); 4] = [
    ("bytes", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
];

/// `value` with its unit: `31 µs`, `12.4 KiB`, `12,300/s`. A unit of time or size is changed for the
/// one that fits, also before a slash or a space (`bytes/stream`); any other stays.
pub fn quantity(value: f64, unit: &str) -> String {
    let shown = Shown::fitting(value.abs(), unit);
    shown.with_unit(&number(value / shown.divisor))
}

/// An interval of differences with signs and one unit: `−45 to +17 µs`; a point once: `+3 messages`.
pub fn signed_span(low: f64, high: f64, unit: &str) -> String {
    let shown = Shown::fitting(low.abs().max(high.abs()), unit);
    let ends = [low, high].map(|end| signed(end / shown.divisor));
    let [low_end, high_end] = ends;
    if low_end == high_end {
        shown.with_unit(&low_end)
    } else {
        shown.with_unit(&format!("{low_end} to {high_end}"))
    }
}

/// `value` to three significant digits, without trailing zeros, thousands set off by commas.
pub fn number(value: f64) -> String {
    let digits = significant(value.abs(), 3);
    if value < 0.0 && digits != "0" {
        format!("−{digits}")
    } else {
        digits
    }
}

/// `value` above 0 to two significant digits, for what is said in passing.
pub fn rough(value: f64) -> String {
    significant(value, 2)
}

/// A share as per cent: 0.1 is `10 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

/// Ratios that belong together, with the same number of decimals: three where two would hide that one
/// is not 1 or would leave a small one a digit or two. `["0.94", "0.91", "0.97"]`
pub fn ratios<const N: usize>(values: [f64; N]) -> [String; N] {
    let fine = values
        .iter()
        .any(|value| (value - 1.0).abs() < 0.01 || *value < 0.25);
    let decimals = if fine { 3 } else { 2 };
    values.map(|value| {
        if (0.1..10.0).contains(&value) {
            format!("{value:.decimals$}")
        } else {
            number(value)
        }
    })
}

/// A unit chosen for its figures.
struct Shown<'a> {
    divisor: f64,
    unit: &'a str,
    /// What follows the unit proper: `/stream`.
    rest: &'a str,
}

impl<'a> Shown<'a> {
    /// The largest unit of the same kind of which there is at least one in `magnitude`.
    fn fitting(magnitude: f64, unit: &'a str) -> Self {
        let end = unit.find(['/', ' ']).unwrap_or(unit.len());
        let (head, rest) = unit.split_at(end);
        for table in [TIMES, SIZES] {
            let Some((_, own)) = table.into_iter().find(|(name, _)| *name == head) else {
                continue;
            };
            if magnitude == 0.0 {
                break;
            }
            let size = magnitude * own;
            // What would print as 1,000 of the smaller unit is 1 of the larger.
            let fits = |(_, one): &(&str, f64)| size >= 0.9995 * one;
            let (unit, one) = table.into_iter().rev().find(fits).unwrap_or(table[0]);
            return Shown {
                divisor: one / own,
                unit,
                rest,
            };
        }
        Shown {
            divisor: 1.0,
            unit: if head == "1" { "" } else { head },
            rest,
        }
    }

    fn with_unit(&self, figures: &str) -> String {
        let Self { unit, rest, .. } = self;
        if unit.is_empty() {
            return format!("{figures}{rest}");
        }
        let words = format!("{unit}{rest}");
        let is_symbol = words.len() <= 3 || words.contains('/');
        let is_one = figures.trim_start_matches(['+', '−']) == "1";
        // One message, one round trip; a symbol has no plural.
        match words.strip_suffix('s').filter(|_| is_one && !is_symbol) {
            Some(one) => format!("{figures} {one}"),
            None => format!("{figures} {words}"),
        }
    }
}

/// With `+` before a positive figure.
fn signed(value: f64) -> String {
    let figure = number(value);
    if value > 0.0 && figure != "0" {
        format!("+{figure}")
    } else {
        figure
    }
}

/// A figure of at least 0 to so many significant digits.
fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let exponent = value.log10().floor() as i32;
    let places = digits - 1 - exponent;
    if places <= 0 {
        let step = 10_f64.powi(-places);
        return with_commas(&format!("{:.0}", (value / step).round() * step));
    }
    let decimals = places.unsigned_abs() as usize;
    let fixed = format!("{value:.decimals$}");
    with_commas(fixed.trim_end_matches('0').trim_end_matches('.'))
}

/// Thousands set off in a figure without a decimal point; with one it is below 1000 and stays.
fn with_commas(figure: &str) -> String {
    if figure.contains('.') {
        return figure.to_owned();
    }
    in_threes(figure)
}

/// A count with its thousands set off: `12,345`.
pub fn grouped(count: u64) -> String {
    in_threes(&count.to_string())
}

fn in_threes(digits: &str) -> String {
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_digits_and_no_idle_zeros() {
        for (value, shown) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (0.9996, "1"),
            (0.030_96, "0.031"),
            (-12.345, "−12.3"),
            (999.6, "1,000"),
            (12_345.0, "12,300"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn units_of_time_and_size_fit_the_figure_and_others_stay() {
        for (value, unit, shown) in [
            (0.031, "ms", "31 µs"),
            (0.9999, "ms", "1 ms"),
            (1500.0, "ms", "1.5 s"),
            (0.0, "ms", "0 ms"),
            (2048.0, "bytes", "2 KiB"),
            (2048.0, "bytes/stream", "2 KiB/stream"),
            (0.5, "bytes", "0.5 bytes"),
            (12_345.0, "1/s", "12,300/s"),
            (4.0, "messages", "4 messages"),
            (1.0, "messages", "1 message"),
            (1.0, "round trips", "1 round trip"),
            (1.0, "bytes", "1 byte"),
            (1.0, "ms", "1 ms"),
            (4.0, "", "4"),
        ] {
            assert_eq!(quantity(value, unit), shown);
        }
    }

    #[test]
    fn a_span_has_signs_and_one_unit() {
        assert_eq!(signed_span(-0.045, 0.0, "ms"), "−45 to 0 µs");
        assert_eq!(signed_span(-0.2, 1.5, "ms"), "−0.2 to +1.5 ms");
        assert_eq!(signed_span(3.0, 3.0, "messages"), "+3 messages");
    }

    #[test]
    fn ratios_line_up() {
        assert_eq!(ratios([0.94, 0.91, 0.97]), ["0.94", "0.91", "0.97"]);
        assert_eq!(ratios([0.998, 0.95, 1.05]), ["0.998", "0.950", "1.050"]);
        assert_eq!(ratios([25.04]), ["25"]);
    }

    proptest! {
        #[test]
        fn a_figure_reads_back_within_half_a_digit(value in 1e-9_f64..1e12) {
            let read: f64 = number(value).replace(',', "").parse().unwrap();
            prop_assert!((read - value).abs() <= 0.005_001 * value);
        }
    }
}

//! Numbers that a plan may hold: what cannot be run cannot be written.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Events a second: above 0 and at most [`Rate::HIGHEST`].
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

impl Rate {
    /// A million a second: more than two cores deliver, and a bound on what a schedule allocates.
    pub const HIGHEST: f64 = 1_000_000.0;

    /// Events a second.
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        if rate > 0.0 && rate <= Self::HIGHEST {
            Ok(Self(rate))
        } else {
            Err(format!(
                "a rate of {rate} a second cannot be run: use one above 0, at most {}",
                Self::HIGHEST
            ))
        }
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

/// A span of time in seconds: above 0 and at most an hour.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

impl Seconds {
    /// An hour: a longer trial is a mistake in the unit.
    pub const LONGEST: f64 = 3_600.0;

    /// In seconds.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// In nanoseconds.
    pub fn nanos(self) -> u64 {
        (self.0 * 1e9) as u64
    }

    /// As the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        if seconds > 0.0 && seconds <= Self::LONGEST {
            Ok(Self(seconds))
        } else {
            Err(format!(
                "{seconds} seconds cannot be run: use a time above 0, at most {}",
                Self::LONGEST
            ))
        }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

/// How many: 1 to [`Count::HIGHEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Count(u32);

impl Count {
    /// More than one address has ports for.
    pub const HIGHEST: u32 = 60_000;

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Count {
    type Error = String;

    fn try_from(count: u32) -> Result<Self, String> {
        if (1..=Self::HIGHEST).contains(&count) {
            Ok(Self(count))
        } else {
            Err(format!(
                "a count of {count} cannot be run: use 1 to {}",
                Self::HIGHEST
            ))
        }
    }
}

impl From<Count> for u32 {
    fn from(count: Count) -> Self {
        count.0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Rounds of an experiment: an even number, because each second round mirrors the order of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Rounds(u32);

impl Rounds {
    /// More than a week has time for.
    pub const HIGHEST: u32 = 1_000;

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Rounds {
    type Error = String;

    fn try_from(rounds: u32) -> Result<Self, String> {
        if is_rounds(rounds) {
            Ok(Self(rounds))
        } else {
            Err(format!(
                "{rounds} rounds cannot be run: use an even number from 2 to {}, because each second round mirrors \
                 the order of the first",
                Self::HIGHEST
            ))
        }
    }
}

impl From<Rounds> for u32 {
    fn from(rounds: Rounds) -> Self {
        rounds.0
    }
}

/// A span of time as people write it on a command line: `90s`, `30m`, `1h`. Above 0 and at most
/// [`Span::LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// Two days: a longer run is a mistake in the unit.
    pub const LONGEST: Duration = Duration::from_secs(48 * 3_600);

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds_each = |unit| match unit {
            's' => Some(1_u64),
            'm' => Some(60),
            'h' => Some(3_600),
            _ => None,
        };
        let span = text.char_indices().last().and_then(|(at, unit)| {
            let (number, each) = (text.get(..at)?, seconds_each(unit)?);
            // `parse` would take a sign.
            let number: u64 = number
                .starts_with(|first: char| first.is_ascii_digit())
                .then(|| number.parse().ok())??;
            Some(Duration::from_secs(number.checked_mul(each)?))
        });
        span.filter(|span| !span.is_zero() && *span <= Self::LONGEST)
            .map(Self)
            .ok_or_else(|| {
                "use a whole number of seconds, minutes or hours, such as 90s, 30m or 1h, at most 48h".to_owned()
            })
    }
}

/// A literal of this module's types; the value is checked when it is compiled.
macro_rules! literal {
    ($name:ident, $type:ident, $value:ty, $valid:expr) => {
        /// A literal, checked at compile time when used in a constant.
        pub const fn $name(value: $value) -> $type {
            assert!($valid(value), "not in range");
            $type(value)
        }
    };
}

const fn is_rate(value: f64) -> bool {
    value > 0.0 && value <= Rate::HIGHEST
}

const fn is_seconds(value: f64) -> bool {
    value > 0.0 && value <= Seconds::LONGEST
}

const fn is_count(value: u32) -> bool {
    value >= 1 && value <= Count::HIGHEST
}

const fn is_rounds(value: u32) -> bool {
    value >= 2 && value.is_multiple_of(2) && value <= Rounds::HIGHEST
}

literal!(rate, Rate, f64, is_rate);
literal!(seconds, Seconds, f64, is_seconds);
literal!(count, Count, u32, is_count);
literal!(rounds, Rounds, u32, is_rounds);

/// A number of seconds as people say it.
pub fn spoken(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_minutes_from_one_up() {
        assert_eq!(
            [0.4, 59.4, 59.6, 150.0].map(spoken),
            ["0 s", "59 s", "1 min 0 s", "2 min 30 s"]
        );
    }

    #[test]
    fn refuses_what_cannot_be_run_and_says_what_can() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Rate::try_from(bad).unwrap_err().contains("above 0"));
            assert!(Seconds::try_from(bad).unwrap_err().contains("above 0"));
        }
        assert!(Count::try_from(0).unwrap_err().contains("1 to"));
        for bad in [0, 1, 7, Rounds::HIGHEST + 2] {
            assert!(Rounds::try_from(bad).unwrap_err().contains("even"));
        }
        assert_eq!(Rate::try_from(2.5).map(Rate::per_second), Ok(2.5));
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.duration().as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1_800));
        assert_eq!(seconds("48h"), Ok(172_800));
        for bad in [
            "",
            "s",
            "30",
            "m30",
            "0m",
            "-1m",
            "+1m",
            "1.5h",
            "1 h",
            "49h",
            "30min",
            "3д",
            "99999999999999999999h",
            "9999999999999999999h",
        ] {
            assert!(seconds(bad).unwrap_err().contains("such as 90s"), "{bad}");
        }
    }
}

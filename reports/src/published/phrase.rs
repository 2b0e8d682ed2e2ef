//! Figures in words, in both languages.

use serde::Serialize;

use super::claim::{Carried, Expected, Scale, Unit};
use super::evidence::{Found, setting};
use crate::language::Language;
use crate::quantity::{number, quantity, ratios};

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Both {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

impl Both {
    /// The same text made in each language.
    pub fn each(made: impl Fn(Language) -> String) -> Self {
        Self {
            en: made(Language::English),
            zh: made(Language::Chinese),
        }
    }

    /// The text in one of them.
    pub fn of(&self, language: Language) -> &str {
        language.of(&self.en, &self.zh)
    }
}

/// The figure with its interval: `0.35 (0.34 to 0.36)`, `+28 ms (+27 ms to +29 ms)`.
pub fn figure(found: &Found<'_>, scale: Scale, unit: Unit, language: Language) -> String {
    let ends = [found.value, found.interval.low, found.interval.high];
    let [value, low, high] = match scale {
        Scale::Ratio => ratios(ends),
        Scale::Difference => ends.map(|end| signed(end, unit, language)),
        Scale::Times(_) | Scale::Per(_) => ends.map(|end| amount(end, unit, language)),
    };
    if found.interval.low == found.interval.high {
        // Every round gave the same: counts do.
        return language.of(
            format!("{value}, the same in every round"),
            format!("{value}，每轮都相同"),
        );
    }
    match language {
        Language::English => format!("{value} ({low} to {high})"),
        Language::Chinese => format!("{value}（{low} 至 {high}）"),
    }
}

fn signed(value: f64, unit: Unit, language: Language) -> String {
    let amount = amount(value, unit, language);
    if value > 0.0 {
        format!("+{amount}")
    } else {
        amount
    }
}

/// A figure with its unit.
pub fn amount(value: f64, unit: Unit, language: Language) -> String {
    let counted = |english: &str, chinese: &str| match language {
        Language::English => quantity(value, english),
        Language::Chinese => format!("{} {chinese}", number(value)),
    };
    match unit {
        Unit::Bytes => {
            let amount = quantity(value, "bytes");
            match (language, amount.strip_suffix(" bytes")) {
                (Language::Chinese, Some(bytes)) => format!("{bytes} 字节"),
                _ => amount,
            }
        }
        Unit::Ms => quantity(value, "ms"),
        Unit::Micros => quantity(value, "µs"),
        Unit::RoundTrips => counted("round trips", "次往返"),
        Unit::Frames => counted("frames", "帧"),
        Unit::Messages => match language {
            Language::English => format!("{} messages a write", number(value)),
            Language::Chinese => format!("每次写 {} 条消息", number(value)),
        },
        Unit::PerSecond => match language {
            Language::English => format!("{} a second", number(value)),
            Language::Chinese => format!("每秒 {}", number(value)),
        },
    }
}

/// What is expected of a figure, as a rule.
pub fn rule(expected: Expected, scale: Scale, unit: Unit, language: Language) -> String {
    let bound = |value: f64| match scale {
        Scale::Ratio if value < 10.0 => format!("{value:.2}"),
        Scale::Ratio => number(value),
        Scale::Difference => signed(value, unit, language),
        Scale::Times(_) | Scale::Per(_) => amount(value, unit, language),
    };
    match (expected, language) {
        (Expected::Published { low, high, null }, Language::English) => {
            let unless = null.map_or(
                "",
                |_| ", unless it is so wide as to hold no effect as well",
            );
            format!(
                "holds if the interval meets {} to {}{unless}; fails if it does not",
                bound(low),
                bound(high)
            )
        }
        (Expected::Published { low, high, null }, Language::Chinese) => {
            let unless = null.map_or("", |_| "（区间若宽到同时包含“无差异”则不算）");
            format!(
                "区间与 {} 至 {} 有交集则成立{unless}，没有交集则不成立",
                bound(low),
                bound(high)
            )
        }
        (Expected::Above(least), Language::English) => format!(
            "holds if the interval lies wholly above {0}, fails if it does not reach above {0}",
            bound(least)
        ),
        (Expected::Above(least), Language::Chinese) => {
            format!(
                "区间全部高于 {0} 则成立，全部不高于 {0} 则不成立",
                bound(least)
            )
        }
        (Expected::Below(most), Language::English) => format!(
            "holds if the interval lies wholly below {0}, fails if it does not reach below {0}",
            bound(most)
        ),
        (Expected::Below(most), Language::Chinese) => {
            format!(
                "区间全部低于 {0} 则成立，全部不低于 {0} 则不成立",
                bound(most)
            )
        }
        (Expected::Inside { low, high }, Language::English) => format!(
            "holds if the interval lies wholly within {} to {}, fails if wholly outside",
            bound(low),
            bound(high)
        ),
        (Expected::Inside { low, high }, Language::Chinese) => format!(
            "区间全部落在 {} 至 {} 之内则成立，全部落在其外则不成立",
            bound(low),
            bound(high)
        ),
    }
}

/// Both sides' own values.
pub fn sides(found: &Found<'_>, unit: Unit, language: Language) -> String {
    let side = |label: &str, value| match language {
        Language::English => format!("`{label}` {}", amount(value, unit, language)),
        Language::Chinese => format!("`{label}`：{}", amount(value, unit, language)),
    };
    let of = side(found.of, found.of_value);
    match found.against {
        None => of,
        Some((label, value)) => match language {
            Language::English => format!("{of}, {}", side(label, value)),
            Language::Chinese => format!("{of}，{}", side(label, value)),
        },
    }
}

/// The experiment's load in a few words; empty of one that is not known.
pub fn workload(found: &Found<'_>, language: Language) -> String {
    let own = |name: &str| setting(found.experiment, name);
    let text = |count: Option<f64>, english: &str, chinese: &str| {
        count.map(|count| {
            let words = language.of(english, chinese);
            words.replace("{}", &number(count))
        })
    };
    let said = match found.experiment.name.as_str() {
        "memory" => text(own("connections"), "up to {} connections", "最多 {} 条连接"),
        "throughput" => text(
            own("subscribers"),
            "{} subscribers, each",
            "{} 个订阅者，每个",
        )
        .zip(text(
            own("messages_per_second"),
            "{} messages a second",
            "每秒 {} 条消息",
        ))
        .map(|(who, rate)| language.of(format!("{who} {rate}"), format!("{who}{rate}"))),
        "latency" => text(
            own("turns_per_second"),
            "{} turns a second",
            "每秒 {} 轮对话",
        ),
        "wire" => text(own("messages"), "{} messages", "{} 条消息"),
        "setup" => text(own("starts"), "{} starts of each kind", "每种各 {} 次"),
        "reconnect" => text(own("subscribers"), "{} subscribers", "{} 个订阅者"),
        _ => None,
    };
    said.unwrap_or_default()
}

/// The figure at a scale that is not ours; empty where there is nothing to carry.
pub fn carried(carried: Option<Carried>, found: &Found<'_>, language: Language) -> String {
    match carried {
        None => String::new(),
        Some(Carried::Connections(connections)) => {
            let at = number(connections);
            let whole = |value: f64| amount(value * connections, Unit::Bytes, language);
            let of = whole(found.of_value);
            let other = found
                .against
                .map_or_else(String::new, |(_, value)| whole(value));
            match language {
                Language::English => {
                    format!("Carried by the slope to {at} connections: {of} against {other}.")
                }
                Language::Chinese => format!("按斜率推到 {at} 条连接：{of} 对 {other}。"),
            }
        }
        Some(Carried::PenaltyMs(_)) if found.value <= 0.0 => String::new(),
        Some(Carried::PenaltyMs(penalty)) => {
            let (trips, each) = (number(found.value), quantity(penalty / found.value, "ms"));
            let penalty = quantity(penalty, "ms");
            match language {
                Language::English => format!(
                    "Arithmetic: {penalty} are {trips} round trips of {each}, without the work of TLS."
                ),
                Language::Chinese => {
                    format!("算术：{penalty} 等于 {trips} 次 {each} 的往返，不含 TLS 的计算。")
                }
            }
        }
    }
}

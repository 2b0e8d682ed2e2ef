//! The arms and bounds that several claims ask for, each named once.

use super::claim::{Side, Within, Words, words};

/// Where the project has noted a figure and not its place.
pub const UNRECORDED: Words = words(
    "published; the place is not recorded",
    "公开发表过，出处没有记录",
);

/// SSE, tuned.
pub const fn sse(metric: &'static str) -> Side {
    of("sse-h1", &[], metric)
}

/// WebSocket, tuned.
pub const fn ws(metric: &'static str) -> Side {
    of("ws-h1", &[], metric)
}

/// An arm with other levels than the usual ones.
pub const fn of(
    transport: &'static str,
    factors: &'static [(&'static str, &'static str)],
    metric: &'static str,
) -> Side {
    Side {
        transport,
        factors,
        metric,
    }
}

/// A bound on a setting.
pub const fn within(setting: &'static str, least: f64, most: f64) -> Within {
    Within {
        setting,
        least,
        most,
    }
}

/// The margin of memory, 5 %.
pub const MEMORY_MARGIN: f64 = 1.05;

/// The margin of CPU and rates, 10 %.
pub const COST_MARGIN: f64 = 1.1;

/// The margin of a token's time, ms.
pub const TOKEN_MARGIN_MS: f64 = 1.0;

/// The margin of the time to the first token, ms.
pub const FIRST_TOKEN_MARGIN_MS: f64 = 10.0;

/// Between no difference and one: round trips are counted.
pub const HALF: f64 = 0.5;

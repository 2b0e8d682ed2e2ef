//! What a published claim is: what it says, and by which figures it stands or falls.

use serde::Serialize;

/// A text in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

/// Both languages side by side.
pub const fn words(en: &'static str, zh: &'static str) -> Words {
    Words { en, zh }
}

/// Something that somebody published.
#[derive(Debug, Clone)]
pub struct Claim {
    /// `1` to `15` as the project numbers them, `A1` and on for the articles' own.
    pub number: &'static str,
    /// What it says.
    pub statement: Words,
    /// Who said it.
    pub source: Words,
    /// The figure as published.
    pub figure: Words,
    /// Under which conditions, as far as published.
    pub conditions: Words,
    /// What is to be known of our figures beside them.
    pub remark: Words,
    /// How it is decided.
    pub judging: Judging,
}

/// How a claim is decided.
#[derive(Debug, Clone)]
pub enum Judging {
    /// It says several things, and stands if all of them do.
    All(Vec<Part>),
    /// It says one thing, asked at several levels of a knob.
    By {
        /// What the levels are of.
        knob: Words,
        /// A level each.
        parts: Vec<Part>,
    },
    /// Not by anything that is measured here.
    NotHere {
        /// Why, what it would take, and what arithmetic says.
        why: Words,
    },
}

impl Judging {
    /// All figures that are looked at.
    pub fn parts(&self) -> &[Part] {
        match self {
            Self::All(parts) | Self::By { parts, .. } => parts,
            Self::NotHere { .. } => &[],
        }
    }
}

/// One figure and what is expected of it.
#[derive(Debug, Clone)]
pub struct Part {
    /// Of what.
    pub what: Words,
    /// Where it comes from.
    pub ask: Ask,
    /// Where it lies if the claim is right.
    pub expected: Expected,
    /// Whether the verdict rests on it; else it stands beside.
    pub decides: bool,
    /// What it means at another scale.
    pub carried: Option<Carried>,
}

/// Which figure of which run.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The built-in plan that yields it.
    pub plan: &'static str,
    /// Experiment's name.
    pub experiment: &'static str,
    /// What is held against the other.
    pub of: Side,
    /// What it is held against; none where a figure stands alone.
    pub against: Option<Side>,
    /// How one figure is made of both.
    pub scale: Scale,
    /// Of the two figures, and of their difference.
    pub unit: Unit,
    /// What the experiment's workload must be.
    pub within: &'static [Within],
}

/// A metric of an arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    /// The arm's transport.
    pub transport: &'static str,
    /// Its levels where they are not the usual ones.
    pub factors: &'static [(&'static str, &'static str)],
    /// Key in a record's metrics.
    pub metric: &'static str,
}

/// A bound on a setting of the experiment; of a list, its last entry counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Within {
    /// Key in the plan's settings.
    pub setting: &'static str,
    /// At least.
    pub least: f64,
    /// At most.
    pub most: f64,
}

/// How a round's figure is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// One over the other.
    Ratio,
    /// One minus the other.
    Difference,
    /// So many of one.
    Times(f64),
    /// So much divided by one.
    Per(f64),
}

/// What a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Ms,
    /// Microseconds of CPU time.
    Micros,
    /// Times that the client waited for the server.
    RoundTrips,
    /// Writes to a socket.
    Frames,
    /// Messages that went out together.
    Messages,
    /// Events, or deliveries, a second.
    PerSecond,
}

/// Where a figure lies if the claim is right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expected {
    /// In the published range; `null` is where there would be no effect, if the range does not hold it.
    Published {
        /// The lowest figure that rounds to what was published.
        low: f64,
        /// The highest.
        high: f64,
        /// No effect.
        null: Option<f64>,
    },
    /// Above this.
    Above(f64),
    /// Below this.
    Below(f64),
    /// No further from no effect than this.
    Inside {
        /// From.
        low: f64,
        /// To.
        high: f64,
    },
}

/// What a figure means at a scale that is not ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Carried {
    /// Bytes a connection, at so many connections.
    Connections(f64),
    /// Round trips, if they are to take so many milliseconds.
    PenaltyMs(f64),
}

//! The files a run leaves behind, as types: one manifest (`run.json`) and one record a trial.
//!
//! Arms, experiments and metrics are labelled data here, never an enum, so that a new transport or a
//! new experiment needs no change in this crate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calibration::Digest;

/// Version of the manifest's and the records' format; raised when a reader of the old one would err.
pub const FORMAT: u32 = 2;

/// Named facts in a stable order: the machine, versions, effective settings.
pub type Facts = BTreeMap<String, String>;

/// `run.json`: written once, before the first trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Start of the run, UTC, ISO 8601.
    pub started_at: String,
    /// Versions, commit, kernel, CPU, clock source, congestion control, limits, warnings.
    pub environment: Facts,
    /// The newest calibration of the same machine and build; none where there was none.
    #[serde(default)]
    pub calibration: Option<Digest>,
    /// What was asked.
    pub plan: Plan,
}

/// The plan as it was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `quick`, `full`, or the plan file's own name.
    pub name: String,
    /// Seed of the trial order, the arrivals and the turn lengths.
    pub seed: u64,
    /// The question the report answers.
    pub question: String,
    /// Every arm that some experiment names.
    pub arms: Vec<Arm>,
    /// In the order in which the report shows them.
    pub experiments: Vec<Experiment>,
    /// Published statements that the run's effects support or contradict.
    pub claims: Vec<Claim>,
    /// Rounds after which the run looked whether every primary verdict was decided, rising; empty where
    /// the number of rounds was fixed. Every look takes its equal part of the significance.
    #[serde(default)]
    pub looks: Vec<u32>,
    /// Said once on the page: what was shortened, where the load comes from.
    pub notes: Vec<String>,
}

impl Plan {
    /// The rounds that an experiment can come to: those of the last look, else those planned.
    pub fn most_rounds(&self, experiment: &Experiment) -> u32 {
        self.looks.last().copied().unwrap_or(experiment.rounds)
    }
}

/// What is compared: one transport with all its factor levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Unique in the plan.
    pub label: String,
    /// The transport's name, for grouping and colour.
    pub transport: String,
    /// The label of the arm that this one repeats under another name (the A/A control).
    pub control_of: Option<String>,
    /// The label of the arm that this one is held against in place of the experiment's baseline: the
    /// same arm of another build.
    #[serde(default)]
    pub held_against: Option<String>,
    /// Factor levels as asked; the effective ones are in each record.
    pub factors: Facts,
}

/// One question with its own metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// `latency`, `throughput`, …
    pub name: String,
    /// Heading.
    pub title: String,
    /// What it asks, one sentence.
    pub question: String,
    /// Rounds planned.
    pub rounds: u32,
    /// Label of the arm that the others are held against.
    pub baseline: String,
    /// Labels, the baseline and the control among them.
    pub arms: Vec<String>,
    /// The workload's settings, as asked.
    pub settings: Facts,
    /// First the primary one.
    pub metrics: Vec<Metric>,
    /// In the order in which the page shows them.
    pub charts: Vec<Chart>,
    /// Where the arms are no contenders but rows of a screening design.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<Screen>,
}

/// A screening design: which factors at which two levels, and the rows in which they are combined. Every
/// metric of its experiment is screened; a trial's round is its replicate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screen {
    /// The two transports, the baseline's first, as the arms' `transport`.
    pub transports: [String; 2],
    /// In the order of [`ScreenRow::levels`].
    pub factors: Vec<ScreenedFactor>,
    /// All of the design.
    pub rows: Vec<ScreenRow>,
}

/// A factor at two levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenedFactor {
    /// As in [`Arm::factors`], or what several of them are called together.
    pub name: String,
    /// The level from which its effect counts, in words.
    pub low: String,
    /// The other one.
    pub high: String,
    /// The one transport on which it exists; none for both.
    pub only: Option<String>,
}

/// A combination of levels, run on both transports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenRow {
    /// Labels, in the order of [`Screen::transports`].
    pub arms: [String; 2],
    /// −1 low, +1 high, one a factor.
    pub levels: Vec<i8>,
}

/// One figure a trial yields, and the difference that would matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Key in [`Record::metrics`]; carries its unit last (`token_latency_ms_p50`).
    pub name: String,
    /// What a reader calls it.
    pub title: String,
    /// `ms`, `µs`, `bytes`, `1/s`, …
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// The largest difference that does not matter.
    pub margin: f64,
    /// Whether the margin is a difference or a share.
    pub margin_kind: MarginKind,
    /// Why this margin.
    pub margin_reason: String,
    /// One a experiment: the family that Holm's correction spans.
    pub primary: bool,
    /// Factor that turns the unit into milliseconds where the metric is a time a reader waits, so that
    /// its difference can be set against a token gap.
    pub ms_per_unit: Option<f64>,
    /// How many messages the generator's own client reads within the figure, one after another: 0 where
    /// none, as in a time that the server measures, or where a constant cancels out.
    #[serde(default)]
    pub client_messages: u32,
}

/// Which direction is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// How a margin is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginKind {
    /// In the metric's unit.
    Absolute,
    /// A share of the baseline: 0.1 is 10 %.
    Relative,
}

/// A chart of one experiment; `file` is its name below `charts/`, without `.svg`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Chart {
    /// Value at each percentile, a line an arm, both axes logarithmic; histograms of all valid trials
    /// of an arm merged.
    Percentiles {
        /// File name.
        file: String,
        /// Says what is seen, in bold.
        title: String,
        /// Says of what, in grey.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Key in [`Record::histograms`].
        histogram: String,
        /// Recorded value → shown value (histograms hold nanoseconds; 1e-6 shows ms).
        scale: f64,
        /// Of the shown value.
        unit: String,
    },
    /// One figure, every trial a dot, an arm a column, the mean marked.
    Dots {
        /// File name.
        file: String,
        /// In bold.
        title: String,
        /// In grey.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Keys in [`Record::metrics`], one panel each.
        metrics: Vec<String>,
    },
    /// Points of all valid trials with a fitted line an arm.
    Slope {
        /// File name.
        file: String,
        /// In bold.
        title: String,
        /// In grey.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Keys in [`Record::points`], one panel each.
        points: Vec<String>,
        /// Axis titles.
        x_title: String,
        /// With unit, after `scale`.
        y_title: String,
        /// Recorded y → shown y.
        scale: f64,
    },
    /// A step line a trial over time, coloured by arm (first to last valid trial).
    Timeline {
        /// File name.
        file: String,
        /// In bold.
        title: String,
        /// In grey.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Key in [`Record::points`]: `[ms since start, value]`.
        points: String,
        /// Axis title with unit.
        y_title: String,
        /// Key in [`Record::points`] of vertical marks: `[ms, index into mark_titles]`.
        marks: String,
        /// What the marks say.
        mark_titles: Vec<String>,
    },
    /// Not a chart but a table of products: each metric times each factor. Labelled as arithmetic.
    Multiples {
        /// File name, unused by the page.
        file: String,
        /// In bold.
        title: String,
        /// In grey: says that this is arithmetic, not measured.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Keys in [`Record::metrics`].
        metrics: Vec<String>,
        /// What each is multiplied with.
        factors: Vec<f64>,
        /// Unit of a factor, and of the product.
        unit: String,
    },
    /// Figures that add up, a bar an arm: the mean of each over the valid trials, one after the other.
    Stack {
        /// File name.
        file: String,
        /// In bold.
        title: String,
        /// In grey.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Keys in [`Record::metrics`], of one unit.
        parts: Vec<String>,
    },
    /// What each factor of a screen does to one metric, the transport among them, the largest first.
    Tornado {
        /// File name.
        file: String,
        /// In bold.
        title: String,
        /// In grey.
        subtitle: String,
        /// How to read it.
        caption: String,
        /// Key in [`Record::metrics`].
        metric: String,
    },
}

/// A published statement and the effects that decide it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// `lighter`, `lower-latency`, …
    pub name: String,
    /// The statement, as the articles make it.
    pub statement: String,
    /// The effects that bear on it; empty means not decidable by measurement.
    pub evidence: Vec<Evidence>,
    /// Shown beside the ruling: what the measurement can and cannot say.
    pub remark: String,
}

/// One effect that bears on a claim. Verdicts not listed leave it undecided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Experiment's name.
    pub experiment: String,
    /// Metric's name.
    pub metric: String,
    /// The compared arm's label.
    pub arm: String,
    /// Verdicts (of the arm against the baseline) that support the claim.
    pub supported_by: Vec<crate::effect::Verdict>,
    /// Verdicts that contradict it.
    pub contradicted_by: Vec<crate::effect::Verdict>,
}

/// `records/NNNN-….json`: one arm, once, on a fresh server process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Position in the plan's order, from 1.
    pub trial: u32,
    /// Experiment's name.
    pub experiment: String,
    /// Arm's label.
    pub arm: String,
    /// From 1.
    pub round: u32,
    /// From 1; higher where an invalid trial was run again within its round.
    #[serde(default = "first")]
    pub attempt: u32,
    /// UTC, ISO 8601.
    pub started_at: String,
    /// Wall time of the whole trial.
    pub duration_ms: u64,
    /// Effective settings as read back.
    pub settings: Facts,
    /// Figures; `null` where the trial could not yield one (too few samples for a percentile).
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Series of `[x, y]`.
    pub points: BTreeMap<String, Vec<[f64; 2]>>,
    /// The server's and the generator's counters, as they stood at the end.
    pub counters: BTreeMap<String, u64>,
    /// One entry an epoch (a start of the server process).
    pub books: Vec<Books>,
    /// Name → path below the run's directory of an HdrHistogram interval log.
    pub histograms: BTreeMap<String, String>,
    /// Why the trial did not measure what it claims; empty when it did.
    pub invalid: Vec<String>,
    /// Worth knowing, no reason to leave the trial out.
    pub notes: Vec<String>,
}

/// What a record of the first format meant.
fn first() -> u32 {
    1
}

/// Deliveries of one epoch: `owed = received + lost + dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Books {
    /// Over all subscribers, messages published between the first subscription and the last; counted by
    /// the server.
    pub owed: u64,
    /// Distinct messages that reached the client; counted by the client.
    pub received: u64,
    /// Gaps seen by the client.
    pub lost: u64,
    /// Repeats seen by the client.
    pub duplicated: u64,
    /// Of `received`, those that came after a later one; seen by the client.
    #[serde(default)]
    pub reordered: u64,
    /// Discarded by a bound of the server, as told to the client.
    pub dropped: u64,
}

impl Books {
    /// Whether every message owed is accounted for.
    pub fn balanced(&self) -> bool {
        self.owed == self.received + self.lost + self.dropped
    }
}

impl std::ops::AddAssign for Books {
    fn add_assign(&mut self, other: Self) {
        self.owed += other.owed;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.dropped += other.dropped;
    }
}

//! `calibration.json` as types: what the testbed measured of known truths, a check an entry.

mod chart;
mod markdown;
mod page;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Facts;

pub use page::render_calibration;

/// Version of the file's format; raised when a reader of the old one would err.
pub const FORMAT: u32 = 1;

/// Name of the file below the directory of a calibration.
pub const FILE: &str = "calibration.json";

/// The whole outcome of `pushbench calibrate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Start, UTC, ISO 8601.
    pub started_at: String,
    /// Wall time of all checks, seconds.
    pub duration_s: f64,
    /// Whether the counts were reduced.
    pub quick: bool,
    /// Key of the machine it holds for.
    pub machine: String,
    /// Key of the build it holds for.
    pub build: String,
    /// Versions, commit, kernel, CPU, clock source, limits.
    pub environment: Facts,
    /// As in [`Digest::client_us`].
    pub client_us: BTreeMap<String, f64>,
    /// In the order of their numbers.
    pub checks: Vec<Check>,
}

impl Calibration {
    /// Whether every check passed; one without checks has shown nothing.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::passed)
    }

    /// What a run says of it, where there are `of` checks.
    pub fn digest(&self, of: u32) -> Digest {
        let passed = self.checks.iter().filter(|check| check.passed()).count();
        Digest {
            started_at: self.started_at.clone(),
            quick: self.quick,
            passed: u32::try_from(passed).unwrap_or(u32::MAX),
            of,
            client_us: self.client_us.clone(),
        }
    }
}

/// What a run says of the calibration it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// When the calibration began, UTC, ISO 8601.
    pub started_at: String,
    /// Whether its counts were reduced.
    pub quick: bool,
    /// Checks that passed.
    pub passed: u32,
    /// Checks that there are: one that was not made has not passed.
    pub of: u32,
    /// What the generator's own client adds to each message, by transport, microseconds: an effect
    /// between two transports holds the difference.
    pub client_us: BTreeMap<String, f64>,
}

/// One property of the testbed, held against a truth that it did not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// From 1.
    pub number: u32,
    /// For `--only`: `delay`, `stall`, …
    pub name: String,
    /// Heading.
    pub title: String,
    /// What is injected, what is measured, and what a failure would mean; a few sentences.
    pub method: String,
    /// How much was measured: messages, trials, resamples; of a reduced count, that it is one.
    pub counts: String,
    /// At least one.
    pub rows: Vec<Row>,
    /// Truth and measurement, drawn.
    pub picture: Option<Picture>,
    /// What a reader of the rows should know, such as why one was not met.
    pub note: String,
}

impl Check {
    /// Whether every row passed; a check without rows has shown nothing.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.pass)
    }
}

/// One comparison of a measurement with a truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Of what: `ws-h1, 5 ms, p50`.
    pub subject: String,
    /// What was injected, with its unit.
    pub truth: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// How far the two may lie apart, with its unit.
    pub tolerance: String,
    /// Whether they do not.
    pub pass: bool,
}

/// A chart of points and lines over two axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Says what is seen, in bold.
    pub title: String,
    /// Says of what, in grey.
    pub subtitle: String,
    /// How to read it.
    pub caption: String,
    /// Axis titles with unit.
    pub x_title: String,
    /// Axis titles with unit.
    pub y_title: String,
    /// Whether the axis is logarithmic; its values are above 0 then.
    pub x_logarithmic: bool,
    /// Whether the axis is logarithmic; its values are above 0 then.
    pub y_logarithmic: bool,
    /// In the order of the legend.
    pub series: Vec<Series>,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// How it is drawn.
    pub look: Look,
    /// `[x, y]`.
    pub points: Vec<[f64; 2]>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Measured: a dot a point.
    Dots,
    /// Measured: a line through the points.
    Line,
    /// The truth, or a tolerance's edge: a dashed grey line.
    Truth,
}

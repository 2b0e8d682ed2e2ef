//! An effect: one arm against the baseline in one metric, with its interval and verdict.

use serde::{Deserialize, Serialize};

use crate::record::MarginKind;
use crate::statistics::Level;

/// What the interval and the test say together (decided in this order, docs/reference/method.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval lies wholly inside the margin.
    Equivalent,
    /// The interval excludes no effect, Holm's p is at most the significance, and the arm beats the baseline.
    Better,
    /// The same, and the baseline beats the arm.
    Worse,
    /// Neither; never to be read as "no difference".
    Inconclusive,
}

/// A row of `effects` in `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Experiment's name.
    pub experiment: String,
    /// Metric's name.
    pub metric: String,
    /// Of values, differences and absolute margins.
    pub unit: String,
    /// Label of the baseline.
    pub baseline: String,
    /// Label of the arm held against it.
    pub arm: String,
    /// Geometric mean over the rounds counted (arithmetic where a value is 0 or the margin absolute);
    /// null without a valid round.
    pub baseline_value: Option<f64>,
    /// The same of the arm.
    pub arm_value: Option<f64>,
    /// Rounds in which both arms were valid and yielded the metric; between two runs, and between two levels
    /// of a screen, the smaller number of trials that did.
    pub rounds: u32,
    /// What the effect is judged at: 0.05, or less where the run looked more than once. Every interval
    /// covers 1 − it.
    pub significance: Level,
    /// Geometric mean of the ratios arm/baseline within rounds; null where undefined.
    pub ratio: Option<f64>,
    /// Low end of its interval.
    pub ratio_low: Option<f64>,
    /// High end of its interval.
    pub ratio_high: Option<f64>,
    /// Mean of the differences arm − baseline within rounds.
    pub difference: Option<f64>,
    /// Low end of its interval.
    pub difference_low: Option<f64>,
    /// High end of its interval.
    pub difference_high: Option<f64>,
    /// The largest difference that does not matter.
    pub margin: f64,
    /// Whether the margin is a difference or a share.
    pub margin_kind: MarginKind,
    /// Whether it belongs to Holm's family.
    pub primary: bool,
    /// Two-sided p of Student's t, unadjusted; null below two rounds.
    pub p: Option<f64>,
    /// Holm's p within the family; null for exploratory metrics.
    pub p_holm: Option<f64>,
    /// Hodges–Lehmann estimate with its exact Wilcoxon interval, from 6 rounds; on ratios or on
    /// differences as the margin is.
    pub hodges_lehmann: Option<[f64; 3]>,
    /// Whether Hodges–Lehmann's interval and Student's disagree about "no effect".
    pub disagreement: bool,
    /// What was decided.
    pub verdict: Verdict,
    /// The number of rounds that would likely bring a verdict, from the estimate and the spread just seen;
    /// null where there is a verdict, no spread, or more than 1,000 rounds would be needed, and between two
    /// runs.
    pub rounds_to_decide: Option<u32>,
    /// The verdict in words, with what the difference means beside a token gap.
    pub sentence: String,
}

//! Effects as rows of text, alike for the page, the Markdown summary and the terminal.

use crate::answer::title;
use crate::effect::{Effect, Verdict};
use crate::language::Language;
use crate::quantity::{percent, quantity, ratios, signed_span};
use crate::record::Plan;
use crate::sentence::far_end;
use crate::statistics::Level;
use crate::verdict::Scale;

/// What stands in a cell that has no figure.
pub const NOTHING: &str = "–";

/// One effect, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Experiment's title.
    pub experiment: String,
    /// Metric's title.
    pub metric: String,
    /// Baseline's label.
    pub baseline: String,
    /// Its value with unit.
    pub baseline_value: String,
    /// Arm's label.
    pub arm: String,
    /// Its value with unit.
    pub arm_value: String,
    /// Rounds counted.
    pub rounds: u32,
    /// Paired ratio.
    pub ratio: String,
    /// Its interval.
    pub ratio_span: String,
    /// Absolute difference.
    pub difference: String,
    /// Its interval.
    pub difference_span: String,
    /// Far end of the control's interval: what two equal arms differ by on this machine.
    pub floor: String,
    /// What was decided.
    pub verdict: Verdict,
    /// The verdict in words, beside a token gap.
    pub sentence: String,
    /// Whether it belongs to Holm's family.
    pub primary: bool,
}

impl Row {
    /// The verdict in a word.
    pub fn verdict_word(&self) -> &'static str {
        word(self.verdict, Language::English)
    }
}

/// A verdict in a word.
pub fn word(verdict: Verdict, language: Language) -> &'static str {
    match verdict {
        Verdict::Better => language.of("better", "更好"),
        Verdict::Worse => language.of("worse", "更差"),
        Verdict::Equivalent => language.of("equivalent", "等效"),
        Verdict::Inconclusive => language.of("inconclusive", "无定论"),
    }
}

/// Every effect in the order given; titles are the plan's.
pub fn rows(plan: &Plan, effects: &[Effect], noise_floor: &[Effect]) -> Vec<Row> {
    let row = |effect| row(plan, effect, noise_floor);
    effects.iter().map(row).collect()
}

fn row(plan: &Plan, effect: &Effect, noise_floor: &[Effect]) -> Row {
    let value = |value: Option<f64>| match value {
        Some(value) => quantity(value, &effect.unit),
        None => NOTHING.to_owned(),
    };
    let (ratio, ratio_span) = match (effect.ratio, effect.ratio_low, effect.ratio_high) {
        (Some(ratio), Some(low), Some(high)) => {
            let [ratio, low, high] = ratios([ratio, low, high]);
            (ratio, format!("{low} to {high}"))
        }
        (Some(ratio), ..) => (ratios([ratio])[0].clone(), NOTHING.to_owned()),
        (None, ..) => (NOTHING.to_owned(), NOTHING.to_owned()),
    };
    let difference = match effect.difference {
        Some(value) => signed_span(value, value, &effect.unit),
        None => NOTHING.to_owned(),
    };
    let span = match (effect.difference_low, effect.difference_high) {
        (Some(low), Some(high)) => signed_span(low, high, &effect.unit),
        _ => NOTHING.to_owned(),
    };
    let experiment = plan
        .experiments
        .iter()
        .find(|own| own.name == effect.experiment);
    Row {
        experiment: experiment
            .map_or(&effect.experiment, |own| &own.title)
            .clone(),
        metric: title(plan, effect).to_owned(),
        baseline: effect.baseline.clone(),
        baseline_value: value(effect.baseline_value),
        arm: effect.arm.clone(),
        arm_value: value(effect.arm_value),
        rounds: effect.rounds,
        ratio,
        ratio_span,
        difference,
        difference_span: span,
        floor: floor(effect, noise_floor),
        verdict: effect.verdict,
        sentence: effect.sentence.clone(),
        primary: effect.primary,
    }
}

/// The far end of the controls' intervals on the scale on which the effect is judged, as its sentence
/// says it.
fn floor(effect: &Effect, noise_floor: &[Effect]) -> String {
    let scale = Scale::of(effect.margin_kind, effect.ratio.is_some());
    let far = noise_floor
        .iter()
        .filter(|control| {
            control.experiment == effect.experiment && control.metric == effect.metric
        })
        .filter_map(|control| far_end(control, scale))
        .reduce(f64::max);
    match (far, scale) {
        (None, _) => NOTHING.to_owned(),
        (Some(times), Scale::Ratio) => percent(times - 1.0),
        (Some(difference), Scale::Difference) => quantity(difference, &effect.unit),
    }
}

/// The verdicts as plain text for a terminal: the primary metrics, and those others that differ; the
/// rest is counted. Labels lose what could move a cursor.
pub fn plain(rows: &[Row], level: Level) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let difference = format!("difference ({})", level.words());
    let header = [
        "",
        "metric",
        "arm",
        "against",
        "ratio",
        &difference,
        "A/A",
        "verdict",
    ];
    let mut lines: Vec<Vec<String>> = vec![header.iter().map(|cell| (*cell).to_owned()).collect()];
    let (primary, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.primary);
    let (differing, rest): (Vec<&Row>, Vec<&Row>) = others
        .into_iter()
        .partition(|row| matches!(row.verdict, Verdict::Better | Verdict::Worse));
    for row in primary.into_iter().chain(differing) {
        let cells = [
            if row.primary { "*" } else { "" },
            &row.metric,
            &format!("{} {}", row.arm, row.arm_value),
            &format!("{} {}", row.baseline, row.baseline_value),
            &row.ratio,
            &row.difference_span,
            &row.floor,
            row.verdict_word(),
        ];
        lines.push(cells.iter().map(|cell| printable(cell)).collect());
    }
    let mut out = aligned(&lines);
    out.push_str("* primary metric of its experiment; the others are exploratory\n");
    if !rest.is_empty() {
        let of = |verdict| rest.iter().filter(|row| row.verdict == verdict).count();
        out.push_str(&format!(
            "exploratory and not shown: {} equivalent, {} inconclusive\n",
            of(Verdict::Equivalent),
            of(Verdict::Inconclusive)
        ));
    }
    out
}

pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// Without control characters, which a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

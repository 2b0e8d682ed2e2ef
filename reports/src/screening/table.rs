//! A screen's effects as rows of text, alike for the page, the Markdown summary and the terminal.

use super::{ScreenedEffect, ScreenedMetric, Screening, size};
use crate::effect::Verdict;
use crate::language::Language;
use crate::quantity::{ratios, rough, signed_span};
use crate::record::{Metric, Plan};
use crate::table::{NOTHING, aligned, printable, word};
use crate::verdict::Scale;

/// One metric's effects, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Metric's title.
    pub title: String,
    /// What outranks the transport.
    pub ranking: String,
    /// What it was found from.
    pub basis: String,
    /// The largest effect first.
    pub lines: Vec<Line>,
}

/// One factor's effect, or the transport's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Factor's name, or that it is the transport.
    pub factor: String,
    /// `off → on`.
    pub levels: String,
    /// On which transport alone, or nothing.
    pub only: String,
    /// High against low.
    pub effect: String,
    /// Its interval.
    pub span: String,
    /// Holm's p.
    pub p: String,
    /// The effect on the second transport against that on the first.
    pub interaction: String,
    /// Its interval.
    pub interaction_span: String,
    /// The effect on either transport where it differs, else nothing.
    pub by_transport: String,
    /// What was decided.
    pub verdict: Verdict,
    /// In words.
    pub sentence: String,
}

impl Line {
    /// The verdict in a word.
    pub fn verdict_word(&self) -> &'static str {
        word(self.verdict, Language::English)
    }
}

/// A table for each metric of a screen; titles are the plan's.
pub fn tables(plan: &Plan, screening: &Screening) -> Vec<Table> {
    let experiment = plan
        .experiments
        .iter()
        .find(|own| own.name == screening.experiment);
    let metrics = experiment.into_iter().flat_map(|own| &own.metrics);
    let named = metrics.zip(&screening.metrics);
    named
        .map(|(metric, own)| table(metric, own, &screening.transports))
        .collect()
}

fn table(metric: &Metric, screened: &ScreenedMetric, transports: &[String; 2]) -> Table {
    let line = |own| line(own, screened.scale, &metric.unit, transports);
    Table {
        title: metric.title.clone(),
        ranking: screened.ranking.clone(),
        basis: format!(
            "{} trials; the noise is that of replicates of one row on one transport, with {} degrees of freedom. \
             The transport's effect is that halfway between the levels of every factor.",
            screened.trials, screened.degrees_of_freedom
        ),
        lines: screened.effects.iter().map(line).collect(),
    }
}

fn line(own: &ScreenedEffect, scale: Scale, unit: &str, transports: &[String; 2]) -> Line {
    let [interaction, interaction_span, by_transport] = interaction(own, scale, unit, transports);
    let span = match own.interval(scale) {
        Some([low, high]) => span(scale, low, high, unit),
        None => NOTHING.to_owned(),
    };
    let effect = own.value(scale).map(|value| size(scale, value, unit));
    Line {
        factor: own
            .factor
            .as_deref()
            .unwrap_or("transport")
            .replace('_', " "),
        levels: format!("{} → {}", own.low, own.high),
        only: own
            .only
            .as_ref()
            .map(|only| format!("on {only} only"))
            .unwrap_or_default(),
        effect: effect.unwrap_or_else(|| NOTHING.to_owned()),
        span,
        p: own
            .effect
            .p_holm
            .map_or_else(|| NOTHING.to_owned(), p_value),
        interaction,
        interaction_span,
        by_transport,
        verdict: own.effect.verdict,
        sentence: own.effect.sentence.clone(),
    }
}

/// The interaction, its interval, and where it differs the effect on either transport.
fn interaction(
    own: &ScreenedEffect,
    scale: Scale,
    unit: &str,
    transports: &[String; 2],
) -> [String; 3] {
    let Some(own) = &own.interaction else {
        return [NOTHING.to_owned(), String::new(), String::new()];
    };
    let span = own
        .low
        .zip(own.high)
        .map(|(low, high)| span(scale, low, high, unit));
    let [first, second] = own.on.map(|value| size(scale, value, unit));
    let [on_first, on_second] = transports;
    let each = format!("{first} on {on_first}, {second} on {on_second}");
    [
        size(scale, own.value, unit),
        span.unwrap_or_else(|| NOTHING.to_owned()),
        if own.differs { each } else { String::new() },
    ]
}

fn span(scale: Scale, low: f64, high: f64, unit: &str) -> String {
    match scale {
        Scale::Ratio => {
            let [low, high] = ratios([low, high]);
            format!("×{low} to ×{high}")
        }
        Scale::Difference => signed_span(low, high, unit),
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        "below 0.001".to_owned()
    } else {
        rough(p)
    }
}

/// The effects as plain text for a terminal: those that were decided, and the transport's.
pub fn plain(tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        let (shown, rest): (Vec<&Line>, Vec<&Line>) = table.lines.iter().partition(|line| {
            matches!(line.verdict, Verdict::Better | Verdict::Worse) || line.factor == "transport"
        });
        let cells = |line: &&Line| {
            let cells = [
                &line.factor,
                &line.levels,
                &line.only,
                &line.effect,
                &line.span,
            ];
            let cells = cells
                .into_iter()
                .map(String::as_str)
                .chain([line.verdict_word()]);
            cells.map(printable).collect()
        };
        let lines: Vec<Vec<String>> = shown.iter().map(cells).collect();
        out.push_str(&format!(
            "\n{}\n{}",
            printable(&table.title),
            aligned(&lines)
        ));
        let of = |verdict| rest.iter().filter(|line| line.verdict == verdict).count();
        out.push_str(&format!(
            "not shown: {} equivalent, {} inconclusive\n",
            of(Verdict::Equivalent),
            of(Verdict::Inconclusive)
        ));
    }
    out
}

//! `index.html`: everything a run found, on one page that needs neither network nor script.

use askama::Template;

use crate::accounting::Account;
use crate::estimate::level;
use crate::link::link;
use crate::preface::{calibration, looks, noise_of_screens, warnings};
use crate::quantity::{grouped, percent, quantity};
use crate::read::{RECORDS, Run};
use crate::record::{Experiment, MarginKind, Metric};
use crate::screening::table::{Table, tables};
use crate::section::Figure;
use crate::settings::{Comparison, compare};
use crate::summary::Summary;
use crate::table::{Row, rows};

/// What the template shows.
#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    summary: &'a Summary,
    started_at: &'a str,
    sure: String,
    looks: Option<String>,
    noise_of_screens: Option<String>,
    calibration: String,
    warnings: Vec<String>,
    primary: Vec<Row>,
    sections: Vec<Section<'a>>,
    remarks: Vec<(String, usize)>,
}

/// One experiment.
struct Section<'a> {
    experiment: &'a Experiment,
    exploratory: Vec<Row>,
    figures: &'a [Figure],
    /// Where the experiment is a screen: a table a metric.
    screened: Vec<Table>,
    settings: Comparison,
    files: Vec<TrialFiles>,
}

/// One trial's raw files: name and address.
struct TrialFiles {
    trial: u32,
    round: u32,
    attempt: u32,
    arm: String,
    valid: bool,
    files: Vec<(String, String)>,
}

/// A piece of prose; names stand between backticks there.
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) code: bool,
}

/// The whole page. `charts` holds the figures of each experiment in the plan's order.
///
/// # Errors
/// Whatever the template engine reports; into memory it has no reason to.
pub fn page(run: &Run, summary: &Summary, charts: &[Vec<Figure>]) -> Result<String, askama::Error> {
    let plan = &summary.plan;
    let (primary, exploratory): (Vec<Row>, Vec<Row>) =
        rows(plan, &summary.effects, &summary.noise_floor)
            .into_iter()
            .partition(|row| row.primary);
    let of = |experiment: &Experiment| {
        let own = exploratory
            .iter()
            .filter(|row| row.experiment == experiment.title);
        own.cloned().collect()
    };
    let sections = plan
        .experiments
        .iter()
        .zip(charts)
        .map(|(experiment, figures)| Section {
            experiment,
            exploratory: of(experiment),
            figures,
            screened: screened(summary, experiment),
            settings: compare(experiment, &run.records),
            files: files(run, experiment),
        });
    Page {
        summary,
        sure: level(plan).words(),
        looks: looks(plan, &run.records),
        noise_of_screens: noise_of_screens(plan),
        calibration: calibration(&run.manifest),
        started_at: &run.manifest.started_at,
        warnings: warnings(&run.manifest, &run.records, &summary.effects),
        primary,
        sections: sections.collect(),
        remarks: remarks(run),
    }
    .render()
}

fn screened(summary: &Summary, experiment: &Experiment) -> Vec<Table> {
    let own = summary
        .screens
        .iter()
        .filter(|own| own.experiment == experiment.name);
    own.flat_map(|own| tables(&summary.plan, own)).collect()
}

fn files(run: &Run, experiment: &Experiment) -> Vec<TrialFiles> {
    let own = run.records.iter().zip(&run.record_files);
    own.filter(|(record, _)| record.experiment == experiment.name)
        .map(|(record, file)| {
            let mut files = vec![("record".to_owned(), link(&format!("{RECORDS}/{file}")))];
            files.extend(
                record
                    .histograms
                    .iter()
                    .map(|(name, path)| (name.clone(), link(path))),
            );
            TrialFiles {
                trial: record.trial,
                round: record.round,
                attempt: record.attempt,
                arm: record.arm.clone(),
                valid: record.invalid.is_empty(),
                files,
            }
        })
        .collect()
}

/// Each different note of the trials, with how many of them carry it, in order of appearance.
fn remarks(run: &Run) -> Vec<(String, usize)> {
    let mut remarks: Vec<(String, usize)> = Vec::new();
    for note in run.records.iter().flat_map(|record| &record.notes) {
        match remarks.iter_mut().find(|(known, _)| known == note) {
            Some((_, count)) => *count += 1,
            None => remarks.push((note.clone(), 1)),
        }
    }
    remarks
}

pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return vec![Piece { text, code: false }];
    }
    let piece = |(position, text)| Piece {
        text,
        code: position % 2 == 1,
    };
    parts.into_iter().enumerate().map(piece).collect()
}

/// Tables of more rows than this are folded: a screen has some fifty arms, and who reads on must get past.
const ROWS_SHOWN: usize = 24;

/// Whether a table of so many rows stands open.
fn is_short(rows: usize) -> bool {
    rows <= ROWS_SHOWN
}

/// The margin as a share or with its unit.
fn margin(metric: &Metric) -> String {
    match metric.margin_kind {
        MarginKind::Relative => percent(metric.margin),
        MarginKind::Absolute => quantity(metric.margin, &metric.unit),
    }
}

/// Owed, received, lost, duplicated, dropped.
fn counts(account: &Account) -> [String; 5] {
    let books = account.books;
    [
        books.owed,
        books.received,
        books.lost,
        books.duplicated,
        books.dropped,
    ]
    .map(grouped)
}

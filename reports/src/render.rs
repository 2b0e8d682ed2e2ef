//! From a run's directory to its report, beside the records: the whole crate in one call.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::chart::canvas::ChartError;
use crate::dictionary::Dictionary;
use crate::effect::Effect;
use crate::estimate::level;
use crate::language::Language;
use crate::markdown::markdown;
use crate::page::page;
use crate::read::{ReadError, read};
use crate::screening::table;
use crate::section::{Figure, figures as sections};
use crate::summary::Summary;
use crate::table::{plain, rows};
use crate::trials_csv::trials_csv;

/// What a caller may want to print.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// What the run found, in one or two sentences.
    pub answer: String,
    /// The verdicts as plain text.
    pub table: String,
    /// What it was found from: the effects of `summary.json`.
    pub effects: Vec<Effect>,
    /// As written to `summary.json`.
    pub summary_json: String,
    /// The page.
    pub index: PathBuf,
}

/// Why there is no report; nothing was overwritten unless writing itself failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The directory is not a whole run.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A chart could not be drawn.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The page's template failed.
    #[error("cannot fill in the page: {0}; please report this as a defect")]
    Page(#[from] askama::Error),
    /// The table of trials failed.
    #[error("cannot write trials.csv: {0}; please report this as a defect")]
    Csv(#[from] csv::Error),
    /// The summary failed.
    #[error("cannot write summary.json: {0}; please report this as a defect")]
    Json(#[from] serde_json::Error),
    /// The operating system refused a file.
    #[error("cannot write {path}: {source}; check free space and permissions")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Reads the run in `dir` and writes `index.html`, `summary.md`, `summary.json`, `trials.csv` and
/// `charts/*.svg` into it, each chart also in Chinese (`*.zh.svg`), what the plan says there as `dictionary`
/// has it. The same records give the same bytes: nothing depends on a clock or on the
/// order of a hash. All files are ready in memory before the first is written, and each replaces its
/// predecessor in one step.
///
/// # Errors
/// [`RenderError`], naming the file and the remedy.
pub fn render(dir: &Path, dictionary: &Dictionary) -> Result<Rendered, RenderError> {
    let run = read(dir)?;
    let summary = Summary::new(&run);
    let figures = sections(&run, &summary.plan, &summary.screens, Language::English)?;
    let in_chinese = dictionary.plan(&summary.plan);
    let chinese = sections(&run, &in_chinese, &summary.screens, Language::Chinese)?;
    let summary_json = serde_json::to_string_pretty(&summary)? + "\n";
    let mut files = vec![
        ("trials.csv".to_owned(), trials_csv(&run.records)?),
        ("summary.json".to_owned(), summary_json.clone().into_bytes()),
        (
            "summary.md".to_owned(),
            markdown(&run, &summary, &figures).into_bytes(),
        ),
    ];
    files.extend(
        figures
            .iter()
            .chain(&chinese)
            .flatten()
            .filter_map(chart_file),
    );
    // The page last: whoever finds it finds all it links to.
    files.push((
        "index.html".to_owned(),
        page(&run, &summary, &figures)?.into_bytes(),
    ));
    for (name, bytes) in &files {
        write(&dir.join(name), bytes)?;
    }
    Ok(Rendered {
        answer: summary.answer.clone(),
        table: tables(&summary),
        effects: summary.effects,
        summary_json,
        index: dir.join("index.html"),
    })
}

/// What the terminal shows: the compared arms, then each screen.
fn tables(summary: &Summary) -> String {
    let plan = &summary.plan;
    let rows = rows(plan, &summary.effects, &summary.noise_floor);
    let mut out = plain(&rows, level(plan));
    for screen in &summary.screens {
        out.push_str(&table::plain(&table::tables(plan, screen)));
    }
    out
}

fn chart_file(figure: &Figure) -> Option<(String, Vec<u8>)> {
    match figure {
        Figure::Drawn { path, svg, .. } => Some((path.clone(), svg.clone().into_bytes())),
        Figure::Products(_) | Figure::Absent { .. } => None,
    }
}

/// Through a second name, so that a reader never meets half a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RenderError> {
    let refused = |source| RenderError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(refused)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    fs::write(&unfinished, bytes).map_err(refused)?;
    fs::rename(&unfinished, path).map_err(refused)
}

//! A run's directory, read whole and checked before anything is computed from it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::histograms::{Histograms, read_log};
use crate::record::{Chart, FORMAT, Manifest, Plan, Record};
use crate::screening::flaw;

/// Name of the manifest below a run's directory.
pub const MANIFEST: &str = "run.json";

/// Folder of the records below a run's directory.
pub const RECORDS: &str = "records";

/// A run as it was found.
#[derive(Debug)]
pub struct Run {
    /// What was asked, and of which machine.
    pub manifest: Manifest,
    /// In the order of their trials and attempts.
    pub records: Vec<Record>,
    /// File name of each record below [`RECORDS`], in the same order.
    pub record_files: Vec<String>,
    /// What the valid trials recorded.
    pub histograms: Histograms,
}

/// Why a directory cannot be reported on; each sentence ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such directory.
    #[error("{0} is not a directory; name the directory that `pushbench run` printed")]
    NoDirectory(PathBuf),
    /// A directory without a manifest.
    #[error("{0} holds no {MANIFEST}, so it is not the directory of a run; name one that is")]
    NoManifest(PathBuf),
    /// The operating system refused.
    #[error("cannot read {path}: {source}; check its permissions")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Written by another version.
    #[error(
        "{path} has format {found}, this pushbench reads formats up to {FORMAT}; render it with the version that wrote it"
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// A manifest that is not one.
    #[error(
        "{path} does not parse: {reason}; restore it from a copy, without it the records have no plan"
    )]
    BadManifest {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A record cut short or changed.
    #[error(
        "{path} is truncated or not a record: {reason}; move it out of `{RECORDS}/` to report without that trial"
    )]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A record of another run.
    #[error(
        "{path} belongs to another run: {MANIFEST} knows no {what}; move it out of `{RECORDS}/`"
    )]
    ForeignRecord {
        /// The file.
        path: PathBuf,
        /// The experiment or arm it names.
        what: String,
    },
    /// A histogram that a record names cannot be used.
    #[error(
        "{path}, named by {record}, is not a readable histogram: {reason}; restore it, or move the record out of `{RECORDS}/`"
    )]
    BadHistogram {
        /// The log.
        path: PathBuf,
        /// The record's file name.
        record: String,
        /// What is wrong.
        reason: String,
    },
    /// A chart whose name is no file name, or is used twice.
    #[error(
        "{path} names a chart `{name}`, which is {why}; give each chart a name of its own, of letters, digits, `-` and `_`"
    )]
    BadChartName {
        /// The manifest.
        path: PathBuf,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A screen that is no design.
    #[error(
        "{path} has a screen in `{experiment}` that is no design: {why}; restore it from a copy"
    )]
    BadScreen {
        /// The manifest.
        path: PathBuf,
        /// The experiment.
        experiment: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads the manifest, every record and every histogram that a valid record names. A run that was
/// stopped is read as far as it came; a file that does not parse is an error, never left out silently.
///
/// # Errors
/// [`ReadError`], naming the file and the remedy.
pub fn read(dir: &Path) -> Result<Run, ReadError> {
    if !dir.is_dir() {
        return Err(ReadError::NoDirectory(dir.to_owned()));
    }
    let manifest = manifest(dir)?;
    let mut found = Vec::new();
    for file in record_files(dir)? {
        let record = record(&dir.join(RECORDS).join(&file), &manifest.plan)?;
        found.push((record, file));
    }
    found.sort_by(|(a, a_file), (b, b_file)| {
        (a.trial, a.attempt, a_file).cmp(&(b.trial, b.attempt, b_file))
    });
    let mut histograms = Histograms::default();
    for (record, file) in found.iter().filter(|(record, _)| record.invalid.is_empty()) {
        for (name, path) in &record.histograms {
            let bad = |reason| ReadError::BadHistogram {
                path: dir.join(path),
                record: file.clone(),
                reason,
            };
            let own = read_log(dir, path).map_err(bad)?;
            histograms.merge(record, name, &own).map_err(bad)?;
        }
    }
    let (records, record_files) = found.into_iter().unzip();
    Ok(Run {
        manifest,
        records,
        record_files,
        histograms,
    })
}

fn manifest(dir: &Path) -> Result<Manifest, ReadError> {
    let path = dir.join(MANIFEST);
    if !path.exists() {
        return Err(ReadError::NoManifest(dir.to_owned()));
    }
    let bad = |path: &Path, reason| ReadError::BadManifest {
        path: path.to_owned(),
        reason,
    };
    let manifest: Manifest = parse(&path, bad)?;
    check_chart_names(&path, &manifest.plan)?;
    check_screens(&path, &manifest.plan)?;
    Ok(manifest)
}

fn record(path: &Path, plan: &Plan) -> Result<Record, ReadError> {
    let bad = |path: &Path, reason| ReadError::BadRecord {
        path: path.to_owned(),
        reason,
    };
    let record: Record = parse(path, bad)?;
    let foreign = |what| ReadError::ForeignRecord {
        path: path.to_owned(),
        what,
    };
    if !plan
        .experiments
        .iter()
        .any(|experiment| experiment.name == record.experiment)
    {
        return Err(foreign(format!("experiment `{}`", record.experiment)));
    }
    if !plan.arms.iter().any(|arm| arm.label == record.arm) {
        return Err(foreign(format!("arm `{}`", record.arm)));
    }
    Ok(record)
}

/// Parses a JSON file after a look at its format, so that a file of another version is called that and
/// not broken.
fn parse<T: DeserializeOwned>(
    path: &Path,
    bad: impl Fn(&Path, String) -> ReadError,
) -> Result<T, ReadError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => bad(path, source.to_string()),
        _ => unreadable(path, source),
    })?;
    let Format { format } =
        serde_json::from_str(&text).map_err(|error| bad(path, error.to_string()))?;
    // What a newer format adds, an older file left out.
    if !(1..=u64::from(FORMAT)).contains(&format) {
        return Err(ReadError::OtherFormat {
            path: path.to_owned(),
            found: format,
        });
    }
    serde_json::from_str(&text).map_err(|error| bad(path, error.to_string()))
}

/// Names of the finished records; a run stopped before its first trial has none. Files of another
/// ending are a writer's unfinished ones.
fn record_files(dir: &Path) -> Result<Vec<String>, ReadError> {
    let folder = dir.join(RECORDS);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| unreadable(&folder, source))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| unreadable(&folder, source))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, source: io::Error) -> ReadError {
    ReadError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn check_chart_names(path: &Path, plan: &Plan) -> Result<(), ReadError> {
    let mut seen = BTreeSet::new();
    for chart in plan
        .experiments
        .iter()
        .flat_map(|experiment| &experiment.charts)
    {
        let name = file_name(chart);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let why = if name.is_empty() || !name.chars().all(plain) {
            "no plain file name"
        } else if !seen.insert(name) {
            "used twice"
        } else {
            continue;
        };
        return Err(ReadError::BadChartName {
            path: path.to_owned(),
            name: name.to_owned(),
            why,
        });
    }
    Ok(())
}

fn check_screens(path: &Path, plan: &Plan) -> Result<(), ReadError> {
    for experiment in &plan.experiments {
        let screen = experiment.screen.as_ref();
        if let Some(why) = screen.and_then(|screen| flaw(screen, experiment)) {
            return Err(ReadError::BadScreen {
                path: path.to_owned(),
                experiment: experiment.name.clone(),
                why,
            });
        }
    }
    Ok(())
}

/// The chart's name below `charts/`, without its ending.
pub fn file_name(chart: &Chart) -> &str {
    match chart {
        Chart::Percentiles { file, .. }
        | Chart::Dots { file, .. }
        | Chart::Slope { file, .. }
        | Chart::Timeline { file, .. }
        | Chart::Multiples { file, .. }
        | Chart::Stack { file, .. }
        | Chart::Tornado { file, .. } => file,
    }
}

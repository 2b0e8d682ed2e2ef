//! `trials.csv`: a line a trial with its figures, for spreadsheets and notebooks.

use std::collections::BTreeSet;

use crate::record::{Books, Record};

/// Columns before the metrics.
const FIXED: [&str; 14] = [
    "trial",
    "experiment",
    "arm",
    "round",
    "attempt",
    "started_at",
    "duration_ms",
    "valid",
    "invalid_because",
    "owed",
    "received",
    "lost",
    "duplicated",
    "dropped",
];

/// The whole file: fixed columns, then every metric that some trial has, in alphabetical order; a
/// figure a trial has not is left empty.
///
/// # Errors
/// Whatever the writer reports; into memory it has no reason to.
pub fn trials_csv(records: &[Record]) -> Result<Vec<u8>, csv::Error> {
    let metrics: BTreeSet<&str> = records
        .iter()
        .flat_map(|record| record.metrics.keys().map(String::as_str))
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(FIXED.iter().chain(&metrics))?;
    for record in records {
        writer.write_record(line(record, &metrics))?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

fn line(record: &Record, metrics: &BTreeSet<&str>) -> Vec<String> {
    let mut books = Books::default();
    record.books.iter().for_each(|epoch| books += *epoch);
    let mut cells = vec![
        record.trial.to_string(),
        record.experiment.clone(),
        record.arm.clone(),
        record.round.to_string(),
        record.attempt.to_string(),
        record.started_at.clone(),
        record.duration_ms.to_string(),
        record.invalid.is_empty().to_string(),
        record.invalid.join("; "),
        books.owed.to_string(),
        books.received.to_string(),
        books.lost.to_string(),
        books.duplicated.to_string(),
        books.dropped.to_string(),
    ];
    cells.extend(metrics.iter().map(|metric| {
        let figure = record.metrics.get(*metric).copied().flatten();
        figure.map(|value| value.to_string()).unwrap_or_default()
    }));
    cells
}

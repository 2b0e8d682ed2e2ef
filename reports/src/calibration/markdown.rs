//! `calibration.md`: the page's tables for a terminal or a pull request.

use super::{Calibration, Check};
use crate::markdown::{block, plain, prose, table};

/// The whole file; `charts` holds the path of each check's chart, where it has one.
pub fn markdown(calibration: &Calibration, answer: &str, charts: &[Option<String>]) -> String {
    let mut out = format!("# Calibration\n\n{}\n", prose(answer));
    let summary = calibration.checks.iter().map(|check| {
        let counts = prose(&check.counts);
        [
            check.number.to_string(),
            plain(&check.title),
            result(check.passed()).to_owned(),
            counts,
        ]
    });
    table(&mut out, &["", "Check", "Result", "Measured"], summary);
    for (check, chart) in calibration.checks.iter().zip(charts) {
        section(&mut out, check, chart.as_deref());
    }
    block(&mut out, "## Machine and versions");
    let fact = |(name, value): (&String, &String)| [plain(name), plain(value)];
    table(
        &mut out,
        &["", ""],
        calibration.environment.iter().map(fact),
    );
    out
}

fn section(out: &mut String, check: &Check, chart: Option<&str>) {
    block(
        out,
        &format!("## {}. {}", check.number, plain(&check.title)),
    );
    block(out, &prose(&check.method));
    let rows = check.rows.iter().map(|row| {
        let cells = [&row.subject, &row.truth, &row.measured, &row.tolerance].map(|c| prose(c));
        let [subject, truth, measured, tolerance] = cells;
        [
            subject,
            truth,
            measured,
            tolerance,
            result(row.pass).to_owned(),
        ]
    });
    table(
        out,
        &["Of", "Truth", "Measured", "Tolerance", "Result"],
        rows,
    );
    if let (Some(path), Some(picture)) = (chart, &check.picture) {
        block(out, &format!("![{}]({path})", plain(&picture.title)));
        block(out, &prose(&picture.caption));
    }
    if !check.note.is_empty() {
        block(out, &prose(&check.note));
    }
}

fn result(pass: bool) -> &'static str {
    if pass { "✓ passed" } else { "**✗ failed**" }
}

//! `pushbench calibrate`: the testbed held against known truths, a table and a page.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context;
use pushbench_reports::{
    calibration::{Calibration, Check, FORMAT, Row},
    render_calibration,
};
use rand::Rng;

use super::{
    note,
    run::{outcome::INTERRUPTED, pin, place, site, warned},
    say, single_threaded, stop_signal,
};
use crate::{
    calibrate::{
        ALL, Effort, Entry, Lab, Sitting, chosen, injector,
        saturation::crowd,
        store::{self, Keys, default_directory},
    },
    meter::{environment::environment, limits::raise_open_files},
};

/// Show that the testbed measures what is there: hold it against known truths on this machine
///
/// Exits with 1 if a check fails.
#[derive(Debug, clap::Args)]
pub struct Calibrate {
    /// Reduced counts, three minutes at most; the whole takes up to half an hour
    #[arg(long)]
    quick: bool,

    /// Make only these checks, separated by commas; docs/reference/calibration.md names them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// Directory of the result, new or empty [default: below the user's data folder, by machine, build
    /// and time]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Seed of what is resampled, as an earlier calibration printed it; what is injected has its own
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Print the calibration as JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,

    /// Draw samples for a calibration: driven through standard input and output
    #[arg(long, hide = true, exclusive = true)]
    injector: bool,

    /// Crowd a core for a calibration: driven through standard input and output
    #[arg(long, hide = true, exclusive = true)]
    crowd: bool,
}

/// Makes the checks, and keeps what they found.
///
/// # Errors
/// Bad input, before anything is written; or a result that cannot be kept.
pub fn run(args: Calibrate) -> anyhow::Result<ExitCode> {
    if args.injector {
        injector::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.crowd {
        crowd::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = chosen(&args.only)?;
    raise_open_files();
    let started_at = jiff::Timestamp::now();
    let keys = Keys::read().context("cannot read which build this is")?;
    let directory = match &args.out {
        Some(directory) => directory.clone(),
        None => default_directory(&keys, &started_at)?,
    };
    let elsewhere = args.out.is_some();
    let directory = place::create(directory)?;
    let scratch = tempfile::tempdir().context("cannot create a temporary directory")?;
    let mut site = site()?;
    site.directory = scratch.path().to_owned();
    let lab = Lab {
        site,
        effort: match args.quick {
            true => Effort::Quick,
            false => Effort::Whole,
        },
    };
    let mut calibration = Calibration {
        format: FORMAT,
        started_at: format!("{started_at:.0}"),
        duration_s: 0.0,
        quick: args.quick,
        machine: keys.machine.clone(),
        build: keys.build.clone(),
        environment: warned(environment(), &lab.site),
        client_us: Default::default(),
        checks: Vec::new(),
    };
    pin(&lab.site)?;
    let sitting = Sitting::new(args.seed.unwrap_or_else(|| rand::rng().next_u64()));
    let begun = Instant::now();
    let stopped = make(&entries, &lab, &sitting, &mut calibration, args.json)?;
    calibration.duration_s = begun.elapsed().as_secs_f64();
    keep(&calibration, &directory, args.json)?;
    if elsewhere && !calibration.checks.is_empty() {
        remember(&keys, &started_at, &directory);
    }
    Ok(match stopped {
        true => {
            let (made, of) = (calibration.checks.len(), entries.len());
            note(&format!(
                "stopped after {made} of {of} checks; those are kept"
            ));
            ExitCode::from(INTERRUPTED)
        }
        false => ExitCode::from(u8::from(!calibration.passed())),
    })
}

/// Makes the checks in order until the end or a signal, which is told; finished ones stay.
fn make(
    entries: &[&Entry],
    lab: &Lab,
    sitting: &Sitting,
    calibration: &mut Calibration,
    quiet: bool,
) -> anyhow::Result<bool> {
    single_threaded()?.block_on(async {
        let mut stop = std::pin::pin!(stop_signal()?);
        for (entry, place) in entries.iter().zip(1..) {
            note(&format!(
                "check {place} of {}: {}",
                entries.len(),
                entry.name
            ));
            let made = tokio::select! {
                // Dropping the check ends the processes it started.
                () = &mut stop => return Ok(true),
                made = entry.make(lab, sitting) => made,
            };
            if !quiet {
                say(&table(&made.check))?;
            }
            calibration.client_us.extend(made.client_us);
            calibration.checks.push(made.check);
        }
        Ok(false)
    })
}

/// Writes file and page; of nothing, nothing is kept.
fn keep(calibration: &Calibration, directory: &Path, json: bool) -> anyhow::Result<()> {
    if calibration.checks.is_empty() {
        // It was empty when it was taken, and may have been there before.
        let _ = std::fs::remove_dir(directory);
        return Ok(());
    }
    let index = render_calibration(calibration, directory)?;
    if json {
        let mut json = serde_json::to_string_pretty(calibration)?;
        json.push('\n');
        return say(&json);
    }
    say(&format!("{}\n{}\n", summary(calibration), index.display()))
}

/// Has runs find what was kept elsewhere. That they cannot is told, and takes nothing from the result.
fn remember(keys: &Keys, started_at: &jiff::Timestamp, directory: &Path) {
    if let Err(error) = store::remember(keys, started_at, directory) {
        note(&format!(
            "warning: runs will not name this calibration, as no copy could be kept in the data folder: {error}"
        ));
    }
}

/// The outcome in a few lines.
fn summary(calibration: &Calibration) -> String {
    let checks = &calibration.checks;
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed()).collect();
    let passed = checks.len() - failed.len();
    let mut out = format!(
        "{passed} of {} checks passed in {:.0} s",
        checks.len(),
        calibration.duration_s
    );
    if checks.len() < ALL.len() {
        out.push_str(&format!("; a whole calibration makes {}", ALL.len()));
    }
    for check in failed {
        out.push_str(&format!("\nfailed: {}. {}", check.number, check.title));
    }
    out
}

/// A check's rows in columns.
fn table(check: &Check) -> String {
    let header = ["check", "truth", "measured", "tolerance", "pass"].map(str::to_owned);
    let cells = |row: &Row| {
        let pass = if row.pass { "✓" } else { "✗ FAILED" };
        let Row {
            subject,
            truth,
            measured,
            tolerance,
            ..
        } = row.clone();
        [subject, truth, measured, tolerance, pass.to_owned()]
    };
    let rows: Vec<[String; 5]> = [header]
        .into_iter()
        .chain(check.rows.iter().map(cells))
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let result = if check.passed() { "passed" } else { "FAILED" };
    let mut out = format!("\n{}. {}: {result}\n", check.number, check.title);
    for row in &rows {
        let columns = row.iter().zip(widths);
        let line: Vec<_> = columns
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(&format!("  {}\n", line.join("  ").trim_end()));
    }
    if !check.note.is_empty() {
        out.push_str(&format!("  {}\n", check.note));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_its_columns_below_each_other_whatever_the_letters() {
        let row = |subject: &str, truth: &str, pass| Row {
            subject: subject.into(),
            truth: truth.into(),
            measured: "1".into(),
            tolerance: "none".into(),
            pass,
        };
        let check = Check {
            number: 9,
            name: "quantiles".into(),
            title: "Percentiles".into(),
            method: String::new(),
            counts: String::new(),
            rows: vec![
                row("p50", "100 µs", true),
                row("a longer one", "1 ms", false),
            ],
            picture: None,
            note: "Because.".into(),
        };
        let said = table(&check);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[1], "9. Percentiles: FAILED");
        assert_eq!(lines[3], "  p50           100 µs  1         none       ✓");
        assert_eq!(
            lines[4],
            "  a longer one  1 ms    1         none       ✗ FAILED"
        );
        assert_eq!(lines[5], "  Because.");
    }
}

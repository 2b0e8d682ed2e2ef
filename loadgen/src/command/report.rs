//! `pushbench report DIR…`: renders again from the records.

use std::{path::PathBuf, process::ExitCode};

use pushbench_reports::Rendered;

use super::say;
use crate::zh::CHINESE;

/// Render the report of a run again from its records; the same records give the same bytes
#[derive(Debug, clap::Args)]
pub struct Report {
    /// Directory of a run, finished or interrupted
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
}

/// Renders each, and prints its answer.
///
/// # Errors
/// When a directory does not hold a whole run; those before it are rendered.
pub fn run(args: &Report) -> anyhow::Result<ExitCode> {
    for directory in &args.directories {
        say(&summary(&pushbench_reports::render(directory, &CHINESE)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The answer, the verdicts and where the report is.
pub fn summary(rendered: &Rendered) -> String {
    let Rendered {
        answer,
        table,
        index,
        ..
    } = rendered;
    format!(
        "\n{}\n\n{}\n\nThe report: {}\n",
        answer.trim(),
        table.trim_end(),
        index.display()
    )
}

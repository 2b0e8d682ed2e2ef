//! `pushbench compare A B`: two runs, made at different times, against each other.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use pushbench_reports::{
    compare::{Compared, compare},
    read::{Run, read},
    record::Plan,
    table::{plain, rows},
};

use super::{fail_on::FailOn, note, say};

/// Compare two runs of one machine that were made at different times: B against A
///
/// Such runs share no rounds, so they are compared without pairs, by Welch's t. Arms of one run are
/// compared better: what the machine did meanwhile is the same for them.
#[derive(Debug, clap::Args)]
pub struct Compare {
    /// Directory of the run that is the baseline
    #[arg(value_name = "A")]
    a: PathBuf,

    /// Directory of the run that is judged
    #[arg(value_name = "B")]
    b: PathBuf,

    /// Print the effects as JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,

    /// Exit 1 if a verdict is this one
    #[arg(long, value_enum, value_name = "VERDICT", default_value = "never")]
    fail_on: FailOn,

    /// Compare runs of different machines or record formats too, with a warning
    #[arg(long)]
    anyway: bool,
}

/// Compares and prints.
///
/// # Errors
/// A directory that does not hold a whole run; runs that cannot be compared.
pub fn run(args: &Compare) -> anyhow::Result<ExitCode> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let compared = compare(&a, &b, args.anyway)?;
    for warning in &compared.warnings {
        note(&format!("warning: {warning}"));
    }
    for apart in &compared.apart {
        note(apart);
    }
    say(&if args.json {
        json(&compared)?
    } else {
        text(&a, &compared)
    })?;
    Ok(args.fail_on.exit(&compared.effects))
}

/// What was said beside the effects is in it too.
fn json(compared: &Compared) -> anyhow::Result<String> {
    let all = serde_json::json!({
        "effects": compared.effects,
        "warnings": compared.warnings,
        "not_compared": compared.apart,
    });
    let json = serde_json::to_string_pretty(&all).context("cannot write the effects as JSON")?;
    Ok(json + "\n")
}

/// The table, and a sentence for each primary effect.
fn text(a: &Run, compared: &Compared) -> String {
    let plan: &Plan = &a.manifest.plan;
    let table = plain(&rows(plan, &compared.effects, &[]), compared.level);
    let primary = compared.effects.iter().filter(|effect| effect.primary);
    let sentences: Vec<&str> = primary.map(|effect| effect.sentence.as_str()).collect();
    format!("\n{}\n\n{}\n", table.trim_end(), sentences.join("\n"))
}

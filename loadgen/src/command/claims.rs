//! `pushbench claims DIR`: published claims, judged by the runs that are there.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use pushbench_reports::{
    language::Language,
    published::{self, Published, Verdicts, in_words},
};

use super::say;

/// Judge published claims on SSE and WebSocket by the runs in a directory and below
///
/// Writes claims.html and claims.json into it. Of several runs that have a figure the newest is taken; a
/// claim for which there is no record says which plan has its arms.
#[derive(Debug, clap::Args)]
pub struct Claims {
    /// Directory that holds one or more runs
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// What is printed, and what the page shows first: en or zh
    #[arg(long, value_name = "LANGUAGE", default_value_t = Language::English)]
    lang: Language,

    /// Write the book's chapters en/claims.md and zh/claims.md into this directory too
    #[arg(long, value_name = "DOCS")]
    book: Option<PathBuf>,
}

/// Judges, writes, and prints a line for each claim.
///
/// # Errors
/// When no run is there, one cannot be read, or a file cannot be written.
pub fn run(args: &Claims) -> anyhow::Result<ExitCode> {
    let published = published::publish(&args.directory, args.book.as_deref(), args.lang)?;
    say(&summary(&published, args.lang))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(published: &Published, language: Language) -> String {
    let mut text = lines(&published.verdicts, language);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{}", published.page.display());
    for chapter in &published.chapters {
        let _ = writeln!(text, "{}", chapter.display());
    }
    text
}

fn lines(verdicts: &Verdicts, language: Language) -> String {
    let lines = verdicts.claims.iter().map(|claim| {
        let (number, verdict) = (claim.number, in_words(claim, language));
        let statement = language.of(claim.statement.en, claim.statement.zh);
        let sentence = claim.sentence.of(language);
        let end = language.of(". ", "。");
        format!("{number:>2}  {statement}\n    {verdict}{end}{sentence}\n")
    });
    lines.collect()
}

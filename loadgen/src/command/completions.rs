//! `pushbench completions SHELL`: a script that completes commands and options in a shell.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Pushbench, say};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    shell: Shell,
}

/// Prints it.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Pushbench::command(),
        "pushbench",
        &mut script,
    );
    say(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

//! The command line: one file a subcommand.

pub mod calibrate;
pub mod claims;
pub mod compare;
pub mod completions;
pub mod doctor;
pub mod fail_on;
pub mod lesson;
pub mod list;
mod neighbour;
pub mod plan;
pub mod report;
pub mod run;
pub mod serve;
pub mod tail;

use std::{
    future::Future,
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Server push for token streams: SSE or WebSocket? Measures both, and answers with a report.
///
/// Exit codes: 0 done, 1 a verdict or a check that was to fail the command, 2 bad input or a broken run (a
/// sentence on standard error says what to do), 130 stopped by Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Pushbench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Calibrate(calibrate::Calibrate),
    Doctor(doctor::Doctor),
    Plan(plan::Show),
    List(list::List),
    Serve(serve::Serve),
    Report(report::Report),
    Compare(compare::Compare),
    Claims(claims::Claims),
    Tail(tail::Tail),
    Lesson(lesson::Take),
    Completions(completions::Completions),
    /// Keep a core busy for a calibration: driven through standard input and output
    #[command(hide = true)]
    Neighbour,
}

impl Pushbench {
    /// Does what was asked.
    ///
    /// # Errors
    /// Bad input, or an experiment that cannot be run: [`sentence`] says it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr();
        match self.command {
            Command::Run(args) => run::run(args),
            Command::Calibrate(args) => calibrate::run(args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::List(args) => list::run(&args),
            Command::Serve(args) => serve::run(args),
            Command::Report(args) => report::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Claims(args) => claims::run(&args),
            Command::Lesson(args) => lesson::run(args),
            Command::Tail(args) => single_threaded()?.block_on(tail::run(args)),
            Command::Completions(args) => completions::run(&args),
            Command::Neighbour => neighbour::run(),
        }
    }
}

/// An error with its causes, as one sentence. A cause that is part of what was said is not said again.
pub fn sentence(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |said, cause| {
            if said.is_empty() {
                cause
            } else if said.contains(&cause) {
                said
            } else {
                format!("{said}: {cause}")
            }
        })
}

/// Warnings and worse, or what `RUST_LOG` asks for.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(io::stderr)
        .init();
}

/// Writes to standard output; a reader that has left, as `head` does, is no error.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error. One that nobody can read is lost, and nothing else with it.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A runtime that stays on the thread it is started from, and so on that thread's cores.
fn single_threaded() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Completes at Ctrl-C or SIGTERM. Call it within a runtime; from then on neither ends the process.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let handle = |kind| signal(kind).context("cannot handle signals");
    let (mut interrupt, mut terminate) = (
        handle(SignalKind::interrupt())?,
        handle(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Pushbench::command().debug_assert();
    }

    #[test]
    fn an_error_says_each_cause_once() {
        let cause = io::Error::other("no space");
        let error = anyhow::Error::new(cause)
            .context("cannot write x: no space")
            .context("cannot start");
        assert_eq!(sentence(&error), "cannot start: cannot write x: no space");
    }
}

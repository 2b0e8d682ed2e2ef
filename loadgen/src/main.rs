//! `pushbench`: parse, call, report.

use std::process::ExitCode;

use clap::Parser;
use pushbench::command::{Pushbench, sentence};

fn main() -> ExitCode {
    let pushbench = Pushbench::parse();
    pushbench.run().unwrap_or_else(|error| {
        eprintln!("error: {}", sentence(&error));
        ExitCode::from(2)
    })
}

//! `pushbench`: parse, call, report.

use std::process::ExitCode;

use clap::Parser;
use pushbench::command::{Pushbench, sentence};
use pushbench_server::sys::allocator::Switch;

/// The C library's, unless whoever started this process asked for another.
#[global_allocator]
static ALLOCATOR: Switch = Switch;

fn main() -> ExitCode {
    let pushbench = Pushbench::parse();
    pushbench.run().unwrap_or_else(|error| {
        eprintln!("error: {}", sentence(&error));
        ExitCode::from(2)
    })
}

//! `pushbench neighbour`, hidden: the noisy neighbour of a calibration, a process of its own that draws
//! when and where it disturbs.

use std::{io, process::ExitCode};

use anyhow::Context;

use super::say;
use crate::calibrate::disturbance::neighbour::{Order, disturb};

/// Reads an order, follows it, and then says what it did.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    /// Far more than an order takes.
    const LONGEST: u64 = 1 << 12;
    let mut line = String::new();
    let input = io::Read::take(io::stdin(), LONGEST);
    io::BufRead::read_line(&mut io::BufReader::new(input), &mut line)
        .context("cannot read the order")?;
    let order: Order =
        serde_json::from_str(&line).context("`pushbench neighbour` is for a calibration")?;
    let disturbed = disturb(&order, &mut rand::rng()).context("cannot disturb")?;
    say(&(serde_json::to_string(&disturbed)? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

//! How a run ended, and when to give up.

use std::{path::Path, process::ExitCode};

use anyhow::anyhow;
use pushbench_reports::record::Record;

use crate::{bench::Broken, command::note};

/// The exit code of a program that Ctrl-C stopped: 128 + SIGINT, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// How a run ended. There is a report in any case.
#[derive(Debug)]
pub enum Outcome {
    /// Every trial was run.
    Finished,
    /// By Ctrl-C or SIGTERM.
    Interrupted {
        /// Trials that are recorded.
        finished: u32,
        /// Trials planned.
        of: usize,
    },
    /// Too many trials in a row were broken, however often each was tried.
    Broken(Broken),
}

impl Outcome {
    /// The exit code.
    ///
    /// # Errors
    /// When the run was broken.
    pub fn exit(self, directory: &Path) -> anyhow::Result<ExitCode> {
        match self {
            Self::Finished => Ok(ExitCode::SUCCESS),
            Self::Interrupted { finished, of } => {
                let directory = directory.display();
                note(&format!(
                    "stopped after {finished} of {of} trials; they are kept in {directory}"
                ));
                Ok(ExitCode::from(INTERRUPTED))
            }
            Self::Broken(broken) => Err(anyhow!(broken).context(format!(
                "gave up after {} trials in a row that were broken at every attempt; what was measured before is in {}",
                Patience::BROKEN_IN_A_ROW,
                directory.display()
            ))),
        }
    }
}

/// Bears a broken trial, not a broken run.
#[derive(Debug, Default)]
pub struct Patience {
    broken_in_a_row: u32,
}

impl Patience {
    /// One is an accident, three have a cause that the next trial will meet too.
    const BROKEN_IN_A_ROW: u32 = 3;

    /// Of a trial's last attempt.
    ///
    /// # Errors
    /// The last of too many.
    pub fn judge(&mut self, result: Result<Record, Broken>) -> Result<(), Broken> {
        match result {
            Ok(_) => self.broken_in_a_row = 0,
            Err(broken) => {
                self.broken_in_a_row += 1;
                if self.broken_in_a_row >= Self::BROKEN_IN_A_ROW {
                    return Err(broken);
                }
            }
        }
        Ok(())
    }
}

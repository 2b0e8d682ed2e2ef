//! Which verdict makes a command fail, for a job that is to stop at a regression.

use std::process::ExitCode;

use pushbench_reports::effect::{Effect, Verdict};

/// When to exit 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// If a primary metric is worse, after Holm's correction
    Worse,
    /// Whatever the verdicts are
    Never,
}

impl FailOn {
    /// 1 if a verdict fails the command, else 0.
    pub fn exit(self, effects: &[Effect]) -> ExitCode {
        let worse = |effect: &Effect| effect.primary && effect.verdict == Verdict::Worse;
        match self {
            FailOn::Worse if effects.iter().any(worse) => ExitCode::from(1),
            FailOn::Worse | FailOn::Never => ExitCode::SUCCESS,
        }
    }
}

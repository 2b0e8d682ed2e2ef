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
    /// The effects whose verdict fails the command, in their order.
    pub fn failing(self, effects: &[Effect]) -> impl Iterator<Item = &Effect> {
        effects.iter().filter(move |effect| match self {
            FailOn::Worse => effect.primary && effect.verdict == Verdict::Worse,
            FailOn::Never => false,
        })
    }

    /// 1 if a verdict fails the command, else 0.
    pub fn exit(self, effects: &[Effect]) -> ExitCode {
        match self.failing(effects).next() {
            Some(_) => ExitCode::from(1),
            None => ExitCode::SUCCESS,
        }
    }
}

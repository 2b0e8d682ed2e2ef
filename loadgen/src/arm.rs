//! An arm: one transport with all its factor levels.

use std::path::PathBuf;

use pushbench_reports::record::{self, Facts};
use pushbench_server::contract::transport::Transport;

pub use pushbench_server::contract::factors::Factors;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// Unique in a plan.
    pub label: String,
    /// How its messages travel.
    pub transport: Transport,
    /// The arm that this one repeats under another label: the A/A control.
    pub control_of: Option<String>,
    /// Everything else.
    pub factors: Factors,
    /// Whose server it is.
    pub build: Build,
}

/// Which program serves an arm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Build {
    /// The run's own.
    #[default]
    Own,
    /// Another build of it.
    Other {
        /// Its program.
        binary: PathBuf,
        /// Label of the same arm of the run's own build, which this one is held against.
        held_against: String,
    },
}

impl Arm {
    /// The same arm served by another build, under a label that says so.
    pub fn twin(&self, binary: PathBuf) -> Self {
        Self {
            label: format!("{} (against)", self.label),
            build: Build::Other {
                binary,
                held_against: self.label.clone(),
            },
            ..self.clone()
        }
    }

    /// The label of the arm that it is held against in place of the baseline, if it is another build's.
    pub fn held_against(&self) -> Option<&str> {
        match &self.build {
            Build::Own => None,
            Build::Other { held_against, .. } => Some(held_against),
        }
    }
}

impl From<&Arm> for record::Arm {
    fn from(arm: &Arm) -> Self {
        Self {
            label: arm.label.clone(),
            transport: arm.transport.name().to_owned(),
            control_of: arm.control_of.clone(),
            held_against: arm.held_against().map(str::to_owned),
            factors: facts(&arm.factors),
        }
    }
}

/// Name and level of each, as the record has them.
fn facts(factors: &Factors) -> Facts {
    let levels = factors.levels().into_iter();
    levels
        .map(|(name, level)| (name.to_owned(), level))
        .collect()
}

//! The testbed held against known truths: one file a check, each of which measures with what trials
//! measure with, and judges in a pure function.
//!
//! What is injected is drawn by another process, from a seed that this one does not hold, and told only
//! when the measurement is closed.

pub mod accounting;
pub mod clock;
pub mod delay;
pub mod memory;
pub mod overhead;
mod probe;
pub mod reconnect;
pub mod stall;

use crate::bench::Site;

/// Where checks are run, and how thoroughly.
#[derive(Debug, Clone)]
pub struct Lab {
    /// The server's program and cores; its directory takes what checks write.
    pub site: Site,
    /// How much is measured.
    pub effort: Effort,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All checks within three minutes, by reduced counts that each check states.
    Quick,
    /// As many as the check's statement needs; all checks within half an hour.
    Whole,
}

impl Effort {
    /// One of two counts.
    pub fn pick<T>(self, quick: T, whole: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Whole => whole,
        }
    }
}

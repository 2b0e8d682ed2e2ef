//! What a trial costs, from outside the code it measures: CPU and memory of a process, memory of the
//! kernel, and the machine that it all ran on.

pub mod cpu;
pub mod environment;
pub mod limits;
pub mod machine;
pub mod memory;

/// Something of `/proc` that could not be read: without it a trial has not measured what it claims.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}")]
pub struct Unreadable {
    what: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Unreadable {
    fn new(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

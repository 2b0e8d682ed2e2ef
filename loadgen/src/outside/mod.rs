//! Programs that others wrote, started as children of ours: a proxy in front of the server, and a server in place
//! of it.

mod nginx;
mod websockets;

use std::{
    io,
    path::{Path, PathBuf},
};

use pushbench_server::contract::factors::{Factors, Proxy, Served};

use crate::last_words::last_words_in;

pub use nginx::{Nginx, Task};
pub use websockets::Websockets;

/// A program that others wrote is not there, or does not do what it is there for.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// It is not installed.
    #[error("{program} is needed for {level} and is not there ({found}): {remedy}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// What needs it, as a plan says it.
        level: String,
        /// What came of looking for it.
        found: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// It does not start, or does not answer as it should.
    #[error("{program} {what}{said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it did instead.
        what: String,
        /// Its last words, if it had some.
        said: String,
    },
}

/// Whether what an arm with these factors needs is installed: asked before anything is written.
///
/// # Errors
/// What is missing, and how to get it.
pub fn present(factors: &Factors) -> Result<(), OutsideError> {
    if factors.proxy != Proxy::None {
        nginx::present(factors.proxy)?;
    }
    match factors.server {
        Served::Pushbench => Ok(()),
        Served::Websockets => websockets::present(),
    }
}

/// How a program failed, with the end of what it wrote to its log.
fn failed(program: &'static str, what: impl Into<String>, log: &Path) -> OutsideError {
    OutsideError::Failed {
        program,
        what: what.into(),
        said: last_words_in(log),
    }
}

/// Wraps a system error with what was attempted.
fn cannot(
    program: &'static str,
    attempt: &'static str,
    log: PathBuf,
) -> impl FnOnce(io::Error) -> OutsideError {
    move |error| failed(program, format!("cannot be used: {attempt}: {error}"), &log)
}

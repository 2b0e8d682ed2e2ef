//! The error of bad input: what a person can put right.

/// One clear sentence that says what was wrong, and a remedy. `main` prints it and exits with code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

//! How it is measured.

pub mod command;
pub mod meter;
pub mod refusal;
pub mod sse;
pub mod trace;
pub mod workload;

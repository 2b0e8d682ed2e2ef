//! How it is measured.

pub mod sse;
pub mod trace;
pub mod workload;

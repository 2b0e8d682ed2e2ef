//! How it is measured.

pub mod sse;

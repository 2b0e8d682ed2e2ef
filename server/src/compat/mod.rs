//! Endpoints that others defined.

pub mod articles;

//! What is measured.

pub mod corpus;

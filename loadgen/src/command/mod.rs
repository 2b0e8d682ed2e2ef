//! One file a subcommand.

pub mod tail;

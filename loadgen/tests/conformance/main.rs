//! What every transport promises, held against the real server over real connections: each case iterates
//! over [`Transport::ALL`](pushbench_server::contract::transport::Transport::ALL), so that a new
//! transport with a missing half fails here.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

mod bombs;
mod bounds;
mod compression;
mod flush;
mod lines;
mod order;
mod payload;
mod plain;
mod reconnect;
mod refusal;
mod resume;
mod sharing;
mod support;
mod tls;

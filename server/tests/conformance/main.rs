//! The server as strangers meet it, over raw TCP and over a WebSocket client: what it refuses, what it
//! bounds, how it stops, and the articles' endpoints.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

mod articles;
mod bare;
mod bounds;
mod guards;
mod http2;
mod payloads;
mod polls;
mod shutdown;
mod stack;
mod support;

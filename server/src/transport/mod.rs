//! How a subscription is drained onto each wire.

pub mod framing;
pub mod sse;
pub mod ws;

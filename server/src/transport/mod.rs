//! One file a transport: how a subscription is drained onto that wire.

pub mod sse;
pub mod ws;

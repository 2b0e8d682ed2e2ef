//! How a subscription is drained onto each wire.

pub mod bare;
pub mod compressed;
pub mod conversation;
pub mod encoder;
mod floor_sse;
mod floor_ws;
pub mod framing;
pub mod poll;
mod raw_tcp;
pub mod sse;
pub mod ws;
pub mod ws_yawc;

//! All that crosses the wire, shared by the server and its clients so that neither can drift.

pub mod ask;
pub mod certificate;
pub mod clock;
pub mod deflate;
pub mod endpoint;
pub mod event;
pub mod event_id;
pub mod factors;
pub mod framing;
pub mod message;
pub mod notice;
pub mod transport;
pub mod websocket;

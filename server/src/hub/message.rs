//! A message and its encodings, each made at its first use and shared by all subscribers from then on.

use std::sync::OnceLock;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

use crate::contract::{
    event::frame,
    event_id::EventId,
    framing,
    websocket::{self, Opcode},
};

/// A message, encoded once for all its subscribers.
#[derive(Debug)]
pub struct Message {
    /// Its identity.
    pub id: EventId,
    /// When it was encoded, [`now_ns`](crate::contract::clock::now_ns).
    pub sent_at: u64,
    /// The envelope with the text in it: the payload of every transport.
    pub payload: Utf8Bytes,
    event: OnceLock<Bytes>,
    event_with_id: OnceLock<Bytes>,
    chunk: OnceLock<Bytes>,
    chunk_with_id: OnceLock<Bytes>,
    line: OnceLock<Bytes>,
    websocket_frame: OnceLock<Bytes>,
    prefixed: OnceLock<Bytes>,
}

impl Message {
    /// Encoded in no way yet.
    pub(super) fn new(id: EventId, sent_at: u64, payload: Utf8Bytes) -> Self {
        Self {
            id,
            sent_at,
            payload,
            event: OnceLock::new(),
            event_with_id: OnceLock::new(),
            chunk: OnceLock::new(),
            chunk_with_id: OnceLock::new(),
            line: OnceLock::new(),
            websocket_frame: OnceLock::new(),
            prefixed: OnceLock::new(),
        }
    }

    /// As a server-sent event.
    pub fn event(&self, with_id: bool) -> Bytes {
        let cell = if with_id {
            &self.event_with_id
        } else {
            &self.event
        };
        cell.get_or_init(|| self.framed(with_id)).clone()
    }

    /// As a server-sent event that is a chunk of an HTTP/1.1 body.
    pub fn chunk(&self, with_id: bool) -> Bytes {
        let cell = if with_id {
            &self.chunk_with_id
        } else {
            &self.chunk
        };
        let chunk = || framing::chunk(&self.framed(with_id));
        cell.get_or_init(chunk).clone()
    }

    /// As a line of newline-delimited JSON.
    pub fn line(&self) -> Bytes {
        let line = || framing::line(&self.payload);
        self.line.get_or_init(line).clone()
    }

    /// As a text frame from the server's end of a WebSocket.
    pub fn websocket_frame(&self) -> Bytes {
        let frame = || websocket::frame(Opcode::Text, self.payload.as_bytes(), None);
        self.websocket_frame.get_or_init(frame).clone()
    }

    /// With its length before it.
    pub fn prefixed(&self) -> Bytes {
        let prefixed = || framing::prefixed(&self.payload);
        self.prefixed.get_or_init(prefixed).clone()
    }

    fn framed(&self, with_id: bool) -> Bytes {
        frame(None, with_id.then_some(self.id), &self.payload)
    }
}

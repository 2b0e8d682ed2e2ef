//! `raw-tcp`: a length, then so many bytes of JSON, both ways: the floor under the floors.

use axum::http::StatusCode;
use bytes::Bytes;

use super::bare::{self, Breach, Framing, Said};
use crate::{
    contract::{
        framing::{PREFIX_BYTES, length, prefixed},
        notice::Notice,
    },
    counters::Counter,
    hub::Message,
    limits::Limits,
};

/// Nothing is remembered from one message to the next.
#[derive(Debug)]
pub(super) struct RawTcp;

impl Framing for RawTcp {
    const DUPLEX: bool = true;

    fn hear(&mut self, heard: &mut Vec<u8>, limits: &Limits) -> Result<Option<Said>, Breach> {
        let Some(length) = length(heard) else {
            return Ok(None);
        };
        if length > limits.message_bytes {
            let limit = limits.message_bytes;
            let reason = format!("the message is too large: send {limit} bytes at most");
            return Err(Breach {
                answer: self.notice(&Notice::Refused { reason }),
                counter: Counter::RefusedBodies,
            });
        }
        let end = PREFIX_BYTES + length;
        let Some(json) = heard.get(PREFIX_BYTES..end) else {
            return Ok(None);
        };
        let said = bare::ask(json);
        heard.drain(..end);
        Ok(Some(said))
    }

    fn hello(&mut self, hello: &Notice, _: bool) -> Bytes {
        self.notice(hello)
    }

    fn message(&self, message: &Message) -> Bytes {
        message.prefixed()
    }

    fn notice(&self, notice: &Notice) -> Bytes {
        prefixed(&notice.encode())
    }

    fn refuse(&self, _: StatusCode, reason: String) -> Bytes {
        self.notice(&Notice::Refused { reason })
    }
}

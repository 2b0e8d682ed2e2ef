//! `floor-ws`: a WebSocket whose upgrade is answered and whose frames are made by hand (RFC 6455).

use axum::{extract::ws::close_code, http::StatusCode};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::bare::{
    self, Breach, Framing, Said,
    request::{FIELDS_MAX, Request, head, problem, refused},
};
use crate::{
    contract::{
        notice::Notice,
        websocket::{self, Header, Opcode},
    },
    counters::Counter,
    hub::Message,
    limits::Limits,
};

/// Of a close frame's payload, what may be sent back: the code.
const CLOSE_CODE_BYTES: usize = 2;

/// A WebSocket, once it is upgraded.
#[derive(Debug, Default)]
pub(super) struct FloorWs {
    upgraded: bool,
}

impl Framing for FloorWs {
    const DUPLEX: bool = true;

    fn hear(&mut self, heard: &mut Vec<u8>, limits: &Limits) -> Result<Option<Said>, Breach> {
        if self.upgraded {
            return frame(heard, limits);
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let Some(request) = Request::parse(heard, &mut fields, limits)? else {
            return Ok(None);
        };
        let answer = upgrade(&request)?;
        let length = request.length;
        heard.drain(..length);
        self.upgraded = true;
        Ok(Some(Said::Answered(answer)))
    }

    fn hello(&mut self, hello: &Notice, _: bool) -> Bytes {
        self.notice(hello)
    }

    fn message(&self, message: &Message) -> Bytes {
        message.websocket_frame()
    }

    fn notice(&self, notice: &Notice) -> Bytes {
        websocket::frame(Opcode::Text, notice.encode().as_bytes(), None)
    }

    fn refuse(&self, _: StatusCode, reason: String) -> Bytes {
        self.notice(&Notice::Refused { reason })
    }

    fn goodbye(&self) -> Option<Bytes> {
        self.upgraded
            .then(|| websocket::close(close_code::AWAY, "the server is shutting down", None))
    }
}

/// Answers an upgrade (RFC 6455 §4.2).
fn upgrade(request: &Request<'_, '_>) -> Result<Bytes, Breach> {
    let counter = Counter::RefusedUpgrades;
    if (request.method, request.path) != ("GET", "/ws") {
        let reason = "nothing here: send GET /ws, or POST /feed";
        return Err(refused(StatusCode::NOT_FOUND, reason, counter));
    }
    let asked = request.has("upgrade", "websocket") && request.has("connection", "upgrade");
    if !asked || request.only("sec-websocket-version") != Some("13") {
        let reason = "this is a WebSocket: send `Connection: Upgrade`, `Upgrade: websocket` and \
                      `Sec-WebSocket-Version: 13`";
        let fields =
            "connection: Upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
        let answer = problem(StatusCode::UPGRADE_REQUIRED, reason, fields);
        return Err(Breach { answer, counter });
    }
    let key = request.only("sec-websocket-key");
    let known = |key: &&str| BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    let Some(key) = key.filter(known) else {
        let reason = "send one `Sec-WebSocket-Key` of 16 bytes in base64";
        return Err(refused(StatusCode::BAD_REQUEST, reason, counter));
    };
    let accept = derive_accept_key(key.as_bytes());
    let fields = format!(
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    Ok(head(StatusCode::SWITCHING_PROTOCOLS, &fields).into())
}

/// Takes a frame off the front of `heard`.
fn frame(heard: &mut Vec<u8>, limits: &Limits) -> Result<Option<Said>, Breach> {
    loop {
        let header = Header::parse(heard);
        let header = header.map_err(|error| breach(close_code::PROTOCOL, &error.to_string()))?;
        let Some(header) = header else {
            return Ok(None);
        };
        let mask = header.mask.ok_or_else(|| {
            breach(
                close_code::PROTOCOL,
                "what a client sends is masked (RFC 6455 §5.1)",
            )
        })?;
        if header.length > limits.message_bytes as u64 {
            return Err(breach(close_code::SIZE, "the message is too large"));
        }
        // Within a bound, so it fits.
        let end = header.bytes + header.length as usize;
        let Some(payload) = heard.get_mut(header.bytes..end) else {
            return Ok(None);
        };
        websocket::apply(mask, payload);
        let said = said(&header, payload)?;
        heard.drain(..end);
        if said.is_some() {
            return Ok(said);
        }
    }
}

/// What a frame says; none where it says nothing.
fn said(header: &Header, payload: &[u8]) -> Result<Option<Said>, Breach> {
    let said = match header.opcode {
        Opcode::Text if header.last => match std::str::from_utf8(payload) {
            Ok(text) => bare::ask(text.as_bytes()),
            Err(_) => return Err(breach(close_code::INVALID, "text messages are UTF-8")),
        },
        Opcode::Text | Opcode::Continuation => {
            return Err(breach(close_code::UNSUPPORTED, "send an ask in one frame"));
        }
        Opcode::Binary => {
            let reason = "asks are text messages of JSON";
            return Err(breach(close_code::UNSUPPORTED, reason));
        }
        Opcode::Ping => Said::Answered(websocket::frame(Opcode::Pong, payload, None)),
        Opcode::Pong => return Ok(None),
        Opcode::Close => {
            let code = &payload[..payload.len().min(CLOSE_CODE_BYTES)];
            Said::Goodbye(websocket::frame(Opcode::Close, code, None))
        }
    };
    Ok(Some(said))
}

/// The close that names what the peer did (RFC 6455 §7.4.1).
fn breach(code: u16, reason: &str) -> Breach {
    Breach {
        answer: websocket::close(code, reason, None),
        counter: Counter::RefusedBodies,
    }
}

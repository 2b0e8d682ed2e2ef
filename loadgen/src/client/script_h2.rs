//! The server's side of HTTP/2 for [`Memory`](super::Memory): settings, a response of a few bytes, then a
//! frame a message, as the library of both ends writes them.
//!
//! Nobody plays the windows: the frames of a measurement are fewer bytes than the client lets a stream send
//! ahead.

use pushbench_server::contract::event::frame;

use super::{Script, ws_h1};

/// What a client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's head, and its types and flags (RFC 9113 §4.1, §6).
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The one stream: a client's first.
const STREAM: [u8; 4] = [0, 0, 0, 1];

/// The connection itself.
const CONNECTION: [u8; 4] = [0; 4];

/// SETTINGS_ENABLE_CONNECT_PROTOCOL = 1 (RFC 8441 §3).
const CONNECT_PROTOCOL: &[u8] = &[0, 8, 0, 0, 0, 1];

/// `:status: 200`, by the static table of RFC 7541; an answer to a WebSocket's `CONNECT` says no more.
const OK: &[u8] = &[0x88];

/// The same with `content-type: text/event-stream`: a literal that is not indexed, its name number 31 of the
/// static table, its value of 17 bytes.
const OK_EVENTS: &[u8] = b"\x88\x0f\x10\x11text/event-stream";

/// Of a stream of events.
pub const EVENTS: Script = Script {
    answer: |sent| answer(sent, OK_EVENTS),
    frame: |payload| framed(DATA, 0, STREAM, &frame(None, None, payload)),
};

/// Of a WebSocket.
pub const WEBSOCKET: Script = Script {
    answer: |sent| answer(sent, OK),
    frame: |payload| framed(DATA, 0, STREAM, &(ws_h1::SCRIPT.frame)(payload)),
};

/// Answers settings with settings, and a request with this head.
fn answer(sent: &[u8], head: &[u8]) -> Vec<u8> {
    let mut rest = sent.strip_prefix(PREFACE).unwrap_or(sent);
    let mut answer = Vec::new();
    while let Some((frame_head, tail)) = rest.split_at_checked(HEAD_BYTES) {
        let length = u32::from_be_bytes([0, frame_head[0], frame_head[1], frame_head[2]]) as usize;
        match (frame_head[3], frame_head[4] & ACK) {
            (SETTINGS, 0) => {
                answer.extend(framed(SETTINGS, 0, CONNECTION, CONNECT_PROTOCOL));
                answer.extend(framed(SETTINGS, ACK, CONNECTION, &[]));
            }
            (HEADERS, _) => answer.extend(framed(HEADERS, END_HEADERS, STREAM, head)),
            _ => {}
        }
        rest = tail.get(length..).unwrap_or_default();
    }
    answer
}

fn framed(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream, payload].concat()
}

//! The server's side of HTTP/2 for [`Memory`](super::Memory): settings, a response of a few bytes, then a
//! frame a message, or a response a message, as the library of both ends writes them.
//!
//! Nobody plays the windows: the frames of a measurement are fewer bytes than the client lets a stream send
//! ahead.

use std::iter;

use pushbench_server::contract::{event::frame, framing::line};

use super::{Script, ws_h1};

/// What a client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's head, and its types and flags (RFC 9113 §4.1, §6).
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client's first stream, and the one that a streamed answer has.
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
    frame: |_, payload| framed(DATA, 0, STREAM, &frame(None, None, payload)),
    requests: None,
};

/// Of a WebSocket.
pub const WEBSOCKET: Script = Script {
    answer: |sent| answer(sent, OK),
    frame: |number, payload| {
        let frame = (ws_h1::SCRIPT.frame)(number, payload);
        framed(DATA, 0, STREAM, &frame)
    },
    requests: None,
};

/// Of polls: a response a message, each on the next of a client's streams.
pub const POLL: Script = Script {
    answer: |sent| frames(sent).flat_map(settle).collect(),
    frame: |number, payload| {
        let stream = (2 * number as u32 + 1).to_be_bytes();
        let body = line(payload);
        let head = framed(HEADERS, END_HEADERS, stream, &poll_head(number, body.len()));
        [head, framed(DATA, END_STREAM, stream, &body)].concat()
    },
    requests: Some(|sent| frames(sent).filter(|(kind, _)| *kind == HEADERS).count()),
};

/// The head of a poll's answer. What is the same in all is said once, and goes by its number in the dynamic
/// table from then on.
fn poll_head(number: usize, length: usize) -> Vec<u8> {
    // `content-type`, `cache-control` and `date`, of which the last that came has number 62.
    const TAUGHT: &[u8] =
        b"\x5f\x14application/x-ndjson\x58\x08no-store\x61\x1dMon, 01 Jan 2024 00:00:00 GMT";
    const KNOWN: &[u8] = b"\xc0\xbf\xbe";
    // `content-length` is number 28 of the static table, `last-event-id` is in none.
    const OWN: &[u8] = b"\x00\x0dlast-event-id\x061-0-42\x0f\x0d";
    let length = length.to_string();
    let same = if number == 0 { TAUGHT } else { KNOWN };
    [OK, same, OWN, &[length.len() as u8], length.as_bytes()].concat()
}

/// Answers settings with settings, and a request with this head.
fn answer(sent: &[u8], head: &[u8]) -> Vec<u8> {
    let answers = frames(sent).map(|frame| match frame {
        (HEADERS, _) => framed(HEADERS, END_HEADERS, STREAM, head),
        other => settle(other),
    });
    answers.flatten().collect()
}

/// Answers settings with settings, and all else with nothing.
fn settle(frame: (u8, u8)) -> Vec<u8> {
    match frame {
        (SETTINGS, flags) if flags & ACK == 0 => {
            let settings = framed(SETTINGS, 0, CONNECTION, CONNECT_PROTOCOL);
            [settings, framed(SETTINGS, ACK, CONNECTION, &[])].concat()
        }
        _ => Vec::new(),
    }
}

/// Type and flags of each frame that was sent.
fn frames(sent: &[u8]) -> impl Iterator<Item = (u8, u8)> {
    let mut rest = sent.strip_prefix(PREFACE).unwrap_or(sent);
    iter::from_fn(move || {
        let (head, tail) = rest.split_at_checked(HEAD_BYTES)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        rest = tail.get(length..).unwrap_or_default();
        Some((head[3], head[4]))
    })
}

fn framed(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream, payload].concat()
}

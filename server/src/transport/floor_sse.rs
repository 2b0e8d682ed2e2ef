//! `floor-sse`: a `POST` answered by server-sent events, head and chunks made by hand.

use axum::http::StatusCode;
use bytes::Bytes;

use super::{
    bare::{
        Breach, Framing, Said,
        request::{self, FIELDS_MAX, Request, SERVER, refused},
    },
    framing::Framing as Body,
};
use crate::{
    contract::{
        ask::Ask,
        event::frame,
        framing::{LAST_CHUNK, chunk},
        notice::Notice,
    },
    counters::Counter,
    hub::Message,
    limits::Limits,
};

/// HTTP/1.1, as little of it as a stream of events takes.
#[derive(Debug, Default)]
pub(super) struct FloorSse {
    /// Whether the events of the stream that runs carry an id.
    with_id: bool,
}

impl Framing for FloorSse {
    /// A second request waits for the first one's answer.
    const DUPLEX: bool = false;

    fn hear(&mut self, heard: &mut Vec<u8>, limits: &Limits) -> Result<Option<Said>, Breach> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let Some(request) = Request::parse(heard, &mut fields, limits)? else {
            return Ok(None);
        };
        let read: fn(&[u8]) -> serde_json::Result<Ask> = match (request.method, request.path) {
            ("POST", "/feed") => |body| serde_json::from_slice(body).map(Ask::Feed),
            ("POST", "/chat") => |body| serde_json::from_slice(body).map(Ask::Chat),
            _ => {
                let reason = "nothing here: send POST /feed or POST /chat";
                return Err(refused(
                    StatusCode::NOT_FOUND,
                    reason,
                    Counter::RefusedHeaders,
                ));
            }
        };
        let begin = request.length;
        let end = begin + body_bytes(&request, limits)?;
        let Some(body) = heard.get(begin..end) else {
            return Ok(None);
        };
        let said = read(body).map_or_else(|error| Said::Unreadable(error.to_string()), Said::Ask);
        heard.drain(..end);
        Ok(Some(said))
    }

    fn hello(&mut self, hello: &Notice, with_id: bool) -> Bytes {
        const FIELDS: &str = "content-type: text/event-stream\r\ncache-control: no-cache\r\n\
                              transfer-encoding: chunked\r\n\r\n";
        self.with_id = with_id;
        let opening = chunk(&Body::Events { with_id }.opening(hello));
        [
            "HTTP/1.1 200 OK\r\n".as_bytes(),
            SERVER.as_bytes(),
            FIELDS.as_bytes(),
            &opening,
        ]
        .concat()
        .into()
    }

    fn message(&self, message: &Message) -> Bytes {
        message.chunk(self.with_id)
    }

    fn notice(&self, notice: &Notice) -> Bytes {
        chunk(&frame(Some(Notice::EVENT), None, &notice.encode()))
    }

    fn end(&self, notice: &Notice) -> Bytes {
        [&self.notice(notice), LAST_CHUNK].concat().into()
    }

    fn refuse(&self, status: StatusCode, reason: String) -> Bytes {
        if status == StatusCode::NO_CONTENT {
            return request::head(status, "\r\n").into();
        }
        request::problem(status, &reason, "")
    }
}

/// A body's length, which must be said and within its bound.
fn body_bytes(request: &Request<'_, '_>, limits: &Limits) -> Result<usize, Breach> {
    let chunked = request.all("transfer-encoding").next().is_some();
    let length = request.only("content-length").filter(|_| !chunked);
    let digits = length.filter(|length| length.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(length) = digits.and_then(|digits| digits.parse().ok()) else {
        let reason = "send the body's `Content-Length`, and no transfer coding";
        let status = StatusCode::LENGTH_REQUIRED;
        return Err(refused(status, reason, Counter::RefusedBodies));
    };
    if length > limits.body_bytes {
        let reason = format!(
            "the body is too large: send {} bytes at most",
            limits.body_bytes
        );
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(refused(status, &reason, Counter::RefusedBodies));
    }
    Ok(length)
}

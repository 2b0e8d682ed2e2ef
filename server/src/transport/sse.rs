//! Server-sent events: a subscription as the body of an HTTP response (WHATWG HTML §9.2).
//!
//! Our own encoder, because the framework's loses an empty `data`, rewrites CR and copies the payload
//! for every connection; a frame here is made once and shared.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use bytes::Bytes;
use http_body::Frame;

use crate::{
    connection::Connection,
    contract::{event_id::EventId, notice::Notice},
    hub::{Item, Subscription},
};

/// One event: fields, then the empty line.
///
/// `data` is split at LF, as the standard joins it. A CR in it would end the line too and could not be
/// brought back, so callers pass text without one (JSON escapes it).
pub fn frame(event: Option<&str>, id: Option<EventId>, data: &str) -> Bytes {
    let mut frame = String::with_capacity(data.len() + 64);
    if let Some(id) = id {
        frame.push_str("id: ");
        frame.push_str(&id.to_string());
        frame.push('\n');
    }
    if let Some(event) = event {
        frame.push_str("event: ");
        frame.push_str(event);
        frame.push('\n');
    }
    for line in data.split('\n') {
        frame.push_str("data: ");
        frame.push_str(line);
        frame.push('\n');
    }
    frame.push('\n');
    frame.into()
}

/// The response that streams `subscription`, opened by `hello`.
pub fn response(
    hello: &Notice,
    subscription: Subscription,
    with_id: bool,
    connection: Arc<Connection>,
) -> Response<Body> {
    let stream = Stream {
        opening: Some(opening(hello, with_id)),
        subscription: Some(subscription),
        with_id,
        connection,
    };
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx buffers a proxied response unless told otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// `retry:` and the hello. It carries the id of the message before it, so that a client that is cut
/// before its first message resumes from here.
fn opening(hello: &Notice, with_id: bool) -> Bytes {
    let Notice::Hello {
        after, retry_ms, ..
    } = hello
    else {
        return frame(Some(Notice::EVENT), None, &hello.encode());
    };
    let hello = frame(
        Some(Notice::EVENT),
        with_id.then_some(*after),
        &hello.encode(),
    );
    [format!("retry: {retry_ms}\n").as_bytes(), &hello]
        .concat()
        .into()
}

/// A body of one frame an item. Hyper asks for frames until there is none ready, then writes them in
/// one go: that is `flush=ready`.
struct Stream {
    opening: Option<Bytes>,
    /// Gone once the stream has ended.
    subscription: Option<Subscription>,
    with_id: bool,
    connection: Arc<Connection>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(Ok(Frame::data(opening))));
        }
        let Some(subscription) = &mut self.subscription else {
            return Poll::Ready(None);
        };
        let bytes = match ready!(subscription.poll_next(cx)) {
            Item::Message(message) => {
                self.connection.hand_over(message.sent_at);
                message.event(self.with_id)
            }
            Item::Dropped(count) => frame(
                Some(Notice::EVENT),
                None,
                &Notice::Dropped { count }.encode(),
            ),
            Item::End { last, cancelled } => {
                self.subscription = None;
                frame(
                    Some(Notice::EVENT),
                    None,
                    &Notice::End { last, cancelled }.encode(),
                )
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_standards() {
        let id = EventId {
            epoch: 1,
            stream: 0,
            seq: 42,
        };
        assert_eq!(frame(None, None, "hi"), "data: hi\n\n");
        assert_eq!(frame(None, None, ""), "data: \n\n");
        assert_eq!(frame(None, None, "a\nb\n"), "data: a\ndata: b\ndata: \n\n");
        assert_eq!(
            frame(Some("x"), Some(id), "y"),
            "id: 1-0-42\nevent: x\ndata: y\n\n"
        );
    }
}

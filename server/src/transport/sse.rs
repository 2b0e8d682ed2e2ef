//! Server-sent events: a subscription as the body of an HTTP response (WHATWG HTML §9.2).

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
    contract::{event::frame, notice::Notice},
    hub::{Item, Subscription},
};

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

//! A subscription as the body of an HTTP response: server-sent events (WHATWG HTML §9.2), or a line each.

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

use super::framing::Framing;
use crate::{
    connection::{Carriage, Connection},
    contract::notice::Notice,
    hub::{Item, Subscription},
    progress::{Progress, Streams},
};

/// The response that streams `subscription`, opened by `hello`.
pub fn response(
    hello: &Notice,
    subscription: Subscription,
    framing: Framing,
    connection: Arc<Connection>,
    streams: &Arc<Streams>,
) -> Response<Body> {
    connection.carries(Carriage::default());
    let stream = Stream {
        opening: Some(framing.opening(hello)),
        subscription: Some(subscription),
        framing,
        progress: streams.enter(&connection),
        connection,
    };
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(framing.media_type()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx buffers a proxied response unless told otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A body of one frame an item. Hyper asks for frames until there is none ready, then writes them in
/// one go: that is `flush=ready`.
struct Stream {
    opening: Option<Bytes>,
    /// Gone once the stream has ended.
    subscription: Option<Subscription>,
    framing: Framing,
    connection: Arc<Connection>,
    /// Where the connection is shared.
    progress: Option<Progress>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        this.progress.as_ref().inspect(|progress| progress.taken());
        let bytes = match this.opening.take() {
            Some(opening) => opening,
            None => match &mut this.subscription {
                Some(subscription) => {
                    let item = ready!(subscription.poll_next(cx));
                    this.bytes(item)
                }
                None => return Poll::Ready(None),
            },
        };
        this.progress.as_ref().inspect(|progress| progress.given());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Stream {
    fn bytes(&mut self, item: Item) -> Bytes {
        match item {
            Item::Message(message) => {
                self.connection.hand_over(message.sent_at);
                self.framing.message(&message)
            }
            Item::Dropped(count) => self.framing.notice(&Notice::Dropped { count }),
            Item::End { last, cancelled } => {
                self.subscription = None;
                self.framing.notice(&Notice::End { last, cancelled })
            }
        }
    }
}

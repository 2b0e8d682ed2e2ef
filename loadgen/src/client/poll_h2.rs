//! `poll-h2`, long polling: each request on a stream of its own of an HTTP/2 connection.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, client::ResponseFuture};
use hyper::{Request, Response, header::ACCEPT};
use pushbench_server::contract::{ask::Ask, event_id::EventId};

use super::{
    Ended, Pending, Wire,
    connector::Target,
    content::Content,
    counted::ByteStream,
    h2_connection::Link,
    hold_path,
    poll::{Told, WAIT_S, goes_on},
    request::{Manner, Version},
    stream_h2::said,
};

/// What the transport names.
pub const PATH: &str = Manner::Poll.path(Version::Http2, None);

/// A wire that polls one stream of messages after the other.
pub struct PollH2<S> {
    link: Link<S>,
    /// Scheme, host and port of every request.
    origin: String,
    state: State,
    lines: Content,
    told: Told,
    /// Of all requests but the first.
    target: String,
    /// The last message that was told, for the next request.
    last: Option<EventId>,
    /// Round trips of what was asked here.
    trips: u32,
    path: Option<&'static str>,
    /// Told again to whoever asks again.
    ended: Option<Ended>,
}

/// What is waited for.
enum State {
    /// Nothing: no stream of messages, or its end has come.
    Idle,
    /// That another request may be sent.
    Turn,
    /// The head of an answer.
    Head(ResponseFuture),
    /// The lines of an answer.
    Body(RecvStream),
}

impl<S: ByteStream> PollH2<S> {
    /// On a connection; nothing is asked yet.
    pub(super) fn new(link: Link<S>, target: &Target) -> Self {
        Self {
            link,
            origin: target.origin(),
            state: State::Idle,
            lines: Content::lines(),
            told: Told::default(),
            target: String::new(),
            last: None,
            trips: 0,
            path: None,
            ended: None,
        }
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let first = Manner::Poll.request(ask)?;
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        // A stream that has not ended is given up: the answer that is on its way is reset.
        self.state = State::Idle;
        (self.lines, self.told) = (Content::lines(), Told::default());
        self.last = first.last_event_id;
        self.target = goes_on(ask);
        let request = self.request(&first.target, false)?;
        let response = self.link.request(request, Bytes::new()).await;
        let response = response.map_err(|ended| self.end(ended))?;
        self.last = None;
        self.begin(response)
    }

    fn request(&self, target: &str, waits: bool) -> Result<Request<()>, Ended> {
        let uri = format!("{}{target}", self.origin);
        let mut request = Request::get(uri).header(ACCEPT, Manner::Poll.media_type());
        if let Some(last) = self.last {
            request = request.header("last-event-id", last.to_string());
        }
        if waits {
            request = request.header("prefer", format!("wait={WAIT_S}"));
        }
        let request = request.body(());
        request.map_err(|error| Ended::Failed(error.to_string()))
    }

    /// A response has come: whether it is what was asked for.
    fn begin(&mut self, response: Response<RecvStream>) -> Result<(), Ended> {
        self.trips += 1;
        let status = response.status().as_u16();
        if status != 200 {
            self.state = State::Idle;
            return Err(Ended::Status(status));
        }
        let path = hold_path(PATH, &said(&response)).map_err(|ended| self.end(ended))?;
        self.path = Some(path);
        self.last = last_event_id(&response).or(self.last);
        self.state = State::Body(response.into_body());
        Ok(())
    }

    /// Reads answers, and asks again after each, until the stream of messages has ended.
    fn poll_answers(
        &mut self,
        cx: &mut Context<'_>,
        deliver: &mut dyn FnMut(&str),
    ) -> Poll<Result<(), Ended>> {
        let mut driven = self.link.drive(cx);
        let mut waiting = Context::from_waker(self.link.waker(cx));
        loop {
            match &mut self.state {
                State::Idle => return Poll::Ready(Ok(())),
                State::Turn => {
                    ready!(self.link.poll_ready(cx))?;
                    let request = self.request(&self.target, true)?;
                    let (response, _) = self.link.send(request, Bytes::new(), true)?;
                    self.state = State::Head(response);
                    // On its way at once.
                    driven = self.link.drive(cx);
                }
                State::Head(response) => match Future::poll(Pin::new(response), &mut waiting) {
                    Poll::Ready(Ok(response)) => self.begin(response)?,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.link.failed(&error))),
                    Poll::Pending => return driven.map(Err),
                },
                State::Body(body) => match body.poll_data(&mut waiting) {
                    Poll::Ready(Some(Ok(bytes))) => {
                        // The window is open again for what was taken; fails where the stream is gone,
                        // which the next poll tells.
                        let _ = body.flow_control().release_capacity(bytes.len());
                        self.take(&bytes, deliver)?;
                    }
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(self.link.failed(&error)));
                    }
                    Poll::Ready(None) if self.told.ended => self.state = State::Idle,
                    Poll::Ready(None) => self.state = State::Turn,
                    Poll::Pending => return driven.map(Err),
                },
            }
        }
    }

    fn take(&mut self, bytes: &[u8], deliver: &mut dyn FnMut(&str)) -> Result<(), Ended> {
        let told = &mut self.told;
        self.lines.push(bytes, &mut |payload| {
            if told.note(payload) {
                deliver(payload);
            }
        })
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.state = State::Idle;
        self.ended = Some(ended.clone());
        ended
    }
}

fn last_event_id(response: &Response<RecvStream>) -> Option<EventId> {
    let value = response.headers().get("last-event-id")?;
    value.to_str().ok()?.parse().ok()
}

impl<S: ByteStream> Wire for PollH2<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(ended.clone());
        }
        let ended = match ready!(self.poll_answers(cx, deliver)) {
            // Refused, which the connection outlives.
            Err(Ended::Status(status)) => return Poll::Ready(Ended::Status(status)),
            Err(ended) => ended,
            Ok(()) => ready!(self.link.poll_gone(cx)),
        };
        Poll::Ready(self.end(ended))
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            let Self { link, state, .. } = *self;
            // An answer that has not come is reset.
            drop(state);
            link.close().await;
        })
    }

    fn round_trips(&self) -> u32 {
        self.link.opening() + self.trips
    }

    fn path(&self) -> Option<&'static str> {
        self.path
    }
}

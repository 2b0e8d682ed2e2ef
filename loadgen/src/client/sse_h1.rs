//! `sse-h1`: a `GET` answered by `text/event-stream`, on an HTTP/1.1 connection that is kept alive.
//!
//! Reads head and body itself, for the reason in [`chunked`](super::chunked): events are parsed where
//! the socket put them, without a copy or an allocation a message.

use std::{
    future::poll_fn,
    net::SocketAddr,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{ask::Ask, event::frame, event_id::EventId};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::{
    Ended, Pending, READ_BUFFER_BYTES, Script, Wire,
    chunked::Piece,
    counted::{ByteStream, Counted, RoundTrips},
    head::{Framing, HEAD_BYTES_MAX, Head},
    hold_path,
};
use crate::sse::Parser;

/// What the transport names.
const PATH: &str = "HTTP/1.1 200 text/event-stream";

/// Most interim responses before the one that was asked for. No server sends more than a hint or two.
const INTERIM_MAX: usize = 8;

/// Read by whoever waits for it, never by a task of its own: a hop between tasks would be charged to SSE
/// alone.
pub struct SseH1<S> {
    stream: Counted<S>,
    trips: RoundTrips,
    buffer: Vec<u8>,
    /// What of the buffer was read from the stream and is not used yet.
    unread: Range<usize>,
    body: Option<Body>,
    parser: Parser,
    host: String,
    path: Option<&'static str>,
    /// Told again to whoever asks again.
    ended: Option<Ended>,
}

impl<S: ByteStream> SseH1<S> {
    /// On an open connection; nothing is sent yet.
    pub fn new(stream: Counted<S>, server: SocketAddr) -> Self {
        Self {
            trips: stream.trips(),
            stream,
            buffer: vec![0; READ_BUFFER_BYTES],
            unread: 0..0,
            body: None,
            parser: Parser::new(),
            host: server.to_string(),
            path: None,
            ended: None,
        }
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let request = self.request(ask)?;
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.send(request.as_bytes()).await?;
        let head = self.head().await?;
        let Head {
            minor_version,
            status,
            ref media_type,
            ..
        } = head;
        let came = format!("HTTP/1.{minor_version} {status} {media_type}");
        self.body = Some(Body {
            // A refusal in words is read over, so that the connection can be asked again.
            events: came == PATH,
            framing: head.framing,
            keep_alive: head.keep_alive,
        });
        if minor_version == 1 && status != 200 {
            return Err(Ended::Status(status));
        }
        self.path = Some(hold_path(PATH, &came)?);
        self.parser = Parser::new();
        Ok(())
    }

    fn request(&self, ask: &Ask) -> Result<String, Ended> {
        let (path, after) = match ask {
            Ask::Chat(ask) => (format!("/sse/chat?{}", query(ask)), ask.after),
            Ask::Feed(ask) => (format!("/sse/feed?{}", query(ask)), ask.after),
            Ask::Cancel => {
                return Err(Ended::Failed(
                    "a stream of events is cancelled by closing it".into(),
                ));
            }
        };
        let resume = after.map_or_else(String::new, |after: EventId| {
            format!("last-event-id: {after}\r\n")
        });
        Ok(format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\
             cache-control: no-cache\r\n{resume}\r\n",
            self.host
        ))
    }

    /// Reads what is left of the response before; then the connection must be quiet and alive.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if let Some(body) = &mut self.body {
            body.events = false;
        }
        ready!(self.poll_body(cx, &mut |_| ()))?;
        match self.poll_end(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), Ended> {
        let written = async {
            self.stream.write_all(request).await?;
            self.stream.flush().await
        };
        let written: std::io::Result<()> = written.await;
        written.map_err(|error| self.end(Ended::from_error(&error)))
    }

    /// The head of the final response.
    async fn head(&mut self) -> Result<Head, Ended> {
        for _ in 0..=INTERIM_MAX {
            let head = poll_fn(|cx| self.poll_head(cx)).await?;
            if !head.is_interim() {
                return Ok(head);
            }
        }
        Err(self.end(Ended::Failed(format!(
            "more than {INTERIM_MAX} interim responses"
        ))))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Ended>> {
        loop {
            match Head::parse(&self.buffer[self.unread.clone()]) {
                Ok(Some(head)) => {
                    self.unread.start += head.length;
                    return Poll::Ready(Ok(head));
                }
                Ok(None) => ready!(self.poll_fill(cx))?,
                Err(ended) => return Poll::Ready(Err(self.end(ended))),
            }
        }
    }

    /// Reads the body to its proper end, which has come if there is none.
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        deliver: &mut dyn FnMut(&str),
    ) -> Poll<Result<(), Ended>> {
        loop {
            if let Some(ended) = &self.ended {
                return Poll::Ready(Err(ended.clone()));
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(Ok(()));
            };
            let mut input = &self.buffer[self.unread.clone()];
            let taken = body.take(&mut input, &mut self.parser, deliver);
            self.unread.start = self.unread.end - input.len();
            match taken {
                Ok(Taken::All) => ready!(self.poll_fill(cx))?,
                Ok(Taken::ToTheEnd) => {
                    self.ended = (!body.keep_alive).then_some(Ended::Closed);
                    self.body = None;
                }
                Err(ended) => return Poll::Ready(Err(self.end(ended))),
            }
        }
    }

    /// Between two answers, only the connection's own end is of interest.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let filled = if self.unread.is_empty() {
            ready!(self.poll_fill(cx))
        } else {
            Ok(())
        };
        Poll::Ready(match filled {
            Ok(()) => self.end(Ended::Failed("bytes came that nobody asked for".into())),
            Err(ended) => ended,
        })
    }

    /// Reads once from the stream, behind what is unread: nothing while a body is read, part of a head
    /// else.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(Err(ended.clone()));
        }
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.buffer.len() {
            if self.unread.start == 0 && self.buffer.len() >= HEAD_BYTES_MAX {
                return Poll::Ready(Err(self.end(Ended::Failed(format!(
                    "the response's head is larger than {HEAD_BYTES_MAX} bytes"
                )))));
            }
            self.buffer.drain(..self.unread.start);
            self.unread = 0..self.unread.len();
            self.buffer.resize(HEAD_BYTES_MAX, 0);
        }
        let mut space = ReadBuf::new(&mut self.buffer[self.unread.end..]);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space));
        let count = space.filled().len();
        self.unread.end += count;
        Poll::Ready(match read {
            Ok(()) if count > 0 => Ok(()),
            Ok(()) => Err(self.end(Ended::Closed)),
            Err(error) => Err(self.end(Ended::from_error(&error))),
        })
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.ended = Some(ended.clone());
        ended
    }
}

/// The response that is being read.
struct Body {
    framing: Framing,
    /// Whether it is the stream that was asked for.
    events: bool,
    /// Whether the connection outlives it.
    keep_alive: bool,
}

/// How far the input went.
enum Taken {
    All,
    ToTheEnd,
}

impl Body {
    /// Takes from the front of `input` and delivers what is complete.
    fn take(
        &mut self,
        input: &mut &[u8],
        parser: &mut Parser,
        deliver: &mut dyn FnMut(&str),
    ) -> Result<Taken, Ended> {
        loop {
            match self.framing.next(input) {
                Ok(Piece::Data(bytes)) if self.events => parser
                    .push(bytes, &mut |event| deliver(event.data))
                    .map_err(|overflow| Ended::Failed(overflow.to_string()))?,
                Ok(Piece::Data(_)) => {}
                Ok(Piece::More) => return Ok(Taken::All),
                Ok(Piece::End) => return Ok(Taken::ToTheEnd),
                Err(malformed) => {
                    return Err(Ended::Failed(format!(
                        "the body is not in the chunked coding: {malformed}"
                    )));
                }
            }
        }
    }
}

/// The ask's fields as a query, without `after`: that is what `Last-Event-ID` is for.
fn query(ask: &impl serde::Serialize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(ask) {
        for (name, value) in fields {
            match value {
                serde_json::Value::Null => {}
                _ if name == "after" => {}
                serde_json::Value::String(text) => drop(query.append_pair(&name, &text)),
                other => drop(query.append_pair(&name, &other.to_string())),
            }
        }
    }
    query.finish()
}

impl<S: ByteStream> Wire for SseH1<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        match ready!(self.poll_body(cx, deliver)) {
            Ok(()) => self.poll_end(cx),
            Err(ended) => Poll::Ready(ended),
        }
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        // HTTP/1.1 has no goodbye but closing.
        Box::pin(async move { drop(self) })
    }

    fn round_trips(&self) -> u32 {
        self.trips.count()
    }

    fn path(&self) -> Option<&'static str> {
        self.path
    }
}

/// The server's side: a response without an end, one chunk a message, as hyper writes them.
pub const SCRIPT: Script = Script {
    answer: |_| {
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
          x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\
          date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n"
            .to_vec()
    },
    frame: |payload| {
        let event = frame(None, None, payload);
        [format!("{:X}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat()
    },
};

//! `sse-h1` and `fetch-h1`: a request answered by a stream, on an HTTP/1.1 connection that is kept alive.
//!
//! Reads head and body itself, for the reason in [`chunked`](super::chunked): payloads are parsed where
//! the socket put them, without a copy or an allocation a message.

use std::{
    future::poll_fn,
    net::SocketAddr,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{
    ask::Ask,
    event::frame,
    event_id::EventId,
    factors::{Coding, Framing as Framed},
};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::{
    Ended, Pending, READ_BUFFER_BYTES, Script, Wire,
    chunked::Piece,
    content::Content,
    counted::{ByteStream, Counted, RoundTrips},
    decoded::Decoded,
    head::{Framing, HEAD_BYTES_MAX, Head},
    hold_path,
    request::{Manner, Request},
};

/// What the transport names, with the coding that the arm asks for.
const fn path(manner: Manner, coding: Option<Coding>) -> &'static str {
    let events = matches!(manner, Manner::Get | Manner::Post(Framed::Sse));
    match (events, coding) {
        (true, None) => "HTTP/1.1 200 text/event-stream",
        (true, Some(Coding::Gzip)) => "HTTP/1.1 200 text/event-stream gzip",
        (true, Some(Coding::Br)) => "HTTP/1.1 200 text/event-stream br",
        (true, Some(Coding::Zstd)) => "HTTP/1.1 200 text/event-stream zstd",
        (false, None) => "HTTP/1.1 200 application/x-ndjson",
        (false, Some(Coding::Gzip)) => "HTTP/1.1 200 application/x-ndjson gzip",
        (false, Some(Coding::Br)) => "HTTP/1.1 200 application/x-ndjson br",
        (false, Some(Coding::Zstd)) => "HTTP/1.1 200 application/x-ndjson zstd",
    }
}

/// Most interim responses before the one that was asked for. No server sends more than a hint or two.
const INTERIM_MAX: usize = 8;

/// Read by whoever waits for it, never by a task of its own: a hop between tasks would be charged to HTTP
/// alone.
pub struct StreamH1<S> {
    stream: Counted<S>,
    trips: RoundTrips,
    buffer: Vec<u8>,
    /// What of the buffer was read from the stream and is not used yet.
    unread: Range<usize>,
    manner: Manner,
    body: Option<Body>,
    content: Content,
    /// What every answer is asked for in.
    coding: Option<Coding>,
    host: String,
    path: Option<&'static str>,
    /// Told again to whoever asks again.
    ended: Option<Ended>,
}

impl<S: ByteStream> StreamH1<S> {
    /// On an open connection; nothing is sent yet.
    pub fn new(
        stream: Counted<S>,
        server: SocketAddr,
        manner: Manner,
        coding: Option<Coding>,
    ) -> Self {
        Self {
            trips: stream.trips(),
            stream,
            buffer: vec![0; READ_BUFFER_BYTES],
            unread: 0..0,
            manner,
            body: None,
            content: manner.content(),
            coding,
            host: server.to_string(),
            path: None,
            ended: None,
        }
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let request = self.head_and_body(self.manner.request(ask)?);
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.send(request.as_bytes()).await?;
        let head = self.head().await?;
        let Head {
            minor_version,
            status,
            ref media_type,
            ref content_coding,
            ..
        } = head;
        let came = format!("HTTP/1.{minor_version} {status} {media_type} {content_coding}");
        let (came, named) = (came.trim_end(), path(self.manner, self.coding));
        self.body = Some(Body {
            // A refusal in words is read over, so that the connection can be asked again.
            streams: came == named,
            decoded: Decoded::new(self.coding)?,
            framing: head.framing,
            keep_alive: head.keep_alive,
        });
        if minor_version == 1 && status != 200 {
            return Err(Ended::Status(status));
        }
        self.path = Some(hold_path(named, came)?);
        self.content = self.manner.content();
        Ok(())
    }

    fn head_and_body(&self, request: Request) -> String {
        let Request {
            method,
            target,
            last_event_id,
            body,
        } = request;
        let host = &self.host;
        let media_type = self.manner.media_type();
        let resume = last_event_id.map_or_else(String::new, |after: EventId| {
            format!("last-event-id: {after}\r\n")
        });
        let coding = self.coding.map_or_else(String::new, |coding| {
            format!("accept-encoding: {}\r\n", coding.name())
        });
        let of_body = if body.is_empty() {
            String::new()
        } else {
            let length = body.len();
            format!("content-type: application/json\r\ncontent-length: {length}\r\n")
        };
        format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\naccept: {media_type}\r\n\
             cache-control: no-cache\r\n{coding}{resume}{of_body}\r\n{body}"
        )
    }

    /// Reads what is left of the response before; then the connection must be quiet and alive.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if let Some(body) = &mut self.body {
            body.streams = false;
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
            let taken = body.take(&mut input, &mut self.content, deliver);
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
    streams: bool,
    decoded: Decoded,
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
        content: &mut Content,
        deliver: &mut dyn FnMut(&str),
    ) -> Result<Taken, Ended> {
        loop {
            match self.framing.next(input) {
                Ok(Piece::Data(bytes)) if self.streams => self
                    .decoded
                    .push(bytes, &mut |bytes| content.push(bytes, deliver))?,
                Ok(Piece::Data(_)) => {}
                Ok(Piece::More) => return Ok(Taken::All),
                Ok(Piece::End) if self.streams => {
                    self.decoded.end()?;
                    return Ok(Taken::ToTheEnd);
                }
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

impl<S: ByteStream> Wire for StreamH1<S> {
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
    frame: |_, payload| {
        let event = frame(None, None, payload);
        [format!("{:X}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat()
    },
    requests: None,
};

//! `sse-h1` and `fetch-h1`: a request answered by a stream, on an HTTP/1.1 connection that is kept alive.
//!
//! Payloads are parsed where the socket put them, without a copy or an allocation a message: why is said in
//! [`chunked`](super::chunked).

use std::{
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{
    ask::Ask,
    event::frame,
    event_id::EventId,
    factors::{Coding, Proxy},
};

use super::{
    Ended, Pending, Script, Wire,
    content::Content,
    counted::{ByteStream, Counted},
    decoded::Decoded,
    exchange::{Exchange, path},
    hold_path_through,
    request::{Manner, Request, Version},
};

/// Read by whoever waits for it, never by a task of its own: a hop between tasks would be charged to HTTP
/// alone.
pub struct StreamH1<S> {
    exchange: Exchange<S>,
    manner: Manner,
    /// Whether the body that is read is the stream that was asked for, and not a refusal in words.
    streams: bool,
    content: Content,
    /// What every answer is asked for in.
    coding: Option<Coding>,
    decoded: Decoded,
    /// Who must have passed the answers on.
    proxy: Proxy,
    host: String,
    path: Option<&'static str>,
}

impl<S: ByteStream> StreamH1<S> {
    /// On an open connection; nothing is sent yet.
    ///
    /// # Errors
    /// When the coding's library does not start.
    pub fn new(
        stream: Counted<S>,
        server: SocketAddr,
        manner: Manner,
        coding: Option<Coding>,
        proxy: Proxy,
    ) -> Result<Self, Ended> {
        Ok(Self {
            exchange: Exchange::new(stream),
            manner,
            streams: false,
            content: manner.content(),
            coding,
            decoded: Decoded::new(coding)?,
            proxy,
            host: server.to_string(),
            path: None,
        })
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let request = self.head_and_body(self.manner.request(ask)?);
        // What is left of the response before is read over, and so is a refusal.
        self.streams = false;
        let head = self.exchange.request(request.as_bytes()).await?;
        if head.minor_version == 1 && head.status != 200 {
            return Err(Ended::Status(head.status));
        }
        let named = self.manner.path(Version::Http1, self.coding);
        self.path = Some(hold_path_through(self.proxy, named, &path(&head))?);
        self.decoded = Decoded::new(self.coding)?;
        self.content = self.manner.content();
        self.streams = true;
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
}

impl<S: ByteStream> Wire for StreamH1<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        let Self {
            exchange,
            streams,
            content,
            decoded,
            ..
        } = self;
        let mut take = |bytes: &[u8]| match *streams {
            true => decoded.push(bytes, &mut |bytes| content.push(bytes, deliver)),
            false => Ok(()),
        };
        if let Err(ended) = ready!(exchange.poll_body(cx, &mut take)) {
            return Poll::Ready(ended);
        }
        if std::mem::take(streams)
            && let Err(ended) = decoded.end()
        {
            return Poll::Ready(exchange.end(ended));
        }
        exchange.poll_end(cx)
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        // HTTP/1.1 has no goodbye but closing.
        Box::pin(async move { drop(self) })
    }

    fn round_trips(&self) -> u32 {
        self.exchange.round_trips()
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

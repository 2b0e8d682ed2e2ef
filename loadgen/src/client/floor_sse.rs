//! `floor-sse`: a `POST` answered by `text/event-stream`, from a server as bare as this client.

use std::{
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{ask::Ask, event::frame, framing::chunk};

use super::{
    Ended, Pending, Script, Wire,
    counted::{ByteStream, Counted},
    exchange::{Exchange, path},
    hold_path,
};
use crate::sse::Parser;

/// What the transport names.
const PATH: &str = "bare HTTP/1.1 200 text/event-stream";

/// One connection, one stream after the other.
#[derive(Debug)]
pub struct FloorSse<S> {
    exchange: Exchange<S>,
    parser: Parser,
    /// Whether the body that is read is a stream of events, and not a refusal.
    events: bool,
    host: String,
    path: Option<&'static str>,
}

impl<S: ByteStream> FloorSse<S> {
    /// On an open connection; nothing is sent yet.
    pub fn new(stream: Counted<S>, server: SocketAddr) -> Self {
        Self {
            exchange: Exchange::new(stream),
            parser: Parser::new(),
            events: false,
            host: server.to_string(),
            path: None,
        }
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let request = self.request(ask)?;
        self.events = false;
        let head = self.exchange.request(request.as_bytes()).await?;
        if head.minor_version == 1 && head.status != 200 {
            return Err(Ended::Status(head.status));
        }
        self.path = Some(hold_path(PATH, &path(&head))?);
        self.events = true;
        self.parser = Parser::new();
        Ok(())
    }

    fn request(&self, ask: &Ask) -> Result<String, Ended> {
        let (path, body) = match ask {
            Ask::Chat(ask) => ("/chat", serde_json::to_string(ask)),
            Ask::Feed(ask) => ("/feed", serde_json::to_string(ask)),
            Ask::Cancel => {
                return Err(Ended::Failed(
                    "a stream of events is cancelled by closing it".into(),
                ));
            }
        };
        let body = body.map_err(|error| Ended::Failed(error.to_string()))?;
        Ok(format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        ))
    }
}

impl<S: ByteStream> Wire for FloorSse<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        let Self {
            exchange,
            parser,
            events,
            ..
        } = self;
        let mut take = |bytes: &[u8]| {
            if !*events {
                return Ok(());
            }
            let parsed = parser.push(bytes, &mut |event| deliver(event.data));
            parsed.map_err(|overflow| Ended::Failed(overflow.to_string()))
        };
        match ready!(exchange.poll_body(cx, &mut take)) {
            Ok(()) => exchange.poll_end(cx),
            Err(ended) => Poll::Ready(ended),
        }
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

/// The server's side: a response without an end, a chunk a message.
pub const SCRIPT: Script = Script {
    answer: |_| {
        b"HTTP/1.1 200 OK\r\nserver: bare\r\ncontent-type: text/event-stream\r\n\
          cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec()
    },
    frame: |_, payload| chunk(&frame(None, None, payload)).to_vec(),
    requests: None,
};

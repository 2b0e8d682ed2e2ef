//! `floor-ws`: a WebSocket whose upgrade and frames are made by hand, as bare as its server (RFC 6455).

use std::{
    future::poll_fn,
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pushbench_server::contract::{
    ask::Ask,
    websocket::{Header, Opcode, close, frame},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Ended, Pending, Script, Wire,
    buffered::Buffered,
    counted::{ByteStream, Counted},
    head::HEAD_BYTES_MAX,
    hold_path,
};
use crate::sse::EVENT_BYTES_MAX;

/// What the transport names.
const PATH: &str = "bare HTTP/1.1 101 websocket";

/// Fields of the answer to an upgrade: a floor sends four.
const FIELDS_MAX: usize = 32;

/// Longest header of a frame.
const HEADER_BYTES_MAX: usize = 14;

/// A normal end (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

/// One WebSocket.
#[derive(Debug)]
pub struct FloorWs<S> {
    bytes: Buffered<S>,
    path: &'static str,
    /// Whether either end has said goodbye.
    closing: bool,
}

impl<S: ByteStream> FloorWs<S> {
    /// Upgrades an open connection.
    pub async fn upgrade(stream: Counted<S>, server: SocketAddr) -> Result<Self, Ended> {
        let key = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
        let mut bytes = Buffered::new(stream);
        bytes.queue(
            format!(
                "GET /ws HTTP/1.1\r\nhost: {server}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            )
            .as_bytes(),
        );
        let answer = poll_fn(|cx| {
            ready!(bytes.poll_flush(cx))?;
            poll_answer(&mut bytes, cx)
        })
        .await?;
        if !(answer.status < 300 || answer.came.starts_with("HTTP/1.0")) {
            return Err(Ended::Status(answer.status));
        }
        let mut came = answer.came;
        if answer.status == 101
            && answer.accept.as_deref() != Some(&*derive_accept_key(key.as_bytes()))
        {
            came.push_str(" of another key's accept");
        }
        Ok(Self {
            bytes,
            path: hold_path(PATH, &came)?,
            closing: false,
        })
    }

    /// Delivers the messages that are here; how many bytes the next one takes.
    fn take(&mut self, deliver: &mut dyn FnMut(&str)) -> Result<usize, Ended> {
        while !self.closing {
            let unread = self.bytes.unread();
            let header = Header::parse(unread);
            let header = header.map_err(|malformed| Ended::Failed(malformed.to_string()))?;
            let Some(header) = header else {
                return Ok(HEADER_BYTES_MAX);
            };
            let end = usize::try_from(header.frame_bytes()).unwrap_or(usize::MAX);
            if end > EVENT_BYTES_MAX {
                return Err(failed("a frame beyond the most that is held in memory"));
            }
            let Some(payload) = unread.get(header.bytes..end) else {
                return Ok(end);
            };
            let answer = match header.opcode {
                Opcode::Text if header.last && header.mask.is_none() => {
                    let text = std::str::from_utf8(payload);
                    deliver(text.map_err(|error| Ended::Failed(error.to_string()))?);
                    None
                }
                Opcode::Pong => None,
                Opcode::Ping => Some(frame(Opcode::Pong, payload, Some(mask()))),
                Opcode::Close => {
                    self.closing = true;
                    Some(close(NORMAL, "", Some(mask())))
                }
                // A floor sends each message whole and as text, and masks nothing.
                _ => return Err(failed("a frame that a floor does not send")),
            };
            self.bytes.consume(end);
            if let Some(answer) = answer {
                self.bytes.queue(&answer);
            }
        }
        Ok(HEADER_BYTES_MAX)
    }
}

fn failed(reason: &str) -> Ended {
    Ended::Failed(reason.into())
}

/// What a client's frames are masked with: unpredictable, so that no proxy can be fooled (RFC 6455 §10.3).
fn mask() -> [u8; 4] {
    rand::random()
}

/// The answer to an upgrade.
struct Answer {
    status: u16,
    came: String,
    accept: Option<String>,
}

fn poll_answer<S: ByteStream>(
    bytes: &mut Buffered<S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Answer, Ended>> {
    loop {
        let here = bytes.unread().len();
        match Answer::parse(bytes.unread()) {
            Ok(Some((answer, length))) => {
                bytes.consume(length);
                return Poll::Ready(Ok(answer));
            }
            Ok(None) if here < HEAD_BYTES_MAX => ready!(bytes.poll_fill(cx, here + 1))?,
            Ok(None) => return Poll::Ready(Err(failed("the response's head is too large"))),
            Err(ended) => return Poll::Ready(Err(ended)),
        }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Ended> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => {
                return Err(Ended::Failed(format!(
                    "the response's head cannot be read: {error}"
                )));
            }
        };
        let value = |name: &str| {
            let mut named = response.headers.iter();
            let field = named.find(|field| field.name.eq_ignore_ascii_case(name))?;
            Some(String::from_utf8_lossy(field.value).into_owned())
        };
        let (version, status) = (
            response.version.unwrap_or_default(),
            response.code.unwrap_or_default(),
        );
        let bare = value("server").is_some_and(|name| name == "bare");
        let bare = if bare { "bare " } else { "" };
        // Until it is upgraded, the connection speaks what the content type says.
        let kind = value(if status == 101 {
            "upgrade"
        } else {
            "content-type"
        });
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        let extensions = value("sec-websocket-extensions");
        let with = extensions.map_or_else(String::new, |names| format!(" with {names}"));
        let answer = Self {
            status,
            came: format!("{bare}HTTP/1.{version} {status} {kind}{with}"),
            accept: value("sec-websocket-accept"),
        };
        Ok(Some((answer, length)))
    }
}

impl<S: ByteStream> Wire for FloorWs<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(async move {
            let text =
                serde_json::to_string(ask).map_err(|error| Ended::Failed(error.to_string()))?;
            self.bytes
                .queue(&frame(Opcode::Text, text.as_bytes(), Some(mask())));
            poll_fn(|cx| self.bytes.poll_flush(cx)).await
        })
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        loop {
            let wanted = match self.take(deliver) {
                Ok(wanted) => wanted,
                Err(ended) => return Poll::Ready(self.bytes.end(ended)),
            };
            // A goodbye that cannot be answered is one all the same.
            let flushed = ready!(self.bytes.poll_flush(cx));
            if self.closing {
                return Poll::Ready(self.bytes.end(Ended::Closed));
            }
            if let Err(ended) = flushed {
                return Poll::Ready(ended);
            }
            if let Err(ended) = ready!(self.bytes.poll_fill(cx, wanted)) {
                return Poll::Ready(ended);
            }
        }
    }

    fn close(mut self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            if self.closing {
                return;
            }
            self.bytes.queue(&close(NORMAL, "", Some(mask())));
            // The peer may be gone already, which is an end as well.
            if poll_fn(|cx| self.bytes.poll_flush(cx)).await.is_ok() {
                poll_fn(|cx| self.poll_receive(cx, &mut |_| ())).await;
            }
        })
    }

    fn round_trips(&self) -> u32 {
        self.bytes.round_trips()
    }

    fn path(&self) -> Option<&'static str> {
        Some(self.path)
    }
}

/// The server's side: the upgrade, then a text frame a message.
pub const SCRIPT: Script = Script {
    answer: |sent| {
        let text = String::from_utf8_lossy(sent);
        let key = text
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        // What comes later is the ask, which nothing but messages answers.
        key.map_or_else(Vec::new, |key| {
            let accept = derive_accept_key(key.as_bytes());
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nserver: bare\r\nconnection: Upgrade\r\n\
                 upgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
            )
            .into_bytes()
        })
    },
    frame: |_, payload| frame(Opcode::Text, payload.as_bytes(), None).to_vec(),
    requests: None,
};

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Feeds bytes to an upgraded client, so many at a time; what it delivered and how it ended.
    async fn feed(bytes: &[u8], at_once: usize) -> (Vec<String>, Ended) {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut client = FloorWs {
            bytes: Buffered::new(Counted::new(ours)),
            path: PATH,
            closing: false,
        };
        let mut heard = Vec::new();
        let pieces: Vec<_> = bytes.chunks(at_once).map(<[u8]>::to_vec).collect();
        let feeding = tokio::spawn(async move {
            for piece in pieces {
                theirs.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            theirs
        });
        let ended =
            poll_fn(|cx| client.poll_receive(cx, &mut |payload| heard.push(payload.to_owned())));
        let ended = if feeding.is_finished() {
            ended.await
        } else {
            let (ended, _) = tokio::join!(ended, async { drop(feeding.await) });
            ended
        };
        (heard, ended)
    }

    #[tokio::test]
    async fn messages_are_read_at_any_cut_and_to_the_goodbye() {
        let long = "好".repeat(30_000);
        let texts = ["", "a", &"x".repeat(125), &"y".repeat(126), &long, "z"].map(str::to_owned);
        let mut bytes = Vec::new();
        for text in &texts {
            bytes.extend(frame(Opcode::Text, text.as_bytes(), None));
            bytes.extend(frame(Opcode::Pong, b"", None));
        }
        bytes.extend(close(1001, "away", None));
        for at_once in [3, 4_096, usize::MAX] {
            let (heard, ended) = feed(&bytes, at_once).await;
            assert!(heard == texts, "{at_once}");
            assert_eq!(ended, Ended::Closed);
        }
    }

    #[tokio::test]
    async fn what_a_floor_does_not_send_ends_the_connection() {
        for bytes in [
            frame(Opcode::Binary, b"x", None).to_vec(),
            frame(Opcode::Text, b"x", Some([1, 2, 3, 4])).to_vec(),
            frame(Opcode::Text, b"\xFF", None).to_vec(),
            vec![0x01, 1, b'x'],
            vec![0xC1, 1, b'x'],
            vec![0x81, 127, 0, 0, 0, 0xFF, 0, 0, 0, 0],
        ] {
            let (heard, ended) = feed(&bytes, 1).await;
            assert!(heard.is_empty(), "{bytes:x?}");
            assert!(matches!(ended, Ended::Failed(_)), "{bytes:x?}: {ended}");
        }
        assert_eq!(feed(&[0x81, 9, b'x'], 1).await.1, Ended::Closed);
    }
}

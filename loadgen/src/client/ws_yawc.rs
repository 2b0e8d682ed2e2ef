//! `ws-h1` where `ws_library = "yawc"`: the same WebSocket by another library, with permessage-deflate or without
//! (RFC 6455, RFC 7692).
//!
//! The handshake is ours: the library's runs in a task of its own, and tells nobody what was agreed.

use std::{
    io,
    net::SocketAddr,
    sync::LazyLock,
    task::{Context, Poll, ready},
};

use futures_util::SinkExt;
use pushbench_server::contract::{
    ask::Ask,
    deflate::extension,
    factors::{Compression, Proxy},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use yawc::{
    DeflateOptions, Frame, OpCode, Options, Role, WebSocket, WebSocketError, close::CloseCode,
};

use super::{
    Ended, Pending, READ_BUFFER_BYTES, Wire,
    counted::{ByteStream, Counted, RoundTrips},
    head::HEAD_BYTES_MAX,
    hold_path_through, signed,
};
use crate::sse::EVENT_BYTES_MAX;

/// Most fields of the answer that are read; servers send six.
const FIELDS_MAX: usize = 100;

/// One WebSocket.
pub struct WsYawc<S> {
    socket: WebSocket<Counted<S>>,
    trips: RoundTrips,
    path: &'static str,
}

impl<S: ByteStream> WsYawc<S> {
    /// Upgrades an open connection.
    pub async fn upgrade(
        mut stream: Counted<S>,
        server: SocketAddr,
        compression: Compression,
        proxy: Proxy,
    ) -> Result<Self, Ended> {
        let trips = stream.trips();
        let asked = asked(compression);
        let came = shake_hands(&mut stream, server, asked.as_deref()).await?;
        let path = hold_path_through(proxy, named(compression), &came)?;
        // What was agreed is what was asked for, or it would be another path.
        let socket = WebSocket::from_stream_with_extensions(
            stream,
            Role::Client,
            asked.as_deref(),
            options(compression),
        );
        Ok(Self {
            socket: socket.map_err(ended)?,
            trips,
            path,
        })
    }
}

/// The extension that an arm asks for, if it does.
fn asked(compression: Compression) -> Option<String> {
    match compression {
        Compression::Deflate {
            window_bits,
            takeover,
        } => Some(extension(window_bits, takeover)),
        Compression::Off | Compression::Coding(..) => None,
    }
}

/// What the transport names, with the extension that the arm asks for. Made once: every connection of an arm
/// shares it.
fn named(compression: Compression) -> &'static str {
    static NAMES: LazyLock<Vec<(Compression, String)>> = LazyLock::new(|| {
        let levels = (9..=15).flat_map(|window_bits| {
            [true, false].map(|takeover| Compression::Deflate {
                window_bits,
                takeover,
            })
        });
        levels
            .filter_map(|level| Some((level, format!("{PLAIN} with {}", asked(level)?))))
            .collect()
    });
    let found = NAMES.iter().find(|(level, _)| *level == compression);
    found.map_or(PLAIN, |(_, name)| name)
}

const PLAIN: &str = "HTTP/1.1 101 websocket";

/// The library's side of it. Buffers as large as those of the other library; a message is held to the bound of
/// an event, after decompression too.
fn options(compression: Compression) -> Options {
    let options = Options::default()
        .with_limits(EVENT_BYTES_MAX, EVENT_BYTES_MAX)
        .with_read_buffer_capacity(READ_BUFFER_BYTES);
    match compression {
        Compression::Deflate {
            window_bits,
            takeover,
        } => Options {
            compression: Some(DeflateOptions {
                server_max_window_bits: Some(window_bits),
                client_max_window_bits: Some(window_bits),
                server_no_context_takeover: !takeover,
                client_no_context_takeover: !takeover,
                ..DeflateOptions::default()
            }),
            ..options
        },
        Compression::Off | Compression::Coding(..) => options,
    }
}

/// Asks for the upgrade (RFC 6455 §4.1); what the answer says of the path.
async fn shake_hands<S: ByteStream>(
    stream: &mut Counted<S>,
    server: SocketAddr,
    extension: Option<&str>,
) -> Result<String, Ended> {
    let key = generate_key();
    let extension = extension.map_or_else(String::new, |extension| {
        format!("Sec-WebSocket-Extensions: {extension}\r\n")
    });
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{extension}\r\n"
    );
    let failed = |error: io::Error| Ended::from_error(&error);
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        if stream.read_buf(&mut bytes).await.map_err(failed)? == 0 {
            return Err(Ended::Closed);
        }
        if let Some((path, length)) = read_answer(&bytes, &key)? {
            // Nothing was asked for yet, and the library takes over at the head's end.
            return if length == bytes.len() {
                Ok(path)
            } else {
                Err(Ended::Failed("bytes came that nobody asked for".into()))
            };
        }
        if bytes.len() >= HEAD_BYTES_MAX {
            return Err(Ended::Failed(format!(
                "the response's head is larger than {HEAD_BYTES_MAX} bytes"
            )));
        }
    }
}

/// What the answer at the front of `bytes` says of the path, and its length; none while it is not complete.
fn read_answer(bytes: &[u8], key: &str) -> Result<Option<(String, usize)>, Ended> {
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
    let (minor_version, status) = (
        response.version.unwrap_or_default(),
        response.code.unwrap_or_default(),
    );
    if minor_version == 1 && status != 101 && !(200..300).contains(&status) {
        return Err(Ended::Status(status));
    }
    let word = |name: &str| {
        let named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        let value = response.headers.iter().find(named)?.value;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    let mut path = format!("HTTP/1.{minor_version} {status}");
    // Until it is upgraded, the connection speaks what the content type says.
    let kind = if status == 101 {
        "upgrade"
    } else {
        "content-type"
    };
    path.extend(word(kind).map(|kind| format!(" {}", kind.to_ascii_lowercase())));
    if status == 101 && word("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes())) {
        path.push_str(" that does not accept our key");
    }
    let extensions = word("sec-websocket-extensions");
    path.extend(extensions.map(|extensions| format!(" with {}", in_order(&extensions))));
    path.extend(word("server").map(|server| signed(server.as_bytes())));
    Ok(Some((path, length)))
}

/// An extension with its windows before its takeovers, as ours is written: the order of its parameters means
/// nothing (RFC 7692 §7), and libraries differ in it.
fn in_order(extension: &str) -> String {
    let mut parts = extension.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let (windows, takeovers): (Vec<_>, Vec<_>) = parts.partition(|part| part.contains('='));
    [vec![name], windows, takeovers].concat().join("; ")
}

fn ended(error: WebSocketError) -> Ended {
    match error {
        WebSocketError::ConnectionClosed => Ended::Closed,
        WebSocketError::FrameTooLarge => Ended::Failed(format!(
            "one message is larger than {EVENT_BYTES_MAX} bytes, the most that is held in memory"
        )),
        // The codec's word for an end within a frame.
        WebSocketError::IoError(error) if error.kind() == io::ErrorKind::Other => Ended::Closed,
        WebSocketError::IoError(error) => Ended::from_error(&error),
        other => Ended::from_error(&other),
    }
}

impl<S: ByteStream> Wire for WsYawc<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(async move {
            let text =
                serde_json::to_string(ask).map_err(|error| Ended::Failed(error.to_string()))?;
            self.socket.send(Frame::text(text)).await.map_err(ended)
        })
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        loop {
            let frame = match ready!(self.socket.poll_next_frame(cx)) {
                Ok(frame) => frame,
                Err(error) => return Poll::Ready(ended(error)),
            };
            match frame.opcode() {
                OpCode::Text => match str::from_utf8(frame.payload()) {
                    Ok(text) => deliver(text),
                    Err(error) => return Poll::Ready(Ended::Failed(error.to_string())),
                },
                OpCode::Close => return Poll::Ready(Ended::Closed),
                OpCode::Binary | OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
            }
        }
    }

    fn close(mut self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            let goodbye = Frame::close(CloseCode::Normal, []);
            // The peer may be gone already, which is an end as well.
            if self.socket.send(goodbye).await.is_ok() {
                while let Ok(frame) = self.socket.next_frame().await
                    && frame.opcode() != OpCode::Close
                {}
            }
        })
    }

    fn round_trips(&self) -> u32 {
        self.trips.count()
    }

    fn path(&self) -> Option<&'static str> {
        Some(self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_for_the_path() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let read = |head: &str| read_answer(head.replace('\n', "\r\n").as_bytes(), key);
        let upgraded = "HTTP/1.1 101 x\nUpgrade: WebSocket\nConnection: Upgrade\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n";
        let path = |head: &str| read(head).unwrap().unwrap().0;
        assert_eq!(path(&format!("{upgraded}\n")), PLAIN);
        let level = Compression::Deflate {
            window_bits: 12,
            takeover: false,
        };
        let agreed = format!(
            "{upgraded}Sec-WebSocket-Extensions: {}\n\n",
            extension(12, false)
        );
        assert_eq!(path(&agreed), named(level));
        let otherwise = agreed.replace(
            &extension(12, false),
            "permessage-deflate;server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=12; client_max_window_bits=12",
        );
        assert_eq!(path(&otherwise), named(level), "another order");
        let passed_on = path(&format!("{upgraded}Server: nginx/1.22.1\n\n"));
        assert_eq!(
            hold_path_through(Proxy::Nginx, PLAIN, &passed_on),
            Ok(PLAIN)
        );
        assert!(hold_path_through(Proxy::None, PLAIN, &passed_on).is_err());
        assert!(hold_path_through(Proxy::Nginx, PLAIN, PLAIN).is_err());
        for (head, says) in [
            (upgraded.replace("s3pP", "xxxx") + "\n", "our key"),
            (upgraded.replace("WebSocket\n", "h2c\n") + "\n", "101 h2c"),
            ("HTTP/1.0 101 x\n\n".into(), "HTTP/1.0 101"),
            ("HTTP/1.1 200 OK\nContent-Type: a/b\n\n".into(), "200 a/b"),
        ] {
            let path = path(&head);
            assert!(path.contains(says) && path != PLAIN, "{path}");
        }
        assert_eq!(read("HTTP/1.1 404 x\n\n"), Err(Ended::Status(404)));
        assert_eq!(read("HTTP/1.1 101 x\n"), Ok(None));
        assert!(read("SSH-2.0-x\n").is_err());
    }

    #[test]
    fn each_level_names_another_path() {
        let mut names: Vec<_> = (9..=15)
            .flat_map(|window_bits| {
                [true, false].map(|takeover| Compression::Deflate {
                    window_bits,
                    takeover,
                })
            })
            .chain([Compression::Off])
            .map(named)
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 15);
    }
}

//! WebSocket by yawc, with permessage-deflate or without (RFC 6455, RFC 7692).

use std::{
    future::poll_fn, num::NonZeroUsize, pin::Pin, sync::Arc, task::Poll,
    thread::available_parallelism,
};

use axum::{
    Extension,
    body::Body,
    extract::{State, ws::Utf8Bytes, ws::close_code},
    http::{StatusCode, header::SEC_WEBSOCKET_EXTENSIONS},
    response::Response,
    routing::{MethodRouter, any},
};
use futures_util::{Sink, SinkExt};
use yawc::{
    DeflateOptions, DeflatePool, Frame, HttpWebSocket, IncomingUpgrade, OpCode, Options,
    WebSocketError, close::CloseCode,
};

use super::conversation::{Gone, Heard, Socket, converse};
use crate::{
    config::Config,
    connection::{Carriage, Connection},
    contract::{
        deflate,
        factors::{Compression, WsLibrary},
    },
    counters::Counter,
    problem::Problem,
    shared::Shared,
};

/// Read buffer of a connection, bytes: what tungstenite's is tuned to, and any prompt fits.
const READ_BUFFER_BYTES: usize = 4_096;

/// Write buffer of a connection, bytes, which grows as it must and shrinks again: a token with its envelope is
/// smaller.
const WRITE_BUFFER_BYTES: usize = 1_024;

/// How much is taken before it must be written, bytes: as much as tungstenite takes by default, so that what is
/// ready goes in one write on either.
const UNWRITTEN_BYTES_MAX: usize = 128 * 1_024;

/// How every connection of a server is set up.
///
/// A connection without context takeover borrows the library's state for one message at a time: as many as
/// there are cores can be in use at once.
fn options(config: &Config) -> Options {
    let message_bytes = config.limits.message_bytes;
    let options = Options::default()
        // Both bounds are exclusive, and ours is not. They hold after decompression too.
        .with_limits(message_bytes + 1, message_bytes + 1)
        .with_read_buffer_capacity(READ_BUFFER_BYTES)
        .with_write_buffer_capacity(WRITE_BUFFER_BYTES)
        .with_backpressure_boundary(UNWRITTEN_BYTES_MAX);
    let Compression::Deflate {
        window_bits,
        takeover,
    } = config.factors.compression
    else {
        return options;
    };
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    Options {
        compression: Some(DeflateOptions {
            server_max_window_bits: Some(window_bits),
            client_max_window_bits: Some(window_bits),
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            pool: (!takeover).then(|| DeflatePool::new(cores)),
            // The level is zlib's own default, 6.
            ..DeflateOptions::default()
        }),
        ..options
    }
}

/// Where connections are upgraded, once the guard has let them through.
pub fn route(config: &Config) -> MethodRouter<Arc<Shared>> {
    any(upgrade).layer(Extension(Setup(options(config))))
}

/// [`options`], where the handler finds them.
#[derive(Debug, Clone)]
struct Setup(Options);

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Arc<Connection>>,
    Extension(Setup(options)): Extension<Setup>,
    incoming: Result<IncomingUpgrade, StatusCode>,
) -> Result<Response, Problem> {
    let refuse = |status, message: String| {
        shared.meters.counters.count(Counter::RefusedUpgrades);
        Problem::new(status, message)
    };
    let incoming = incoming
        .map_err(|status| refuse(status, "this cannot be upgraded to a WebSocket".into()))?;
    let (response, upgraded) = incoming
        .upgrade(options)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, error.to_string()))?;
    let extension = response.headers().get(SEC_WEBSOCKET_EXTENSIONS);
    let extension = extension.and_then(|extension| extension.to_str().ok());
    let compression = extension.and_then(deflate::agreed);
    connection.carries(Carriage {
        ws_library: Some(WsLibrary::Yawc),
        compression: compression.unwrap_or_default(),
    });
    tokio::spawn(async move {
        // Without an upgrade the peer is gone, and its connection is counted as closed.
        if let Ok(socket) = upgraded.await {
            serve(socket, shared, connection).await;
        }
    });
    Ok(response.map(Body::new))
}

async fn serve(socket: HttpWebSocket, shared: Arc<Shared>, connection: Arc<Connection>) {
    let mut socket = Yawc {
        socket,
        refused: false,
    };
    // As with the other library: every way out is a normal end.
    let _ = converse(&mut socket, &shared, &connection).await;
}

/// The library's socket.
struct Yawc {
    socket: HttpWebSocket,
    /// The library has found a breach.
    refused: bool,
}

impl Yawc {
    /// Lets the library say what it owes by itself: pongs and closes.
    async fn settle(&mut self) -> Result<(), WebSocketError> {
        poll_fn(|cx| Pin::new(&mut self.socket).poll_ready(cx)).await?;
        self.socket.flush().await
    }
}

impl From<WebSocketError> for Gone {
    fn from(_: WebSocketError) -> Self {
        Self
    }
}

impl Socket for Yawc {
    async fn feed(&mut self, text: Utf8Bytes) -> Result<(), Gone> {
        let payload: bytes::Bytes = text.into();
        Ok(self.socket.feed(Frame::text(payload)).await?)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        Ok(self.socket.flush().await?)
    }

    async fn hear(&mut self) -> Result<Heard, Gone> {
        let frame = match self.socket.next_frame().await {
            Ok(frame) => frame,
            Err(error) => {
                let breach = breach(&error).ok_or(Gone)?;
                self.refused = true;
                return Ok(breach);
            }
        };
        match frame.opcode() {
            OpCode::Text => Ok(match Utf8Bytes::try_from(frame.into_payload()) {
                Ok(text) => Heard::Text(text),
                Err(_) => Heard::Breach(close_code::INVALID, "text messages are UTF-8"),
            }),
            OpCode::Close => Ok(Heard::Goodbye),
            OpCode::Ping => {
                // Else a peer that pings without a pause piles up pongs.
                self.settle().await?;
                Ok(Heard::Sign)
            }
            OpCode::Pong => Ok(Heard::Sign),
            OpCode::Binary | OpCode::Continuation => Ok(Heard::Binary),
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Gone> {
        // Of most breaches the library says so itself, and then has ended; of what it finds only when it puts
        // fragments together it does not.
        let said = self.refused
            && poll_fn(|cx| {
                let polled = self.socket.poll_next_frame(cx);
                Poll::Ready(matches!(polled, Poll::Ready(Err(_))))
            })
            .await;
        if !said {
            let close = Frame::close(CloseCode::from(code), reason);
            self.socket.feed(close).await?;
        }
        Ok(self.settle().await?)
    }
}

/// What the peer did against the rules; none when it is merely gone. Where the library says so itself, it
/// chooses the same code.
fn breach(error: &WebSocketError) -> Option<Heard> {
    match error {
        WebSocketError::FrameTooLarge => {
            Some(Heard::Breach(close_code::SIZE, "the message is too large"))
        }
        WebSocketError::InvalidUTF8 => Some(Heard::Breach(close_code::INVALID, "texts are UTF-8")),
        // What cannot be inflated.
        WebSocketError::IoError(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Some(Heard::Breach(close_code::ERROR, "not by RFC 7692"))
        }
        error if error.is_protocol_error() => {
            Some(Heard::Breach(close_code::PROTOCOL, "not by RFC 6455"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::conversation::size;

    #[test]
    fn a_connection_costs_its_library_and_little_more() {
        let overhead = size(serve) - size_of::<HttpWebSocket>();
        assert!(overhead < 2_048, "{overhead} bytes beside the socket");
    }
}

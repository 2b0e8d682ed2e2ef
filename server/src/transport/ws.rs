//! WebSocket by tungstenite, as axum has it (RFC 6455).

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

use super::conversation::{Gone, Heard, Socket, converse};
use crate::{
    connection::{Carriage, Connection},
    contract::factors::{Compression, WsLibrary},
    shared::Shared,
};

/// Serves one connection until either end closes it.
pub async fn serve(mut socket: WebSocket, shared: Arc<Shared>, connection: Arc<Connection>) {
    connection.carries(Carriage {
        ws_library: Some(WsLibrary::Tungstenite),
        compression: Compression::Off,
    });
    // Every way out is a normal end: the peer left, was cut, or we are shutting down. Each is counted
    // by the connection's own counters.
    let _ = converse(&mut socket, &shared, &connection).await;
}

impl From<axum::Error> for Gone {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

impl Socket for WebSocket {
    async fn feed(&mut self, text: Utf8Bytes) -> Result<(), Gone> {
        Ok(SinkExt::feed(self, Message::Text(text)).await?)
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        Ok(SinkExt::flush(self).await?)
    }

    async fn hear(&mut self) -> Result<Heard, Gone> {
        match self.next().await.ok_or(Gone)? {
            Ok(Message::Text(text)) => Ok(Heard::Text(text)),
            Ok(Message::Binary(_)) => Ok(Heard::Binary),
            Ok(Message::Close(_)) => Ok(Heard::Goodbye),
            Ok(Message::Ping(_) | Message::Pong(_)) => Ok(Heard::Sign),
            Err(error) => breach(error).ok_or(Gone),
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Gone> {
        let close = CloseFrame {
            code,
            reason: reason.into(),
        };
        Ok(SinkExt::send(self, Message::Close(Some(close))).await?)
    }
}

/// What the peer did against the rules, as the close that names it (RFC 6455 §7.4.1); none when it is
/// merely gone.
fn breach(error: axum::Error) -> Option<Heard> {
    let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
    let (code, reason) = match *error {
        tungstenite::Error::Capacity(_) => (close_code::SIZE, "the message is too large"),
        tungstenite::Error::Utf8(_) => (close_code::INVALID, "text messages are UTF-8"),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return None,
        tungstenite::Error::Protocol(_) => (close_code::PROTOCOL, "not by RFC 6455"),
        _ => return None,
    };
    Some(Heard::Breach(code, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::conversation::size;

    #[test]
    fn a_connection_costs_its_library_and_little_more() {
        // Measured memory is this future, the library's read buffer and its frame buffers. A local
        // array held over an await would be paid for by every connection, used or not.
        let overhead = size(serve) - size_of::<WebSocket>();
        assert!(overhead < 2_048, "{overhead} bytes beside the socket");
    }
}

//! Reads the messages of a WebSocket until it is closed.

use std::io::Write;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::printer::Printer;
use super::target::Target;
use super::{Tail, printable, refuse};
use crate::refusal::Refusal;
use crate::sse::{EVENT_BYTES_MAX, Event};

/// Tails until either side closes.
///
/// # Errors
///
/// Nobody there, no WebSocket there, a close that is not a normal end (RFC 6455, section 7.4.1: 1000, 1001,
/// or no code), a connection that ended without a close frame.
pub(super) async fn tail<W: Write>(
    target: &Target,
    args: &Tail,
    printer: &mut Printer<W>,
) -> Result<(), Refusal> {
    let stream = target.connect().await.map_err(Refusal)?;
    // The bound of an SSE event, for the same reason.
    let config = WebSocketConfig::default()
        .max_message_size(Some(EVENT_BYTES_MAX))
        .max_frame_size(Some(EVENT_BYTES_MAX));
    let (mut socket, _) =
        tokio_tungstenite::client_async_with_config(target.url(), stream, Some(config))
            .await
            .map_err(|error| no_handshake(target, error))?;
    if let Some(text) = &args.send {
        socket
            .send(Message::text(text.as_str()))
            .await
            .map_err(|error| broken_off(target, error))?;
    }

    let mut close = None;
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) => printer.print(Event {
                event: "message",
                data: text.as_str(),
                id: "",
            }),
            Ok(Message::Binary(bytes)) => printer.print_binary(&bytes),
            Ok(Message::Close(frame)) => close = Some(frame),
            // Pings are answered by the library.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            // The closing handshake was begun by the server: how it ends the connection does not matter.
            Err(_) if close.is_some() => break,
            Err(error) => return Err(broken_off(target, error)),
        }
        if printer.ended() {
            // Leaving politely; a server that has left before us cannot be told, and need not be.
            socket.close(None).await.ok();
            return Ok(());
        }
    }
    match close.flatten() {
        Some(CloseFrame { code, reason })
            if !matches!(code, CloseCode::Normal | CloseCode::Away) =>
        {
            refuse(format!(
                "{} closed the WebSocket with code {}{}; look at the server's log",
                target.url(),
                u16::from(code),
                if reason.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", printable(&reason))
                },
            ))
        }
        _ => Ok(()),
    }
}

fn no_handshake(target: &Target, error: Error) -> Refusal {
    let url = target.url();
    Refusal(match error {
        Error::Http(response) => {
            format!(
                "{url} answered {}, not 101 Switching Protocols; check that the path is that of a WebSocket",
                response.status()
            )
        }
        error => format!(
            "{url} did not complete the WebSocket handshake: {error}; check that a WebSocket server listens there"
        ),
    })
}

fn broken_off(target: &Target, error: Error) -> Refusal {
    Refusal(format!(
        "the connection to {} broke off: {error}; look at the server's log",
        target.url()
    ))
}

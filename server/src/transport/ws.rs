//! WebSocket: asks in, subscriptions out, on one connection (RFC 6455) or one stream of it (RFC 8441).

use std::{pin::pin, sync::Arc};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

use crate::{
    connection::Connection,
    contract::{ask::Ask, notice::Notice},
    counters::Counter,
    hub::{Item, Subscription},
    progress::Progress,
    shared::{Refusal, Shared},
};

/// Serves one connection until either end closes it.
///
/// One stream at a time, as a chat has: the next prompt follows the end of the turn before it.
pub async fn serve(mut socket: WebSocket, shared: Arc<Shared>, connection: Arc<Connection>) {
    // Every way out is a normal end: the peer left, was cut, or we are shutting down. Each is counted
    // by the connection's own counters.
    let _ = converse(&mut socket, &shared, &connection).await;
}

/// What messages are handed over to.
struct Wire<'a> {
    connection: &'a Connection,
    progress: Option<Progress>,
}

/// The peer is gone.
struct Gone;

impl From<axum::Error> for Gone {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

async fn converse(
    socket: &mut WebSocket,
    shared: &Shared,
    connection: &Arc<Connection>,
) -> Result<(), Gone> {
    let mut streaming: Option<Subscription> = None;
    let wire = Wire {
        connection,
        progress: shared.register.streams().enter(connection),
    };
    let mut stopping = pin!(shared.stopping());
    loop {
        tokio::select! {
            // The stream first: each poll of the socket for reading clears the library's read buffer,
            // which costs more than the message when done twice for each.
            biased;
            item = next(&mut streaming) => tell(socket, &wire, &mut streaming, item).await?,
            incoming = socket.next() => match incoming.ok_or(Gone)? {
                Ok(Message::Text(text)) => hear(socket, shared, &mut streaming, &text).await?,
                Ok(Message::Binary(_)) => {
                    shared.meters.counters.count(Counter::RefusedBodies);
                    return close(socket, shared, close_code::UNSUPPORTED, "asks are text messages of JSON").await;
                }
                // The library answers pings and closes by itself.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
                Err(error) => {
                    let (code, reason) = breach(error).ok_or(Gone)?;
                    shared.meters.counters.count(Counter::RefusedBodies);
                    send_close(socket, code, reason).await?;
                    // Where the next frame begins is lost.
                    // Boxed: its buffer would make every connection larger, for the rare one that needs it.
                    let rest = Box::pin(connection.discard_rest());
                    let _ = tokio::time::timeout(shared.config.limits.shutdown, rest).await;
                    return Ok(());
                }
            },
            () = &mut stopping => {
                // The goodbye of an ended stream must not be overtaken by the close.
                while let Some(item) = streaming.as_mut().and_then(Subscription::try_rest) {
                    tell(socket, &wire, &mut streaming, item).await?;
                }
                return close(socket, shared, close_code::AWAY, "the server is shutting down").await;
            }
        }
    }
}

/// The next item, never while nothing streams.
async fn next(streaming: &mut Option<Subscription>) -> Item {
    match streaming {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// Acts on an ask.
async fn hear(
    socket: &mut WebSocket,
    shared: &Shared,
    streaming: &mut Option<Subscription>,
    text: &str,
) -> Result<(), Gone> {
    let refuse = |reason: String| Notice::Refused { reason };
    let answer = match serde_json::from_str(text) {
        Err(error) => {
            shared.meters.counters.count(Counter::RefusedBodies);
            refuse(format!(
                "not an ask: {error}; send {{\"chat\":{{…}}}}, {{\"feed\":{{…}}}} or \"cancel\""
            ))
        }
        Ok(Ask::Cancel) => {
            if let Some(subscription) = streaming {
                subscription.stop();
            }
            return Ok(());
        }
        Ok(_) if streaming.is_some() => {
            shared.meters.counters.count(Counter::RefusedAsks);
            refuse(
                "a stream is running on this connection: wait for its end or send \"cancel\""
                    .into(),
            )
        }
        Ok(Ask::Chat(ask)) => begin(streaming, shared.chat(&ask)),
        Ok(Ask::Feed(ask)) => begin(streaming, shared.subscribe(&ask)),
    };
    Ok(socket.send(Message::Text(answer.encode().into())).await?)
}

/// Starts streaming, if there is something to stream; what to answer.
fn begin(
    streaming: &mut Option<Subscription>,
    joined: Result<(Notice, Subscription), Refusal>,
) -> Notice {
    match joined {
        Ok((hello, subscription)) => {
            *streaming = Some(subscription);
            hello
        }
        Err(refusal) => Notice::Refused {
            reason: refusal.to_string(),
        },
    }
}

/// Sends an item and all that are ready behind it, then flushes once: `flush=ready`.
async fn tell(
    socket: &mut WebSocket,
    wire: &Wire<'_>,
    streaming: &mut Option<Subscription>,
    mut item: Item,
) -> Result<(), Gone> {
    wire.progress.as_ref().inspect(|progress| progress.given());
    loop {
        let ended = matches!(item, Item::End { .. });
        socket
            .feed(Message::Text(text(wire.connection, item)))
            .await?;
        if ended {
            *streaming = None;
        }
        match streaming.as_mut().and_then(Subscription::try_next) {
            Some(next) => item = next,
            None => break,
        }
    }
    socket.flush().await?;
    wire.progress.as_ref().inspect(|progress| progress.taken());
    Ok(())
}

fn text(connection: &Connection, item: Item) -> Utf8Bytes {
    match item {
        Item::Message(message) => {
            connection.hand_over(message.sent_at);
            message.payload.clone()
        }
        Item::Dropped(count) => Notice::Dropped { count }.encode().into(),
        Item::End { last, cancelled } => Notice::End { last, cancelled }.encode().into(),
    }
}

/// What the peer did against the rules, as the close that names it (RFC 6455 §7.4.1); none when it is
/// merely gone.
fn breach(error: axum::Error) -> Option<(u16, &'static str)> {
    let error = error.into_inner().downcast::<tungstenite::Error>().ok()?;
    match *error {
        tungstenite::Error::Capacity(_) => Some((close_code::SIZE, "the message is too large")),
        tungstenite::Error::Utf8(_) => Some((close_code::INVALID, "text messages are UTF-8")),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) => Some((close_code::PROTOCOL, "not by RFC 6455")),
        _ => None,
    }
}

/// Says goodbye and waits a bounded time for the peer to do the same.
async fn close(
    socket: &mut WebSocket,
    shared: &Shared,
    code: u16,
    reason: &'static str,
) -> Result<(), Gone> {
    send_close(socket, code, reason).await?;
    let answered = async { while let Some(Ok(_)) = socket.next().await {} };
    // A peer that does not answer loses nothing by the connection's end.
    let _ = tokio::time::timeout(shared.config.limits.shutdown, answered).await;
    Ok(())
}

async fn send_close(socket: &mut WebSocket, code: u16, reason: &'static str) -> Result<(), Gone> {
    let close = CloseFrame {
        code,
        reason: reason.into(),
    };
    Ok(socket.send(Message::Close(Some(close))).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that an async function of three arguments returns.
    const fn size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_costs_its_library_and_little_more() {
        // Measured memory is this future, the library's read buffer and its frame buffers. A local
        // array held over an await would be paid for by every connection, used or not.
        let overhead = size(serve) - size_of::<WebSocket>();
        assert!(overhead < 2_048, "{overhead} bytes beside the socket");
    }
}

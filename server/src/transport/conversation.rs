//! The conversation of a WebSocket, whichever library frames it: asks in, subscriptions out, on one connection
//! (RFC 6455) or one stream of it (RFC 8441).

use std::{pin::pin, sync::Arc};

use axum::extract::ws::{Utf8Bytes, close_code};

use crate::{
    connection::Connection,
    contract::{ask::Ask, notice::Notice},
    counters::Counter,
    hub::{Item, Subscription},
    progress::Progress,
    shared::{Refusal, Shared},
};

/// A library's WebSocket, as far as a conversation needs it.
pub trait Socket: Send {
    /// Takes a text message; what is taken is written by [`Socket::flush`] at the latest.
    fn feed(&mut self, text: Utf8Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Writes all that was taken.
    fn flush(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// What the peer sends next; dropping the future loses nothing.
    fn hear(&mut self) -> impl Future<Output = Result<Heard, Gone>> + Send;

    /// Says goodbye with a close code of RFC 6455 §7.4.1.
    fn close(
        &mut self,
        code: u16,
        reason: &'static str,
    ) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// The peer is gone.
#[derive(Debug)]
pub struct Gone;

/// What a peer sent.
#[derive(Debug)]
pub enum Heard {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary one.
    Binary,
    /// Its goodbye, which the library answers when it is polled again.
    Goodbye,
    /// A ping or a pong; the library answers pings by itself.
    Sign,
    /// Something against the rules, as the close that names it; where the next frame begins is lost.
    Breach(u16, &'static str),
}

/// What messages are handed over to.
struct Wire<'a> {
    connection: &'a Connection,
    progress: Option<Progress>,
}

/// Converses until either end closes the connection.
///
/// One stream at a time, as a chat has: the next prompt follows the end of the turn before it.
///
/// # Errors
/// When the peer is gone, which is a normal end as well.
pub async fn converse(
    socket: &mut impl Socket,
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
            // The stream first: each poll of the socket for reading clears tungstenite's read buffer,
            // which costs more than the message when done twice for each.
            biased;
            item = next(&mut streaming) => tell(socket, &wire, &mut streaming, item).await?,
            heard = socket.hear() => match heard? {
                Heard::Text(text) => {
                    if let Some(answer) = act(shared, &mut streaming, &text) {
                        socket.feed(answer.encode().into()).await?;
                        socket.flush().await?;
                    }
                }
                Heard::Binary => {
                    shared.meters.counters.count(Counter::RefusedBodies);
                    return part(socket, shared, close_code::UNSUPPORTED, "asks are text messages of JSON").await;
                }
                Heard::Goodbye | Heard::Sign => {}
                Heard::Breach(code, reason) => {
                    shared.meters.counters.count(Counter::RefusedBodies);
                    socket.close(code, reason).await?;
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
                return part(socket, shared, close_code::AWAY, "the server is shutting down").await;
            }
        }
    }
}

/// Why what should have been an ask is none, and what would be one.
pub(super) fn not_an_ask(error: &serde_json::Error) -> String {
    format!("not an ask: {error}; send {{\"chat\":{{…}}}}, {{\"feed\":{{…}}}} or \"cancel\"")
}

/// Why a second ask is refused.
pub(super) const BUSY: &str =
    "a stream is running on this connection: wait for its end or send \"cancel\"";

/// The next item, never while nothing streams.
pub(super) async fn next(streaming: &mut Option<Subscription>) -> Item {
    match streaming {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// Acts on an ask; what to answer.
fn act(shared: &Shared, streaming: &mut Option<Subscription>, text: &str) -> Option<Notice> {
    let refuse = |reason: String| Notice::Refused { reason };
    Some(match serde_json::from_str(text) {
        Err(error) => {
            shared.meters.counters.count(Counter::RefusedBodies);
            refuse(not_an_ask(&error))
        }
        Ok(Ask::Cancel) => {
            if let Some(subscription) = streaming {
                subscription.stop();
            }
            return None;
        }
        Ok(_) if streaming.is_some() => {
            shared.meters.counters.count(Counter::RefusedAsks);
            refuse(BUSY.into())
        }
        Ok(Ask::Chat(ask)) => begin(streaming, shared.chat(&ask)),
        Ok(Ask::Feed(ask)) => begin(streaming, shared.subscribe(&ask)),
    })
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
    socket: &mut impl Socket,
    wire: &Wire<'_>,
    streaming: &mut Option<Subscription>,
    mut item: Item,
) -> Result<(), Gone> {
    wire.progress.as_ref().inspect(|progress| progress.given());
    loop {
        let ended = matches!(item, Item::End { .. });
        socket.feed(text(wire.connection, item)).await?;
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

/// Says goodbye and waits a bounded time for the peer to do the same.
async fn part(
    socket: &mut impl Socket,
    shared: &Shared,
    code: u16,
    reason: &'static str,
) -> Result<(), Gone> {
    socket.close(code, reason).await?;
    let answered = async { while !matches!(socket.hear().await, Err(_) | Ok(Heard::Goodbye)) {} };
    // A peer that does not answer loses nothing by the connection's end.
    let _ = tokio::time::timeout(shared.config.limits.shutdown, answered).await;
    Ok(())
}

/// The size of the future that an async function of three arguments returns.
#[cfg(test)]
pub(super) const fn size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

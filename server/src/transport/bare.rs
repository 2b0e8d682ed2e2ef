//! What the floors share: messages framed by hand, encoded once for all subscribers, and written straight to
//! the socket; asks read from it.
//!
//! A floor is what a protocol itself costs: neither a framework nor a library stands between a message and
//! its write. What is measured stays what it is elsewhere: bytes pass through [`Io`], bounds are those of
//! HTTP, and a stream ends as it does on every transport.

pub(super) mod request;
mod socket;

use std::{pin::pin, sync::Arc};

use axum::http::StatusCode;
use bytes::Bytes;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout, timeout_at},
};

use socket::{FRAMES_A_WRITE, read, write, write_all};

use super::{
    conversation::{BUSY, next, not_an_ask},
    floor_sse::FloorSse,
    floor_ws::FloorWs,
    raw_tcp::RawTcp,
};
use crate::{
    connection::Io,
    contract::{ask::Ask, notice::Notice},
    counters::Counter,
    hub::{Item, Message, Subscription},
    limits::Limits,
    shared::Shared,
};

/// How a floor tells things apart, in both directions.
pub(super) trait Framing {
    /// Whether the peer may say something while a stream runs.
    const DUPLEX: bool;

    /// Takes the first thing that the peer said off the front of what was heard; none while it is not whole.
    ///
    /// # Errors
    /// What breaks the protocol or a bound.
    fn hear(&mut self, heard: &mut Vec<u8>, limits: &Limits) -> Result<Option<Said>, Breach>;

    /// Opens the stream of an ask.
    fn hello(&mut self, hello: &Notice, with_id: bool) -> Bytes;

    /// A message, shared with every other subscriber.
    fn message(&self, message: &Message) -> Bytes;

    /// A notice within a stream.
    fn notice(&self, notice: &Notice) -> Bytes;

    /// The notice that ends a stream.
    fn end(&self, notice: &Notice) -> Bytes {
        self.notice(notice)
    }

    /// Why an ask is not served.
    fn refuse(&self, status: StatusCode, reason: String) -> Bytes;

    /// What is said before the server closes a connection, if the protocol has a word for it.
    fn goodbye(&self) -> Option<Bytes> {
        None
    }
}

/// Something whole that a peer said.
#[derive(Debug)]
pub(super) enum Said {
    /// An ask.
    Ask(Ask),
    /// What should have been an ask, and why it is none.
    Unreadable(String),
    /// Something that is answered by this, whatever streams.
    Answered(Bytes),
    /// Its goodbye, answered by this.
    Goodbye(Bytes),
}

/// Something against the protocol, or beyond a bound: nothing that follows can be read.
#[derive(Debug)]
pub(super) struct Breach {
    /// The last thing that the peer is told.
    pub answer: Bytes,
    /// What it is counted as.
    pub counter: Counter,
}

/// The peer is gone, or there is nothing more to say to it.
struct Gone;

/// Serves one connection of any floor until either end closes it. The first byte tells which floor it is:
/// `P` of `POST`, `G` of `GET`, or 0 of a length, which no ask is long enough to have otherwise.
pub async fn serve(mut io: Io, shared: Arc<Shared>) {
    let deadline = Instant::now() + shared.config.limits.header_time;
    let mut heard = Vec::new();
    let Ok(()) = in_time(&shared, deadline, read(&mut io, &mut heard)).await else {
        return;
    };
    // Every way out is a normal end: the peer left, was cut, or we are shutting down.
    let _ = match heard.first() {
        Some(b'P') => converse(io, heard, FloorSse::default(), &shared, deadline).await,
        Some(b'G') => converse(io, heard, FloorWs::default(), &shared, deadline).await,
        Some(0) => converse(io, heard, RawTcp, &shared, deadline).await,
        _ => {
            shared.meters.counters.count(Counter::RefusedHeaders);
            Err(Gone)
        }
    };
}

/// Holds the first thing that a peer says to the time that HTTP gives a head.
async fn in_time<T>(
    shared: &Shared,
    deadline: Instant,
    said: impl Future<Output = Result<T, Gone>>,
) -> Result<T, Gone> {
    tokio::select! {
        said = timeout_at(deadline, said) => said.unwrap_or_else(|_| {
            shared.meters.counters.count(Counter::RefusedHeaders);
            Err(Gone)
        }),
        () = shared.stopping() => Err(Gone),
    }
}

async fn converse<F: Framing>(
    io: Io,
    heard: Vec<u8>,
    framing: F,
    shared: &Shared,
    deadline: Instant,
) -> Result<(), Gone> {
    let mut session = Session {
        io,
        heard,
        framing,
        streaming: None,
        shared,
    };
    let first = in_time(shared, deadline, session.hear()).await?;
    session.act(first).await?;
    let mut stopping = pin!(shared.stopping());
    loop {
        let Session {
            io,
            heard,
            framing,
            streaming,
            ..
        } = &mut session;
        tokio::select! {
            biased;
            item = next(streaming) => session.tell(item).await?,
            said = hear(io, heard, framing, &shared.config.limits) => session.act(said?).await?,
            () = &mut stopping => return session.leave().await,
        }
    }
}

/// A connection and what streams on it: one stream at a time, as on every transport.
struct Session<'a, F> {
    io: Io,
    /// Heard, and not a whole thing yet.
    heard: Vec<u8>,
    framing: F,
    streaming: Option<Subscription>,
    shared: &'a Shared,
}

impl<F: Framing> Session<'_, F> {
    async fn hear(&mut self) -> Result<Result<Said, Breach>, Gone> {
        let limits = &self.shared.config.limits;
        hear(&mut self.io, &mut self.heard, &mut self.framing, limits).await
    }

    async fn act(&mut self, said: Result<Said, Breach>) -> Result<(), Gone> {
        let counters = &self.shared.meters.counters;
        let answer = match said {
            Ok(Said::Ask(Ask::Cancel)) => {
                if let Some(subscription) = &mut self.streaming {
                    subscription.stop();
                }
                return Ok(());
            }
            Ok(Said::Ask(_)) if self.streaming.is_some() => {
                counters.count(Counter::RefusedAsks);
                if !F::DUPLEX {
                    return Err(Gone);
                }
                self.framing.refuse(StatusCode::CONFLICT, BUSY.into())
            }
            Ok(Said::Ask(ask)) => self.begin(&ask),
            Ok(Said::Unreadable(reason)) => {
                counters.count(Counter::RefusedBodies);
                self.framing.refuse(StatusCode::BAD_REQUEST, reason)
            }
            Ok(Said::Answered(answer)) => answer,
            Ok(Said::Goodbye(answer)) => {
                write(&mut self.io, answer).await?;
                return Err(Gone);
            }
            Err(Breach { answer, counter }) => {
                counters.count(counter);
                write(&mut self.io, answer).await?;
                return self.hang_up().await;
            }
        };
        write(&mut self.io, answer).await
    }

    /// Starts streaming, if there is something to stream; what to answer.
    fn begin(&mut self, ask: &Ask) -> Bytes {
        let (joined, with_id) = match ask {
            Ask::Chat(ask) => (self.shared.chat(ask), ask.resume || ask.after.is_some()),
            Ask::Feed(ask) => (self.shared.subscribe(ask), ask.resume),
            // Acted on before.
            Ask::Cancel => return Bytes::new(),
        };
        match joined {
            Ok((hello, subscription)) => {
                self.streaming = Some(subscription);
                self.framing.hello(&hello, with_id)
            }
            Err(refusal) => self.framing.refuse(refusal.status(), refusal.to_string()),
        }
    }

    /// Writes an item and all that are ready behind it at once: `flush=ready`.
    async fn tell(&mut self, item: Item) -> Result<(), Gone> {
        let first = self.frame(item);
        let Some(mut item) = self.ready() else {
            return write(&mut self.io, first).await;
        };
        let mut frames = vec![first];
        loop {
            frames.push(self.frame(item));
            let next = self.ready();
            if next.is_none() || frames.len() == FRAMES_A_WRITE {
                write_all(&mut self.io, &mut frames).await?;
            }
            match next {
                Some(next) => item = next,
                None => return Ok(()),
            }
        }
    }

    fn ready(&mut self) -> Option<Item> {
        self.streaming.as_mut().and_then(Subscription::try_next)
    }

    fn frame(&mut self, item: Item) -> Bytes {
        match item {
            Item::Message(message) => {
                self.io.connection().hand_over(message.sent_at);
                self.framing.message(&message)
            }
            Item::Dropped(count) => self.framing.notice(&Notice::Dropped { count }),
            Item::End { last, cancelled } => {
                self.streaming = None;
                self.framing.end(&Notice::End { last, cancelled })
            }
        }
    }

    /// The server stops: the goodbye of an ended stream must not be overtaken by the close.
    async fn leave(&mut self) -> Result<(), Gone> {
        if let Some(item) = self.ready() {
            self.tell(item).await?;
        }
        let Some(goodbye) = self.framing.goodbye() else {
            return Ok(());
        };
        write(&mut self.io, goodbye).await?;
        let patience = self.shared.config.limits.shutdown;
        let answered = async {
            while let Ok(Ok(said)) = self.hear().await
                && !matches!(said, Said::Goodbye(_))
            {}
        };
        // A peer that does not answer loses nothing by the connection's end.
        let _ = timeout(patience, answered).await;
        Ok(())
    }

    /// Waits a bounded time for the peer to be done: closing before would take our last word from it.
    async fn hang_up(&mut self) -> Result<(), Gone> {
        let _ = self.io.shutdown().await;
        // Boxed: its buffer would make every connection larger, for the rare one that needs it.
        let rest = Box::pin(self.io.connection().discard_rest());
        let _ = timeout(self.shared.config.limits.shutdown, rest).await;
        Err(Gone)
    }
}

/// The next thing that the peer says.
async fn hear<F: Framing>(
    io: &mut Io,
    heard: &mut Vec<u8>,
    framing: &mut F,
    limits: &Limits,
) -> Result<Result<Said, Breach>, Gone> {
    loop {
        match framing.hear(heard, limits) {
            Ok(Some(said)) => {
                if heard.is_empty() {
                    // An idle connection holds nothing.
                    *heard = Vec::new();
                }
                return Ok(Ok(said));
            }
            Ok(None) => read(io, heard).await?,
            Err(breach) => return Ok(Err(breach)),
        }
    }
}

/// Reads an ask as JSON.
pub(super) fn ask(json: &[u8]) -> Said {
    match serde_json::from_slice(json) {
        Ok(ask) => Said::Ask(ask),
        Err(error) => Said::Unreadable(not_an_ask(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_costs_a_connection_little() {
        // What a measured idle connection is: this future and the socket's own.
        const fn size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(serve);
        assert!(bytes < 2_048, "{bytes} bytes");
    }
}

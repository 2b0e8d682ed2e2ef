//! What all connections of a server share, and what may be asked of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    config::Config,
    connection::Register,
    contract::{
        ask::{ChatAsk, FeedAsk},
        event_id::EventId,
        message::Envelope,
        notice::Notice,
    },
    counters::Counter,
    faults::Injector,
    flush::Hold,
    hub::{FEED, Joined, Subscription, TooManyKnown, Topic},
    meters::Meters,
    pacer::Pacer,
    source::Source,
    turns::{TooManyTurns, Turns},
};

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    /// As set.
    pub config: Config,
    /// What is counted and measured.
    pub meters: Arc<Meters>,
    /// The process's one pacer.
    pub pacer: Pacer,
    /// What is done wrong on purpose, as drawn.
    pub faults: Arc<Injector>,
    /// Live connections.
    pub register: Arc<Register>,
    /// The one feed.
    pub feed: Arc<Topic>,
    /// Chat turns.
    pub turns: Arc<Turns>,
    /// Becomes true when the server is to stop.
    pub stop: watch::Sender<bool>,
    /// For [`Shared::latest`].
    pub(crate) latest: Mutex<Option<Understood>>,
}

/// What an ask says of the factors that are not the server's to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Understood {
    /// Whether messages are to carry what a resume needs.
    pub resume: bool,
    /// How they are wrapped.
    pub envelope: Envelope,
}

/// A well-formed ask that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The turn asked for is longer than allowed.
    #[error("{0}")]
    TooLong(String),
    /// The turn to resume is unknown.
    #[error("turn {0} is not held any more: send the prompt again")]
    UnknownTurn(EventId),
    /// The turn to resume was read to its end.
    #[error("the turn has ended and nothing of it is missing")]
    Complete,
    /// Bound on turns.
    #[error(transparent)]
    Turns(#[from] TooManyTurns),
    /// Bound on pollers.
    #[error("{0} streams are polled on this connection, which is its limit: open another")]
    Polls(usize),
    /// Bound on subscribers.
    #[error(transparent)]
    Subscribers(#[from] TooManyKnown),
    /// Bound on streams.
    #[error("{0} streams are open, as many as may be: come back later")]
    Streams(u64),
}

impl Shared {
    /// Starts a turn, or resumes the one that `ask.after` names.
    ///
    /// # Errors
    /// What cannot be served, counted as `refused_asks`.
    pub fn chat(&self, ask: &ChatAsk) -> Result<(Notice, Subscription), Refusal> {
        self.understand(ask.resume, ask.envelope);
        self.room()
            .and_then(|()| self.start_or_resume(ask))
            .inspect_err(|_| self.meters.counters.count(Counter::RefusedAsks))
    }

    fn start_or_resume(&self, ask: &ChatAsk) -> Result<(Notice, Subscription), Refusal> {
        if let Some(after) = ask.after {
            let known = after.epoch == self.config.epoch && after.stream != FEED;
            let turn = known.then(|| self.turns.find(after.stream)).flatten();
            let turn = turn.ok_or(Refusal::UnknownTurn(after))?;
            if turn.ended() && after.seq >= turn.last() {
                return Err(Refusal::Complete);
            }
            return Ok(self.greet(turn.subscribe(None, Some(after.seq))?));
        }
        let ask = self.within_bounds(ask)?;
        let limits = &self.config.limits;
        let (number, topic) = self.turns.start(|number| {
            let name = (self.config.epoch, number);
            Topic::new(
                name,
                ask.envelope,
                limits.turn_history,
                limits.known_subscribers,
                self.meters.clone(),
                self.injected(),
                self.hold(),
            )
        })?;
        let joined = topic.subscribe(None, None)?;
        let (turns, retain) = (self.turns.clone(), ask.resume);
        let patience = if ask.resume {
            limits.abandoned_time
        } else {
            Duration::ZERO
        };
        let turn = self.source().turn(topic, ask, patience);
        tokio::spawn(async move {
            turn.await;
            turns.finish(number, retain);
        });
        Ok(self.greet(joined))
    }

    fn within_bounds(&self, ask: &ChatAsk) -> Result<ChatAsk, Refusal> {
        let limits = &self.config.limits;
        if ask.tokens > limits.turn_tokens {
            let (asked, limit) = (ask.tokens, limits.turn_tokens);
            return Err(Refusal::TooLong(format!(
                "{asked} tokens asked for: ask for {limit} at most"
            )));
        }
        let bytes = ask.payload_bytes.map_or(0, |bytes| bytes.get() as usize);
        if bytes > limits.payload_bytes {
            let limit = limits.payload_bytes;
            return Err(Refusal::TooLong(format!(
                "texts of {bytes} bytes asked for: ask for {limit} at most"
            )));
        }
        let gaps_us = ask.token_gap_us.saturating_mul(u64::from(ask.tokens));
        let planned = Duration::from_micros(ask.first_token_us.saturating_add(gaps_us));
        if planned > limits.turn_time {
            let limit = limits.turn_time.as_secs();
            return Err(Refusal::TooLong(format!(
                "the turn would take {planned:?}: plan {limit} s at most"
            )));
        }
        Ok(ask.clone())
    }

    /// Subscribes to the feed.
    ///
    /// # Errors
    /// When as many streams are open or subscribers known as may be, counted as `refused_asks`.
    pub fn subscribe(&self, ask: &FeedAsk) -> Result<(Notice, Subscription), Refusal> {
        self.understand(ask.resume, self.config.factors.envelope);
        // An id of another epoch says nothing about this one's messages: join live, and let `previous`
        // in the hello say what the old epoch still owed.
        let after = ask
            .after
            .filter(|after| ask.resume && after.epoch == self.config.epoch && after.stream == FEED);
        let joined = self.room().and_then(|()| {
            let after = after.map(|after| after.seq);
            Ok(self.feed.subscribe(ask.subscriber, after)?)
        });
        let joined = joined.inspect_err(|_| self.meters.counters.count(Counter::RefusedAsks))?;
        Ok(self.greet(joined))
    }

    /// Whether another stream may be opened.
    fn room(&self) -> Result<(), Refusal> {
        let limit = self.config.limits.streams;
        if self.meters.counters.live_streams() < limit {
            return Ok(());
        }
        Err(Refusal::Streams(limit))
    }

    fn understand(&self, resume: bool, envelope: Envelope) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = Some(Understood { resume, envelope });
    }

    /// What the latest ask was understood as; none before the first.
    pub fn latest(&self) -> Option<Understood> {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greet(&self, joined: Joined) -> (Notice, Subscription) {
        let Joined {
            after,
            missing,
            subscription,
        } = joined;
        let retry_ms = self.config.retry.as_millis() as u64;
        (
            Notice::Hello {
                after,
                missing,
                previous: self.config.previous,
                retry_ms,
            },
            subscription,
        )
    }

    /// What a schedule needs to run.
    pub fn source(&self) -> Source {
        Source {
            pacer: self.pacer.clone(),
            meters: self.meters.clone(),
            faults: self.injected(),
            feed_payload_bytes: self.config.factors.payload_bytes,
        }
    }

    /// When a subscription gives out what is ready, if that is not at once.
    pub fn hold(&self) -> Option<Hold> {
        Hold::new(self.config.factors.flush, &self.pacer)
    }

    /// The faults, if there are any; nobody else is to pay for asking.
    pub fn injected(&self) -> Option<Arc<Injector>> {
        (!self.config.faults.none()).then(|| self.faults.clone())
    }

    /// Ends the feed and every turn, those to come as well; subscribers read what is left and the
    /// goodbye.
    pub fn end_streams(&self) {
        self.feed.end(true);
        self.turns.end();
    }

    /// Completes when the server is to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the server is gone, which is a stop as well.
            let _ = stop.wait_for(|&stopping| stopping).await;
        }
    }
}

//! A stream and its subscribers: bounded fan-out from one replay log.
//!
//! Our own, not a broadcast channel, because replaying history and joining the live stream must be one
//! step: with two structures a message falls between them or arrives twice.

mod message;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use slab::Slab;

use crate::{
    contract::{
        clock::now_ns,
        event_id::EventId,
        factors::Flush,
        message::{Envelope, Stamps, encode},
    },
    counters::Counter,
    faults::{Injector, Stage},
    flush::{Gate, Hold},
    history::{History, Read},
    meters::Meters,
};

pub use message::Message;

/// Number of the feed's stream; turns count from 1.
pub const FEED: u64 = 0;

/// A stream: the feed, or one turn.
#[derive(Debug)]
pub struct Topic {
    epoch: u32,
    stream: u64,
    envelope: Envelope,
    known_limit: usize,
    meters: Arc<Meters>,
    faults: Option<Arc<Injector>>,
    hold: Option<Hold>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    history: History<Arc<Message>>,
    ended: Option<bool>,
    /// One slot a subscription: who is to be woken.
    listeners: Slab<Option<Waker>>,
    /// Numbers of subscribers met so far: they are owed every message from then on.
    known: HashSet<u64>,
    /// The same for strangers, who cannot be known again.
    strangers: u64,
}

/// What a subscription yields.
#[derive(Debug)]
pub enum Item {
    /// The next message.
    Message(Arc<Message>),
    /// So many messages were discarded: the subscription had fallen behind the log.
    Dropped(u64),
    /// The stream is over.
    End {
        /// Its last message.
        last: EventId,
        /// Whether it was stopped before its planned end.
        cancelled: bool,
    },
}

/// As many subscribers are known as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this stream knows {0} subscribers already, which is its limit: leave `subscriber` out or come back later"
)]
pub struct TooManyKnown(usize);

impl Topic {
    /// An empty stream that holds `history` messages and knows again up to `known_limit` subscribers.
    pub fn new(
        (epoch, stream): (u32, u64),
        envelope: Envelope,
        history: usize,
        known_limit: usize,
        meters: Arc<Meters>,
        faults: Option<Arc<Injector>>,
        hold: Option<Hold>,
    ) -> Arc<Self> {
        let state = State {
            history: History::new(history),
            ended: None,
            listeners: Slab::new(),
            known: HashSet::new(),
            strangers: 0,
        };
        Arc::new(Self {
            epoch,
            stream,
            envelope,
            known_limit,
            meters,
            faults,
            hold,
            state: Mutex::new(state),
        })
    }

    /// When its subscriptions give out what is ready.
    pub fn flush(&self) -> Flush {
        self.hold.as_ref().map_or(Flush::Ready, Hold::policy)
    }

    /// Stamps and encodes a text and wakes the subscribers; nothing once the stream has ended.
    pub fn publish(&self, scheduled_at: u64, text: &str) {
        let waiting = {
            let mut state = self.lock();
            if state.ended.is_some() {
                return;
            }
            let seq = state.history.last() + 1;
            let sent_at = now_ns();
            let mut stamps = Stamps {
                stream: self.stream,
                seq,
                scheduled_at,
                sent_at,
            };
            if let Some(faults) = &self.faults {
                faults.begin(sent_at);
                stamps.scheduled_at = faults.stamp(scheduled_at);
                stamps.sent_at = faults.stamp(sent_at);
            }
            let payload = encode(self.envelope, &stamps, text).into();
            let message = Message::new(self.id(seq), sent_at, payload);
            state.history.push(Arc::new(message));
            let counters = &self.meters.counters;
            counters.add(Counter::Owed, state.known.len() as u64 + state.strangers);
            counters.count(Counter::Published);
            if self.stream == FEED {
                counters.set(Counter::FeedSeq, seq);
            }
            state.waiting()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ends the stream; subscribers read what is left, then [`Item::End`]. The first call counts.
    pub fn end(&self, cancelled: bool) {
        let waiting = {
            let mut state = self.lock();
            state.ended.get_or_insert(cancelled);
            state.waiting()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether [`Topic::end`] was called.
    pub fn ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Sequence number of the newest message, 0 before the first.
    pub fn last(&self) -> u64 {
        self.lock().history.last()
    }

    /// Subscriptions alive.
    pub fn listeners(&self) -> usize {
        self.lock().listeners.len()
    }

    /// Identity of message `seq` of this stream.
    pub fn id(&self, seq: u64) -> EventId {
        EventId {
            epoch: self.epoch,
            stream: self.stream,
            seq,
        }
    }

    /// Joins after message `after`, or after the newest one.
    ///
    /// # Errors
    /// When `subscriber` is new and as many as allowed are known.
    pub fn subscribe(
        self: &Arc<Self>,
        subscriber: Option<u64>,
        after: Option<u64>,
    ) -> Result<Joined, TooManyKnown> {
        let mut state = self.lock();
        match subscriber {
            None => state.strangers += 1,
            Some(number) if state.known.contains(&number) => {}
            Some(_) if state.known.len() >= self.known_limit => {
                return Err(TooManyKnown(self.known_limit));
            }
            Some(number) => {
                state.known.insert(number);
            }
        }
        let last = state.history.last();
        let asked = after.unwrap_or(last).min(last);
        let missing = match state.history.read(asked + 1) {
            Read::Missing(missing) => missing,
            Read::Item(_) | Read::Future => 0,
        };
        let slot = state.listeners.insert(None);
        drop(state);
        self.meters.counters.count(Counter::Subscribed);
        let after = asked + missing;
        let stranger = subscriber.is_none();
        let stage = self.faults.clone();
        let stage = stage.map(|faults| Box::new(Stage::new(faults, subscriber)));
        let subscription = Subscription {
            topic: self.clone(),
            slot,
            after,
            stranger,
            stopped: false,
            stage,
            gate: self.hold.as_ref().map(|hold| Box::new(Gate::new(hold))),
        };
        Ok(Joined {
            after: self.id(after),
            missing,
            subscription,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes everybody who waits, to be woken once the lock is released.
    fn waiting(&mut self) -> Vec<Waker> {
        self.listeners
            .iter_mut()
            .filter_map(|(_, waker)| waker.take())
            .collect()
    }
}

/// A new subscription and where it begins.
#[derive(Debug)]
pub struct Joined {
    /// The last message before it.
    pub after: EventId,
    /// Messages between the one asked for and `after`, which the log no longer holds.
    pub missing: u64,
    /// Yields what follows.
    pub subscription: Subscription,
}

/// A position in a stream. Dropping it leaves the stream.
#[derive(Debug)]
pub struct Subscription {
    topic: Arc<Topic>,
    slot: usize,
    after: u64,
    stranger: bool,
    stopped: bool,
    /// What is done wrong on purpose to what it yields.
    stage: Option<Box<Stage>>,
    /// What is held back of it until it is to be written; the last before the transport, so that faults
    /// are what a source would have done.
    gate: Option<Box<Gate>>,
}

impl Subscription {
    /// The next item, or pending with the waker kept: what came before it is to be written then.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let Some(mut gate) = self.gate.take() else {
            return self.poll_due(cx);
        };
        let item = gate.next(Some(cx), |cx| self.due(cx));
        self.gate = Some(gate);
        item.map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let Some(mut stage) = self.stage.take() else {
            return self.poll_log(cx);
        };
        let item = stage.next(Some(cx), |cx| self.log(cx));
        self.stage = Some(stage);
        item.map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_log(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        let topic = self.topic.clone();
        let mut state = topic.lock();
        if let Some(item) = self.advance(&state) {
            return Poll::Ready(item);
        }
        if let Some(waker) = state.listeners.get_mut(self.slot) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The next item.
    pub async fn next(&mut self) -> Item {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next item, if it is to be written together with the one before it.
    pub fn try_next(&mut self) -> Option<Item> {
        let Some(mut gate) = self.gate.take() else {
            return self.due(None);
        };
        let item = gate.next(None, |cx| self.due(cx));
        self.gate = Some(gate);
        item
    }

    /// The next item that is there, whatever is to be held back: the connection ends.
    pub fn try_rest(&mut self) -> Option<Item> {
        if let Some(gate) = &mut self.gate {
            gate.open();
        }
        self.try_next()
    }

    /// What is there after the faults, which the flush policy has not seen.
    fn due(&mut self, cx: Option<&mut Context<'_>>) -> Option<Item> {
        if let Some(cx) = cx {
            return match self.poll_due(cx) {
                Poll::Ready(item) => Some(item),
                Poll::Pending => None,
            };
        }
        let Some(mut stage) = self.stage.take() else {
            return self.log(None);
        };
        let item = stage.next(None, |cx| self.log(cx));
        self.stage = Some(stage);
        item
    }

    /// What the log has next; with a context, the task is woken when it has something.
    fn log(&mut self, cx: Option<&mut Context<'_>>) -> Option<Item> {
        if let Some(cx) = cx {
            return match self.poll_log(cx) {
                Poll::Ready(item) => Some(item),
                Poll::Pending => None,
            };
        }
        let topic = self.topic.clone();
        let state = topic.lock();
        self.advance(&state)
    }

    /// The last message that it has read from its stream, or joined after.
    pub fn position(&self) -> EventId {
        self.topic.id(self.after)
    }

    /// Stops on the subscriber's wish: a turn for good, the feed for this subscription alone.
    pub fn stop(&mut self) {
        if self.topic.stream == FEED {
            self.stopped = true;
        } else {
            self.topic.end(true);
        }
    }

    fn advance(&mut self, state: &State) -> Option<Item> {
        if self.stopped {
            return Some(Item::End {
                last: self.topic.id(self.after),
                cancelled: true,
            });
        }
        match state.history.read(self.after + 1) {
            Read::Item(message) => {
                self.after += 1;
                Some(Item::Message(message))
            }
            Read::Missing(count) => {
                self.after += count;
                self.topic.meters.counters.add(Counter::Dropped, count);
                Some(Item::Dropped(count))
            }
            Read::Future => {
                let last = self.topic.id(state.history.last());
                state.ended.map(|cancelled| Item::End { last, cancelled })
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.topic.lock();
        state.listeners.remove(self.slot);
        if self.stranger {
            state.strangers -= 1;
        }
        drop(state);
        self.topic.meters.counters.count(Counter::Unsubscribed);
    }
}

#[cfg(test)]
mod tests;

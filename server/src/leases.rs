//! Subscriptions that wait for the next request of their poller, on the connection that it will come on.
//!
//! A poller has no stream between an answer and its next request, but it has not left: its subscription is
//! kept, so that it stays known, is owed what is published meanwhile, keeps its turn alive, and counts as a
//! live stream, which it is as far as anybody can know. With the connection its leases end, as any stream
//! does; a poller that does not ask again in time is forgotten. Whoever comes over another connection, or
//! too late, is not lost: its request says what it saw last, and it joins again from there.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    contract::{clock::now_ns, event_id::EventId},
    hub::Subscription,
};

/// What is kept for the pollers of one connection.
#[derive(Debug, Default)]
pub struct Leases(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Lease>,
    /// Polls that are being answered.
    asked: usize,
}

#[derive(Debug)]
struct Lease {
    place: Place,
    subscription: Subscription,
    since_ns: u64,
}

/// Where a poller stands. Two on one connection that stand at the same place are owed the same, so it does
/// not matter whose subscription is whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Who asks; none of a stranger.
    pub subscriber: Option<u64>,
    /// The last message that it was told.
    pub told: EventId,
}

/// A poll that is being answered.
#[derive(Debug)]
pub struct Asked<'a>(&'a Leases);

impl Leases {
    /// Notes that a poll is being answered, until what is returned is dropped.
    pub fn ask(&self) -> Asked<'_> {
        self.lock().asked += 1;
        Asked(self)
    }

    /// Ends all: who begins a stream on a connection that carries one at a time has given up the one before.
    pub fn clear(&self) {
        // Dropped once the lock is released: a subscription's end locks its stream.
        drop(std::mem::take(&mut self.lock().waiting));
    }

    /// Ends those whose poller has not asked again for so long; how many.
    pub fn forget(&self, pause: Duration) -> usize {
        let now = now_ns();
        let late =
            |lease: &mut Lease| u128::from(now.saturating_sub(lease.since_ns)) > pause.as_nanos();
        let forgotten: Vec<_> = self.lock().waiting.extract_if(.., late).collect();
        forgotten.len()
    }

    /// Completes when nobody is owed an answer on this connection: every stream was told its end.
    pub async fn told(&self) {
        // Only a server that stops waits here, and no one reads a clock by it.
        const LOOK: Duration = Duration::from_millis(5);
        while self.any() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn any(&self) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.asked > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked<'_> {
    /// The subscription that waits at this place, if one does.
    pub fn take(&self, place: Place) -> Option<Subscription> {
        let mut state = self.0.lock();
        let found = state
            .waiting
            .iter()
            .position(|lease| lease.place == place)?;
        Some(state.waiting.swap_remove(found).subscription)
    }

    /// Whether one more may be kept.
    pub fn room(&self, limit: usize) -> bool {
        let state = self.0.lock();
        state.waiting.len() + state.asked <= limit
    }

    /// Keeps a subscription for the poller's next request.
    pub fn keep(&self, place: Place, subscription: Subscription) {
        self.0.lock().waiting.push(Lease {
            place,
            subscription,
            since_ns: now_ns(),
        });
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.lock().asked -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        contract::message::Envelope,
        counters::{Counter, Counters},
        hub::{FEED, Topic},
        meters::Meters,
    };

    fn place(subscriber: Option<u64>, seq: u64) -> Place {
        let told = EventId {
            epoch: 1,
            stream: FEED,
            seq,
        };
        Place { subscriber, told }
    }

    #[test]
    fn a_subscription_is_kept_for_the_one_who_stands_where_it_was_left() {
        let meters = Arc::new(Meters::new(Counters::private().unwrap()));
        let topic = Topic::new(
            (1, FEED),
            Envelope::Minimal,
            9,
            9,
            meters.clone(),
            None,
            None,
        );
        let join = |subscriber| topic.subscribe(subscriber, None).unwrap().subscription;
        let leases = Leases::default();
        let asked = leases.ask();
        assert!(leases.any());
        for number in [None, Some(7)] {
            asked.keep(place(number, 0), join(number));
        }
        assert!(asked.room(3) && !asked.room(2));
        drop(asked);
        topic.publish(0, "x");
        assert_eq!(
            meters.counters.read(Counter::Owed),
            2,
            "known, and a stranger"
        );
        assert!(leases.any());

        let asked = leases.ask();
        assert!(asked.take(place(Some(7), 1)).is_none(), "it was told of 0");
        assert!(asked.take(place(Some(8), 0)).is_none());
        let mut taken = asked.take(place(Some(7), 0)).unwrap();
        assert!(taken.try_next().is_some());
        assert!(asked.take(place(Some(7), 0)).is_none(), "once");
        drop((asked, taken));
        assert_eq!(meters.counters.live_streams(), 1);

        assert_eq!(leases.forget(Duration::MAX), 0);
        while leases.any() {
            leases.forget(Duration::ZERO);
        }
        assert_eq!(meters.counters.live_streams(), 0);
    }
}

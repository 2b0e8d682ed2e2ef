//! The turns that stream now, and those kept a while for resume.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{counters::Counter, hub::Topic, limits::Limits, meters::Meters};

/// All turns of one epoch that can be found by number.
#[derive(Debug)]
pub struct Turns {
    limits: Limits,
    meters: Arc<Meters>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    /// Whether turns end as they start.
    ended: bool,
    running: HashMap<u64, Arc<Topic>>,
    retained: HashMap<u64, Arc<Topic>>,
    /// Of `retained`, oldest first.
    order: VecDeque<u64>,
}

/// As many turns stream as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} turns are streaming, which is the limit: wait for one to end")]
pub struct TooManyTurns(usize);

impl Turns {
    /// None yet.
    pub fn new(limits: Limits, meters: Arc<Meters>) -> Self {
        Self {
            limits,
            meters,
            state: Mutex::default(),
        }
    }

    /// Enters a new turn, made from its number; it has ended already when all turns have.
    ///
    /// # Errors
    /// When as many as allowed are running.
    pub fn start(
        &self,
        topic: impl FnOnce(u64) -> Arc<Topic>,
    ) -> Result<(u64, Arc<Topic>), TooManyTurns> {
        let mut state = self.lock();
        if state.running.len() >= self.limits.turns {
            return Err(TooManyTurns(self.limits.turns));
        }
        state.last += 1;
        let number = state.last;
        let topic = topic(number);
        if state.ended {
            topic.end(true);
        }
        state.running.insert(number, topic.clone());
        self.meters.counters.count(Counter::Turns);
        Ok((number, topic))
    }

    /// The turn is over; `retain` keeps it for those who come back for its end.
    pub fn finish(&self, number: u64, retain: bool) {
        let mut state = self.lock();
        let Some(topic) = state.running.remove(&number) else {
            return;
        };
        if !retain {
            return;
        }
        if state.order.len() >= self.limits.retained_turns
            && let Some(oldest) = state.order.pop_front()
        {
            state.retained.remove(&oldest);
            self.meters.counters.count(Counter::ForgottenTurns);
        }
        state.order.push_back(number);
        state.retained.insert(number, topic);
    }

    /// A turn that runs or is retained.
    pub fn find(&self, number: u64) -> Option<Arc<Topic>> {
        let state = self.lock();
        state
            .running
            .get(&number)
            .or_else(|| state.retained.get(&number))
            .cloned()
    }

    /// Ends all that run, and those whose prompt is still on its way.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.running.values().for_each(|turn| turn.end(true));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::message::Envelope, counters::Counters};

    #[test]
    fn forgets_the_oldest_and_counts_it() {
        let meters = Arc::new(Meters::new(Counters::private().unwrap()));
        let limits = Limits {
            retained_turns: 2,
            turns: 3,
            ..Limits::default()
        };
        let turns = Turns::new(limits, meters.clone());
        let topic = |n| Topic::new((1, n), Envelope::Minimal, 1, 1, meters.clone(), None, None);
        for _ in 0..3 {
            turns.start(topic).unwrap();
        }
        assert_eq!(turns.start(topic).unwrap_err(), TooManyTurns(3));
        (1..=3).for_each(|n| turns.finish(n, true));
        assert!(turns.find(1).is_none() && turns.find(2).is_some() && turns.find(3).is_some());
        assert_eq!(meters.counters.read(Counter::ForgottenTurns), 1);
        turns.start(topic).unwrap();
        turns.finish(4, false);
        assert!(turns.find(4).is_none());
    }

    #[test]
    fn a_turn_that_starts_after_the_end_of_all_has_ended() {
        let meters = Arc::new(Meters::new(Counters::private().unwrap()));
        let turns = Turns::new(Limits::default(), meters.clone());
        let topic = |n| Topic::new((1, n), Envelope::Minimal, 1, 1, meters.clone(), None, None);
        let (_, before) = turns.start(topic).unwrap();
        turns.end();
        let (_, after) = turns.start(topic).unwrap();
        assert!(before.ended() && after.ended());
    }
}

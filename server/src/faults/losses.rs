//! Which deliveries are dropped, sent twice or swapped, and which in fact were.

use rand::{Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

/// So many of the first `of` messages delivered, over all subscriptions, drawn without replacement.
/// The server's books (`owed`) count as if nothing happened: finding it is the meter's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lose {
    /// Not sent.
    pub dropped: u32,
    /// Sent twice.
    pub duplicated: u32,
    /// Sent after the one behind it.
    pub reordered: u32,
    /// Of so many.
    pub of: u32,
}

/// Losses so dense that one could hide another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{faults} losses among {of} messages cannot each stand for itself: ask for one in {SPARSE} at most"
)]
pub struct TooDense {
    faults: u64,
    of: u32,
}

/// A message to one subscriber; `subscriber` is none of a stranger's and of a turn's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// By its number in the ask.
    pub subscriber: Option<u64>,
    /// Which message of the stream.
    pub seq: u64,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Sent,
    Dropped,
    Twice,
    Swapped,
}

/// At most one message in so many: room for each loss to have whole neighbours in its own stream.
const SPARSE: u64 = 8;

/// Messages of one stream from a loss to the next: the second one is whole, whatever became of the first.
const APART: u64 = 3;

/// The losses to come, and those that were.
#[derive(Debug)]
pub(super) struct Losses {
    delivered: u64,
    of: u64,
    /// At which delivery, the next one last.
    planned: Vec<(u64, Fate)>,
    /// Due, and put off because the stream's loss before is too near.
    due: Vec<Fate>,
    done: Done,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub(super) dropped: Vec<Delivery>,
    pub(super) duplicated: Vec<Delivery>,
    pub(super) reordered: Vec<Delivery>,
}

impl Losses {
    pub(super) fn draw(lose: Lose, random: &mut impl Rng) -> Result<Self, TooDense> {
        let counts = [
            (lose.dropped, Fate::Dropped),
            (lose.duplicated, Fate::Twice),
            (lose.reordered, Fate::Swapped),
        ];
        let faults: u64 = counts.iter().map(|&(count, _)| u64::from(count)).sum();
        if faults * SPARSE > u64::from(lose.of) {
            return Err(TooDense {
                faults,
                of: lose.of,
            });
        }
        let mut fates: Vec<Fate> = counts
            .iter()
            .flat_map(|&(count, fate)| std::iter::repeat_n(fate, count as usize))
            .collect();
        fates.shuffle(random);
        // The last few are left out, so that what is put off is still among the first `of`.
        let room = (lose.of as usize * 15 / 16).max(fates.len());
        let mut places = rand::seq::index::sample(random, room, fates.len()).into_vec();
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self {
            delivered: 0,
            of: u64::from(lose.of),
            planned: places
                .into_iter()
                .map(|place| place as u64)
                .zip(fates)
                .collect(),
            due: Vec::new(),
            done: Done::default(),
        })
    }

    /// What becomes of the next delivery, of message `seq` of a stream whose last loss was `latest`.
    pub(super) fn fate(&mut self, seq: u64, latest: Option<u64>) -> Fate {
        while let Some(&(place, fate)) = self.planned.last()
            && place <= self.delivered
        {
            self.planned.pop();
            self.due.push(fate);
        }
        self.delivered += 1;
        let near = latest.is_some_and(|latest| seq < latest + APART);
        if near || self.delivered > self.of {
            return Fate::Sent;
        }
        self.due.pop().unwrap_or(Fate::Sent)
    }

    /// It became of it.
    pub(super) fn note(&mut self, fate: Fate, delivery: Delivery) {
        match fate {
            Fate::Sent => {}
            Fate::Dropped => self.done.dropped.push(delivery),
            Fate::Twice => self.done.duplicated.push(delivery),
            Fate::Swapped => self.done.reordered.push(delivery),
        }
    }

    pub(super) fn done(&self) -> &Done {
        &self.done
    }
}

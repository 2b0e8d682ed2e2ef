//! A bounded replay log: the newest messages of a stream, addressed by sequence number.
//!
//! It is the queue of every subscription as well: a subscription is a position in it, so that a reader
//! costs no memory for being slow, and resuming is nothing but subscribing at an older position.

use std::collections::VecDeque;

/// The newest `capacity` items of a sequence that counts from 1.
#[derive(Debug)]
pub struct History<T> {
    items: VecDeque<T>,
    capacity: usize,
    last: u64,
}

/// What stands at a position.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<T> {
    /// The item asked for.
    Item(T),
    /// So many items, from the one asked for on, were pushed out; the one after them is held.
    Missing(u64),
    /// Not pushed yet.
    Future,
}

impl<T: Clone> History<T> {
    /// Empty; holds at least one item.
    pub fn new(capacity: usize) -> Self {
        Self {
            items: VecDeque::new(),
            capacity: capacity.max(1),
            last: 0,
        }
    }

    /// Sequence number of the newest item, 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Appends the item with number `last() + 1`.
    pub fn push(&mut self, item: T) {
        if self.items.len() == self.capacity {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.last += 1;
    }

    /// Reads number `seq`, which is at least 1.
    pub fn read(&self, seq: u64) -> Read<T> {
        let oldest = self.last + 1 - self.items.len() as u64;
        if seq < oldest {
            return Read::Missing(oldest - seq);
        }
        match self.items.get((seq - oldest) as usize) {
            Some(item) => Read::Item(item.clone()),
            None => Read::Future,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_was_pushed_or_says_how_much_is_missing(
            capacity in 1_usize..20, pushed in 0_u64..60, seq in 1_u64..80,
        ) {
            let mut history = History::new(capacity);
            (1..=pushed).for_each(|n| history.push(n));
            let oldest = pushed.saturating_sub(capacity as u64) + 1;
            let expected = if seq > pushed {
                Read::Future
            } else if seq < oldest {
                Read::Missing(oldest - seq)
            } else {
                Read::Item(seq)
            };
            prop_assert_eq!(history.read(seq), expected);
            prop_assert_eq!(history.last(), pushed);
        }
    }
}

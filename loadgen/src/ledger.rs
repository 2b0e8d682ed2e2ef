//! A subscriber's own account of what reached it: gaps, repeats and what the server said it dropped.
//!
//! Pure, and kept apart from the server's account, so that the two can be held against each other.

use std::collections::BTreeMap;

use pushbench_reports::record::Books;
use pushbench_server::contract::{event_id::EventId, notice::Notice};

/// Positions and counts of one subscriber over all its connections.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    expected: Option<EventId>,
    books: BTreeMap<u32, Books>,
}

impl Ledger {
    /// The last message that is accounted for: where a resume continues.
    pub fn position(&self) -> Option<EventId> {
        self.expected.map(|next| EventId {
            seq: next.seq - 1,
            ..next
        })
    }

    /// The counts by epoch; `owed` is the server's to say and stays 0.
    pub fn books(&self) -> &BTreeMap<u32, Books> {
        &self.books
    }

    /// The counts of all epochs.
    pub fn total(&self) -> Books {
        let mut total = Books::default();
        self.books.values().for_each(|books| total += *books);
        total
    }

    /// Adds another account's counts: many short ledgers make one book.
    pub fn add(&mut self, other: &Self) {
        for (epoch, books) in &other.books {
            *self.books.entry(*epoch).or_default() += *books;
        }
    }

    /// A message arrived.
    pub fn message(&mut self, seq: u64) {
        let Some(expected) = &mut self.expected else {
            return;
        };
        let books = self.books.entry(expected.epoch).or_default();
        if seq < expected.seq {
            books.duplicated += 1;
        } else {
            books.lost += seq - expected.seq;
            books.received += 1;
            expected.seq = seq + 1;
        }
    }

    /// The server said something about the stream.
    pub fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Hello {
                after, previous, ..
            } => self.hello(*after, *previous),
            Notice::Dropped { count } => {
                if let Some(expected) = &mut self.expected {
                    self.books.entry(expected.epoch).or_default().dropped += count;
                    expected.seq += count;
                }
            }
            Notice::End { last, .. } => self.close(*last),
            Notice::Refused { .. } => {}
        }
    }

    fn hello(&mut self, after: EventId, previous: Option<EventId>) {
        let next = EventId {
            seq: after.seq + 1,
            ..after
        };
        match self.expected {
            // The same stream again: what is missing shows at the next message, or at the end.
            Some(expected) if (expected.epoch, expected.stream) == (after.epoch, after.stream) => {}
            Some(_) => {
                if let Some(previous) = previous {
                    self.close(previous);
                }
                self.expected = Some(next);
            }
            None => self.expected = Some(next),
        }
    }

    /// The stream's last message is known: what did not arrive up to it is lost.
    fn close(&mut self, last: EventId) {
        if let Some(expected) = &mut self.expected
            && (expected.epoch, expected.stream) == (last.epoch, last.stream)
            && last.seq >= expected.seq
        {
            self.books.entry(expected.epoch).or_default().lost += last.seq + 1 - expected.seq;
            expected.seq = last.seq + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u32, seq: u64) -> EventId {
        EventId {
            epoch,
            stream: 0,
            seq,
        }
    }

    fn hello(after: EventId, previous: Option<EventId>) -> Notice {
        Notice::Hello {
            after,
            missing: 0,
            previous,
            retry_ms: 1,
        }
    }

    #[test]
    fn gaps_repeats_and_drops_are_told_apart() {
        let mut ledger = Ledger::default();
        ledger.notice(&hello(id(1, 10), None));
        [11, 12, 15, 15, 14]
            .into_iter()
            .for_each(|seq| ledger.message(seq));
        ledger.notice(&Notice::Dropped { count: 3 });
        ledger.message(19);
        ledger.notice(&Notice::End {
            last: id(1, 21),
            cancelled: true,
        });
        let books = ledger.books()[&1];
        assert_eq!(
            (books.received, books.lost, books.duplicated, books.dropped),
            (4, 4, 2, 3)
        );
        assert_eq!(books.received + books.lost + books.dropped, 21 - 10);
    }

    #[test]
    fn a_cut_without_resume_loses_what_was_published_meanwhile() {
        let mut ledger = Ledger::default();
        ledger.notice(&hello(id(1, 0), None));
        ledger.message(1);
        ledger.notice(&hello(id(1, 5), None));
        ledger.message(6);
        assert_eq!(ledger.books()[&1].lost, 4);
        assert_eq!(ledger.position(), Some(id(1, 6)));
    }

    #[test]
    fn a_new_epoch_closes_the_books_of_the_old_one() {
        let mut ledger = Ledger::default();
        ledger.notice(&hello(id(1, 0), None));
        ledger.message(1);
        ledger.notice(&hello(id(2, 7), Some(id(1, 4))));
        ledger.message(8);
        assert_eq!(
            (ledger.books()[&1].received, ledger.books()[&1].lost),
            (1, 3)
        );
        assert_eq!(
            (ledger.books()[&2].received, ledger.books()[&2].lost),
            (1, 0)
        );
    }
}

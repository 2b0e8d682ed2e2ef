//! A subscriber's own account of what reached it: gaps, repeats, what came late and what the server said
//! it dropped.
//!
//! Pure, and kept apart from the server's account, so that the two can be held against each other.

use std::collections::{BTreeMap, VecDeque};

use pushbench_reports::record::Books;
use pushbench_server::contract::{event_id::EventId, notice::Notice};

/// Positions and counts of one subscriber over all its connections.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    expected: Option<EventId>,
    books: BTreeMap<u32, Books>,
    /// In the order in which they opened.
    gaps: VecDeque<Gap>,
    repeats: Vec<EventId>,
    late: Vec<EventId>,
    unlisted: u64,
}

/// Messages in a row that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    first: EventId,
    count: u64,
}

/// Entries of each list of a ledger: several times what a calibration loses on purpose, 100 KiB a list,
/// and not more, because a stream may be cut a million times. Of gaps the oldest is forgotten: what
/// comes later than thousands of them counts as a repeat. Of the others the newest is not listed.
const LISTED: usize = 4_096;

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

    /// Which messages are lost, as far as listed.
    pub fn lost(&self) -> impl Iterator<Item = EventId> + '_ {
        self.gaps.iter().flat_map(|gap| {
            (0..gap.count).map(|k| EventId {
                seq: gap.first.seq + k,
                ..gap.first
            })
        })
    }

    /// Which messages came again, once for each repeat, as far as listed.
    pub fn repeats(&self) -> &[EventId] {
        &self.repeats
    }

    /// Which messages came after a later one, as far as listed.
    pub fn late(&self) -> &[EventId] {
        &self.late
    }

    /// Gaps, repeats and late messages that are counted and no longer, or not, listed.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// A message arrived.
    pub fn message(&mut self, seq: u64) {
        let Some(expected) = self.expected else {
            return;
        };
        let id = EventId { seq, ..expected };
        if seq < expected.seq {
            self.behind(id);
        } else {
            self.gap(seq - expected.seq);
            self.books.entry(id.epoch).or_default().received += 1;
            self.expected = Some(EventId { seq: seq + 1, ..id });
        }
    }

    /// A message arrived that does not say which it is: the one that is expected. What a bound dropped before
    /// it was told by a notice.
    pub fn next_message(&mut self) {
        if let Some(expected) = self.expected {
            self.message(expected.seq);
        }
    }

    /// A message came that others had overtaken: it fills a gap, or it was here before.
    fn behind(&mut self, id: EventId) {
        let filled = self.fill(id);
        let books = self.books.entry(id.epoch).or_default();
        let list = if filled {
            books.lost -= 1;
            books.received += 1;
            books.reordered += 1;
            &mut self.late
        } else {
            books.duplicated += 1;
            &mut self.repeats
        };
        if list.len() < LISTED {
            list.push(id);
        } else {
            self.unlisted += 1;
        }
    }

    /// The next `count` messages are missing.
    fn gap(&mut self, count: u64) {
        let Some(first) = self.expected.filter(|_| count > 0) else {
            return;
        };
        self.books.entry(first.epoch).or_default().lost += count;
        self.expected = Some(EventId {
            seq: first.seq + count,
            ..first
        });
        self.gaps.push_back(Gap { first, count });
        self.bound_gaps();
    }

    /// Takes a message out of its gap; false when it was not missing.
    fn fill(&mut self, id: EventId) -> bool {
        let holds = |gap: &Gap| {
            let Gap { first, count } = *gap;
            (first.epoch, first.stream) == (id.epoch, id.stream)
                && (first.seq..first.seq + count).contains(&id.seq)
        };
        // What is late is seldom very late.
        let Some(place) = self.gaps.iter().rposition(holds) else {
            return false;
        };
        if let Some(Gap { first, count }) = self.gaps.remove(place) {
            let before = id.seq - first.seq;
            let rest = Gap {
                first: EventId {
                    seq: id.seq + 1,
                    ..id
                },
                count: count - before - 1,
            };
            let parts = [
                rest,
                Gap {
                    first,
                    count: before,
                },
            ];
            for part in parts.into_iter().filter(|part| part.count > 0) {
                self.gaps.insert(place, part);
            }
        }
        self.bound_gaps();
        true
    }

    fn bound_gaps(&mut self) {
        while self.gaps.len() > LISTED {
            self.unlisted += self.gaps.pop_front().map_or(0, |gap| gap.count);
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
        if let Some(expected) = self.expected
            && (expected.epoch, expected.stream) == (last.epoch, last.stream)
        {
            self.gap((last.seq + 1).saturating_sub(expected.seq));
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

    fn seqs(ids: impl Iterator<Item = EventId>) -> Vec<u64> {
        ids.map(|id| id.seq).collect()
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
        [11, 12, 15, 15, 12]
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
        assert_eq!(seqs(ledger.lost()), [13, 14, 20, 21]);
        assert_eq!(seqs(ledger.repeats().iter().copied()), [15, 12]);
    }

    #[test]
    fn messages_without_a_number_are_counted_by_their_place() {
        let mut ledger = Ledger::default();
        ledger.next_message();
        ledger.notice(&hello(id(1, 10), None));
        ledger.next_message();
        ledger.notice(&Notice::Dropped { count: 3 });
        ledger.next_message();
        ledger.notice(&Notice::End {
            last: id(1, 16),
            cancelled: true,
        });
        let books = ledger.books()[&1];
        assert_eq!((books.received, books.dropped, books.lost), (2, 3, 1));
        assert_eq!(seqs(ledger.lost()), [16]);
    }

    #[test]
    fn a_late_message_fills_its_gap_and_is_neither_lost_nor_a_repeat() {
        let mut ledger = Ledger::default();
        ledger.notice(&hello(id(1, 0), None));
        [1, 6, 4, 4, 2, 7]
            .into_iter()
            .for_each(|seq| ledger.message(seq));
        let books = ledger.total();
        assert_eq!(
            (
                books.received,
                books.lost,
                books.duplicated,
                books.reordered
            ),
            (5, 2, 1, 2)
        );
        assert_eq!(books.received + books.lost, 7, "the books balance");
        assert_eq!(seqs(ledger.lost()), [3, 5]);
        assert_eq!(seqs(ledger.late().iter().copied()), [4, 2]);
        assert_eq!(seqs(ledger.repeats().iter().copied()), [4]);
        assert_eq!(ledger.position(), Some(id(1, 7)));
    }

    #[test]
    fn a_gap_of_another_epoch_is_not_filled() {
        let mut ledger = Ledger::default();
        ledger.notice(&hello(id(1, 0), None));
        ledger.message(3);
        ledger.notice(&hello(id(2, 5), None));
        ledger.message(2);
        assert_eq!((ledger.total().lost, ledger.total().duplicated), (2, 1));
    }

    #[test]
    fn lists_are_bounded_and_what_is_not_listed_is_counted() {
        const MORE: u64 = LISTED as u64 + 10;
        let mut ledger = Ledger::default();
        ledger.notice(&hello(id(1, 0), None));
        // Every other message is lost, and every one that comes, comes twice.
        for n in 1..=MORE {
            ledger.message(2 * n);
            ledger.message(2 * n);
        }
        let books = ledger.total();
        assert_eq!((books.lost, books.duplicated), (MORE, MORE));
        assert_eq!(
            (ledger.lost().count(), ledger.repeats().len()),
            (LISTED, LISTED)
        );
        assert_eq!(ledger.unlisted(), 20);
        // The oldest gap is forgotten: what fills it is taken for a repeat.
        ledger.message(1);
        assert_eq!((ledger.total().lost, ledger.total().reordered), (MORE, 0));
        ledger.message(2 * MORE - 1);
        assert_eq!(
            (ledger.total().lost, ledger.total().reordered),
            (MORE - 1, 1)
        );
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

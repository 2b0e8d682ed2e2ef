//! The rules by which a trial is invalid: pure, and blind to whose trial it is and what it found.
//!
//! Evidence is how a trial was measured, in numbers. Neither its arm nor its transport nor any figure
//! that arms are compared by is among them, so that no rule can favour anybody. Words within it are
//! handed on unread.

use pushbench_reports::record::Books;

/// How late the generator may be at the tail, nanoseconds, with what it sends and with what it reads:
/// the margin of a token's latency. A generator that is later adds to every arm's figures what the
/// verdict calls a difference that matters.
const LAG_NS: f64 = 1e6;

/// Share of its core above which the generator may be the limit: an open-loop load on a single server
/// queues four jobs deep on average at 80 % (M/M/1), and what is measured is that queue.
const GENERATOR_LOAD: f64 = 0.8;

/// How late the generator may read at the tail in the reconnect experiment, nanoseconds: half of the margin
/// of the reconnect gap, so that reading late cannot make a difference that matters out of none. A herd
/// that comes back at once keeps any loop busy for some milliseconds.
const HERD_LAG_NS: f64 = 25e6;

/// Share of the window that our threads may wait for a core, or the hypervisor may withhold from the cores
/// that we run on: half of the margin of CPU and rates, 10 %, so that foreign load cannot make a difference
/// that matters out of none. Quiet runs on two cores had at most 1.1 %.
pub const FOREIGN_LOAD: f64 = 0.05;

/// Share of a core of ours that others may use: the margin of CPU and rates. Somebody who fills what we
/// leave of a core is made to wait as soon as we want it, so our threads need not wait long for it; but it
/// never rests, and a message on it was seen to cost a tenth more. Undisturbed trials showed at most 3 %.
const OTHERS: f64 = 0.10;

/// Something seen of how a trial was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// Woken − due of what the generator started, at the tail, nanoseconds.
    SendLag(f64),
    /// How late the generator served what was ready to be read, at the tail, nanoseconds.
    ReadLag(f64),
    /// The same where everybody comes back at once.
    HerdReadLag(f64),
    /// Share of one core that the generator used.
    GeneratorLoad(f64),
    /// Streams live at one moment.
    Live {
        /// As the trial is meant to have.
        asked: u64,
        /// As the clients count.
        clients: u64,
        /// As the server counts.
        server: u64,
    },
    /// Connections that the server cut.
    Cut {
        /// Everybody's.
        asked: u64,
        /// As the server counted.
        cut: u64,
    },
    /// Subscribers that noticed that they were cut off.
    Noticed {
        /// Which time, from 1.
        outage: u64,
        /// Everybody.
        asked: u64,
        /// As they say.
        noticed: u64,
    },
    /// Starts that should have resumed a TLS session and did not.
    Unresumed(u64),
    /// Turns that had no proper end.
    FailedTurns {
        /// How many.
        count: u64,
        /// Why the first failed.
        first: String,
    },
    /// A subscriber lost its stream for good; why.
    CutOff(String),
    /// Deliveries of one server process.
    Books {
        /// Which one, from 1.
        epoch: u32,
        /// Both ends' account.
        books: Books,
    },
    /// A subscriber's account of a server process that there never was.
    BooksOfNone {
        /// Which one it names.
        epoch: u32,
    },
    /// Messages that were received before they were sent.
    Backwards(u64),
    /// Share of the window that the threads of one of our processes were ready and had no core, summed.
    RunQueueWait {
        /// The process.
        whose: Process,
        /// Of the window.
        share: f64,
    },
    /// Share of the time of the cores that one of our processes runs on that others used.
    Others {
        /// The process.
        whose: Process,
        /// Of the cores' time.
        share: f64,
    },
    /// Share of the time of the cores that one of our processes runs on that the hypervisor withheld.
    Steal(f64),
    /// Bytes that sockets carried and that nothing but known messages can account for.
    Wire {
        /// As the kernel counted them.
        counted: u64,
        /// As the messages' lengths add up.
        arithmetic: u64,
    },
    /// The load was still changing when the longest warm-up was over, milliseconds.
    Unsettled(f64),
}

/// One of the two that a trial needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// What is measured.
    Server,
    /// What measures.
    Generator,
}

impl Evidence {
    /// Why the trial does not measure what it claims; none where this is as it should be.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::SendLag(ns) => late("started what was due", *ns, LAG_NS),
            Self::ReadLag(ns) => late("read what was ready", *ns, LAG_NS),
            Self::HerdReadLag(ns) => late("read what was ready", *ns, HERD_LAG_NS),
            Self::GeneratorLoad(share) => (*share > GENERATOR_LOAD).then(|| {
                let share = percent(*share);
                format!("the load generator used {share} of its core: it may be the limit")
            }),
            Self::Live { asked, clients, server } => (clients != asked || server != asked).then(|| {
                format!("{asked} live streams were asked for, the clients have {clients}, the server {server}")
            }),
            Self::Cut { asked, cut } => {
                (cut != asked).then(|| format!("{cut} connections were cut, {asked} are subscribed"))
            }
            Self::Noticed { outage, asked, noticed } => (noticed != asked)
                .then(|| format!("{noticed} of {asked} subscribers noticed outage {outage}")),
            Self::Unresumed(count) => (*count > 0)
                .then(|| format!("{count} starts resumed no TLS session, and were to")),
            Self::FailedTurns { count, first } => {
                (*count > 0).then(|| format!("{count} turns failed, the first: {first}"))
            }
            Self::CutOff(why) => Some(format!("a subscriber was cut off: {why}")),
            Self::Books { epoch, books } => (!books.balanced()).then(|| unbalanced(*epoch, books)),
            Self::BooksOfNone { epoch } => {
                Some(format!("a subscriber has books of epoch {epoch}, and there was none"))
            }
            Self::Backwards(messages) => (*messages > 0)
                .then(|| format!("{messages} messages were received before they were sent")),
            Self::RunQueueWait { whose, share } => (*share > FOREIGN_LOAD).then(|| {
                let (whose, share) = (whose.name(), percent(*share));
                format!("the machine was busy: the {whose} waited {share} of the window for a core")
            }),
            Self::Others { whose, share } => (*share > OTHERS).then(|| {
                let (whose, share) = (whose.name(), percent(*share));
                format!("the machine was busy: others used {share} of the core of the {whose}")
            }),
            Self::Steal(share) => (*share > FOREIGN_LOAD).then(|| {
                let share = percent(*share);
                format!("the machine was busy: its hypervisor withheld {share} of the window")
            }),
            Self::Wire { counted, arithmetic } => (counted != arithmetic).then(|| {
                format!("the server's sockets carried {counted} bytes, where the messages add up to {arithmetic}")
            }),
            Self::Unsettled(ms) => Some(format!("the load had not settled after {ms:.0} ms of warm-up")),
        }
    }
}

impl Process {
    const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Generator => "load generator",
        }
    }
}

fn late(did: &str, ns: f64, most_ns: f64) -> Option<String> {
    let (ms, most) = (ns / 1e6, most_ns / 1e6);
    let reason =
        || format!("the load generator {did} late: {ms:.2} ms at the tail, more than {most} ms");
    (ns > most_ns).then(reason)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn unbalanced(epoch: u32, books: &Books) -> String {
    let Books {
        owed,
        received,
        lost,
        dropped,
        ..
    } = books;
    format!(
        "the books of epoch {epoch} do not balance: owed {owed}, received {received}, lost {lost}, dropped {dropped}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evidence just within its rule, and just beyond: each rule fails its test when it is taken out
    /// or turned around.
    fn at_the_edge(within: Evidence, beyond: Evidence, says: &str) {
        assert_eq!(within.reason(), None, "{within:?}");
        let reason = beyond.reason().unwrap();
        assert!(reason.contains(says), "{reason} lacks {says}");
    }

    #[test]
    fn a_generator_that_is_late_or_busy_may_be_what_was_measured() {
        use Evidence::{GeneratorLoad, HerdReadLag, ReadLag, SendLag};
        at_the_edge(SendLag(1e6), SendLag(1.3e6), "due late: 1.30 ms");
        at_the_edge(ReadLag(1e6), ReadLag(1.3e6), "ready late: 1.30 ms");
        at_the_edge(HerdReadLag(25e6), HerdReadLag(26e6), "ready late: 26.00 ms");
        at_the_edge(GeneratorLoad(0.8), GeneratorLoad(0.86), "used 86 %");
    }

    #[test]
    fn both_ends_must_have_as_many_streams_as_asked() {
        let live = |clients, server| Evidence::Live {
            asked: 7,
            clients,
            server,
        };
        at_the_edge(live(7, 7), live(6, 7), "the clients have 6");
        at_the_edge(live(7, 7), live(7, 8), "the server 8");
        at_the_edge(live(7, 7), live(6, 6), "the server 6");
    }

    #[test]
    fn everybody_must_be_cut_and_notice_it() {
        let cut = |cut| Evidence::Cut { asked: 7, cut };
        at_the_edge(cut(7), cut(6), "6 connections were cut");
        let noticed = |noticed| Evidence::Noticed {
            outage: 2,
            asked: 7,
            noticed,
        };
        at_the_edge(
            noticed(7),
            noticed(6),
            "6 of 7 subscribers noticed outage 2",
        );
    }

    #[test]
    fn turns_and_streams_must_end_properly() {
        let failed = |count| Evidence::FailedTurns {
            count,
            first: "reset".into(),
        };
        at_the_edge(failed(0), failed(2), "2 turns failed, the first: reset");
        assert!(Evidence::CutOff("reset".into()).reason().is_some());
        use Evidence::Unresumed;
        at_the_edge(
            Unresumed(0),
            Unresumed(1),
            "1 starts resumed no TLS session",
        );
    }

    #[test]
    fn every_message_owed_must_be_accounted_for() {
        let books = |received| Evidence::Books {
            epoch: 3,
            books: Books {
                owed: 10,
                received,
                lost: 2,
                duplicated: 5,
                reordered: 4,
                dropped: 1,
            },
        };
        at_the_edge(books(7), books(6), "epoch 3");
        at_the_edge(books(7), books(8), "received 8");
        assert!(Evidence::BooksOfNone { epoch: 2 }.reason().is_some());
    }

    #[test]
    fn no_message_arrives_before_it_is_sent() {
        use Evidence::Backwards;
        at_the_edge(
            Backwards(0),
            Backwards(1),
            "1 messages were received before",
        );
    }

    #[test]
    fn foreign_load_on_either_process_or_the_machine_counts() {
        for whose in [Process::Server, Process::Generator] {
            let wait = |share| Evidence::RunQueueWait { whose, share };
            at_the_edge(wait(0.05), wait(0.07), whose.name());
            at_the_edge(wait(0.05), wait(0.07), "7 % of the window");
        }
        let others = |share| Evidence::Others {
            whose: Process::Server,
            share,
        };
        at_the_edge(others(0.1), others(0.13), "others used 13 % of the core");
        at_the_edge(Evidence::Steal(0.05), Evidence::Steal(0.07), "withheld 7 %");
    }

    #[test]
    fn what_was_carried_is_what_the_messages_add_up_to() {
        let wire = |counted| Evidence::Wire {
            counted,
            arithmetic: 1_000,
        };
        at_the_edge(wire(1_000), wire(1_001), "carried 1001 bytes");
        at_the_edge(wire(1_000), wire(999), "add up to 1000");
    }

    #[test]
    fn a_load_that_is_still_changing_measures_the_change() {
        assert!(
            Evidence::Unsettled(5_000.0)
                .reason()
                .unwrap()
                .contains("5000 ms")
        );
    }
}

//! Everything the server counts, in memory that a parent process can keep: the counters of a killed
//! server are evidence, so they must survive it.

use std::{collections::BTreeMap, io, path::Path, sync::atomic::Ordering};

use crate::sys::SharedCounters;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What is counted. Monotonic within an epoch unless the text says otherwise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// Every counter.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in records.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    Accepted = "accepted",
    /// Connections closed, whatever the cause.
    Closed = "closed",
    /// Connections refused: as many as allowed were live.
    RefusedConnections = "refused_connections",
    /// Accepting failed: out of open files, or reset before it was accepted.
    FailedAccepts = "failed_accepts",
    /// Connections ended by hyper before a response: incomplete, too large or malformed heads.
    RefusedHeaders = "refused_headers",
    /// TLS handshakes that failed: something else was spoken, the certificate was not trusted, no protocol was
    /// in common, or they did not end in time.
    RefusedHandshakes = "refused_handshakes",
    /// Bodies or WebSocket messages that were too large or unreadable.
    RefusedBodies = "refused_bodies",
    /// Well-formed asks that a bound or a rule refused.
    RefusedAsks = "refused_asks",
    /// Requests from a foreign `Host`.
    RefusedHosts = "refused_hosts",
    /// WebSocket upgrades from a foreign `Origin`.
    RefusedOrigins = "refused_origins",
    /// WebSocket upgrades malformed by RFC 6455 §4.2.1.
    RefusedUpgrades = "refused_upgrades",
    /// Subscriptions whose poller did not ask again in time.
    ForgottenPolls = "forgotten_polls",
    /// Connections reset because the socket refused bytes for too long.
    ClosedStalled = "closed_stalled",
    /// Connections reset on request, to measure reconnection.
    Cut = "cut",
    /// Connections dropped because they had not ended by the shutdown's deadline.
    ClosedLate = "closed_late",
    /// Subscriptions begun: each is one live stream.
    Subscribed = "subscribed",
    /// Subscriptions ended.
    Unsubscribed = "unsubscribed",
    /// Messages published, on all streams.
    Published = "published",
    /// The last message of the feed (a position, not a count of its own).
    FeedSeq = "feed_seq",
    /// Messages published, times the subscribers known to the stream at that moment.
    Owed = "owed",
    /// Messages discarded by a stream's bound, over all subscriptions.
    Dropped = "dropped",
    /// Messages handed to a connection.
    HandedOver = "handed_over",
    /// Writes to sockets that carried messages.
    Writes = "writes",
    /// TCP segments with data that connections sent before they closed (`TCP_INFO`).
    SegmentsOfClosed = "segments_of_closed",
    /// TCP segments that connections received before they closed, acknowledgements included.
    SegmentsInOfClosed = "segments_in_of_closed",
    /// Bytes of TCP payload that connections sent before they closed.
    BytesOfClosed = "bytes_of_closed",
    /// Bytes of TCP payload that connections received before they closed.
    BytesInOfClosed = "bytes_in_of_closed",
    /// Turns started.
    Turns = "turns",
    /// Turns stopped before their end: cancelled, or nobody listening and no resume asked.
    StoppedTurns = "stopped_turns",
    /// Finished or abandoned turns that made room for newer ones.
    ForgottenTurns = "forgotten_turns",
}

/// The counters of one server process.
#[derive(Debug)]
pub struct Counters(SharedCounters);

impl Counters {
    /// Counters that die with the process.
    ///
    /// # Errors
    /// When the kernel gives no memory.
    pub fn private() -> io::Result<Self> {
        SharedCounters::private().map(Self)
    }

    /// Counters in a file that a parent created and will read after a kill.
    ///
    /// # Errors
    /// When the file is missing or not a counter file.
    pub fn open(path: &Path) -> io::Result<Self> {
        SharedCounters::open(path).map(Self)
    }

    /// Creates the file, all zero.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        SharedCounters::create(path).map(Self)
    }

    /// Adds one.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `n`.
    pub fn add(&self, counter: Counter, n: u64) {
        // Each counter stands alone: no other memory is published through it.
        self.0
            .cell(counter as usize)
            .fetch_add(n, Ordering::Relaxed);
    }

    /// Sets a position.
    pub fn set(&self, counter: Counter, n: u64) {
        self.0.cell(counter as usize).store(n, Ordering::Relaxed);
    }

    /// Reads one.
    pub fn read(&self, counter: Counter) -> u64 {
        self.0.cell(counter as usize).load(Ordering::Relaxed)
    }

    /// Subscriptions live now.
    pub fn live_streams(&self) -> u64 {
        // Another thread may count a whole life between the two.
        self.read(Counter::Subscribed)
            .saturating_sub(self.read(Counter::Unsubscribed))
    }

    /// Reads all, by name.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        Counter::ALL
            .iter()
            .map(|&counter| (counter.name().to_owned(), self.read(counter)))
            .collect()
    }
}

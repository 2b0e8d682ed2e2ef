//! What the server measures of itself: counters, and the histograms of pacer lag, hand-off and
//! messages a write.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hdrhistogram::{
    Histogram,
    serialization::{Serializer, V2Serializer},
};

use crate::counters::Counters;

/// Largest value a histogram holds, one minute in nanoseconds; larger ones count as this.
const HIGHEST_NS: u64 = 60_000_000_000;

/// Significant decimal digits of the histograms: an error of at most 0.1 %.
const DIGITS: u8 = 3;

/// The server's own measurements.
#[derive(Debug)]
pub struct Meters {
    /// Counters, shared with a parent process if there is one.
    pub counters: Counters,
    /// Bytes of the texts that schedules published.
    pub text_bytes: Extent,
    histograms: Mutex<Histograms>,
}

/// The server's distributions since the last [`Meters::reset`].
#[derive(Debug, Clone)]
pub struct Histograms {
    /// Woken − scheduled, nanoseconds, one value a message published.
    pub pacer_lag: Histogram<u64>,
    /// Encoded to written on one socket, nanoseconds, one value a delivery.
    pub hand_off: Histogram<u64>,
    /// Messages carried by one write to a socket.
    pub messages_a_write: Histogram<u64>,
}

impl Meters {
    /// All zero.
    pub fn new(counters: Counters) -> Self {
        Self {
            counters,
            text_bytes: Extent::default(),
            histograms: Mutex::new(Histograms::empty()),
        }
    }

    /// Records into the histograms.
    pub fn record(&self, record: impl FnOnce(&mut Histograms)) {
        record(&mut self.lock());
    }

    /// Empties the histograms: the warm-up is over.
    pub fn reset(&self) {
        *self.lock() = Histograms::empty();
    }

    /// A copy of the histograms.
    pub fn histograms(&self) -> Histograms {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Histograms> {
        // Nothing panics while it is held, and a histogram is valid after any call.
        self.histograms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the least to the most of what was noted.
#[derive(Debug)]
pub struct Extent {
    least: AtomicU64,
    most: AtomicU64,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            least: AtomicU64::new(u64::MAX),
            most: AtomicU64::new(0),
        }
    }
}

impl Extent {
    /// Takes in another value.
    pub fn note(&self, value: usize) {
        self.least.fetch_min(value as u64, Ordering::Relaxed);
        self.most.fetch_max(value as u64, Ordering::Relaxed);
    }

    /// The two ends; none before the first value.
    pub fn ends(&self) -> Option<(u64, u64)> {
        let ends = [&self.least, &self.most].map(|end| end.load(Ordering::Relaxed));
        (ends[0] <= ends[1]).then_some((ends[0], ends[1]))
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ends() {
            None => f.write_str("none"),
            Some((least, most)) if least == most => write!(f, "{least}"),
            Some((least, most)) => write!(f, "{least} to {most}"),
        }
    }
}

impl Histograms {
    fn empty() -> Self {
        Self {
            pacer_lag: histogram(),
            hand_off: histogram(),
            messages_a_write: histogram(),
        }
    }

    /// Name and HdrHistogram V2 encoding of each.
    pub fn encoded(&self) -> Vec<(&'static str, Vec<u8>)> {
        let encode = |histogram| {
            let mut bytes = Vec::new();
            // Writing to a Vec cannot fail, and the counts of a trial are far below the format's.
            let _ = V2Serializer::new().serialize(histogram, &mut bytes);
            bytes
        };
        vec![
            ("pacer_lag", encode(&self.pacer_lag)),
            ("hand_off", encode(&self.hand_off)),
            ("messages_a_write", encode(&self.messages_a_write)),
        ]
    }
}

/// A histogram of nanoseconds as every part of the testbed uses it: 1 ns to 60 s, 3 digits.
pub fn histogram() -> Histogram<u64> {
    #[expect(
        clippy::expect_used,
        reason = "constants within the crate's documented bounds"
    )]
    let mut histogram =
        Histogram::new_with_max(HIGHEST_NS, DIGITS).expect("constant bounds are valid");
    histogram.auto(false);
    histogram
}

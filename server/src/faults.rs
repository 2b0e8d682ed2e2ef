//! Faults on purpose: what a calibration holds the meters against. What exactly is done is drawn here,
//! in the server's process, from the system's randomness, and told only when asked.

mod losses;
mod stage;

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

pub use losses::{Delivery, Lose, TooDense};
pub(crate) use stage::Stage;

use crate::{contract::clock::now_ns, meters::histogram, pacer::Pacer};
use losses::Losses;

/// What is to be done wrong, nominally; nothing by default. All kinds go together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Each message is held for this long before the transport gets it, microseconds; drawn once, ±10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// The same, falling to its level: a server that warms up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// Once, between half a second and two after the feed's start, its thread blocks for this long,
    /// milliseconds; drawn, ±10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_ms: Option<u64>,
    /// Messages are lost, repeated and swapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lose: Option<Lose>,
    /// Bytes allocated and touched for each connection, and freed with it; drawn once, ±10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hoard_bytes: Option<u64>,
    /// Both stamps of each message are off by this much, microseconds; sign and size drawn once, ±10 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew_us: Option<u64>,
    /// CPU burnt for each message handed to a connection, nanoseconds: exactly so much over many, since less
    /// than [`PAYMENT_NS`] is owed until there is so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_ns: Option<u64>,
    /// The server's thread never sleeps. A message that is held to the microsecond keeps its server awake, and
    /// one that is not must find it so too, or their difference is that of a core that slept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub awake: bool,
}

/// A delay that falls linearly to a level, from the feed's start or, where there is no feed, from the
/// first message of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Until only the level is left; drawn, ±10 %.
    pub seconds: f64,
    /// The delay above the level at first, microseconds; drawn, ±10 %.
    pub from_us: u64,
    /// What is left for good, microseconds; scattered from message to message, alike for all subscribers, by
    /// up to [`SCATTER`] of it. Nothing by default.
    #[serde(default)]
    pub level_us: u64,
}

/// How far a message's delay is from a ramp's level at most, as a share: the share that the detector of
/// warm-ups states its tolerance for as a standard deviation.
pub const SCATTER: f64 = 0.1;

impl Faults {
    /// Whether there are none.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// What was in fact done: the answer to a calibration's question, once it has measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Truth {
    /// How long each message was held.
    pub delay: Option<Delay>,
    /// How the delay fell.
    pub ramp: Option<Fall>,
    /// When the feed's thread was blocked; none before it was.
    pub stall: Option<Span>,
    /// Messages that were not sent.
    pub dropped: Vec<Delivery>,
    /// Messages that were sent twice.
    pub duplicated: Vec<Delivery>,
    /// Messages that were sent after the one behind them.
    pub reordered: Vec<Delivery>,
    /// Bytes held for each connection.
    pub hoarded_bytes: Option<u64>,
    /// By how much stamps were later than the clock, nanoseconds.
    pub skew_ns: Option<i64>,
    /// CPU burnt for each message, nanoseconds.
    pub work_ns: Option<u64>,
    /// How many connections each `cut_some` cut.
    pub cuts: Vec<u64>,
}

/// A constant delay, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// As drawn.
    pub drawn_ns: u64,
    /// Median of the time that messages were held, as the server's clock had it.
    pub held_p50_ns: u64,
    /// Its 99th percentile: above the drawn delay by what the server itself was late.
    pub held_p99_ns: u64,
}

/// A delay that falls to a level, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fall {
    /// The delay above the level at first.
    pub from_ns: u64,
    /// Until only the level is left.
    pub over_ns: u64,
    /// The middle of what is left for good.
    #[serde(default)]
    pub level_ns: u64,
    /// When it began, [`now_ns`]; none when nothing was published.
    pub began_at: Option<u64>,
}

/// From one moment to another, [`now_ns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The first.
    pub begin_ns: u64,
    /// The last.
    pub end_ns: u64,
}

/// When after the feed's start it stalls: late enough for a window to have opened, early enough for one
/// of a few seconds to hold the stall and its end.
const STALL_AFTER_NS: std::ops::Range<u64> = 500_000_000..2_000_000_000;

/// The faults of one server process, as drawn.
#[derive(Debug)]
pub struct Injector {
    pacer: Pacer,
    delay_ns: Option<u64>,
    held: Mutex<Histogram<u64>>,
    ramp: Option<Fall>,
    /// Of the scatter around a ramp's level.
    scatter_seed: u64,
    began_at: OnceLock<u64>,
    stall: Option<Stall>,
    stalled: OnceLock<Span>,
    losses: Option<Mutex<Losses>>,
    hoard_bytes: Option<u64>,
    skew_ns: Option<i64>,
    work_ns: Option<u64>,
    /// Work that messages were handed over without.
    owed_ns: AtomicU64,
    cuts: Mutex<Vec<u64>>,
}

/// Least work that is done at once. The thread's CPU clock is read by a system call of up to 3 µs, of which
/// one is not in what is counted: 3 % of this, and several times the work of a message that is to cost a
/// tenth more.
pub const PAYMENT_NS: u64 = 100_000;

#[derive(Debug)]
struct Stall {
    after_ns: u64,
    length: Duration,
}

impl Injector {
    /// Draws what exactly is done.
    ///
    /// # Errors
    /// When more losses are asked for than can each stand for itself.
    pub fn draw(faults: &Faults, pacer: Pacer, random: &mut impl Rng) -> Result<Self, TooDense> {
        let losses = faults.lose.map(|lose| Losses::draw(lose, random));
        let skew_ns = faults.skew_us.map(|us| {
            let size = around(us * 1_000, random) as i64;
            if random.random() { size } else { -size }
        });
        Ok(Self {
            pacer,
            delay_ns: faults.delay_us.map(|us| around(us * 1_000, random)),
            held: Mutex::new(histogram()),
            ramp: faults.ramp.map(|ramp| Fall {
                from_ns: around(ramp.from_us * 1_000, random),
                over_ns: around((ramp.seconds * 1e9) as u64, random),
                level_ns: ramp.level_us * 1_000,
                began_at: None,
            }),
            scatter_seed: random.random(),
            began_at: OnceLock::new(),
            stall: faults.stall_ms.map(|ms| Stall {
                after_ns: random.random_range(STALL_AFTER_NS),
                length: Duration::from_nanos(around(ms * 1_000_000, random)),
            }),
            stalled: OnceLock::new(),
            losses: losses.transpose()?.map(Mutex::new),
            hoard_bytes: faults.hoard_bytes.map(|bytes| around(bytes, random)),
            skew_ns,
            work_ns: faults.work_ns,
            owed_ns: AtomicU64::new(0),
            cuts: Mutex::default(),
        })
    }

    /// What was done so far.
    pub fn truth(&self) -> Truth {
        let losses = self.losses.as_ref().map(lock);
        let lists = losses
            .as_deref()
            .map(Losses::done)
            .cloned()
            .unwrap_or_default();
        Truth {
            delay: self.delay_ns.map(|drawn_ns| {
                let held = lock(&self.held);
                Delay {
                    drawn_ns,
                    held_p50_ns: held.value_at_quantile(0.5),
                    held_p99_ns: held.value_at_quantile(0.99),
                }
            }),
            ramp: self.ramp.map(|ramp| Fall {
                began_at: self.began_at.get().copied(),
                ..ramp
            }),
            stall: self.stalled.get().copied(),
            dropped: lists.dropped,
            duplicated: lists.duplicated,
            reordered: lists.reordered,
            hoarded_bytes: self.hoard_bytes,
            skew_ns: self.skew_ns,
            work_ns: self.work_ns,
            cuts: lock(&self.cuts).clone(),
        }
    }

    /// The feed, or a turn's first message, starts now: the first call counts.
    pub(crate) fn begin(&self, now: u64) {
        self.began_at.get_or_init(|| now);
    }

    /// A time as it is to be stamped.
    pub(crate) fn stamp(&self, time_ns: u64) -> u64 {
        time_ns.saturating_add_signed(self.skew_ns.unwrap_or(0))
    }

    /// Blocks the thread, if the moment for it has come.
    pub(crate) fn stall(&self, feed_start_ns: u64) {
        let Some(stall) = &self.stall else { return };
        let begin_ns = now_ns();
        if self.stalled.get().is_some() || begin_ns < feed_start_ns + stall.after_ns {
            return;
        }
        std::thread::sleep(stall.length);
        let end_ns = now_ns();
        self.stalled.get_or_init(|| Span { begin_ns, end_ns });
    }

    /// What a connection is to hold: every byte written, since memory that is not touched takes none.
    pub(crate) fn hoard(&self) -> Option<Box<[u8]>> {
        self.hoard_bytes
            .map(|bytes| std::hint::black_box(vec![1; bytes as usize]).into_boxed_slice())
    }

    /// How many of `live` connections to cut: at least one, and never all of several, so that neither
    /// extreme can be guessed.
    pub fn draw_cut(&self, live: usize, random: &mut impl Rng) -> usize {
        match live {
            0 | 1 => live,
            _ => random.random_range(1..live),
        }
    }

    /// So many were cut.
    pub fn note_cut(&self, count: u64) {
        lock(&self.cuts).push(count);
    }

    /// Whether a message is held to the microsecond. In a ramp it need not be: what is looked at are medians,
    /// and looking at the clock again and again would disturb whoever shares the core.
    fn exact(&self) -> bool {
        self.delay_ns.is_some()
    }

    /// How long a message of this moment is held.
    fn hold_ns(&self, sent_at: u64) -> u64 {
        let falling = self
            .ramp
            .zip(self.began_at.get())
            .map_or(0, |(ramp, &began_at)| {
                let left = ramp
                    .over_ns
                    .saturating_sub(sent_at.saturating_sub(began_at));
                let above = ramp.from_ns as f64 * left as f64 / ramp.over_ns.max(1) as f64;
                let level = ramp.level_ns as f64 * (1.0 + self.scatter(sent_at));
                (above + level) as u64
            });
        self.delay_ns.unwrap_or(0) + falling
    }

    /// The share by which a message of this moment is off the level: the same for everybody who is sent it.
    fn scatter(&self, sent_at: u64) -> f64 {
        let mut drawn = ChaCha8Rng::seed_from_u64(self.scatter_seed ^ sent_at);
        drawn.random_range(-SCATTER..SCATTER)
    }

    /// Whether messages are held at all.
    fn holds(&self) -> bool {
        self.delay_ns.is_some() || self.ramp.is_some()
    }

    /// A message that was taken from the log then goes on now.
    fn note_held(&self, taken_at: u64) {
        if self.delay_ns.is_some() {
            let held_ns = now_ns().saturating_sub(taken_at);
            lock(&self.held).saturating_record(held_ns);
        }
    }

    /// Works for a message.
    fn work(&self) {
        let Some(work_ns) = self.work_ns else { return };
        let owed_ns = self.owed_ns.fetch_add(work_ns, Ordering::Relaxed) + work_ns;
        if owed_ns >= PAYMENT_NS {
            burn(self.owed_ns.swap(0, Ordering::Relaxed));
        }
    }
}

/// Anything within a tenth of the nominal value.
fn around(nominal: u64, random: &mut impl Rng) -> u64 {
    (nominal as f64 * random.random_range(0.9..1.1)) as u64
}

/// Uses this much of the thread's own CPU time, so that being interrupted does not count as work.
fn burn(work_ns: u64) {
    let used_ns = || {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
    };
    let until_ns = used_ns() + work_ns;
    while used_ns() < until_ns {
        std::hint::spin_loop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

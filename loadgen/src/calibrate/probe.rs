//! What several checks measure with: one feed, one crowd, one window, put together from the parts that
//! experiments are made of.

use std::time::Duration;

use hdrhistogram::Histogram;
use pushbench_reports::calibration::{Look, Row, Series};
use pushbench_server::{
    contract::{clock::now_ns, transport::Transport},
    control::Command,
    counters::Counter,
    faults::{Faults, Truth},
};

use super::{Lab, blank_record};
use crate::{
    arm::{Arm, Build, Factors},
    audience::Audience,
    bench::{Bench, Broken},
    recorder::{Recorder, quantile},
    subscriber::Outcome,
    trial::ATTEMPTS,
    window::Hindrance,
};

/// How long after a window's end what was held may still arrive: twice the longest delay.
const LATE_NS: u64 = 110_000_000;

/// Between a connection's end and the next attempt, where a check does not say otherwise.
pub(super) const RETRY: Duration = Duration::from_secs(3);

/// A feed and the windows in which it is watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feed {
    /// Subscribers: few, because a fan-out adds a time of its own.
    pub(super) subscribers: u32,
    /// Messages a second.
    pub(super) rate: f64,
    /// From the feed's start to the first window's.
    pub(super) lead_ns: u64,
    /// Length of a window.
    pub(super) window_ns: u64,
    /// How many there are, one after another, with a gap in which what was held arrives.
    pub(super) windows: u32,
}

/// What was measured, and then what was true.
#[derive(Debug)]
pub(super) struct Seen {
    /// Each window's, in order.
    pub(super) windows: Vec<Recorded>,
    /// As disclosed afterwards.
    pub(super) truth: Truth,
    /// Why the measurement is not what it claims to be.
    pub(super) invalid: Vec<String>,
}

/// What was recorded in one window.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Received − scheduled, nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// Received − sent, nanoseconds.
    pub(super) service: Histogram<u64>,
    /// When, [`now_ns`].
    pub(super) window: std::ops::Range<u64>,
}

/// A bench for one measurement of a check; nobody keeps its record.
pub(super) fn bench(lab: &Lab, transport: Transport, faults: Faults) -> Result<Bench, Broken> {
    let arm = Arm {
        label: transport.name().to_owned(),
        transport,
        control_of: None,
        factors: Factors::default(),
        build: Build::Own,
    };
    let record = blank_record("calibration", &arm.label, 1);
    let mut bench = Bench::new(arm, 0, None, record, lab.site.clone())?;
    bench.faults = faults;
    Ok(bench)
}

/// Watches a feed on a server of its own; a machine that was busy meanwhile makes it invalid.
pub(super) async fn watch(
    lab: &Lab,
    transport: Transport,
    faults: Faults,
    feed: Feed,
) -> Result<Seen, Broken> {
    let mut bench = bench(lab, transport, faults)?;
    let mut server = bench.start_server(feed.subscribers, RETRY).await?;
    let mut audience = Audience::new(&bench, &server, false);
    audience
        .grow(&mut bench, &server, feed.subscribers, |_| false)
        .await;
    let mut start_ns = now_ns() + feed.lead_ns;
    *audience.recorder() = Recorder::new(start_ns..start_ns + feed.window_ns);
    server.command(Command::Feed { rate: feed.rate }).await?;
    let mut hindrance = Hindrance::default();
    hindrance.begin(&server)?;
    let mut windows = Vec::new();
    for _ in 0..feed.windows {
        let window = start_ns..start_ns + feed.window_ns;
        bench.pacer.sleep_until(window.end + LATE_NS).await;
        start_ns = now_ns();
        let next = Recorder::new(start_ns..start_ns + feed.window_ns);
        let recorder = std::mem::replace(&mut *audience.recorder(), next);
        bench.check_clock(&recorder);
        windows.push(Recorded {
            latency: recorder.latency,
            service: recorder.service,
            window,
        });
    }
    hindrance.end(&server)?;
    hindrance.report(&mut bench);
    server.command(Command::End).await?;
    let outcomes = audience.leave().await?;
    balance(&mut bench, server.counters().read(Counter::Owed), &outcomes);
    // What was measured is closed: now the truth may be asked for.
    let truth = server.disclose().await?;
    server.stop().await?;
    Ok(Seen {
        windows,
        truth,
        invalid: bench.record.invalid,
    })
}

/// Holds the server's books against the subscribers'.
pub(super) fn balance(bench: &mut Bench, owed: u64, outcomes: &[Outcome]) {
    bench.balance(&[owed], outcomes.iter().map(|outcome| &outcome.ledger));
}

/// A quantile in nanoseconds; a window too short for it is a broken check, not a failed one.
pub(super) fn percentile(histogram: &Histogram<u64>, q: f64) -> Result<f64, Broken> {
    let waited = || {
        Broken::Waited(format!(
            "{} messages sufficed for the quantile {q}",
            histogram.len()
        ))
    };
    quantile(histogram, q).ok_or_else(waited)
}

/// A row.
pub(super) fn row(
    subject: impl Into<String>,
    truth: impl Into<String>,
    measured: impl Into<String>,
    tolerance: impl Into<String>,
    pass: bool,
) -> Row {
    Row {
        subject: subject.into(),
        truth: truth.into(),
        measured: measured.into(),
        tolerance: tolerance.into(),
        pass,
    }
}

/// A series.
pub(super) fn series(name: impl Into<String>, look: Look, points: Vec<[f64; 2]>) -> Series {
    Series {
        name: name.into(),
        look,
        points,
    }
}

/// Nanoseconds as milliseconds, to the microsecond.
pub(super) fn ms(ns: f64) -> String {
    format!("{:.3} ms", ns / 1e6)
}

/// Nanoseconds as microseconds, with a sign.
pub(super) fn signed_us(ns: f64) -> String {
    format!("{:+.1} µs", ns / 1e3)
}

/// How a check's measurements went: which were made again, and which are not what they claim to be.
#[derive(Debug, Default)]
pub(super) struct Sound {
    again: u32,
    /// Why what was judged is invalid.
    left: Vec<String>,
}

/// Measurements of a check that are made again at most: beyond, the machine is busy all the time, and the
/// check would take as many times as long.
const MOST_AGAIN: u32 = 6;

/// How the reasons begin that are the machine's, and not of what is measured.
const BUSY: &str = "the machine was busy";

impl Sound {
    /// Measures, and again where the machine spoilt it; `invalid` says why of what was measured.
    pub(super) async fn measure<T>(
        &mut self,
        mut measure: impl AsyncFnMut() -> Result<T, Broken>,
        invalid: impl Fn(&T) -> &[String],
    ) -> Result<T, Broken> {
        let mut measured = measure().await?;
        for _ in 1..ATTEMPTS {
            let reasons = invalid(&measured);
            let spoilt = !reasons.is_empty() && reasons.iter().all(|why| why.starts_with(BUSY));
            if !spoilt || self.again == MOST_AGAIN {
                break;
            }
            self.again += 1;
            measured = measure().await?;
        }
        self.left.extend_from_slice(invalid(&measured));
        Ok(measured)
    }

    /// The row that fails when something was measured that is not valid.
    pub(super) fn row(&self) -> Row {
        let left = reasons(self.left.clone());
        row(
            "every measurement, valid",
            "nothing spoilt",
            if left.is_empty() {
                "nothing spoilt"
            } else {
                &left
            },
            "none",
            self.left.is_empty(),
        )
    }

    /// For a check's counts.
    pub(super) fn told(&self) -> String {
        match self.again {
            0 => String::new(),
            again => format!("; {again} made again, because {BUSY}"),
        }
    }
}

/// Reasons, each once: three of them, and how many more there are.
pub(super) fn reasons(of: impl IntoIterator<Item = String>) -> String {
    const TOLD: usize = 3;
    let mut reasons: Vec<String> = of.into_iter().collect();
    reasons.sort();
    reasons.dedup();
    let more = reasons.len().saturating_sub(TOLD);
    reasons.truncate(TOLD);
    if more > 0 {
        reasons.push(format!("and {more} more like these"));
    }
    reasons.join("; ")
}

/// The median; NaN of nothing, which no tolerance holds.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (
        sorted.get(sorted.len().saturating_sub(1) / 2),
        sorted.get(sorted.len() / 2),
    ) else {
        return f64::NAN;
    };
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts that go like this, through [`Sound`].
    async fn sound(attempts: &[&str]) -> Sound {
        let mut sound = Sound::default();
        let mut attempts = attempts.iter();
        let measure = async || {
            let reason = attempts.next().copied().unwrap_or_default();
            let reason = (!reason.is_empty()).then(|| reason.to_owned());
            Ok(reason.into_iter().collect::<Vec<_>>())
        };
        sound.measure(measure, |invalid| invalid).await.unwrap();
        sound
    }

    #[tokio::test]
    async fn an_invalid_measurement_fails_and_only_a_busy_machine_has_another_try() {
        assert!(sound(&[""]).await.row().pass);
        let busy = "the machine was busy: the server waited 7 % of the window for a core";
        let again = sound(&[busy, busy, ""]).await;
        assert!(again.row().pass && again.told().contains("2 made again, because the machine"));
        assert!(!sound(&[busy, busy, busy, ""]).await.row().pass);
        let books = "the books of epoch 1 do not balance";
        let spoilt = sound(&[books, ""]).await;
        assert!(!spoilt.row().pass && spoilt.row().measured == books);
        let mut busy_all_day = Sound::default();
        let once = async || Ok(vec![busy.to_owned()]);
        for _ in 0..20 {
            busy_all_day.measure(once, |invalid| invalid).await.unwrap();
        }
        assert_eq!(busy_all_day.again, MOST_AGAIN);
    }

    #[test]
    fn reasons_are_told_once_and_not_without_end() {
        let of = |numbers: &[u8]| reasons(numbers.iter().map(u8::to_string));
        assert_eq!(of(&[2, 1, 2]), "1; 2");
        assert_eq!(of(&[5, 4, 3, 2, 1]), "1; 2; 3; and 2 more like these");
    }

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median(std::iter::empty()).is_nan());
    }
}

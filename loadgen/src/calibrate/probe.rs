//! What several checks measure with: one feed, one crowd, one window, put together from the parts that
//! experiments are made of.

use std::time::Duration;

use hdrhistogram::Histogram;
use pushbench_reports::{
    calibration::{Look, Row, Series},
    record::{FORMAT, Record},
};
use pushbench_server::{
    contract::{clock::now_ns, transport::Transport},
    control::Command,
    counters::Counter,
    faults::{Faults, Truth},
};

use super::Lab;
use crate::{
    arm::{Arm, Build, Factors},
    audience::Audience,
    bench::{Bench, Broken},
    recorder::{Recorder, quantile},
    subscriber::Outcome,
};

/// How long after the window's end what was held may still arrive: several times the longest delay.
const LATE_NS: u64 = 200_000_000;

/// Between a connection's end and the next attempt, where a check does not say otherwise.
pub(super) const RETRY: Duration = Duration::from_secs(3);

/// A feed and the window in which it is watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feed {
    /// Subscribers: few, because a fan-out adds a time of its own.
    pub(super) subscribers: u32,
    /// Messages a second.
    pub(super) rate: f64,
    /// From the feed's start to the window's.
    pub(super) lead_ns: u64,
    /// Length of the window.
    pub(super) window_ns: u64,
}

/// What was measured, and then what was true.
#[derive(Debug)]
pub(super) struct Seen {
    /// Received − scheduled, nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// Received − sent, nanoseconds.
    pub(super) service: Histogram<u64>,
    /// The window, [`now_ns`].
    pub(super) window: std::ops::Range<u64>,
    /// As disclosed afterwards.
    pub(super) truth: Truth,
    /// Why the measurement is not what it claims to be.
    pub(super) invalid: Vec<String>,
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
    let record = Record {
        format: FORMAT,
        trial: 0,
        experiment: "calibration".to_owned(),
        arm: arm.label.clone(),
        round: 1,
        attempt: 1,
        started_at: String::new(),
        duration_ms: 0,
        settings: Default::default(),
        metrics: Default::default(),
        points: Default::default(),
        counters: Default::default(),
        books: Vec::new(),
        histograms: Default::default(),
        invalid: Vec::new(),
        notes: Vec::new(),
    };
    let mut bench = Bench::new(arm, 0, None, record, lab.site.clone())?;
    bench.faults = faults;
    Ok(bench)
}

/// Watches a feed on a server of its own.
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
    let start_ns = now_ns() + feed.lead_ns;
    let window = start_ns..start_ns + feed.window_ns;
    *audience.recorder() = Recorder::new(window.clone());
    server.command(Command::Feed { rate: feed.rate }).await?;
    let pacer = bench.pacer.clone();
    pacer.sleep_until(window.end + LATE_NS).await;
    server.command(Command::End).await?;
    let outcomes = audience.leave().await?;
    balance(&mut bench, server.counters().read(Counter::Owed), &outcomes);
    // What was measured is closed: now the truth may be asked for.
    let truth = server.disclose().await?;
    server.stop().await?;
    let recorder = audience.recorder();
    bench.check_clock(&recorder);
    Ok(Seen {
        latency: recorder.latency.clone(),
        service: recorder.service.clone(),
        window,
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

/// What made measurements invalid, each reason once, for a check's note.
pub(super) fn reasons(invalid: impl IntoIterator<Item = String>) -> String {
    let reasons: std::collections::BTreeSet<_> = invalid.into_iter().collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}

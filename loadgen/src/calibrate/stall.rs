//! Check 2: a server that stands still for a second at a fixed rate.

use hdrhistogram::Histogram;
use pushbench_reports::calibration::{Check, Look, Picture, Row, Series};
use pushbench_server::faults::{Faults, Span};

use super::{
    Lab, TRANSPORTS,
    probe::{Feed, Recorded, Sound, ms, percentile, row, series, watch},
};
use crate::bench::Broken;

/// Nominal length; the server draws within a tenth of it.
const STALL_MS: u64 = 1_000;

/// A message later than this was stalled: far above any latency without a stall, and a tenth of one, so
/// that nine tenths of what it held up are found by it.
const STALLED_NS: u64 = 100_000_000;

/// Share by which a figure may be off.
const TOLERANCE: f64 = 0.05;

/// Service time misses the stall when its p99.9 is below this share of the latency's.
const MISSED: f64 = 0.5;

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let feed = Feed {
        // Enough for a p99.9 and not more: what a stall holds up has to be sent after it, some 10 µs each,
        // and that is late too.
        subscribers: 5,
        rate: lab.effort.pick(350.0, 250.0),
        lead_ns: 300_000_000,
        // The stall begins within two seconds of the feed's start, so that it ends within either.
        window_ns: lab.effort.pick(6_000_000_000, 20_000_000_000),
        windows: 1,
    };
    let faults = Faults {
        stall_ms: Some(STALL_MS),
        ..Faults::default()
    };
    let (mut rows, mut lines, mut sound) = (Vec::new(), Vec::new(), Sound::default());
    for transport in TRANSPORTS {
        let once = async || watch(lab, transport, faults.clone(), feed).await;
        let seen = sound.measure(once, |seen| &seen.invalid).await?;
        for recorded in &seen.windows {
            let figures = Figures::of(recorded)?;
            let truth = arithmetic(seen.truth.stall, &recorded.window);
            rows.extend(judge(transport.name(), &figures, truth));
            lines.extend(drawn(transport.name(), recorded, truth));
        }
    }
    rows.push(sound.row());
    let deliveries = feed.rate * feed.window_ns as f64 / 1e9 * f64::from(feed.subscribers);
    Ok(Check {
        number: 2,
        name: "stall".into(),
        title: "A stall of known length".into(),
        method: "Once, at a moment that it draws, the server's thread sleeps for about a second while messages are \
                 due at a fixed rate, and says afterwards from when to when. How many messages that holds up, and by \
                 how much, is arithmetic. Latency must show it; service time, which starts when the message is \
                 stamped, must miss it: what a load generator without a schedule would report. A failure would mean \
                 that a server which stands still looks faster than it is (coordinated omission)."
            .into(),
        counts: format!(
            "{deliveries:.0} deliveries in a window of {} s for each transport{}{}",
            feed.window_ns / 1_000_000_000,
            sound.told(),
            lab.effort.pick(", a reduced count", "")
        ),
        rows,
        picture: Some(picture(lines)),
        note: String::new(),
    })
}

/// What the meter says.
#[derive(Debug, Clone, Copy)]
struct Figures {
    stalled_share: f64,
    latency_p999_ns: f64,
    service_p999_ns: f64,
}

impl Figures {
    fn of(seen: &Recorded) -> Result<Self, Broken> {
        Ok(Self {
            stalled_share: share_above(&seen.latency, STALLED_NS),
            latency_p999_ns: percentile(&seen.latency, 0.999)?,
            service_p999_ns: percentile(&seen.service, 0.999)?,
        })
    }
}

fn share_above(histogram: &Histogram<u64>, limit_ns: u64) -> f64 {
    let above: u64 = histogram
        .iter_recorded()
        .filter(|value| value.value_iterated_to() > limit_ns)
        .map(|value| value.count_at_value())
        .sum();
    above as f64 / histogram.len().max(1) as f64
}

/// What a stall does to a schedule without gaps: a message due at a moment of it waits for its end.
#[derive(Debug, Clone, Copy)]
struct Arithmetic {
    stall_ns: f64,
    window_ns: f64,
}

impl Arithmetic {
    fn stalled_share(&self) -> f64 {
        (self.stall_ns - STALLED_NS as f64) / self.window_ns
    }

    /// The latency that this share of all messages exceeds.
    fn exceeded_by(&self, share: f64) -> f64 {
        self.stall_ns - share * self.window_ns
    }
}

/// None when there was no stall, or the window does not hold the whole of it.
fn arithmetic(stall: Option<Span>, window: &std::ops::Range<u64>) -> Option<Arithmetic> {
    let Span { begin_ns, end_ns } = stall?;
    (window.contains(&begin_ns) && window.contains(&end_ns)).then(|| Arithmetic {
        stall_ns: (end_ns - begin_ns) as f64,
        window_ns: (window.end - window.start) as f64,
    })
}

/// Holds the figures against arithmetic.
fn judge(transport: &str, figures: &Figures, truth: Option<Arithmetic>) -> Vec<Row> {
    let Some(truth) = truth else {
        let none = "no stall within the window";
        return vec![row(transport, none, "", "a stall", false)];
    };
    let near = |measured: f64, truth: f64| (measured / truth - 1.0).abs() <= TOLERANCE;
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let p999_ns = truth.exceeded_by(0.001);
    vec![
        row(
            format!("{transport}, messages later than {}", ms(STALLED_NS as f64)),
            percent(truth.stalled_share()),
            percent(figures.stalled_share),
            "± 5 %",
            near(figures.stalled_share, truth.stalled_share()),
        ),
        row(
            format!("{transport}, latency p99.9"),
            ms(p999_ns),
            ms(figures.latency_p999_ns),
            "± 5 %",
            near(figures.latency_p999_ns, p999_ns),
        ),
        row(
            format!("{transport}, service time p99.9 misses it"),
            ms(p999_ns),
            ms(figures.service_p999_ns),
            "below half",
            figures.service_p999_ns < MISSED * p999_ns,
        ),
    ]
}

/// Where the distributions are drawn: from half of all messages to one in a thousand.
const SHARES: [f64; 15] = [
    0.5, 0.4, 0.3, 0.25, 0.2, 0.17, 0.15, 0.12, 0.1, 0.07, 0.05, 0.03, 0.01, 0.003, 0.001,
];

fn drawn(transport: &str, seen: &Recorded, truth: Option<Arithmetic>) -> Vec<Series> {
    let measured = |histogram: &Histogram<u64>| {
        SHARES
            .map(|share| {
                let ns = histogram.value_at_quantile(1.0 - share) as f64;
                [share * 100.0, (ns / 1e6).max(1e-3)]
            })
            .to_vec()
    };
    let expected = truth.map(|truth| {
        let points = SHARES.map(|share| [share * 100.0, truth.exceeded_by(share) / 1e6]);
        points.into_iter().filter(|point| point[1] > 1.0).collect()
    });
    vec![
        series(
            format!("{transport} latency"),
            Look::Line,
            measured(&seen.latency),
        ),
        series(
            format!("{transport} service time"),
            Look::Line,
            measured(&seen.service),
        ),
        series(
            format!("{transport} arithmetic"),
            Look::Truth,
            expected.unwrap_or_default(),
        ),
    ]
}

fn picture(series: Vec<Series>) -> Picture {
    Picture {
        title: "A stall of a second, in latency and in service time".into(),
        subtitle: "the time that a share of all messages exceeded".into(),
        caption: "Read from right to left: ever fewer messages, ever later. Latency follows the dashed arithmetic of \
                  the stall; service time starts when a message is stamped, after the stall, and shows next to \
                  nothing of it."
            .into(),
        x_title: "share of messages that took longer, %".into(),
        y_title: "time, ms".into(),
        x_logarithmic: true,
        y_logarithmic: true,
        series,
    }
}

#[cfg(test)]
mod tests {
    use pushbench_server::contract::message::Stamps;

    use super::*;
    use crate::recorder::{Previous, Recorder};

    const SECOND_NS: u64 = 1_000_000_000;
    const STALL: Span = Span {
        begin_ns: 2 * SECOND_NS,
        end_ns: 3_050_000_000,
    };
    const WINDOW: std::ops::Range<u64> = SECOND_NS..11 * SECOND_NS;

    /// A server that publishes each millisecond and stands still during the stall, through the recorder.
    /// `tamper` is how the meter is broken.
    fn through_the_recorder(tamper: fn(&mut Stamps)) -> Figures {
        let mut recorder = Recorder::new(WINDOW);
        let mut previous = Previous::default();
        for k in 0..12_000_u64 {
            let due = k * 1_000_000;
            let stalled = (STALL.begin_ns..STALL.end_ns).contains(&due);
            let sent_at = if stalled { STALL.end_ns } else { due } + 40_000;
            let mut stamps = Stamps {
                stream: 0,
                seq: k + 1,
                scheduled_at: due,
                sent_at,
            };
            tamper(&mut stamps);
            recorder.record(&stamps, sent_at + 60_000, &mut previous);
        }
        let (latency, service) = (recorder.latency, recorder.service);
        Figures {
            stalled_share: share_above(&latency, STALLED_NS),
            latency_p999_ns: percentile(&latency, 0.999).unwrap(),
            service_p999_ns: percentile(&service, 0.999).unwrap(),
        }
    }

    fn passes(figures: &Figures) -> Vec<bool> {
        let rows = judge("ws-h1", figures, arithmetic(Some(STALL), &WINDOW));
        rows.iter().map(|row| row.pass).collect()
    }

    #[test]
    fn the_recorder_finds_what_arithmetic_says_and_service_time_does_not() {
        assert_eq!(passes(&through_the_recorder(|_| {})), [true; 3]);
    }

    #[test]
    fn a_recorder_that_counts_from_the_stamp_misses_the_stall_and_fails() {
        let figures = through_the_recorder(|stamps| stamps.scheduled_at = stamps.sent_at);
        assert_eq!(passes(&figures)[..2], [false, false]);
    }

    #[test]
    fn a_service_time_that_counts_from_the_schedule_fails() {
        let figures = through_the_recorder(|stamps| stamps.sent_at = stamps.scheduled_at);
        assert!(!passes(&figures)[2]);
    }

    #[test]
    fn a_stall_that_never_was_or_lies_at_the_windows_edge_shows_nothing() {
        for stall in [
            None,
            Some(Span {
                begin_ns: 0,
                ..STALL
            }),
        ] {
            let rows = judge(
                "ws-h1",
                &through_the_recorder(|_| {}),
                arithmetic(stall, &WINDOW),
            );
            assert!(rows.len() == 1 && !rows[0].pass);
        }
    }
}

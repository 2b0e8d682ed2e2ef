//! Check 1: a server that holds each message for 0.5, 5 and 50 ms.

use pushbench_reports::calibration::{Check, Look, Picture, Row};
use pushbench_server::faults::{Faults, Truth};

use super::{
    Lab, TRANSPORTS,
    probe::{Feed, Recorded, Sound, median, ms, percentile, reasons, row, series, watch},
};
use crate::bench::Broken;

/// Nominal delays; the server draws within a tenth of each.
const DELAYS_US: [u64; 3] = [500, 5_000, 50_000];

/// How far a median may be off where two hundredths are less: the difference that two windows of the
/// same arm show on a quiet machine.
const MEDIAN_NS: f64 = 50_000.0;

/// Share of the delay by which a median may be off.
const MEDIAN_SHARE: f64 = 0.02;

/// Share of the delay by which a p99 may be off.
const TAIL_SHARE: f64 = 0.05;

/// Servers without a delay between two with the same: as many as there are delays, so that three arms
/// which differ in nothing are measured as often, and as far apart, as each delay.
const EQUAL_ARMS: usize = DELAYS_US.len();

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let feed = Feed {
        // With the rate, just enough deliveries for a window's p99.
        subscribers: 6,
        rate: 700.0,
        lead_ns: 100_000_000,
        // Short: a hiccup of the machine spoils one window of many, not a part of all.
        window_ns: 250_000_000,
        windows: lab.effort.pick(3, 7),
    };
    let cycles = lab.effort.pick(2, 4);
    let (mut measured, mut notes, mut sound) = (Vec::new(), Vec::new(), Sound::default());
    for transport in TRANSPORTS {
        let mut arms = Measured::new(transport.name());
        for _ in 0..cycles {
            for (nth, delay_us) in DELAYS_US.into_iter().enumerate() {
                for delay_us in [None, Some(delay_us)] {
                    let faults = Faults {
                        delay_us,
                        awake: true,
                        ..Faults::default()
                    };
                    let once = async || watch(lab, transport, faults.clone(), feed).await;
                    let seen = sound.measure(once, |seen| &seen.invalid).await?;
                    notes.extend(released_late(&seen.truth));
                    let arm = match delay_us {
                        None => &mut arms.undelayed[nth],
                        Some(_) => &mut arms.delayed[nth],
                    };
                    for recorded in &seen.windows {
                        arm.push(Figures::of(recorded, drawn_ns(&seen.truth))?);
                    }
                }
            }
        }
        measured.push(arms);
    }
    let windows = cycles * feed.windows;
    let messages = feed.rate * feed.window_ns as f64 / 1e9 * f64::from(feed.subscribers);
    let mut rows: Vec<Row> = measured.iter().flat_map(judge).collect();
    rows.push(sound.row());
    Ok(Check {
        number: 1,
        name: "delay".into(),
        title: "A delay of known length".into(),
        method: format!(
            "The server holds every message for a time that it draws within 10 % of 0.5, 5 and 50 ms, after stamping it \
             and before the transport gets it, and says afterwards how long that was. No server sleeps, with a \
             delay or without, so that the delay is all that differs. Latency is measured as in a trial, in windows of {} ms. Between any two servers with a delay stands one without; those before each delay are an \
             arm of their own, so that {EQUAL_ARMS} arms differ in nothing and are measured as often as each delay. An \
             arm's p50 and p99 are the medians of those of its windows, a delayed window's less what its server drew: a \
             hiccup of the machine spoils a window, not the arm. The shift is a delay's against the mean of the equal \
             arms; the A/A spread is the range of their p99. A failure would mean that differences of latency between \
             arms are not what the report says they are.",
            feed.window_ns / 1_000_000
        ),
        counts: format!(
            "{windows} windows of {messages:.0} deliveries, from {cycles} servers, for each delay, each arm without one, \
             and each transport{}{}",
            sound.told(),
            lab.effort.pick(
                "; reduced, a whole calibration has 28 windows from 4 servers",
                ""
            )
        ),
        rows,
        picture: Some(picture(&measured)),
        note: reasons(notes),
    })
}

/// Latency of one window.
#[derive(Debug, Clone, Copy)]
struct Figures {
    p50_ns: f64,
    p99_ns: f64,
    /// As disclosed; 0 of no delay.
    truth_ns: f64,
}

impl Figures {
    fn of(recorded: &Recorded, truth_ns: f64) -> Result<Self, Broken> {
        Ok(Self {
            p50_ns: percentile(&recorded.latency, 0.5)?,
            p99_ns: percentile(&recorded.latency, 0.99)?,
            truth_ns,
        })
    }
}

fn drawn_ns(truth: &Truth) -> f64 {
    truth.delay.map_or(0.0, |delay| delay.drawn_ns as f64)
}

/// What a reader should know of a delay that the server itself did not keep: its machine was busy.
fn released_late(truth: &Truth) -> Option<String> {
    let delay = truth.delay?;
    let late_ns = delay.held_p99_ns.saturating_sub(delay.drawn_ns) as f64;
    (late_ns > MEDIAN_NS.max(TAIL_SHARE * delay.drawn_ns as f64)).then(|| {
        format!(
            "the server released one message in a hundred {} or more after its delay of {}",
            ms(late_ns),
            ms(delay.drawn_ns as f64)
        )
    })
}

/// One transport's windows, arm by arm.
#[derive(Debug)]
struct Measured {
    transport: &'static str,
    /// Arms without a delay; they differ in nothing.
    undelayed: [Vec<Figures>; EQUAL_ARMS],
    /// Arms with the delays of [`DELAYS_US`].
    delayed: [Vec<Figures>; DELAYS_US.len()],
}

impl Measured {
    fn new(transport: &'static str) -> Self {
        Self {
            transport,
            undelayed: Default::default(),
            delayed: Default::default(),
        }
    }

    fn shifts(&self) -> impl Iterator<Item = Shift> + '_ {
        let without = |figure: fn(&Figures) -> f64| {
            let arms = self.undelayed.iter();
            let sum: f64 = arms.map(|arm| median(arm.iter().map(figure))).sum();
            sum / self.undelayed.len() as f64
        };
        self.delayed.iter().map(move |windows| {
            let truths: f64 = windows.iter().map(|window| window.truth_ns).sum();
            let truth_ns = truths / windows.len() as f64;
            // Each server has drawn a delay of its own: what is beside it is what windows can share.
            let beside = |figure: fn(&Figures) -> f64| {
                median(windows.iter().map(|of| figure(of) - of.truth_ns))
            };
            Shift {
                truth_ns,
                p50_ns: truth_ns + beside(|of| of.p50_ns) - without(|of| of.p50_ns),
                p99_ns: truth_ns + beside(|of| of.p99_ns) - without(|of| of.p99_ns),
            }
        })
    }

    /// Range of the p99 of equal arms.
    fn spread_ns(&self) -> f64 {
        let arms = self.undelayed.iter();
        let tails = arms.map(|arm| median(arm.iter().map(|of| of.p99_ns)));
        let (low, high) = tails.fold((f64::INFINITY, 0.0_f64), |(low, high), tail| {
            (low.min(tail), high.max(tail))
        });
        high - low
    }
}

/// How far a delay moved the figures, and how long it was, as the mean of what its servers drew.
struct Shift {
    truth_ns: f64,
    p50_ns: f64,
    p99_ns: f64,
}

/// Holds the shifts against the truth.
fn judge(measured: &Measured) -> Vec<Row> {
    let spread_ns = measured.spread_ns();
    let mut rows = Vec::new();
    for (shift, nominal_us) in measured.shifts().zip(DELAYS_US) {
        let subject = |of| {
            let nominal_ms = nominal_us as f64 / 1e3;
            format!("{}, {nominal_ms} ms, {of}", measured.transport)
        };
        let truth_ns = shift.truth_ns;
        let mut hold = |of, measured_ns: f64, tolerance_ns: f64, why| {
            let pass = (measured_ns - truth_ns).abs() <= tolerance_ns && truth_ns > 0.0;
            let tolerance = format!("± {} ({why})", ms(tolerance_ns));
            rows.push(row(
                subject(of),
                ms(truth_ns),
                ms(measured_ns),
                tolerance,
                pass,
            ));
        };
        let share_ns = MEDIAN_SHARE * truth_ns;
        if share_ns > MEDIAN_NS {
            hold("p50 shift", shift.p50_ns, share_ns, "2 %");
        } else {
            hold("p50 shift", shift.p50_ns, MEDIAN_NS, "50 µs");
        }
        let share_ns = TAIL_SHARE * truth_ns;
        if share_ns > spread_ns {
            hold("p99 shift", shift.p99_ns, share_ns, "5 %");
        } else {
            hold("p99 shift", shift.p99_ns, spread_ns, "A/A spread");
        }
    }
    rows
}

fn picture(measured: &[Measured]) -> Picture {
    let mut all = Vec::new();
    let mut span = [f64::INFINITY, 0.0_f64];
    for of in measured {
        let points = |figure: fn(&Shift) -> f64| {
            of.shifts()
                .map(|shift| [shift.truth_ns / 1e6, (figure(&shift) / 1e6).max(1e-3)])
                .collect::<Vec<_>>()
        };
        for [x, _] in points(|shift| shift.truth_ns) {
            span = [span[0].min(x), span[1].max(x)];
        }
        let transport = of.transport;
        all.push(series(
            format!("{transport} p50"),
            Look::Dots,
            points(|shift| shift.p50_ns),
        ));
        all.push(series(
            format!("{transport} p99"),
            Look::Dots,
            points(|shift| shift.p99_ns),
        ));
    }
    let line = span.map(|end| [end, end]).to_vec();
    all.push(series("shift = delay", Look::Truth, line));
    Picture {
        title: "Measured shift of latency against the delay that was injected".into(),
        subtitle: "every dot the windows of one delay, against those without".into(),
        caption: "Dots on the dashed line are shifts found as they were injected. Below it a delay would be missed, \
                  above it something would be charged to the server that it did not do."
            .into(),
        x_title: "delay disclosed by the server, ms".into(),
        y_title: "shift measured, ms".into(),
        x_logarithmic: true,
        y_logarithmic: true,
        series: all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(p50_us: f64, p99_us: f64, truth_us: f64) -> Figures {
        Figures {
            p50_ns: p50_us * 1e3,
            p99_ns: p99_us * 1e3,
            truth_ns: truth_us * 1e3,
        }
    }

    /// What an exact meter sees of these delays, with an A/A spread of 20 µs, in three windows on each of
    /// two servers that drew differently, of which one window was spoilt; `found` is the meter.
    fn measured(found: impl Fn(f64) -> f64) -> Measured {
        let windows = |p99_us: f64, truths: [f64; 2]| {
            let clean = truths.into_iter().flat_map(|truth| [truth; 3]);
            let window = |(place, truth)| {
                let hiccup = if place == 1 { 15e3 } else { 0.0 };
                figures(100.0 + found(truth), p99_us + hiccup + found(truth), truth)
            };
            clean.enumerate().map(window).collect::<Vec<_>>()
        };
        Measured {
            transport: "ws-h1",
            undelayed: [200.0, 210.0, 220.0].map(|p99| windows(p99, [0.0; 2])),
            delayed: [[480.0, 520.0], [5_200.0, 4_900.0], [54_000.0, 46_000.0]]
                .map(|truths| windows(210.0, truths)),
        }
    }

    fn passes(measured: &Measured) -> Vec<bool> {
        judge(measured).iter().map(|row| row.pass).collect()
    }

    #[test]
    fn an_exact_meter_passes_and_one_within_the_tolerance_too() {
        assert_eq!(passes(&measured(|truth| truth)), [true; 6]);
        assert_eq!(
            passes(&measured(|truth| truth * 1.019)),
            [true; 6],
            "2 % and 5 %"
        );
    }

    #[test]
    fn a_meter_that_misses_part_of_each_delay_fails() {
        let rows = passes(&measured(|truth| truth * 0.94));
        // At 0.5 ms, 30 µs are within the 50 µs of a median, not within 5 % of a tail.
        assert_eq!(rows, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_meter_that_knows_the_nominal_delay_only_fails() {
        let mut measured = measured(|truth| truth);
        for (windows, us) in measured.delayed.iter_mut().zip(DELAYS_US) {
            for window in windows {
                // As if the others had drawn what this one did.
                window.truth_ns *= 1.03;
                window.p50_ns = (100 + us) as f64 * 1e3;
            }
        }
        let rows = passes(&measured);
        assert_eq!((rows[2], rows[4]), (false, false), "the delay is drawn");
    }

    #[test]
    fn a_recorder_that_counts_nothing_and_a_server_that_does_nothing_fail() {
        assert!(!passes(&measured(|_| 0.0)).contains(&true));
        let mut idle = measured(|truth| truth);
        idle.delayed = std::array::from_fn(|_| vec![figures(100.0, 210.0, 0.0); 6]);
        assert!(!passes(&idle).contains(&true));
    }

    #[test]
    fn a_tail_is_held_to_the_spread_of_equal_arms_where_that_is_more() {
        let mut noisy = measured(|truth| if truth > 0.0 { truth + 40.0 } else { 0.0 });
        for window in &mut noisy.undelayed[2] {
            window.p99_ns += 60e3;
        }
        let rows = judge(&noisy);
        assert!(
            rows[1].tolerance.contains("A/A") && rows[1].pass,
            "{rows:?}"
        );
    }

    #[test]
    fn a_recorder_that_misses_some_windows_fails() {
        let mut partly = measured(|truth| truth);
        for window in partly
            .delayed
            .iter_mut()
            .flat_map(|windows| &mut windows[..4])
        {
            (window.p50_ns, window.p99_ns) = (100e3, 210e3);
        }
        assert!(!passes(&partly).contains(&true));
    }
}

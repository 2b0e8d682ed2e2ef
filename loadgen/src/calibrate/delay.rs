//! Check 1: a server that holds each message for 0.5, 5 and 50 ms.

use pushbench_reports::calibration::{Check, Look, Picture, Row};
use pushbench_server::{
    contract::transport::Transport,
    faults::{Faults, Truth},
};

use super::{
    Lab,
    probe::{Feed, Seen, ms, percentile, reasons, row, series, watch},
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

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let feed = Feed {
        subscribers: 4,
        rate: 400.0,
        lead_ns: 200_000_000,
        window_ns: lab.effort.pick(1_500_000_000, 7_500_000_000),
    };
    let mut measured = Vec::new();
    let mut notes = Vec::new();
    for transport in Transport::ALL {
        let mut take = async |delay_us| {
            let faults = Faults {
                delay_us,
                ..Faults::default()
            };
            let seen = watch(lab, transport, faults, feed).await?;
            notes.extend(seen.invalid.clone());
            notes.extend(released_late(&seen.truth));
            Figures::of(&seen)
        };
        // Around each delay stand two windows without one, so that drift of the machine falls out of the
        // shift and into the spread.
        let mut undelayed = vec![take(None).await?];
        let mut delayed = Vec::new();
        for delay_us in DELAYS_US {
            delayed.push(take(Some(delay_us)).await?);
            undelayed.push(take(None).await?);
        }
        measured.push(Measured {
            transport: transport.name(),
            undelayed,
            delayed,
        });
    }
    let messages = feed.rate * feed.window_ns as f64 / 1e9 * f64::from(feed.subscribers);
    Ok(Check {
        number: 1,
        name: "delay".into(),
        title: "A delay of known length".into(),
        method: "The server holds every message for a time that it draws within 10 % of 0.5, 5 and 50 ms, after \
                 stamping it and before the transport gets it, and says afterwards how long that was. Latency is \
                 measured as in a trial, with the delay and, before and after, without; the difference is held against \
                 what the server says. The A/A spread is the range of the p99 over the windows without a delay. A failure would mean that differences of latency between arms are not what the report \
                 says they are."
            .into(),
        counts: format!(
            "{messages:.0} deliveries for each delay and transport{}",
            lab.effort.pick(", a reduced count", "")
        ),
        rows: measured.iter().flat_map(judge).collect(),
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
    fn of(seen: &Seen) -> Result<Self, Broken> {
        Ok(Self {
            p50_ns: percentile(&seen.latency, 0.5)?,
            p99_ns: percentile(&seen.latency, 0.99)?,
            truth_ns: drawn_ns(&seen.truth),
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

/// One transport's windows.
#[derive(Debug)]
struct Measured {
    transport: &'static str,
    /// One more than delays: each stands between two.
    undelayed: Vec<Figures>,
    delayed: Vec<Figures>,
}

impl Measured {
    fn shifts(&self) -> impl Iterator<Item = Shift> + '_ {
        let around = self.undelayed.windows(2);
        self.delayed.iter().zip(around).map(|(delayed, around)| {
            let without = |figure: fn(&Figures) -> f64| {
                around.iter().map(figure).sum::<f64>() / around.len() as f64
            };
            Shift {
                truth_ns: delayed.truth_ns,
                p50_ns: delayed.p50_ns - without(|figures| figures.p50_ns),
                p99_ns: delayed.p99_ns - without(|figures| figures.p99_ns),
            }
        })
    }

    /// Range of the p99 of equal arms.
    fn spread_ns(&self) -> f64 {
        let tails = self.undelayed.iter().map(|figures| figures.p99_ns);
        let (low, high) = tails.fold((f64::INFINITY, 0.0_f64), |(low, high), tail| {
            (low.min(tail), high.max(tail))
        });
        high - low
    }
}

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
        subtitle: "every dot one window; the baseline is the mean of the windows before and after, without a delay".into(),
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

    /// What an exact meter sees of these delays, with an A/A spread of 20 µs; `found` is the meter.
    fn measured(found: impl Fn(f64) -> f64) -> Measured {
        let truths = [480.0, 5_200.0, 54_000.0];
        Measured {
            transport: "ws-h1",
            undelayed: [1.0, -1.0, 1.0, -1.0]
                .map(|drift| figures(100.0 + 10.0 * drift, 210.0 + 10.0 * drift, 0.0))
                .to_vec(),
            delayed: truths
                .map(|truth| figures(100.0 + found(truth), 210.0 + found(truth), truth))
                .to_vec(),
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
        // At 0.48 ms, 29 µs are within the 50 µs of a median, not within 5 % of a tail.
        assert_eq!(rows, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_meter_that_knows_the_nominal_delay_only_fails() {
        let mut measured = measured(|truth| truth);
        for (figures, us) in measured.delayed.iter_mut().zip(DELAYS_US) {
            figures.p50_ns = (100 + us) as f64 * 1e3;
        }
        let rows = passes(&measured);
        assert_eq!((rows[2], rows[4]), (false, false), "the delay is drawn");
    }

    #[test]
    fn a_recorder_that_counts_nothing_and_a_server_that_does_nothing_fail() {
        assert!(!passes(&measured(|_| 0.0)).contains(&true));
        let mut idle = measured(|truth| truth);
        idle.delayed = vec![figures(100.0, 210.0, 0.0); 3];
        assert!(!passes(&idle).contains(&true));
    }

    #[test]
    fn a_tail_is_held_to_the_spread_of_equal_arms_where_that_is_more() {
        let mut noisy = measured(|truth| truth + 40.0);
        noisy.undelayed[1].p99_ns += 60e3;
        noisy.undelayed[0].p99_ns -= 60e3;
        let rows = judge(&noisy);
        assert!(rows[1].tolerance.contains("A/A") && rows[1].pass);
    }
}

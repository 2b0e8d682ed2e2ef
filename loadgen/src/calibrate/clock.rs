//! Check 7: one-way times against half the round trip, with true stamps and with skewed ones.
//!
//! The offset of a stamp is estimated as NTP does it: its distance from the middle of the round trip, of
//! the exchanges with the shortest ones, because what delays a packet in one direction only would be
//! taken for an offset (RFC 5905 §10, the clock filter; Mills, "Internet time synchronization", 1991).

use std::time::Duration;

use pushbench_reports::calibration::{Check, Look, Picture, Row, Series};
use pushbench_server::{
    contract::{
        ask::{Ask, ChatAsk},
        clock::now_ns,
        endpoint::Endpoint,
        message::Stamps,
        notice::Notice,
        transport::Transport,
    },
    faults::Faults,
};
use tokio::time::timeout;

use super::{
    Lab, TRANSPORTS,
    probe::{RETRY, Sound, bench, row, series, signed_us},
};
use crate::{
    bench::Broken,
    client::{self, Ended, Heard, Wire},
    recorder::{Previous, Recorder},
};

/// Nominal; the server draws the sign, and the size within a tenth.
const SKEW_US: u64 = 1_000;

/// How far a skew that was found may lie from the true one.
const TOLERANCE_NS: f64 = 50_000.0;

/// Servers with a skew at most, until both signs have been drawn: one sign alone is as likely as tails
/// twenty times in a row.
const MOST_RUNS: usize = 20;

/// Exchanges before the first that counts: buffers, caches and the path through the code are warm then.
const WARM_UP: usize = 50;

/// One exchange takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let exchanges = lab.effort.pick(400, 3_000);
    let least_runs = lab.effort.pick(2, 6);
    let (mut rows, mut lines, mut sound) = (Vec::new(), Vec::new(), Sound::default());
    for transport in TRANSPORTS {
        let mut run = async |skew_us| {
            let once = async || measure(lab, transport, skew_us, exchanges).await;
            sound.measure(once, |run| &run.invalid).await
        };
        let plain = run(None).await?;
        let mut skewed: Vec<Run> = Vec::new();
        while skewed.len() < MOST_RUNS && (skewed.len() < least_runs || !both_signs(&skewed)) {
            skewed.push(run(Some(SKEW_US)).await?);
        }
        rows.extend(judge(transport.name(), &plain, &skewed));
        lines.extend(drawn(transport.name(), &plain, &skewed));
    }
    rows.push(sound.row());
    Ok(Check {
        number: 7,
        name: "clock".into(),
        title: "One-way times and a clock that is wrong".into(),
        method: "Over a warm connection a turn of one token is asked for, again and again: where the server's stamp lies \
                 within the round trip says how far its clock is from ours. With true stamps that must be the middle, \
                 and no latency may be negative. Then the server shifts all its stamps by about a millisecond, \
                 forwards or back as it draws, and says afterwards by how much: the shift must be found, and stamps \
                 in the future must be noticed. A failure would mean that latencies between two processes are not \
                 on one clock."
            .into(),
        counts: format!(
            "{exchanges} round trips to each of at least {} servers for each transport{}{}",
            least_runs + 1,
            sound.told(),
            lab.effort.pick(", a reduced count", "")
        ),
        rows,
        picture: Some(picture(lines)),
        note: String::new(),
    })
}

fn both_signs(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.skew_ns > 0.0) && runs.iter().any(|run| run.skew_ns < 0.0)
}

/// The exchanges with one server.
#[derive(Debug)]
struct Run {
    exchanges: Vec<Exchange>,
    /// Messages that the recorder found to be from the future.
    backwards: u64,
    /// As disclosed; 0 of none.
    skew_ns: f64,
    /// Why this is not what it claims to be.
    invalid: Vec<String>,
}

/// One question and its answer.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    asked_at: u64,
    sent_at: u64,
    received_at: u64,
}

impl Exchange {
    fn round_trip_ns(&self) -> f64 {
        (self.received_at - self.asked_at) as f64
    }

    /// How far the stamp lies behind the middle of the round trip.
    fn offset_ns(&self) -> f64 {
        let middle = self.asked_at as f64 / 2.0 + self.received_at as f64 / 2.0;
        self.sent_at as f64 - middle
    }
}

async fn measure(
    lab: &Lab,
    transport: Transport,
    skew_us: Option<u64>,
    exchanges: usize,
) -> Result<Run, Broken> {
    let faults = Faults {
        skew_us,
        ..Faults::default()
    };
    let mut bench = bench(lab, transport, faults)?;
    let mut server = bench.start_server(1, RETRY).await?;
    let endpoint = server.endpoint().clone();
    let mut recorder = Recorder::new(0..u64::MAX);
    let taken = exchange(transport, endpoint.clone(), exchanges, &mut recorder).await;
    let exchanges = taken.map_err(|source| Broken::Connect {
        transport,
        server: endpoint.http,
        source,
    })?;
    // What was measured is closed: now the truth may be asked for.
    let skew_ns = server.disclose().await?.skew_ns.unwrap_or(0) as f64;
    server.stop().await?;
    Ok(Run {
        exchanges,
        // Stamps from the future are judged, not weighed: skewed servers send them on purpose.
        invalid: bench.record.invalid,
        backwards: recorder.backwards,
        skew_ns,
    })
}

/// Asks and is answered so often, on one connection.
async fn exchange(
    transport: Transport,
    server: Endpoint,
    count: usize,
    recorder: &mut Recorder,
) -> Result<Vec<Exchange>, Ended> {
    let ask = Ask::Chat(ChatAsk {
        tokens: 1,
        first_token_us: 0,
        ..ChatAsk::default()
    });
    let mut wire = client::connect(transport, server).await?;
    let mut exchanges = Vec::with_capacity(count);
    for nth in 0..WARM_UP + count {
        let answered = timeout(PATIENCE, answer(wire.as_mut(), &ask)).await;
        let (asked_at, stamps, received_at) =
            answered.map_err(|_| Ended::Failed("a turn of one token never came".into()))??;
        if nth < WARM_UP {
            continue;
        }
        recorder.record(&stamps, received_at, &mut Previous::default());
        exchanges.push(Exchange {
            asked_at,
            sent_at: stamps.sent_at,
            received_at,
        });
    }
    wire.close().await;
    Ok(exchanges)
}

async fn answer(wire: &mut dyn Wire, ask: &Ask) -> Result<(u64, Stamps, u64), Ended> {
    let asked_at = now_ns();
    wire.ask(ask).await?;
    let mut heard_at = None;
    client::receive(wire, |heard| match heard {
        Heard::Message(message, received_at) => {
            heard_at = Some((message.stamps, received_at));
            None
        }
        Heard::Notice(Notice::End { .. }) => Some(Ok(())),
        Heard::Notice(Notice::Refused { reason }) => Some(Err(Ended::Failed(reason))),
        Heard::Notice(_) | Heard::Text(..) => None,
    })
    .await?;
    let (stamps, received_at) = heard_at.ok_or(Ended::Closed)?;
    Ok((asked_at, stamps, received_at))
}

/// What a run says of the other clock.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    offset_ns: f64,
    round_trip_ns: f64,
    one_way_ns: f64,
}

/// Medians over the tenth of the exchanges with the shortest round trips; none of fewer than ten.
fn estimate(exchanges: &[Exchange]) -> Option<Estimate> {
    let mut shortest = exchanges.to_vec();
    shortest.sort_by(|a, b| a.round_trip_ns().total_cmp(&b.round_trip_ns()));
    shortest.truncate((exchanges.len() / 10).max(10));
    if shortest.len() < 10 {
        return None;
    }
    let median = |figure: fn(&Exchange) -> f64| {
        let mut figures: Vec<_> = shortest.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Some(Estimate {
        offset_ns: median(Exchange::offset_ns),
        round_trip_ns: median(Exchange::round_trip_ns),
        one_way_ns: median(|of| of.received_at as f64 - of.sent_at as f64),
    })
}

/// Holds what was found against the truth.
fn judge(transport: &str, plain: &Run, skewed: &[Run]) -> Vec<Row> {
    judge_with(estimate, transport, plain, skewed)
}

/// The same with any meter of offsets.
fn judge_with(
    meter: impl Fn(&[Exchange]) -> Option<Estimate>,
    transport: &str,
    plain: &Run,
    skewed: &[Run],
) -> Vec<Row> {
    let Some(base) = meter(&plain.exchanges) else {
        return vec![row(transport, "", "too few round trips", "", false)];
    };
    let half_ns = base.round_trip_ns / 2.0;
    let us = |ns: f64| format!("{:.1} µs", ns / 1e3);
    let tolerance = format!("± {}", us(TOLERANCE_NS));
    let mut rows = vec![
        row(
            format!("{transport}, one-way, true stamps"),
            format!("{}, half the round trip", us(half_ns)),
            us(base.one_way_ns),
            &tolerance,
            (base.one_way_ns - half_ns).abs() <= TOLERANCE_NS,
        ),
        row(
            format!("{transport}, negative latencies, true stamps"),
            "0",
            format!("{} of {}", plain.backwards, plain.exchanges.len()),
            "exact",
            plain.backwards == 0,
        ),
    ];
    for run in skewed {
        let found_ns = meter(&run.exchanges).map(|found| found.offset_ns - base.offset_ns);
        rows.push(row(
            format!("{transport}, skew"),
            signed_us(run.skew_ns),
            found_ns.map_or("too few round trips".into(), signed_us),
            &tolerance,
            run.skew_ns != 0.0
                && found_ns.is_some_and(|found| (found - run.skew_ns).abs() <= TOLERANCE_NS),
        ));
    }
    let future = || skewed.iter().filter(|run| run.skew_ns > 0.0);
    let (noticed, of) = (
        future().map(|run| run.backwards).sum::<u64>(),
        future().map(|run| run.exchanges.len()).sum::<usize>(),
    );
    rows.push(row(
        format!("{transport}, stamps in the future"),
        format!("{of} messages, if they travel faster"),
        format!("{noticed} noticed"),
        "each server's",
        of > 0 && future().all(|run| run.backwards > 0) && both_signs(skewed),
    ));
    rows
}

/// Exchanges that are drawn of each run: the shortest, and enough of the others to show the cloud.
const DRAWN: usize = 150;

fn drawn(transport: &str, plain: &Run, skewed: &[Run]) -> Vec<Series> {
    let cloud = |run: &Run| {
        let step = (run.exchanges.len() / DRAWN).max(1);
        let points = run.exchanges.iter().step_by(step);
        points
            .map(|of| [of.round_trip_ns() / 1e3, of.offset_ns() / 1e3])
            .collect::<Vec<_>>()
    };
    let mut all = vec![series(
        format!("{transport}, true stamps"),
        Look::Dots,
        cloud(plain),
    )];
    for sign in [1.0, -1.0] {
        let Some(run) = skewed.iter().find(|run| run.skew_ns * sign > 0.0) else {
            continue;
        };
        let points = cloud(run);
        let round_trips = points.iter().map(|[x, _]| *x);
        let (low, high) = round_trips.fold((f64::INFINITY, 0.0_f64), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        let skew_us = run.skew_ns / 1e3;
        all.push(series(
            format!("{transport}, {skew_us:+.0} µs"),
            Look::Dots,
            points,
        ));
        all.push(series(
            format!("{transport}, {skew_us:+.0} µs disclosed"),
            Look::Truth,
            vec![[low, skew_us], [high, skew_us]],
        ));
    }
    all
}

fn picture(series: Vec<Series>) -> Picture {
    Picture {
        title: "Where the server's stamp lies in the round trip".into(),
        subtitle: "every dot one exchange; 0 is the middle of the round trip".into(),
        caption: "Clouds sit at the height of the skew that the server disclosed, dashed. They widen to the right: \
                  what delays one direction only moves a stamp off the middle, and so the shortest round trips are \
                  the ones to trust."
            .into(),
        x_title: "round trip, µs".into(),
        y_title: "stamp − middle, µs".into(),
        x_logarithmic: true,
        y_logarithmic: false,
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exchanges of 100 µs and more, delayed now in one direction and now in the other, and what a
    /// recorder finds of them.
    fn run(skew_us: i64) -> Run {
        let mut recorder = Recorder::new(0..u64::MAX);
        let exchanges = (0..200_u64).map(|k| {
            let (there_us, back_us) = match k % 4 {
                0 => (50 + k, 50),
                1 => (50, 50 + 3 * k),
                _ => (50 + k % 3, 50 + k % 5),
            };
            let asked_at = 1_000_000_000 + k * 2_000_000;
            let handled_at = asked_at + there_us * 1_000;
            let sent_at = handled_at.saturating_add_signed(skew_us * 1_000);
            let received_at = handled_at + back_us * 1_000;
            let stamps = Stamps {
                stream: 1,
                seq: 1,
                scheduled_at: sent_at,
                sent_at,
            };
            recorder.record(&stamps, received_at, &mut Previous::default());
            Exchange {
                asked_at,
                sent_at,
                received_at,
            }
        });
        Run {
            exchanges: exchanges.collect(),
            backwards: recorder.backwards,
            skew_ns: skew_us as f64 * 1e3,
            invalid: Vec::new(),
        }
    }

    fn passes(rows: &[Row]) -> Vec<bool> {
        rows.iter().map(|row| row.pass).collect()
    }

    #[test]
    fn a_skew_is_found_among_round_trips_that_are_delayed_one_way() {
        let rows = judge("ws-h1", &run(0), &[run(1_040), run(-930)]);
        assert_eq!(passes(&rows), [true; 5], "{rows:?}");
    }

    #[test]
    fn a_clock_that_ignores_the_offset_fails() {
        let ignorant = |exchanges: &[Exchange]| {
            estimate(exchanges).map(|found| Estimate {
                offset_ns: 0.0,
                ..found
            })
        };
        let rows = judge_with(ignorant, "ws-h1", &run(0), &[run(1_040), run(-930)]);
        assert_eq!(passes(&rows), [true, true, false, false, true]);
    }

    #[test]
    fn a_meter_without_the_filter_is_carried_away_by_one_sided_delays() {
        let mut plain = run(0);
        plain.exchanges.truncate(100);
        let mean = |exchanges: &[Exchange]| {
            let sum: f64 = exchanges.iter().map(Exchange::offset_ns).sum();
            let offset_ns = sum / exchanges.len() as f64;
            estimate(exchanges).map(|found| Estimate { offset_ns, ..found })
        };
        let mut skewed = run(1_040);
        skewed
            .exchanges
            .iter_mut()
            .step_by(2)
            .for_each(|of| of.received_at += 400_000);
        let rows = judge_with(mean, "ws-h1", &plain, &[skewed, run(-930)]);
        assert!(!rows[2].pass, "{rows:?}");
    }

    #[test]
    fn a_recorder_that_does_not_notice_the_future_fails() {
        let blind = Run {
            backwards: 0,
            ..run(1_040)
        };
        let rows = judge("ws-h1", &run(0), &[blind, run(-930)]);
        assert_eq!(passes(&rows), [true, true, true, true, false]);
    }

    #[test]
    fn a_plain_run_on_another_clock_fails() {
        let rows = judge("ws-h1", &run(200), &[run(1_040), run(-930)]);
        assert_eq!(passes(&rows)[..2], [false, false]);
    }

    #[test]
    fn one_sign_alone_and_too_few_exchanges_show_nothing() {
        let rows = judge("ws-h1", &run(0), &[run(1_040)]);
        assert!(!rows.last().unwrap().pass);
        let mut few = run(0);
        few.exchanges.truncate(9);
        assert!(!judge("ws-h1", &few, &[run(1_040), run(-930)])[0].pass);
    }
}

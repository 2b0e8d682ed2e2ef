//! Check 5: some connections are cut, then the server is down for half a second.

use std::time::Duration;

use pushbench_reports::calibration::{Check, Look, Picture, Row, Series};
use pushbench_server::{
    contract::{clock::now_ns, transport::Transport},
    control::Command,
    faults::Faults,
};
use tokio::time::timeout;

use super::{
    Lab,
    probe::{bench, ms, reasons, row, series},
};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    subscriber::{Log, Outcome},
};

/// The policy: what clients wait after each end and each failure. No divisor of the time that the server
/// is down, or whether an attempt falls just before or just after its return would be chance.
const POLICY: Duration = Duration::from_millis(150);

/// How long the server is down.
const DOWN: Duration = Duration::from_millis(500);

/// What connecting, greeting and noting may take beyond the policy.
const SLACK_NS: u64 = 20_000_000;

/// How long a crowd may take to come back before it is judged as it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Messages a second on the feed meanwhile.
const RATE: f64 = 100.0;

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let subscribers = lab.effort.pick(20, 50);
    let rounds = lab.effort.pick(1, 6);
    let (mut rows, mut lines, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for transport in Transport::ALL {
        for round in 1..=rounds {
            let measured = measure(lab, transport, subscribers, &mut notes).await?;
            let subject = match rounds {
                1 => transport.name().to_owned(),
                _ => format!("{transport}, round {round}"),
            };
            rows.extend(judge(&subject, &measured));
            if round == rounds {
                lines.extend(drawn(transport.name(), &measured));
            }
        }
    }
    Ok(Check {
        number: 5,
        name: "reconnect".into(),
        title: "Connections cut, and a server that is down".into(),
        method: format!(
            "The server resets some of the connections, how many and which it draws; then it is killed and started \
             again half a second later at the same address. The clients wait {} ms after each end and each failed \
             attempt. The cuts that they noticed must be as many as the server says afterwards, and after the \
             restart everyone must be back within that wait and 20 ms, and nobody before. A failure would mean that \
             reconnect times hold something else than the transport's.",
            POLICY.as_millis()
        ),
        counts: format!(
            "{subscribers} subscribers, {rounds} {} for each transport{}",
            lab.effort.pick("round", "rounds"),
            lab.effort.pick(", a reduced count", "")
        ),
        rows,
        picture: Some(picture(lines)),
        note: reasons(notes),
    })
}

/// What the clients saw, and what was done.
#[derive(Debug)]
struct Measured {
    subscribers: u32,
    /// Streams that ended between the cut and the kill, as the clients saw it.
    ended: u64,
    /// Connections cut, as disclosed after that.
    cut: u64,
    killed_at: u64,
    /// The parent began to start the server again.
    started_at: u64,
    /// The parent read that it listens.
    listening_at: u64,
    /// When each was greeted again, [`now_ns`].
    back_at: Vec<u64>,
    live: Vec<(u64, usize)>,
}

async fn measure(
    lab: &Lab,
    transport: Transport,
    subscribers: u32,
    notes: &mut Vec<String>,
) -> Result<Measured, Broken> {
    let mut bench = bench(lab, transport, Faults::default())?;
    // Twice the subscribers: those who come back meet a server that has not yet buried the old.
    let connections = 2 * subscribers;
    let mut server = bench.start_server(connections, POLICY).await?;
    let mut audience = Audience::new(&bench, &server, true);
    audience
        .grow(&mut bench, &server, subscribers, |_| false)
        .await;
    server.command(Command::Feed { rate: RATE }).await?;

    let cut_at = now_ns();
    server.command(Command::CutSome).await?;
    until_back(&bench, &audience, subscribers).await;
    let ended = ended_since(&audience.crowd().log(), cut_at);
    // The count is closed; the kill that follows would take the truth with it.
    let cut = server.disclose().await?.cuts.iter().sum();

    let killed_at = now_ns();
    let address = server.address();
    server.kill().await?;
    let last = bench.last_of_feed(&server);
    bench
        .pacer
        .sleep_until(killed_at + DOWN.as_nanos() as u64)
        .await;
    let started_at = now_ns();
    let mut server = bench
        .start_server_at(address, connections, POLICY, Some(last))
        .await?;
    let listening_at = now_ns();
    until_back(&bench, &audience, subscribers).await;

    let log = audience.crowd().log();
    server.command(Command::End).await?;
    let outcomes = audience.leave().await?;
    server.stop().await?;
    notes.extend(bench.record.invalid);
    Ok(Measured {
        subscribers,
        ended,
        cut,
        killed_at,
        started_at,
        listening_at,
        back_at: back_after(&outcomes, killed_at),
        live: log.live,
    })
}

/// Waits until everybody is back, or as long as makes sense; that a stream ended is noticed first.
async fn until_back(bench: &Bench, audience: &Audience, subscribers: u32) {
    let policy_ns = POLICY.as_nanos() as u64;
    bench.pacer.sleep_until(now_ns() + 2 * policy_ns).await;
    // Who is back is judged, not assumed.
    let _ = timeout(PATIENCE, audience.crowd().reaches(subscribers as usize)).await;
    bench.pacer.sleep_until(now_ns() + policy_ns).await;
}

/// How often the number of live streams fell, and by how much together.
fn ended_since(log: &Log, since_ns: u64) -> u64 {
    log.live
        .windows(2)
        .filter(|pair| pair[1].0 >= since_ns)
        .map(|pair| pair[0].1.saturating_sub(pair[1].1) as u64)
        .sum()
}

fn back_after(outcomes: &[Outcome], killed_at: u64) -> Vec<u64> {
    outcomes
        .iter()
        .filter_map(|outcome| outcome.outages.last())
        .filter(|outage| outage.noticed_at >= killed_at && outage.greeted_at > 0)
        .map(|outage| outage.greeted_at)
        .collect()
}

/// Holds what the clients saw against what was done.
fn judge(subject: &str, measured: &Measured) -> Vec<Row> {
    let Measured {
        subscribers,
        ended,
        cut,
        killed_at,
        started_at,
        listening_at,
        back_at,
        ..
    } = measured;
    let policy_ns = POLICY.as_nanos() as u64;
    let first = back_at.iter().min().copied();
    let last = back_at.iter().max().copied();
    let after = |at: Option<u64>| {
        at.map_or(
            "never".to_owned(),
            |at| ms(at as f64 - *listening_at as f64),
        )
    };
    let on_time = last.is_some_and(|last| last <= listening_at + policy_ns + SLACK_NS)
        && first.is_some_and(|first| first >= *started_at);
    vec![
        row(
            format!("{subject}, connections cut"),
            cut.to_string(),
            ended.to_string(),
            "exact",
            ended == cut && *cut > 0,
        ),
        row(
            format!("{subject}, back after a restart"),
            format!(
                "down for {}, then at most {} of waiting",
                ms((listening_at - killed_at) as f64),
                ms(policy_ns as f64)
            ),
            format!(
                "{} of {subscribers} back, {} to {} after the server",
                back_at.len(),
                after(first),
                after(last)
            ),
            "+ 20 ms, all of them",
            on_time && back_at.len() == *subscribers as usize,
        ),
    ]
}

fn drawn(transport: &str, measured: &Measured) -> [Series; 3] {
    let since_kill = |at: u64| (at as f64 - measured.killed_at as f64) / 1e6;
    let all = f64::from(measured.subscribers);
    let mut live = vec![[0.0, all]];
    let mut before = all;
    for (at, now) in &measured.live {
        if *at < measured.killed_at {
            continue;
        }
        let (at, now) = (since_kill(*at), *now as f64);
        // Steps: it stays what it was until it changes.
        live.extend([[at, before], [at, now]]);
        before = now;
    }
    let upright = |at: f64| vec![[at, 0.0], [at, all]];
    let listening = since_kill(measured.listening_at);
    let latest = listening + POLICY.as_secs_f64() * 1e3 + SLACK_NS as f64 / 1e6;
    [
        series(transport, Look::Line, live),
        series(
            format!("{transport} server back"),
            Look::Truth,
            upright(listening),
        ),
        series(format!("{transport} latest"), Look::Truth, upright(latest)),
    ]
}

fn picture(series: Vec<Series>) -> Picture {
    Picture {
        title: "Live streams around a kill".into(),
        subtitle: "from the kill on, as the clients count them".into(),
        caption: "Lines fall to 0 when the server is killed and rise as the clients come back: between the two dashed \
                  lines of each transport, the moment the server listens and the policy's wait and 20 ms later."
            .into(),
        x_title: "since the kill, ms".into(),
        y_title: "live streams".into(),
        x_logarithmic: false,
        y_logarithmic: false,
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn measured() -> Measured {
        Measured {
            subscribers: 3,
            ended: 2,
            cut: 2,
            killed_at: 1_000 * MS,
            started_at: 1_500 * MS,
            listening_at: 1_508 * MS,
            back_at: [1_540, 1_541, 1_677].map(|at| at * MS).to_vec(),
            live: Vec::new(),
        }
    }

    fn passes(measured: &Measured) -> [bool; 2] {
        let rows = judge("ws-h1", measured);
        [rows[0].pass, rows[1].pass]
    }

    #[test]
    fn a_true_count_and_everyone_within_the_policy_pass() {
        assert_eq!(passes(&measured()), [true, true]);
    }

    #[test]
    fn a_meter_that_misses_a_cut_or_counts_it_twice_fails() {
        for ended in [0, 1, 3] {
            let wrong = Measured {
                ended,
                ..measured()
            };
            assert_eq!(passes(&wrong), [false, true]);
        }
        let none = Measured {
            ended: 0,
            cut: 0,
            ..measured()
        };
        assert!(!passes(&none)[0], "nothing was shown");
    }

    #[test]
    fn someone_late_early_or_never_back_fails() {
        for back_at in [
            vec![1_540, 1_541, 1_679],
            vec![1_499, 1_541, 1_542],
            vec![1_540, 1_541],
        ] {
            let back_at = back_at.into_iter().map(|at| at * MS).collect();
            assert_eq!(
                passes(&Measured {
                    back_at,
                    ..measured()
                }),
                [true, false]
            );
        }
    }

    #[test]
    fn a_client_that_dates_its_return_by_the_second_attempt_fails() {
        let mut late = measured();
        late.back_at
            .iter_mut()
            .for_each(|at| *at += POLICY.as_nanos() as u64);
        assert!(!passes(&late)[1]);
    }

    #[test]
    fn each_fall_of_the_live_streams_is_one_end_and_what_was_before_is_not_counted() {
        let live = vec![
            (1, 1),
            (2, 2),
            (3, 1),
            (10, 2),
            (11, 1),
            (12, 0),
            (13, 1),
            (14, 2),
        ];
        let log = Log {
            live,
            attempts: Vec::new(),
        };
        assert_eq!(ended_since(&log, 10), 2);
        assert_eq!(ended_since(&log, 0), 3);
    }
}

//! Check 5: some connections are cut, then the server is down for half a second.

use std::time::Duration;

use pushbench_reports::calibration::{Check, Look, Picture, Row, Series};
use pushbench_server::{
    contract::{clock::now_ns, transport::Transport},
    control::Command,
    faults::Faults,
};

use super::{
    Lab, TRANSPORTS,
    probe::{Sound, bench, ms, row, series},
};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    subscriber::{Log, Outage, Outcome},
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

/// Nothing has changed for so long: everybody who waits has tried again meanwhile.
const QUIET_NS: u64 = 2 * POLICY.as_nanos() as u64;

/// How often it is asked whether it is quiet.
const LOOK_NS: u64 = 10_000_000;

/// Messages a second on the feed meanwhile.
const RATE: f64 = 100.0;

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let subscribers = lab.effort.pick(20, 50);
    let rounds = lab.effort.pick(1, 6);
    let (mut rows, mut lines, mut sound) = (Vec::new(), Vec::new(), Sound::default());
    for transport in TRANSPORTS {
        for round in 1..=rounds {
            let once = async || measure(lab, transport, subscribers).await;
            let measured = sound.measure(once, |measured| &measured.invalid).await?;
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
    rows.push(sound.row());
    Ok(Check {
        number: 5,
        name: "reconnect".into(),
        title: "Connections cut, and a server that is down".into(),
        method: format!(
            "The server resets some of the connections, how many and which it draws; then it is killed and started \
             again half a second later at the same address. The clients wait {} ms after each end and each failed \
             attempt. The cuts that they noticed must be as many as the server says afterwards, and each of those \
             clients back after that wait and at most 20 ms more. After the restart everyone must be back within the \
             wait and 20 ms of the server's listening, and nobody sooner than a wait for each attempt. A failure would \
             mean that reconnect times hold something else than the transport's.",
            POLICY.as_millis()
        ),
        counts: format!(
            "{subscribers} subscribers, {rounds} {} for each transport{}{}",
            lab.effort.pick("round", "rounds"),
            sound.told(),
            lab.effort.pick(", a reduced count", "")
        ),
        rows,
        picture: Some(picture(lines)),
        note: String::new(),
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
    /// Outages between the cut and the kill.
    after_cut: Vec<Return>,
    killed_at: u64,
    /// The parent began to start the server again.
    started_at: u64,
    /// The parent read that it listens.
    listening_at: u64,
    /// Outages since the kill.
    after_kill: Vec<Return>,
    live: Vec<(u64, usize)>,
    /// Why this is not what it claims to be.
    invalid: Vec<String>,
}

/// One client's way back; times are [`now_ns`].
#[derive(Debug, Clone, Copy)]
struct Return {
    noticed_at: u64,
    /// None of one that never was.
    greeted_at: Option<u64>,
    /// Until then.
    attempts: u64,
}

impl Return {
    fn of(outage: &Outage) -> Self {
        Self {
            noticed_at: outage.noticed_at,
            greeted_at: (outage.greeted_at > 0).then_some(outage.greeted_at),
            attempts: outage.attempts,
        }
    }

    /// From the end to the greeting, nanoseconds.
    fn away_ns(&self) -> Option<u64> {
        Some(self.greeted_at?.saturating_sub(self.noticed_at))
    }

    /// Whether there was a wait before each attempt.
    fn waited(&self) -> bool {
        let waits_ns = self.attempts * POLICY.as_nanos() as u64;
        self.attempts > 0 && self.away_ns().is_some_and(|away_ns| away_ns >= waits_ns)
    }
}

async fn measure(lab: &Lab, transport: Transport, subscribers: u32) -> Result<Measured, Broken> {
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
    until_back(&bench, &audience, subscribers, cut_at).await;
    let ended = ended_since(&audience.crowd().log(), cut_at);
    // The count is closed; the kill that follows would take the truth with it.
    let cut = server.disclose().await?.cuts.iter().sum();

    let killed_at = now_ns();
    let endpoint = server.endpoint().clone();
    server.kill().await?;
    let last = bench.last_of_feed(&server);
    bench
        .pacer
        .sleep_until(killed_at + DOWN.as_nanos() as u64)
        .await;
    let started_at = now_ns();
    let mut server = bench
        .start_server_at(&endpoint, connections, POLICY, Some(last))
        .await?;
    let listening_at = now_ns();
    until_back(&bench, &audience, subscribers, killed_at).await;

    let log = audience.crowd().log();
    server.command(Command::End).await?;
    let outcomes = audience.leave().await?;
    server.stop().await?;
    Ok(Measured {
        subscribers,
        ended,
        cut,
        after_cut: outages(&outcomes, cut_at..killed_at),
        killed_at,
        started_at,
        listening_at,
        after_kill: outages(&outcomes, killed_at..u64::MAX),
        live: log.live,
        invalid: bench.record.invalid,
    })
}

/// Waits until a stream has ended since then, everybody is back and nothing has changed for a while; or as
/// long as makes sense. Who is back is judged, not assumed.
async fn until_back(bench: &Bench, audience: &Audience, subscribers: u32, since_ns: u64) {
    let all = subscribers as usize;
    let gives_up_at = now_ns() + PATIENCE.as_nanos() as u64;
    while now_ns() < gives_up_at && !over(&audience.crowd().log(), all, since_ns, now_ns()) {
        bench.pacer.sleep_until(now_ns() + LOOK_NS).await;
    }
}

/// Whether somebody has left since then, everybody is there and it is quiet.
fn over(log: &Log, all: usize, since_ns: u64, now: u64) -> bool {
    let latest = log.live.last();
    let quiet = latest.is_some_and(|(at, live)| *live == all && now >= at + QUIET_NS);
    quiet && ended_since(log, since_ns) > 0
}

/// How often the number of live streams fell, and by how much together.
fn ended_since(log: &Log, since_ns: u64) -> u64 {
    log.live
        .windows(2)
        .filter(|pair| pair[1].0 >= since_ns)
        .map(|pair| pair[0].1.saturating_sub(pair[1].1) as u64)
        .sum()
}

/// Everybody's outages that began then.
fn outages(outcomes: &[Outcome], when: std::ops::Range<u64>) -> Vec<Return> {
    let all = outcomes.iter().flat_map(|outcome| &outcome.outages);
    let of = all.filter(|outage| when.contains(&outage.noticed_at));
    of.map(Return::of).collect()
}

/// Holds what the clients saw against what was done.
fn judge(subject: &str, measured: &Measured) -> Vec<Row> {
    let Measured { ended, cut, .. } = measured;
    vec![
        row(
            format!("{subject}, connections cut"),
            cut.to_string(),
            ended.to_string(),
            "exact",
            ended == cut && *cut > 0,
        ),
        judge_cut(subject, measured),
        judge_restart(subject, measured),
    ]
}

/// Each of those who were cut has waited once.
fn judge_cut(subject: &str, measured: &Measured) -> Row {
    let Measured { cut, after_cut, .. } = measured;
    let policy_ns = POLICY.as_nanos() as u64;
    let away: Vec<u64> = after_cut.iter().filter_map(Return::away_ns).collect();
    let on_time = |away_ns: &u64| (policy_ns..=policy_ns + SLACK_NS).contains(away_ns);
    row(
        format!("{subject}, back after a cut"),
        format!("{cut} clients after {} of waiting", ms(policy_ns as f64)),
        format!(
            "{} back, {} to {} after they noticed",
            away.len(),
            at_best(away.iter().min().copied()),
            at_best(away.iter().max().copied())
        ),
        "− 0, + 20 ms, all of them",
        *cut > 0 && [away.len(), after_cut.len()] == [*cut as usize; 2] && away.iter().all(on_time),
    )
}

fn at_best(ns: Option<u64>) -> String {
    ns.map_or("never".to_owned(), |ns| ms(ns as f64))
}

/// Everybody is back as soon as the policy allows, and nobody before.
fn judge_restart(subject: &str, measured: &Measured) -> Row {
    let Measured {
        subscribers,
        killed_at,
        started_at,
        listening_at,
        after_kill,
        ..
    } = measured;
    let policy_ns = POLICY.as_nanos() as u64;
    let back: Vec<u64> = after_kill.iter().filter_map(|of| of.greeted_at).collect();
    let after = |at: Option<&u64>| {
        at.map_or("never".to_owned(), |at| {
            ms(*at as f64 - *listening_at as f64)
        })
    };
    let times = *started_at..=listening_at + policy_ns + SLACK_NS;
    let hasty = after_kill.iter().filter(|of| !of.waited()).count();
    row(
        format!("{subject}, back after a restart"),
        format!(
            "down for {}, then at most {} of waiting",
            ms((listening_at - killed_at) as f64),
            ms(policy_ns as f64)
        ),
        format!(
            "{} of {subscribers} back, {} to {} after the server; {hasty} sooner than a wait for each attempt",
            back.len(),
            after(back.iter().min()),
            after(back.iter().max())
        ),
        "+ 20 ms, all of them",
        [back.len(), after_kill.len()] == [*subscribers as usize; 2]
            && back.iter().all(|at| times.contains(at))
            && hasty == 0,
    )
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
mod tests;

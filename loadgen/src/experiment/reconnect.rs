//! Reconnect: every stream is cut at once, then the server is killed and comes back.

use std::time::Duration;

use pushbench_reports::record::{self, Chart, Metric};
use pushbench_server::{
    contract::{clock::now_ns, endpoint::Endpoint, event_id::EventId},
    control::Command,
    counters::Counter,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::metric::{COST, NONE, RECONNECT, lower, primary};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    quantity::{Count, Rate, Rounds, Seconds, count, rate, rounds, seconds},
    read_lag::{self, ReadLag},
    recorder::tail,
    server_process::ServerProcess,
    subscriber::{Outage, Outcome},
    validity::Evidence,
    window::Hindrance,
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of the plan.
    pub rounds: Rounds,
    /// Subscribers of the feed: every other one resumes.
    pub subscribers: Count,
    /// Messages a second that the feed publishes.
    pub messages_per_second: Rate,
    /// What the server tells clients to wait before a reconnect; both transports follow it.
    pub retry_s: Seconds,
    /// From the start of the feed to the cut, and from there to the kill.
    pub phase_s: Seconds,
    /// How long the killed server stays away.
    pub down_s: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: rounds(4),
            subscribers: count(100),
            messages_per_second: rate(100.0),
            retry_s: seconds(0.25),
            phase_s: seconds(0.6),
            down_s: seconds(0.3),
        }
    }
}

/// Start and end of two server processes, joining and leaving.
const AROUND_S: f64 = 0.6;

/// How long a crowd may take to come back before the trial goes on without the rest: far above any
/// policy that a plan would name.
const PATIENCE: Duration = Duration::from_secs(20);

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        3.0 * self.phase_s.get() + 2.0 * self.retry_s.get() + self.down_s.get() + AROUND_S
    }

    /// Question, metrics and charts.
    pub fn describe(&self) -> record::Experiment {
        let wait = |name: &str, title: &str| lower(name, title, "ms", RECONNECT);
        let loss = |name: &str, title: &str| lower(name, title, "messages", NONE);
        let one_message = |metric| Metric {
            margin: 1.0,
            margin_reason: "one message: where in the feed's period the cut falls".into(),
            ..metric
        };
        record::Experiment {
            name: "reconnect".into(),
            title: "Reconnection".into(),
            question: "What is lost, and how long does it take, when every stream is cut at once and when the \
                       server is killed?"
                .into(),
            rounds: self.rounds.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            metrics: vec![
                primary(wait("reconnect_gap_ms_p50", "reconnect gap p50 after a cut")),
                wait("notice_ms_p50", "time to notice a cut, p50"),
                wait("back_ms_50", "time until 50 % are back after a cut"),
                wait("back_ms_99", "time until 99 % are back after a cut"),
                wait("back_ms_100", "time until all are back after a cut"),
                lower("attempts_per_second", "connection attempts per second after a cut", "1/s", COST),
                loss("lost_with_resume", "messages lost per subscriber and cut, with resume"),
                loss("duplicated_with_resume", "messages repeated per subscriber and cut, with resume"),
                one_message(loss(
                    "lost_without_resume",
                    "messages lost per subscriber and cut, without resume",
                )),
                loss("duplicated_without_resume", "messages repeated per subscriber and cut, without resume"),
                one_message(loss("kill_lost_with_resume", "messages lost per subscriber and kill, with resume")),
                one_message(loss(
                    "kill_lost_without_resume",
                    "messages lost per subscriber and kill, without resume",
                )),
                wait("kill_reconnect_gap_ms_p50", "reconnect gap p50 after a kill"),
                wait("kill_notice_ms_p50", "time to notice a kill, p50"),
                wait("kill_back_ms_50", "time until 50 % are back after a kill"),
                wait("kill_back_ms_99", "time until 99 % are back after a kill"),
                wait("kill_back_ms_100", "time until all are back after a kill"),
                lower("kill_attempts_per_second", "connection attempts per second after a kill", "1/s", COST),
            ],
            charts: vec![Chart::Timeline {
                file: "reconnect-live".into(),
                title: "Live streams around the cuts".into(),
                subtitle: format!(
                    "{} subscribers; both transports wait {:.0} ms, as the server tells them",
                    self.subscribers,
                    self.retry_s.get() * 1e3
                ),
                caption: "A line is one trial: streams that the clients hold open. It falls when all are reset, and \
                          again when the server is killed; it rises as they come back."
                    .into(),
                points: "live".into(),
                y_title: "live streams".into(),
                marks: "marks".into(),
                mark_titles: vec!["all cut".into(), "server killed".into(), "server back".into()],
            }],
            screen: None,
        }
    }

    /// One crowd, cut once, its server killed once.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        // Twice the subscribers: those who come back meet a server that has not yet buried the old.
        let connections = 2 * self.subscribers.get();
        let mut server = bench
            .start_server(connections, self.retry_s.duration())
            .await?;
        let mut audience = Audience::new(bench, &server, true);
        audience
            .grow(bench, &server, self.subscribers.get(), |number| {
                number.is_multiple_of(2)
            })
            .await;
        let rate = self.messages_per_second.per_second();
        server.command(Command::Feed { rate }).await?;
        let start_ns = now_ns();
        let mut hindrance = Hindrance::default();
        hindrance.begin(&server)?;
        let read_lag = ReadLag::begin(bench.pacer.clone());

        self.pause(bench, self.phase_s).await;
        let cut_ns = now_ns();
        let cut = server.command(Command::Cut).await?;
        bench.weigh(&Evidence::Cut {
            asked: self.subscribers.get().into(),
            cut,
        });
        self.until_back(bench, &audience, &server).await;

        hindrance.end(&server)?;
        let mut lag = read_lag.end().await?;
        let kill_ns = now_ns();
        let endpoint = server.endpoint().clone();
        server.kill().await?;
        let last = bench.last_of_feed(&server);
        let owed = vec![server.counters().read(Counter::Owed)];
        self.pause(bench, self.down_s).await;
        let (mut server, up_ns) = self.revive(bench, &endpoint, connections, last).await?;
        hindrance.begin(&server)?;
        let read_lag = ReadLag::begin(bench.pacer.clone());
        server.command(Command::Feed { rate }).await?;
        self.until_back(bench, &audience, &server).await;
        hindrance.end(&server)?;
        lag.add(read_lag.end().await?).map_err(|error| {
            Broken::io("add up the read lag")(std::io::Error::other(error.to_string()))
        })?;
        hindrance.report(bench);
        bench.weigh(&Evidence::HerdReadLag(tail(&lag)));
        read_lag::report(bench, &lag)?;

        let log = audience.crowd().log();
        // Now, because settings are read back from a live connection.
        let stats = server.stats(false).await?;
        server.command(Command::End).await?;
        let outcomes = audience.leave().await?;
        let owed = [owed, vec![server.counters().read(Counter::Owed)]].concat();
        server.stop().await?;

        bench.take_stats(&stats)?;
        bench.setting("resume", "every other subscriber");
        bench.setting(
            "reconnect_policy",
            format!(
                "wait {} ms after each end or failure, no jitter",
                self.retry_s.get() * 1e3
            ),
        );
        bench.balance(&owed, outcomes.iter().map(|outcome| &outcome.ledger));
        self.report(bench, &outcomes, &log.attempts, cut_ns, kill_ns);
        let ms = |at_ns: u64| at_ns.saturating_sub(start_ns) as f64 / 1e6;
        // How they joined is of no interest: the series starts when all have.
        let all = [0.0, f64::from(self.subscribers.get())];
        let changes = log.live.iter().filter(|&&(at_ns, _)| at_ns > start_ns);
        let live = changes.map(|&(at_ns, live)| [ms(at_ns), live as f64]);
        let live = std::iter::once(all).chain(live).collect();
        bench.record.points.insert("live".into(), live);
        let marks = [cut_ns, kill_ns, up_ns]
            .into_iter()
            .zip(0..)
            .map(|(at_ns, k)| [ms(at_ns), f64::from(k)]);
        bench.record.points.insert("marks".into(), marks.collect());
        Ok(())
    }

    async fn pause(&self, bench: &Bench, time: Seconds) {
        bench.pacer.sleep_until(now_ns() + time.nanos()).await;
    }

    /// Waits until everybody is back and a phase has passed; both ends must agree that all are.
    async fn until_back(&self, bench: &mut Bench, audience: &Audience, server: &ServerProcess) {
        // The cut must have been noticed before a count can mean that they are back.
        self.pause(bench, self.retry_s).await;
        // Whether all came back is asked of both ends next.
        let _ = timeout(
            PATIENCE,
            audience.crowd().reaches(self.subscribers.get() as usize),
        )
        .await;
        self.pause(bench, self.phase_s).await;
        audience.verify(bench, server, self.subscribers.get());
    }

    /// Starts the next epoch where the last one listened.
    async fn revive(
        &self,
        bench: &mut Bench,
        endpoint: &Endpoint,
        connections: u32,
        last: EventId,
    ) -> Result<(ServerProcess, u64), Broken> {
        let server = bench
            .start_server_at(endpoint, connections, self.retry_s.duration(), Some(last))
            .await?;
        Ok((server, now_ns()))
    }

    fn report(
        &self,
        bench: &mut Bench,
        outcomes: &[Outcome],
        attempts: &[u64],
        cut_ns: u64,
        kill_ns: u64,
    ) {
        for (prefix, nth, since_ns) in [("", 0, cut_ns), ("kill_", 1, kill_ns)] {
            let outages: Vec<&Outage> = outcomes
                .iter()
                .filter_map(|outcome| outcome.outages.get(nth))
                .collect();
            bench.weigh(&Evidence::Noticed {
                outage: nth as u64 + 1,
                asked: outcomes.len() as u64,
                noticed: outages.len() as u64,
            });
            for outage in &outages {
                bench.count(&format!("{prefix}ended_{}", outage.cause), 1);
            }
            let since = |at: fn(&Outage) -> u64| -> Vec<f64> {
                sorted(
                    outages
                        .iter()
                        .map(|outage| at(outage))
                        .filter(|&at| at > 0)
                        .map(|at| at.saturating_sub(since_ns)),
                )
            };
            let gaps = outages.iter().filter(|outage| outage.first_new_at > 0);
            let gaps = sorted(gaps.map(|outage| outage.first_new_at - outage.last_message_at));
            bench.metric(&format!("{prefix}reconnect_gap_ms_p50"), share(&gaps, 0.5));
            bench.metric(
                &format!("{prefix}notice_ms_p50"),
                share(&since(|outage| outage.noticed_at), 0.5),
            );
            let back = since(|outage| outage.greeted_at);
            for (suffix, part) in [("50", 0.5), ("99", 0.99), ("100", 1.0)] {
                bench.metric(&format!("{prefix}back_ms_{suffix}"), share(&back, part));
            }
            if let Some(&last_ms) = back.last() {
                let until_ns = since_ns + (last_ms * 1e6) as u64;
                let tried = attempts
                    .iter()
                    .filter(|&&at| (since_ns..=until_ns).contains(&at))
                    .count();
                bench.metric(
                    &format!("{prefix}attempts_per_second"),
                    tried as f64 / (last_ms / 1e3),
                );
            }
        }
        self.report_losses(bench, outcomes);
    }

    /// A killed server takes its history with it: after the kill resume has nothing to resume from, and
    /// what was under way is lost with it or without it.
    fn report_losses(&self, bench: &mut Bench, outcomes: &[Outcome]) {
        for (prefix, nth) in [("", 0), ("kill_", 1)] {
            for (suffix, resumed) in [("with_resume", true), ("without_resume", false)] {
                let of_kind = outcomes.iter().filter(|outcome| outcome.resumed == resumed);
                let outages: Vec<_> = of_kind
                    .filter_map(|outcome| outcome.outages.get(nth))
                    .collect();
                let each = |count: fn(&Outage) -> u64| {
                    let total: u64 = outages.iter().map(|outage| count(outage)).sum();
                    (!outages.is_empty()).then(|| total as f64 / outages.len() as f64)
                };
                bench.metric(
                    &format!("{prefix}lost_{suffix}"),
                    each(|outage| outage.lost),
                );
                bench.metric(
                    &format!("{prefix}duplicated_{suffix}"),
                    each(|outage| outage.duplicated),
                );
            }
        }
    }
}

/// Nanoseconds → sorted milliseconds.
fn sorted(times_ns: impl Iterator<Item = u64>) -> Vec<f64> {
    let mut times: Vec<f64> = times_ns.map(|ns| ns as f64 / 1e6).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The time by which this part of all had it (an order statistic, not an estimate); none of nobody.
fn share(sorted_ms: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted_ms.len() as f64).ceil() as usize;
    sorted_ms.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_order_statistics() {
        let times = sorted([4, 1, 3, 2].into_iter().map(|ms| ms * 1_000_000));
        assert_eq!(share(&times, 0.5), Some(2.0));
        assert_eq!(share(&times, 0.99), Some(4.0));
        assert_eq!(share(&times, 1.0), Some(4.0));
        assert_eq!(share(&[], 0.5), None);
    }
}

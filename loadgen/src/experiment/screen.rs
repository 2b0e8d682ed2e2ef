//! Screen: everything that factors may change, measured on one server in a few seconds: memory, the first
//! token, a token's latency, CPU and bytes.
//!
//! Not for a verdict on two arms, for which the other experiments take more time, but for a design of many
//! (`plan/screen.rs`): what a trial lacks in length, the number of trials has.

use std::time::Duration;

use pushbench_reports::record::{self, Chart};
use pushbench_server::{
    contract::clock::now_ns, control::Command, corpus::Language, counters::Counter,
};
use serde::{Deserialize, Serialize};

use super::metric::{COST, FIRST_TOKEN, MEMORY, TOKEN, lower, primary, read_by_client};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    chat::Crowd,
    meter::memory::UserMemory,
    quantity::{Count, Rate, Rounds, Seconds, count, rate, seconds},
    read_lag,
    recorder::{Recorder, quantile_ms},
    server_process::ServerProcess,
    subscriber::Outcome,
    validity::Evidence,
    warm_up::WarmUp,
    window::{Hindrance, Window, observe},
    workload::Turn,
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often the whole design is run. Any number: no order is mirrored.
    pub replicates: Count,
    /// Live streams at the first reading of memory: more than were opened and closed before it, so that no
    /// stream after it uses what those left.
    pub first_connections: Count,
    /// Live streams at the second reading, and subscribers of the feed.
    pub connections: Count,
    /// Turns that open a connection each, one after another.
    pub turns: Count,
    /// Tokens of a turn.
    pub tokens: Count,
    /// From the prompt to the first token: less than an acknowledgement may be delayed, as in an answer
    /// from a cache, so that what waits for one is seen to.
    pub first_token_s: Seconds,
    /// From one token to the next.
    pub token_gap_s: Seconds,
    /// Messages a second that the feed publishes; what the most costly combination of levels sustains.
    pub messages_per_second: Rate,
    /// Messages flow and nothing is recorded, until their latency has been steady for this long.
    pub warm_up_s: Seconds,
    /// What has not settled by then makes the trial invalid.
    pub warm_up_max_s: Seconds,
    /// CPU and bytes are measured over this time.
    pub window_s: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicates: count(3),
            first_connections: count(30),
            connections: count(130),
            turns: count(30),
            tokens: count(6),
            first_token_s: seconds(0.015),
            token_gap_s: seconds(0.005),
            messages_per_second: rate(80.0),
            warm_up_s: seconds(0.6),
            warm_up_max_s: seconds(5.0),
            window_s: seconds(1.2),
        }
    }
}

/// Opened and closed before the first reading, so that what is allocated once is allocated.
const WARM_UP_CONNECTIONS: u32 = 20;

/// Turns before those that count: the first ones meet code that has never run.
const WARM_UP_TURNS: u32 = 5;

/// Start and end of a server process, joining and leaving.
const AROUND_S: f64 = 0.4;

/// Seconds that a connection takes to be opened, with TLS in half of the trials.
const CONNECT_S: f64 = 0.001;

/// Between the last change and a reading of memory: the server's tasks have long gone idle then.
const SETTLE: Duration = Duration::from_millis(100);

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        let turns = f64::from(self.turns.get() + WARM_UP_TURNS);
        let turn =
            self.first_token_s.get() + f64::from(self.tokens.get() - 1) * self.token_gap_s.get();
        let opened = f64::from(WARM_UP_CONNECTIONS + self.connections.get()) + turns;
        AROUND_S
            + opened * CONNECT_S
            + 2.0 * SETTLE.as_secs_f64()
            + turns * turn
            + self.warm_up().seconds()
            + self.window_s.get()
    }

    /// How long the warm-up may take.
    pub fn warm_up(&self) -> WarmUp {
        WarmUp {
            least: self.warm_up_s,
            most: self.warm_up_max_s,
        }
    }

    /// The same in another number of replicates.
    pub fn set_rounds(&mut self, rounds: Rounds) {
        if let Ok(replicates) = Count::try_from(rounds.get()) {
            self.replicates = replicates;
        }
    }

    /// Connections open at most: the feed's, and a turn's while the one before it is being closed.
    pub fn connections(&self) -> u32 {
        self.connections.get() + 2
    }

    /// Question, metrics and charts.
    pub fn describe(&self) -> record::Experiment {
        let time =
            |name: &str, title: &str, margin| read_by_client(1, lower(name, title, "ms", margin));
        let metrics = vec![
            primary(lower(
                "server_cpu_us_per_message",
                "server CPU per message",
                "µs",
                COST,
            )),
            time(
                "ttft_cold_ms_p50",
                "time to first token p50, new connection",
                FIRST_TOKEN,
            ),
            time("token_latency_ms_p50", "token latency p50", TOKEN),
            lower(
                "user_bytes_per_idle_connection",
                "user memory per idle connection",
                "bytes",
                MEMORY,
            ),
            lower(
                "bytes_per_message",
                "bytes per message, TCP's payload",
                "bytes",
                COST,
            ),
        ];
        let charts = metrics.iter().map(|metric| Chart::Tornado {
            file: format!("screen-{}", metric.name.replace('_', "-")),
            title: format!("What moves the {}", metric.title),
            subtitle: "each factor from its low level to its high one, all others at both; the transport among them"
                .into(),
            caption: "A bar is an effect with its interval. Bars longer than the transport's are of what matters more \
                      than the transport; what an interval leaves at no effect was not found to matter."
                .into(),
            metric: metric.name.clone(),
        });
        record::Experiment {
            name: "screen".into(),
            title: "What matters more than the transport".into(),
            question:
                "Which of the knobs move cost and latency, and by how much beside the transport?"
                    .into(),
            rounds: self.replicates.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            charts: charts.collect(),
            metrics,
            screen: None,
        }
    }

    /// Memory before anything streams, turns while nothing else does, then the feed.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        let mut server = bench
            .start_server(self.connections(), Duration::from_secs(3))
            .await?;
        Audience::come_and_go(bench, &mut server, WARM_UP_CONNECTIONS).await?;
        let mut audience = Audience::new(bench, &server, false);
        self.memory(bench, &server, &mut audience).await?;
        let crowd = self.turns(bench, &server).await?;
        let feed = self.feed(bench, &mut server, audience).await?;
        let owed = server.counters().read(Counter::Owed);
        server.stop().await?;
        report_turns(bench, &crowd)?;
        report_feed(bench, &feed)?;
        let ledgers = feed.outcomes.iter().map(|outcome| &outcome.ledger);
        bench.balance(&[owed], ledgers.chain([&crowd.tally().ledgers]));
        Ok(())
    }

    /// What a live stream costs, between two counts that both ends agree on.
    async fn memory(
        &self,
        bench: &mut Bench,
        server: &ServerProcess,
        audience: &mut Audience,
    ) -> Result<(), Broken> {
        let resume = bench.arm.factors.resume;
        let counts = [self.first_connections.get(), self.connections.get()];
        let mut bytes = [0.0; 2];
        for (count, bytes) in counts.into_iter().zip(&mut bytes) {
            audience.grow(bench, server, count, |_| resume).await;
            // A pause for the server, not a measured time.
            tokio::time::sleep(SETTLE).await;
            audience.verify(bench, server, count);
            let memory = UserMemory::of(server.pid()).map_err(|error| {
                Broken::io("read the server's memory")(std::io::Error::other(error))
            })?;
            *bytes = memory.anonymous_bytes as f64;
        }
        let [fewer, more] = counts;
        let added = f64::from(more.saturating_sub(fewer));
        let each = (added > 0.0).then(|| (bytes[1] - bytes[0]) / added);
        bench.metric("user_bytes_per_idle_connection", each);
        Ok(())
    }

    /// Turns that each open a connection, one after another: nothing else streams.
    async fn turns(&self, bench: &mut Bench, server: &ServerProcess) -> Result<Crowd, Broken> {
        let mut crowd = Crowd::new(bench, server);
        let mut hindrance = Hindrance::default();
        for number in 0..WARM_UP_TURNS + self.turns.get() {
            if number == WARM_UP_TURNS {
                crowd.tally().open(now_ns()..u64::MAX);
                hindrance.begin(server)?;
            }
            let turn = self.turn(bench.seed, number);
            crowd.start(&turn, now_ns());
            crowd.settled().await?;
        }
        hindrance.end(server)?;
        hindrance.report(bench);
        Ok(crowd)
    }

    fn turn(&self, seed: u64, number: u32) -> Turn {
        let languages = Language::ALL;
        Turn {
            due_ns: 0,
            tokens: self.tokens.get(),
            first_token_ns: self.first_token_s.nanos(),
            token_gap_ns: self.token_gap_s.nanos(),
            language: languages[number as usize % languages.len()],
            seed: seed.wrapping_add(number.into()),
            cold: true,
        }
    }

    /// Everybody's messages at a fixed rate.
    async fn feed(
        &self,
        bench: &mut Bench,
        server: &mut ServerProcess,
        mut audience: Audience,
    ) -> Result<Feed, Broken> {
        let rate = self.messages_per_second.per_second();
        server.command(Command::Feed { rate }).await?;
        let start_ns = audience.settle(bench, self.warm_up()).await;
        let end_ns = start_ns + self.window_s.nanos();
        *audience.recorder() = Recorder::new(start_ns..end_ns);
        let window = observe(bench, server, (start_ns, end_ns)).await?;
        audience.verify(bench, server, self.connections.get());
        server.command(Command::End).await?;
        let outcomes = audience.leave().await?;
        let recorder = std::mem::replace(&mut *audience.recorder(), Recorder::new(0..0));
        Ok(Feed {
            window,
            recorder,
            outcomes,
        })
    }
}

/// What the feed gave.
struct Feed {
    window: Window,
    recorder: Recorder,
    outcomes: Vec<Outcome>,
}

fn report_turns(bench: &mut Bench, crowd: &Crowd) -> Result<(), Broken> {
    let tally = crowd.tally();
    bench.histogram("ttft_cold", &tally.ttft_cold)?;
    bench.histogram("token_latency", &tally.recorder.latency)?;
    bench.metric("ttft_cold_ms_p50", quantile_ms(&tally.ttft_cold, 0.5));
    bench.metric(
        "token_latency_ms_p50",
        quantile_ms(&tally.recorder.latency, 0.5),
    );
    bench.count("turns", tally.turns);
    bench.weigh(&Evidence::FailedTurns {
        count: tally.failures.len() as u64,
        first: tally.failures.first().cloned().unwrap_or_default(),
    });
    bench.check_clock(&tally.recorder);
    Ok(())
}

fn report_feed(bench: &mut Bench, feed: &Feed) -> Result<(), Broken> {
    let Feed {
        window,
        recorder,
        outcomes,
    } = feed;
    bench.take_stats(&window.after)?;
    read_lag::report(bench, &window.read_lag)?;
    let delivered = window.rise(Counter::HandedOver) as f64;
    let cpu_us = window.server_cpu_ns as f64 / 1e3;
    bench.metric(
        "server_cpu_us_per_message",
        (delivered > 0.0).then(|| cpu_us / delivered),
    );
    bench.metric("bytes_per_message", window.bytes_a_message());
    // Of all subscribers: mostly the place in the fan-out, so of CPU, and not screened by itself.
    bench.metric(
        "fan_out_latency_ms_p50",
        quantile_ms(&recorder.latency, 0.5),
    );
    bench.metric("messages_a_segment", window.messages_a_segment());
    if let Some(ended) = outcomes.iter().find_map(|outcome| outcome.gave_up.as_ref()) {
        bench.weigh(&Evidence::CutOff(ended.to_string()));
    }
    bench.check_clock(recorder);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stream_between_the_two_readings_uses_what_the_warm_up_left() {
        let settings = Settings::default();
        let (first, all) = (settings.first_connections.get(), settings.connections.get());
        assert!(WARM_UP_CONNECTIONS < first && first < all);
    }

    #[test]
    fn turns_are_cold_speak_both_languages_and_repeat_by_the_seed() {
        let settings = Settings::default();
        let [one, other] = [0, 1].map(|number| settings.turn(u64::MAX, number));
        assert!(one.cold && one.language != other.language && one.seed != other.seed);
        assert_eq!(one, settings.turn(u64::MAX, 0));
    }
}

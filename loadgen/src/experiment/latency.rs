//! Latency: chat turns arriving open-loop, half of them cold and half warm.

use std::{cell::Cell, future::pending, time::Duration};

use hdrhistogram::Histogram;
use pushbench_reports::record::{self, Chart};
use pushbench_server::{
    contract::clock::now_ns,
    control::{Command, Stats},
    counters::Counter,
};
use serde::{Deserialize, Serialize};

use super::metric::{FIRST_TOKEN, NONE, TOKEN, lower, primary, read_by_client};
use crate::{
    bench::{Bench, Broken},
    chat::Crowd,
    quantity::{Count, Rate, Rounds, Seconds, count, rate, rounds, seconds},
    read_lag,
    recorder::{quantile_ms, tail},
    validity::Evidence,
    warm_up::{self, WarmUp, take_median_ns},
    window::observe,
    workload::{Chat, Turn},
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of the plan.
    pub rounds: Rounds,
    /// Turns arrive and nothing is recorded, until the latency has been steady for this long.
    pub warm_up_s: Seconds,
    /// What has not settled by then makes the trial invalid; far more than a healthy machine needs.
    pub warm_up_max_s: Seconds,
    /// Turns arrive and everything is recorded; turns running at its end are cut and counted.
    pub window_s: Seconds,
    /// Mean arrivals a second, Poisson: enough for a p90 of cold and of warm turns in a short window.
    /// With a trace, see `speed_up`.
    pub turns_per_second: Rate,
    /// From the prompt to the first token; real models take 500 to 900 ms, shortened here so that a
    /// trial holds many turns.
    pub first_token_s: Seconds,
    /// How much faster than in the trace turns arrive; token gaps are never compressed.
    pub speed_up: Rate,
    /// Connections kept open for warm turns: more than run at once.
    pub warm_connections: Count,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: rounds(6),
            warm_up_s: seconds(0.6),
            warm_up_max_s: seconds(5.0),
            window_s: seconds(2.5),
            turns_per_second: rate(90.0),
            first_token_s: seconds(0.03),
            speed_up: rate(10.0),
            warm_connections: count(250),
        }
    }
}

/// Connections beyond the warm ones: cold turns that run at once, with room.
const COLD_CONNECTIONS: u32 = 1_000;

/// Start and end of a server process, and the last turns' goodbye.
const AROUND_S: f64 = 0.4;

/// How late a token may be at the window's end and still be recorded: a hundred times what is usual.
const LATE_NS: u64 = 50_000_000;

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        self.warm_up().seconds() + self.window_s.get() + AROUND_S
    }

    /// How long the warm-up may take.
    pub fn warm_up(&self) -> WarmUp {
        WarmUp {
            least: self.warm_up_s,
            most: self.warm_up_max_s,
        }
    }

    /// Connections open at most.
    pub fn connections(&self) -> u32 {
        self.warm_connections.get() + COLD_CONNECTIONS
    }

    /// Question, metrics and charts.
    pub fn describe(&self) -> record::Experiment {
        let ms = |name: &str, title: &str| lower(name, title, "ms", TOKEN);
        let token = |name: &str, title: &str| read_by_client(1, ms(name, title));
        let first =
            |name: &str, title: &str| read_by_client(1, lower(name, title, "ms", FIRST_TOKEN));
        record::Experiment {
            name: "latency".into(),
            title: "Latency".into(),
            question: "How long does a token take from the moment it is due until the client has decoded it?".into(),
            rounds: self.rounds.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            metrics: vec![
                primary(token("token_latency_ms_p50", "token latency p50")),
                token("token_latency_ms_p90", "token latency p90"),
                token("token_latency_ms_p99", "token latency p99"),
                token("token_latency_ms_p999", "token latency p99.9"),
                token("token_latency_ms_max", "token latency max"),
                first("ttft_cold_ms_p50", "time to first token p50, new connection"),
                first("ttft_cold_ms_p90", "time to first token p90, new connection"),
                first("ttft_warm_ms_p50", "time to first token p50, connection reused"),
                first("ttft_warm_ms_p90", "time to first token p90, connection reused"),
                token("service_ms_p50", "service time p50"),
                token("service_ms_p99", "service time p99"),
                ms("pacer_lag_ms_p50", "pacer lag p50"),
                ms("pacer_lag_ms_p99", "pacer lag p99"),
                ms("deviation_ms_p50", "inter-token deviation p50"),
                ms("deviation_ms_p99", "inter-token deviation p99"),
                ms("inter_token_ms_p50", "inter-token latency p50"),
                ms("inter_token_ms_mean", "inter-token latency, mean"),
                lower("round_trips_cold", "round trips to the first token, new connection", "round trips", NONE),
                lower("round_trips_warm", "round trips to the first token, connection reused", "round trips", NONE),
            ],
            charts: vec![
                Chart::Percentiles {
                    file: "latency-tokens".into(),
                    title: "Token latency".into(),
                    subtitle: "received − scheduled, all valid trials of an arm merged".into(),
                    caption: "Each line is one arm; a point says that this share of tokens took at most so long. \
                              Lower is better, and lines that lie on each other are arms that do not differ."
                        .into(),
                    histogram: "token_latency".into(),
                    scale: 1e-6,
                    unit: "ms".into(),
                },
                Chart::Percentiles {
                    file: "latency-deviation".into(),
                    title: "Inter-token deviation".into(),
                    subtitle: "how far the gap between two tokens was from the schedule's".into(),
                    caption: "0 would be a stream as even as its schedule. Hold it against the gap between two \
                              tokens, 13 to 18 ms here."
                        .into(),
                    histogram: "deviation".into(),
                    scale: 1e-6,
                    unit: "ms".into(),
                },
                Chart::Dots {
                    file: "latency-first-token".into(),
                    title: "Time to the first token".into(),
                    subtitle: format!(
                        "every trial a dot; of it {:.0} ms are the planned delay of the model",
                        self.first_token_s.get() * 1e3
                    ),
                    caption: "Cold turns open a connection first, warm ones reuse one. On loopback a round trip \
                              costs next to nothing; the table below says what it would cost on a network."
                        .into(),
                    metrics: vec!["ttft_cold_ms_p50".into(), "ttft_warm_ms_p50".into()],
                },
                Chart::Multiples {
                    file: "latency-round-trips".into(),
                    title: "What the round trips cost on a network".into(),
                    subtitle: "arithmetic, not measured: round trips counted here × round-trip time".into(),
                    caption: "TCP's handshake counts as one, a WebSocket upgrade as another. TLS would add one to \
                              each cold start."
                        .into(),
                    metrics: vec!["round_trips_cold".into(), "round_trips_warm".into()],
                    factors: vec![1.0, 20.0, 50.0, 150.0],
                    unit: "ms".into(),
                },
                warm_up::chart("latency", self.warm_up()),
            ],
            screen: None,
        }
    }

    /// Runs the turns of one trial.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        let mut server = bench
            .start_server(self.connections(), Duration::from_secs(3))
            .await?;
        let mut crowd = Crowd::new(bench, &server);
        crowd.warm(self.warm_connections.get()).await?;

        let turns = self.turns(bench);
        // Far enough ahead that the first turn is not late.
        let start_ns = now_ns() + 20_000_000;
        let end_ns = Cell::new(u64::MAX);
        let pacer = bench.pacer.clone();
        let tally = crowd.shared_tally();
        let watched = async {
            tally.lock().open(start_ns..u64::MAX);
            let median_ns = || take_median_ns(&mut tally.lock().recorder);
            let warmed = self.warm_up().watch(&pacer, start_ns, median_ns).await;
            let window = (warmed.opens_ns, warmed.opens_ns + self.window_s.nanos());
            end_ns.set(window.1);
            tally.lock().open(window.0..window.1);
            warmed.report(bench);
            observe(bench, &mut server, window).await
        };
        let arrivals = async {
            for turn in &turns {
                let due_ns = start_ns + turn.due_ns;
                pacer.sleep_until(due_ns).await;
                if due_ns >= end_ns.get() {
                    break;
                }
                crowd.start(turn, due_ns);
            }
            pending().await
        };
        let window = tokio::select! {
            window = watched => window?,
            never = arrivals => match never {},
        };
        // The latest turns' first tokens, and tokens that a stall held up, count too: a stream that ended
        // with the window would leave out the slowest.
        pacer
            .sleep_until(now_ns() + self.first_token_s.nanos() + LATE_NS)
            .await;
        server.command(Command::End).await?;
        crowd.finish().await?;
        let owed = server.counters().read(Counter::Owed);
        server.stop().await?;
        read_lag::report(bench, &window.read_lag)?;
        self.report(bench, &crowd, &window.after, owed)
    }

    /// Enough for the longest warm-up, and the same whenever the window opens: all arms of a round meet
    /// the same arrivals.
    fn turns(&self, bench: &Bench) -> Vec<Turn> {
        let chat = Chat {
            seed: bench.seed,
            window_ns: self.warm_up().longest_ns() + self.window_s.nanos(),
            first_token_ns: self.first_token_s.nanos(),
        };
        match &bench.trace {
            Some(trace) => chat.replay(trace, self.speed_up.per_second()),
            None => chat.synthetic(self.turns_per_second.per_second()),
        }
    }

    fn report(
        &self,
        bench: &mut Bench,
        crowd: &Crowd,
        stats: &Stats,
        owed: u64,
    ) -> Result<(), Broken> {
        let tally = crowd.tally();
        let of_server = bench.take_stats(stats)?;
        let recorder = &tally.recorder;
        if let Some(path) = tally.path {
            bench.setting("path", path);
        }
        for (name, histogram) in [
            ("token_latency", &recorder.latency),
            ("service", &recorder.service),
            ("deviation", &recorder.deviation),
            ("inter_token", &recorder.inter_token),
            ("ttft_cold", &tally.ttft_cold),
            ("ttft_warm", &tally.ttft_warm),
            ("send_lag", &tally.send_lag),
        ] {
            bench.histogram(name, histogram)?;
        }
        for (suffix, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            bench.metric(
                &format!("token_latency_ms_{suffix}"),
                quantile_ms(&recorder.latency, q),
            );
            bench.metric(
                &format!("service_ms_{suffix}"),
                quantile_ms(&recorder.service, q),
            );
            bench.metric(
                &format!("deviation_ms_{suffix}"),
                quantile_ms(&recorder.deviation, q),
            );
            bench.metric(
                &format!("inter_token_ms_{suffix}"),
                quantile_ms(&recorder.inter_token, q),
            );
            bench.metric(
                &format!("ttft_cold_ms_{suffix}"),
                quantile_ms(&tally.ttft_cold, q),
            );
            bench.metric(
                &format!("ttft_warm_ms_{suffix}"),
                quantile_ms(&tally.ttft_warm, q),
            );
            bench.metric(
                &format!("send_lag_ms_{suffix}"),
                quantile_ms(&tally.send_lag, q),
            );
            for name in ["pacer_lag", "hand_off"] {
                let value = of_server
                    .get(name)
                    .and_then(|histogram| quantile_ms(histogram, q));
                bench.metric(&format!("{name}_ms_{suffix}"), value);
            }
        }
        let mean = (!recorder.inter_token.is_empty()).then(|| recorder.inter_token.mean() / 1e6);
        bench.metric("inter_token_ms_mean", mean);
        let max = (!recorder.latency.is_empty()).then(|| recorder.latency.max() as f64 / 1e6);
        bench.metric("token_latency_ms_max", max);
        bench.metric(
            "messages_a_write",
            of_server.get("messages_a_write").map(Histogram::mean),
        );
        bench.metric("round_trips_cold", tally.trips_cold.mean());
        bench.metric("round_trips_warm", tally.trips_warm.mean());
        bench.count("turns", tally.turns);
        bench.count("turns_cut_by_the_window", tally.cut);
        bench.count("turns_failed", tally.failures.len() as u64);
        bench.count("tokens_in_window", recorder.received);
        bench.balance(&[owed], std::iter::once(&tally.ledgers));
        bench.weigh(&Evidence::FailedTurns {
            count: tally.failures.len() as u64,
            first: tally.failures.first().cloned().unwrap_or_default(),
        });
        bench.check_clock(recorder);
        bench.weigh(&Evidence::SendLag(tail(&tally.send_lag)));
        Ok(())
    }
}

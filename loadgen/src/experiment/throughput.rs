//! Throughput: what a delivered message costs in CPU, and the highest rate that is sustained.

mod bracket;

use std::time::Duration;

use hdrhistogram::Histogram;
use pushbench_reports::record::{self, Chart};
use pushbench_server::{contract::clock::now_ns, control::Command, counters::Counter};
use serde::{Deserialize, Serialize};

use self::bracket::{Attempt, Bracket, DOUBLINGS, HALVINGS};
use super::metric::{COST, TOKEN, higher, lower, primary, read_by_client};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    quantity::{Count, Rate, Rounds, Seconds, count, rate, rounds, seconds},
    read_lag,
    recorder::{Recorder, quantile_ms},
    subscriber::Outcome,
    validity::Evidence,
    warm_up::{self, WarmUp},
    window::{Window, observe},
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of the plan.
    pub rounds: Rounds,
    /// Subscribers of the feed.
    pub subscribers: Count,
    /// Messages a second that the feed publishes; times `subscribers`, the deliveries a second.
    pub messages_per_second: Rate,
    /// Messages flow and nothing is recorded, until their latency has been steady for this long.
    pub warm_up_s: Seconds,
    /// What has not settled by then makes the trial invalid; far more than a healthy machine needs.
    pub warm_up_max_s: Seconds,
    /// CPU is measured over this time.
    pub window_s: Seconds,
    /// Whether the highest sustained rate is searched for as well.
    pub search: bool,
    /// Time that a rate must be sustained in the search.
    pub search_step_s: Seconds,
    /// A rate is sustained while the latency's p99 stays within this and nothing is dropped.
    pub search_p99_s: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: rounds(6),
            subscribers: count(100),
            messages_per_second: rate(200.0),
            warm_up_s: seconds(0.6),
            warm_up_max_s: seconds(5.0),
            window_s: seconds(1.2),
            search: false,
            search_step_s: seconds(1.0),
            search_p99_s: seconds(0.05),
        }
    }
}

/// Start and end of a server process, joining and leaving.
const AROUND_S: f64 = 0.3;

/// Messages flow for so long before a step of the search counts: a rate above the limit never settles, and
/// the 50 ms or so that a step is held against are far above what a cold start adds.
const SEARCH_WARM_UP: Seconds = seconds(0.3);

/// Share of the offered messages that must have arrived within the window for a rate to count as
/// sustained; the rest is what is under way at its end.
const SUSTAINED: f64 = 0.99;

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        let fixed = self.warm_up().seconds() + self.window_s.get() + AROUND_S;
        let step = SEARCH_WARM_UP.get() + self.search_step_s.get() + AROUND_S;
        // As it turns out in practice: about half of the doublings are needed.
        fixed
            + if self.search {
                step * f64::from(DOUBLINGS / 2 + HALVINGS)
            } else {
                0.0
            }
    }

    /// How long the warm-up may take.
    pub fn warm_up(&self) -> WarmUp {
        WarmUp {
            least: self.warm_up_s,
            most: self.warm_up_max_s,
        }
    }

    /// Question, metrics and charts.
    pub fn describe(&self) -> record::Experiment {
        let deliveries = self.messages_per_second.per_second() * f64::from(self.subscribers.get());
        // The last subscriber's message is read when those of all others are.
        let fan_out = |name: &str, title: &str| {
            read_by_client(self.subscribers.get(), lower(name, title, "ms", TOKEN))
        };
        let mut metrics = vec![
            primary(lower(
                "server_cpu_us_per_message",
                "server CPU per message",
                "µs",
                COST,
            )),
            lower(
                "generator_cpu_us_per_message",
                "client CPU per message",
                "µs",
                COST,
            ),
            fan_out("fan_out_latency_ms_p50", "latency p50 in the fan-out"),
            fan_out("fan_out_latency_ms_p99", "latency p99 in the fan-out"),
            lower("hand_off_ms_p50", "hand-off p50", "ms", TOKEN),
            lower("hand_off_ms_p99", "hand-off p99", "ms", TOKEN),
            higher(
                "messages_a_segment",
                "messages per segment",
                "messages",
                COST,
            ),
        ];
        if self.search {
            metrics.push(higher(
                "sustained_deliveries_per_second",
                "highest rate sustained",
                "1/s",
                COST,
            ));
        }
        record::Experiment {
            name: "throughput".into(),
            title: "Throughput and CPU".into(),
            question: "What does a delivered message cost, at a rate that both sustain?".into(),
            rounds: self.rounds.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            metrics,
            charts: vec![Chart::Dots {
                file: "throughput-cpu".into(),
                title: "CPU per delivered message".into(),
                subtitle: format!("{deliveries:.0} deliveries a second to {} subscribers, every trial a dot", self.subscribers),
                caption: "Server and generator are separate processes. Compare arms within a panel; the distance \
                          between the two panels is that of two programs, not of two protocols."
                    .into(),
                metrics: vec!["server_cpu_us_per_message".into(), "generator_cpu_us_per_message".into()],
            }, warm_up::chart("throughput", self.warm_up())],
            screen: None,
        }
    }

    /// Measures at the fixed rate, then searches if asked to.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        let fixed = self
            .run(
                bench,
                self.messages_per_second.per_second(),
                self.window_s,
                Warming::UntilSettled,
            )
            .await?;
        self.report(bench, &fixed)?;
        let rate = self.messages_per_second.per_second();
        let borne = self.judge(&bench.record.invalid, rate, self.window_s, &fixed);
        if let Attempt::Failed = borne {
            bench.record.notes.push(format!(
                "the server did not sustain {rate} messages a second: its CPU per message is that of an overloaded server"
            ));
        }
        if self.search {
            self.search(bench, borne).await?;
        }
        Ok(())
    }

    /// One server, one audience, one rate.
    async fn run(
        &self,
        bench: &mut Bench,
        rate: f64,
        window_s: Seconds,
        warming: Warming,
    ) -> Result<Measured, Broken> {
        let subscribers = self.subscribers.get();
        let mut server = bench
            .start_server(subscribers, Duration::from_secs(3))
            .await?;
        let mut audience = Audience::new(bench, &server, false);
        let resume = bench.arm.factors.resume;
        audience.grow(bench, &server, subscribers, |_| resume).await;
        server.command(Command::Feed { rate }).await?;
        let start_ns = match warming {
            Warming::UntilSettled => audience.settle(bench, self.warm_up()).await,
            Warming::Briefly => now_ns() + SEARCH_WARM_UP.nanos(),
        };
        let end_ns = start_ns + window_s.nanos();
        *audience.recorder() = Recorder::new(start_ns..end_ns);
        let window = observe(bench, &mut server, (start_ns, end_ns)).await?;
        audience.verify(bench, &server, subscribers);
        let in_time = audience.recorder().received;
        server.command(Command::End).await?;
        let outcomes = audience.leave().await?;
        // Not before they left: the latest messages are those that matter.
        let recorder = std::mem::replace(&mut *audience.recorder(), Recorder::new(0..0));
        let owed = server.counters().read(Counter::Owed);
        server.stop().await?;
        Ok(Measured {
            window,
            recorder,
            in_time,
            outcomes,
            owed,
        })
    }

    fn report(&self, bench: &mut Bench, measured: &Measured) -> Result<(), Broken> {
        let Measured {
            window,
            recorder,
            outcomes,
            owed,
            ..
        } = measured;
        let of_server = bench.take_stats(&window.after)?;
        bench.histogram("fan_out_latency", &recorder.latency)?;
        read_lag::report(bench, &window.read_lag)?;
        let delivered = window.rise(Counter::HandedOver) as f64;
        let each = |total: f64| (delivered > 0.0).then(|| total / delivered);
        bench.metric(
            "server_cpu_us_per_message",
            each(window.server_cpu_ns as f64 / 1e3),
        );
        bench.metric(
            "generator_cpu_us_per_message",
            each(window.generator_cpu_ns as f64 / 1e3),
        );
        bench.metric(
            "delivered_per_second",
            delivered / (window.elapsed_ns as f64 / 1e9),
        );
        bench.metric("messages_a_segment", window.messages_a_segment());
        bench.metric(
            "messages_a_write",
            of_server.get("messages_a_write").map(Histogram::mean),
        );
        for (suffix, q) in [("p50", 0.5), ("p99", 0.99)] {
            bench.metric(
                &format!("fan_out_latency_ms_{suffix}"),
                quantile_ms(&recorder.latency, q),
            );
            for name in ["hand_off", "pacer_lag"] {
                bench.metric(
                    &format!("{name}_ms_{suffix}"),
                    of_server
                        .get(name)
                        .and_then(|histogram| quantile_ms(histogram, q)),
                );
            }
        }
        bench.balance(&[*owed], outcomes.iter().map(|outcome| &outcome.ledger));
        if let Some(ended) = outcomes.iter().find_map(|outcome| outcome.gave_up.as_ref()) {
            bench.weigh(&Evidence::CutOff(ended.to_string()));
        }
        bench.check_clock(recorder);
        Ok(())
    }

    /// Doubles the rate until it is not sustained, then halves the interval. The fixed rate, just
    /// measured, is where it starts: when that was not sustained, nothing above it is.
    async fn search(&self, bench: &mut Bench, fixed: Attempt) -> Result<(), Broken> {
        const METRIC: &str = "sustained_deliveries_per_second";
        if !matches!(fixed, Attempt::Sustained) {
            bench.metric(METRIC, None);
            return Ok(());
        }
        let mut bracket = Bracket::above(self.messages_per_second.per_second());
        while let Some(rate) = bracket.next() {
            let attempt = self.attempt(bench, rate).await?;
            bracket.learn(rate, attempt);
        }
        let deliveries = bracket.sustained * f64::from(self.subscribers.get());
        bench.metric(METRIC, bracket.by_server().then_some(deliveries));
        if !bracket.by_server() {
            let limit = bracket
                .other_limit
                .unwrap_or_else(|| "higher rates are not tried".into());
            bench.record.notes.push(format!(
                "the server sustained at least {deliveries:.0} deliveries a second; it was not the limit: {limit}"
            ));
        }
        Ok(())
    }

    /// Whether a rate is sustained, on a bench of its own: what goes wrong at the limit must not spoil
    /// the trial's record.
    async fn attempt(&self, bench: &Bench, rate: f64) -> Result<Attempt, Broken> {
        let mut aside = bench.aside()?;
        let measured = self
            .run(&mut aside, rate, self.search_step_s, Warming::Briefly)
            .await?;
        Ok(self.judge(&aside.record.invalid, rate, self.search_step_s, &measured))
    }

    /// How the rate was borne, unless the measurement itself was `invalid`.
    fn judge(
        &self,
        invalid: &[String],
        rate: f64,
        window: Seconds,
        measured: &Measured,
    ) -> Attempt {
        if !invalid.is_empty() {
            return Attempt::Void(invalid.join("; "));
        }
        let Measured {
            window: counted,
            recorder,
            in_time,
            ..
        } = measured;
        // A window holds the whole messages of its length, one more or less.
        let offered = (rate * window.get() * SUSTAINED - 1.0) * f64::from(self.subscribers.get());
        let p99 = recorder.latency.value_at_quantile(0.99);
        let dropped = counted.rise(Counter::Dropped);
        if *in_time as f64 >= offered && p99 <= self.search_p99_s.nanos() && dropped == 0 {
            Attempt::Sustained
        } else {
            Attempt::Failed
        }
    }
}

/// What one run at one rate gave.
struct Measured {
    window: Window,
    /// Of all messages scheduled in the window, however late they came.
    recorder: Recorder,
    /// How many of them had come soon after its end.
    in_time: u64,
    outcomes: Vec<Outcome>,
    owed: u64,
}

/// How long messages flow before the window.
#[derive(Debug, Clone, Copy)]
enum Warming {
    UntilSettled,
    Briefly,
}

//! Setup: what it takes from nothing to the first token, and how many connections a second are set up.

mod start;

use std::{sync::Arc, time::Duration};

use pushbench_reports::record::{self, Chart};
use pushbench_server::{
    contract::{ask::ChatAsk, clock::now_ns},
    control::{Command, Stats},
    counters::Counter,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use self::start::{Beginning, Started, Starts};
use super::metric::{
    COST, FIRST_TOKEN, NONE, REQUEST_BYTES, higher, lower, primary, read_by_client,
};
use crate::{
    bench::{Bench, Broken},
    client::{Connector, Ended, Opened},
    ledger::Ledger,
    quantity::{Count, Rounds, Seconds, count, rounds, seconds},
    read_lag::{self, ReadLag},
    recorder::{quantile_ms, tail},
    server_process::ServerProcess,
    validity::Evidence,
    window::Hindrance,
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of the plan.
    pub rounds: Rounds,
    /// Starts of each kind, one after another: cold, with a resumed TLS session where there is TLS, and on
    /// an open connection.
    pub starts: Count,
    /// Workers that then open connections, each one after another. The client's part of a TLS handshake is
    /// as large as the server's, so that more than one would find the limit of the generator.
    pub workers: Count,
    /// How long they do.
    pub window_s: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: rounds(6),
            starts: count(40),
            workers: count(1),
            window_s: seconds(1.2),
        }
    }
}

/// Starts of each kind that come first and are not recorded: they pay for what a process does once.
const WARM_UP_STARTS: u32 = 5;

/// Connections that the workers open at most. Each keeps a port of the client's for a minute after its end
/// (TIME_WAIT), and by default the kernel has 28,232 of them for each address of a server; the server of the
/// next trial has another.
const CONNECTIONS_MAX: u64 = 12_000;

/// Connections beyond the workers': those of the starts, and such that the client has closed and the server
/// has not seen it yet.
const CLOSING: u32 = 256;

/// From one token of a start to the next, microseconds: the bytes to the first token are counted when it is
/// read, and a goodbye right behind it would be among them or not as the scheduler likes.
const GAP_US: u64 = 2_000;

/// Seconds that a start takes, for the expected duration.
const START_S: f64 = 0.003;

/// Start and end of a server process.
const AROUND_S: f64 = 0.3;

/// How long a start may take: hundreds of times what it needs.
const PATIENCE: Duration = Duration::from_secs(10);

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        let starts = f64::from(WARM_UP_STARTS + self.starts.get());
        AROUND_S + Beginning::ALL.len() as f64 * starts * START_S + self.window_s.get()
    }

    /// Connections open at most.
    pub fn connections(&self) -> u32 {
        self.workers.get() + CLOSING
    }

    /// Question, metrics and charts.
    pub fn describe(&self) -> record::Experiment {
        let of_each = |metric: &dyn Fn(Beginning) -> record::Metric| Beginning::ALL.map(metric);
        let time = |beginning: Beginning, percentile: &str| {
            let (name, words) = (beginning.name(), beginning.words());
            let name = format!("{name}_start_ms_{percentile}");
            let title = format!("from nothing to the first token {percentile}, {words}");
            read_by_client(1, lower(&name, &title, "ms", FIRST_TOKEN))
        };
        let trips = |beginning: Beginning| {
            let name = format!("round_trips_{}", beginning.name());
            let title = format!("round trips to the first token, {}", beginning.words());
            lower(&name, &title, "round trips", NONE)
        };
        let bytes = |beginning: Beginning| {
            let name = format!("bytes_{}", beginning.name());
            let title = format!("bytes to the first token, {}", beginning.words());
            lower(&name, &title, "bytes", REQUEST_BYTES)
        };
        // What the server works for a client that is new is the server's alone. The times have the client's
        // work in them, and that of a handshake is as large.
        let cpu = lower(
            "server_cpu_us_per_connection",
            "server CPU per new connection",
            "µs",
            COST,
        );
        let rate = higher("connections_per_second", "connections set up", "1/s", COST);
        let p50 = |beginning: Beginning| format!("{}_start_ms_p50", beginning.name());
        record::Experiment {
            name: "setup".into(),
            title: "Setup".into(),
            question: "What does it take from nothing to the first token?".into(),
            rounds: self.rounds.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            metrics: [primary(cpu), rate]
                .into_iter()
                .chain(of_each(&|beginning| time(beginning, "p50")))
                .chain(of_each(&|beginning| time(beginning, "p90")))
                .chain(of_each(&trips))
                .chain(of_each(&bytes))
                .collect(),
            screen: None,
            charts: vec![
                Chart::Dots {
                    file: "setup-time".into(),
                    title: "From nothing to the first token".into(),
                    subtitle: "median of each trial, a dot; no model delays the token".into(),
                    caption: "A new connection, one that resumes a TLS session where there is TLS, and one that is \
                              open. On loopback this is the work of both ends; the table below says what a network \
                              adds."
                        .into(),
                    metrics: Beginning::ALL.map(p50).to_vec(),
                },
                Chart::Multiples {
                    file: "setup-round-trips".into(),
                    title: "What the round trips cost on a network".into(),
                    subtitle: "arithmetic, not measured: round trips counted here × round-trip time".into(),
                    caption: "TCP's handshake counts as one, TLS 1.3's as another whether it resumes or not, a \
                              WebSocket's upgrade as a third."
                        .into(),
                    metrics: Beginning::ALL
                        .map(|beginning| format!("round_trips_{}", beginning.name()))
                        .to_vec(),
                    factors: vec![1.0, 20.0, 50.0, 150.0],
                    unit: "ms".into(),
                },
                Chart::Dots {
                    file: "setup-cpu".into(),
                    title: "Server CPU per new connection".into(),
                    subtitle: format!(
                        "connect, ask for one token and close, over and over ({} at once); every trial a dot",
                        self.workers
                    ),
                    caption: "All that the server does for a client that it sees once: accept, shake hands, answer, \
                              close. No TLS session is resumed."
                        .into(),
                    metrics: vec!["server_cpu_us_per_connection".into()],
                },
            ],
        }
    }

    /// Starts one after another, then connections as fast as a few workers open them.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        let mut server = bench
            .start_server(self.connections(), Duration::from_secs(3))
            .await?;
        let connector = bench.connector(&server);
        let ask = ChatAsk {
            prompt: "Why does it stream its answers?".into(),
            tokens: 2,
            first_token_us: 0,
            token_gap_us: GAP_US,
            envelope: bench.arm.factors.envelope,
            payload_bytes: bench.arm.factors.payload_bytes,
            resume: bench.arm.factors.resume,
            ..ChatAsk::default()
        };
        let mut hindrance = Hindrance::default();
        hindrance.begin(&server)?;
        let read_lag = ReadLag::begin(bench.pacer.clone());
        let starts = Starts::run(&connector, &ask, WARM_UP_STARTS, self.starts.get()).await;
        let starts = starts.map_err(|source| unconnected(&connector, source))?;
        let lag = read_lag.end().await?;
        let rush = self.rush(&server, &connector, &ask).await?;
        hindrance.end(&server)?;
        // While the open connection is, because settings are read back from a live one.
        let stats = server.stats(false).await?;
        let Starts { warm, ledger, .. } = &starts;
        bench.setting("path", warm.wire.path().unwrap_or("none"));
        server.command(Command::End).await?;
        let owed = server.counters().read(Counter::Owed);
        let ledgers = [ledger, &rush.ledger];
        bench.balance(&[owed], ledgers.into_iter());
        self.report(bench, &starts, &rush, &stats)?;
        hindrance.report(bench);
        bench.weigh(&Evidence::ReadLag(tail(&lag)));
        read_lag::report(bench, &lag)?;
        starts.warm.wire.close().await;
        Ok(server.stop().await?)
    }

    /// Has the workers open connections for the length of the window.
    async fn rush(
        &self,
        server: &ServerProcess,
        connector: &Connector,
        ask: &ChatAsk,
    ) -> Result<Rush, Broken> {
        let ask = Arc::new(ChatAsk {
            tokens: 1,
            ..ask.clone()
        });
        let connector = connector.without_resumption();
        let (cpu_ns, begun_ns) = (server.cpu_ns()?, now_ns());
        let end_ns = begun_ns + self.window_s.nanos();
        let each = CONNECTIONS_MAX / u64::from(self.workers.get());
        let mut workers = JoinSet::new();
        for _ in 0..self.workers.get() {
            workers.spawn(work(connector.clone(), ask.clone(), each, end_ns));
        }
        let mut rush = Rush::default();
        while let Some(worked) = workers.join_next().await {
            let worked = worked.map_err(|lost| Broken::Waited(lost.to_string()))?;
            rush.connections += worked.connections;
            rush.failures.extend(worked.failures);
            rush.ledger.add(&worked.ledger);
        }
        rush.server_cpu_ns = server.cpu_ns()? - cpu_ns;
        rush.elapsed_ns = now_ns() - begun_ns;
        Ok(rush)
    }

    fn report(
        &self,
        bench: &mut Bench,
        starts: &Starts,
        rush: &Rush,
        stats: &Stats,
    ) -> Result<(), Broken> {
        bench.take_stats(stats)?;
        for beginning in Beginning::ALL {
            let (name, started) = (beginning.name(), starts.of(beginning));
            for (suffix, q) in [("p50", 0.5), ("p90", 0.9)] {
                let ms = quantile_ms(&started.time, q);
                bench.metric(&format!("{name}_start_ms_{suffix}"), ms);
            }
            bench.metric(&format!("round_trips_{name}"), started.trips.mean());
            bench.metric(&format!("bytes_{name}"), started.bytes.mean());
            if !started.time.is_empty() {
                bench.histogram(&format!("{name}_start"), &started.time)?;
            }
        }
        let connections = rush.connections as f64;
        let each = |total: f64| (rush.connections > 0).then(|| total / connections);
        bench.metric(
            "server_cpu_us_per_connection",
            each(rush.server_cpu_ns as f64 / 1e3),
        );
        let elapsed_s = rush.elapsed_ns as f64 / 1e9;
        bench.metric("connections_per_second", connections / elapsed_s);
        let server_load = rush.server_cpu_ns as f64 / rush.elapsed_ns.max(1) as f64;
        bench.metric("server_load", server_load);
        bench.count("connections", rush.connections);
        let failures = [&starts.failures[..], &rush.failures].concat();
        bench.count("turns_failed", failures.len() as u64);
        bench.weigh(&Evidence::FailedTurns {
            count: failures.len() as u64,
            first: failures.first().cloned().unwrap_or_default(),
        });
        bench.weigh(&Evidence::Unresumed(starts.unresumed));
        Ok(())
    }
}

fn unconnected(connector: &Connector, source: Ended) -> Broken {
    Broken::Connect {
        transport: connector.transport(),
        server: connector.endpoint().http,
        source,
    }
}

/// What the workers did together.
#[derive(Debug, Default)]
struct Rush {
    connections: u64,
    failures: Vec<String>,
    ledger: Ledger,
    server_cpu_ns: u64,
    elapsed_ns: u64,
}

/// Connects, asks and closes until the time or the number is up; a failure is the worker's last.
async fn work(connector: Connector, ask: Arc<ChatAsk>, most: u64, end_ns: u64) -> Rush {
    let mut worked = Rush::default();
    while worked.connections < most && now_ns() < end_ns {
        let turn = async {
            let Opened {
                mut wire, traffic, ..
            } = connector.open().await?;
            let started = Started::turn(wire.as_mut(), &traffic, &ask, &mut worked.ledger).await;
            wire.close().await;
            started
        };
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(_)) => worked.connections += 1,
            Ok(Err(ended)) => worked.failures.push(ended.to_string()),
            Err(_) => worked.failures.push("a turn of one token hangs".into()),
        }
        if !worked.failures.is_empty() {
            break;
        }
    }
    worked
}

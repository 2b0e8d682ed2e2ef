//! Memory: bytes a connection, as the slope over several counts of verified live streams.

mod outside;

use std::time::Duration;

use pushbench_reports::{
    record::{self, Chart},
    statistics::{Level, slope},
};
use pushbench_server::{
    contract::factors::Served, control::Command, counters::Counter, faults::Truth,
};
use serde::{Deserialize, Serialize};

use super::metric::{MEMORY, lower, primary};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    meter::memory::{UserMemory, kernel_memory},
    quantity::{Count, Rate, Rounds, Seconds, count, rate, rounds, seconds},
    server_process::ServerProcess,
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of the plan.
    pub rounds: Rounds,
    /// Counts of live streams at which memory is read.
    pub connections: Rungs,
    /// Connections opened and closed before, so that what is allocated once is allocated.
    pub warm_up_connections: Count,
    /// Messages a second on the feed when memory is read while streaming.
    pub messages_per_second: Rate,
    /// How long a count streams before memory is read.
    pub streaming_s: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: rounds(4),
            connections: rungs([200, 400, 600, 800, 1_000]),
            warm_up_connections: count(50),
            messages_per_second: rate(10.0),
            streaming_s: seconds(0.3),
        }
    }
}

/// Rising counts, at least [`Rungs::FEWEST`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Count>", into = "Vec<Count>")]
pub struct Rungs(Vec<Count>);

impl Rungs {
    /// Fewer give a slope without a useful interval.
    pub const FEWEST: usize = 4;

    /// In rising order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Count> + '_ {
        self.0.iter().copied()
    }

    /// The last of them.
    pub fn highest(&self) -> u32 {
        self.0.last().map_or(0, |count| count.get())
    }
}

impl TryFrom<Vec<Count>> for Rungs {
    type Error = String;

    fn try_from(counts: Vec<Count>) -> Result<Self, String> {
        if counts.len() >= Self::FEWEST && counts.is_sorted_by(|low, high| low < high) {
            Ok(Self(counts))
        } else {
            Err(format!(
                "a slope needs at least {} rising counts, such as [200, 400, 600, 800]",
                Self::FEWEST
            ))
        }
    }
}

impl From<Rungs> for Vec<Count> {
    fn from(rungs: Rungs) -> Self {
        rungs.0
    }
}

/// A literal; the counts must rise.
pub(crate) fn rungs<const N: usize>(counts: [u32; N]) -> Rungs {
    const { assert!(N >= Rungs::FEWEST) };
    debug_assert!(counts.is_sorted_by(|low, high| low < high));
    Rungs(counts.map(count).to_vec())
}

/// Start and end of two server processes.
const AROUND_S: f64 = 0.5;

/// Seconds that a connection takes to be opened and counted, for the expected duration: twice what it took
/// in the committed sample, on two cores.
const CONNECT_S: f64 = 0.000_1;

/// Between the last change and a reading: the server's tasks have long gone idle then.
const SETTLE: Duration = Duration::from_millis(100);

/// Of one state, idle or streaming: the names of its series and figures.
struct State {
    name: &'static str,
    streaming: bool,
}

const IDLE: State = State {
    name: "idle",
    streaming: false,
};

const STATES: [State; 2] = [
    IDLE,
    State {
        name: "streaming",
        streaming: true,
    },
];

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        let rungs = self.connections.iter().len() as f64;
        let connecting = f64::from(self.connections()) * CONNECT_S;
        AROUND_S + 2.0 * connecting + rungs * (SETTLE.as_secs_f64() + self.streaming_s.get())
    }

    /// Connections open at most.
    pub fn connections(&self) -> u32 {
        self.connections.highest() + self.warm_up_connections.get()
    }

    /// Question, metrics and charts.
    pub fn describe(&self) -> record::Experiment {
        let bytes = |name: &str, title: &str| lower(name, title, "bytes", MEMORY);
        record::Experiment {
            name: "memory".into(),
            title: "Memory".into(),
            question: "How many bytes does the server need for one more connection?".into(),
            rounds: self.rounds.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            metrics: vec![
                primary(bytes("user_bytes_per_idle_connection", "user memory per idle connection")),
                bytes("user_bytes_per_streaming_connection", "user memory per streaming connection"),
                bytes("kernel_bytes_per_idle_connection", "kernel memory per idle connection"),
                bytes("kernel_bytes_per_streaming_connection", "kernel memory per streaming connection"),
            ],
            charts: vec![Chart::Slope {
                file: "memory-connections".into(),
                title: "The server's memory against live streams".into(),
                subtitle: "private memory of the server process; the slope is what a connection costs".into(),
                caption: "Every point is a count of streams that both ends agreed on. Read the slope, not the height: \
                          where a line meets the axis is the process, not the protocol."
                    .into(),
                points: vec!["idle_user".into(), "streaming_user".into()],
                x_title: "live streams".into(),
                y_title: "MiB".into(),
                scale: 1.0 / f64::from(1 << 20),
            }],
            screen: None,
        }
    }

    /// One server a state, so that idle connections are such that never streamed.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        if bench.arm.factors.server != Served::Pushbench {
            return self.measure_outside(bench).await;
        }
        let (mut owed, mut ledgers) = (Vec::new(), Vec::new());
        for state in &STATES {
            let mut server = bench
                .start_server(self.connections(), Duration::from_secs(3))
                .await?;
            let warm_up = self.warm_up_connections.get();
            Audience::come_and_go(bench, &mut server, warm_up).await?;
            let mut audience = Audience::new(bench, &server, false);
            let rungs = self.climb(bench, &mut server, &mut audience, state).await?;
            if state.streaming {
                let stats = server.stats(false).await?;
                bench.take_stats(&stats)?;
            }
            server.command(Command::End).await?;
            ledgers.extend(
                audience
                    .leave()
                    .await?
                    .into_iter()
                    .map(|outcome| outcome.ledger),
            );
            owed.push(server.counters().read(Counter::Owed));
            server.stop().await?;
            report(bench, state, &rungs);
        }
        bench.balance(&owed, ledgers.iter());
        Ok(())
    }

    /// The idle streams' points alone, `[streams, bytes of user space]`, and what the server did wrong on
    /// purpose meanwhile: what a calibration measures with.
    pub(crate) async fn idle(&self, bench: &mut Bench) -> Result<(Vec<[f64; 2]>, Truth), Broken> {
        let mut server = bench
            .start_server(self.connections(), Duration::from_secs(3))
            .await?;
        let warm_up = self.warm_up_connections.get();
        Audience::come_and_go(bench, &mut server, warm_up).await?;
        let mut audience = Audience::new(bench, &server, false);
        let rungs = self.climb(bench, &mut server, &mut audience, &IDLE).await?;
        server.command(Command::End).await?;
        audience.leave().await?;
        let truth = server.disclose().await?;
        server.stop().await?;
        let points = rungs.iter().map(|rung| [rung.streams, rung.user_bytes]);
        Ok((points.collect(), truth))
    }

    async fn climb(
        &self,
        bench: &mut Bench,
        server: &mut ServerProcess,
        audience: &mut Audience,
        state: &State,
    ) -> Result<Vec<Rung>, Broken> {
        let mut rungs = Vec::new();
        if state.streaming {
            server
                .command(Command::Feed {
                    rate: self.messages_per_second.per_second(),
                })
                .await?;
        }
        let resume = bench.arm.factors.resume;
        for count in self.connections.iter() {
            audience.grow(bench, server, count.get(), |_| resume).await;
            // A pause for the server, not a measured time.
            tokio::time::sleep(if state.streaming {
                self.streaming_s.duration()
            } else {
                SETTLE
            })
            .await;
            audience.verify(bench, server, count.get());
            rungs.push(Rung::read(count, server.pid())?);
        }
        Ok(rungs)
    }
}

/// Memory at one count of live streams.
struct Rung {
    streams: f64,
    user_bytes: f64,
    kernel_bytes: Option<f64>,
}

impl Rung {
    fn read(count: Count, server: u32) -> Result<Self, Broken> {
        let user = UserMemory::of(server).map_err(|error| {
            Broken::io("read the server's memory")(std::io::Error::other(error))
        })?;
        Ok(Self {
            streams: f64::from(count.get()),
            user_bytes: user.anonymous_bytes as f64,
            kernel_bytes: kernel_memory().map(|kernel| kernel.bytes as f64),
        })
    }
}

fn report(bench: &mut Bench, State { name, .. }: &State, rungs: &[Rung]) {
    if let Some(kernel) = kernel_memory() {
        bench.setting("kernel_memory_source", kernel.source.name());
    }
    let user: Vec<_> = rungs
        .iter()
        .map(|rung| [rung.streams, rung.user_bytes])
        .collect();
    let kernel: Vec<_> = rungs
        .iter()
        .filter_map(|rung| Some([rung.streams, rung.kernel_bytes?]))
        .collect();
    for (space, points, ends) in [("user", user, 1.0), ("kernel", kernel, ENDS)] {
        let fit = slope(&points, Level::CONVENTION);
        bench.metric(
            &format!("{space}_bytes_per_{name}_connection"),
            fit.as_ref().map(|fit| fit.slope / ends),
        );
        for (end, value) in [
            ("low", fit.as_ref().map(|fit| fit.low)),
            ("high", fit.as_ref().map(|fit| fit.high)),
        ] {
            bench.metric(
                &format!("{space}_bytes_per_{name}_connection_{end}"),
                value.map(|value| value / ends),
            );
        }
        bench
            .record
            .points
            .insert(format!("{name}_{space}"), points);
    }
}

/// The kernel's memory is the machine's: server and generator each hold one end of a connection.
const ENDS: f64 = 2.0;

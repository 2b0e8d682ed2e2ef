//! The measurement window: what server and generator used and did between two moments.

use pushbench_server::{contract::clock::now_ns, control::Stats};

use crate::{
    bench::{Bench, Broken},
    server_process::ServerProcess,
};

/// Share of its core above which the generator, not the server, may be what was measured.
const GENERATOR_SATURATED: f64 = 0.8;

/// What passed between the two moments.
#[derive(Debug)]
pub struct Window {
    /// The server's CPU time, all threads.
    pub server_cpu_ns: u64,
    /// The generator's.
    pub generator_cpu_ns: u64,
    /// Between the two readings.
    pub elapsed_ns: u64,
    /// The server's account at the start.
    pub before: Stats,
    /// And at the end; its histograms are of the window alone.
    pub after: Stats,
}

impl Window {
    /// How much a server's counter rose.
    pub fn rise(&self, counter: &str) -> u64 {
        let read = |stats: &Stats| stats.counters.get(counter).copied().unwrap_or(0);
        read(&self.after).saturating_sub(read(&self.before))
    }

    /// Data segments that the server sent.
    pub fn segments(&self) -> u64 {
        self.after.segments.saturating_sub(self.before.segments)
    }
}

/// Waits for `start_ns`, then for `end_ns`, and reads all meters at both; a generator that was the
/// bottleneck makes the trial invalid.
///
/// # Errors
/// When the server is gone.
pub async fn observe(
    bench: &mut Bench,
    server: &mut ServerProcess,
    (start_ns, end_ns): (u64, u64),
) -> Result<Window, Broken> {
    bench.pacer.sleep_until(start_ns).await;
    let before = server.stats(true).await?;
    let (server_cpu, generator_cpu, started) = (server.cpu_ns()?, Bench::own_cpu_ns()?, now_ns());
    bench.pacer.sleep_until(end_ns).await;
    let window = Window {
        server_cpu_ns: server.cpu_ns()? - server_cpu,
        generator_cpu_ns: Bench::own_cpu_ns()? - generator_cpu,
        elapsed_ns: now_ns() - started,
        before,
        after: server.stats(false).await?,
    };
    let load = window.generator_cpu_ns as f64 / window.elapsed_ns as f64;
    bench.metric("generator_load", load);
    bench.metric(
        "server_load",
        window.server_cpu_ns as f64 / window.elapsed_ns as f64,
    );
    if load > GENERATOR_SATURATED {
        bench.invalid(format!(
            "the load generator used {:.0} % of its core: it may be the limit",
            load * 100.0
        ));
    }
    Ok(window)
}

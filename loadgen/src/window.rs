//! The measurement window: what server and generator used and did between two moments.

use std::collections::BTreeMap;

use pushbench_server::{contract::clock::now_ns, control::Stats, counters::Counter};

use crate::{
    bench::{Bench, Broken},
    meter::cpu::CpuReading,
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
    /// The server's counters, read together with its CPU time: asking for its account takes it a while,
    /// in which messages go on.
    counters: [BTreeMap<String, u64>; 2],
    /// The server's account at the start.
    pub before: Stats,
    /// And at the end; its histograms are of the window alone.
    pub after: Stats,
}

impl Window {
    /// How much a server's counter rose while its CPU time was counted.
    pub fn rise(&self, counter: Counter) -> u64 {
        let [before, after] = &self.counters;
        rise(before, after, counter)
    }

    /// Messages for each data segment that the server sent, between its two accounts; none of no segment.
    pub fn messages_a_segment(&self) -> Option<f64> {
        let (before, after) = (&self.before, &self.after);
        let segments = after.segments.saturating_sub(before.segments);
        let messages = rise(&before.counters, &after.counters, Counter::HandedOver);
        (segments > 0).then(|| messages as f64 / segments as f64)
    }
}

fn rise(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, counter: Counter) -> u64 {
    let read = |counters: &BTreeMap<_, _>| counters.get(counter.name()).copied().unwrap_or(0);
    read(after).saturating_sub(read(before))
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
    let hindered_before = Hindrance::of(server)?;
    let counters_before = server.counters().snapshot();
    let (server_cpu, generator_cpu, started) = (server.cpu_ns()?, Bench::own_cpu_ns()?, now_ns());
    bench.pacer.sleep_until(end_ns).await;
    let counters = [counters_before, server.counters().snapshot()];
    let window = Window {
        server_cpu_ns: server.cpu_ns()? - server_cpu,
        generator_cpu_ns: Bench::own_cpu_ns()? - generator_cpu,
        elapsed_ns: now_ns() - started,
        counters,
        before,
        after: server.stats(false).await?,
    };
    Hindrance::of(server)?.report(&hindered_before, window.elapsed_ns, bench);
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

/// What kept server and generator from their cores: others' work on the machine, or the hypervisor's.
struct Hindrance {
    server: CpuReading,
    generator: CpuReading,
}

impl Hindrance {
    fn of(server: &ServerProcess) -> Result<Self, Broken> {
        let read = |pid, whose: &str| {
            let failed = Broken::io(format!("read the run-queue wait of the {whose}"));
            CpuReading::of(pid).map_err(|error| failed(std::io::Error::other(error)))
        };
        Ok(Self {
            server: read(server.pid(), "server")?,
            generator: read(std::process::id(), "generator")?,
        })
    }

    /// As shares of the window; steal is the whole machine's, of one core's time.
    fn report(&self, before: &Self, elapsed_ns: u64, bench: &mut Bench) {
        let share = |ns: u64| ns as f64 / elapsed_ns as f64;
        let server = self.server.since(before.server);
        let generator = self.generator.since(before.generator);
        bench.metric("server_run_queue_wait", share(server.run_queue_wait_ns));
        bench.metric(
            "generator_run_queue_wait",
            share(generator.run_queue_wait_ns),
        );
        bench.metric("steal", share(generator.steal_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_over(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([(Counter::HandedOver.name().to_owned(), count)])
    }

    #[test]
    fn what_cpu_and_what_segments_are_divided_by_is_read_when_they_are() {
        let stats = |count, segments| Stats {
            counters: handed_over(count),
            segments,
            ..Stats::default()
        };
        let window = Window {
            server_cpu_ns: 0,
            generator_cpu_ns: 0,
            elapsed_ns: 0,
            counters: [handed_over(110), handed_over(190)],
            before: stats(100, 10),
            after: stats(200, 60),
        };
        assert_eq!(window.rise(Counter::HandedOver), 80);
        assert_eq!(window.messages_a_segment(), Some(2.0));
    }
}

//! The measurement window: what server and generator used and did between two moments.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use pushbench_server::{affinity, contract::clock::now_ns, control::Stats, counters::Counter};

use crate::{
    bench::{Bench, Broken},
    meter::{cpu::CpuReading, machine::Times},
    outside::Nginx,
    read_lag::ReadLag,
    recorder::tail,
    server_process::ServerProcess,
    validity::{Evidence, Process},
};

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
    /// How late the generator served what was ready, nanoseconds.
    pub read_lag: Histogram<u64>,
}

impl Window {
    /// How much a server's counter rose while its CPU time was counted.
    pub fn rise(&self, counter: Counter) -> u64 {
        let [before, after] = &self.counters;
        rise(before, after, counter)
    }

    /// Bytes of TCP payload that the server sent for each message, between its two accounts; none of no
    /// message.
    pub fn bytes_a_message(&self) -> Option<f64> {
        let (before, after) = (&self.before, &self.after);
        let bytes = after.bytes.saturating_sub(before.bytes);
        let messages = rise(&before.counters, &after.counters, Counter::HandedOver);
        (messages > 0).then(|| bytes as f64 / messages as f64)
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
/// bottleneck, or a machine that was busy with something else, makes the trial invalid.
///
/// # Errors
/// When the server is gone.
pub async fn observe(
    bench: &mut Bench,
    server: &mut ServerProcess,
    (start_ns, end_ns): (u64, u64),
) -> Result<Window, Broken> {
    bench.pacer.sleep_until(start_ns).await;
    let read_lag = ReadLag::sample(bench.pacer.clone(), start_ns..end_ns);
    let before = server.stats(true).await?;
    let mut hindrance = Hindrance::default();
    hindrance.begin(server)?;
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
        read_lag: read_lag.finish().await?,
    };
    hindrance.end(server)?;
    hindrance.report(bench);
    let server_load = window.server_cpu_ns as f64 / window.elapsed_ns as f64;
    bench.metric("server_load", server_load);
    bench.weigh(&Evidence::ReadLag(tail(&window.read_lag)));
    Ok(window)
}

/// Over less than this, the hundredths of a second in which the kernel tells a core's time are too coarse.
const SAMPLED_NS: u64 = 1_000_000_000;

/// What kept server and generator from their cores, others' work on the machine or the hypervisor's, and
/// how busy the generator was itself; over one span of time or several.
#[derive(Debug, Default)]
pub struct Hindrance {
    begun: Option<Moment>,
    elapsed_ns: u64,
    server_wait_ns: u64,
    generator_wait_ns: u64,
    server_busy_ns: u64,
    front_busy_ns: u64,
    generator_busy_ns: u64,
    /// Whether the two have cores of their own, and how many each.
    apart: bool,
    cores: [usize; 2],
    server_cores: Times,
    generator_cores: Times,
}

#[derive(Debug)]
struct Moment {
    at_ns: u64,
    server: CpuReading,
    /// CPU time of the proxy in front of the server, which is put on its cores.
    front_ns: u64,
    generator: CpuReading,
    server_cores: Times,
    generator_cores: Times,
    apart: bool,
    cores: [usize; 2],
}

impl Moment {
    fn now(server: &ServerProcess) -> Result<Self, Broken> {
        let read = |pid, whose: &str| {
            let failed = Broken::io(format!("read the run-queue wait of the {whose}"));
            CpuReading::of(pid).map_err(|error| failed(std::io::Error::other(error)))
        };
        let times = |cores: &[usize], whose: &str| {
            let failed = Broken::io(format!("read the time of the cores of the {whose}"));
            Times::of(cores).map_err(|error| failed(std::io::Error::other(error)))
        };
        // Those that it may run on, where it is not pinned.
        let own = affinity::cores().map_err(Broken::io("read the generator's cores"))?;
        Ok(Self {
            at_ns: now_ns(),
            server: read(server.pid(), "server")?,
            front_ns: server
                .front()
                .map_or(Ok(0), Nginx::cpu_ns)
                .map_err(Broken::io("read the CPU time of the proxy"))?,
            generator: read(std::process::id(), "generator")?,
            server_cores: times(server.cores(), "server")?,
            generator_cores: times(&own, "generator")?,
            apart: !server.cores().iter().any(|core| own.contains(core)),
            cores: [server.cores().len(), own.len()],
        })
    }
}

impl Hindrance {
    /// A span begins.
    ///
    /// # Errors
    /// When the kernel does not say, or the server is gone.
    pub fn begin(&mut self, server: &ServerProcess) -> Result<(), Broken> {
        self.begun = Some(Moment::now(server)?);
        Ok(())
    }

    /// It ends, of the same server process; without a beginning there is nothing to end.
    ///
    /// # Errors
    /// As [`Hindrance::begin`].
    pub fn end(&mut self, server: &ServerProcess) -> Result<(), Broken> {
        let now = Moment::now(server)?;
        if let Some(begun) = self.begun.take() {
            let (server, generator) = (
                now.server.since(begun.server),
                now.generator.since(begun.generator),
            );
            self.elapsed_ns += now.at_ns.saturating_sub(begun.at_ns);
            self.server_wait_ns += server.run_queue_wait_ns;
            self.generator_wait_ns += generator.run_queue_wait_ns;
            self.server_busy_ns += server.busy_ns;
            self.front_busy_ns += now.front_ns.saturating_sub(begun.front_ns);
            self.generator_busy_ns += generator.busy_ns;
            (self.apart, self.cores) = (now.apart, now.cores);
            self.server_cores += now.server_cores.since(begun.server_cores);
            self.generator_cores += now.generator_cores.since(begun.generator_cores);
        }
        Ok(())
    }

    /// Into the record, as shares of the time; steal is that of the process whose cores lost more.
    pub fn report(&self, bench: &mut Bench) {
        let share = |ns: u64| ns as f64 / self.elapsed_ns.max(1) as f64;
        let (server, generator) = (share(self.server_wait_ns), share(self.generator_wait_ns));
        let load = share(self.generator_busy_ns);
        let cores = [self.server_cores, self.generator_cores];
        let steal = cores
            .map(Times::stolen_share)
            .into_iter()
            .fold(0.0, f64::max);
        let [server_others, generator_others] = self.others();
        bench.metric("server_core_others", server_others);
        bench.metric("generator_core_others", generator_others);
        bench.metric("server_run_queue_wait", server);
        bench.metric("generator_run_queue_wait", generator);
        bench.metric("steal", steal);
        if self.front_busy_ns > 0 {
            bench.metric("proxy_load", share(self.front_busy_ns));
        }
        bench.metric("generator_load", load);
        // While its own proxy ran on its core it waited for that, which is part of the arm; who else did is among
        // the others.
        let server = share(self.server_wait_ns.saturating_sub(self.front_busy_ns));
        for (whose, share) in [(Process::Server, server), (Process::Generator, generator)] {
            bench.weigh(&Evidence::RunQueueWait { whose, share });
        }
        if self.elapsed_ns >= SAMPLED_NS {
            for (whose, share) in [
                (Process::Server, server_others),
                (Process::Generator, generator_others),
            ] {
                bench.weigh(&Evidence::Others { whose, share });
            }
        }
        bench.weigh(&Evidence::Steal(steal));
        bench.weigh(&Evidence::GeneratorLoad(load));
    }

    /// Shares of the server's and of the generator's cores that somebody else used.
    fn others(&self) -> [f64; 2] {
        // What we put there ourselves is nobody else.
        let behind_ns = self.server_busy_ns + self.front_busy_ns;
        let (server_ns, generator_ns) = if self.apart {
            (behind_ns, self.generator_busy_ns)
        } else {
            let both_ns = behind_ns + self.generator_busy_ns;
            (both_ns, both_ns)
        };
        let share =
            |times: Times, cores, own_ns| times.others_share(cores, self.elapsed_ns, own_ns);
        [
            share(self.server_cores, self.cores[0], server_ns),
            share(self.generator_cores, self.cores[1], generator_ns),
        ]
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
            bytes: 30 * segments,
            ..Stats::default()
        };
        let window = Window {
            server_cpu_ns: 0,
            generator_cpu_ns: 0,
            elapsed_ns: 0,
            counters: [handed_over(110), handed_over(190)],
            before: stats(100, 10),
            after: stats(200, 60),
            read_lag: pushbench_server::meters::histogram(),
        };
        assert_eq!(window.rise(Counter::HandedOver), 80);
        assert_eq!(window.messages_a_segment(), Some(2.0));
        assert_eq!(window.bytes_a_message(), Some(15.0));
    }

    /// What half a second of these would make of a trial.
    async fn reasons(hindrance: Hindrance) -> Vec<String> {
        let record = serde_json::json!({
            "format": 2, "trial": 1, "experiment": "latency", "arm": "arm", "round": 1, "started_at": "",
            "duration_ms": 0, "settings": {}, "metrics": {}, "points": {}, "counters": {}, "books": [],
            "histograms": {}, "invalid": [], "notes": [],
        });
        let arm = crate::plan::quick().arms[0].clone();
        let site = crate::bench::Site {
            server_binary: Default::default(),
            directory: Default::default(),
            server_cores: Vec::new(),
            generator_cores: Vec::new(),
        };
        let record = serde_json::from_value(record).unwrap();
        let mut bench = Bench::new(arm, 1, None, record, site).unwrap();
        hindrance.report(&mut bench);
        bench.record.invalid
    }

    #[tokio::test]
    async fn what_kept_us_from_our_cores_is_weighed_and_so_is_what_the_generator_used() {
        let quiet = || Hindrance {
            elapsed_ns: 500_000_000,
            ..Hindrance::default()
        };
        assert!(reasons(quiet()).await.is_empty());
        let spoilt = Hindrance {
            server_wait_ns: 30_000_000,
            generator_wait_ns: 35_000_000,
            generator_busy_ns: 450_000_000,
            ..quiet()
        };
        let steal = |server_cores, generator_cores| Hindrance {
            server_cores,
            generator_cores,
            ..quiet()
        };
        let (quiet, robbed) = (Times::passed(40, 0), Times::passed(46, 4));
        for hindrance in [steal(robbed, quiet), steal(quiet, robbed)] {
            let reasons = reasons(hindrance).await;
            assert!(
                reasons.len() == 1 && reasons[0].contains("withheld 8 %"),
                "{reasons:?}"
            );
        }
        // Two seconds in which the server's core was idle for one and a half and the server's for a tenth of
        // one; the generator's, shared with nobody, was all idle or its own.
        let neighbour = |elapsed_ns| Hindrance {
            elapsed_ns,
            apart: true,
            cores: [1, 1],
            server_cores: Times::passed(150, 0),
            server_busy_ns: 100_000_000,
            generator_cores: Times::passed(180, 0),
            generator_busy_ns: 200_000_000,
            ..Hindrance::default()
        };
        let told = reasons(neighbour(2_000_000_000)).await;
        assert!(
            told.len() == 1 && told[0].contains("others used 20 % of the core of the server"),
            "{told:?}"
        );
        let proxied = Hindrance {
            server_wait_ns: 250_000_000,
            front_busy_ns: 200_000_000,
            ..neighbour(2_000_000_000)
        };
        // The tenth that the proxy used of the core is no stranger's, nor is what the server waited for it.
        let told = reasons(proxied).await;
        assert!(told.is_empty(), "{told:?}");
        let waited = Hindrance {
            server_wait_ns: 400_000_000,
            front_busy_ns: 200_000_000,
            ..neighbour(2_000_000_000)
        };
        let told = reasons(waited).await;
        assert!(
            told.len() == 1 && told[0].contains("the server waited 10 %"),
            "{told:?}"
        );
        let reasons = reasons(spoilt).await;
        for (reason, says) in reasons.iter().zip([
            "the server waited 6 %",
            "the load generator waited 7 %",
            "used 90 % of its core",
        ]) {
            assert!(reason.contains(says), "{reason} lacks {says}");
        }
        assert_eq!(reasons.len(), 3, "{reasons:?}");
    }
}

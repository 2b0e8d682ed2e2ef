//! CPU time of a process, and what kept it from having more: waiting for a core.

use procfs::process::Process;
use pushbench_server::sys;

use super::Unreadable;

/// Counters of one moment; only the difference of two means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuReading {
    /// User and system time of all threads, those that ended among them, in nanoseconds (the scheduler's
    /// count, by the process's CPU clock).
    pub busy_ns: u64,
    /// Time that the living threads were ready to run and had no core, in nanoseconds, summed. A thread
    /// takes its share along when it ends, so compare moments between which none does.
    pub run_queue_wait_ns: u64,
}

impl CpuReading {
    /// Reads the counters of a process.
    ///
    /// # Errors
    ///
    /// When there is no such process, or it ends meanwhile.
    pub fn of(pid: u32) -> Result<Self, Unreadable> {
        Ok(Self {
            busy_ns: sys::process_cpu_ns(pid)
                .map_err(|error| Unreadable::new(format!("CPU of process {pid}"), error))?,
            run_queue_wait_ns: run_queue_wait_ns(pid)?,
        })
    }

    /// What was taken and waited since an earlier reading of the same process.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            // Smaller than before if a thread ended in between.
            run_queue_wait_ns: self
                .run_queue_wait_ns
                .saturating_sub(earlier.run_queue_wait_ns),
        }
    }
}

/// `/proc/PID/schedstat` knows the first thread only, hence the sum over all of them.
fn run_queue_wait_ns(pid: u32) -> Result<u64, Unreadable> {
    let unreadable = |error| Unreadable::new(format!("run-queue wait of process {pid}"), error);
    let process = i32::try_from(pid)
        .map_err(|error| Unreadable::new(format!("process {pid}"), error))
        .and_then(|pid| Process::new(pid).map_err(unreadable))?;
    let waits_ns: Vec<u64> = process
        .tasks()
        .map_err(unreadable)?
        // A thread may end between the listing and the reading; it is no longer one of the living.
        .filter_map(|task| task.and_then(|task| task.schedstat()).ok())
        .map(|schedstat| schedstat.run_delay)
        .collect();
    if waits_ns.is_empty() {
        // 0 would pass for "never waited".
        let reason = "no thread has one: it ended, or the kernel lacks CONFIG_SCHED_INFO";
        return Err(Unreadable::new(
            format!("run-queue wait of process {pid}"),
            reason,
        ));
    }
    Ok(waits_ns.iter().sum())
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        sync::{
            Barrier,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
    };

    use super::*;

    /// Whether it reaches 10 ms: bounded by readings, each of which takes time itself, not by a clock.
    fn grows(reading_ns: impl Fn() -> u64) -> bool {
        (0..100_000).any(|_| reading_ns() >= 10_000_000)
    }

    #[test]
    fn work_shows_in_the_cpu_time() {
        let pid = std::process::id();
        let start = CpuReading::of(pid).unwrap();
        assert!(start.busy_ns > 0);
        assert!(grows(|| CpuReading::of(pid).unwrap().since(start).busy_ns));
    }

    #[test]
    fn threads_that_share_a_core_wait_for_it_and_all_of_them_count() {
        let core = *pushbench_server::affinity::cores()
            .unwrap()
            .first()
            .unwrap();
        let pid = std::process::id();
        let (stop, ready) = (AtomicBool::new(false), Barrier::new(3));
        let spin = || {
            pushbench_server::affinity::pin(&[core]).unwrap();
            ready.wait();
            while !stop.load(Relaxed) {
                std::hint::spin_loop();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(spin);
            scope.spawn(spin);
            ready.wait();
            let start = CpuReading::of(pid).unwrap();
            // Two threads that spin on one core: neither is the leader, and one always waits.
            let waited = grows(|| CpuReading::of(pid).unwrap().since(start).run_queue_wait_ns);
            stop.store(true, Relaxed);
            assert!(waited);
        });
    }

    #[test]
    fn a_process_that_ended_is_an_error_that_names_it() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let error = CpuReading::of(child.id()).unwrap_err().to_string();
        assert!(error.contains(&child.id().to_string()), "{error}");
    }

    #[test]
    fn a_difference_never_goes_below_zero() {
        let reading = |n| CpuReading {
            busy_ns: n,
            run_queue_wait_ns: n,
        };
        assert_eq!(reading(5).since(reading(3)), reading(2));
        assert_eq!(reading(3).since(reading(5)), reading(0));
    }
}

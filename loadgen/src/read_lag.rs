//! How late the generator's own loop serves what is ready, sampled while it measures.
//!
//! The generator has one thread and one loop: the kernel is asked what is ready, and each task that
//! something is ready for is queued behind those that are queued already. A sample is one more such
//! task, whose readiness comes from the pacer's `timerfd`, through the same question and the same queue
//! as a socket's. Its due time is known, so woken − due is how long anything that became ready at that
//! moment had to wait for the loop, a message on a socket included. Of a socket itself it cannot be
//! seen: the kernel does not say since when its data has been waiting. A sample passes the queue twice,
//! once for the pacer's task and once for its own, so the lag is overstated rather than understated.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hdrhistogram::Histogram;
use pushbench_server::{contract::clock::now_ns, meters::histogram, pacer::Pacer};
use tokio::task::JoinSet;

use crate::{
    bench::{Bench, Broken},
    recorder::quantile_ms,
};

/// A thousand samples a second: ten beyond the p99 in a window of a second, for about a hundredth of a
/// core.
const PERIOD_NS: u64 = 1_000_000;

/// A task of the current runtime that takes samples; ends with this.
#[derive(Debug)]
pub struct ReadLag {
    task: JoinSet<Histogram<u64>>,
    /// Nothing is due from here on.
    end_ns: Arc<AtomicU64>,
}

impl ReadLag {
    /// Samples throughout the window ([`now_ns`]). One that is taken late makes none of the later ones
    /// due later, so that a stall is charged for all that it held up.
    pub fn sample(pacer: Pacer, window: Range<u64>) -> Self {
        let end_ns = Arc::new(AtomicU64::new(window.end));
        let end = end_ns.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut lag = histogram();
            let mut due_ns = window.start;
            while due_ns < end.load(Relaxed) {
                pacer.sleep_until(due_ns).await;
                lag.saturating_record(now_ns().saturating_sub(due_ns));
                due_ns += PERIOD_NS;
            }
            lag
        });
        Self { task, end_ns }
    }

    /// From now on, until it is told to end.
    pub fn begin(pacer: Pacer) -> Self {
        Self::sample(pacer, now_ns()..u64::MAX)
    }

    /// Ends now: all samples that were due so far.
    ///
    /// # Errors
    /// As [`ReadLag::finish`].
    pub async fn end(self) -> Result<Histogram<u64>, Broken> {
        self.end_ns.fetch_min(now_ns(), Relaxed);
        self.finish().await
    }

    /// All samples, nanoseconds, once the window is over.
    ///
    /// # Errors
    /// When the task was lost.
    pub async fn finish(mut self) -> Result<Histogram<u64>, Broken> {
        let samples = self.task.join_next().await.and_then(Result::ok);
        samples.ok_or_else(|| Broken::Waited("the samples of the read lag were taken".into()))
    }
}

/// Puts a read lag, nanoseconds, into the record.
///
/// # Errors
/// When its histogram cannot be written.
pub fn report(bench: &mut Bench, lag: &Histogram<u64>) -> Result<(), Broken> {
    bench.histogram("read_lag", lag)?;
    for (suffix, q) in [("p50", 0.5), ("p99", 0.99)] {
        bench.metric(&format!("read_lag_ms_{suffix}"), quantile_ms(lag, q));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_stall_of_the_loop_is_charged_to_every_sample_that_it_held_up() {
        let pacer = Pacer::start().unwrap();
        let start_ns = now_ns() + PERIOD_NS;
        let lag = ReadLag::sample(pacer.clone(), start_ns..start_ns + 40 * PERIOD_NS);
        pacer.sleep_until(start_ns + 5 * PERIOD_NS).await;
        // The loop itself is kept from going round.
        std::thread::sleep(Duration::from_millis(20));
        let lag = lag.finish().await.unwrap();
        assert_eq!(lag.len(), 40, "one a millisecond, late or not");
        // Due 1, 2, … ms into the stall of 20: at least these are late by half of it.
        assert!(lag.count_between(10 * PERIOD_NS, u64::MAX) >= 8);
    }

    #[tokio::test]
    async fn what_was_due_until_it_was_told_to_end_is_in_it_and_no_more() {
        let pacer = Pacer::start().unwrap();
        let lag = ReadLag::begin(pacer.clone());
        let begun_ns = now_ns();
        pacer.sleep_until(begun_ns + 10 * PERIOD_NS).await;
        let elapsed_ns = now_ns() - begun_ns;
        let samples = lag.end().await.unwrap().len();
        // One is due at the beginning; a little passes on either side of the two readings here.
        assert!(
            samples > 10 && samples <= elapsed_ns / PERIOD_NS + 3,
            "{samples}"
        );
    }
}

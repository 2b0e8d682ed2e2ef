//! Messages → histograms, within the measurement window.

use hdrhistogram::Histogram;
use pushbench_server::{contract::message::Stamps, meters::histogram};

/// What is recorded of messages; times in nanoseconds. Shared by all subscribers of a trial.
#[derive(Debug)]
pub struct Recorder {
    window: std::ops::Range<u64>,
    /// Received − scheduled: charges a stalled server for all it held up.
    pub latency: Histogram<u64>,
    /// Received − sent.
    pub service: Histogram<u64>,
    /// How far the gap between two tokens was from the schedule's, without its sign.
    pub deviation: Histogram<u64>,
    /// The gap between two tokens as it was: inter-token latency.
    pub inter_token: Histogram<u64>,
    /// Messages received in the window.
    pub received: u64,
    /// Messages whose stamps lie in the future: the clock, or a stamp, is wrong.
    pub backwards: u64,
}

/// The message before, of one stream: what inter-token times are held against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Previous(Option<(u64, u64)>);

impl Recorder {
    /// Records messages scheduled within `window` ([`now_ns`](pushbench_server::contract::clock::now_ns)).
    pub fn new(window: std::ops::Range<u64>) -> Self {
        Self {
            window,
            latency: histogram(),
            service: histogram(),
            deviation: histogram(),
            inter_token: histogram(),
            received: 0,
            backwards: 0,
        }
    }

    /// Whether a time lies in the window.
    pub fn covers(&self, at_ns: u64) -> bool {
        self.window.contains(&at_ns)
    }

    /// A message was decoded.
    pub fn record(&mut self, stamps: &Stamps, received_at: u64, previous: &mut Previous) {
        let Stamps {
            scheduled_at,
            sent_at,
            ..
        } = *stamps;
        let before = previous.0.replace((scheduled_at, received_at));
        if !self.covers(scheduled_at) {
            return;
        }
        self.received += 1;
        if received_at < sent_at || sent_at < scheduled_at {
            self.backwards += 1;
            return;
        }
        self.latency.saturating_record(received_at - scheduled_at);
        self.service.saturating_record(received_at - sent_at);
        if let Some((scheduled_before, received_before)) = before {
            let planned = scheduled_at.abs_diff(scheduled_before);
            let actual = received_at.abs_diff(received_before);
            self.deviation.saturating_record(actual.abs_diff(planned));
            self.inter_token.saturating_record(actual);
        }
    }
}

/// The value at a quantile, or none where fewer than 10 samples lie beyond it.
pub fn quantile(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    let beyond = (1.0 - quantile) * histogram.len() as f64;
    // 1 − 0.9 is a little less than 0.1.
    (beyond + 1e-6 >= 10.0).then(|| histogram.value_at_quantile(quantile) as f64)
}

/// The same in milliseconds, of a histogram of nanoseconds.
pub fn quantile_ms(histogram: &Histogram<u64>, q: f64) -> Option<f64> {
    quantile(histogram, q).map(|ns| ns / 1e6)
}

/// The value at the p99, or at the highest quantile below it that has 10 samples beyond; 0 of fewer.
pub fn tail(histogram: &Histogram<u64>) -> f64 {
    let highest = 1.0 - 10.0 / histogram.len().max(10) as f64;
    histogram.value_at_quantile(highest.min(0.99)) as f64 * f64::from(u8::from(highest > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(scheduled_at: u64, sent_at: u64) -> Stamps {
        Stamps {
            stream: 1,
            seq: 1,
            scheduled_at,
            sent_at,
        }
    }

    #[test]
    fn latency_counts_from_the_schedule_and_service_time_from_the_stamp() {
        let mut recorder = Recorder::new(1_000..2_000);
        let mut previous = Previous::default();
        recorder.record(&stamps(900, 900), 910, &mut previous);
        recorder.record(&stamps(1_100, 1_500), 1_510, &mut previous);
        recorder.record(&stamps(1_200, 1_500), 1_520, &mut previous);
        assert_eq!(recorder.received, 2, "the warm-up is left out");
        assert_eq!((recorder.latency.max(), recorder.service.max()), (410, 20));
        // Gaps of 600 and 10 where 200 and 100 were planned.
        assert_eq!(
            (recorder.deviation.max(), recorder.deviation.min()),
            (400, 90)
        );
        assert_eq!(
            (recorder.inter_token.max(), recorder.inter_token.min()),
            (600, 10)
        );
    }

    #[test]
    fn a_clock_that_runs_backwards_is_counted_not_recorded() {
        let mut recorder = Recorder::new(0..100);
        recorder.record(&stamps(10, 20), 15, &mut Previous::default());
        assert_eq!((recorder.backwards, recorder.latency.len()), (1, 0));
    }

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let mut histogram = histogram();
        (1..=1_000).for_each(|n| histogram.record(n).unwrap());
        assert_eq!(quantile(&histogram, 0.99), Some(990.0));
        assert_eq!(quantile(&histogram, 0.999), None);
        assert_eq!(tail(&histogram), 990.0);
        histogram.clear();
        (1..=100).for_each(|n| histogram.record(n).unwrap());
        assert_eq!(quantile(&histogram, 0.9), Some(90.0));
    }
}

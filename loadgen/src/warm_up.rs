//! Warm-up: the load runs and nothing is recorded until its latency has settled; then the window opens.
//!
//! Whether it has is asked of the load itself, slice by slice; see [`settled`].

use pushbench_reports::record::Chart;
use pushbench_server::{contract::clock::now_ns, pacer::Pacer};

use crate::{
    bench::Bench,
    quantity::Seconds,
    recorder::Recorder,
    settle::{STEADY, settled},
    validity::Evidence,
};

/// Length of a slice at least: a dozen tokens or two whole fan-outs at the rates of the quick plan. With
/// fewer its median says more of one message than of the load.
const SHORTEST_SLICE_NS: u64 = 10_000_000;

/// Length of a slice at most: some dozens of tokens at the rates of the built-in plans, so that its median
/// varies little. A longer warm-up has more of them.
const LONGEST_SLICE_NS: u64 = 50_000_000;

/// How far back the detector looks, as a multiple of the steady slices: further than any of the built-in
/// plans' longest warm-ups. Its work grows with the square, and is done by the thread that reads messages.
const LOOKS_BACK: usize = 10;

/// From the decision to the window's opening: enough to set the recorder and the server's meters up.
const LEAD_NS: u64 = 10_000_000;

/// How long the warm-up may take.
#[derive(Debug, Clone, Copy)]
pub struct WarmUp {
    /// The load must have been steady for as long; none is shorter.
    pub least: Seconds,
    /// What has not settled by then makes the trial invalid.
    pub most: Seconds,
}

/// How a load warmed up.
#[derive(Debug, Clone, PartialEq)]
pub struct Warmed {
    /// When the window opens ([`now_ns`]); all before it is cut.
    pub opens_ns: u64,
    /// The load's start.
    start_ns: u64,
    /// Start of each slice ([`now_ns`]) and the median latency in it, nanoseconds.
    slices: Vec<(u64, f64)>,
    /// The first of the steady ones, if it has settled.
    steady_from: Option<usize>,
}

impl WarmUp {
    /// Expected seconds, of a load that is steady from the start.
    pub fn seconds(&self) -> f64 {
        // Chance takes it for one that still changes at one look in three or so, which costs a slice each.
        const LOOKS_LOST: u64 = 2;
        self.least.get() + (LOOKS_LOST * self.slice_ns() + LEAD_NS) as f64 / 1e9
    }

    /// Nanoseconds over which a median is taken: as many slices in the least warm-up as the detector's
    /// tolerance is shown for, where that leaves each enough messages.
    pub fn slice_ns(&self) -> u64 {
        let wanted_ns = self.least.nanos() / STEADY as u64;
        wanted_ns.clamp(SHORTEST_SLICE_NS, LONGEST_SLICE_NS)
    }

    /// Nanoseconds at most, from the load's start to the window's opening.
    pub fn longest_ns(&self) -> u64 {
        self.most.nanos().max(self.least.nanos()) + self.slice_ns() + LEAD_NS
    }

    /// Watches a load that starts at `start_ns` until it has settled. `median_ns` gives the median
    /// latency, nanoseconds, of what has come since it was last asked; none of nothing.
    pub async fn watch(
        &self,
        pacer: &Pacer,
        start_ns: u64,
        mut median_ns: impl FnMut() -> Option<f64>,
    ) -> Warmed {
        let mut slices = Vec::new();
        let mut slice_ns = start_ns;
        let mut at_ns = start_ns;
        let steady_from = loop {
            at_ns += self.slice_ns();
            pacer.sleep_until(at_ns).await;
            // A slice in which nothing came goes on in the next.
            if let Some(median_ns) = median_ns() {
                slices.push((slice_ns, median_ns));
                slice_ns = at_ns;
            }
            let steady_from = self.steady_from(&slices, at_ns);
            let elapsed_ns = at_ns - start_ns;
            let settled = steady_from.is_some() && elapsed_ns >= self.least.nanos();
            if settled || elapsed_ns >= self.most.nanos().max(self.least.nanos()) {
                break steady_from;
            }
        };
        Warmed {
            opens_ns: now_ns() + LEAD_NS,
            start_ns,
            slices,
            steady_from,
        }
    }

    fn steady_from(&self, slices: &[(u64, f64)], now_ns: u64) -> Option<usize> {
        let wanted = self.steady_slices(slices, now_ns);
        let skipped = slices.len().saturating_sub(LOOKS_BACK * wanted);
        let recent = slices.iter().skip(skipped);
        let medians: Vec<f64> = recent.map(|(_, median_ns)| *median_ns).collect();
        Some(skipped + settled(&medians, wanted)?)
    }

    /// As many as come in the least warm-up, by those that came since the first ended: fewer where the load
    /// is so slow that some last longer. How long the first message took says nothing of that.
    fn steady_slices(&self, slices: &[(u64, f64)], now_ns: u64) -> usize {
        let all = self.least.nanos().div_ceil(self.slice_ns()) as usize;
        let Some((second_ns, _)) = slices.get(1) else {
            return all;
        };
        let passed_ns = now_ns.saturating_sub(*second_ns).max(1) as f64;
        let came = (slices.len() - 1) as f64;
        ((came * self.least.nanos() as f64 / passed_ns).round() as usize).clamp(1, all)
    }
}

impl Warmed {
    /// Puts the series, the cut and, where the load has not settled, the reason against the trial into
    /// the record.
    pub fn report(&self, bench: &mut Bench) {
        let ms = |at_ns: u64| at_ns.saturating_sub(self.start_ns) as f64 / 1e6;
        let slices = self.slices.iter();
        let points = slices.map(|(at_ns, median_ns)| [ms(*at_ns), median_ns / 1e6]);
        let cut_ms = ms(self.opens_ns);
        let steady_ms = self
            .steady_from
            .and_then(|first| self.slices.get(first))
            .map(|(at_ns, _)| ms(*at_ns));
        let marks = [(steady_ms, 0.0), (Some(cut_ms), 1.0)];
        let marks = marks
            .into_iter()
            .filter_map(|(at_ms, mark)| Some([at_ms?, mark]));
        bench.record.points.insert(POINTS.into(), points.collect());
        bench.record.points.insert(MARKS.into(), marks.collect());
        bench.metric("warm_up_ms", cut_ms);
        bench.metric("steady_from_ms", steady_ms);
        if self.steady_from.is_none() {
            bench.weigh(&Evidence::Unsettled(cut_ms));
        }
    }
}

const POINTS: &str = "warm_up";
const MARKS: &str = "warm_up_marks";

/// Takes the median latency, nanoseconds, of what was recorded since the last time.
pub fn take_median_ns(recorder: &mut Recorder) -> Option<f64> {
    let latency = &mut recorder.latency;
    let median_ns = (!latency.is_empty()).then(|| latency.value_at_quantile(0.5) as f64);
    latency.reset();
    median_ns
}

/// Where the page shows the cut.
pub fn chart(experiment: &str, warm_up: WarmUp) -> Chart {
    Chart::Timeline {
        file: format!("{experiment}-warm-up"),
        title: "Warm-up, and where it was cut".into(),
        subtitle: format!(
            "median latency of every {} ms, from the load's start until the window opened",
            warm_up.slice_ns() / 1_000_000
        ),
        caption: "A line is one trial. The window opens once the load has been steady for long enough; nothing that \
                  was scheduled before is in any figure. The marks stand at their mean over all trials."
            .into(),
        points: POINTS.into(),
        y_title: "median latency, ms".into(),
        marks: MARKS.into(),
        mark_titles: vec!["steady from here".into(), "window opens".into()],
    }
}

#[cfg(test)]
mod tests {
    use pushbench_server::meters::histogram;

    use super::*;
    use crate::quantity::seconds;

    const WARM_UP: WarmUp = WarmUp {
        least: seconds(0.5),
        most: seconds(1.5),
    };

    /// Watches a load whose slices have these medians, then the last one for ever. The window opens
    /// later than the decision, by as much as the machine is slow: what is looked at are slices.
    async fn watch(medians: &[Option<f64>]) -> Warmed {
        let pacer = Pacer::start().unwrap();
        let mut medians = medians.iter().copied();
        let mut last = None;
        let next = || {
            last = medians.next().unwrap_or(last);
            last
        };
        WARM_UP.watch(&pacer, now_ns(), next).await
    }

    #[tokio::test]
    async fn a_steady_load_is_watched_for_the_least_time() {
        let warmed = watch(&[Some(1e6)]).await;
        assert_eq!((warmed.slices.len(), warmed.steady_from), (50, Some(0)));
        assert!(warmed.opens_ns >= warmed.start_ns + WARM_UP.least.nanos());
    }

    #[tokio::test]
    async fn what_comes_before_it_is_steady_is_cut() {
        let falling = (0..40).map(|slice| Some(1e6 * (5.0 - 0.1 * f64::from(slice))));
        let warmed = watch(&falling.chain([Some(1e6)]).collect::<Vec<_>>()).await;
        let steady_from = warmed.steady_from.unwrap();
        assert!(steady_from >= 32, "{warmed:?}");
        assert!(warmed.slices.len() - steady_from >= 50, "{warmed:?}");
    }

    #[tokio::test]
    async fn a_load_that_goes_on_changing_is_given_up_at_the_longest() {
        let rising: Vec<_> = (1..200).map(|slice| Some(1e6 * f64::from(slice))).collect();
        let warmed = watch(&rising).await;
        assert_eq!((warmed.slices.len(), warmed.steady_from), (150, None));
    }

    #[tokio::test]
    async fn a_slice_without_messages_goes_on_in_the_next() {
        let sparse: Vec<_> = (0..200)
            .map(|slice| (slice % 2 == 1).then_some(1e6))
            .collect();
        let warmed = watch(&sparse).await;
        let starts: Vec<_> = warmed
            .slices
            .iter()
            .map(|(at_ns, _)| (at_ns - warmed.start_ns) / WARM_UP.slice_ns())
            .collect();
        assert_eq!(starts[..3], [0, 2, 4]);
        let settled = (warmed.slices.len(), warmed.steady_from);
        assert_eq!(settled, (25, Some(0)), "half as many in the same time");
        assert_eq!(watch(&[None]).await.slices, []);
    }

    #[test]
    fn a_warm_up_has_the_slices_that_its_tolerance_is_shown_for() {
        let slices = |least| {
            let warm_up = WarmUp {
                least: seconds(least),
                ..WARM_UP
            };
            let count = warm_up.least.nanos() as f64 / warm_up.slice_ns() as f64;
            (warm_up.slice_ns() / 1_000_000, count.round() as usize)
        };
        assert_eq!(slices(0.1), (10, 10), "none is shorter");
        assert_eq!(slices(0.6), (10, STEADY));
        assert_eq!(slices(1.2), (20, STEADY));
        assert_eq!(slices(3.0), (50, STEADY));
        assert_eq!(slices(6.0), (50, 2 * STEADY), "none is longer");
    }

    #[tokio::test]
    async fn a_load_whose_first_message_is_late_is_not_taken_for_a_slow_one() {
        let late = std::iter::repeat_n(None, 60).chain([Some(1e6)]);
        let warmed = watch(&late.collect::<Vec<_>>()).await;
        assert_eq!((warmed.slices.len(), warmed.steady_from), (50, Some(0)));
    }

    #[test]
    fn a_long_ramp_is_looked_at_no_further_back_than_the_work_is_bounded() {
        // A level long left behind, then a steady one.
        let level = |slice: usize| if slice < 1_000 { 9e6 } else { 1e6 };
        let slices: Vec<_> = (0..1_100)
            .map(|slice| (slice as u64 * WARM_UP.slice_ns(), level(slice)))
            .collect();
        let now_ns = 1_100 * WARM_UP.slice_ns();
        assert_eq!(WARM_UP.steady_from(&slices, now_ns), Some(1_000));
    }

    #[test]
    fn a_median_is_of_what_came_since_the_last() {
        let mut recorder = Recorder::new(0..10);
        recorder.latency = histogram();
        recorder.latency.record_n(7, 3).unwrap();
        assert_eq!(take_median_ns(&mut recorder), Some(7.0));
        assert_eq!(take_median_ns(&mut recorder), None);
    }
}

//! Check 12: what changes or disturbs a measurement is cut off, thrown out or cancelled by the order, and
//! where too much is thrown out there is no verdict.

mod drift;
pub mod neighbour;
mod ramp;

use pushbench_reports::{
    calibration::{Check, Row},
    quantity::percent,
    statistics::{Side, binomial},
};

use super::Lab;
use crate::{
    bench::Broken,
    settle::{STEADY, settled},
};
use drift::Order;

/// Heading.
pub const TITLE: &str = "Drift, warm-up and a noisy neighbour";

/// A share is rejected below this: of a hundred checks of a sound testbed, one fails.
const REJECTED: f64 = 0.01;

/// Share of ramps that are cut right.
const CUT_RIGHT: f64 = 0.95;

/// Share of disturbed trials that are invalid.
const FLAGGED: f64 = 0.9;

/// Share of undisturbed trials that may be invalid all the same, by what else the machine does: a report
/// calls it too noisy beyond.
const NOISY: f64 = 0.25;

/// Share of runs without a difference that may find one.
const ALARMS: f64 = 0.05;

/// Measures ramps and neighbours, simulates drifts, and judges.
///
/// # Errors
/// When a server or the neighbour cannot be used.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let ramps = ramp::measure(lab).await?;
    let trials = neighbour::measure(lab).await?;
    let drifted = lab.effort.pick(400, 2_000);
    let mut rows = vec![judge_ramps(&ramps, settled)];
    rows.extend(judge_trials(&trials));
    rows.extend(judge_drift(drifted));
    rows.extend(drift::without_a_verdict());
    let disturbed = trials.iter().filter(|trial| trial.disturbed).count();
    let counts = format!(
        "{} ramps, {disturbed} disturbed and {} undisturbed trials, {drifted} runs with a drift",
        ramps.len(),
        trials.len() - disturbed
    );
    Ok(Check {
        number: 12,
        name: "disturbance".to_owned(),
        title: TITLE.to_owned(),
        method: format!(
            "Servers hold their messages by a delay that falls to nothing over a time that each draws for itself and \
             tells afterwards; the cut that the warm-up's detector puts into medians of 50 ms, {STEADY} of them steady, is \
             right if it lies at most a fifth of the ramp before its end and at most {} slices behind it. Another \
             process keeps the server's or the generator's core busy for a part of a trial, where and when it draws; \
             the trial must be invalid. Runs of identical arms whose figures drift by a margin from the first trial to \
             the last go through the whole statistics, in the order of a plan and in one that is not mirrored. Last, \
             a run with a true difference loses rounds, and with too few left there must be no verdict.",
            STEADY / 2
        ),
        counts: match lab.effort {
            super::Effort::Whole => counts,
            super::Effort::Quick => format!(
                "{counts}; reduced, and ramps of 2 s: a whole calibration has 64 ramps of 10 s, 36 and 24 trials, 2,000 runs"
            ),
        },
        rows,
        picture: ramp::picture(&ramps),
        note: String::new(),
    })
}

/// How a warm-up is cut.
type Detector = fn(&[f64], usize) -> Option<usize>;

fn judge_ramps(ramps: &[ramp::Ramp], detector: Detector) -> Row {
    let right = ramps.iter().filter(|ramp| ramp.cut_right(detector));
    Promise {
        subject: "warm-up cut right",
        hits: right.count(),
        tries: ramps.len(),
        stated: CUT_RIGHT,
        side: Side::Below,
    }
    .row()
}

fn judge_trials(trials: &[neighbour::Tried]) -> [Row; 2] {
    let of = |disturbed: bool| {
        let of: Vec<_> = trials
            .iter()
            .filter(|trial| trial.disturbed == disturbed)
            .collect();
        (of.iter().filter(|trial| trial.flagged).count(), of.len())
    };
    let ((caught, disturbed), (wronged, left_alone)) = (of(true), of(false));
    [
        Promise {
            subject: "trials with a noisy neighbour, invalid",
            hits: caught,
            tries: disturbed,
            stated: FLAGGED,
            side: Side::Below,
        }
        .row(),
        Promise {
            subject: "trials between them, invalid",
            hits: wronged,
            tries: left_alone,
            stated: NOISY,
            side: Side::Above,
        }
        .row(),
    ]
}

fn judge_drift(runs: usize) -> [Row; 2] {
    let mirrored = Promise {
        subject: "alarms under a drift",
        hits: drift::alarms(runs, Order::Mirrored),
        tries: runs,
        stated: ALARMS,
        side: Side::Above,
    };
    // The same drift must be able to do harm, or the row above would show nothing.
    let fixed = Promise {
        subject: "alarms under the same drift, order not mirrored",
        hits: drift::alarms(runs, Order::Fixed),
        ..mirrored
    };
    let fixed = Row {
        truth: format!("far more than {}", percent(ALARMS)),
        tolerance: format!("{} is rejected at p < {REJECTED}", percent(ALARMS)),
        pass: !fixed.kept(),
        ..fixed.row()
    };
    [mirrored.row(), fixed]
}

/// A share that was promised, and what was counted.
#[derive(Debug, Clone, Copy)]
struct Promise {
    subject: &'static str,
    hits: usize,
    tries: usize,
    stated: f64,
    /// On which the promise is broken.
    side: Side,
}

impl Promise {
    /// Nothing tried has kept nothing.
    fn kept(&self) -> bool {
        let p = binomial(self.hits as u64, self.tries as u64, self.stated, self.side);
        self.tries > 0 && p.is_some_and(|p| p >= REJECTED)
    }

    fn row(&self) -> Row {
        let Self {
            subject,
            hits,
            tries,
            stated,
            side,
        } = *self;
        let bound = match side {
            Side::Above => "at most",
            Side::Below => "at least",
            Side::Both => "exactly",
        };
        let share = percent(hits as f64 / tries.max(1) as f64);
        Row {
            subject: subject.to_owned(),
            truth: format!("{bound} {}", percent(stated)),
            measured: format!("{share} ({hits} of {tries})"),
            tolerance: format!("rejected at p < {REJECTED}, exact binomial"),
            pass: self.kept(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramps() -> Vec<ramp::Ramp> {
        (0..20)
            .map(|seed| ramp::Ramp::synthetic(80.0, 3.0, seed))
            .collect()
    }

    #[test]
    fn a_detector_that_never_cuts_or_never_settles_fails() {
        assert!(judge_ramps(&ramps(), settled).pass);
        assert!(!judge_ramps(&ramps(), |_, _| Some(0)).pass);
        assert!(
            !judge_ramps(&ramps(), |slices, steady| (slices.len() >= steady)
                .then_some(0))
            .pass
        );
        assert!(!judge_ramps(&ramps(), |_, _| None).pass);
        assert!(!judge_ramps(&[], settled).pass);
    }

    #[test]
    fn a_rule_that_never_flags_or_always_does_fails() {
        let trials = |flag: fn(bool) -> bool| -> Vec<_> {
            let disturbed = (0..30).map(|n| n % 3 != 0);
            let tried = |disturbed| neighbour::Tried {
                disturbed,
                flagged: flag(disturbed),
            };
            disturbed.map(tried).collect()
        };
        let passes = |flag| judge_trials(&trials(flag)).map(|row| row.pass);
        assert_eq!(passes(|disturbed| disturbed), [true, true]);
        assert_eq!(passes(|_| false), [false, true]);
        assert_eq!(passes(|_| true), [true, false]);
    }

    #[test]
    fn a_mirrored_order_cancels_a_drift_and_a_fixed_one_does_not() {
        let rows = judge_drift(200);
        assert!(rows.iter().all(|row| row.pass), "{rows:?}");
    }
}

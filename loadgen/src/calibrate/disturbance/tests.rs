//! Rules that flag, cut and cancel, and ones that do not.

use std::collections::BTreeSet;

use super::*;
use crate::settle::settled;

#[test]
fn a_detector_that_never_cuts_or_never_settles_fails() {
    let passes = |detector| judge_ramps(&ramp::tests::made_up(detector)).pass;
    assert!(passes(settled));
    assert!(!passes(|_, _| Some(0)));
    assert!(!passes(
        |slices, steady| (slices.len() >= steady).then_some(0)
    ));
    assert!(!passes(|slices, _| (slices.len() > 250).then_some(200)));
    assert!(!passes(|_, _| None));
    let (setting, _) = ramp::tests::made_up(settled);
    assert!(!judge_ramps(&(setting, Vec::new())).pass);
}

/// Trials of which each third is left alone; a neighbour moves the latency by `moved_ms`.
fn trials(moved_ms: f64, flag: fn(bool) -> bool) -> Vec<Tried> {
    let tried = |n: u32| {
        let disturbed = !n.is_multiple_of(3);
        let p99_ms = 2.0 + 0.01 * f64::from(n) + if disturbed { moved_ms } else { 0.0 };
        Tried {
            covered: disturbed.then_some(0.4),
            flagged: flag(disturbed)
                .then(|| "busy".to_owned())
                .into_iter()
                .collect(),
            figures: [("fan_out_latency_ms_p99".to_owned(), p99_ms)].into(),
        }
    };
    (0..30).map(tried).collect()
}

fn passes(trials: &[Tried]) -> [bool; 2] {
    judge_trials(trials).map(|row| row.pass)
}

#[test]
fn a_rule_that_never_flags_or_always_does_fails() {
    assert_eq!(passes(&trials(3.0, |disturbed| disturbed)), [true; 2]);
    assert_eq!(passes(&trials(3.0, |_| false)), [false, true]);
    assert_eq!(passes(&trials(3.0, |_| true)), [true, false]);
}

#[test]
fn a_neighbour_that_misses_the_window_shows_nothing() {
    let mut late = trials(3.0, |disturbed| disturbed);
    for one in late.iter_mut().filter(|one| one.covered.is_some()) {
        one.covered = Some(0.1);
    }
    assert_eq!(passes(&late), [false, true]);
}

#[test]
fn one_miss_in_ten_is_allowed_and_two_are_not() {
    let mut some = trials(3.0, |disturbed| disturbed);
    for (misses, pass) in [(2, true), (3, false)] {
        for one in some
            .iter_mut()
            .filter(|one| one.covered.is_some())
            .take(misses)
        {
            one.flagged.clear();
        }
        assert_eq!(passes(&some)[0], pass, "{misses} of 20");
    }
}

#[test]
fn a_mirrored_order_cancels_a_drift_and_a_fixed_one_does_not() {
    let rows = judge_drift(200, 1);
    assert!(rows.iter().all(|row| row.pass), "{rows:?}");
    let series = judge_series(&drift::tests::made_up(1.05));
    assert!(series.iter().all(|row| row.pass), "{series:?}");
}

#[test]
fn a_series_in_which_nothing_drifts_shows_nothing() {
    assert!(!judge_series(&drift::tests::made_up(1.0))[1].pass);
}

#[test]
fn what_went_wrong_is_told() {
    let told = note(
        &[ramp::tests::made_up(|_, _| None)],
        &trials(3.0, |_| false),
    );
    let reasons: BTreeSet<_> = told.split("; ").collect();
    assert!(
        told.contains("was cut never") && told.contains("these moved: fan_out"),
        "{reasons:?}"
    );
}

//! Two runs against each other: what is found, what is refused, what is left apart.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod synthetic;

use pushbench_reports::compare::{CompareError, Compared, compare};
use pushbench_reports::effect::{Effect, Verdict};
use pushbench_reports::read::{Run, read};
use pushbench_reports::record::{Manifest, Record};
use synthetic::{ARM, CONTROL};
use tempfile::TempDir;

fn run(change: impl FnOnce(&mut Manifest, &mut Vec<Record>)) -> Run {
    let dir = TempDir::new().unwrap();
    let mut manifest = synthetic::manifest();
    let mut records = synthetic::records(&manifest);
    change(&mut manifest, &mut records);
    synthetic::write(dir.path(), &manifest, &records);
    read(dir.path()).unwrap()
}

/// As it was, made at another time.
fn later(change: impl FnOnce(&mut Manifest, &mut Vec<Record>)) -> Run {
    run(|manifest, records| {
        manifest.started_at = "2026-03-02T10:00:00Z".into();
        change(manifest, records);
    })
}

fn scale(records: &mut [Record], arm: &str, metric: &str, factor: f64) {
    for record in records.iter_mut().filter(|record| record.arm == arm) {
        if let Some(Some(figure)) = record.metrics.get_mut(metric) {
            *figure *= factor;
        }
    }
}

fn effect<'a>(compared: &'a Compared, arm: &str, metric: &str) -> &'a Effect {
    let own = |e: &&Effect| e.arm == format!("{arm} (B)") && e.metric == metric;
    compared.effects.iter().find(own).unwrap()
}

#[test]
fn a_run_and_its_copy_are_equivalent_throughout() {
    let compared = compare(&run(|_, _| ()), &run(|_, _| ()), false).unwrap();
    assert_eq!(compared.effects.len(), 2 * 9);
    for effect in &compared.effects {
        let Effect {
            verdict,
            difference,
            difference_low,
            difference_high,
            ..
        } = effect;
        assert_eq!(*verdict, Verdict::Equivalent);
        assert_eq!(
            [difference, difference_low, difference_high],
            [&Some(0.0); 3]
        );
        assert!(effect.ratio.is_none_or(|ratio| ratio == 1.0));
        assert!(
            effect.sentence.contains("are the same trials"),
            "{}",
            effect.sentence
        );
    }
    assert!(compared.warnings[0].contains("the same run"));
    // Equal figures of another time are no identity: what they scatter by is an uncertainty again.
    let compared = compare(&run(|_, _| ()), &later(|_, _| ()), false).unwrap();
    let cpu = effect(&compared, ARM, "server_cpu_us_per_message");
    assert!(cpu.difference_low.unwrap() < 0.0 && cpu.difference == Some(0.0));
    assert!(compared.warnings[0].contains("drift"));
}

#[test]
fn a_slower_build_is_found_and_the_rest_is_not() {
    let slower = later(|_, records| scale(records, ARM, "server_cpu_us_per_message", 1.3));
    let compared = compare(&run(|_, _| ()), &slower, false).unwrap();
    let worse: Vec<&Effect> = compared
        .effects
        .iter()
        .filter(|effect| effect.verdict == Verdict::Worse)
        .collect();
    let [found] = worse[..] else {
        panic!("{worse:?}")
    };
    assert_eq!(
        (found.arm.as_str(), found.baseline.as_str()),
        ("ws-h1 (B)", "ws-h1 (A)")
    );
    assert!((found.ratio.unwrap() - 1.3).abs() < 1e-9);
    assert!(
        found
            .sentence
            .starts_with("`ws-h1 (B)` is 30 % higher than `ws-h1 (A)` in server CPU")
    );
    let back = compare(&slower, &run(|_, _| ()), false).unwrap();
    assert_eq!(
        effect(&back, ARM, "server_cpu_us_per_message").verdict,
        Verdict::Better
    );
}

#[test]
fn invalid_trials_are_left_out_on_either_side_alone() {
    let fewer = later(|_, records| {
        for record in records.iter_mut().filter(|record| record.round > 4) {
            record.invalid.push("foreign load".into());
        }
    });
    let compared = compare(&run(|_, _| ()), &fewer, false).unwrap();
    assert!(compared.effects.iter().all(|effect| effect.rounds == 4));
}

#[test]
fn another_machine_or_format_is_refused_unless_told() {
    let facts = ["cpu", "cores", "memory_gib", "kernel"];
    for fact in facts {
        let other = later(|manifest, _| {
            manifest.environment.insert(fact.into(), "another".into());
        });
        let error = compare(&run(|_, _| ()), &other, false).unwrap_err();
        assert!(
            error.to_string().contains(&fact.replace('_', " ")),
            "{error}"
        );
        assert!(error.to_string().contains("--anyway"));
        let told = compare(&run(|_, _| ()), &other, true).unwrap();
        assert!(
            told.warnings[1].contains("another in B"),
            "{:?}",
            told.warnings
        );
    }
    let older = later(|_, records| records[0].format = 1);
    let error = compare(&run(|_, _| ()), &older, false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("record format (2 in A, 1 and 2 in B)"),
        "{error}"
    );
    assert!(compare(&run(|_, _| ()), &older, true).is_ok());
    // Another version of pushbench is what a comparison is for.
    let newer = later(|manifest, _| {
        manifest
            .environment
            .insert("pushbench".into(), "0.2.0".into());
    });
    assert!(compare(&run(|_, _| ()), &newer, false).is_ok());
}

#[test]
fn what_is_on_one_side_only_or_otherwise_is_said() {
    let other = later(|manifest, records| {
        let plan = &mut manifest.plan;
        plan.experiments.retain(|own| own.name != "reconnect");
        records.retain(|record| record.experiment != "reconnect");
        let latency = &mut plan.experiments[0];
        latency.metrics[1].name = "token_latency_ms_p999".into();
        latency.metrics[2].unit = "s".into();
        latency.settings.insert("streams".into(), "200".into());
        plan.experiments[1].metrics[0].margin = 0.2;
        plan.experiments[2].arms.retain(|label| label != ARM);
        records.retain(|record| record.experiment != "memory" || record.arm != ARM);
        plan.arms[1].factors.insert("nodelay".into(), "off".into());
    });
    let compared = compare(&run(|_, _| ()), &other, false).unwrap();
    let said = [&compared.apart[..], &compared.warnings[..]]
        .concat()
        .join("\n");
    for sentence in [
        "The experiment `reconnect` is in A only.",
        "The metric `token_latency_ms_p99` of `latency` is in A only.",
        "The metric `token_latency_ms_p999` of `latency` is in B only.",
        "`ttft_cold_ms_p50` of `latency` is not compared",
        "The arm `ws-h1` of `memory` is in A only.",
        "`latency` was not asked alike: streams (100 in A, 200 in B).",
        "`server_cpu_us_per_message` of `throughput` has another margin in B",
        "`ws-h1` is not the same arm in both: nodelay (not set in A, off in B).",
    ] {
        assert!(said.contains(sentence), "{sentence} is not in\n{said}");
    }
    assert!(said.contains(&format!("`{CONTROL}` of `latency` is not compared")));
    // Latency: one metric; throughput: two; of both arms. Memory: two, of the baseline alone.
    assert_eq!(compared.effects.len(), 2 + 4 + 2);
}

#[test]
fn nothing_in_common_is_an_error() {
    let other = later(|manifest, records| {
        for experiment in &mut manifest.plan.experiments {
            experiment.name.insert(0, 'x');
        }
        records.clear();
    });
    let error = compare(&run(|_, _| ()), &other, false).unwrap_err();
    assert_eq!(error, CompareError::Nothing);
}

#[test]
fn a_look_taken_by_either_run_counts_for_both() {
    let looked = later(|manifest, _| manifest.plan.looks = vec![6, 12]);
    for (a, b) in [(&run(|_, _| ()), &looked), (&looked, &run(|_, _| ()))] {
        assert_eq!(compare(a, b, false).unwrap().level.words(), "97.5 %");
    }
}

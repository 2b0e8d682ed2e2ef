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
    let facts = [
        "cpu",
        "cores",
        "cores_allowed",
        "memory_gib",
        "kernel",
        "clock_source",
    ];
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

#[test]
fn what_neither_run_knows_is_not_called_the_same() {
    let told = |change: fn(&mut Manifest)| {
        let [a, b] = [run(|own, _| change(own)), later(|own, _| change(own))];
        compare(&a, &b, false).unwrap().warnings.join("\n")
    };
    let unknown = "Neither run knows its machine's cores, cores allowed, memory gib, so";
    assert!(told(|_| ()).contains(unknown), "{}", told(|_| ()));
    let known = told(|own| {
        for fact in ["cores", "cores_allowed", "memory_gib"] {
            own.environment.insert(fact.into(), "8".into());
        }
    });
    assert!(!known.contains("Neither run"), "{known}");
    let both = told(|own| {
        own.environment.insert("kernel".into(), "unknown".into());
    });
    assert!(both.contains("memory gib, kernel, so"), "{both}");
    // One run beside itself cannot differ from itself.
    let same = compare(&run(|_, _| ()), &run(|_, _| ()), false).unwrap();
    assert_eq!(same.warnings.len(), 1);
}

#[test]
fn another_profile_or_congestion_control_is_warned_of() {
    for fact in ["build_profile", "congestion_control"] {
        let other = later(|own, _| {
            own.environment.insert(fact.into(), "another".into());
        });
        let compared = compare(&run(|_, _| ()), &other, false).unwrap();
        let said = compared.warnings.join("\n");
        assert!(
            said.contains(&fact.replace('_', " ")) && said.contains("another in B"),
            "{said}"
        );
    }
}

#[test]
fn arms_of_another_build_are_compared_only_where_it_is_the_same_build() {
    let held = |manifest: &mut Manifest, build: Option<&str>| {
        manifest.plan.arms[1].held_against = Some("sse-h1".into());
        let fact = build.map(|build| ("against".to_owned(), build.to_owned()));
        manifest.environment.extend(fact);
    };
    let compared = |of_a: Option<&str>, of_b: Option<&str>| {
        let a = run(|own, _| held(own, of_a));
        compare(&a, &later(|own, _| held(own, of_b)), false).unwrap()
    };
    assert_eq!(compared(Some("0.1, 7"), Some("0.1, 7")).effects.len(), 18);
    for (of_a, of_b) in [(Some("0.1, 7"), Some("0.1, 8")), (None, None)] {
        let apart = compared(of_a, of_b);
        assert_eq!(apart.effects.len(), 9, "the baseline's");
        let said = "`ws-h1` of `memory` is not compared: it is served by another build";
        assert!(apart.apart.iter().any(|own| own.starts_with(said)));
    }
}

#[test]
fn a_label_that_is_a_control_in_either_run_is_left_out() {
    let control = later(|own, _| own.plan.arms[1].control_of = Some("sse-h1".into()));
    let plain = run(|_, _| ());
    for (a, b) in [(&plain, &control), (&control, &plain)] {
        assert_eq!(compare(a, b, false).unwrap().effects.len(), 9);
    }
}

#[test]
fn trials_that_share_no_round_are_not_called_rounds() {
    let wild = later(|_, records| {
        records.retain(|record| record.round <= 5);
        for record in records.iter_mut() {
            for figure in record.metrics.values_mut().flatten() {
                *figure *= 1.0 + 5.0 * f64::from(record.round % 2);
            }
        }
    });
    let few = later(|_, records| records.retain(|record| record.round <= 3));
    let none = later(|_, records| records.clear());
    for (b, says) in [
        (wild, "is inconclusive: 6 and 5 trials put "),
        (few, "6 and 3 trials, where a verdict needs 4 of each"),
        (none, "6 and 0 trials, where a verdict needs 4 of each"),
    ] {
        let compared = compare(&run(|_, _| ()), &b, false).unwrap();
        let cpu = effect(&compared, ARM, "server_cpu_us_per_message");
        assert_eq!(cpu.verdict, Verdict::Inconclusive);
        assert!(cpu.sentence.contains(says), "{}", cpu.sentence);
        for effect in &compared.effects {
            assert_eq!(effect.rounds_to_decide, None);
            assert!(!effect.sentence.contains("round "), "{}", effect.sentence);
            assert!(!effect.sentence.contains("rounds"), "{}", effect.sentence);
        }
        assert!(
            cpu.sentence.ends_with("so more trials are needed."),
            "{}",
            cpu.sentence
        );
    }
}

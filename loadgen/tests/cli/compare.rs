//! `pushbench compare`: what it prints, what it refuses, and the code it exits with.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{finish, refusal};

/// A run of one experiment in two arms; each value is a round of `ws-h1`. The exploratory metric is
/// `other` times as much.
fn write_run(directory: &Path, started_at: &str, figures: [f64; 6], other: f64) {
    fs::create_dir_all(directory.join("records")).unwrap();
    let arm = |label: &str| json!({ "label": label, "transport": label, "control_of": null, "factors": {} });
    let metric = |name: &str, title: &str, primary: bool| {
        json!({
            "name": name, "title": title, "unit": "µs", "better": "lower", "margin": 0.1,
            "margin_kind": "relative", "margin_reason": "made up", "primary": primary,
            "ms_per_unit": null,
        })
    };
    let metrics = [
        metric("cpu_us", "CPU a message", true),
        metric("gap_us", "Gap", false),
    ];
    let manifest = json!({
        "format": 2,
        "started_at": started_at,
        "environment": { "cpu": "one", "cores": "2", "memory_gib": "8", "kernel": "Linux" },
        "plan": {
            "name": "test", "seed": 1, "question": "Which?",
            "arms": [arm("sse-h1"), arm("ws-h1")],
            "experiments": [{
                "name": "throughput", "title": "Throughput", "question": "How much?", "rounds": 6,
                "baseline": "sse-h1", "arms": ["sse-h1", "ws-h1"], "settings": {},
                "metrics": metrics, "charts": [],
            }],
            "claims": [], "notes": [],
        },
    });
    fs::write(directory.join("run.json"), manifest.to_string()).unwrap();
    for (round, figure) in (1..).zip(figures) {
        for (arm, figure) in [("sse-h1", 5.0 + 0.01 * f64::from(round)), ("ws-h1", figure)] {
            let record = json!({
                "format": 2, "trial": round, "experiment": "throughput", "arm": arm, "round": round,
                "started_at": started_at, "duration_ms": 1000, "settings": {},
                "metrics": { "cpu_us": figure, "gap_us": other * figure }, "points": {}, "counters": {}, "books": [],
                "histograms": {}, "invalid": [], "notes": [],
            });
            let name = format!("{round:04}-{arm}.json");
            fs::write(directory.join("records").join(name), record.to_string()).unwrap();
        }
    }
}

const USUAL: [f64; 6] = [5.0, 5.1, 4.9, 5.05, 4.95, 5.02];

/// `a`, `copy` of it, `b` that is as fast but for an exploratory metric, and `slow`.
fn runs() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    write_run(&temp.path().join("a"), "2026-01-01T00:00:00Z", USUAL, 1.0);
    write_run(
        &temp.path().join("copy"),
        "2026-01-01T00:00:00Z",
        USUAL,
        1.0,
    );
    let [first, rest @ ..] = USUAL;
    let turned = [rest[0], rest[1], rest[2], rest[3], rest[4], first];
    write_run(&temp.path().join("b"), "2026-01-02T00:00:00Z", turned, 2.0);
    let slow = USUAL.map(|figure| figure * 1.3);
    write_run(&temp.path().join("slow"), "2026-01-03T00:00:00Z", slow, 1.0);
    temp
}

#[test]
fn a_run_is_equivalent_to_itself_and_to_its_copy_and_a_committed_one_to_itself() {
    let temp = runs();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sample/full");
    let sample = sample.to_str().unwrap();
    for (a, b) in [("a", "a"), ("a", "copy"), (sample, sample)] {
        let args = ["compare", a, b, "--json", "--fail-on", "worse"];
        let (code, out, err) = finish(temp.path(), &args);
        assert_eq!(code, Some(0), "{err}");
        let all: Value = serde_json::from_str(&out).unwrap();
        let effects = all["effects"].as_array().unwrap();
        assert!(effects.len() >= 2);
        for effect in effects {
            assert_eq!(effect["verdict"], "equivalent", "{effect}");
            assert_eq!(effect["difference"], 0.0, "{effect}");
        }
    }
}

#[test]
fn prints_a_table_a_sentence_and_a_warning_of_drift() {
    let temp = runs();
    let (code, out, err) = finish(temp.path(), &["compare", "a", "b"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.starts_with("warning: Runs made at different times share no noise"),
        "{err}"
    );
    assert!(
        out.contains("difference (95 %)") && out.contains("ws-h1 (B) 5 µs"),
        "{out}"
    );
    assert!(
        out.contains("\n`ws-h1 (B)` is within 10 % of `ws-h1 (A)` in CPU a message"),
        "{out}"
    );
}

#[test]
fn a_regression_exits_1_only_where_that_was_asked_for() {
    let temp = runs();
    for (args, expected) in [
        (&["compare", "a", "slow"] as &[_], 0),
        (&["compare", "a", "slow", "--fail-on", "never"], 0),
        (&["compare", "a", "slow", "--fail-on", "worse"], 1),
        (&["compare", "a", "slow", "--fail-on", "worse", "--json"], 1),
        // It is better, seen from the other side.
        (&["compare", "slow", "a", "--fail-on", "worse"], 0),
        // Only an exploratory metric is worse.
        (&["compare", "a", "b", "--fail-on", "worse"], 0),
    ] {
        let (code, out, err) = finish(temp.path(), args);
        assert_eq!(code, Some(expected), "{args:?}: {out}{err}");
    }
    let (_, help, _) = finish(temp.path(), &["--help"]);
    assert!(help.contains("1 a verdict"), "{help}");
}

#[test]
fn refuses_what_is_no_run_another_machine_and_nothing_in_common() {
    let temp = runs();
    assert!(refusal(temp.path(), &["compare", "a", "none"]).contains("none is not a directory"));
    let change = |from: &str, to: &str| {
        let path = temp.path().join("b/run.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
    };
    change(r#""cores":"2""#, r#""cores":"64""#);
    let sentence = refusal(temp.path(), &["compare", "a", "b"]);
    assert!(sentence.contains("cores (2 in A, 64 in B)") && sentence.contains("--anyway"));
    let (code, _, err) = finish(temp.path(), &["compare", "a", "b", "--anyway"]);
    assert_eq!(code, Some(0));
    assert!(
        err.contains("warning: The two runs differ in cores (2 in A, 64 in B)."),
        "{err}"
    );
    change(r#""name":"cpu_us""#, r#""name":"cpu_ns""#);
    change(r#""name":"gap_us""#, r#""name":"gap_ns""#);
    let sentence = refusal(temp.path(), &["compare", "a", "b", "--anyway"]);
    assert!(
        sentence.contains("no experiment, arm and metric in common"),
        "{sentence}"
    );
}

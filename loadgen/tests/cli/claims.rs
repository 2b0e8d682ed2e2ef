//! `pushbench claims`: what it prints, writes and refuses.

use std::{fs, path::Path};

use serde_json::json;

use super::{finish, refusal};

/// Four rounds in which a cold WebSocket needed one round trip more.
fn write_run(directory: &Path) {
    fs::create_dir_all(directory.join("records")).unwrap();
    let arm = |label: &str| json!({ "label": label, "transport": label, "control_of": null, "factors": {} });
    let manifest = json!({
        "format": 2,
        "started_at": "2026-11-25T08:00:00Z",
        "environment": { "commit": "abc1234", "cpu": "one", "cores": "2", "kernel": "Linux" },
        "plan": {
            "name": "test", "seed": 1, "question": "Which?",
            "arms": [arm("sse-h1"), arm("ws-h1")],
            "experiments": [{
                "name": "latency", "title": "Latency", "question": "How long?", "rounds": 4,
                "baseline": "sse-h1", "arms": ["sse-h1", "ws-h1"], "settings": {}, "metrics": [],
                "charts": [],
            }],
            "claims": [], "notes": [],
        },
    });
    fs::write(directory.join("run.json"), manifest.to_string()).unwrap();
    for round in 1..=4 {
        for (arm, trips) in [("sse-h1", 2.0), ("ws-h1", 3.0)] {
            let record = json!({
                "format": 2, "trial": round, "experiment": "latency", "arm": arm, "round": round,
                "started_at": "2026-11-25T08:00:00Z", "duration_ms": 1, "settings": {},
                "metrics": { "round_trips_cold": trips }, "points": {}, "counters": {}, "books": [],
                "histograms": {}, "invalid": [], "notes": [],
            });
            let file = directory.join(format!("records/{round:04}-{arm}.json"));
            fs::write(file, record.to_string()).unwrap();
        }
    }
}

#[test]
fn a_run_decides_what_it_has_and_the_rest_says_what_to_run() {
    let temp = tempfile::tempdir().unwrap();
    write_run(&temp.path().join("runs/latency"));
    let (code, out, err) = finish(temp.path(), &["claims", "runs"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.contains("confirmed. It holds: round trips to the first token"),
        "{out}"
    );
    assert!(
        out.contains("`pushbench run --plan claims-batches`"),
        "{out}"
    );
    let page = fs::read_to_string(temp.path().join("runs/claims.html")).unwrap();
    assert!(page.contains("./latency/index.html"));

    for language in ["en", "zh"] {
        fs::create_dir_all(temp.path().join("docs").join(language)).unwrap();
    }
    let args = ["claims", "runs", "--lang", "zh", "--book", "docs"];
    let (code, out, err) = finish(temp.path(), &args);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("证实。成立："), "{out}");
    let chapter = fs::read_to_string(temp.path().join("docs/en/claims.md")).unwrap();
    assert!(
        chapter.contains("(../../runs/latency/index.html)"),
        "{chapter}"
    );
}

#[test]
fn what_cannot_be_judged_is_refused_with_a_remedy_and_nothing_is_written() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("empty")).unwrap();
    for (args, says) in [
        (
            &["claims", "nowhere"][..],
            "name the directory that `pushbench run` printed",
        ),
        (
            &["claims", "empty"],
            "name a directory that holds what `pushbench run --out` wrote",
        ),
    ] {
        let said = refusal(temp.path(), args);
        assert!(said.contains(says), "{said}");
    }
    write_run(&temp.path().join("run"));
    let said = refusal(temp.path(), &["claims", "run", "--book", "empty"]);
    assert!(said.contains("a folder `en` and a folder `zh`"), "{said}");
    assert!(!temp.path().join("run/claims.html").exists());
    fs::remove_dir_all(temp.path().join("run/records")).unwrap();
    fs::create_dir(temp.path().join("run/records")).unwrap();
    fs::write(temp.path().join("run/records/0001.json"), "{").unwrap();
    let said = refusal(temp.path(), &["claims", "run"]);
    assert!(said.contains("0001.json"), "{said}");
}

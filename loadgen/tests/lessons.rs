//! The book's lessons through the command line: each solution passes, and what is wrong is explained.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn solutions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/solutions")
}

/// Takes a lesson in a folder: exit code and what was said.
fn lesson(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pushbench"))
        .arg("lesson")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn passes(args: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = lesson(folder.path(), args);
    assert_eq!(code, Some(0), "{args:?}: {said}");
    assert!(said.contains("passed"), "{said}");
}

/// And says why.
fn fails(args: &[&str], why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = lesson(folder.path(), args);
    assert_eq!(code, Some(1), "{args:?}: {said}");
    assert!(said.contains(why) && said.contains("not yet"), "{said}");
}

fn refused(args: &[&str], why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = lesson(folder.path(), args);
    assert_eq!(code, Some(2), "{args:?}: {said}");
    assert!(said.contains(why), "{said}");
}

fn program(number: u8) -> String {
    let path = solutions().join(format!("lesson-{number}.py"));
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_lesson_is_asked_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let (code, list) = lesson(folder.path(), &[]);
    assert_eq!(code, Some(0));
    assert_eq!(list.lines().count(), 13, "{list}");
    for number in 0..13 {
        for lang in ["en", "zh"] {
            let out = format!("{number}-{lang}");
            let args = [&number.to_string(), "--lang", lang, "--out", &out];
            let (code, said) = lesson(folder.path(), &args);
            assert_eq!(code, Some(0), "{said}");
            let chinese = said.chars().any(|own| ('一'..='龥').contains(&own));
            assert_eq!(chinese, lang == "zh", "{said}");
        }
    }
}

#[test]
fn statements_are_sorted() {
    let right = [
        "0",
        "a=true",
        "b=untested",
        "c=true",
        "d=outdated",
        "e=untested",
        "f=true",
        "g=outdated",
        "h=true",
        "i=outdated",
        "j=untested",
    ];
    passes(&right);
    let mut wrong = right;
    wrong[4] = "d=true";
    fails(&wrong, "EventSource can only GET");
    passes(&[
        "11",
        "a=outdated",
        "b=true",
        "c=true",
        "d=outdated",
        "e=untested",
        "f=true",
        "g=outdated",
        "h=outdated",
        "i=outdated",
        "j=outdated",
        "k=untested",
        "l=true",
    ]);
    fails(&["11", "a=true"], "not answered");
}

/// Counts do not depend on the machine, however busy it is.
#[test]
fn bytes_and_round_trips_are_counted_here() {
    passes(&["1", "sse-h1=14", "sse-h2=17", "ws-h1=2", "ws-h2=11"]);
    fails(
        &["1", "sse-h1=8", "sse-h2=17", "ws-h1=2", "ws-h2=11"],
        "`data: ` is 6",
    );
}

#[test]
fn a_capture_has_all_four_transports() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = lesson(folder.path(), &["1", "--capture", "--out", "there"]);
    assert_eq!(code, Some(0), "{said}");
    for transport in ["sse-h1", "sse-h2", "ws-h1", "ws-h2"] {
        let path = folder.path().join(format!("there/capture-{transport}.txt"));
        let dump = std::fs::read_to_string(path).unwrap();
        assert!(dump.contains("000010  "), "{dump}");
    }
}

#[test]
fn programs_are_run_and_graded() {
    for number in [2, 7, 9] {
        let (number, program) = (number.to_string(), program(number));
        passes(&[&number, "--", "python3", &program]);
    }
    let situations = [
        "3",
        "a=reconnects",
        "b=reconnects",
        "c=closes",
        "d=closes",
        "e=closes",
        "f=cannot",
        "g=cannot",
        "h=reconnects",
    ];
    passes(&[&situations[..], &["--", "python3", &program(3)]].concat());
    fails(&situations, "still to be answered");
    fails(&["2", "--", "true"], "instead of [message");
    fails(&["3", "--", "echo", "hello"], "instead of");
    fails(&["7", "--", "true"], "400 tokens missing");
    fails(&["9", "--", "true"], "turns stopped before their end: 0");
}

#[test]
fn sums_are_graded() {
    passes(&[
        "10",
        "full=1092000",
        "incremental=82000",
        "saved=92.49",
        "uplink_mbit=0.404",
    ]);
    fails(
        &[
            "10",
            "full=252000",
            "incremental=82000",
            "saved=92.49",
            "uplink_mbit=0.404",
        ],
        "21 × 12,000",
    );
}

/// A program that keeps what it prints until it ends, as many languages do by default.
#[test]
fn one_that_does_not_flush_is_told_so_and_one_that_crashes_is_not() {
    let buffering = "import sys\nlines = sys.stdin.read()\n";
    fails(&["2", "--", "python3", "-c", buffering], "and flush");
    let crashing = "raise SystemExit('my own fault')";
    fails(&["2", "--", "python3", "-c", crashing], "my own fault");
}

/// As a learner computes them, from the files.
#[test]
fn a_planted_benchmark_is_refuted_from_its_own_data() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _) = lesson(folder.path(), &["4"]);
    assert_eq!(code, Some(0));
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let rows = text.lines().skip(1).map(|line| {
            let cells = line.split(',').map(|cell| cell.parse::<f64>().unwrap());
            cells.collect::<Vec<_>>()
        });
        rows.collect::<Vec<_>>()
    };
    let requests = read("requests.csv");
    let p99 = |ms: &dyn Fn(&[f64]) -> f64| {
        let mut all: Vec<_> = requests.iter().map(|row| ms(row)).collect();
        all.sort_by(f64::total_cmp);
        all[989]
    };
    let logs: Vec<_> = read("rounds.csv")
        .iter()
        .map(|row| (row[2] / row[1]).ln())
        .collect();
    let mean = logs.iter().sum::<f64>() / 10.0;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let half = 2.262 * (squares / 9.0 / 10.0).sqrt();
    let answers = [
        "4".to_owned(),
        format!("claimed_p99_ms={}", p99(&|row| row[2] - row[1])),
        format!("p99_ms={}", p99(&|row| row[2] - row[0])),
        format!("ratio={}", mean.exp()),
        format!("low={}", (mean - half).exp()),
        format!("high={}", (mean + half).exp()),
        "verdict=inconclusive".to_owned(),
    ];
    let answers: Vec<_> = answers.iter().map(String::as_str).collect();
    passes(&answers);
    let mut wrong = answers;
    wrong[2] = "p99_ms=1.6";
    wrong[6] = "verdict=better";
    fails(&wrong, "during the stall waited too");
}

/// By a committed run, whose tuned WebSocket needs half the memory of SSE and is as fast.
#[test]
fn a_choice_is_held_against_a_run() {
    let sample = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs/sample")
            .join(name);
        path.canonicalize().unwrap().to_str().unwrap().to_owned()
    };
    let full = sample("full");
    let of = |choice| ["12", "--workload", "chat", "--run", &full, choice];
    passes(&of("choice=websocket"));
    fails(&of("choice=sse"), "against it: 1");
    let screen = sample("screen");
    fails(
        &["12", "--workload", "games", "--run", &screen, "choice=sse"],
        "latency: 0 rounds",
    );
}

#[test]
fn what_cannot_be_graded_is_refused() {
    refused(&["13"], "0 to 12");
    refused(&["0", "x=true"], "not asked here");
    refused(&["0", "a=perhaps"], "none of");
    refused(
        &["1", "sse-h1=many", "sse-h2=1", "ws-h1=1", "ws-h2=1"],
        "no number",
    );
    refused(&["5", "missing.toml"], "missing.toml");
    refused(&["2", "--", "no-such-program-here"], "cannot start");
    refused(&["12", "choice=sse"], "--run DIR");
    refused(
        &["12", "--workload", "chat", "--run", "nowhere", "choice=sse"],
        "nowhere",
    );
    refused(&["0", "--lang", "fr"], "en or zh");
    refused(&["0", "--", "true"], "no use for a program");
    refused(&["0", "--capture"], "no use for --capture");
    refused(&["4", "--workload", "chat"], "no use for --workload");
    refused(&["4", "verdict=maybe"], "none of better");
}

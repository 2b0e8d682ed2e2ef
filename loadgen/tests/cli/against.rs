//! `pushbench run --against` and `--fail-on`, with a stand-in for the other build: ours, which a script
//! makes misbehave.

use std::{fs, path::Path};

use serde_json::Value;

use super::{entries, pushbench, refusal};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/stand_in.sh");

/// One arm and its control: the other build's arm stands alone between them.
const PLAN: &str = r#"
[[arm]]
transport = "sse-h1"
[[arm]]
transport = "sse-h1"
label = "again"
control_of = "sse-h1"
"#;

const THROUGHPUT: &str = "[throughput]\nrounds = 2\nsubscribers = 3\nmessages_per_second = 40\n\
                          warm_up_s = 0.05\nwarm_up_max_s = 0.1\nwindow_s = 0.1\n";

/// What no other load on the machine can spoil. The margin is so wide that builds that do not differ are
/// shown to be equivalent.
const MEMORY: &str = "[memory]\nrounds = 4\nconnections = [10, 20, 30, 40]\nwarm_up_connections = 5\n\
                      streaming_s = 0.05\nmargins = { user_bytes_per_idle_connection = 3.0 }\n";

/// More rounds than a verdict needs: other load on the machine may spoil some.
const CPU: &str = "[throughput]\nrounds = 8\nsubscribers = 3\nmessages_per_second = 40\n\
                   warm_up_s = 0.05\nwarm_up_max_s = 1.0\nwindow_s = 0.2\n";

/// The primary effect of the other build.
fn of_the_other_build(directory: &Path) -> Value {
    let summary = json(&directory.join("out/summary.json"));
    let mut effects = summary["effects"].as_array().unwrap().iter();
    let other = effects
        .find(|effect| effect["primary"] == true && effect["arm"] == "sse-h1 (against)")
        .unwrap();
    other.clone()
}

/// Runs the plan against the stand-in: exit code and what was said.
fn run(directory: &Path, stand_in: &str, plan: &str, options: &[&str]) -> (Option<i32>, String) {
    fs::write(directory.join("plan.toml"), format!("{PLAN}{plan}")).unwrap();
    let args = [
        "run",
        "--plan",
        "plan.toml",
        "--out",
        "out",
        "--against",
        STAND_IN,
    ];
    let mut command = pushbench(directory, &[&args, options].concat());
    command
        .env("PUSHBENCH", env!("CARGO_BIN_EXE_pushbench"))
        .env("STAND_IN", stand_in)
        .env("STARTS", directory.join("starts"));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn another_build_is_measured_in_the_same_rounds_and_held_against_its_own_arm() {
    let temp = tempfile::tempdir().unwrap();
    let never = ["--fail-on", "never"];
    let (code, said) = run(temp.path(), "faithful", THROUGHPUT, &never);
    assert_eq!(code, Some(0), "{said}");
    let manifest = json(&temp.path().join("out/run.json"));
    let arms = manifest["plan"]["arms"].as_array().unwrap();
    let held: Vec<_> = arms
        .iter()
        .map(|arm| (arm["label"].as_str().unwrap(), arm["held_against"].as_str()))
        .collect();
    assert_eq!(
        held,
        [
            ("sse-h1", None),
            ("again", None),
            ("sse-h1 (against)", Some("sse-h1"))
        ]
    );
    let fact = manifest["environment"]["against"].as_str().unwrap();
    assert!(
        fact.starts_with("pushbench ") && !fact.contains('/'),
        "{fact}"
    );
    let mut rounds: Vec<(u64, String)> = Vec::new();
    for name in entries(&temp.path().join("out/records")) {
        let record = json(&temp.path().join("out/records").join(&name));
        if record["attempt"] == 1 {
            let arm = record["arm"].as_str().unwrap().to_owned();
            rounds.push((record["round"].as_u64().unwrap(), arm));
        }
    }
    assert_eq!(rounds.len(), 6);
    let (first, second) = rounds.split_at(3);
    let arms =
        |round: &[(u64, String)]| round.iter().map(|(_, arm)| arm.clone()).collect::<Vec<_>>();
    assert!(first.iter().all(|(round, _)| *round == 1));
    assert!(
        arms(first).iter().eq(arms(second).iter().rev()),
        "interleaved and mirrored"
    );
}

#[test]
fn what_is_broken_is_run_again_within_its_round_and_every_attempt_is_kept() {
    let temp = tempfile::tempdir().unwrap();
    // The first start is the rehearsal, the second the first attempt.
    let (code, said) = run(temp.path(), "flaky", THROUGHPUT, &["--fail-on", "never"]);
    assert_eq!(code, Some(0), "{said}");
    let records = temp.path().join("out/records");
    let names = entries(&records);
    let twin = names
        .iter()
        .find(|name| json(&records.join(name))["arm"] == "sse-h1 (against)");
    let first = twin
        .unwrap()
        .replace("-attempt-2", "")
        .replace("-attempt-3", "");
    let stem = first.trim_end_matches(".json");
    let (first, second) = (
        json(&records.join(&first)),
        json(&records.join(format!("{stem}-attempt-2.json"))),
    );
    assert_eq!(
        (&first["attempt"], &second["attempt"]),
        (&1.into(), &2.into())
    );
    for same in ["trial", "experiment", "arm", "round"] {
        assert_eq!(second[same], first[same]);
    }
    let reason = first["invalid"][0].as_str().unwrap();
    assert!(reason.contains("failed on purpose"), "{reason}");
    let number = &first["trial"];
    let line = said
        .lines()
        .find(|line| line.starts_with(&format!("trial {number} is broken: ")));
    assert!(
        line.is_some_and(|line| line.ends_with("again, attempt 2 of 3")),
        "{said}"
    );
    let histograms = second["histograms"].as_object().unwrap();
    assert!(!histograms.is_empty(), "it served this time");
    for path in histograms.values().map(|path| path.as_str().unwrap()) {
        assert!(path.contains("-attempt-2-") && temp.path().join("out").join(path).exists());
    }
    assert!(names.iter().all(|name| !name.contains("-attempt-4")));
}

#[test]
fn a_build_that_is_worse_fails_the_run_unless_it_is_told_never_to() {
    for (stand_in, options, expected) in [
        ("greedy", &[] as &[&str], Some(1)),
        ("greedy", &["--fail-on", "never"], Some(0)),
        ("faithful", &["--fail-on", "worse"], Some(0)),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let (code, said) = run(temp.path(), stand_in, MEMORY, options);
        assert_eq!(code, expected, "{stand_in} {options:?}: {said}");
        assert_eq!(said.contains("\nmemory: "), expected == Some(1), "{said}");
        let effect = of_the_other_build(temp.path());
        let verdict = if stand_in == "greedy" {
            "worse"
        } else {
            "equivalent"
        };
        assert_eq!(
            (&effect["rounds"], &effect["verdict"]),
            (&4.into(), &verdict.into())
        );
    }
}

#[test]
fn a_build_whose_server_is_slower_fails_the_run() {
    let temp = tempfile::tempdir().unwrap();
    let (code, said) = run(temp.path(), "slow", CPU, &[]);
    assert_eq!(code, Some(1), "{said}");
    let effect = of_the_other_build(temp.path());
    // On a machine too busy to measure even this, the run fails for want of rounds, and says so.
    let expected = match effect["rounds"].as_u64().unwrap() {
        4.. => ("worse", "in server CPU per message"),
        _ => (
            "inconclusive",
            "throughput: `sse-h1 (against)` was not judged",
        ),
    };
    assert_eq!(effect["verdict"], expected.0);
    assert!(said.contains(expected.1), "{said}");
}

#[test]
fn a_build_that_could_not_be_measured_fails_the_run() {
    let temp = tempfile::tempdir().unwrap();
    let (code, said) = run(temp.path(), "failing", MEMORY, &[]);
    assert_eq!(code, Some(1), "{said}");
    let sentence = "memory: `sse-h1 (against)` was not judged: 0 rounds";
    assert!(said.contains(sentence), "{said}");
    assert_eq!(of_the_other_build(temp.path())["rounds"], 0);
}

#[test]
fn what_is_no_build_of_ours_is_refused_before_anything_is_written() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("text"), "no program").unwrap();
    for (binary, says) in [
        ("none", "cannot find none"),
        ("text", "text does not serve"),
        (".", ". does not serve"),
        ("/bin/true", "/bin/true does not serve"),
    ] {
        let sentence = refusal(temp.path(), &["run", "--against", binary]);
        assert!(
            sentence.contains(says) && sentence.contains("give --against"),
            "{sentence}"
        );
    }
    let (code, said) = run(temp.path(), "mute", THROUGHPUT, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("does not answer --version"), "{said}");
    let (code, said) = run(temp.path(), "old", THROUGHPUT, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("unknown field") && said.contains("older"),
        "{said}"
    );
    assert_eq!(entries(temp.path()), ["plan.toml", "text"]);
}

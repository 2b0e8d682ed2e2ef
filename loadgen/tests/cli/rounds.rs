//! `pushbench run --until-decided`: what it refuses, and that rounds are added while something is open.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{entries, finish, refusal};

const ARMS: &str = r#"
[[arm]]
transport = "sse-h1"
[[arm]]
transport = "ws-h1"
[[arm]]
transport = "sse-h1"
label = "again"
control_of = "sse-h1"
"#;

/// Decided at the first look: whatever is measured lies within the margin.
const DECIDED: &str = "[memory]\nconnections = [2, 4, 6, 8]\nwarm_up_connections = 1\nstreaming_s = 0.01\n\
                       margins = { user_bytes_per_idle_connection = 1e9 }\n";

/// Never decided: without messages there is no gap between two.
const OPEN: &str = "[reconnect]\nsubscribers = 2\nmessages_per_second = 0.001\nretry_s = 0.01\nphase_s = 0.01\n\
                    down_s = 0.01\n";

fn run(directory: &Path, experiments: &str, max_time: &str) -> String {
    fs::write(directory.join("plan.toml"), format!("{ARMS}{experiments}")).unwrap();
    let until = ["--until-decided", "--max-time", max_time];
    let args = [&["run", "--plan", "plan.toml", "--out", "out"], &until[..]].concat();
    let (code, _, said) = finish(directory, &args);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_ends_at_the_look_that_decides_all() {
    let temp = tempfile::tempdir().unwrap();
    let said = run(temp.path(), DECIDED, "1h");
    let look =
        "look after 6 rounds: decided: memory; undecided: none\nevery primary verdict is decided\n";
    assert!(said.contains(look), "{said}");
    let manifest = json(&temp.path().join("out/run.json"));
    assert_eq!(
        manifest["plan"]["looks"],
        serde_json::json!([6, 12, 24, 48])
    );
    assert_eq!(manifest["plan"]["experiments"][0]["rounds"], 6);
    assert_eq!(entries(&temp.path().join("out/records")).len(), 18);
}

#[test]
fn rounds_are_added_while_something_is_open_and_there_is_time() {
    let temp = tempfile::tempdir().unwrap();
    let said = run(temp.path(), OPEN, "25s");
    let looks: Vec<u64> = said
        .lines()
        .filter_map(|line| line.strip_prefix("look after ")?.split_once(' '))
        .map(|(rounds, found)| {
            assert_eq!(found, "rounds: decided: none; undecided: reconnect (ws-h1)");
            rounds.parse().unwrap()
        })
        .collect();
    // How many depends on how fast the machine is.
    assert!(
        !looks.is_empty() && [6, 12, 24, 48].starts_with(&looks),
        "{said}"
    );
    assert!(said.contains("what is undecided stays so"), "{said}");
    let last = looks[looks.len() - 1];
    let records = temp.path().join("out/records");
    let all: Vec<Value> = entries(&records)
        .iter()
        .map(|name| json(&records.join(name)))
        .collect();
    let numbers: BTreeSet<_> = all
        .iter()
        .map(|record| record["trial"].as_u64().unwrap())
        .collect();
    assert!(numbers.into_iter().eq(1..=3 * last), "numbered on");
    let of_arms: BTreeSet<_> = all
        .iter()
        .map(|record| {
            (
                record["round"].as_u64().unwrap(),
                record["arm"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(of_arms.len() as u64, 3 * last, "each arm once a round");
    assert_eq!(of_arms.last().map(|(round, _)| *round), Some(last));
}

#[test]
fn refuses_too_little_time_and_rounds_of_both_kinds() {
    let temp = tempfile::tempdir().unwrap();
    let sentence = refusal(
        temp.path(),
        &["run", "--until-decided", "--max-time", "20s"],
    );
    assert!(
        sentence.contains("before the first look") && sentence.contains("--only"),
        "{sentence}"
    );
    for options in [
        &["--until-decided", "--max-time", "20"] as &[_],
        &["--until-decided", "--max-time", "0s"],
        &["--until-decided", "--rounds", "4"],
        &["--max-time", "30m"],
        &["--fail-on", "better"],
    ] {
        let (code, out, err) = finish(temp.path(), &[&["run"], options].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{options:?}: {err}");
    }
    assert!(entries(temp.path()).is_empty());
}

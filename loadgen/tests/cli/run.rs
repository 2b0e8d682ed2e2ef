//! `pushbench run` and `report`: what is refused before anything is written, a run to its report, and a
//! run that is stopped.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{entries, finish, pushbench, refusal};

/// As short as a run can be: its figures say nothing.
const TINY: &str = r#"
name = "tiny"
[[arm]]
transport = "sse-h1"
[[arm]]
transport = "ws-h1"
[[arm]]
transport = "sse-h1"
label = "again"
control_of = "sse-h1"
[throughput]
rounds = 2
subscribers = 3
messages_per_second = 20
warm_up_s = 0.05
warm_up_max_s = 0.2
window_s = 0.1
"#;

fn with_plan(text: &str) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("plan.toml"), text).unwrap();
    temp
}

#[test]
fn refuses_what_it_cannot_run_before_anything_is_written() {
    let temp = with_plan(TINY);
    let screen = ["--plan", "screen"];
    let cases: [(&[&str], &[&str]); 10] = [
        (
            &["--only", "latency,speed"],
            &["`speed`", "latency, throughput, memory, reconnect"],
        ),
        (
            &["--plan", "plan.toml", "--only", "latency"],
            &["`latency`", "throughput"],
        ),
        (&["--trace", "none.csv"], &["none.csv", "TIMESTAMP"]),
        (&["--trace", "bad.csv"], &["bad.csv", "line 3"]),
        (&["--out", "full"], &["full is not empty"]),
        (&["--out", "plan.toml"], &["plan.toml is not a directory"]),
        (
            &[&screen[..], &["--until-decided"]].concat(),
            &["--until-decided", "rows of a design"],
        ),
        (
            &[&screen[..], &["--against", "plan.toml"]].concat(),
            &["--against", "rows of a design"],
        ),
        (
            &[&screen[..], &["--fail-on", "worse"]].concat(),
            &["--fail-on", "rows of a design"],
        ),
        (
            &[&screen[..], &["--only", "latency"]].concat(),
            &["`latency`", "use one or more of screen"],
        ),
    ];
    fs::create_dir_all(temp.path().join("full")).unwrap();
    fs::write(temp.path().join("full/kept"), "kept").unwrap();
    let rows = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,1,2\nnoon,1,2\n";
    fs::write(temp.path().join("bad.csv"), rows).unwrap();
    for (options, said) in cases {
        let sentence = refusal(temp.path(), &[&["run"], options].concat());
        for said in said {
            assert!(sentence.contains(said), "{sentence} lacks {said}");
        }
    }
    assert_eq!(entries(&temp.path().join("full")), ["kept"]);
    for options in [
        &["--rounds", "3"] as &[_],
        &["--rounds", "0"],
        &["--speed-up", "2"],
        &["--seed", "-1"],
    ] {
        let (code, out, err) = finish(temp.path(), &[&["run"], options].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{options:?}: {err}");
    }
    assert_eq!(entries(temp.path()), ["bad.csv", "full", "plan.toml"]);
}

#[test]
fn refuses_more_connections_than_open_files_and_says_how_many_are_possible() {
    let plan = TINY.replace("subscribers = 3", "subscribers = 500");
    let temp = with_plan(&plan);
    let shell = format!(
        "ulimit -n 300 && exec {} run --plan plan.toml",
        env!("CARGO_BIN_EXE_pushbench")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &shell])
        .current_dir(temp.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("enough for") && said.contains("ulimit"),
        "{said}"
    );
    assert_eq!(entries(temp.path()), ["plan.toml"]);
}

#[test]
fn a_run_ends_in_a_report_that_renders_again_to_the_same_bytes() {
    let temp = with_plan(TINY);
    let args = ["run", "--plan", "plan.toml", "--seed", "7", "--json"];
    let (code, out, err) = finish(temp.path(), &args);
    assert_eq!(code, Some(0), "{err}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(summary["plan"]["seed"], 7);
    for number in 1..=6 {
        assert!(
            err.contains(&format!("trial {number} of 6: throughput, ")),
            "{err}"
        );
    }
    let runs = temp.path().join("reports/runs");
    let [name] = &entries(&runs)[..] else {
        panic!("one run")
    };
    assert!(name.ends_with("Z-tiny"), "{name}");
    let run = runs.join(name);
    // A busy machine may have some trials run again.
    let mut records = entries(&run.join("records"));
    records.retain(|name| !name.contains("-attempt-"));
    assert_eq!(records.len(), 6);
    let read = |name| fs::read(run.join(name)).unwrap();
    let before = ["index.html", "summary.json", "summary.md", "trials.csv"].map(read);
    let (code, out, err) = finish(temp.path(), &["report", run.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("index.html"));
    assert_eq!(
        before,
        ["index.html", "summary.json", "summary.md", "trials.csv"].map(read)
    );
}

#[test]
fn a_signal_stops_a_run_and_what_was_measured_is_kept() {
    for signal in [Signal::INT, Signal::TERM] {
        let temp = with_plan(&TINY.replace("window_s = 0.1", "window_s = 1"));
        let mut command = pushbench(
            temp.path(),
            &[
                "run",
                "--plan",
                "plan.toml",
                "--out",
                "out",
                "--rounds",
                "1000",
            ],
        );
        let mut run = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
        let third = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.starts_with("trial 3 of "));
        assert!(third.is_some());
        let children = loop {
            let children = children_of(run.id());
            if !children.is_empty() {
                break children;
            }
        };
        kill_process(Pid::from_child(&run), signal).unwrap();
        let rest: Vec<_> = lines.map(Result::unwrap).collect();
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{rest:?}");
        assert!(
            rest.iter()
                .any(|line| line.contains("of 3000 trials; they are kept in out")),
            "{rest:?}"
        );
        assert!(entries(&temp.path().join("out/records")).len() >= 2);
        assert!(temp.path().join("out/index.html").exists());
        // Ended and waited for, so not even a zombie is left for somebody else to adopt.
        let left = |child: &i32| Path::new("/proc").join(child.to_string()).exists();
        assert!(!children.iter().any(left), "children are ended");
        let (code, _, err) = finish(temp.path(), &["report", "out"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
    }
}

#[test]
fn report_refuses_what_is_no_run_and_a_truncated_record() {
    let temp = with_plan(TINY);
    assert!(refusal(temp.path(), &["report", "none"]).contains("none"));
    assert!(refusal(temp.path(), &["report", "."]).contains("run.json"));
    let (code, _, err) = finish(temp.path(), &["run", "--plan", "plan.toml", "--out", "out"]);
    assert_eq!(code, Some(0), "{err}");
    let records = temp.path().join("out/records");
    let record = records.join(&entries(&records)[0]);
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let page = fs::read(temp.path().join("out/index.html")).unwrap();
    let sentence = refusal(temp.path(), &["report", "out"]);
    assert!(
        sentence.contains(record.file_name().unwrap().to_str().unwrap()),
        "{sentence}"
    );
    assert_eq!(
        fs::read(temp.path().join("out/index.html")).unwrap(),
        page,
        "nothing is overwritten"
    );
}

fn children_of(pid: u32) -> Vec<i32> {
    let processes = procfs::process::all_processes()
        .unwrap()
        .filter_map(Result::ok);
    let children =
        processes.filter(|process| process.stat().is_ok_and(|stat| stat.ppid as u32 == pid));
    children.map(|process| process.pid).collect()
}

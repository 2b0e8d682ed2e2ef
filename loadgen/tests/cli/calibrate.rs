//! `pushbench calibrate`: what is refused, a check with the real program, and what is left behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{entries, pushbench};

/// In a directory of its own, which is the user's data folder too.
fn finish(directory: &std::path::Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = pushbench(directory, args);
    let output = command
        .env("XDG_DATA_HOME", directory.join("data"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn refuses_what_it_cannot_do_before_anything_is_written() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("full")).unwrap();
    fs::write(temp.path().join("full/kept"), "kept").unwrap();
    for (args, said) in [
        (&["calibrate", "--only", "speed"][..], "`speed`"),
        (&["calibrate", "--only", "speed"][..], "quantiles, "),
        (
            &["calibrate", "--only", "quantiles", "--out", "full"][..],
            "full is not empty",
        ),
    ] {
        let (code, out, err) = finish(temp.path(), args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(said) && err.lines().count() == 1, "{err}");
    }
    assert_eq!(entries(temp.path()), ["full"]);
    assert_eq!(entries(&temp.path().join("full")), ["kept"]);
    // What another process is to say must come through its pipe.
    for hidden in ["--injector", "--crowd"] {
        assert_eq!(finish(temp.path(), &["calibrate", hidden]).0, Some(2));
    }
}

#[test]
fn one_check_passes_and_leaves_its_files_in_the_data_folder_by_machine_and_build() {
    let temp = tempfile::tempdir().unwrap();
    let args = ["calibrate", "--quick", "--only", "quantiles"];
    let (code, out, err) = finish(temp.path(), &args);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("9. Percentiles of known samples: passed"),
        "{out}"
    );
    assert!(out.contains("1 of 1 checks passed") && out.contains("a whole calibration makes"));
    let kept = temp.path().join("data/pushbench/calibrations");
    let [keys] = &entries(&kept)[..] else {
        panic!("one machine and build")
    };
    let [time] = &entries(&kept.join(keys))[..] else {
        panic!("one calibration")
    };
    let directory = kept.join(keys).join(time);
    let files = ["calibration.json", "calibration.md", "charts", "index.html"];
    assert_eq!(entries(&directory), files);
    assert_eq!(entries(&directory.join("charts")), ["09-quantiles.svg"]);
    let json = fs::read(directory.join("calibration.json")).unwrap();
    let calibration: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let (machine, build) = keys.split_once('-').unwrap();
    assert_eq!(
        (&calibration["machine"], &calibration["build"]),
        (&machine.into(), &build.into())
    );
    assert_eq!(
        calibration["checks"][0]["rows"].as_array().unwrap().len(),
        12
    );
}

#[test]
fn json_is_the_file_and_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let args = [
        "calibrate",
        "--quick",
        "--only",
        "quantiles",
        "--json",
        "--out",
        "out",
    ];
    let (code, out, err) = finish(temp.path(), &args);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        out,
        fs::read_to_string(temp.path().join("out/calibration.json")).unwrap()
    );
    // Runs find it in the data folder, where the file is and no page.
    assert_eq!(entries(temp.path()), ["data", "out"]);
    let kept = temp.path().join("data/pushbench/calibrations");
    let below = |directory: std::path::PathBuf| {
        let [only] = &entries(&directory)[..] else {
            panic!("one entry below {}", directory.display())
        };
        directory.join(only)
    };
    let file = below(below(below(kept)));
    assert!(file.ends_with("calibration.json"));
    assert_eq!(out, fs::read_to_string(file).unwrap());
}

#[test]
fn a_signal_stops_it_and_finished_checks_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    let args = [
        "calibrate",
        "--quick",
        "--only",
        "false_alarms,quantiles",
        "--out",
        "out",
    ];
    let mut command = pushbench(temp.path(), &args);
    command.env("XDG_DATA_HOME", temp.path().join("data"));
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut calibrate = piped.spawn().unwrap();
    let mut lines = BufReader::new(calibrate.stderr.take().unwrap()).lines();
    let second = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line == "check 2 of 2: false_alarms");
    assert!(second.is_some());
    kill_process(Pid::from_child(&calibrate), Signal::INT).unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(calibrate.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("after 1 of 2 checks")),
        "{rest:?}"
    );
    let json = fs::read(temp.path().join("out/calibration.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(kept["checks"].as_array().unwrap().len(), 1);
    assert_eq!(kept["checks"][0]["name"], "quantiles");
    assert!(temp.path().join("out/index.html").exists());
}

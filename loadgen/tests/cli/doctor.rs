//! `pushbench doctor`: what it finds without measuring, as text and as JSON.

use super::{entries, finish};

/// In the order in which they are told.
const WITHOUT_MEASURING: [&str; 11] = [
    "cores",
    "clock",
    "open_files",
    "frequency",
    "load",
    "pinning",
    "ports",
    "congestion_control",
    "namespaces",
    "tun",
    "netem",
];

#[test]
fn each_finding_has_a_grade_and_a_remedy_and_a_bad_one_is_exit_code_1() {
    let temp = tempfile::tempdir().unwrap();
    let (code, out, err) = finish(temp.path(), &["doctor", "--brief", "--json"]);
    assert_eq!(err, "");
    let diagnosis: serde_json::Value = serde_json::from_str(&out).unwrap();
    let findings = diagnosis["findings"].as_array().unwrap();
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let names: Vec<_> = findings
        .iter()
        .map(|finding| text(finding, "name"))
        .collect();
    assert_eq!(names, WITHOUT_MEASURING);
    for finding in findings {
        assert!(["fine", "worth_knowing", "bad"].contains(&&*text(finding, "grade")));
        assert!(!text(finding, "found").is_empty());
        assert!(text(finding, "remedy").ends_with('.'), "{finding}");
    }
    assert_eq!(diagnosis["rounds_needed"], serde_json::json!([]));
    let bad = findings.iter().any(|finding| finding["grade"] == "bad");
    assert_eq!(code, Some(i32::from(bad)));
    assert_eq!(entries(temp.path()), [""; 0], "it leaves nothing behind");
}

#[test]
fn a_person_reads_the_same_and_learns_nothing_of_whose_machine_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let (_, out, _) = finish(temp.path(), &["doctor", "--brief"]);
    for name in WITHOUT_MEASURING {
        let line = |line: &str| line.starts_with(&name.replace('_', " "));
        assert!(out.lines().any(line), "{name}: {out}");
    }
    assert!(out.trim_end().ends_with("would spoil a run."));
    assert!(!out.contains("/home/") && !out.contains(&*temp.path().to_string_lossy()));
}

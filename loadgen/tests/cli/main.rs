//! The program as a person meets it: what it prints, what it refuses, and what it leaves alone.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod against;
mod calibrate;
mod claims;
mod compare;
mod doctor;
mod plan;
mod rounds;
mod run;
mod serve;

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The program in a directory of its own, with nothing to read.
fn pushbench(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushbench"));
    command
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    command
}

/// Runs to the end: exit code, standard output, standard error.
fn finish(directory: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = pushbench(directory, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The one sentence of a refusal; nothing else was said, and nothing created.
fn refusal(directory: &Path, args: &[&str]) -> String {
    let before = entries(directory);
    let (code, out, err) = finish(directory, args);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
    assert!(
        err.starts_with("error: ") && err.lines().count() == 1,
        "{args:?}: {err}"
    );
    assert_eq!(entries(directory), before, "{args:?} left something");
    err.trim().to_owned()
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn completions_are_for_this_program() {
    let temp = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = finish(temp.path(), &["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(out.contains("pushbench") && out.contains("speed-up"));
    }
    assert_eq!(finish(temp.path(), &["completions", "cmd"]).0, Some(2));
}

#[test]
fn what_it_does_not_know_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    for args in [&["races"] as &[_], &["run", "--fast"], &["report"], &[]] {
        assert_eq!(finish(temp.path(), args).0, Some(2), "{args:?}");
    }
}

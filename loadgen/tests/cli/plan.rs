//! `pushbench plan`, and the plan files it refuses.

use std::{fs, io::Read, process::Stdio};

use super::{finish, pushbench, refusal};

#[test]
fn the_example_is_a_plan() {
    let temp = tempfile::tempdir().unwrap();
    let (code, example, _) = finish(temp.path(), &["plan", "--example"]);
    assert_eq!(code, Some(0));
    fs::write(temp.path().join("example.toml"), example).unwrap();
    let (code, listing, err) = finish(temp.path(), &["plan", "example.toml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (_, quick, _) = finish(temp.path(), &["plan"]);
    let (trials, _) = quick.rsplit_once("\n\n").unwrap();
    assert!(
        listing.starts_with(trials),
        "the example begins as the quick plan"
    );
    assert!(
        quick
            .trim_end()
            .lines()
            .last()
            .unwrap()
            .contains(" trials, about ")
    );
}

#[test]
fn a_listing_has_a_line_for_each_trial() {
    let temp = tempfile::tempdir().unwrap();
    for plan in ["quick", "full"] {
        let (code, listing, _) = finish(temp.path(), &["plan", plan]);
        assert_eq!(code, Some(0));
        let (trials, rest) = listing.split_once("\n\n").unwrap();
        for (line, number) in trials.lines().zip(1..) {
            assert!(line.trim_start().starts_with(&number.to_string()), "{line}");
        }
        assert!(
            rest.contains(&format!(" {} trials", trials.lines().count())),
            "{rest}"
        );
    }
}

#[test]
fn bad_plan_files_are_refused_with_file_line_and_remedy() {
    let temp = tempfile::tempdir().unwrap();
    let (_, example, _) = finish(temp.path(), &["plan", "--example"]);
    let cases = [
        (
            "turns_per_second = 90.0",
            "turns_per_second = 0.0",
            "use one above 0",
        ),
        (
            "transport = \"ws-h1\"",
            "transport = \"ws-h9\"",
            "use one of sse-h1, sse-h2",
        ),
        ("seed = 1", "speed = 1", "expected one of name, seed"),
        ("search = false", "search = \"no\"", "expected a boolean"),
    ];
    for (right, wrong, remedy) in cases {
        let line = 1 + example
            .lines()
            .position(|line| line.starts_with(right))
            .unwrap();
        fs::write(
            temp.path().join("bad.toml"),
            example.replacen(right, wrong, 1),
        )
        .unwrap();
        for args in [
            &["plan", "bad.toml"] as &[_],
            &["run", "--plan", "bad.toml"],
        ] {
            let sentence = refusal(temp.path(), args);
            assert!(
                sentence.contains(&format!("bad.toml, line {line} ")),
                "{sentence}"
            );
            assert!(sentence.contains(remedy), "{sentence}");
        }
    }
}

#[test]
fn a_plan_that_is_not_there_or_no_text_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    assert!(
        refusal(temp.path(), &["plan", "slow"])
            .contains("use quick, full, transports, screen, claims, ")
    );
    assert!(refusal(temp.path(), &["plan", "slow.toml"]).contains("slow.toml"));
    fs::write(temp.path().join("bytes.toml"), [0xff, 0xfe]).unwrap();
    assert!(refusal(temp.path(), &["plan", "bytes.toml"]).contains("bytes.toml"));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let temp = tempfile::tempdir().unwrap();
    let mut command = pushbench(temp.path(), &["plan", "full"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_congestion_control_that_the_kernel_has_not_is_refused_with_those_it_has() {
    let temp = tempfile::tempdir().unwrap();
    let (_, example, _) = finish(temp.path(), &["plan", "--example"]);
    let arm = "transport = \"ws-h1\"\n";
    let wrong = format!("{arm}congestion_control = \"nosuch\"\n");
    fs::write(
        temp.path().join("bad.toml"),
        example.replacen(arm, &wrong, 1),
    )
    .unwrap();
    let sentence = refusal(temp.path(), &["run", "--plan", "bad.toml"]);
    let available = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let available = fs::read_to_string(available).unwrap();
    for word in [
        "`nosuch`",
        "`ws-h1`",
        available.split_whitespace().next().unwrap(),
    ] {
        assert!(sentence.contains(word), "{sentence} lacks {word}");
    }
}

#[test]
fn a_program_of_others_that_is_not_installed_is_refused_with_the_remedy() {
    let temp = tempfile::tempdir().unwrap();
    for (factor, experiment, remedy) in [
        ("proxy = \"nginx\"", "latency", "the package nginx-light"),
        (
            "server = \"websockets\"",
            "memory",
            "pip install websockets",
        ),
    ] {
        let arm = format!("[[arm]]\ntransport = \"ws-h1\"\n{factor}\n");
        let control = "label = \"again\"\ncontrol_of = \"ws-h1\"\n";
        let plan = format!("{arm}{arm}{control}[{experiment}]\n");
        fs::write(temp.path().join("my.toml"), plan).unwrap();
        for args in [&["plan", "my.toml"] as &[_], &["run", "--plan", "my.toml"]] {
            // Nothing is to be found there.
            let mut command = pushbench(temp.path(), args);
            let output = command.env("PATH", temp.path()).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            for word in ["`ws-h1`", factor, remedy] {
                assert!(said.contains(word), "{said} lacks {word}");
            }
            assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        }
    }
}

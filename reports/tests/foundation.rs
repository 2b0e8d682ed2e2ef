//! What a run rests on, and how the report says it: looks, trials run again, another build as the
//! baseline, a calibration.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod synthetic;

use std::collections::BTreeMap;
use std::fs;

use pushbench_reports::calibration::Digest;
use pushbench_reports::dictionary::Dictionary;
use pushbench_reports::record::{Manifest, Record};
use pushbench_reports::{Rendered, render};
use serde_json::Value;
use synthetic::{ARM, BASELINE, CONTROL};
use tempfile::TempDir;

/// A rendered run that `change` has had its way with.
struct Report {
    rendered: Rendered,
    page: String,
    markdown: String,
    summary: Value,
}

impl Report {
    fn of(change: impl FnOnce(&mut Manifest, &mut Vec<Record>)) -> Self {
        let dir = TempDir::new().unwrap();
        let mut manifest = synthetic::manifest();
        let mut records = synthetic::records(&manifest);
        change(&mut manifest, &mut records);
        synthetic::write(dir.path(), &manifest, &records);
        let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        Self {
            page: read("index.html"),
            markdown: read("summary.md"),
            summary: serde_json::from_str(&rendered.summary_json).unwrap(),
            rendered,
        }
    }

    fn rows<'a>(&'a self, list: &str, fits: impl Fn(&Value) -> bool + 'a) -> Vec<&'a Value> {
        let rows = self.summary[list].as_array().unwrap();
        rows.iter().filter(|row| fits(row)).collect()
    }

    fn attendance(&self, experiment: &str, arm: &str) -> [u64; 5] {
        let rows = self.rows("attendance", |row| {
            row["experiment"] == experiment && row["arm"] == arm
        });
        assert_eq!(rows.len(), 1);
        ["planned", "valid", "invalid", "run_again", "rounds_dropped"]
            .map(|field| rows[0][field].as_u64().unwrap())
    }
}

/// The record of one trial, by its place in the plan.
fn find<'a>(records: &'a mut [Record], experiment: &str, arm: &str, round: u32) -> &'a mut Record {
    let own = |r: &&mut Record| r.experiment == experiment && r.arm == arm && r.round == round;
    records.iter_mut().find(own).unwrap()
}

#[test]
fn four_looks_share_the_significance_and_every_page_says_the_coverage_used() {
    let report = Report::of(|manifest, _| {
        // The plan's rounds are those of the first look.
        manifest.plan.looks = vec![6, 12, 24, 48];
    });
    assert_eq!(report.attendance("latency", ARM), [48, 6, 0, 0, 0]);
    let effects = report.rows("effects", |_| true);
    assert!(
        effects
            .iter()
            .all(|effect| effect["significance"] == 0.0125)
    );
    let texts = [&report.page, &report.markdown, &report.rendered.table];
    for text in texts {
        assert!(text.contains("98.75 %"));
        assert!(!text.contains("95 %"), "{text}");
    }
    assert!(report.page.contains("look after 6, 12, 24 and 48 rounds"));
    assert!(
        report
            .markdown
            .contains("look after 6, 12, 24 and 48 rounds")
    );
    // It stopped at a look, which is a whole run.
    assert!(!report.page.contains("This run is incomplete"));
    let fixed = Report::of(|_, _| ());
    assert!(!fixed.page.contains("98.75 %") && !fixed.page.contains("This run was to look"));
    let width = |report: &Report| {
        let effect = report.rows("effects", |_| true)[0].clone();
        effect["difference_high"].as_f64().unwrap() - effect["difference_low"].as_f64().unwrap()
    };
    assert!(width(&report) > 1.2 * width(&fixed));
}

#[test]
fn a_run_that_stops_between_two_looks_is_incomplete() {
    let report = Report::of(|manifest, records| {
        manifest.plan.looks = vec![4, 6];
        for experiment in &mut manifest.plan.experiments {
            experiment.rounds = 4;
        }
        records.retain(|record| record.experiment != "reconnect" || record.round < 6);
    });
    assert!(report.page.contains("incomplete: 69 of 72 trials"));
}

#[test]
fn an_arm_held_against_another_build_is_compared_with_it_and_says_nothing_to_a_claim() {
    const OTHER: &str = "ws-h1 of v0.1";
    let report = Report::of(|manifest, records| {
        let plan = &mut manifest.plan;
        let mut other = plan.arms[1].clone();
        other.label = OTHER.into();
        plan.arms.push(other);
        plan.arms[1].held_against = Some(OTHER.into());
        for experiment in &mut plan.experiments {
            experiment.arms.push(OTHER.into());
        }
        let of_arm = records.iter().filter(|record| record.arm == ARM).cloned();
        let of_other: Vec<Record> = of_arm
            .map(|record| Record {
                trial: record.trial + 1_000,
                arm: OTHER.into(),
                // The other build's logs are its own.
                histograms: BTreeMap::new(),
                ..record
            })
            .collect();
        records.extend(of_other);
    });
    let rows = report.rows("effects", |effect| effect["arm"] == ARM);
    assert_eq!(rows.len(), 9);
    for row in &rows {
        assert_eq!(row["baseline"], OTHER);
        assert_eq!(row["verdict"], "equivalent", "{}", row["sentence"]);
    }
    let rows = report.rows("effects", |effect| effect["arm"] == OTHER);
    assert!(rows.iter().all(|row| row["baseline"] == BASELINE));
    let controls = report.rows("noise_floor", |_| true);
    assert!(controls.iter().all(|row| row["baseline"] == BASELINE));
    for claim in report.rows("claims", |_| true) {
        assert_eq!(claim["ruling"], "undecidable", "{claim}");
    }
    let answer = &report.rendered.answer;
    assert!(
        answer.contains(&format!("Against `{OTHER}`, `{ARM}` is equivalent in")),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("Against `{BASELINE}`, `{OTHER}` is")),
        "{answer}"
    );
    assert!(report.page.matches("<svg").count() >= 5 && report.page.contains(OTHER));
}

#[test]
fn a_trial_run_again_stays_in_its_round_and_every_trial_is_accounted_for() {
    let report = Report::of(|_, records| {
        let latency = find(records, "latency", ARM, 1);
        latency.invalid.push("the generator was saturated".into());
        let mut again = latency.clone();
        (again.attempt, again.invalid) = (2, Vec::new());
        again
            .metrics
            .insert("token_latency_ms_p50".into(), Some(9.0));
        // Of the same trial's number, and before it in the folder.
        records.insert(0, again);
        let baseline = find(records, "memory", BASELINE, 3);
        baseline
            .invalid
            .push("fewer live streams than asked".into());
        let mut in_vain = baseline.clone();
        in_vain.attempt = 2;
        in_vain.trial += 2_000;
        records.push(in_vain);
    });
    assert_eq!(report.attendance("latency", ARM), [6, 6, 1, 1, 0]);
    assert_eq!(report.attendance("latency", BASELINE), [6, 6, 0, 0, 0]);
    // The baseline's round is lost to all that are set against it.
    assert_eq!(report.attendance("memory", BASELINE), [6, 5, 2, 1, 1]);
    assert_eq!(report.attendance("memory", ARM), [6, 6, 0, 0, 1]);
    assert_eq!(report.attendance("memory", CONTROL), [6, 6, 0, 0, 1]);
    let rounds = |experiment: &str| {
        let rows = report.rows("effects", |row| row["experiment"] == experiment);
        rows[0]["rounds"].as_u64().unwrap()
    };
    assert_eq!((rounds("latency"), rounds("memory")), (6, 5));
    let latency = report.rows("effects", |row| row["metric"] == "token_latency_ms_p50");
    assert!(
        latency[0]["arm_value"].as_f64().unwrap() > 1.0,
        "the second attempt counts"
    );
    assert!(!report.page.contains("This run is incomplete"));
    let row = "| memory | `sse-h1` | 6 | 5 | 2 | 1 | 1 |";
    assert!(report.markdown.contains(row), "{}", report.markdown);
    assert!(report.page.contains(">Rounds dropped<"));
}

#[test]
fn a_run_that_ends_between_rounds_with_something_open_does_not_pass_for_decided() {
    let looked = |open: bool, looks: &[u32]| {
        Report::of(move |manifest, records| {
            manifest.plan.looks = looks.to_vec();
            if open {
                // So far apart that nothing can be said.
                for record in records.iter_mut().filter(|r| r.experiment == "throughput") {
                    let figure = record.metrics.get_mut("server_cpu_us_per_message").unwrap();
                    *figure = Some(1.0 + f64::from(record.trial * record.trial % 17));
                }
            }
        })
    };
    let said = "ended before its last look, after 12 rounds, with primary verdicts undecided: \
                <code>throughput</code> with 6 rounds.";
    let early = looked(true, &[6, 12]);
    assert!(early.page.contains(said), "{}", early.rendered.table);
    assert!(!early.page.contains("This run is incomplete"));
    assert!(early.markdown.contains("`throughput` with 6 rounds"));
    // Nothing open, or no look left that could have closed it, or none at all.
    for whole in [
        looked(false, &[6, 12]),
        looked(true, &[6]),
        looked(true, &[]),
    ] {
        assert!(!whole.page.contains("before its last look"));
    }
    assert!(
        early
            .page
            .contains("Rounds made: 6 of <code>latency</code>, 6 of <code>throughput</code>,")
    );
}

#[test]
fn a_level_is_said_in_as_few_digits_as_it_needs() {
    let report = Report::of(|manifest, _| manifest.plan.looks = vec![6, 12, 24]);
    assert!(report.page.contains("at a significance of 0.0167 and"));
}

/// A run of which the first so many trials were invalid, twice each, and then valid.
fn spoilt(count: usize, reasons: &'static [&str]) -> Report {
    Report::of(move |_, records| {
        for index in 0..count {
            for attempt in [1, 2] {
                let mut spoilt = records[index].clone();
                spoilt.attempt = attempt;
                spoilt.invalid = vec![reasons[index % reasons.len()].to_owned()];
                records.push(spoilt);
            }
            records[index].attempt = 3;
        }
    })
}

#[test]
fn a_noisy_machine_is_called_so_by_its_trials_however_often_each_was_run_again() {
    const BUSY: &[&str] = &[
        "the machine was busy: the server waited 7 % of the window for a core",
        "the machine was busy: the server waited 12 % of the window for a core",
        "2 turns failed, the first: reset",
    ];
    // 18 of 72 are a quarter.
    assert!(!spoilt(18, BUSY).page.contains("too noisy"));
    let noisy = spoilt(19, BUSY);
    let said = "This machine is too noisy for this plan: 19 of 72 trials were invalid at the first attempt, \
                mostly for this reason: the machine was busy. Close other programs";
    assert!(noisy.page.contains(said));
    assert!(noisy.markdown.contains(said));
    assert_eq!(noisy.rows("effects", |_| true)[0]["rounds"], 6);
}

#[test]
fn other_programs_are_blamed_for_what_they_can_bring_about_only() {
    let said = |reasons| spoilt(40, reasons).page.contains("Close other programs");
    assert!(said(&["the load had not settled after 8000 ms of warm-up"]));
    let failed = spoilt(40, &["2 turns failed, the first: reset"]);
    assert!(
        failed
            .page
            .contains("mostly for this reason: 2 turns failed.</p>")
    );
    assert!(!said(&[
        "the books of epoch 1 do not balance: owed 2, received 1"
    ]));
}

#[test]
fn attempts_of_one_trial_can_be_told_apart() {
    let report = spoilt(1, &["the machine was busy: the server waited"]);
    let attempts: Vec<&Value> = report.rows("invalid_trials", |_| true);
    let attempts: Vec<_> = attempts.iter().map(|row| &row["attempt"]).collect();
    assert_eq!(attempts, [1, 2]);
    assert!(
        report
            .page
            .contains("round 1, attempt 3, <code>sse-h1</code>:")
    );
    assert!(
        report
            .page
            .contains("round 1, attempt 2, <code>sse-h1</code> (invalid):")
    );
    assert!(
        report
            .markdown
            .contains("| 1 | latency | `sse-h1` | 1 | 2 | the machine")
    );
}

#[test]
fn names_between_backticks_are_code_wherever_a_sentence_stands() {
    let report = Report::of(|manifest, records| {
        let told = "open files: raise them with `ulimit -Hn`";
        manifest.environment.insert("warnings".into(), told.into());
        manifest
            .plan
            .notes
            .push("Replayed from `trace.csv`.".into());
        records[0].notes.push("`x` was slow".into());
    });
    for code in ["ulimit -Hn", "trace.csv", "x"] {
        let html = format!("<code>{code}</code>");
        assert!(report.page.contains(&html), "{code}");
    }
    assert!(report.markdown.contains("with `ulimit -Hn`."));
    let machine = report.page.find("id=\"machine\"").unwrap();
    assert!(!report.page[..machine].contains('`'));
}

#[test]
fn the_calibration_is_named_or_said_to_be_missing() {
    let without = Report::of(|_, _| ());
    assert!(without.page.contains(
        "There is no calibration of this machine and build: run <code>pushbench calibrate</code>."
    ));
    assert!(
        without
            .markdown
            .contains("no calibration of this machine and build: run `pushbench calibrate`")
    );
    let with = Report::of(|manifest, _| manifest.calibration = Some(digest(1.0, 1.9)));
    for text in [&with.page, &with.markdown] {
        assert!(text.contains("Calibrated on 2026-02-28 (quick): 11 of 12 checks passed."));
    }
}

/// Marks what the clients are within, as `client_messages` says; gives each marked metric's remark.
fn client_remarks(digest: Digest) -> Vec<(String, String)> {
    const MARKED: [(&str, u32); 3] = [
        ("token_latency_ms_p50", 40),
        ("ttft_cold_ms_p50", 1),
        ("round_trips_cold", 0),
    ];
    let report = Report::of(|manifest, _| {
        manifest.calibration = Some(digest);
        for experiment in &mut manifest.plan.experiments {
            for metric in &mut experiment.metrics {
                let own = MARKED.iter().find(|(name, _)| *name == metric.name);
                metric.client_messages = own.map_or(0, |(_, messages)| *messages);
            }
        }
    });
    let remark = |row: &&Value| {
        let sentence = row["sentence"].as_str()?;
        let before = sentence[..sentence.find("the generator's own")?].rfind(". ")?;
        let metric = row["metric"].as_str()?;
        Some((metric.to_owned(), sentence[before + 2..].to_owned()))
    };
    let rows = report.rows("effects", |_| true);
    rows.iter().filter_map(remark).collect()
}

#[test]
fn a_time_that_the_clients_are_within_says_how_much_of_it_may_be_theirs() {
    // `ws-h1` has the lower token latency and takes longer to the first token.
    let said = |digest| -> Vec<String> {
        let remarks = client_remarks(digest).into_iter();
        remarks
            .map(|(metric, said)| format!("{metric}: {said}"))
            .collect()
    };
    assert_eq!(
        said(digest(1.9, 1.0)),
        [
            "token_latency_ms_p50: Up to 36 µs of the difference may be how the generator's own clients read \
             40 messages in turn.",
            "ttft_cold_ms_p50: How the generator's own clients read a message may hide up to 900 ns of a \
             difference.",
        ],
        "and no other time in ms"
    );
    assert_eq!(
        said(digest(1.0, 1.9))[1],
        "ttft_cold_ms_p50: Up to 900 ns of the difference may be how the generator's own clients read a \
         message."
    );
    assert_eq!(said(digest(1.0, 1.04)), [""; 0]);
    let mut unknown = digest(1.0, 1.9);
    unknown.client_us.remove("ws-h1");
    assert_eq!(said(unknown), [""; 0]);
}

fn digest(sse_us: f64, ws_us: f64) -> Digest {
    Digest {
        started_at: "2026-02-28T10:00:00Z".into(),
        quick: true,
        passed: 11,
        of: 12,
        client_us: BTreeMap::from([("sse-h1".into(), sse_us), ("ws-h1".into(), ws_us)]),
    }
}

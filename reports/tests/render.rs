//! A made-up run, rendered: the same bytes each time, whole files, no markup from a label, and nothing
//! written when an input is bad.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod synthetic;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pushbench_reports::dictionary::Dictionary;
use pushbench_reports::record::{Chart, Manifest, Record};
use pushbench_reports::{RenderError, render};
use serde_json::Value;
use synthetic::{ARM, BASELINE, CONTROL};
use tempfile::TempDir;

const WRITTEN: [&str; 4] = ["index.html", "summary.md", "summary.json", "trials.csv"];

const CHARTS: [&str; 5] = [
    "latency-percentiles",
    "itl-deviation",
    "cpu-per-message",
    "memory-slope",
    "live-streams",
];

/// A directory with the made-up run, changed first.
fn run(change: impl FnOnce(&mut Manifest, &mut Vec<Record>)) -> TempDir {
    let dir = TempDir::new().unwrap();
    let mut manifest = synthetic::manifest();
    let mut records = synthetic::records(&manifest);
    change(&mut manifest, &mut records);
    synthetic::write(dir.path(), &manifest, &records);
    dir
}

fn whole_run() -> TempDir {
    run(|_, _| ())
}

/// Every file below `dir` with its bytes.
fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn page(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("index.html")).unwrap()
}

fn charts(dir: &TempDir) -> Vec<String> {
    let names = snapshot(dir.path()).into_keys();
    let charts = names.filter_map(|name| name.strip_prefix("charts/").map(str::to_owned));
    charts.collect()
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let dir = whole_run();
    let first = render(dir.path(), &Dictionary::EMPTY).unwrap();
    let before = snapshot(dir.path());
    let second = render(dir.path(), &Dictionary::EMPTY).unwrap();
    assert_eq!(first, second);
    assert!(
        snapshot(dir.path()) == before,
        "a second rendering changed a file"
    );

    let elsewhere = whole_run();
    render(elsewhere.path(), &Dictionary::EMPTY).unwrap();
    assert!(
        snapshot(elsewhere.path()) == before,
        "another directory gives other bytes"
    );
}

#[test]
fn every_file_and_chart_is_there_and_nothing_else() {
    let dir = whole_run();
    let inputs = snapshot(dir.path());
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let mut expected: Vec<String> = inputs.into_keys().collect();
    expected.extend(WRITTEN.map(str::to_owned));
    for language in ["", ".zh"] {
        expected.extend(CHARTS.map(|chart| format!("charts/{chart}{language}.svg")));
    }
    expected.sort();
    let found: Vec<String> = snapshot(dir.path()).into_keys().collect();
    assert_eq!(found, expected);
}

#[test]
fn the_summary_has_the_promised_shape() {
    let dir = whole_run();
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    let summary: Value = serde_json::from_str(&rendered.summary_json).unwrap();
    let mut fields: Vec<&str> = summary
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let expected = [
        "accounting",
        "answer",
        "attendance",
        "claims",
        "effects",
        "environment",
        "format",
        "invalid_trials",
        "noise_floor",
        "plan",
    ];
    assert_eq!(fields, expected);
    for effect in ["effects", "noise_floor"]
        .iter()
        .flat_map(|list| summary[list].as_array().unwrap())
    {
        for field in [
            "experiment",
            "metric",
            "unit",
            "baseline",
            "arm",
            "baseline_value",
            "arm_value",
            "rounds",
            "ratio",
            "ratio_low",
            "ratio_high",
            "difference",
            "difference_low",
            "difference_high",
            "margin",
            "margin_kind",
            "primary",
            "verdict",
            "significance",
            "rounds_to_decide",
            "sentence",
        ] {
            assert!(effect.get(field).is_some(), "no {field} in {effect}");
        }
    }
    for account in summary["accounting"].as_array().unwrap() {
        let mut fields: Vec<&str> = account
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "arm",
                "dropped",
                "duplicated",
                "lost",
                "owed",
                "received",
                "reordered"
            ]
        );
        assert_eq!(account["owed"], 4_000 * 24);
    }
    assert_eq!(summary["answer"], rendered.answer);
    assert_eq!(summary["environment"]["started_at"], "2026-03-01T10:00:00Z");
}

#[test]
fn claims_are_ruled_by_the_effects() {
    let dir = whole_run();
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    let summary: Value = serde_json::from_str(&rendered.summary_json).unwrap();
    let rulings: Vec<&str> = summary["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["ruling"].as_str().unwrap())
        .collect();
    assert_eq!(
        rulings,
        ["contradicted", "contradicted", "undecidable", "undecidable"]
    );
    assert!(
        rendered
            .answer
            .contains(
                "contradicts “SSE is lighter than WebSocket.” and “WebSocket has lower latency than SSE.”"
            ),
        "{}",
        rendered.answer
    );
    let at = |needle: &str| page(&dir).find(needle).unwrap();
    assert!(at("What this run found") < at("held against this run"));
    assert!(at("held against this run") < at("Primary metrics"));
}

#[test]
fn a_line_a_trial_in_the_csv() {
    let dir = whole_run();
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let mut reader = csv::Reader::from_path(dir.path().join("trials.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    assert!(headers.iter().any(|name| name == "token_latency_ms_p50"));
    let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 4 * 6 * 3);
    assert_eq!(&lines[1][2], ARM);
}

#[test]
fn a_hostile_label_stays_text() {
    let hostile = "<script>alert('1')</script>|\u{1b}[31m`x`";
    let dir = run(|manifest, records| {
        let rename = |label: &mut String| {
            if label == ARM {
                *label = hostile.to_owned();
            }
        };
        manifest
            .plan
            .arms
            .iter_mut()
            .for_each(|arm| rename(&mut arm.label));
        for experiment in &mut manifest.plan.experiments {
            experiment.arms.iter_mut().for_each(rename);
            experiment.question = "</section><img src=x onerror=alert(2)>".into();
        }
        records
            .iter_mut()
            .for_each(|record| rename(&mut record.arm));
        manifest.plan.question = "</title><script>alert(3)</script>".into();
    });
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    for (name, bytes) in snapshot(dir.path()) {
        let text = String::from_utf8(bytes).unwrap();
        if [".html", ".svg", ".md"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            assert!(!text.contains("<script"), "{name}");
            assert!(!text.contains("<img"), "{name}");
        }
    }
    assert!(!rendered.table.contains('\u{1b}'));
}

#[test]
fn the_page_asks_for_nothing_from_outside() {
    let dir = whole_run();
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let page = page(&dir);
    assert!(page.contains("default-src 'none'"));
    assert!(
        !page.contains("src=\"http") && !page.contains("href=\"http") && !page.contains("<script")
    );
    assert!(!page.contains("url("));
}

#[test]
fn a_truncated_record_is_named_and_nothing_is_overwritten() {
    let dir = whole_run();
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let record = dir.path().join("records/0005-latency.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, &text[..text.len() / 2]).unwrap();
    let before = snapshot(dir.path());
    let error = render(dir.path(), &Dictionary::EMPTY)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("0005-latency.json") && error.contains("move it out"),
        "{error}"
    );
    assert!(snapshot(dir.path()) == before);
}

#[test]
fn bad_inputs_are_named_and_nothing_is_written() {
    let refused = |spoil: &dyn Fn(&Path), needle: &str| {
        let dir = whole_run();
        spoil(dir.path());
        let before = snapshot(dir.path());
        let error = render(dir.path(), &Dictionary::EMPTY).unwrap_err();
        assert!(matches!(error, RenderError::Read(_)), "{error:?}");
        assert!(error.to_string().contains(needle), "{error}");
        assert!(snapshot(dir.path()) == before, "{needle}");
    };
    let replace = |file: &'static str, from: &'static str, to: &'static str| {
        move |dir: &Path| {
            let path = dir.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    let first = "records/0001-latency.json";
    refused(
        &|dir| fs::remove_file(dir.join("run.json")).unwrap(),
        "holds no run.json",
    );
    refused(
        &replace("run.json", "\"format\": 2", "\"format\": 99"),
        "has format 99",
    );
    refused(
        &replace(first, "\"format\": 2", "\"format\": 99"),
        "0001-latency.json has format 99",
    );
    refused(
        &replace(first, "\"arm\": \"sse-h1\"", "\"arm\": \"other\""),
        "no arm `other`",
    );
    refused(
        &replace(first, "histograms/0001-token", "../histograms/0001-token"),
        "leaves the run",
    );
    refused(
        &replace("run.json", "\"memory-slope\"", "\"../memory-slope\""),
        "`../memory-slope`",
    );
    refused(
        &|dir| fs::write(dir.join("histograms/0001-token_latency.hlog"), "x").unwrap(),
        "hlog",
    );
    refused(
        &|dir| fs::remove_file(dir.join("histograms/0001-token_latency.hlog")).unwrap(),
        "hlog",
    );
    let nowhere = render(Path::new("/nowhere/at/all"), &Dictionary::EMPTY)
        .unwrap_err()
        .to_string();
    assert!(
        nowhere.contains("/nowhere/at/all is not a directory"),
        "{nowhere}"
    );
}

#[test]
fn a_run_stopped_before_its_first_trial_says_so() {
    let dir = run(|_, records| records.clear());
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    assert!(
        rendered.answer.contains("stopped before its first trial"),
        "{}",
        rendered.answer
    );
    assert!(charts(&dir).is_empty());
    let page = page(&dir);
    assert!(page.contains("0 of 72 trials"));
    assert!(page.contains("is left out: no valid trial has data for it"));
    assert!(!page.contains("<svg"));
}

#[test]
fn invalid_trials_are_listed_and_too_many_of_them_blamed_on_the_machine() {
    let dir = run(|_, records| {
        for record in records.iter_mut().step_by(3) {
            record.invalid.push("generator saturated".into());
        }
    });
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    let page = page(&dir);
    assert!(page.contains("too noisy for this plan: 24 of 72"));
    assert!(page.contains("generator saturated"));
    let summary: Value = serde_json::from_str(&rendered.summary_json).unwrap();
    assert_eq!(summary["invalid_trials"].as_array().unwrap().len(), 24);
    assert_eq!(
        summary["invalid_trials"][0]["reasons"][0],
        "generator saturated"
    );
    assert_eq!(summary["effects"].as_array().unwrap().len(), 9);
}

#[test]
fn an_invalid_trial_may_lack_its_histogram() {
    let dir = run(|_, records| records[0].invalid.push("server died".into()));
    fs::remove_file(dir.path().join("histograms/0001-token_latency.hlog")).unwrap();
    render(dir.path(), &Dictionary::EMPTY).unwrap();
}

#[test]
fn one_arm_and_no_control_still_make_a_page() {
    let dir = run(|manifest, records| {
        manifest.plan.arms.retain(|arm| arm.label == BASELINE);
        for experiment in &mut manifest.plan.experiments {
            experiment.arms.retain(|label| label == BASELINE);
        }
        records.retain(|record| record.arm == BASELINE);
    });
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    assert!(
        rendered.answer.contains("compares nothing"),
        "{}",
        rendered.answer
    );
    assert_eq!(charts(&dir).len(), 2 * CHARTS.len(), "in each language");
    assert!(page(&dir).contains("no A/A control"));
}

#[test]
fn what_the_run_warned_of_stands_before_any_figure() {
    let dir = run(|manifest, _| {
        let warning = ("warnings".to_owned(), "one core only".to_owned());
        manifest.environment.extend([warning]);
    });
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let page = page(&dir);
    let warned = page.find("When the run began: one core only.").unwrap();
    assert!(warned < page.find("id=\"effects\"").unwrap());
}

#[test]
fn settings_that_differ_stand_apart() {
    let dir = whole_run();
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let page = page(&dir);
    assert!(page.contains("<tr class=\"differs\"><th scope=\"row\">read buffer bytes</th>"));
    assert!(!page.contains("<tr class=\"differs\"><th scope=\"row\">nodelay</th>"));
}

#[test]
fn no_chart_holds_a_figure_that_is_none() {
    let dir = run(|_, records| {
        for record in records.iter_mut().filter(|record| record.arm == CONTROL) {
            record
                .metrics
                .values_mut()
                .for_each(|figure| *figure = None);
            for series in record.points.values_mut() {
                series.truncate(1);
            }
        }
        for record in records.iter_mut() {
            record
                .metrics
                .insert("server_cpu_us_per_message".into(), Some(0.0));
        }
    });
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    for chart in charts(&dir) {
        let svg = fs::read_to_string(dir.path().join("charts").join(&chart)).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{chart}");
    }
}

#[test]
fn a_stack_has_a_bar_an_arm_and_leaves_out_parts_that_nobody_has() {
    let part = |name: &str| format!("{name}_us_per_message");
    let parts = ["server_cpu", "generator_cpu", "nothing"].map(part);
    let dir = run(|manifest, records| {
        let mut experiments = manifest.plan.experiments.iter_mut();
        let throughput = experiments.find(|own| own.name == "throughput").unwrap();
        throughput.charts = vec![Chart::Stack {
            file: "stack".into(),
            title: "CPU, by process".into(),
            subtitle: "mean of all trials".into(),
            caption: "Shorter is better.".into(),
            parts: parts.to_vec(),
        }];
        for record in records
            .iter_mut()
            .filter(|own| own.experiment == "throughput")
        {
            for (part, figure) in parts.iter().zip([31.0, 12.0, 0.0]) {
                record.metrics.insert(part.clone(), Some(figure));
            }
        }
    });
    render(dir.path(), &Dictionary::EMPTY).unwrap();
    let svg = fs::read_to_string(dir.path().join("charts/stack.svg")).unwrap();
    let bars = |figure: &str| svg.lines().filter(|line| *line == figure).count();
    assert_eq!((bars("31"), bars("12"), bars("43")), (3, 3, 3), "{svg}");
    for title in [
        BASELINE,
        ARM,
        CONTROL,
        "Server CPU a message",
        "Generator CPU a message",
    ] {
        assert!(svg.contains(title), "{title}");
    }
    assert!(!svg.contains("nothing"));
    assert!(page(&dir).contains("Shorter is better."));
}

//! A whole run with a screen: what it finds, says and draws, and what it is kept out of.

use std::fs;

use pushbench_reports::calibration::Digest;
use pushbench_reports::compare::{CompareError, compare};
use pushbench_reports::dictionary::Dictionary;
use pushbench_reports::effect::Verdict;
use pushbench_reports::read::{Run, read};
use pushbench_reports::record::{Manifest, Record, ScreenRow};
use pushbench_reports::render;
use pushbench_reports::screening::{ScreenedEffect, ScreenedMetric, screenings};
use pushbench_reports::summary::Summary;
use serde_json::Value;
use tempfile::TempDir;

use crate::made_up::{self, BYTES, CPU, FIRST, MEMORY, SSE, TOKEN, WS};

/// A run, changed first.
fn run(change: impl FnOnce(&mut Manifest, &mut Vec<Record>)) -> (TempDir, Manifest, Vec<Record>) {
    let dir = TempDir::new().unwrap();
    let mut manifest = made_up::manifest();
    let mut records = made_up::records(&manifest);
    change(&mut manifest, &mut records);
    made_up::write(dir.path(), &manifest, &records);
    (dir, manifest, records)
}

fn metrics(change: impl FnOnce(&mut Manifest, &mut Vec<Record>)) -> Vec<ScreenedMetric> {
    let (_, manifest, records) = run(change);
    let mut screens = screenings(&manifest.plan, &records);
    assert_eq!(screens.len(), 1);
    screens.remove(0).metrics
}

fn metric<'a>(metrics: &'a [ScreenedMetric], name: &str) -> &'a ScreenedMetric {
    metrics.iter().find(|own| own.metric == name).unwrap()
}

fn effect<'a>(metric: &'a ScreenedMetric, factor: Option<&str>) -> &'a ScreenedEffect {
    let own = |own: &&ScreenedEffect| own.factor.as_deref() == factor;
    metric.effects.iter().find(own).unwrap()
}

#[test]
fn a_screen_finds_what_matters_and_where() {
    let metrics = metrics(|_, _| ());
    let cpu = metric(&metrics, CPU);
    assert_eq!((cpu.trials, cpu.degrees_of_freedom), (144, 46));
    let factors: Vec<_> = cpu
        .effects
        .iter()
        .map(|own| own.factor.as_deref())
        .collect();
    assert_eq!(
        factors[..3],
        [Some("ws_read_buffer"), Some("compression"), Some("tls")]
    );
    let buffer = effect(cpu, Some("ws_read_buffer"));
    assert!(
        (buffer.effect.ratio.unwrap() / 3.1 - 1.0).abs() < 0.06,
        "{buffer:?}"
    );
    assert_eq!(
        (buffer.effect.verdict, &buffer.interaction),
        (Verdict::Worse, &None)
    );
    let sentence = &buffer.effect.sentence;
    let told = "`ws_read_buffer 128 KiB on ws-h1` is 3.";
    assert!(
        sentence.starts_with(told) && sentence.contains("worse beyond the margin of 10 %"),
        "{sentence}"
    );
    let tls = effect(cpu, Some("tls")).interaction.as_ref().unwrap();
    assert!(
        tls.differs && (tls.value / (1.5 / 1.15) - 1.0).abs() < 0.06,
        "{tls:?}"
    );
    assert!((tls.on[1] / tls.on[0] / tls.value - 1.0).abs() < 1e-9);
    assert!(
        !effect(cpu, Some("compression"))
            .interaction
            .as_ref()
            .unwrap()
            .differs
    );
    let open = effect(cpu, Some("allocator"));
    assert!(!open.is_decided(), "{open:?}");
    // Without noise, exactly what was planted.
    let bytes = effect(metric(&metrics, BYTES), Some("payload_bytes"));
    assert_eq!(bytes.effect.p, Some(0.0));
    assert!((bytes.effect.ratio.unwrap() - 4.0).abs() < 1e-9);
}

#[test]
fn words_rank_what_is_decided_against_the_transport() {
    let metrics = metrics(|_, _| ());
    let ranking = |name: &str| metric(&metrics, name).ranking.as_str();
    let cpu = ranking(CPU);
    assert!(
        cpu.starts_with("Server CPU per message: ws read buffer on ws-h1 (×3"),
        "{cpu}"
    );
    assert!(
        cpu.contains("mattered more than the transport (×1.0"),
        "{cpu}"
    );
    assert!(
        cpu.contains("; ×1.11 on sse-h1 and ×1.48 on ws-h1)"),
        "{cpu}"
    );
    assert!(
        !cpu.contains("allocator") && !cpu.contains("nodelay"),
        "{cpu}"
    );
    assert!(
        ranking(MEMORY).contains("ws read buffer on ws-h1 (×39.9)"),
        "{}",
        ranking(MEMORY)
    );
    assert!(ranking(FIRST).contains("nodelay (+4"), "{}", ranking(FIRST));
    let token = ranking(TOKEN);
    assert!(
        token.contains("no factor made a decided difference, nor did the transport ("),
        "{token}"
    );
    assert!(token.contains("within its margin"), "{token}");
}

#[test]
fn a_factor_that_helps_one_transport_and_hurts_the_other_is_not_passed_over() {
    let metrics = metrics(|manifest, records| {
        let screen = manifest.plan.experiments[0].screen.as_ref().unwrap();
        for record in records.iter_mut() {
            let at = |row: &ScreenRow| row.arms.iter().position(|arm| *arm == record.arm);
            let mut rows = screen.rows.iter().filter_map(|row| Some((row, at(row)?)));
            let (row, side) = rows.next().unwrap();
            let sign = f64::from(row.levels[4]) * [-1.0, 1.0][side];
            *record.metrics.get_mut(CPU).unwrap().as_mut().unwrap() *= (0.4 * sign).exp();
        }
    });
    let cpu = &metric(&metrics, CPU).ranking;
    let depends = "; undecided on the whole but different by transport: flush (×0.9";
    assert!(cpu.contains(depends), "{cpu}");
}

#[test]
fn the_transport_first_is_said_so() {
    let metrics = metrics(|_, records| {
        for record in records
            .iter_mut()
            .filter(|record| record.arm.starts_with(WS))
        {
            let cpu = record.metrics.get_mut(CPU).unwrap().as_mut().unwrap();
            *cpu *= 20.0;
        }
    });
    let cpu = &metric(&metrics, CPU).ranking;
    let first = "Server CPU per message: the transport (×2";
    assert!(
        cpu.starts_with(first) && cpu.contains("mattered most, before ws read buffer"),
        "{cpu}"
    );
}

#[test]
fn what_no_valid_trial_shows_is_absent_with_the_reason() {
    let metrics = metrics(|manifest, records| {
        let screen = manifest.plan.experiments[0].screen.as_ref().unwrap();
        for record in records.iter_mut() {
            let row = screen.rows.iter().find(|row| row.arms[1] == record.arm);
            if row.is_some_and(|row| row.levels[2] == 1) {
                record.invalid.push("generator saturated".into());
            }
        }
    });
    let cpu = metric(&metrics, CPU);
    let last = cpu.effects.last().unwrap();
    assert_eq!(last.factor.as_deref(), Some("ws_read_buffer"));
    let why = last.not_estimable.as_ref().unwrap();
    assert!(
        why.contains("no valid trial at `ws_read_buffer 128 KiB on ws-h1`"),
        "{why}"
    );
    let near = |factor: Option<&str>, told: f64| {
        let own = effect(cpu, factor);
        assert!(
            (own.effect.ratio.unwrap() / told - 1.0).abs() < 0.06,
            "{own:?}"
        );
    };
    near(Some("compression"), 1.4);
    // Of the WebSocket only the trials with the small buffer are left.
    near(None, 1.05 / 3.1_f64.sqrt());
}

#[test]
fn one_replicate_decides_nothing_and_says_why() {
    let metrics = metrics(|_, records| records.retain(|record| record.round == 1));
    let cpu = metric(&metrics, CPU);
    assert!(
        cpu.ranking
            .contains("nothing is decided, since the replicates leave no degree"),
        "{}",
        cpu.ranking
    );
    for own in &cpu.effects {
        assert_eq!(
            (own.effect.verdict, own.effect.p),
            (Verdict::Inconclusive, None)
        );
        assert!(
            own.effect.sentence.contains("more replicates"),
            "{}",
            own.effect.sentence
        );
    }
    let metrics = self::metrics(|_, records| records.clear());
    assert!(
        metric(&metrics, CPU)
            .effects
            .iter()
            .all(|own| own.not_estimable.is_some())
    );
}

#[test]
fn a_screen_is_rendered_and_its_arms_are_not_compared() {
    let (dir, ..) = run(|_, _| ());
    let rendered = render(dir.path(), &Dictionary::EMPTY).unwrap();
    let again = render(dir.path(), &Dictionary::EMPTY).unwrap();
    assert_eq!(rendered, again);
    assert!(
        rendered.answer.contains("mattered more than the transport"),
        "{}",
        rendered.answer
    );
    assert!(
        !rendered.answer.contains("compares nothing"),
        "{}",
        rendered.answer
    );
    assert!(rendered.effects.is_empty());
    assert!(
        rendered.table.contains("ws read buffer"),
        "{}",
        rendered.table
    );
    let summary: Value = serde_json::from_str(&rendered.summary_json).unwrap();
    assert_eq!(
        summary["screens"][0]["metrics"].as_array().unwrap().len(),
        5
    );
    assert_eq!(summary["screens"][0]["metrics"][0]["scale"], "ratio");
    assert!(
        summary["attendance"]
            .as_array()
            .unwrap()
            .iter()
            .all(|own| own["rounds_dropped"] == 0)
    );
    let page = fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(!page.contains("no A/A control,") && page.contains("No A/A control is needed"));
    assert!(page.contains("<small>off → gzip-6 or deflate-15</small>"));
    let markdown = fs::read_to_string(dir.path().join("summary.md")).unwrap();
    assert!(markdown.contains("| Factor |") && markdown.contains("tls: off → on"));
    let svg = fs::read_to_string(
        dir.path()
            .join("charts/screen-server-cpu-us-per-message.svg"),
    )
    .unwrap();
    for shown in [
        "transport: sse-h1 → ws-h1",
        "on ws-h1 only",
        "differs by transport",
        "×1",
    ] {
        assert!(svg.contains(shown), "{shown}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn what_of_the_transports_effect_may_be_the_clients_is_said() {
    let (dir, ..) = run(|manifest, _| {
        let metrics = &mut manifest.plan.experiments[0].metrics;
        metrics
            .iter_mut()
            .for_each(|own| own.client_messages = u32::from(own.name == TOKEN));
        manifest.calibration = Some(Digest {
            started_at: "2026-02-28T10:00:00Z".into(),
            quick: false,
            passed: 9,
            of: 9,
            client_us: [(SSE.to_owned(), 5.0), (WS.to_owned(), 8.0)].into(),
        });
    });
    let summary = Summary::new(&read(dir.path()).unwrap());
    let said: Vec<&ScreenedEffect> = summary.screens[0]
        .metrics
        .iter()
        .flat_map(|metric| &metric.effects)
        .filter(|own| own.effect.sentence.contains("generator's own clients"))
        .collect();
    let [own] = said[..] else { panic!("{said:?}") };
    assert_eq!(
        (own.factor.as_ref(), own.effect.metric.as_str()),
        (None, TOKEN)
    );
}

#[test]
fn screens_are_left_out_of_comparisons_of_runs() {
    let read = |dir: &TempDir| -> Run { read(dir.path()).unwrap() };
    let (a, ..) = run(|_, _| ());
    let (b, ..) = run(|manifest, _| manifest.started_at = "2026-03-02T10:00:00Z".into());
    let refused = compare(&read(&a), &read(&b), false).unwrap_err();
    assert_eq!(refused, CompareError::Screens);
    let pair = |manifest: &mut Manifest, records: &mut Vec<Record>| {
        let mut contest = manifest.plan.experiments[0].clone();
        (contest.name, contest.screen) = ("latency".into(), None);
        contest.charts.clear();
        contest.arms = vec![format!("{SSE}-01"), format!("{WS}-01")];
        manifest.plan.experiments.push(contest);
        let own = records
            .iter()
            .filter(|record| record.arm.ends_with("-01"))
            .cloned();
        let own: Vec<Record> = own.collect();
        for mut record in own {
            record.trial = records.len() as u32 + 1;
            record.experiment = "latency".into();
            records.push(record);
        }
    };
    let (a, ..) = run(pair);
    let (b, ..) = run(pair);
    let compared = compare(&read(&a), &read(&b), false).unwrap();
    assert!(
        compared
            .effects
            .iter()
            .all(|effect| effect.experiment == "latency")
    );
    assert!(
        compared
            .apart
            .iter()
            .any(|said| said.starts_with("`screen` is a screen and is not compared"))
    );
}

#[test]
fn a_screen_that_is_no_design_is_refused() {
    let refused = |change: fn(&mut Manifest), says: &str| {
        let (dir, ..) = run(|manifest, _| change(manifest));
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("`screen`") && error.contains(says),
            "{error}"
        );
    };
    fn screen(manifest: &mut Manifest) -> &mut pushbench_reports::record::Screen {
        manifest.plan.experiments[0].screen.as_mut().unwrap()
    }
    refused(
        |manifest| screen(manifest).rows[3].levels[2] = 0,
        "not one level",
    );
    refused(
        |manifest| _ = screen(manifest).rows[3].levels.pop(),
        "not one level",
    );
    refused(
        |manifest| screen(manifest).rows[3].arms[0] = "other".into(),
        "the arm `other`",
    );
    refused(
        |manifest| screen(manifest).rows[3].arms[0] = "sse-h1-01".into(),
        "in two places",
    );
    refused(
        |manifest| screen(manifest).transports[1] = SSE.into(),
        "both its transports",
    );
    refused(
        |manifest| screen(manifest).factors[2].only = Some("poll-h1".into()),
        "of `poll-h1`",
    );
}

//! Published claims against records made up for them: what confirms each, what refutes it, and what is
//! found, taken and written.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod made_up;

use std::fs;
use std::path::Path;

use pushbench_reports::language::Language;
use pushbench_reports::published::claim::{Claim, Judging, Words};
use pushbench_reports::published::evidence::Placed;
use pushbench_reports::published::judged::Judged;
use pushbench_reports::published::rule::{Bearing, Verdict};
use pushbench_reports::published::{claims, publish, verdicts};
use pushbench_reports::read::Run;
use pushbench_reports::record::Arm;

use made_up::{Wish, run, runs, write};

fn judged(number: &str, runs: Vec<Placed>) -> Judged {
    let mut all = verdicts(runs).claims.into_iter();
    all.find(|own| own.number == number).unwrap()
}

fn claim(number: &str) -> Claim {
    let mut all = claims().into_iter();
    all.find(|own| own.number == number).unwrap()
}

fn measured() -> Vec<Claim> {
    let all = claims().into_iter();
    all.filter(|claim| !claim.judging.parts().is_empty())
        .collect()
}

#[test]
fn every_collected_claim_has_a_row_and_at_least_nine_can_be_decided() {
    let all = claims();
    let numbers: Vec<&str> = all.iter().map(|claim| claim.number).collect();
    let collected: Vec<String> = (1..=15).map(|number: u32| number.to_string()).collect();
    assert_eq!(numbers[..15], collected);
    assert!(numbers[15..].iter().all(|number| number.starts_with('A')));
    let decidable = measured();
    let of_fifteen = decidable
        .iter()
        .filter(|claim| !claim.number.starts_with('A'));
    assert!(of_fifteen.count() >= 9);
}

#[test]
fn what_confirms_a_claim_confirms_it_and_what_refutes_it_refutes_it() {
    for claim in measured() {
        let all = |wish| judged(claim.number, runs(&claim, |_| wish));
        assert_eq!(
            all(Wish::Hold).verdict,
            Verdict::Confirmed,
            "{}",
            claim.number
        );
        let refuted = all(Wish::Fail);
        assert_eq!(refuted.verdict, Verdict::Refuted, "{}", claim.number);
        for finding in refuted.findings {
            assert_eq!(
                finding.bearing,
                Bearing::Fails,
                "{} {}",
                claim.number,
                finding.needs
            );
            assert_eq!(finding.figure.unwrap().rounds, 4);
        }
    }
}

#[test]
fn one_part_that_fails_refutes_or_shows_the_knob() {
    for claim in measured() {
        let deciding = claim.judging.parts().iter().filter(|part| part.decides);
        if deciding.count() < 2 {
            continue;
        }
        let mixed = judged(
            claim.number,
            runs(&claim, |place| match place {
                0 => Wish::Fail,
                _ => Wish::Hold,
            }),
        );
        match claim.judging {
            Judging::By { knob, .. } => {
                assert_eq!(mixed.verdict, Verdict::DependsOn, "{}", claim.number);
                assert_eq!(mixed.knob, Some(knob));
            }
            _ => assert_eq!(mixed.verdict, Verdict::Refuted, "{}", claim.number),
        }
    }
}

#[test]
fn what_stands_beside_decides_nothing() {
    for claim in measured() {
        let beside: Vec<bool> = claim
            .judging
            .parts()
            .iter()
            .map(|part| !part.decides)
            .collect();
        let odd = |place: usize| {
            if beside[place] {
                Wish::Fail
            } else {
                Wish::Hold
            }
        };
        let judged = judged(claim.number, runs(&claim, odd));
        assert_eq!(judged.verdict, Verdict::Confirmed, "{}", claim.number);
    }
}

#[test]
fn without_a_record_a_claim_says_which_plan_has_it() {
    for claim in verdicts(Vec::new()).claims {
        assert_eq!(claim.verdict, Verdict::NotDecidableHere);
        for finding in &claim.findings {
            assert_eq!(finding.bearing, Bearing::Missing);
            let command = format!("pushbench run --plan {}", finding.plan);
            let named =
                claim.sentence.en.contains(&command) && claim.sentence.zh.contains(&command);
            assert!(
                named || !finding.decides,
                "{}: {}",
                claim.number,
                claim.sentence.en
            );
        }
    }
}

#[test]
fn of_several_runs_the_newest_that_has_the_figure_is_taken() {
    let claim = claim("3");
    let part = &claim.judging.parts()[0];
    let placed = |place: &str, wish, day: u32, rounds| Placed {
        place: place.into(),
        run: run(part, wish, &format!("2026-11-{day}T08:00:00Z"), rounds),
    };
    let judged = judged(
        "3",
        vec![
            placed("old", Wish::Fail, 20, 4),
            placed("new", Wish::Hold, 22, 6),
            // Too few rounds to decide anything.
            placed("newest", Wish::Fail, 24, 3),
        ],
    );
    assert_eq!(judged.verdict, Verdict::Confirmed);
    let figure = judged.findings[0].figure.as_ref().unwrap();
    assert_eq!((figure.run.as_str(), figure.rounds), ("new", 6));
    assert!(
        figure.carried.en.contains("10,000 connections"),
        "{}",
        figure.carried.en
    );
}

#[test]
fn invalid_trials_controls_and_arms_with_another_level_are_not_taken() {
    let claim = claim("3");
    let spoilt = |spoil: &dyn Fn(&mut Run)| {
        let mut runs = runs(&claim, |_| Wish::Hold);
        spoil(&mut runs[0].run);
        judged("3", runs).findings[0].bearing
    };
    assert_eq!(spoilt(&|_| {}), Bearing::Holds);
    assert_eq!(
        spoilt(&|run| run.records[0].invalid.push("late".into())),
        Bearing::Missing
    );
    let arm = |change: &dyn Fn(&mut Arm)| spoilt(&|run| change(&mut run.manifest.plan.arms[0]));
    assert_eq!(
        arm(&|arm| arm.control_of = Some("x".into())),
        Bearing::Missing
    );
    let level = |name: &str, level: &str| {
        arm(&|arm| {
            arm.factors.insert(name.into(), level.into());
        })
    };
    assert_eq!(level("tls", "false"), Bearing::Holds);
    assert_eq!(level("tls", "true"), Bearing::Missing);
    assert_eq!(level("never_heard_of", "on"), Bearing::Missing);
    let missing = arm(&|arm| {
        arm.factors.remove("http_stack");
    });
    assert_eq!(
        missing,
        Bearing::Missing,
        "what a record does not know had the usual level"
    );
}

#[test]
fn a_workload_that_is_not_the_one_asked_for_is_not_taken() {
    let claim = claim("4");
    let mut runs = runs(&claim, |_| Wish::Hold);
    for placed in &mut runs {
        let experiment = &mut placed.run.manifest.plan.experiments[0];
        experiment
            .settings
            .insert("subscribers".into(), "100".into());
    }
    assert_eq!(judged("4", runs).verdict, Verdict::NotDecidableHere);
}

#[test]
fn every_text_is_there_in_both_languages() {
    let chinese = |words: &Words| {
        let han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        let figures = words.zh.chars().any(|c| c.is_ascii_digit());
        assert!(
            words.zh.chars().any(han) || figures || words.zh == words.en,
            "{}",
            words.zh
        );
        assert!(
            !words.en.chars().any(han) || words.en.contains('“'),
            "{}",
            words.en
        );
    };
    for claim in claims() {
        for words in [
            &claim.statement,
            &claim.source,
            &claim.figure,
            &claim.conditions,
            &claim.remark,
        ] {
            chinese(words);
        }
        claim
            .judging
            .parts()
            .iter()
            .for_each(|part| chinese(&part.what));
    }
}

#[test]
fn the_same_records_give_the_same_page_chapters_and_data() {
    let read = || {
        let temp = tempfile::TempDir::new().unwrap();
        let (sample, book) = (temp.path().join("sample"), temp.path().join("docs"));
        for claim in measured() {
            for placed in runs(&claim, |_| Wish::Hold) {
                let place = format!("claim-{}/{}", claim.number, placed.place);
                write(&sample.join(place), &placed.run);
            }
        }
        for language in ["en", "zh"] {
            fs::create_dir_all(book.join(language)).unwrap();
        }
        let published = publish(&sample, Some(&book), Language::Chinese).unwrap();
        assert_eq!(published.page, sample.join("claims.html"));
        let files = [
            sample.join("claims.html"),
            sample.join("claims.json"),
            book.join("en/claims.md"),
            book.join("zh/claims.md"),
        ];
        files.map(|file| fs::read_to_string(file).unwrap())
    };
    let [page, json, english, chinese] = read();
    assert_eq!([&page, &json, &english, &chinese], read().each_ref());
    assert!(page.contains("default-src 'none'") && !page.contains("<script"));
    assert!(page.contains(r#"id="show-zh" aria-label="中文" checked"#));
    assert!(page.contains("a &#60;cpu&#62;") && !page.contains("<cpu>"));
    assert!(page.contains(r#"href="./claim-3/run-0/index.html""#));
    let link = "../../sample/claim-3/run-0/index.html";
    assert!(english.contains(link) && chinese.contains(link));
    assert!(english.contains("[中文](../zh/claims.md)"));
    assert!(chinese.contains("[English](../en/claims.md)"));
    assert!(
        english.contains(r"a &lt;cpu&gt; \| \`x\`"),
        "a name cannot end its cell"
    );
    for text in [english, chinese] {
        for number in (1..=15).map(|number: u32| format!("\n## {number}. ")) {
            assert!(text.contains(&number), "{number}");
        }
    }
    let data: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(data["claims"].as_array().unwrap().len(), claims().len());
    assert_eq!(data["claims"][2]["verdict"], "confirmed");
    assert_eq!(data["claims"][7]["verdict"], "not_decidable_here");
}

#[test]
fn a_directory_without_a_run_and_a_book_without_folders_are_refused_and_nothing_is_written() {
    let temp = tempfile::TempDir::new().unwrap();
    let refusal = |dir: &Path, book: Option<&Path>| {
        publish(dir, book, Language::English)
            .unwrap_err()
            .to_string()
    };
    assert!(refusal(temp.path(), None).contains("no run"));
    assert!(refusal(&temp.path().join("nowhere"), None).contains("not a directory"));
    let claim = claim("3");
    write(temp.path(), &runs(&claim, |_| Wish::Hold)[0].run);
    assert!(refusal(temp.path(), Some(temp.path())).contains("folder `en`"));
    assert!(!temp.path().join("claims.json").exists());
    publish(temp.path(), None, Language::English).unwrap();
    let page = fs::read_to_string(temp.path().join("claims.html")).unwrap();
    assert!(
        page.contains(r#"href="./index.html""#),
        "the directory is a run itself"
    );
}

//! From records to sentences: what a run of known truth is made to say.

use std::collections::BTreeMap;

use pushbench_reports::accounting::accounting;
use pushbench_reports::effect::{Effect, Verdict};
use pushbench_reports::estimate::{Effects, effects};
use pushbench_reports::record::{
    Arm, Better, Books, Experiment, FORMAT, Facts, MarginKind, Metric, Plan, Record,
};

const SSE: &str = "sse-h1";
const WS: &str = "ws-h1";
const CONTROL: &str = "sse-h1-again";

/// Rounds apart by a few per cent, as on a shared machine; the arms below share them.
const WEATHER: [f64; 6] = [1.0, 1.07, 0.96, 1.02, 1.11, 0.98];
/// What each round adds on top for one arm alone.
const OWN: [f64; 6] = [1.0, 1.01, 0.99, 1.005, 0.995, 1.002];

fn metric(name: &str, margin: f64, margin_kind: MarginKind) -> Metric {
    Metric {
        name: name.to_owned(),
        title: "Token latency p50".to_owned(),
        unit: "ms".to_owned(),
        better: Better::Lower,
        margin,
        margin_kind,
        margin_reason: "5 % of a token gap".to_owned(),
        primary: true,
        ms_per_unit: Some(1.0),
        client_messages: 0,
    }
}

fn absolute() -> Metric {
    metric("latency_ms", 1.0, MarginKind::Absolute)
}

fn relative() -> Metric {
    Metric {
        title: "CPU per message".to_owned(),
        unit: "µs".to_owned(),
        ms_per_unit: None,
        ..metric("cpu_us", 0.1, MarginKind::Relative)
    }
}

fn count() -> Metric {
    Metric {
        title: "Messages lost".to_owned(),
        unit: "messages".to_owned(),
        ms_per_unit: None,
        ..metric("lost", 0.0, MarginKind::Absolute)
    }
}

fn plan(metrics: Vec<Metric>, arms: &[&str]) -> Plan {
    let arm = |label: &&str| Arm {
        label: (*label).to_owned(),
        transport: label.replace("-again", ""),
        control_of: label.strip_suffix("-again").map(str::to_owned),
        held_against: None,
        factors: Facts::new(),
    };
    Plan {
        name: "test".to_owned(),
        seed: 1,
        question: "Which?".to_owned(),
        arms: arms.iter().map(arm).collect(),
        experiments: vec![Experiment {
            name: "latency".to_owned(),
            title: "Latency".to_owned(),
            question: "How late?".to_owned(),
            rounds: 6,
            baseline: SSE.to_owned(),
            arms: arms.iter().map(|label| (*label).to_owned()).collect(),
            settings: Facts::new(),
            metrics,
            charts: Vec::new(),
            screen: None,
        }],
        claims: Vec::new(),
        looks: Vec::new(),
        notes: Vec::new(),
    }
}

/// One trial a value, rounds from 1.
fn trials(arm: &str, metric: &Metric, values: &[f64]) -> Vec<Record> {
    let record = |(round, value): (u32, &f64)| Record {
        format: FORMAT,
        trial: round,
        experiment: "latency".to_owned(),
        arm: arm.to_owned(),
        round,
        attempt: 1,
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        duration_ms: 1000,
        settings: Facts::new(),
        metrics: BTreeMap::from([(metric.name.clone(), Some(*value))]),
        points: BTreeMap::new(),
        counters: BTreeMap::new(),
        books: Vec::new(),
        histograms: BTreeMap::new(),
        invalid: Vec::new(),
        notes: Vec::new(),
    };
    (1..).zip(values).map(record).collect()
}

/// Six rounds around `center`; `own` scales what this arm has to itself, its sign which way.
fn around(center: f64, own: i32) -> Vec<f64> {
    let both = WEATHER.iter().zip(OWN);
    both.map(|(weather, noise)| center * weather * noise.powi(own))
        .collect()
}

/// Both arms' values of one metric, as one run.
fn run(metric: &Metric, sse: &[f64], ws: &[f64]) -> Effect {
    let records = [trials(SSE, metric, sse), trials(WS, metric, ws)].concat();
    let plan = plan(vec![metric.clone()], &[SSE, WS]);
    only(effects(&plan, &records))
}

fn only(mut found: Effects) -> Effect {
    assert_eq!(found.effects.len(), 1);
    found.effects.remove(0)
}

/// Said of the other arm.
fn mirrored(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Better => Verdict::Worse,
        Verdict::Worse => Verdict::Better,
        other => other,
    }
}

/// The sentence without its figures, and with every word that says which way exchanged.
fn mirrored_words(sentence: &str) -> String {
    let mut words = without_figures(sentence);
    for (one, other) in [
        ("less than `", "more than `"),
        ("lower than `", "higher than `"),
        (": better", ": worse"),
    ] {
        words = words
            .replace(one, "\0")
            .replace(other, one)
            .replace('\0', other);
    }
    words
}

fn without_figures(sentence: &str) -> String {
    let labels = sentence.replace(SSE, "sse").replace(WS, "ws");
    labels.replace(|c: char| c.is_ascii_digit() || "+−.,".contains(c), "")
}

#[test]
fn sentences_say_what_was_found() {
    let (absolute, relative, count) = (absolute(), relative(), count());
    let exploratory = Metric {
        primary: false,
        ..relative.clone()
    };
    let cases = [
        (
            run(&absolute, &around(0.5, 1), &around(0.45, -1)),
            Verdict::Equivalent,
            "`ws-h1` takes 51.6 µs less than `sse-h1` in token latency p50 (95 % −60.1 to −43 µs; ratio \
             0.90): different, but too small to matter against a margin of 1 ms; a 15 ms token gap is 290 \
             times as long.",
        ),
        (
            run(&absolute, &around(0.5, 1), &around(0.5, -1)),
            Verdict::Equivalent,
            "`ws-h1` is within 1 ms of `sse-h1` in token latency p50 (95 % −8.07 to +7.24 µs; ratio \
             0.999): equivalent; a 15 ms token gap is 1,900 times as long as the far end.",
        ),
        (
            run(&absolute, &around(5.0, 1), &around(25.0, -1)),
            Verdict::Worse,
            "`ws-h1` takes 20.5 ms more than `sse-h1` in token latency p50 (95 % +19.3 to +21.6 ms; ratio \
             5.00): worse beyond the margin of 1 ms (p below 0.001 after Holm's correction); that is 1.4 \
             times a 15 ms token gap.",
        ),
        (
            run(&absolute, &around(50.0, 1), &around(50.0, -2)),
            Verdict::Inconclusive,
            "`ws-h1` against `sse-h1` in token latency p50 is inconclusive: 6 rounds put the difference \
             anywhere from −1.21 to +1.09 ms, so about 18 rounds would decide it, from the spread just seen; a 15 ms token gap is 12 times as \
             long as the far end.",
        ),
        (
            run(&relative, &around(25.0, 1), &around(22.6, -1)),
            Verdict::Better,
            "`ws-h1` is 9.66 % lower than `sse-h1` in CPU per message (ratio 0.90, 95 % 0.89–0.92): \
             better, though perhaps within the margin of 10 % (p below 0.001 after Holm's correction).",
        ),
        (
            run(&exploratory, &around(25.0, 1), &around(80.0, -1)),
            Verdict::Worse,
            "Exploratory: `ws-h1` is 3.2 times as high as `sse-h1` in CPU per message (ratio 3.20, 95 % \
             3.15–3.25): worse beyond the margin of 10 % (p below 0.001, not corrected).",
        ),
        (
            run(&count, &[0.0; 6], &[0.0; 6]),
            Verdict::Equivalent,
            "`ws-h1` is the same as `sse-h1` in messages lost in all 6 rounds: equivalent.",
        ),
        (
            run(&count, &[0.0; 6], &[3.0; 6]),
            Verdict::Worse,
            "`ws-h1` has 3 messages more than `sse-h1` in messages lost (95 % +3 messages): worse (p below \
             0.001 after Holm's correction).",
        ),
    ];
    for (effect, verdict, sentence) in cases {
        assert_eq!(effect.sentence, sentence);
        assert_eq!(effect.verdict, verdict, "{sentence}");
    }
}

#[test]
fn swapping_the_arms_swaps_every_sentence_and_verdict() {
    let higher = Metric {
        better: Better::Higher,
        ..relative()
    };
    let mut seen = Vec::new();
    for metric in [absolute(), relative(), higher, count()] {
        for (sse, ws) in [
            (0.5, 0.45),
            (5.0, 8.5),
            (25.0, 22.6),
            (50.0, 50.0),
            (50.0, 49.0),
        ] {
            let (sse, ws) = (around(sse, 1), around(ws, -2));
            let (forth, back) = (run(&metric, &sse, &ws), run(&metric, &ws, &sse));
            assert_eq!(back.verdict, mirrored(forth.verdict), "{}", forth.sentence);
            assert_eq!(
                without_figures(&back.sentence),
                mirrored_words(&forth.sentence)
            );
            assert_eq!(back.difference, forth.difference.map(|d| -d));
            assert!((back.ratio.unwrap() * forth.ratio.unwrap() - 1.0).abs() < 1e-12);
            assert_eq!((back.baseline_value, back.p), (forth.arm_value, forth.p));
            seen.push(forth.verdict);
        }
    }
    for verdict in [
        Verdict::Better,
        Verdict::Worse,
        Verdict::Equivalent,
        Verdict::Inconclusive,
    ] {
        assert!(seen.contains(&verdict), "no case is {verdict:?}");
    }
}

#[test]
fn fewer_than_four_rounds_decide_nothing() {
    for (rounds, why) in [
        (0, "no round in which both yielded a figure"),
        (1, "1 round of the 4 that a verdict needs"),
        (
            3,
            "3 rounds of the 4 that a verdict needs, which put the difference anywhere from",
        ),
    ] {
        for center in [5.0, 500.0] {
            let effect = run(
                &absolute(),
                &around(5.0, 1)[..rounds],
                &around(center, 1)[..rounds],
            );
            assert_eq!(effect.verdict, Verdict::Inconclusive);
            assert_eq!(effect.rounds as usize, rounds);
            assert!(effect.sentence.contains(why), "{}", effect.sentence);
            assert_eq!(
                effect.sentence.contains("more rounds are needed"),
                rounds < 2,
                "{}",
                effect.sentence
            );
            assert_eq!(effect.rounds_to_decide.is_some(), rounds > 1);
            assert_eq!(effect.difference.is_some(), rounds > 0);
            assert_eq!(effect.difference_low.is_some(), rounds > 1);
        }
    }
}

#[test]
fn a_round_counts_only_if_both_arms_are_valid_and_the_last_valid_trial_counts() {
    let metric = absolute();
    let mut sse = trials(SSE, &metric, &[10.0; 6]);
    let mut ws = trials(WS, &metric, &[11.0; 6]);
    sse[0].invalid.push("load generator saturated".to_owned());
    ws[1].metrics.insert(metric.name.clone(), None);
    ws[2].metrics.clear();
    let mut again = trials(WS, &metric, &[11.0; 4]).remove(3);
    again.metrics.insert(metric.name.clone(), Some(14.0));
    let mut broken = again.clone();
    broken.metrics.insert(metric.name.clone(), Some(99.0));
    broken.invalid.push("clock backwards".to_owned());

    let records = [sse, ws, vec![again, broken]].concat();
    let effect = only(effects(&plan(vec![metric], &[SSE, WS]), &records));
    assert_eq!(effect.rounds, 3);
    assert_eq!(effect.difference, Some((4.0 + 1.0 + 1.0) / 3.0));
    assert_eq!(
        (effect.baseline_value, effect.arm_value),
        (Some(10.0), Some(12.0))
    );
}

#[test]
fn every_metric_has_its_row_without_a_single_record() {
    let plan = plan(vec![absolute(), relative(), count()], &[SSE, CONTROL, WS]);
    let found = effects(&plan, &[]);
    assert_eq!((found.effects.len(), found.noise_floor.len()), (3, 3));
    for effect in found.effects.iter().chain(&found.noise_floor) {
        assert_eq!(
            (effect.rounds, effect.ratio, effect.difference),
            (0, None, None)
        );
        assert_eq!(
            (effect.p, effect.p_holm, effect.hodges_lehmann),
            (None, None, None)
        );
        assert_eq!(effect.verdict, Verdict::Inconclusive);
        assert!(
            effect.sentence.contains("more rounds are needed"),
            "{}",
            effect.sentence
        );
    }
}

#[test]
fn the_control_stands_apart_and_its_far_end_is_named_beside_each_effect() {
    let metric = relative();
    let records = [
        trials(SSE, &metric, &around(25.0, 1)),
        trials(CONTROL, &metric, &around(25.0, 3)),
        trials(WS, &metric, &around(21.0, -1)),
    ]
    .concat();
    let found = effects(&plan(vec![metric], &[SSE, CONTROL, WS]), &records);
    let [control] = &found.noise_floor[..] else {
        panic!("one control, one metric");
    };
    assert_eq!(
        (control.baseline.as_str(), control.arm.as_str()),
        (SSE, CONTROL)
    );
    assert_eq!(
        control.sentence,
        "`sse-h1-again` repeats `sse-h1` and may differ from it by up to 1.57 % in CPU per message (ratio \
         1.001, 95 % 0.986–1.016): the noise floor."
    );
    let effect = only(found);
    assert_eq!(effect.p_holm, effect.p, "a control is not in the family");
    assert!(
        effect
            .sentence
            .ends_with(" The A/A floor is 1.57 %, smaller than this effect."),
        "{}",
        effect.sentence
    );
}

#[test]
fn a_control_that_differs_from_itself_accuses_the_testbed() {
    let metric = relative();
    let sse = trials(SSE, &metric, &around(25.0, 1));
    let control = trials(CONTROL, &metric, &around(35.0, 1));
    let records = [sse, control].concat();
    let found = effects(&plan(vec![metric], &[SSE, CONTROL]), &records);
    assert!(
        found.noise_floor[0]
            .sentence
            .contains("should be alike and are not")
    );
}

#[test]
fn holm_spans_the_primary_metrics_of_all_experiments() {
    let primary = relative();
    let exploratory = Metric {
        name: "other_us".to_owned(),
        primary: false,
        ..relative()
    };
    let mut plan = plan(vec![primary.clone(), exploratory.clone()], &[SSE, WS]);
    let mut unmeasured = plan.experiments[0].clone();
    unmeasured.name = "memory".to_owned();
    plan.experiments.push(unmeasured);
    // Alone a difference (p 0.04), in a family of two not.
    let sse = [10.0; 6];
    let ws = [16.0, 11.0, 10.0, 14.0, 10.5, 12.5];
    let mut records = [trials(SSE, &primary, &sse), trials(WS, &primary, &ws)].concat();
    for record in &mut records {
        let value = record.metrics[&primary.name];
        record.metrics.insert(exploratory.name.clone(), value);
    }
    let found = effects(&plan, &records).effects;
    let p = found[0].p.unwrap();
    assert!((0.025..0.05).contains(&p), "{p}");
    assert_eq!(
        found[0].p_holm,
        Some(2.0 * p),
        "the unmeasured metric was asked as well"
    );
    assert_eq!(found[0].verdict, Verdict::Inconclusive);
    assert!(
        found[0].sentence.contains("may be chance"),
        "{}",
        found[0].sentence
    );
    assert_eq!((found[1].p, found[1].p_holm), (Some(p), None));
    assert_eq!(found[1].verdict, Verdict::Worse);
    assert!(found[1].sentence.starts_with("Exploratory: "));
    assert_eq!(found.len(), 4);
}

#[test]
fn another_builds_arms_are_a_family_of_their_own() {
    const TWIN: &str = "sse-h1 (against)";
    let metric = relative();
    let mut plan = plan(vec![metric.clone()], &[SSE, WS, TWIN]);
    plan.arms[2].held_against = Some(SSE.to_owned());
    let records = [
        trials(SSE, &metric, &around(10.0, 0)),
        trials(WS, &metric, &around(10.1, 1)),
        trials(TWIN, &metric, &around(10.2, 2)),
    ]
    .concat();
    let found = effects(&plan, &records).effects;
    let arms: Vec<_> = found.iter().map(|effect| effect.arm.as_str()).collect();
    assert_eq!(arms, [WS, TWIN]);
    for effect in &found {
        assert!(effect.p.is_some());
        assert_eq!(effect.p_holm, effect.p, "alone in its family");
    }
}

#[test]
fn a_value_of_zero_leaves_the_ratio_undefined_and_judges_the_difference() {
    let effect = run(&relative(), &around(25.0, 1), &[0.0; 6]);
    assert_eq!(
        (effect.ratio, effect.ratio_low, effect.ratio_high),
        (None, None, None)
    );
    assert_eq!(effect.verdict, Verdict::Better);
    let none = run(&relative(), &[0.0; 6], &[0.0; 6]);
    assert_eq!((none.verdict, none.p), (Verdict::Equivalent, Some(1.0)));
}

#[test]
fn a_disagreement_of_the_two_intervals_is_flagged() {
    let metric = absolute();
    let sse = [1.0; 6];
    let ws = [3.0, 3.1, 2.9, 3.0, 3.2, 0.9];
    let effect = run(&metric, &sse, &ws);
    assert!(effect.disagreement);
    assert!(
        effect.sentence.ends_with(
            "Hodges–Lehmann's interval, −0.1 to +2.2 ms, disagrees: it includes no effect where Student's \
             does not."
        ),
        "{}",
        effect.sentence
    );
    assert!(!run(&metric, &sse, &[3.0, 3.1, 2.9, 3.0, 3.2, 1.1]).disagreement);
}

#[test]
fn accounts_sum_the_books_of_valid_trials_an_arm_a_line() {
    let metric = count();
    let books = Books {
        owed: 10,
        received: 8,
        lost: 1,
        duplicated: 2,
        dropped: 1,
        reordered: 0,
    };
    let mut records = trials(SSE, &metric, &[1.0; 3]);
    for record in &mut records {
        record.books = vec![books, books];
    }
    records[2].invalid.push("books do not balance".to_owned());
    let accounts = accounting(&plan(vec![metric], &[SSE, WS]), &records);
    let as_json = serde_json::to_value(&accounts).unwrap();
    assert_eq!(
        as_json,
        serde_json::json!([
            { "arm": SSE, "owed": 40, "received": 32, "lost": 4, "duplicated": 8, "dropped": 4, "reordered": 0 },
            { "arm": WS, "owed": 0, "received": 0, "lost": 0, "duplicated": 0, "dropped": 0, "reordered": 0 },
        ])
    );
    assert!(accounts.iter().all(|account| account.books.balanced()));
}

//! How evidence adds up to a ruling, and what an answer tells.

use super::*;
use crate::record::{Experiment, Facts};
use crate::statistics::Level;

fn bears(bearings: &[(Verdict, &[Verdict], &[Verdict])]) -> Standing {
    let name = |position: usize| format!("metric-{position}");
    let effects: Vec<Effect> = bearings
        .iter()
        .enumerate()
        .map(|(position, (verdict, ..))| effect(&name(position), *verdict))
        .collect();
    let evidence = bearings
        .iter()
        .enumerate()
        .map(|(position, (_, supports, contradicts))| Evidence {
            experiment: "latency".into(),
            metric: name(position),
            arm: "b".into(),
            supported_by: supports.to_vec(),
            contradicted_by: contradicts.to_vec(),
        });
    let claim = Claim {
        name: "lighter".into(),
        statement: "It is lighter.".into(),
        evidence: evidence.collect(),
        remark: String::new(),
    };
    ruling(&claim, &plan(), &effects).ruling
}

/// One experiment, whose baseline is `a`.
fn plan() -> Plan {
    Plan {
        name: "test".into(),
        seed: 1,
        question: "Which?".into(),
        arms: Vec::new(),
        experiments: vec![Experiment {
            name: "latency".into(),
            title: "Latency".into(),
            question: "How late?".into(),
            rounds: 6,
            baseline: "a".into(),
            arms: Vec::new(),
            settings: Facts::new(),
            metrics: Vec::new(),
            charts: Vec::new(),
            screen: None,
        }],
        claims: Vec::new(),
        looks: Vec::new(),
        notes: Vec::new(),
    }
}

fn effect(metric: &str, verdict: Verdict) -> Effect {
    Effect {
        experiment: "latency".into(),
        metric: metric.into(),
        unit: "ms".into(),
        baseline: "a".into(),
        arm: "b".into(),
        baseline_value: None,
        arm_value: None,
        rounds: 6,
        significance: Level::CONVENTION,
        ratio: None,
        ratio_low: None,
        ratio_high: None,
        difference: None,
        difference_low: None,
        difference_high: None,
        margin: 1.0,
        margin_kind: MarginKind::Absolute,
        primary: true,
        p: None,
        p_holm: None,
        hodges_lehmann: None,
        disagreement: false,
        verdict,
        rounds_to_decide: None,
        sentence: "Said.".into(),
    }
}

#[test]
fn evidence_adds_up_to_a_ruling() {
    use Verdict::{Better, Equivalent, Inconclusive, Worse};
    let yes: (_, &[Verdict], &[Verdict]) = (Worse, &[Worse], &[Better]);
    let no: (_, &[Verdict], &[Verdict]) = (Better, &[Worse], &[Better]);
    let open: (_, &[Verdict], &[Verdict]) = (Inconclusive, &[Worse], &[Better, Equivalent]);
    assert_eq!(bears(&[yes, open]), Standing::Supported);
    assert_eq!(bears(&[open, no]), Standing::Contradicted);
    assert_eq!(bears(&[yes, no]), Standing::Mixed);
    assert_eq!(bears(&[open]), Standing::Undecidable);
    assert_eq!(bears(&[]), Standing::Undecidable);
}

#[test]
fn an_effect_the_run_lacks_decides_nothing() {
    let evidence = Evidence {
        experiment: "memory".into(),
        metric: "bytes".into(),
        arm: "b".into(),
        supported_by: vec![Verdict::Better],
        contradicted_by: vec![Verdict::Worse],
    };
    let bearing = bearing(&evidence, &plan(), &[effect("bytes", Verdict::Better)]);
    assert_eq!(bearing.bearing, Standing::Undecidable);
    assert_eq!(
        bearing.sentence,
        "This run has no `bytes` of `b` in `memory`."
    );
}

#[test]
fn an_effect_against_another_build_says_nothing_to_a_claim() {
    let evidence = Evidence {
        experiment: "latency".into(),
        metric: "ms".into(),
        arm: "b".into(),
        supported_by: vec![Verdict::Better],
        contradicted_by: vec![Verdict::Worse],
    };
    let own = effect("ms", Verdict::Worse);
    let other = Effect {
        baseline: "b of another build".into(),
        verdict: Verdict::Better,
        ..own.clone()
    };
    let standing = |effects: &[Effect]| bearing(&evidence, &plan(), effects).bearing;
    assert_eq!(
        standing(std::slice::from_ref(&other)),
        Standing::Undecidable
    );
    assert_eq!(standing(&[other, own]), Standing::Contradicted);
}

#[test]
fn of_many_arms_the_answer_tells_what_is_apart_and_where_the_rest_is() {
    let arms = ["b", "c", "d", "e", "f"];
    let verdicts = [Verdict::Better, Verdict::Equivalent];
    let effects: Vec<Effect> = arms
        .iter()
        .zip(verdicts.iter().cycle())
        .map(|(arm, verdict)| Effect {
            arm: (*arm).into(),
            primary: true,
            ..effect("token_latency", *verdict)
        })
        .collect();
    let told = |effects: &[Effect]| {
        let findings = comparisons(effects).len();
        let sentences = findings_of(&plan(), effects);
        (findings, sentences.join(" "))
    };
    let (all, many) = told(&effects);
    assert_eq!(all, 5);
    assert!(
        many.contains("`b` is better in") && !many.contains("equivalent in"),
        "{many}"
    );
    assert!(many.contains("`c` is neither better nor worse"), "{many}");
    assert!(many.ends_with("is in the table."), "{many}");
    let (_, few) = told(&effects[..4]);
    assert!(
        few.contains("`c` is equivalent in") && !few.contains("table"),
        "{few}"
    );
}

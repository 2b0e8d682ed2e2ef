//! What the effects say to the question and to each published claim; pure, and made of sentence
//! patterns only.

use serde::Serialize;

use crate::effect::{Effect, Verdict};
use crate::quantity::{ratios, signed_span};
use crate::record::{Claim, Evidence, MarginKind, Plan, Record};
use crate::screening::Screening;

/// How a claim stands after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Some of its evidence supports it, none contradicts it.
    Supported,
    /// Some of its evidence contradicts it, none supports it.
    Contradicted,
    /// Both.
    Mixed,
    /// Neither: nothing was measured that bears on it, or nothing was decided.
    Undecidable,
}

impl Standing {
    /// As the report says it.
    pub fn words(self) -> &'static str {
        match self {
            Standing::Supported => "supported",
            Standing::Contradicted => "contradicted",
            Standing::Mixed => "mixed",
            Standing::Undecidable => "not decidable in this run",
        }
    }

    /// What one effect alone says to a claim.
    pub fn alone(self) -> &'static str {
        match self {
            Standing::Supported => "supports it",
            Standing::Contradicted => "contradicts it",
            Standing::Mixed => "both",
            Standing::Undecidable => "leaves it open",
        }
    }

    /// Its class in the page's style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Standing::Supported => "supported",
            Standing::Contradicted => "contradicted",
            Standing::Mixed => "mixed",
            Standing::Undecidable => "undecidable",
        }
    }
}

/// A claim with what this run has to say to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ruling {
    /// The claim's name.
    pub name: String,
    /// The claim, as published.
    pub statement: String,
    /// The sum of its evidence.
    pub ruling: Standing,
    /// One entry an effect that bears on it, in the plan's order.
    pub evidence: Vec<Bearing>,
    /// What the measurement can and cannot say.
    pub remark: String,
}

/// One effect and what it says to a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bearing {
    /// Experiment's name.
    pub experiment: String,
    /// Metric's name.
    pub metric: String,
    /// The compared arm.
    pub arm: String,
    /// Null where the run holds no such effect.
    pub verdict: Option<Verdict>,
    /// What this effect alone says; never `mixed`.
    pub bearing: Standing,
    /// The effect's sentence.
    pub sentence: String,
}

/// Rules on every claim of the plan.
pub fn rulings(plan: &Plan, effects: &[Effect]) -> Vec<Ruling> {
    plan.claims
        .iter()
        .map(|claim| ruling(claim, plan, effects))
        .collect()
}

/// Arms of which the answer says everything: of more, whoever reads it looks for what is apart.
const ARMS_IN_FULL: usize = 4;

/// The verdicts in the order in which an answer tells them, and how; those that tell arms apart come first.
static GROUPS: [(Verdict, &str); 4] = [
    (Verdict::Better, "better in"),
    (Verdict::Worse, "worse in"),
    (Verdict::Equivalent, "equivalent in"),
    (Verdict::Inconclusive, "without a verdict in"),
];

/// How many of them do.
const APART: usize = 2;

/// What the run found: how the published reasons stand, then a sentence for each compared arm.
/// Of a screen, what outranks the transport, a sentence for each metric.
pub fn answer(
    plan: &Plan,
    records: &[Record],
    (effects, screens): (&[Effect], &[Screening]),
    rulings: &[Ruling],
) -> String {
    let valid = records
        .iter()
        .filter(|record| record.invalid.is_empty())
        .count();
    if valid == 0 {
        return match records.len() {
            0 => {
                "This run decides nothing: it was stopped before its first trial ended.".to_owned()
            }
            1 => "This run decides nothing: its only trial is invalid.".to_owned(),
            count => format!("This run decides nothing: none of its {count} trials is valid."),
        };
    }
    let mut sentences: Vec<String> = reasons(rulings).into_iter().collect();
    let compared = comparisons(effects);
    if compared.is_empty() && screens.is_empty() {
        sentences.push("This run compares nothing: it has one arm only.".to_owned());
    }
    sentences.extend(findings_of(plan, effects));
    let screened = screens.iter().flat_map(|screen| &screen.metrics);
    sentences.extend(screened.map(|metric| metric.ranking.clone()));
    sentences.join(" ")
}

fn ruling(claim: &Claim, plan: &Plan, effects: &[Effect]) -> Ruling {
    let evidence: Vec<Bearing> = claim
        .evidence
        .iter()
        .map(|own| bearing(own, plan, effects))
        .collect();
    let any = |standing| evidence.iter().any(|bearing| bearing.bearing == standing);
    let ruling = match (any(Standing::Supported), any(Standing::Contradicted)) {
        (true, true) => Standing::Mixed,
        (true, false) => Standing::Supported,
        (false, true) => Standing::Contradicted,
        (false, false) => Standing::Undecidable,
    };
    Ruling {
        name: claim.name.clone(),
        statement: claim.statement.clone(),
        ruling,
        evidence,
        remark: claim.remark.clone(),
    }
}

/// Of the effects against the experiment's own baseline: an arm that is held against another, such as
/// the same arm of another build, says nothing to a claim.
fn bearing(evidence: &Evidence, plan: &Plan, effects: &[Effect]) -> Bearing {
    let Evidence {
        experiment,
        metric,
        arm,
        ..
    } = evidence;
    let own = plan.experiments.iter().find(|own| own.name == *experiment);
    let effect = effects.iter().find(|effect| {
        effect.experiment == *experiment
            && effect.metric == *metric
            && effect.arm == *arm
            && own.is_some_and(|own| own.baseline == effect.baseline)
    });
    let standing = match effect.map(|effect| effect.verdict) {
        Some(verdict) if evidence.supported_by.contains(&verdict) => Standing::Supported,
        Some(verdict) if evidence.contradicted_by.contains(&verdict) => Standing::Contradicted,
        _ => Standing::Undecidable,
    };
    let sentence = match effect {
        Some(effect) => effect.sentence.clone(),
        None => format!("This run has no `{metric}` of `{arm}` in `{experiment}`."),
    };
    Bearing {
        experiment: experiment.clone(),
        metric: metric.clone(),
        arm: arm.clone(),
        verdict: effect.map(|effect| effect.verdict),
        bearing: standing,
        sentence,
    }
}

/// Each pair of baseline and arm once, in the order of the effects.
fn comparisons(effects: &[Effect]) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    for effect in effects {
        let pair = (effect.baseline.as_str(), effect.arm.as_str());
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}

/// A sentence for each compared arm.
fn findings_of(plan: &Plan, effects: &[Effect]) -> Vec<String> {
    let compared = comparisons(effects);
    let many = compared.len() > ARMS_IN_FULL;
    let told = if many { &GROUPS[..APART] } else { &GROUPS[..] };
    let findings = compared
        .iter()
        .map(|(baseline, arm)| finding(plan, effects, told, baseline, arm));
    let rest = many.then(|| "What is equivalent or without a verdict is in the table.".to_owned());
    findings.chain(rest).collect()
}

/// One arm's primary metrics, grouped by those verdicts that are told.
fn finding(
    plan: &Plan,
    effects: &[Effect],
    told: &[(Verdict, &str)],
    baseline: &str,
    arm: &str,
) -> String {
    let own = |effect: &&Effect| effect.primary && effect.baseline == baseline && effect.arm == arm;
    if !effects.iter().any(|effect| own(&effect)) {
        return format!("No primary metric compares `{arm}` with `{baseline}`.");
    }
    let group = |&(verdict, words): &(Verdict, &str)| {
        let named: Vec<String> = effects
            .iter()
            .filter(own)
            .filter(|effect| effect.verdict == verdict)
            .map(|effect| named(plan, effect))
            .collect();
        listed(&named).map(|all| format!("{words} {all}"))
    };
    let groups: Vec<String> = told.iter().filter_map(group).collect();
    if groups.is_empty() {
        return format!(
            "Against `{baseline}`, `{arm}` is neither better nor worse in any primary metric."
        );
    }
    format!("Against `{baseline}`, `{arm}` is {}.", groups.join("; "))
}

/// A metric by its title, with the size of the effect where one was decided.
fn named(plan: &Plan, effect: &Effect) -> String {
    let title = title(plan, effect);
    let by_ratio = effect
        .ratio
        .filter(|_| effect.margin_kind == MarginKind::Relative);
    let size = match (effect.verdict, by_ratio, effect.difference) {
        (Verdict::Inconclusive, ..) => None,
        (_, Some(ratio), _) => Some(format!("ratio {}", ratios([ratio])[0])),
        (_, None, Some(difference)) => Some(format!(
            "difference {}",
            signed_span(difference, difference, &effect.unit)
        )),
        (_, None, None) => None,
    };
    match size {
        Some(size) => format!("“{title}” ({size})"),
        None => format!("“{title}”"),
    }
}

/// The metric's title, or its name where the plan has none.
pub fn title<'a>(plan: &'a Plan, effect: &'a Effect) -> &'a str {
    plan.experiments
        .iter()
        .filter(|experiment| experiment.name == effect.experiment)
        .flat_map(|experiment| &experiment.metrics)
        .find(|metric| metric.name == effect.metric)
        .map_or(effect.metric.as_str(), |metric| metric.title.as_str())
}

/// How the published reasons stand, in their own words; nothing without a claim.
fn reasons(rulings: &[Ruling]) -> Option<String> {
    let group = |(standing, verb): (Standing, &str)| {
        let statements: Vec<String> = rulings
            .iter()
            .filter(|ruling| ruling.ruling == standing)
            .map(|ruling| format!("“{}”", ruling.statement))
            .collect();
        listed(&statements).map(|all| format!("{verb} {all}"))
    };
    let groups: Vec<String> = [
        (Standing::Supported, "supports"),
        (Standing::Contradicted, "contradicts"),
        (Standing::Mixed, "partly supports and partly contradicts"),
        (Standing::Undecidable, "cannot decide"),
    ]
    .into_iter()
    .filter_map(group)
    .collect();
    listed(&groups).map(|all| format!("Of the published reasons this run {all}."))
}

/// `a, b and c`; nothing of nothing.
pub(crate) fn listed(items: &[String]) -> Option<String> {
    let (last, others) = items.split_last()?;
    Some(match others {
        [] => last.clone(),
        _ => format!("{} and {last}", others.join(", ")),
    })
}

#[cfg(test)]
mod tests;

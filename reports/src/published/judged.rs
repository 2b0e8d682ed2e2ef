//! Claims and runs to verdicts, as data that the page, the book and other programs read.

use serde::Serialize;

use super::claim::{Ask, Claim, Judging, Part, Scale, Side, Words};
use super::evidence::{Found, Placed, ROUNDS_LEAST, find};
use super::phrase::{self, Both};
use super::rule::{self, Bearing, Verdict};
use crate::language::Language;

/// A claim with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// As the project numbers it.
    pub number: &'static str,
    /// What it says.
    pub statement: Words,
    /// Who said it.
    pub source: Words,
    /// The figure as published.
    pub published: Words,
    /// Its conditions, as far as published.
    pub conditions: Words,
    /// What was found.
    pub verdict: Verdict,
    /// What it depends on, where that is the verdict.
    pub knob: Option<Words>,
    /// The verdict's reason, with the figures that it comes from.
    pub sentence: Both,
    /// How figures make the verdict.
    pub judged_by: Both,
    /// What is to be known beside.
    pub remark: Words,
    /// The figures, those that decide and those beside.
    pub findings: Vec<Finding>,
}

/// One figure that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Of what.
    pub what: Words,
    /// Whether the verdict rests on it.
    pub decides: bool,
    /// What it says of the claim.
    pub bearing: Bearing,
    /// When it holds and when it fails.
    pub rule: Both,
    /// Experiment's name.
    pub experiment: &'static str,
    /// What is held against what: metrics and arms.
    pub needs: String,
    /// The built-in plan that has it.
    pub plan: &'static str,
    /// What was found; null where no run has it.
    pub figure: Option<Figure>,
}

/// A figure and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The estimate.
    pub value: f64,
    /// Low end of its interval.
    pub low: f64,
    /// High end of it.
    pub high: f64,
    /// How much of the truth the interval covers, a share.
    pub coverage: f64,
    /// Value and interval in words.
    pub shown: Both,
    /// Both sides' own values in words.
    pub sides: Both,
    /// The load in words.
    pub workload: Both,
    /// What it means at the published scale; empty where ours is that.
    pub carried: Both,
    /// Rounds counted.
    pub rounds: usize,
    /// Folder of the run below the directory that was asked about; empty for that itself.
    pub run: String,
    /// Name of the run's plan.
    pub run_plan: String,
    /// Start of the run, UTC.
    pub started_at: String,
    /// The build's commit.
    pub commit: String,
    /// CPU, cores and kernel.
    pub machine: String,
}

/// Judges a claim by what these runs have, the newest first.
pub fn judge(claim: Claim, runs: &[Placed]) -> Judged {
    let parts = claim.judging.parts().iter();
    let findings: Vec<Finding> = parts.map(|part| finding(part, runs)).collect();
    let deciding = findings.iter().filter(|own| own.decides);
    let bearings: Vec<Bearing> = deciding.map(|own| own.bearing).collect();
    let verdict = match claim.judging {
        Judging::All(_) => rule::all(&bearings),
        Judging::By { .. } => rule::by_knob(&bearings),
        Judging::NotHere { .. } => Verdict::NotDecidableHere,
    };
    let knob = match claim.judging {
        Judging::By { knob, .. } if verdict == Verdict::DependsOn => Some(knob),
        _ => None,
    };
    let sentence = match claim.judging {
        Judging::NotHere { why } => Both::each(|language| language.of(why.en, why.zh).to_owned()),
        _ => Both::each(|language| sentence(verdict, &findings, language)),
    };
    Judged {
        number: claim.number,
        statement: claim.statement,
        source: claim.source,
        published: claim.figure,
        conditions: claim.conditions,
        verdict,
        knob,
        sentence,
        judged_by: Both::each(|language| judged_by(&claim.judging, language).to_owned()),
        remark: claim.remark,
        findings,
    }
}

fn finding(part: &Part, runs: &[Placed]) -> Finding {
    let Ask { scale, unit, .. } = part.ask;
    let found = find(runs, &part.ask);
    let bearing = found.as_ref().map_or(Bearing::Missing, |found| {
        rule::bearing(part.expected, found.interval)
    });
    Finding {
        what: part.what,
        decides: part.decides,
        bearing,
        rule: Both::each(|language| phrase::rule(part.expected, scale, unit, language)),
        experiment: part.ask.experiment,
        needs: needs(&part.ask),
        plan: part.ask.plan,
        figure: found.map(|found| figure(part, &found)),
    }
}

fn figure(part: &Part, found: &Found<'_>) -> Figure {
    let Ask { scale, unit, .. } = part.ask;
    let manifest = &found.placed.run.manifest;
    let fact = |name: &str| {
        let fact = manifest.environment.get(name);
        fact.map_or("unknown", String::as_str).to_owned()
    };
    Figure {
        value: found.value,
        low: found.interval.low,
        high: found.interval.high,
        coverage: found.level.coverage(),
        shown: Both::each(|language| phrase::figure(found, scale, unit, language)),
        sides: Both::each(|language| phrase::sides(found, unit_of_sides(&part.ask), language)),
        workload: Both::each(|language| phrase::workload(found, language)),
        carried: Both::each(|language| phrase::carried(part.carried, found, language)),
        rounds: found.rounds,
        run: found.placed.place.clone(),
        run_plan: manifest.plan.name.clone(),
        started_at: manifest.started_at.clone(),
        commit: fact("commit"),
        machine: format!("{}, {} × {}", fact("kernel"), fact("cores"), fact("cpu")),
    }
}

/// A figure made by division has another unit than what it is made of.
fn unit_of_sides(ask: &Ask) -> super::claim::Unit {
    match ask.scale {
        Scale::Per(_) => super::claim::Unit::Messages,
        _ => ask.unit,
    }
}

/// `memory: user_bytes… of ws-h1 (http_stack=axum) against sse-h1`.
fn needs(ask: &Ask) -> String {
    let side = |side: &Side| {
        let levels: Vec<String> = side
            .factors
            .iter()
            .map(|(name, level)| format!("{name}={level}"))
            .collect();
        let levels = match levels.is_empty() {
            true => String::new(),
            false => format!(" ({})", levels.join(", ")),
        };
        format!("{} of {}{levels}", side.metric, side.transport)
    };
    let mut needs = side(&ask.of);
    if let Some(against) = &ask.against {
        needs += &format!(" against {}", side(against));
    }
    for bound in ask.within {
        needs += &format!(", {} {} to {}", bound.setting, bound.least, bound.most);
    }
    needs
}

fn judged_by(judging: &Judging, language: Language) -> &'static str {
    match judging {
        Judging::All(_) => language.of(
            "Confirmed if every figure that it rests on holds; refuted if one fails; else not decided.",
            "所依据的每个数字都成立则证实；有一个不成立则证伪；否则未判定。",
        ),
        Judging::By { .. } => language.of(
            "Confirmed if it holds at every level of the knob, refuted if it fails at every one, and dependent on the \
             knob if it holds at one and fails at another; else not decided.",
            "在该因素的每个水平上都成立则证实，都不成立则证伪，有成立也有不成立则取决于该因素；否则未判定。",
        ),
        Judging::NotHere { .. } => language.of("Not judged.", "不作判定。"),
    }
}

/// What made the verdict, with its figures.
fn sentence(verdict: Verdict, findings: &[Finding], language: Language) -> String {
    let told = |bearing: Bearing| {
        let own = findings
            .iter()
            .filter(|own| own.decides && own.bearing == bearing);
        let told: Vec<String> = own.map(|own| tell(own, language)).collect();
        told.join(language.of("; ", "；"))
    };
    let (holds, fails, open) = (
        told(Bearing::Holds),
        told(Bearing::Fails),
        told(Bearing::Open),
    );
    match (verdict, language) {
        (Verdict::Confirmed, Language::English) => format!("It holds: {holds}."),
        (Verdict::Confirmed, Language::Chinese) => format!("成立：{holds}。"),
        (Verdict::Refuted, Language::English) if holds.is_empty() => format!("It fails: {fails}."),
        (Verdict::Refuted, Language::English) => {
            format!("It fails: {fails}. What holds of it: {holds}.")
        }
        (Verdict::Refuted, Language::Chinese) if holds.is_empty() => format!("不成立：{fails}。"),
        (Verdict::Refuted, Language::Chinese) => format!("不成立：{fails}。其中成立的：{holds}。"),
        (Verdict::DependsOn, Language::English) => {
            format!("It holds for {holds}. It fails for {fails}.")
        }
        (Verdict::DependsOn, Language::Chinese) => format!("成立：{holds}。不成立：{fails}。"),
        (Verdict::NotDecidableHere, _) if !open.is_empty() => match language {
            Language::English => format!("The interval holds both: {open}."),
            Language::Chinese => format!("区间同时包含两种可能：{open}。"),
        },
        (Verdict::NotDecidableHere, _) => no_record(findings, language),
    }
}

fn tell(finding: &Finding, language: Language) -> String {
    let what = language.of(finding.what.en, finding.what.zh);
    let shown = finding
        .figure
        .as_ref()
        .map_or("", |own| own.shown.of(language));
    format!("{what}{}{shown}", language.of(": ", "："))
}

/// What would have to be run.
fn no_record(findings: &[Finding], language: Language) -> String {
    let missing = findings
        .iter()
        .filter(|own| own.decides && own.bearing == Bearing::Missing);
    let mut plans: Vec<&str> = missing.map(|own| own.plan).collect();
    plans.sort_unstable();
    plans.dedup();
    let commands: Vec<String> = plans
        .iter()
        .map(|plan| format!("`pushbench run --plan {plan}`"))
        .collect();
    match language {
        Language::English => format!(
            "No record here with {ROUNDS_LEAST} valid rounds: run {}.",
            commands.join(" and ")
        ),
        Language::Chinese => format!(
            "这里没有至少 {ROUNDS_LEAST} 个有效轮次的记录：请运行 {}。",
            commands.join(" 和 ")
        ),
    }
}

//! Two runs against each other: the same arms and metrics, measured at different times.
//!
//! Such runs share no rounds, so nothing is paired: Welch's t on the trials of either side. What the
//! machine did differently between them is in the estimate, which pairing would have taken out.

mod matching;

use std::collections::BTreeSet;

use crate::effect::{Effect, Verdict};
use crate::estimate::level;
use crate::judge::{Estimated, judge};
use crate::read::Run;
use crate::sentence::{in_text, unpaired_sentence};
use crate::statistics::{Level, welch_difference, welch_ratio};
use crate::trials::Trials;
use crate::verdict::Scale;
use matching::{Match, Sides};

/// Facts that make a machine another one: its processor, how many cores there are and may be used, how
/// much memory, its kernel and what that reads the time from.
const MACHINE: [&str; 6] = [
    "cpu",
    "cores",
    "cores_allowed",
    "memory_gib",
    "kernel",
    "clock_source",
];

/// Facts of the same machine that change figures: an unoptimised build may be what is compared, and
/// loopback has a congestion control too.
const CIRCUMSTANCES: [&str; 2] = ["build_profile", "congestion_control"];

/// What a fact is called that could not be read.
const UNKNOWN: &str = "unknown";

/// What two runs have in common, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What a reader must know before any figure; a sentence each.
    pub warnings: Vec<String>,
    /// Each arm and metric of both runs: B's against A's.
    pub effects: Vec<Effect>,
    /// What is not compared, and why; a sentence each.
    pub apart: Vec<String>,
    /// Significance and coverage of every effect.
    pub level: Level,
}

/// Why two runs are not compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// They may measure different things.
    #[error(
        "the two runs differ in {0}: compare runs of one machine and format, or say --anyway to compare these"
    )]
    Different(String),
    /// No arm of one experiment is in both, with a metric.
    #[error(
        "the two runs have no experiment, arm and metric in common: compare runs of the same plan"
    )]
    Nothing,
    /// All that is in both is screens.
    #[error(
        "the two runs have only screens in common, whose arms are rows of a design: compare their effects in the \
         two reports, or compare runs of the arms that matter"
    )]
    Screens,
}

/// Sets the arms of `b` against those of the same name in `a`. Controls repeat an arm that is compared
/// and are left out.
///
/// # Errors
/// Runs of different machines or formats, unless `anyway` makes that a warning; runs that have nothing
/// in common.
pub fn compare(a: &Run, b: &Run, anyway: bool) -> Result<Compared, CompareError> {
    let same = a.manifest == b.manifest && a.records == b.records;
    let mut warnings = Vec::new();
    if same {
        warnings.push("A and B are the same run, trial for trial.".to_owned());
    } else {
        warnings.push(
            "Runs made at different times share no noise: what the machine did differently between them \
             (drift) is in every figure and in no interval. Arms of one run are compared better."
                .to_owned(),
        );
    }
    if let Some(differences) = differences(a, b) {
        if !anyway {
            return Err(CompareError::Different(differences));
        }
        warnings.push(format!("The two runs differ in {differences}."));
    }
    if !same {
        warnings.extend(doubts(a, b));
    }
    let mut sides = Sides::new(&a.manifest.plan, &b.manifest.plan, same_other_build(a, b));
    let matches = sides.matches();
    warnings.append(&mut sides.warnings);
    if matches.is_empty() {
        return Err(match sides.screens {
            true => CompareError::Screens,
            false => CompareError::Nothing,
        });
    }
    let level = stricter(level(&a.manifest.plan), level(&b.manifest.plan));
    let (of_a, of_b) = (Trials::new(&a.records), Trials::new(&b.records));
    let estimated: Vec<Estimated<'_>> = matches
        .iter()
        .map(|own| estimated(own, &of_a, &of_b, level))
        .collect();
    let mut effects = judge(&estimated);
    for (effect, own) in effects.iter_mut().zip(&estimated) {
        if same {
            make_identity(effect, own);
        } else {
            let trials = [own.of_baseline.len(), own.of_arm.len()];
            effect.sentence = unpaired_sentence(effect, own.metric, trials);
        }
    }
    Ok(Compared {
        warnings,
        effects,
        apart: sides.apart,
        level,
    })
}

/// In what the runs differ that makes a comparison doubtful, listed; nothing where in nothing.
fn differences(a: &Run, b: &Run) -> Option<String> {
    let mut differ = unlike_facts(&MACHINE, a, b);
    let formats = |run: &Run| -> BTreeSet<u32> {
        let of_records = run.records.iter().map(|record| record.format);
        of_records.chain([run.manifest.format]).collect()
    };
    let [in_a, in_b] = [a, b].map(formats);
    if in_a != in_b {
        let listed = |formats: &BTreeSet<u32>| {
            let formats: Vec<String> = formats.iter().map(ToString::to_string).collect();
            formats.join(" and ")
        };
        let (in_a, in_b) = (listed(&in_a), listed(&in_b));
        differ.push(format!("record format ({in_a} in A, {in_b} in B)"));
    }
    (!differ.is_empty()).then(|| differ.join(", "))
}

/// What may differ between the runs, or does, and is not refused; a sentence each.
fn doubts(a: &Run, b: &Run) -> Vec<String> {
    let unlike = unlike_facts(&CIRCUMSTANCES, a, b);
    let unlike = (!unlike.is_empty())
        .then(|| format!("The two runs were made with another {}.", unlike.join(", ")));
    let unknown = |name: &&&str| fact(a, name) == UNKNOWN && fact(b, name) == UNKNOWN;
    let unknown: Vec<String> = MACHINE
        .iter()
        .filter(unknown)
        .map(|name| name.replace('_', " "))
        .collect();
    let unknown = (!unknown.is_empty()).then(|| {
        format!(
            "Neither run knows its machine's {}, so the two may differ in that.",
            unknown.join(", ")
        )
    });
    unlike.into_iter().chain(unknown).collect()
}

fn unlike_facts(names: &[&str], a: &Run, b: &Run) -> Vec<String> {
    let unlike = names.iter().filter(|name| fact(a, name) != fact(b, name));
    let told = |name: &&str| {
        let (in_a, in_b) = (fact(a, name), fact(b, name));
        format!("{} ({in_a} in A, {in_b} in B)", name.replace('_', " "))
    };
    unlike.map(told).collect()
}

fn fact<'a>(run: &'a Run, name: &str) -> &'a str {
    let value = run.manifest.environment.get(name);
    value.map_or(UNKNOWN, String::as_str)
}

/// Whether both runs had arms of another build, and the same one.
fn same_other_build(a: &Run, b: &Run) -> bool {
    let [in_a, in_b] = [a, b].map(|run| fact(run, "against"));
    in_a != UNKNOWN && in_a == in_b
}

fn stricter(a: Level, b: Level) -> Level {
    if a.significance() < b.significance() {
        a
    } else {
        b
    }
}

/// Welch's estimates; `rounds` is the smaller number of trials.
fn estimated<'a>(
    own: &'a Match<'a>,
    of_a: &Trials<'_>,
    of_b: &Trials<'_>,
    level: Level,
) -> Estimated<'a> {
    let [a, b] = [of_a, of_b].map(|of| of.figures(own.experiment, &own.metric.name, own.arm));
    let ratio = welch_ratio(&a, &b, level);
    Estimated {
        experiment: own.experiment,
        metric: own.metric,
        baseline: &own.names[0],
        arm: &own.names[1],
        rounds: u32::try_from(a.len().min(b.len())).unwrap_or(u32::MAX),
        difference: welch_difference(&a, &b, level),
        ratio,
        rank: None,
        // How many rounds would decide is a question of rounds: these are trials of two runs that are over.
        spread: None,
        of_baseline: a,
        of_arm: b,
        level,
    }
}

/// A run beside itself: there is nothing to estimate, the two sides are one.
fn make_identity(effect: &mut Effect, own: &Estimated<'_>) {
    let one = own.ratio.map(|_| Scale::Ratio.no_effect());
    (effect.ratio, effect.ratio_low, effect.ratio_high) = (one, one, one);
    // Even a metric that no trial yielded is itself.
    let none = Some(Scale::Difference.no_effect());
    effect.difference = none;
    (effect.difference_low, effect.difference_high) = (none, none);
    effect.p = own.difference.map(|_| 1.0);
    effect.p_holm = effect.p.filter(|_| effect.primary);
    effect.verdict = Verdict::Equivalent;
    effect.rounds_to_decide = None;
    effect.sentence = format!(
        "`{}` and `{}` are the same trials in {}: equivalent.",
        effect.arm,
        effect.baseline,
        in_text(&own.metric.title)
    );
}

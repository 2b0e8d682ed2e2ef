//! `summary.json`: the whole outcome of a run for other programs, and how many of its trials count.

use serde::Serialize;

use crate::accounting::{Account, accounting};
use crate::answer::{Ruling, answer, rulings};
use crate::effect::Effect;
use crate::estimate::effects;
use crate::read::Run;
use crate::record::{Facts, Manifest, Plan, Record};

/// Version of `summary.json`; raised when a reader of the old one would err.
pub const FORMAT: u32 = 2;

/// Share of invalid trials above which the machine is called too noisy.
pub const NOISY: f64 = 0.25;

/// `summary.json`, field by field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// [`FORMAT`].
    pub format: u32,
    /// What the run found, in one or two sentences.
    pub answer: String,
    /// Each published claim: `name`, `statement`, `ruling` (`supported`, `contradicted`, `mixed`,
    /// `undecidable`), `evidence`, `remark`.
    pub claims: Vec<Ruling>,
    /// Versions, commit, kernel, CPU, clock source, limits; and `started_at`, UTC.
    pub environment: Facts,
    /// The plan as it was run.
    pub plan: Plan,
    /// A row for each experiment, compared arm and metric; also without a valid trial.
    pub effects: Vec<Effect>,
    /// The same for the A/A control against the arm it repeats: what this machine calls a difference
    /// where there is none.
    pub noise_floor: Vec<Effect>,
    /// One object an arm, summed over its valid trials: `arm`, `owed`, `received`, `lost`,
    /// `duplicated`, `dropped`; `owed = received + lost + dropped`.
    pub accounting: Vec<Account>,
    /// Trials left out, and why.
    pub invalid_trials: Vec<InvalidTrial>,
}

/// A trial that did not measure what it claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidTrial {
    /// Position in the plan's order, from 1.
    pub trial: u32,
    /// Experiment's name.
    pub experiment: String,
    /// Arm's label.
    pub arm: String,
    /// From 1.
    pub round: u32,
    /// At least one.
    pub reasons: Vec<String>,
}

impl Summary {
    /// Everything that follows from a run's manifest and records.
    pub fn new(run: &Run) -> Self {
        let plan = &run.manifest.plan;
        let estimated = effects(plan, &run.records);
        let claims = rulings(plan, &estimated.effects);
        let mut environment = run.manifest.environment.clone();
        environment.insert("started_at".to_owned(), run.manifest.started_at.clone());
        Self {
            format: FORMAT,
            answer: answer(plan, &run.records, &estimated.effects, &claims),
            claims,
            environment,
            plan: plan.clone(),
            effects: estimated.effects,
            noise_floor: estimated.noise_floor,
            accounting: accounting(plan, &run.records),
            invalid_trials: run.records.iter().filter_map(invalid).collect(),
        }
    }
}

fn invalid(record: &Record) -> Option<InvalidTrial> {
    (!record.invalid.is_empty()).then(|| InvalidTrial {
        trial: record.trial,
        experiment: record.experiment.clone(),
        arm: record.arm.clone(),
        round: record.round,
        reasons: record.invalid.clone(),
    })
}

/// An arm's trials in one experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendance {
    /// Experiment's name.
    pub experiment: String,
    /// Arm's label.
    pub arm: String,
    /// Rounds planned.
    pub planned: usize,
    /// Trials that count.
    pub valid: usize,
    /// Trials left out.
    pub invalid: usize,
}

/// One row for each experiment and arm of the plan.
pub fn attendance(plan: &Plan, records: &[Record]) -> Vec<Attendance> {
    let mut rows = Vec::new();
    for experiment in &plan.experiments {
        for arm in &experiment.arms {
            let own = |record: &&Record| record.experiment == experiment.name && record.arm == *arm;
            let (valid, invalid): (Vec<_>, Vec<_>) = records
                .iter()
                .filter(own)
                .partition(|record| record.invalid.is_empty());
            rows.push(Attendance {
                experiment: experiment.name.clone(),
                arm: arm.clone(),
                planned: experiment.rounds as usize,
                valid: valid.len(),
                invalid: invalid.len(),
            });
        }
    }
    rows
}

/// What a reader must know before any figure: a run cut short, a machine too noisy, no control, and what
/// the run itself warned of when it began.
pub fn warnings(manifest: &Manifest, records: &[Record]) -> Vec<String> {
    let plan = &manifest.plan;
    let mut warnings: Vec<String> = manifest
        .environment
        .get("warnings")
        .map(|told| format!("When the run began: {told}."))
        .into_iter()
        .collect();
    let planned: usize = plan
        .experiments
        .iter()
        .map(|experiment| experiment.rounds as usize * experiment.arms.len())
        .sum();
    let (count, invalid) = (
        records.len(),
        records
            .iter()
            .filter(|record| !record.invalid.is_empty())
            .count(),
    );
    if count < planned {
        warnings.push(format!(
            "This run is incomplete: {count} of {planned} trials were finished before it stopped."
        ));
    }
    if invalid as f64 > NOISY * count as f64 {
        warnings.push(format!(
            "This machine is too noisy for this plan: {invalid} of {count} trials are invalid. \
             Close other programs or use a quieter machine, then run again."
        ));
    }
    if !plan.arms.iter().any(|arm| arm.control_of.is_some()) {
        warnings.push(
            "This plan has no A/A control, so how far two equal arms differ on this machine is unknown."
                .to_owned(),
        );
    }
    warnings
}

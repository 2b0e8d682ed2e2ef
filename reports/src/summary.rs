//! `summary.json`: the whole outcome of a run for other programs.

use serde::Serialize;

use crate::accounting::{Account, accounting};
use crate::answer::{Ruling, answer, rulings};
use crate::attendance::{Attendance, attendance};
use crate::clients::remark;
use crate::effect::Effect;
use crate::estimate::effects;
use crate::read::Run;
use crate::record::{Facts, Plan, Record};
use crate::screening::{Screening, screenings};

/// Version of `summary.json`; raised when a reader of the old one would err.
pub const FORMAT: u32 = 2;

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
    /// What each screen of the plan found; left out where it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub screens: Vec<Screening>,
    /// One object an arm, summed over its valid trials: `arm`, `owed`, `received`, `lost`,
    /// `duplicated`, `dropped`; `owed = received + lost + dropped`.
    pub accounting: Vec<Account>,
    /// A row for each experiment and arm: which of its trials count.
    pub attendance: Vec<Attendance>,
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
    /// From 1; higher where the trial was run again within its round.
    pub attempt: u32,
    /// At least one.
    pub reasons: Vec<String>,
}

impl Summary {
    /// Everything that follows from a run's manifest and records.
    pub fn new(run: &Run) -> Self {
        let plan = &run.manifest.plan;
        let mut estimated = effects(plan, &run.records);
        let calibration = run.manifest.calibration.as_ref();
        remark(&mut estimated.effects, plan, calibration);
        let claims = rulings(plan, &estimated.effects);
        let mut screens = screenings(plan, &run.records);
        let screened = screens.iter_mut().flat_map(|screen| &mut screen.metrics);
        let screened = screened.flat_map(|metric| &mut metric.effects);
        remark(screened.map(|own| &mut own.effect), plan, calibration);
        let mut environment = run.manifest.environment.clone();
        environment.insert("started_at".to_owned(), run.manifest.started_at.clone());
        Self {
            format: FORMAT,
            answer: answer(plan, &run.records, (&estimated.effects, &screens), &claims),
            claims,
            environment,
            plan: plan.clone(),
            effects: estimated.effects,
            noise_floor: estimated.noise_floor,
            screens,
            accounting: accounting(plan, &run.records),
            attendance: attendance(plan, &run.records),
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
        attempt: record.attempt,
        reasons: record.invalid.clone(),
    })
}

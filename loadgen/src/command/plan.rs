//! `pushbench plan [PLAN]`: what a plan would run, and how long it would take.

use std::{fmt::Write, fs, path::Path, process::ExitCode};

use anyhow::{Context, bail};
use pushbench_server::congestion;

use super::say;
use crate::{
    outside,
    plan::{self, EXAMPLE, Plan},
    quantity::spoken,
};

/// Print the trials of a plan in their order and the expected duration; runs nothing
#[derive(Debug, clap::Args)]
pub struct Show {
    /// A plan that `pushbench list plans` names, or a plan file (.toml)
    #[arg(default_value = "quick", value_name = "PLAN")]
    plan: String,

    /// Print a commented plan file instead, valid as it stands
    #[arg(long, conflicts_with = "plan")]
    example: bool,
}

/// Prints the plan, or the example.
///
/// # Errors
/// When the plan is unknown or its file cannot be run.
pub fn run(args: &Show) -> anyhow::Result<ExitCode> {
    if args.example {
        say(EXAMPLE)?;
    } else {
        say(&listing(&load(&args.plan)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan of this name, or in this file.
///
/// # Errors
/// When there is none, or its file cannot be run.
pub fn load(name: &str) -> anyhow::Result<Plan> {
    if let Some(built_in) = plan::BUILT_IN.iter().find(|built_in| built_in.name == name) {
        return Ok((built_in.plan)());
    }
    let path = Path::new(name);
    if path.extension().is_none_or(|extension| extension != "toml") && !path.exists() {
        let names = plan::BUILT_IN.map(|built_in| built_in.name).join(", ");
        bail!("unknown plan `{name}`: use {names} or the path of a plan file (.toml)");
    }
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read the plan file {name}; `pushbench plan --example` prints one")
    })?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plan = plan::parse(&text, name, &stem)?;
    for arm in &plan.arms {
        outside::present(&arm.factors).with_context(|| {
            let label = &arm.label;
            format!("the arm `{label}` of {name} cannot be run")
        })?;
        if let Some(control) = &arm.factors.congestion_control {
            congestion::probe(control).with_context(|| {
                let label = &arm.label;
                format!("the arm `{label}` of {name} cannot be run")
            })?;
        }
    }
    Ok(plan)
}

/// That the programs which the arms taking part need, and which others wrote, are installed.
///
/// # Errors
/// What is missing, and how to get it.
pub fn equipped(plan: &Plan) -> anyhow::Result<()> {
    for arm in &plan.arms {
        let mut entries = plan.experiments.iter();
        if entries.any(|entry| entry.arms.contains(&arm.label)) {
            outside::present(&arm.factors).with_context(|| {
                let (label, name) = (&arm.label, &plan.name);
                format!("the arm `{label}` of {name} cannot be run")
            })?;
        }
    }
    Ok(())
}

fn listing(plan: &Plan) -> String {
    let mut text = String::new();
    let trials = plan.trials();
    let width = plan
        .arms
        .iter()
        .map(|arm| arm.label.chars().count())
        .max()
        .unwrap_or(0);
    for trial in &trials {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>4}  {:<10}  round {:>2}  {:<width$}  {:>5.1} s",
            trial.number,
            trial.experiment.name(),
            trial.round,
            trial.arm.label,
            trial.experiment.trial_seconds()
        );
    }
    let (count, seconds) = (trials.len(), spoken(plan.seconds()));
    text + &format!(
        "\nPlan `{}`, seed {}: {count} trials, about {seconds}\n",
        plan.name, plan.seed
    )
}

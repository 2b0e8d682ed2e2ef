//! What a lesson measures here and now: a trial of a run, whose record nobody keeps.

use anyhow::{Context, bail};
use pushbench_reports::noise::is_of_the_machine;
use pushbench_server::contract::{factors::Factors, transport::Transport};

use crate::{
    arm::{Arm, Build},
    bench::Site,
    experiment::Experiment,
    trial::{self, ATTEMPTS, Trial},
};

/// What is asked of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A quantity that a busy machine may change.
    Measured,
    /// A count, which is what it is however busy the machine.
    Counted,
}

/// A figure of one trial of this experiment.
///
/// # Errors
/// When no attempt was valid, with the reason of the last.
pub async fn figure(
    site: &Site,
    experiment: &Experiment,
    (transport, factors): (Transport, Factors),
    (metric, kind): (&str, Kind),
) -> anyhow::Result<f64> {
    // Here and not for every lesson: what a lesson starts besides, such as a run, chooses from all cores.
    site.pin_generator()
        .context("cannot pin the generator to its core")?;
    let scratch = tempfile::tempdir().context("cannot create a temporary directory")?;
    let site = Site {
        directory: scratch.path().to_owned(),
        ..site.clone()
    };
    let trial = Trial {
        number: 1,
        experiment: experiment.clone(),
        arm: Arm {
            label: transport.name().to_owned(),
            transport,
            control_of: None,
            factors,
            build: Build::Own,
        },
        round: 1,
        seed: 1,
        trace: None,
    };
    let mut reasons = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let record = trial::attempt(&trial, attempt, &site).await?;
        let value = record.metrics.get(metric).copied().flatten();
        let tells = |reason: &String| kind == Kind::Measured || !is_of_the_machine(reason);
        match value.filter(|_| !record.invalid.iter().any(tells)) {
            Some(value) => return Ok(value),
            None => reasons = record.invalid,
        }
    }
    let why = reasons.join("; ");
    bail!("{transport} could not be measured: {why}; leave the machine alone and try again")
}

//! The trials of a run, one after the other, each again where it did not measure what it claims.

use std::{collections::BTreeMap, future::Future, pin::Pin, time::Instant};

use pushbench_reports::{estimate::effects, read::read, record::Record};

use super::{
    judged::judged,
    outcome::{Outcome, Patience},
    progress::Progress,
};
use crate::{
    bench::{Broken, Site},
    plan::{
        Plan,
        looks::{self, Next, Standing},
    },
    quantity::Span,
    trial::{self, ATTEMPTS, Trial},
};

/// Whether a trial is run again, right away and so within its round. Nothing but validity has a say.
fn again(attempt: u32, invalid: &[String]) -> bool {
    !invalid.is_empty() && attempt < ATTEMPTS
}

/// A run while it measures.
pub struct Measurement<'a> {
    plan: &'a Plan,
    site: &'a Site,
    stop: Pin<&'a mut dyn Future<Output = ()>>,
    started: Instant,
    progress: Progress,
    patience: Patience,
    /// Trials recorded.
    finished: u32,
}

impl<'a> Measurement<'a> {
    /// Nothing is measured yet. `stop` completes when the run is to be stopped.
    pub fn new(plan: &'a Plan, site: &'a Site, stop: Pin<&'a mut dyn Future<Output = ()>>) -> Self {
        Self {
            plan,
            site,
            stop,
            started: Instant::now(),
            progress: Progress::new(),
            patience: Patience::default(),
            finished: 0,
        }
    }

    /// Runs the plan's trials in order, until their end or a signal; finished ones stay.
    ///
    /// # Errors
    /// When a record cannot be written.
    pub async fn all(&mut self) -> anyhow::Result<Outcome> {
        let ended = self.trials(&self.plan.trials()).await?;
        Ok(ended.unwrap_or(Outcome::Finished))
    }

    /// The same, then more rounds of what is undecided, until nothing is, or time is up.
    ///
    /// # Errors
    /// When a record cannot be written or read.
    pub async fn until_decided(&mut self, max_time: Span) -> anyhow::Result<Outcome> {
        let looks = &self.plan.looks;
        let mut parts = self.plan.parts();
        let mut rounds = BTreeMap::new();
        for (look, later) in looks.iter().zip(1..) {
            let trials = self.plan.trials_of(&parts, self.finished + 1);
            if let Some(ended) = self.trials(&trials).await? {
                return Ok(ended);
            }
            rounds.extend(
                parts
                    .into_iter()
                    .map(|part| (part.experiment, *part.rounds.end())),
            );
            let standings = self.look(&rounds)?;
            self.progress.say(&looks::found(*look, &standings));
            let left = max_time.duration().saturating_sub(self.started.elapsed());
            let next = looks::next(
                looks.get(later..).unwrap_or_default(),
                &standings,
                left.as_secs_f64(),
            );
            if let Some(line) = looks::said(&next, left.as_secs_f64()) {
                self.progress.say(&line);
            }
            match next {
                Next::Measure(more) => parts = more,
                Next::Decided | Next::LastLook | Next::NoTime(_) => break,
            }
        }
        Ok(Outcome::Finished)
    }

    /// How each experiment stands after these rounds. It is asked of the records, as the report will ask,
    /// so that what ends the run is what the report says.
    fn look(&self, rounds: &BTreeMap<String, u32>) -> anyhow::Result<Vec<Standing>> {
        let run = read(&self.site.directory)?;
        let plan = &run.manifest.plan;
        let effects = judged(plan, effects(plan, &run.records).effects);
        let standing = |(experiment, rounds): (&String, &u32)| Standing {
            experiment: experiment.clone(),
            rounds: *rounds,
            undecided: looks::undecided(&effects, experiment),
            round_seconds: self.progress.pace() * self.plan.round_seconds(experiment),
        };
        Ok(rounds.iter().map(standing).collect())
    }

    /// Runs these; how the run ended, if it did.
    async fn trials(&mut self, trials: &[Trial]) -> anyhow::Result<Option<Outcome>> {
        self.progress.expect(trials);
        for trial in trials {
            self.progress.begin(trial);
            let last = tokio::select! {
                // Dropping the trial ends its server.
                () = &mut self.stop => return Ok(Some(Outcome::Interrupted {
                    finished: self.finished,
                    of: self.progress.trials(),
                })),
                last = attempts(trial, self.site, &mut self.progress) => last?,
            };
            self.finished = trial.number;
            if let Err(broken) = self.patience.judge(last) {
                return Ok(Some(Outcome::Broken(broken)));
            }
            self.progress.end(trial);
        }
        Ok(None)
    }
}

/// Runs a trial until an attempt is valid, or there were enough; the last attempt.
///
/// # Errors
/// When a record cannot be written.
async fn attempts(
    trial: &Trial,
    site: &Site,
    progress: &mut Progress,
) -> Result<Result<Record, Broken>, Broken> {
    let mut attempt = 1;
    loop {
        let result = trial::attempt(trial, attempt, site).await;
        let (invalid, what) = match &result {
            Ok(record) => (record.invalid.clone(), "invalid"),
            Err(broken) => {
                let record = trial::record_broken(trial, attempt, site, broken)?;
                (record.invalid, "broken")
            }
        };
        let number = trial.number;
        let reasons = invalid.join("; ");
        if again(attempt, &invalid) {
            attempt += 1;
            progress.say(&format!(
                "trial {number} is {what}: {reasons}; again, attempt {attempt} of {ATTEMPTS}"
            ));
            progress.again(trial);
        } else {
            if !invalid.is_empty() {
                progress.say(&format!(
                    "trial {number} is {what}: {reasons}; given up after {ATTEMPTS} attempts, its round is left out where \
                     its arm is compared"
                ));
            }
            return Ok(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_invalid_is_run_again_and_not_for_ever() {
        assert!(!again(1, &[]));
        let invalid = ["late".to_owned()];
        let attempts: Vec<_> = (1..=4)
            .filter(|&attempt| again(attempt, &invalid))
            .collect();
        assert_eq!(attempts, [1, 2], "twice more");
    }
}

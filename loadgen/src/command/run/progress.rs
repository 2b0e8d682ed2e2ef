//! Where the run is: a bar on a terminal, lines elsewhere, on standard error in either case.
//!
//! It is drawn between trials only: during one, the generator's core belongs to the generator.

use std::{
    io::{self, IsTerminal},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{command::note, quantity::spoken, trial::Trial};

/// Progress of a run.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    trials: usize,
    /// Expected seconds of all trials, and of those that have ended.
    expected: f64,
    ended: f64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// At the start of a run.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            // The template is ours and valid; were it not, the default bar would do.
            let style = ProgressStyle::with_template("{bar:16.cyan} {pos}/{len}  {wide_msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            started: Instant::now(),
            trials: 0,
            expected: 0.0,
            ended: 0.0,
            bar,
        }
    }

    /// These trials are to come.
    pub fn expect(&mut self, trials: &[Trial]) {
        self.trials += trials.len();
        let seconds = trials.iter().map(|trial| trial.experiment.trial_seconds());
        self.expected += seconds.sum::<f64>();
        if let Some(bar) = &self.bar {
            bar.set_length(self.trials as u64);
        }
    }

    /// Trials that were to come, those that have ended among them.
    pub fn trials(&self) -> usize {
        self.trials
    }

    /// A trial begins.
    pub fn begin(&mut self, trial: &Trial) {
        let Trial {
            number,
            experiment,
            arm,
            round,
            ..
        } = trial;
        let (name, rounds, left) = (
            experiment.name(),
            experiment.rounds(),
            spoken(self.seconds_left()),
        );
        let message = format!(
            "{name}, {}, round {round} of {rounds}, {left} left",
            arm.label
        );
        match &self.bar {
            Some(bar) => bar.set_message(message),
            None => note(&format!("trial {number} of {}: {message}", self.trials)),
        }
    }

    /// It begins again: an attempt has ended, and one more is to come.
    pub fn again(&mut self, trial: &Trial) {
        let seconds = trial.experiment.trial_seconds();
        self.expected += seconds;
        self.ended += seconds;
    }

    /// It has ended.
    pub fn end(&mut self, trial: &Trial) {
        self.ended += trial.experiment.trial_seconds();
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Says something beside it.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => note(line),
        }
    }

    /// Seconds that a second took so far, of those that were expected.
    pub fn pace(&self) -> f64 {
        if self.ended > 0.0 {
            self.started.elapsed().as_secs_f64() / self.ended
        } else {
            1.0
        }
    }

    fn seconds_left(&self) -> f64 {
        (self.expected - self.ended).max(0.0) * self.pace()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

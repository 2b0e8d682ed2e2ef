//! Runs that look several times and stop when all is decided, as `run --until-decided` does.

use pushbench_reports::{effect::Effect, record::Record};
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        rate::Rate,
        rounds::{OTHER, Rounds, Statistics, Subject, planned},
    },
    UNTIL_DECIDED, alarms, run, stated,
};
use crate::plan::looks::{LOOKS, Next, Standing, next, undecided};

/// Whole runs that look several times and stop when all is decided.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub runs: u64,
    alarms: u64,
}

impl Looks {
    pub fn add(
        &mut self,
        rounds: &Rounds,
        runs: u64,
        random: &mut ChaCha8Rng,
        statistics: Statistics,
    ) {
        let plan = planned(&rounds.subjects, &looks());
        for _ in 0..runs {
            let longest = run(&rounds.subjects, longest(), random);
            self.alarms += u64::from(stops_in_alarm(&rounds.subjects, &longest, |seen| {
                statistics(&plan, seen)
            }));
            self.runs += 1;
        }
    }

    pub fn rate(&self) -> Rate {
        Rate {
            subject: UNTIL_DECIDED.to_owned(),
            ..stated(self.alarms, self.runs)
        }
    }
}

/// Rounds after which `run --until-decided` looks.
fn looks() -> [u32; LOOKS.len()] {
    LOOKS.map(|look| look.get())
}

pub(super) fn longest() -> u32 {
    looks().into_iter().max().unwrap_or(0)
}

/// Whether any look that a run reaches has an alarm. What comes after a look is what `run` does: rounds
/// are added to what is open, until all is decided or the looks are over. An alarm that a later look takes
/// back is one: an experiment may stop there.
fn stops_in_alarm(
    subjects: &[Subject],
    longest: &[Record],
    effects: impl Fn(&[Record]) -> Vec<Effect>,
) -> bool {
    let open = |subject: &Subject| Standing {
        experiment: subject.name().to_owned(),
        rounds: 0,
        undecided: vec![OTHER.to_owned()],
        round_seconds: 0.0,
    };
    let looks = looks();
    let (mut standings, mut left) = (subjects.iter().map(open).collect::<Vec<_>>(), &looks[..]);
    while let Next::Measure(parts) = next(left, &standings, f64::INFINITY) {
        for part in parts {
            let own = standings
                .iter_mut()
                .filter(|own| own.experiment == part.experiment);
            own.for_each(|own| own.rounds = *part.rounds.end());
        }
        let had = |record: &&Record| {
            let own = standings
                .iter()
                .find(|own| own.experiment == record.experiment);
            own.is_some_and(|own| record.round <= own.rounds)
        };
        let effects = effects(&longest.iter().filter(had).cloned().collect::<Vec<_>>());
        if effects.iter().any(alarms) {
            return true;
        }
        for own in &mut standings {
            own.undecided = undecided(&effects, &own.experiment);
        }
        left = left.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::calibrate::{
        rate::judge,
        rounds::{statistics, tests::made_up},
    };

    const WIDE: f64 = 2.0;

    #[test]
    fn looking_four_times_is_no_more_alarm_than_looking_once_unless_each_look_takes_all() {
        let rounds = made_up(WIDE);
        let rate = |statistics| {
            let (mut looks, mut random) = (Looks::default(), ChaCha8Rng::seed_from_u64(6));
            looks.add(&rounds, 150, &mut random, statistics);
            judge(&[looks.rate()])[0].pass
        };
        assert!(rate(statistics));
        let greedy: Statistics = |plan, records| {
            let mut one_look = plan.clone();
            one_look.looks.clear();
            for experiment in &mut one_look.experiments {
                experiment
                    .metrics
                    .iter_mut()
                    .for_each(|metric| metric.margin = 1e-9);
            }
            statistics(&one_look, records)
        };
        assert!(!rate(greedy));
    }
}

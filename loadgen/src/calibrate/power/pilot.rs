//! The advice as a user gets it: from the spread of a pilot, not from the true one.

use pushbench_reports::quantity::percent;
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        grouped,
        rounds::{Statistics, Subject, planned},
    },
    QUESTIONS, advice,
};

/// Runs that are made up: nothing is judged by them, and one that a pilot sends far takes long.
pub(super) const RUNS_OF_PILOTS: u64 = 500;

/// Rounds of a pilot: those of a plan, and of the first look of `run --until-decided`.
const PILOT: u32 = 6;

/// Longer runs are not made up here: a pilot that advises more is counted by itself, and has not found.
const LONGEST: u32 = 200;

/// Runs whose length follows from the spread of a pilot drawn like them.
#[derive(Debug, Default)]
pub(super) struct Pilots {
    pub runs: u64,
    found: u64,
    too_long: u64,
    /// Of those that were made up.
    lengths: Vec<u32>,
}

impl Pilots {
    pub fn add(
        &mut self,
        subject: &Subject,
        runs: u64,
        random: &mut ChaCha8Rng,
        statistics: Statistics,
    ) {
        let (plan, [found, ..]) = (planned([subject], &[]), QUESTIONS);
        for _ in 0..runs {
            self.runs += 1;
            let spread = subject.spread_of(&subject.drawn(PILOT, random));
            let length = spread.and_then(|spread| advice(spread, subject.margin()));
            let Some(length) = length.filter(|length| *length <= LONGEST) else {
                self.too_long += 1;
                continue;
            };
            self.lengths.push(length);
            let hit = found.asked(subject, &plan, length, random, statistics);
            self.found += u64::from(hit);
        }
    }

    pub fn told(&self) -> String {
        let share = percent(self.found as f64 / self.runs.max(1) as f64);
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        // The middle nine tenths.
        let at = |share: usize| {
            lengths
                .get(lengths.len() * share / 100)
                .copied()
                .unwrap_or(0)
        };
        let long = match self.too_long {
            0 => String::new(),
            long => format!(
                "; {} advised more than {LONGEST} and were not made up",
                grouped(long)
            ),
        };
        format!(
            "Advised from pilots of {PILOT} rounds instead, mostly {} to {}, the margin was found in {share} of {} \
             runs{long}.",
            at(5),
            at(95),
            grouped(self.runs)
        )
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::calibrate::rounds::{statistics, tests::made_up};

    const RUNS: u64 = 300;
    const SPREAD: f64 = 1.4;

    /// A pilot of six errs by a third either way, and errs to both sides: the known spread's nine in ten
    /// become some eight.
    #[test]
    fn a_pilot_promises_less_than_a_known_spread() {
        let (rounds, mut random) = (made_up(SPREAD), ChaCha8Rng::seed_from_u64(12));
        let mut pilots = Pilots::default();
        pilots.add(&rounds.subjects[1], RUNS, &mut random, statistics);
        let share = pilots.found as f64 / pilots.runs as f64;
        assert!((0.65..0.88).contains(&share), "{share}");
        assert_eq!(pilots.lengths.len() as u64 + pilots.too_long, RUNS);
        let deaf: Statistics = |_, _| Vec::new();
        let mut none = Pilots::default();
        none.add(&rounds.subjects[1], 10, &mut random, deaf);
        assert_eq!(none.found, 0);
        assert!(none.told().contains("0 % of 10 runs"), "{}", none.told());
    }
}

//! `--until-decided`: what comes after a look. Pure.

use pushbench_reports::effect::{Effect, Verdict};

use super::Part;
use crate::quantity::{Rounds, rounds, spoken};

/// Rounds after which a run looks whether it is decided. Each doubles what is known: looking more often
/// would cost more of the significance, which is divided among the looks, than it saves in rounds.
pub const LOOKS: [Rounds; 4] = [rounds(6), rounds(12), rounds(24), rounds(48)];

/// An experiment at a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its name.
    pub experiment: String,
    /// Rounds that it has had.
    pub rounds: u32,
    /// Arms whose primary verdict is open; nobody's is decided before the first look.
    pub undecided: Vec<String>,
    /// Seconds that one round of it takes.
    pub round_seconds: f64,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// End: there is nothing left to decide.
    Decided,
    /// End: that was the last look.
    LastLook,
    /// End: the rounds up to the next look would take too long, seconds.
    NoTime(f64),
    /// Measure these rounds, then look again.
    Measure(Vec<Part>),
}

/// What comes before the next of the looks that are left, given the seconds that are left.
pub fn next(looks_left: &[u32], standings: &[Standing], left_seconds: f64) -> Next {
    let open = || {
        standings
            .iter()
            .filter(|standing| !standing.undecided.is_empty())
    };
    if open().next().is_none() {
        return Next::Decided;
    }
    let Some(&look) = looks_left.first() else {
        return Next::LastLook;
    };
    // One that was decided at the last look and is open again, because Holm's correction spans all, has
    // rounds to make up for.
    let behind = || open().filter(|standing| standing.rounds < look);
    let seconds = behind()
        .map(|standing| f64::from(look - standing.rounds) * standing.round_seconds)
        .sum();
    if seconds > left_seconds {
        return Next::NoTime(seconds);
    }
    let parts = behind().map(|standing| Part {
        experiment: standing.experiment.clone(),
        rounds: standing.rounds + 1..=look,
    });
    Next::Measure(parts.collect())
}

/// The arms of an experiment whose primary verdict is open.
pub fn undecided(effects: &[Effect], experiment: &str) -> Vec<String> {
    let open = effects.iter().filter(|effect| {
        effect.experiment == experiment && effect.primary && effect.verdict == Verdict::Inconclusive
    });
    open.map(|effect| effect.arm.clone()).collect()
}

/// What a look found, in a line.
pub fn found(look: u32, standings: &[Standing]) -> String {
    let (open, decided): (Vec<_>, Vec<_>) = standings
        .iter()
        .partition(|standing| !standing.undecided.is_empty());
    let decided: Vec<_> = decided
        .iter()
        .map(|standing| standing.experiment.clone())
        .collect();
    let open: Vec<_> = open
        .iter()
        .map(
            |Standing {
                 experiment,
                 undecided,
                 ..
             }| format!("{experiment} ({})", undecided.join(", ")),
        )
        .collect();
    format!(
        "look after {look} rounds: decided: {}; undecided: {}",
        listed(&decided),
        listed(&open)
    )
}

/// What comes of it, in a line; nothing where that goes without saying.
pub fn said(next: &Next, left_seconds: f64) -> Option<String> {
    match next {
        Next::Decided => Some("every primary verdict is decided".to_owned()),
        Next::LastLook => Some("that was the last look: what is undecided stays so".to_owned()),
        Next::NoTime(seconds) => Some(format!(
            "the rounds to the next look would take about {}, and {} of --max-time are left: what is undecided stays so",
            spoken(*seconds),
            spoken(left_seconds)
        )),
        Next::Measure(_) => None,
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [u32; 4] = [6, 12, 24, 48];

    fn standing(experiment: &str, rounds: u32, undecided: bool) -> Standing {
        Standing {
            experiment: experiment.into(),
            rounds,
            undecided: undecided.then(|| "arm".to_owned()).into_iter().collect(),
            round_seconds: 10.0,
        }
    }

    fn part(experiment: &str, rounds: std::ops::RangeInclusive<u32>) -> Part {
        Part {
            experiment: experiment.into(),
            rounds,
        }
    }

    #[test]
    fn only_what_is_undecided_goes_on() {
        let standings = [
            standing("a", 6, true),
            standing("b", 6, false),
            standing("c", 6, true),
        ];
        let parts = vec![part("a", 7..=12), part("c", 7..=12)];
        assert_eq!(next(&ALL[1..], &standings, 120.0), Next::Measure(parts));
        let decided = standings.map(|standing| Standing {
            undecided: Vec::new(),
            ..standing
        });
        assert_eq!(next(&ALL[1..], &decided, 120.0), Next::Decided);
        assert_eq!(next(&[], &decided, 0.0), Next::Decided);
    }

    #[test]
    fn a_block_that_does_not_fit_is_not_begun() {
        let standings = [standing("a", 6, true), standing("b", 6, true)];
        assert_eq!(next(&ALL[1..], &standings, 119.9), Next::NoTime(120.0));
        assert!(matches!(
            next(&ALL[1..], &standings, 120.0),
            Next::Measure(_)
        ));
    }

    #[test]
    fn there_is_a_last_look() {
        assert_eq!(next(&[], &[standing("a", 48, true)], 1e9), Next::LastLook);
    }

    #[test]
    fn what_is_open_again_makes_up_for_the_rounds_it_missed() {
        let standings = [standing("a", 6, true), standing("b", 12, true)];
        let parts = vec![part("a", 7..=24), part("b", 13..=24)];
        assert_eq!(next(&ALL[2..], &standings, 300.0), Next::Measure(parts));
        assert_eq!(next(&ALL[2..], &standings, 299.0), Next::NoTime(300.0));
    }

    #[test]
    fn a_look_says_what_is_decided_and_what_is_not() {
        let line = found(12, &[standing("a", 12, true), standing("b", 6, false)]);
        assert_eq!(line, "look after 12 rounds: decided: b; undecided: a (arm)");
        assert!(found(6, &[standing("a", 6, true)]).contains("decided: none"));
    }
}

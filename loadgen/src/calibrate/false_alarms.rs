//! Check 10: identical arms through the whole statistics; how often a difference is seen where none is.

mod until_decided;

use pushbench_reports::{
    calibration::{Check, Look, Picture, Series},
    effect::Effect,
    record::Record,
    statistics::Level,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Lab, Sitting, grouped,
    rate::{Bound, Rate, judge},
    rounds::{Rounds, Statistics, Subject, planned, records, statistics},
};
use crate::bench::Broken;
use until_decided::{Looks, longest};

const TITLE: &str = "False alarms";

/// Runs made up for each length: more would reject a rate of 5.5 %, which no reader would call wrong.
const RESAMPLES: u64 = 2_000;

/// A length of a run, and the independent differences that its rate must be drawn from.
///
/// Of a finite pool the rate is the pool's: were other rounds recorded, it would be another. A length is
/// checked where that spread is at most the one that chance leaves to 2,000 runs, half a point. Simulated
/// over pools of 24 to 144 differences, normal and heavy-tailed, the spread at 4, 6 and 10 rounds is at
/// most 5.8, 3.1 and 1.3 points over the root of the differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Length {
    rounds: u32,
    differences: usize,
}

/// The fewest rounds that may be judged, and those of the built-in plans.
const LENGTHS: [Length; 3] = [
    Length {
        rounds: 4,
        differences: 140,
    },
    Length {
        rounds: 6,
        differences: 40,
    },
    Length {
        rounds: 10,
        differences: 8,
    },
];

/// What the pool suffices for at one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A rate for each experiment.
    Each,
    /// One of runs whose experiment is drawn as well.
    Any,
}

impl Length {
    fn of(self, rounds: &Rounds) -> Option<Of> {
        let own = || rounds.subjects.iter().map(Subject::contrasts);
        match self.differences {
            needed if own().all(|own| own >= needed) => Some(Of::Each),
            needed if own().sum::<usize>() >= needed => Some(Of::Any),
            _ => None,
        }
    }
}

/// Runs between two moments in which Ctrl-C is heard.
const AT_ONCE: u64 = 25;

/// Draws runs from rounds that were recorded here, and counts alarms.
///
/// # Errors
/// When the rounds cannot be recorded.
pub async fn check(lab: &Lab, sitting: &Sitting) -> Result<Check, Broken> {
    let rounds = sitting.rounds(lab).await?;
    let (mut rates, mut left_out) = (Vec::new(), Vec::new());
    if rounds.too_few().is_empty() {
        let mut random = ChaCha8Rng::seed_from_u64(sitting.seed);
        for length in LENGTHS {
            let Some(of) = length.of(rounds) else {
                left_out.push(format!("{} rounds", length.rounds));
                continue;
            };
            let mut alarms = Alarms::new(rounds, length.rounds, of);
            while alarms.runs < RESAMPLES {
                alarms.add(rounds, AT_ONCE, &mut random, statistics);
                tokio::task::yield_now().await;
            }
            rates.extend(alarms.rates(rounds));
        }
        let mut looks = Looks::default();
        while looks.runs < RESAMPLES {
            looks.add(rounds, AT_ONCE, &mut random, statistics);
            tokio::task::yield_now().await;
        }
        rates.push(looks.rate());
    }
    let mut rows = rounds.too_few();
    rows.extend(judge(&rates));
    Ok(Check {
        number: 10,
        name: "false_alarms".to_owned(),
        title: TITLE.to_owned(),
        method: "Rounds of four identical arms are recorded here. Runs are made up of them: of each round two arms, drawn \
                 in random order, so that in truth there is no difference; no round is drawn again before all were. Each \
                 run goes through all of the statistics. An alarm is a p of at most 5 % in one metric, and, for the \
                 family of all primary metrics, Holm's p of at most 5 % in any. The last row follows a run until all is \
                 decided, looking after 6, 12, 24 and 48 rounds with a quarter of the significance each; it is an alarm \
                 if any look that is reached has one. A row fails if an exact binomial test at 1 % says that alarms are \
                 more frequent than stated; a rate below it errs on the safe side and is no failure, and whether too \
                 little is found is asked by the check of power."
            .to_owned(),
        counts: lab.effort.told(
            &format!("{} runs a row, seed {}; {}", grouped(RESAMPLES), sitting.seed, rounds.told()),
            "24 rounds each of latency, throughput, memory and reconnect, and runs of 4 and 6 rounds too",
        ),
        rows,
        picture: (!rates.is_empty()).then(|| picture(&rates, rounds)),
        note: note(&left_out),
    })
}

/// Which lengths were not checked, and why; nothing where all were.
fn note(left_out: &[String]) -> String {
    match left_out {
        [] => String::new(),
        lengths => format!(
            "Runs of {} are not checked: from as few recorded rounds their rate would be that of these rounds.",
            lengths.join(" and ")
        ),
    }
}

/// Alarms over runs of one length.
#[derive(Debug, Clone)]
struct Alarms {
    length: u32,
    of: Of,
    runs: u64,
    /// For each experiment.
    single: Vec<u64>,
    /// Of the one that was drawn.
    any: u64,
    family: u64,
}

impl Alarms {
    fn new(rounds: &Rounds, length: u32, of: Of) -> Self {
        Self {
            length,
            of,
            runs: 0,
            single: vec![0; rounds.subjects.len()],
            any: 0,
            family: 0,
        }
    }

    fn add(&mut self, rounds: &Rounds, runs: u64, random: &mut ChaCha8Rng, statistics: Statistics) {
        let plan = planned(&rounds.subjects, &[]);
        let stated = Level::CONVENTION.significance();
        for _ in 0..runs {
            let run = run(&rounds.subjects, self.length, random);
            let effects = statistics(&plan, &run);
            let drawn = random.random_range(0..self.single.len().max(1));
            for (place, (count, effect)) in self.single.iter_mut().zip(&effects).enumerate() {
                let alarm = u64::from(effect.p.is_some_and(|p| p <= stated));
                *count += alarm;
                self.any += if place == drawn { alarm } else { 0 };
            }
            self.family += u64::from(effects.iter().any(alarms));
            self.runs += 1;
        }
    }

    fn rates(&self, rounds: &Rounds) -> Vec<Rate> {
        let rate = |subject: &str, hits| Rate {
            subject: format!("{subject}, {} rounds", self.length),
            ..stated(hits, self.runs)
        };
        let mut rates = match self.of {
            Of::Each => {
                let single = rounds.subjects.iter().zip(&self.single);
                single
                    .map(|(subject, hits)| rate(subject.name(), *hits))
                    .collect()
            }
            Of::Any => vec![rate(ANY, self.any)],
        };
        rates.push(rate(FAMILY, self.family));
        rates
    }
}

const ANY: &str = "one metric, drawn";
const FAMILY: &str = "any primary metric, after Holm";
const UNTIL_DECIDED: &str = "until decided, 6 to 48 rounds";

/// At most the convention's share of alarms is promised.
fn stated(hits: u64, tries: u64) -> Rate {
    Rate {
        subject: String::new(),
        hits,
        tries,
        stated: Level::CONVENTION.significance(),
        bound: Bound::AtMost,
    }
}

/// A difference that is there after Holm, however small: where the margin is far wider than the spread,
/// the verdict is `equivalent` all the same, and would hide a correction that does not correct.
fn alarms(effect: &Effect) -> bool {
    let significance = effect.significance.significance();
    effect.primary && effect.p_holm.is_some_and(|p| p <= significance)
}

/// One made-up run; its experiments are drawn each for itself, as they are run.
fn run(subjects: &[Subject], length: u32, random: &mut ChaCha8Rng) -> Vec<Record> {
    let mut run = Vec::new();
    for subject in subjects {
        run.extend(records(subject, &subject.drawn(length, random)));
    }
    run
}

fn picture(rates: &[Rate], rounds: &Rounds) -> Picture {
    let mut series = vec![Series {
        name: "stated".to_owned(),
        look: Look::Truth,
        points: vec![[
            f64::from(LENGTHS[0].rounds),
            100.0 * Level::CONVENTION.significance(),
        ]],
    }];
    let names = rounds
        .subjects
        .iter()
        .map(Subject::name)
        .chain([ANY, FAMILY]);
    for name in names {
        let at = |length: u32| {
            let subject = format!("{name}, {length} rounds");
            let rate = rates.iter().find(|rate| rate.subject == subject)?;
            Some([f64::from(length), rate.percent()])
        };
        let points: Vec<_> = LENGTHS
            .into_iter()
            .filter_map(|length| at(length.rounds))
            .collect();
        if !points.is_empty() {
            series.push(Series {
                name: name.to_owned(),
                look: Look::Dots,
                points,
            });
        }
    }
    let last = rates.iter().filter(|rate| rate.subject == UNTIL_DECIDED);
    series.push(Series {
        name: UNTIL_DECIDED.to_owned(),
        look: Look::Dots,
        points: last
            .map(|rate| [f64::from(longest()), rate.percent()])
            .collect(),
    });
    Picture {
        title: "Alarms between identical arms".to_owned(),
        subtitle: format!("share of {} made-up runs of real rounds", grouped(RESAMPLES)),
        caption: "A dot is the share of runs that saw a difference where there is none. It should lie on the dashed \
                  line or below it, up to chance: with so many runs, up to about 1.2 points above."
            .to_owned(),
        x_title: "rounds of a run".to_owned(),
        y_title: "alarms, %".to_owned(),
        x_logarithmic: true,
        y_logarithmic: false,
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rounds::tests::made_up;
    use super::*;

    /// Enough to see a rate of 20 %, and quick without optimization.
    const RUNS: u64 = 400;

    fn failed(spread: f64, statistics: Statistics) -> Vec<String> {
        let (rounds, mut random) = (made_up(spread), ChaCha8Rng::seed_from_u64(10));
        let mut alarms = Alarms::new(&rounds, 6, Of::Each);
        alarms.add(&rounds, RUNS, &mut random, statistics);
        let rows = judge(&alarms.rates(&rounds));
        let failed = rows.into_iter().filter(|row| !row.pass);
        failed.map(|row| row.subject).collect()
    }

    /// In a spread far below the margin everything is equivalent, and alarms count all the same.
    const TIGHT: f64 = 0.001;
    const WIDE: f64 = 2.0;

    #[test]
    fn the_statistics_keep_to_what_they_state() {
        for spread in [TIGHT, WIDE] {
            assert_eq!(failed(spread, statistics), [] as [&str; 0]);
        }
    }

    #[test]
    fn a_test_at_twenty_per_cent_is_found_out() {
        let eager: Statistics = |plan, records| {
            let mut effects = statistics(plan, records);
            for effect in &mut effects {
                effect.p = effect.p.map(|p| p / 4.0);
                effect.p_holm = effect.p_holm.map(|p| p / 4.0);
            }
            effects
        };
        for spread in [TIGHT, WIDE] {
            let failed = failed(spread, eager);
            assert_eq!(failed.len(), 3, "each metric and the family");
        }
    }

    #[test]
    fn a_correction_that_does_not_correct_is_found_out_however_wide_the_margin() {
        let uncorrected: Statistics = |plan, records| {
            let mut effects = statistics(plan, records);
            for effect in &mut effects {
                effect.p_holm = effect.p;
            }
            effects
        };
        for spread in [TIGHT, WIDE] {
            assert_eq!(failed(spread, uncorrected), [format!("{FAMILY}, 6 rounds")]);
        }
    }

    #[test]
    fn a_length_is_checked_as_far_as_the_pool_suffices() {
        let of = |recorded| {
            let mut rounds = made_up(WIDE);
            for subject in &mut rounds.subjects {
                subject.rounds.truncate(recorded);
            }
            LENGTHS.map(|length| length.of(&rounds))
        };
        assert_eq!(of(24), [Some(Of::Any), Some(Of::Each), Some(Of::Each)]);
        assert_eq!(of(8), [None, Some(Of::Any), Some(Of::Each)]);
        assert_eq!(of(0), [None; 3]);
        assert!(note(&["4 rounds".to_owned()]).contains("Runs of 4 rounds are not"));
    }

    #[test]
    fn one_experiment_drawn_counts_as_often_as_each() {
        let (rounds, mut random) = (made_up(WIDE), ChaCha8Rng::seed_from_u64(3));
        let always: Statistics = |plan, records| {
            let mut effects = statistics(plan, records);
            effects[0].p = Some(0.0);
            effects[1].p = Some(1.0);
            effects
        };
        let mut alarms = Alarms::new(&rounds, 6, Of::Any);
        alarms.add(&rounds, RUNS, &mut random, always);
        assert!((150..250).contains(&alarms.any), "{}", alarms.any);
        let [any, _] = &alarms.rates(&rounds)[..] else {
            panic!("one metric and the family")
        };
        assert_eq!((any.hits, any.tries), (alarms.any, RUNS));
    }

    /// The messages of a trial share its luck: taken for rounds, they make every trial's luck an effect.
    #[test]
    fn a_test_over_messages_is_found_out() {
        const MESSAGES: u32 = 5;
        let over_messages: Statistics = |plan, records| {
            let mut messages = Vec::new();
            for record in records {
                for message in 0..MESSAGES {
                    let mut one = record.clone();
                    one.round = record.round * MESSAGES + message;
                    messages.push(one);
                }
            }
            statistics(plan, &messages)
        };
        assert_eq!(failed(WIDE, over_messages).len(), 3);
    }
}

//! Check 10: identical arms through the whole statistics; how often a difference is seen where none is.

use pushbench_reports::{
    calibration::{Check, Look, Picture, Series},
    effect::{Effect, Verdict},
    record::Record,
    statistics::Level,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    Lab, Sitting, grouped,
    rate::{Bound, Rate, judge},
    rounds::{Rounds, Statistics, Subject, planned, records, statistics},
};
use crate::bench::Broken;

const TITLE: &str = "False alarms";

/// Runs made up for each length: more would reject a rate of 5.5 %, which no reader would call wrong.
const RESAMPLES: u64 = 2_000;

/// Lengths of a run: the fewest rounds that may be judged, and those of the built-in plans.
const LENGTHS: [u32; 3] = [4, 6, 10];

/// Rounds after which `run --until-decided` looks.
pub const LOOKS: [u32; 4] = [6, 12, 24, 48];

/// Runs between two moments in which Ctrl-C is heard.
const AT_ONCE: u64 = 25;

/// Draws runs from rounds that were recorded here, and counts alarms.
///
/// # Errors
/// When the rounds cannot be recorded.
pub async fn check(lab: &Lab, sitting: &Sitting) -> Result<Check, Broken> {
    let rounds = sitting.rounds(lab).await?;
    let mut rates = Vec::new();
    if rounds.too_few().is_empty() {
        let mut random = ChaCha8Rng::seed_from_u64(sitting.seed);
        for length in LENGTHS {
            let mut alarms = Alarms::of(rounds, length);
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
        method: "Rounds of two identical arms are recorded here. Runs are made up of them, drawn with replacement and \
                 the arms swapped at random, so that in truth there is no difference; each goes through all of the \
                 statistics. An alarm is a p of at most 5 % in one metric, and, for the family of all primary metrics \
                 after Holm, any verdict of better or worse. The last row follows a run until all is decided, looking after \
                 6, 12, 24 and 48 rounds with a quarter of the significance each. A row fails if an exact binomial test \
                 says that alarms are more frequent than stated; a rate below it errs on the safe side and is no \
                 failure, and whether too little is found is asked by the check of power."
            .to_owned(),
        counts: lab.effort.told(
            &format!("{} runs a row, seed {}; {}", grouped(RESAMPLES), sitting.seed, rounds.told()),
            "24 rounds each of latency, throughput, memory, reconnect",
        ),
        rows,
        picture: (!rates.is_empty()).then(|| picture(&rates, rounds)),
        note: String::new(),
    })
}

/// Alarms over runs of one length.
#[derive(Debug, Clone)]
struct Alarms {
    length: u32,
    runs: u64,
    /// For each experiment.
    single: Vec<u64>,
    family: u64,
}

impl Alarms {
    fn of(rounds: &Rounds, length: u32) -> Self {
        Self {
            length,
            runs: 0,
            single: vec![0; rounds.subjects.len()],
            family: 0,
        }
    }

    fn add(&mut self, rounds: &Rounds, runs: u64, random: &mut ChaCha8Rng, statistics: Statistics) {
        let plan = planned(&rounds.subjects, &[]);
        let stated = Level::CONVENTION.significance();
        for _ in 0..runs {
            let run = run(&rounds.subjects, self.length, random);
            let effects = statistics(&plan, &run);
            for (count, effect) in self.single.iter_mut().zip(&effects) {
                *count += u64::from(effect.p.is_some_and(|p| p <= stated));
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
        let single = rounds.subjects.iter().zip(&self.single);
        let single = single.map(|(subject, hits)| rate(subject.name(), *hits));
        single.chain([rate(FAMILY, self.family)]).collect()
    }
}

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

/// Whole runs that look several times and stop when all is decided.
#[derive(Debug, Default)]
struct Looks {
    runs: u64,
    alarms: u64,
}

impl Looks {
    fn add(&mut self, rounds: &Rounds, runs: u64, random: &mut ChaCha8Rng, statistics: Statistics) {
        let plan = planned(&rounds.subjects, &LOOKS);
        for _ in 0..runs {
            let longest = run(&rounds.subjects, LOOKS[LOOKS.len() - 1], random);
            self.alarms += u64::from(stops_in_alarm(&longest, |seen| statistics(&plan, seen)));
            self.runs += 1;
        }
    }

    fn rate(&self) -> Rate {
        Rate {
            subject: UNTIL_DECIDED.to_owned(),
            ..stated(self.alarms, self.runs)
        }
    }
}

/// Whether a difference is claimed at any look up to the one that ends the run: at which every verdict is
/// decided, or the last. An alarm that a later look takes back is one: an experiment may stop there.
fn stops_in_alarm(longest: &[Record], effects: impl Fn(&[Record]) -> Vec<Effect>) -> bool {
    for look in LOOKS {
        let seen = longest.iter().filter(|record| record.round <= look);
        let effects = effects(&seen.cloned().collect::<Vec<_>>());
        if effects.iter().any(alarms) {
            return true;
        }
        if effects
            .iter()
            .all(|effect| effect.verdict != Verdict::Inconclusive)
        {
            return false;
        }
    }
    false
}

fn alarms(effect: &Effect) -> bool {
    matches!(effect.verdict, Verdict::Better | Verdict::Worse)
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
        points: vec![[4.0, 100.0 * Level::CONVENTION.significance()]],
    }];
    let names = rounds.subjects.iter().map(Subject::name).chain([FAMILY]);
    for name in names {
        let at = |length: u32| {
            let subject = format!("{name}, {length} rounds");
            let rate = rates.iter().find(|rate| rate.subject == subject)?;
            Some([f64::from(length), rate.percent()])
        };
        series.push(Series {
            name: name.to_owned(),
            look: Look::Dots,
            points: LENGTHS.into_iter().filter_map(at).collect(),
        });
    }
    let last = rates.iter().filter(|rate| rate.subject == UNTIL_DECIDED);
    series.push(Series {
        name: UNTIL_DECIDED.to_owned(),
        look: Look::Dots,
        points: last
            .map(|rate| [f64::from(LOOKS[LOOKS.len() - 1]), rate.percent()])
            .collect(),
    });
    Picture {
        title: "Alarms between identical arms".to_owned(),
        subtitle: format!("share of {} made-up runs of real rounds", grouped(RESAMPLES)),
        caption: "A dot is the share of runs that saw a difference where there is none. It should lie on the dashed \
                  line or below it, up to chance: with so many runs, up to about 1.5 points above."
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

    fn failed(statistics: Statistics) -> Vec<String> {
        let (rounds, mut random) = (made_up(2.0), ChaCha8Rng::seed_from_u64(10));
        let mut alarms = Alarms::of(&rounds, 6);
        alarms.add(&rounds, RUNS, &mut random, statistics);
        let rows = judge(&alarms.rates(&rounds));
        let failed = rows.into_iter().filter(|row| !row.pass);
        failed.map(|row| row.subject).collect()
    }

    #[test]
    fn the_statistics_keep_to_what_they_state() {
        assert_eq!(failed(statistics), [] as [&str; 0]);
    }

    #[test]
    fn a_test_at_twenty_per_cent_is_found_out() {
        let eager: Statistics = |plan, records| {
            let mut effects = statistics(plan, records);
            for effect in &mut effects {
                effect.p = effect.p.map(|p| p / 4.0);
                if effect.p.is_some_and(|p| p <= 0.05) {
                    effect.verdict = Verdict::Better;
                }
            }
            effects
        };
        assert_eq!(failed(eager).len(), 3, "each metric and the family");
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
        assert_eq!(failed(over_messages).len(), 3);
    }

    #[test]
    fn looking_four_times_is_no_more_alarm_than_looking_once_unless_each_look_takes_all() {
        let rounds = made_up(2.0);
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
            let mut effects = statistics(&one_look, records);
            for effect in &mut effects {
                if effect.p.is_some_and(|p| p <= 0.05) {
                    effect.verdict = Verdict::Worse;
                }
            }
            effects
        };
        assert!(!rate(greedy));
    }
}

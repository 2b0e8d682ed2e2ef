//! Check 11: at the rounds that are advised, a true difference of the margin's size is found, and none
//! is shown equivalent, as often as is stated.

mod pilot;

use pushbench_reports::{
    calibration::{Check, Look, Picture, Row, Series},
    effect::Verdict,
    quantity::{percent, quantity},
    record::{self, Better, MarginKind, Metric},
    statistics::{Level, MOST, POWER, Pair, Spread, rounds_needed},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Lab, Sitting, grouped,
    rate::{Bound, Rate, judge},
    rounds::{Rounds, Statistics, Subject, planned, records, statistics},
};
use crate::bench::Broken;
use pilot::{Pilots, RUNS_OF_PILOTS};

const TITLE: &str = "Power at the rounds advised";

/// Runs made up for each row, as in the check of false alarms.
const RESAMPLES: u64 = 2_000;

/// Runs between two moments in which Ctrl-C is heard.
const AT_ONCE: u64 = 25;

/// `Equivalent` may be said at the margin itself as often as an alarm without a difference; its interval
/// lies on the wrong side in half of that.
const AT_THE_MARGIN: f64 = 0.05;

/// And half a margin further next to never: where the margin is found in nine runs of ten, this is more
/// than seven standard errors from where `equivalent` begins to be possible at all.
const BEYOND: f64 = 0.001;

/// A true effect, in margins, what is to be said of it, and how often.
#[derive(Debug, Clone, Copy)]
struct Question {
    margins: f64,
    wanted: Wanted,
    stated: f64,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// `Better` or `worse`, whichever is true.
    Found,
    Equivalent,
}

const QUESTIONS: [Question; 4] = [
    Question {
        margins: 1.0,
        wanted: Wanted::Found,
        stated: POWER,
        bound: Bound::AtLeast,
    },
    Question {
        margins: 0.0,
        wanted: Wanted::Equivalent,
        stated: POWER,
        bound: Bound::AtLeast,
    },
    Question {
        margins: 1.0,
        wanted: Wanted::Equivalent,
        stated: AT_THE_MARGIN,
        bound: Bound::AtMost,
    },
    Question {
        margins: 1.5,
        wanted: Wanted::Equivalent,
        stated: BEYOND,
        bound: Bound::AtMost,
    },
];

/// How many rounds are needed, or half of them in a test.
type Advice = fn(Spread, f64) -> Option<u32>;

/// What `doctor` says of a metric that scatters by `spread`, of a margin in its place. Here the spread is
/// that of all recorded rounds, from which the runs are drawn: it is known, and what is checked is the
/// formula. A user has a pilot's instead, see [`Pilots`].
fn advice(spread: Spread, margin: f64) -> Option<u32> {
    rounds_needed(spread, margin, POWER, Level::CONVENTION)
}

/// Draws runs of the advised length, shifts one arm, and counts verdicts.
///
/// # Errors
/// When the rounds cannot be recorded.
pub async fn check(lab: &Lab, sitting: &Sitting) -> Result<Check, Broken> {
    let rounds = sitting.rounds(lab).await?;
    let (mut rows, mut rates, mut advised) = (rounds.too_few(), Vec::new(), Vec::new());
    if rows.is_empty() {
        let mut random = ChaCha8Rng::seed_from_u64(sitting.seed);
        // Another stream than that of the false alarms.
        random.set_stream(1);
        for subject in &rounds.subjects {
            let Some(length) = advised_for(subject, advice) else {
                rows.push(no_advice(subject));
                continue;
            };
            for question in QUESTIONS {
                let mut answers = Answers::of(question, length);
                while answers.runs < RESAMPLES {
                    answers.add(subject, AT_ONCE, &mut random, statistics);
                    tokio::task::yield_now().await;
                }
                rates.push(answers.rate(subject));
            }
            let mut pilots = Pilots::default();
            while pilots.runs < RUNS_OF_PILOTS {
                pilots.add(subject, AT_ONCE, &mut random, statistics);
                tokio::task::yield_now().await;
            }
            advised.push(format!("{} {}", told(subject, length), pilots.told()));
        }
    }
    rows.extend(judge(&rates));
    Ok(Check {
        number: 11,
        name: "power".to_owned(),
        title: TITLE.to_owned(),
        method: "From the spread of all rounds that were recorded here follows how many rounds are needed for each \
                 metric. Runs of that length are made up of these rounds as in the check of false alarms, and one arm \
                 is shifted by a known share of the metric's margin, up or down at random. Counted is how often the \
                 verdict finds the difference, in the right direction, and how often it says equivalent. Each metric is \
                 judged for itself, as the advice is. A failure would mean that the advised rounds promise too much, or \
                 that a difference that matters is called equivalent. The rows take the spread as known, and so hold the \
                 formula to account; the note says how often the margin is found where the advice comes from a pilot of \
                 six rounds, as a user has it."
            .to_owned(),
        counts: lab.effort.told(
            &format!("{} runs a row, seed {}; {}", grouped(RESAMPLES), sitting.seed, rounds.told()),
            "24 rounds each of latency, throughput, memory and reconnect",
        ),
        rows,
        picture: (!rates.is_empty()).then(|| picture(&rates, rounds)),
        note: advised.join(" "),
    })
}

fn advised_for(subject: &Subject, advice: Advice) -> Option<u32> {
    advice(subject.spread()?, subject.margin())
}

/// Verdicts over runs with one true effect.
struct Answers {
    question: Question,
    length: u32,
    runs: u64,
    hits: u64,
}

impl Answers {
    fn of(question: Question, length: u32) -> Self {
        Self {
            question,
            length,
            runs: 0,
            hits: 0,
        }
    }

    fn add(
        &mut self,
        subject: &Subject,
        runs: u64,
        random: &mut ChaCha8Rng,
        statistics: Statistics,
    ) {
        let plan = planned([subject], &[]);
        for _ in 0..runs {
            let hit = self
                .question
                .asked(subject, &plan, self.length, random, statistics);
            self.hits += u64::from(hit);
            self.runs += 1;
        }
    }

    fn rate(&self, subject: &Subject) -> Rate {
        Rate {
            subject: self.question.subject(subject.name(), self.length),
            hits: self.hits,
            tries: self.runs,
            stated: self.question.stated,
            bound: self.question.bound,
        }
    }
}

impl Question {
    /// Whether one made-up run of `length` rounds is said to be what is asked for.
    fn asked(
        self,
        subject: &Subject,
        plan: &record::Plan,
        length: u32,
        random: &mut ChaCha8Rng,
        statistics: Statistics,
    ) -> bool {
        let up: bool = random.random();
        let margins = if up { self.margins } else { -self.margins };
        let drawn = subject.drawn(length, random).into_iter();
        let pairs: Vec<Pair> = drawn.map(|pair| subject.shifted(pair, margins)).collect();
        let run: Vec<_> = records(subject, &pairs).collect();
        let wanted = self.verdict(subject, up);
        let effects = statistics(plan, &run);
        effects.iter().any(|effect| effect.verdict == wanted)
    }

    fn verdict(self, subject: &Subject, up: bool) -> Verdict {
        let lower = subject
            .metric()
            .is_none_or(|metric| metric.better == Better::Lower);
        match self.wanted {
            Wanted::Equivalent => Verdict::Equivalent,
            Wanted::Found if up == lower => Verdict::Worse,
            Wanted::Found => Verdict::Better,
        }
    }

    fn subject(self, name: &str, length: u32) -> String {
        let effect = match self.margins {
            0.0 => "no difference".to_owned(),
            1.0 => "a difference of the margin".to_owned(),
            margins => format!("a difference of {margins} margins"),
        };
        let said = match self.wanted {
            Wanted::Found => "found",
            Wanted::Equivalent => "called equivalent",
        };
        format!("{name}, {length} rounds: {effect} is {said}")
    }
}

fn no_advice(subject: &Subject) -> Row {
    Row {
        subject: format!("{}, rounds advised", subject.name()),
        truth: format!("a number up to {}", grouped(MOST.into())),
        measured: "none: the rounds scatter too much for this margin".to_owned(),
        tolerance: "none".to_owned(),
        pass: false,
    }
}

/// The advice and what it rests on, a sentence.
fn told(subject: &Subject, length: u32) -> String {
    let sd = subject.spread().map_or(0.0, Spread::standard_deviation);
    let said = |metric: &Metric| match metric.margin_kind {
        MarginKind::Relative => format!(
            "{} against a margin of {}",
            percent(sd),
            percent(metric.margin)
        ),
        MarginKind::Absolute => format!(
            "{} against a margin of {}",
            quantity(sd, &metric.unit),
            quantity(metric.margin, &metric.unit)
        ),
    };
    let (name, said) = (
        subject.name(),
        subject.metric().map(said).unwrap_or_default(),
    );
    format!(
        "In {name} the differences of the rounds have a standard deviation of {said}: {length} rounds are needed."
    )
}

fn picture(rates: &[Rate], rounds: &Rounds) -> Picture {
    let named = |name: &str| {
        let own = rates
            .iter()
            .filter(|rate| rate.subject.starts_with(&format!("{name}, ")));
        own.collect::<Vec<_>>()
    };
    // By true effect: 0, 1 and 1.5 margins; the one that is found lies above.
    let places = QUESTIONS.map(|question| question.margins);
    let mut series = vec![
        Series {
            name: format!("stated at least ({})", percent(POWER)),
            look: Look::Truth,
            points: vec![[0.0, 100.0 * POWER]],
        },
        Series {
            name: format!("stated at most, equivalent ({})", percent(AT_THE_MARGIN)),
            look: Look::Truth,
            points: vec![[0.0, 100.0 * AT_THE_MARGIN]],
        },
    ];
    for subject in &rounds.subjects {
        let rates = named(subject.name());
        let points = rates.iter().zip(places);
        series.push(Series {
            name: subject.name().to_owned(),
            look: Look::Dots,
            points: points
                .map(|(rate, place)| [place, rate.percent()])
                .collect(),
        });
    }
    Picture {
        title: "What is said of a known difference".to_owned(),
        subtitle: "share of made-up runs of the advised length".to_owned(),
        caption: "At 0 and at 1, the upper dots: equivalent where there is no difference, and found where it is as \
                  large as the margin; both belong above the upper line. The lower dots at 1 and 1.5: a difference \
                  that matters called equivalent; they belong below the lower line."
            .to_owned(),
        x_title: "true difference, in margins".to_owned(),
        y_title: "of all runs, %".to_owned(),
        x_logarithmic: false,
        y_logarithmic: false,
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rounds::tests::made_up;
    use super::*;

    const RUNS: u64 = 300;

    /// The margin as many spreads wide that some twenty rounds are needed.
    const SPREAD: f64 = 1.4;

    fn failed(advice: Advice, statistics: Statistics) -> Vec<usize> {
        let (rounds, mut random) = (made_up(SPREAD), ChaCha8Rng::seed_from_u64(11));
        let subject = &rounds.subjects[1];
        let length = advised_for(subject, advice).unwrap();
        let rates = QUESTIONS.map(|question| {
            let mut answers = Answers::of(question, length);
            answers.add(subject, RUNS, &mut random, statistics);
            answers.rate(subject)
        });
        let rows = judge(&rates);
        (0..rows.len()).filter(|row| !rows[*row].pass).collect()
    }

    #[test]
    fn what_is_advised_is_enough() {
        assert_eq!(failed(advice, statistics), [] as [usize; 0]);
    }

    #[test]
    fn half_of_what_is_needed_is_found_out() {
        let half: Advice = |spread, margin| Some((advice(spread, margin)? / 2).max(4));
        assert_eq!(failed(half, statistics), [0, 1]);
    }

    #[test]
    fn equivalence_by_the_estimate_alone_is_found_out() {
        let rash: Statistics = |plan, records| {
            let mut effects = statistics(plan, records);
            for effect in &mut effects {
                let inside = effect
                    .ratio
                    .is_some_and(|ratio| ratio.ln().abs() <= effect.margin.ln_1p());
                if inside {
                    effect.verdict = Verdict::Equivalent;
                }
            }
            effects
        };
        let failed = failed(advice, rash);
        assert!(failed.contains(&2) && failed.contains(&3), "{failed:?}");
    }
}

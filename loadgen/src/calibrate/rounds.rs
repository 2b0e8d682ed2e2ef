//! Real rounds of identical arms, recorded once, and runs that are made up of them: what the statistics
//! are held against.

use std::collections::BTreeMap;

use pushbench_reports::{
    calibration::Row,
    effect::Effect,
    estimate,
    record::{self, MarginKind, Metric, Record},
    statistics::{Pair, Spread, differences, log_ratios},
};
use rand::{Rng, seq::index};

use super::blank_record;

/// Labels of the arms, which differ in nothing else. Two would give a magnitude a round; the alarms of
/// runs drawn from so few magnitudes depend on which they happen to be, at four rounds anything from 2 to
/// 11 % (simulated). Of four arms twelve ordered pairs are drawn, and three differences a round are
/// independent.
pub const LABELS: [&str; 4] = ["one", "other", "third", "fourth"];

/// Labels in a run that is made up.
const ONE: &str = LABELS[0];
pub const OTHER: &str = LABELS[1];

/// The primary metric of every arm in one round.
pub type Figures = [f64; LABELS.len()];

/// One experiment with its primary metric alone, and what its rounds gave.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Of two arms; its metrics are the primary one.
    pub experiment: record::Experiment,
    /// Rounds in which every arm was valid.
    pub rounds: Vec<Figures>,
    /// Why the latest invalid trial was that.
    pub invalid: Option<String>,
}

/// What was recorded.
#[derive(Debug, Clone)]
pub struct Rounds {
    /// In the order of a plan.
    pub subjects: Vec<Subject>,
    /// Rounds of each experiment.
    pub planned: u32,
    /// Trials that were run again, because they were invalid.
    pub repeated: u32,
    /// The time that was given, seconds, if it was over before all were recorded.
    pub out_of_time_s: Option<u64>,
}

impl Rounds {
    /// What was recorded, in words.
    pub fn told(&self) -> String {
        let names: Vec<&str> = self.subjects.iter().map(Subject::name).collect();
        format!(
            "recorded here: {} rounds of {} identical arms each of {}; {} invalid trials run again",
            self.planned,
            LABELS.len(),
            names.join(" and "),
            self.repeated
        )
    }

    /// Rows of the experiments that gave too few rounds to draw from, and of a time that did not suffice;
    /// none where all is well.
    pub fn too_few(&self) -> Vec<Row> {
        let few = |subject: &&Subject| 2 * subject.rounds.len() < self.planned as usize;
        let row = |subject: &Subject| Row {
            subject: format!("{}, rounds recorded", subject.name()),
            truth: format!("{} rounds of valid trials", self.planned),
            measured: match &subject.invalid {
                Some(why) => format!(
                    "{} rounds; the last invalid trial: {why}",
                    subject.rounds.len()
                ),
                None => format!("{} rounds", subject.rounds.len()),
            },
            tolerance: "at least half: with fewer, the machine is too noisy to be judged on"
                .to_owned(),
            pass: false,
        };
        let late = self.out_of_time_s.map(|budget_s| Row {
            subject: "rounds recorded".to_owned(),
            truth: format!("{} rounds of each experiment in {budget_s} s", self.planned),
            measured: format!("out of time after {budget_s} s"),
            tolerance: "none".to_owned(),
            pass: false,
        });
        let few = self.subjects.iter().filter(few).map(row);
        late.into_iter().chain(few).collect()
    }
}

impl Subject {
    /// Without rounds; nothing where the experiment has no primary metric.
    pub fn new(mut experiment: record::Experiment) -> Option<Self> {
        experiment.metrics.retain(|metric| metric.primary);
        experiment.arms = vec![ONE.to_owned(), OTHER.to_owned()];
        // Not looked at here, and copied with every run.
        (experiment.charts, experiment.settings) = (Vec::new(), BTreeMap::new());
        (!experiment.metrics.is_empty()).then_some(Self {
            experiment,
            rounds: Vec::new(),
            invalid: None,
        })
    }

    /// The experiment's.
    pub fn name(&self) -> &str {
        &self.experiment.name
    }

    /// The primary one.
    pub fn metric(&self) -> Option<&Metric> {
        self.experiment.metrics.first()
    }

    /// Independent differences that were recorded: of a round's arms, one fewer than there are arms.
    pub fn contrasts(&self) -> usize {
        self.rounds.len() * (LABELS.len() - 1)
    }

    /// Every pair that may be drawn, as often as every other.
    fn pairs(&self) -> Vec<Pair> {
        let ordered = |figures: &Figures| {
            let places =
                (0..LABELS.len()).flat_map(|one| (0..LABELS.len()).map(move |other| (one, other)));
            let figures = *figures;
            places
                .filter(|(one, other)| one != other)
                .map(move |(one, other)| Pair {
                    baseline: figures[one],
                    arm: figures[other],
                })
        };
        self.rounds.iter().flat_map(ordered).collect()
    }

    /// Whether effects are judged as ratios.
    fn by_ratio(&self) -> bool {
        let relative = self
            .metric()
            .is_some_and(|m| m.margin_kind == MarginKind::Relative);
        relative && self.rounds.iter().flatten().all(|figure| *figure > 0.0)
    }

    /// By how much these rounds scatter, on the scale that decides.
    pub fn spread_of(&self, pairs: &[Pair]) -> Option<Spread> {
        match self.by_ratio() {
            true => Spread::of(&log_ratios(pairs)?),
            false => Spread::of(&differences(pairs)),
        }
    }

    /// By how much all that may be drawn scatters.
    pub fn spread(&self) -> Option<Spread> {
        self.spread_of(&self.pairs())
    }

    /// The margin on the scale of [`Subject::spread`].
    pub fn margin(&self) -> f64 {
        let margin = self.metric().map_or(0.0, |metric| metric.margin);
        if self.by_ratio() {
            margin.ln_1p()
        } else {
            margin
        }
    }

    /// So many rounds drawn from the recorded ones, of each two different arms in random order: no arm is
    /// better. No round is drawn again before all were: a run that is no longer than the pool has none
    /// twice.
    pub fn drawn(&self, rounds: u32, random: &mut impl Rng) -> Vec<Pair> {
        let mut drawn = Vec::new();
        while drawn.len() < rounds as usize && !self.rounds.is_empty() {
            let left = (rounds as usize - drawn.len()).min(self.rounds.len());
            for round in index::sample(random, self.rounds.len(), left) {
                let arms = index::sample(random, LABELS.len(), 2);
                let figure = |place| self.rounds[round][arms.index(place)];
                drawn.push(Pair {
                    baseline: figure(0),
                    arm: figure(1),
                });
            }
        }
        drawn
    }

    /// A round in which the arm differs in truth by `margins` margins.
    pub fn shifted(&self, pair: Pair, margins: f64) -> Pair {
        let arm = match self.by_ratio() {
            true => pair.arm * (self.margin() * margins).exp(),
            false => pair.arm + self.margin() * margins,
        };
        Pair { arm, ..pair }
    }
}

/// From plan and records to effects: the whole statistics, or a broken one in a test.
pub type Statistics = fn(&record::Plan, &[Record]) -> Vec<Effect>;

/// The whole statistics.
pub fn statistics(plan: &record::Plan, records: &[Record]) -> Vec<Effect> {
    estimate::effects(plan, records).effects
}

/// A plan of these experiments, as a run would have it.
pub fn planned<'a>(subjects: impl IntoIterator<Item = &'a Subject>, looks: &[u32]) -> record::Plan {
    let arm = |label: &str| record::Arm {
        label: label.to_owned(),
        transport: String::new(),
        control_of: None,
        held_against: None,
        factors: BTreeMap::new(),
    };
    record::Plan {
        name: "resampled".to_owned(),
        seed: 0,
        question: String::new(),
        arms: vec![arm(ONE), arm(OTHER)],
        experiments: subjects.into_iter().map(|s| s.experiment.clone()).collect(),
        claims: Vec::new(),
        looks: looks.to_vec(),
        notes: Vec::new(),
    }
}

/// The records of these rounds of an experiment.
pub fn records(subject: &Subject, pairs: &[Pair]) -> impl Iterator<Item = Record> {
    let name = subject
        .metric()
        .map(|metric| metric.name.clone())
        .unwrap_or_default();
    pairs.iter().zip(1..).flat_map(move |(pair, round)| {
        [(ONE, pair.baseline), (OTHER, pair.arm)].map(|(arm, figure)| {
            let mut record = blank_record(subject.name(), arm, round);
            record.metrics.insert(name.clone(), Some(figure));
            record
        })
    })
}

#[cfg(test)]
pub mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Two experiments whose rounds scatter by `of_margin` margins, as many as a calibration records.
    pub fn made_up(of_margin: f64) -> Rounds {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let described = super::super::recording::plan(super::super::Effort::Quick, 1)
            .manifest(String::new(), BTreeMap::new())
            .plan;
        let subjects = described.experiments.into_iter().map(|experiment| {
            let mut subject = Subject::new(experiment).unwrap();
            let even = Pair {
                baseline: 10.0,
                arm: 10.0,
            };
            subject.rounds = vec![[10.0; LABELS.len()]];
            let normal = |random: &mut ChaCha8Rng| {
                (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
            };
            // The difference of two arms scatters by √2 of what each does.
            let each = of_margin / 2.0_f64.sqrt();
            let mut figure = |_| subject.shifted(even, each * normal(&mut random)).arm;
            let rounds: Vec<Figures> = (0..24).map(|_| std::array::from_fn(&mut figure)).collect();
            subject.rounds = rounds;
            subject
        });
        Rounds {
            subjects: subjects.collect(),
            planned: 24,
            repeated: 0,
            out_of_time_s: None,
        }
    }

    #[test]
    fn a_drawn_run_is_made_of_recorded_rounds_and_favours_nobody() {
        let rounds = made_up(0.5);
        let subject = &rounds.subjects[1];
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let drawn = subject.drawn(4_000, &mut random);
        let known = subject.pairs();
        assert!(drawn.iter().all(|pair| known.contains(pair)));
        let swapped = drawn.iter().filter(|pair| {
            let round = subject
                .rounds
                .iter()
                .find(|round| round.contains(&pair.arm));
            let place = |figure| round.unwrap().iter().position(|own| *own == figure);
            place(pair.arm) < place(pair.baseline)
        });
        let swapped = swapped.count();
        assert!((1_850..2_150).contains(&swapped), "{swapped}");
        let logs = log_ratios(&drawn).unwrap();
        let (mean, sd) = (
            logs.iter().sum::<f64>() / logs.len() as f64,
            subject.spread().unwrap().standard_deviation(),
        );
        assert!(mean.abs() < 4.0 * sd / 4_000_f64.sqrt(), "{mean}, {sd}");
        let spread = Spread::of(&logs).unwrap().standard_deviation();
        assert!((spread / sd - 1.0).abs() < 0.1, "{spread}, {sd}");
    }

    #[test]
    fn no_round_is_drawn_again_before_all_were() {
        let subject = &made_up(0.5).subjects[0];
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let drawn = subject.drawn(24 + 10, &mut random);
        let round = |pair: &Pair| {
            let own = |round: &Figures| round.contains(&pair.arm) && round.contains(&pair.baseline);
            subject.rounds.iter().position(own).unwrap()
        };
        let places: Vec<usize> = drawn.iter().map(round).collect();
        let (first, rest) = places.split_at(24);
        for part in [first, rest] {
            let different: std::collections::BTreeSet<_> = part.iter().collect();
            assert_eq!(different.len(), part.len());
        }
    }

    #[test]
    fn a_shift_of_the_margin_is_where_the_verdict_has_it() {
        let rounds = made_up(0.0);
        for subject in &rounds.subjects {
            for (margins, verdict) in [
                (0.99, pushbench_reports::effect::Verdict::Equivalent),
                (1.01, pushbench_reports::effect::Verdict::Worse),
            ] {
                let even = subject.pairs()[0];
                let pairs = [subject.shifted(even, margins); 4];
                let records: Vec<_> = records(subject, &pairs).collect();
                let effects = statistics(&planned([subject], &[]), &records);
                assert_eq!(effects[0].verdict, verdict, "{} {margins}", subject.name());
            }
        }
    }

    #[test]
    fn rounds_that_were_not_had_are_told() {
        let mut rounds = made_up(0.5);
        assert!(rounds.too_few().is_empty());
        rounds.subjects[0].rounds.truncate(11);
        let [row] = &rounds.too_few()[..] else {
            panic!("one is short")
        };
        assert!(!row.pass && row.measured == "11 rounds");
        let mut late = made_up(0.5);
        late.out_of_time_s = Some(9);
        let [row] = &late.too_few()[..] else {
            panic!("the time")
        };
        assert!(!row.pass && row.measured == "out of time after 9 s");
    }
}

//! How much identical arms differ here, from short trials of the experiments themselves, and how many
//! rounds resolve how much.

use std::time::{Duration, Instant};

use pushbench_reports::{
    noise::NOISY,
    record::Record,
    statistics::{Level, POWER, Pair, Spread, log_ratios, rounds_needed},
};
use pushbench_server::contract::transport::Transport;
use serde::Serialize;

use super::{Finding, Grade};
use crate::{
    arm::{Arm, Build, Factors},
    bench::{Broken, Site},
    experiment::{Experiment, latency, throughput},
    quantity::seconds,
    trial::{self, Trial},
};

/// What the rest of half a minute leaves.
const TIME: Duration = Duration::from_secs(20);

/// Differences that are asked about, as shares.
pub const SHARES: [f64; 3] = [0.05, 0.1, 0.2];

/// What is looked at: experiment, metric, and what a reader calls it.
const METRICS: [(&str, &str, &str); 3] = [
    (
        "throughput",
        "server_cpu_us_per_message",
        "server CPU per message",
    ),
    ("latency", "token_latency_ms_p50", "token latency p50"),
    ("latency", "token_latency_ms_p99", "token latency p99"),
];

/// The same arm under two labels; in odd rounds the first goes first.
const ARMS: [&str; 2] = ["sse-h1", "sse-h1 (A/A)"];

/// Rounds that resolve a difference in one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Needed {
    /// Which experiment.
    pub experiment: &'static str,
    /// Key in records.
    pub metric: &'static str,
    /// What a reader calls it.
    pub title: &'static str,
    /// Rounds of valid trials that were measured.
    pub measured: usize,
    /// Standard deviation of the log ratios of identical arms; none below two rounds.
    pub spread: Option<f64>,
    /// Fewest rounds that find such a difference, and show that there is none, each in nine runs of ten;
    /// none where that would take more than a thousand.
    pub rounds: Vec<Resolved>,
}

/// Rounds for one difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Resolved {
    /// 5, 10 or 20 %.
    pub difference_percent: f64,
    /// Even, and at least 4.
    pub rounds: Option<u32>,
}

/// Runs as many rounds as fit, calling `begin` before each with its number.
///
/// # Errors
/// When a trial is broken, not when it is invalid.
pub async fn measure(site: &Site, begin: impl Fn(u32)) -> Result<Vec<Record>, Broken> {
    let (started, mut records, mut longest) = (Instant::now(), Vec::new(), Duration::ZERO);
    for round in 1.. {
        if started.elapsed() + longest > TIME {
            break;
        }
        begin(round);
        let begun = Instant::now();
        for trial in trials(round) {
            records.push(trial::run(&trial, site).await?);
        }
        longest = longest.max(begun.elapsed());
    }
    Ok(records)
}

/// Shorter than a plan's, so that several rounds fit: they scatter more, and the advice errs on the side of
/// more rounds.
fn trials(round: u32) -> Vec<Trial> {
    // On a machine that never settles, half a minute is kept all the same.
    let longest = seconds(1.0);
    let experiments = [
        Experiment::Throughput(throughput::Settings {
            warm_up_s: seconds(0.2),
            warm_up_max_s: longest,
            window_s: seconds(0.5),
            ..Default::default()
        }),
        Experiment::Latency(latency::Settings {
            warm_up_s: seconds(0.3),
            warm_up_max_s: longest,
            window_s: seconds(0.8),
            ..Default::default()
        }),
    ];
    let mut order = ARMS;
    if round.is_multiple_of(2) {
        order.reverse();
    }
    let pairs = experiments
        .iter()
        .flat_map(|experiment| order.map(|label| (experiment, label)));
    let first = (round - 1) * 4 + 1;
    pairs
        .zip(first..)
        .map(|((experiment, label), number)| Trial {
            number,
            experiment: experiment.clone(),
            arm: Arm {
                label: label.to_owned(),
                transport: Transport::SseH1,
                control_of: (label != ARMS[0]).then(|| ARMS[0].to_owned()),
                factors: Factors::default(),
                build: Build::Own,
            },
            round,
            seed: u64::from(round),
            trace: None,
        })
        .collect()
}

/// The spread of each metric and the rounds that follow from it.
pub fn needed(records: &[Record]) -> Vec<Needed> {
    METRICS
        .map(|(experiment, metric, title)| {
            let pairs = pairs(records, experiment, metric);
            let spread = log_ratios(&pairs).and_then(|ratios| Spread::of(&ratios));
            let rounds = spread.map(|spread| SHARES.map(|share| resolved(spread, share)).to_vec());
            Needed {
                experiment,
                metric,
                title,
                measured: pairs.len(),
                spread: spread.map(Spread::standard_deviation),
                rounds: rounds.unwrap_or_default(),
            }
        })
        .to_vec()
}

fn resolved(spread: Spread, share: f64) -> Resolved {
    Resolved {
        difference_percent: 100.0 * share,
        rounds: rounds_needed(spread, share.ln_1p(), POWER, Level::CONVENTION),
    }
}

/// Both arms' figures of each round in which both trials are valid.
fn pairs(records: &[Record], experiment: &str, metric: &str) -> Vec<Pair> {
    let value = |round: u32, arm: &str| {
        let mut valid = records.iter().filter(|record| record.invalid.is_empty());
        let record = valid.find(|record| {
            (record.round, &*record.arm, &*record.experiment) == (round, arm, experiment)
        })?;
        record.metrics.get(metric).copied().flatten()
    };
    let last = records.iter().map(|record| record.round).max().unwrap_or(0);
    (1..=last)
        .filter_map(|round| {
            Some(Pair {
                baseline: value(round, ARMS[0])?,
                arm: value(round, ARMS[1])?,
            })
        })
        .collect()
}

/// Judges the trials themselves.
pub fn finding(measured: &Result<Vec<Record>, String>) -> Finding {
    const NAME: &str = "spread";
    let records = match measured {
        Ok(records) => records,
        Err(broken) => {
            let found = format!("no trial can be run: {broken}");
            return Finding::new(
                NAME,
                Grade::Bad,
                found,
                "Mend this first: a run would end the same way.",
            );
        }
    };
    let invalid: Vec<_> = records
        .iter()
        .filter(|record| !record.invalid.is_empty())
        .collect();
    let (count, of) = (invalid.len(), records.len());
    let spreads: Vec<_> = needed(records)
        .iter()
        .filter_map(|needed| Some(format!("{} {:.1} %", needed.title, 100.0 * needed.spread?)))
        .collect();
    let spreads = match spreads.is_empty() {
        true => "there are no two rounds to say by how much".to_owned(),
        false => spreads.join(", "),
    };
    let found = format!(
        "identical arms differ from round to round: {spreads}; {count} of {of} short trials invalid"
    );
    let Some(reason) = invalid.first().and_then(|record| record.invalid.first()) else {
        return Finding::fine(NAME, found);
    };
    let grade = match count as f64 > NOISY * of as f64 {
        true => Grade::Bad,
        false => Grade::WorthKnowing,
    };
    let found = format!("{found}, the first because {reason}");
    Finding::new(
        NAME,
        grade,
        found,
        "End what else runs on these cores, then ask the doctor again.",
    )
}

#[cfg(test)]
mod tests {
    use pushbench_reports::record::FORMAT;

    use super::*;

    fn record(round: u32, arm: &str, cpu_us: f64) -> Record {
        Record {
            format: FORMAT,
            trial: 1,
            experiment: "throughput".into(),
            arm: arm.into(),
            round,
            attempt: 1,
            started_at: String::new(),
            duration_ms: 0,
            settings: Default::default(),
            metrics: [("server_cpu_us_per_message".to_owned(), Some(cpu_us))].into(),
            points: Default::default(),
            counters: Default::default(),
            books: Vec::new(),
            histograms: Default::default(),
            invalid: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Four rounds whose log ratios are +x, −x, +x, −x.
    fn rounds(x: f64) -> Vec<Record> {
        (1..=4)
            .flat_map(|round| {
                let ratio = if round % 2 == 0 { -x } else { x };
                [
                    record(round, ARMS[0], 5.0),
                    record(round, ARMS[1], 5.0 * f64::exp(ratio)),
                ]
            })
            .collect()
    }

    #[test]
    fn the_spread_is_that_of_the_log_ratios_and_more_of_it_needs_more_rounds() {
        let [quiet, noisy] = [0.01, 0.1].map(|x| needed(&rounds(x)).remove(0));
        let deviation = 0.01 * (4.0_f64 / 3.0).sqrt();
        assert!((quiet.spread.unwrap() - deviation).abs() < 1e-12);
        assert_eq!(quiet.measured, 4);
        let of = |needed: &Needed| {
            needed
                .rounds
                .iter()
                .map(|at| at.rounds.unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&quiet), [4, 4, 4]);
        let of_noisy = of(&noisy);
        assert!(
            of_noisy[0] > of_noisy[1] && of_noisy[1] > of_noisy[2],
            "{of_noisy:?}"
        );
        let unmeasured = &needed(&rounds(0.1))[1];
        assert_eq!((unmeasured.spread, unmeasured.rounds.len()), (None, 0));
    }

    #[test]
    fn an_invalid_trial_takes_its_round_along() {
        let mut records = rounds(0.1);
        assert_eq!(finding(&Ok(records.clone())).grade, Grade::Fine);
        records[3].invalid.push("the machine was busy".into());
        assert_eq!(needed(&records)[0].measured, 3);
        let one = finding(&Ok(records.clone()));
        assert!(
            one.grade == Grade::WorthKnowing && one.found.contains("busy"),
            "{one:?}"
        );
        records[4].invalid.push("again".into());
        records[6].invalid.push("again".into());
        assert_eq!(finding(&Ok(records)).grade, Grade::Bad);
        assert_eq!(finding(&Err("no server".into())).grade, Grade::Bad);
    }

    #[test]
    fn rounds_are_mirrored_and_arms_differ_in_their_label_alone() {
        let labels = |round| {
            trials(round)
                .into_iter()
                .map(|trial| trial.arm.label)
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(1)[..2], ARMS);
        assert_eq!(labels(2)[..2], [ARMS[1], ARMS[0]]);
        let numbers: Vec<_> = (1..=3).flat_map(trials).map(|trial| trial.number).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
        for trial in trials(3) {
            assert_eq!(
                (trial.arm.transport, trial.arm.factors.clone()),
                (Transport::SseH1, Factors::default())
            );
        }
    }
}

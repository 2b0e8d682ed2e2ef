//! Check 6: where the generator is past what it can do, the trial is invalid and says why, and nothing
//! is reported as a transport's limit.

use std::{
    convert::Infallible,
    hint,
    time::{Duration, Instant},
};

use pushbench_reports::{
    calibration::{Check, Look, Picture, Row, Series},
    quantity::number,
    record::Record,
};

use super::{Lab, grouped};
use crate::{
    bench::Broken,
    experiment::{Experiment, throughput::Settings},
    plan::{self, Plan},
    quantity::{Rounds, count, rate, rounds, seconds},
    trial,
};

const TITLE: &str = "A saturated generator";

/// The figure of a trial that searches for a transport's limit.
const LIMIT: &str = "sustained_deliveries_per_second";

/// How the reason of a trial begins that is invalid for the generator's sake.
const OF_GENERATOR: &str = "the load generator ";

/// Subscribers and messages a second: five times what the throughput experiment offers by default.
const SUBSCRIBERS: u32 = 100;
const RATE: f64 = 1_000.0;

/// How long the generator is kept from its messages each time that it would turn to them. Rate alone does
/// not make it the limit: with a core each, the server uses about twice the generator's CPU for a message,
/// whatever the rate and the crowd (1 to 1,000 subscribers, 50 thousand to 5 million deliveries a second
/// offered), and so is at its end first. With this ballast the generator has next to nothing of its core
/// left, as one with a dearer client would.
const BALLAST: Duration = Duration::from_millis(4);

/// Trials of each transport.
const QUICK: Rounds = rounds(6);
const WHOLE: Rounds = rounds(20);

/// Runs the trials of the throughput experiment, its search for the limit included.
///
/// # Errors
/// When a trial cannot be run at all.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let plan = offered(lab.effort.pick(QUICK, WHOLE));
    let mut records = Vec::new();
    for trial in plan.trials() {
        tokio::select! {
            record = trial::run(&trial, &lab.site) => records.push(record?),
            never = ballast() => match never {},
        }
    }
    let arms: Vec<&str> = plan.arms.iter().map(|arm| arm.label.as_str()).collect();
    let counts = |trials: Rounds| format!("{} trials of each transport", trials.get());
    Ok(Check {
        number: 6,
        name: "saturation".to_owned(),
        title: TITLE.to_owned(),
        method: format!(
            "The throughput experiment offers {} deliveries a second to {SUBSCRIBERS} subscribers, and is asked for \
             the highest rate that the server sustains. The generator is given {} ms of other work each time that it \
             would turn to its messages, so that it is past what it can do before the server is. Each trial must be \
             marked invalid because of the generator, and must name no such rate. A failure would mean that the \
             generator's limit may be reported as a transport's.",
            grouped((RATE * f64::from(SUBSCRIBERS)) as u64),
            BALLAST.as_millis()
        ),
        counts: lab
            .effort
            .told(&counts(lab.effort.pick(QUICK, WHOLE)), &counts(WHOLE)),
        rows: arms.iter().flat_map(|arm| judge(arm, &records)).collect(),
        picture: Some(picture(&arms, &records)),
        note: String::new(),
    })
}

/// Takes the generator's core whenever it is free, and never ends.
async fn ballast() -> Infallible {
    loop {
        let begun = Instant::now();
        while begun.elapsed() < BALLAST {
            hint::spin_loop();
        }
        tokio::task::yield_now().await;
    }
}

/// The experiment, once a round for each transport.
fn offered(rounds: Rounds) -> Plan {
    let settings = Settings {
        rounds,
        subscribers: count(SUBSCRIBERS),
        messages_per_second: rate(RATE),
        warm_up_s: seconds(0.1),
        window_s: seconds(0.4),
        search: true,
        ..Settings::default()
    };
    let mut plan = plan::quick();
    plan.arms.retain(|arm| arm.control_of.is_none());
    let labels: Vec<_> = plan.arms.iter().map(|arm| arm.label.clone()).collect();
    plan.experiments
        .retain(|entry| matches!(entry.experiment, Experiment::Throughput(_)));
    for entry in &mut plan.experiments {
        entry.experiment = Experiment::Throughput(settings.clone());
        entry.arms.clone_from(&labels);
    }
    plan
}

fn judge(arm: &str, records: &[Record]) -> [Row; 2] {
    let own = || records.iter().filter(|record| record.arm == arm);
    let trials = own().count();
    let blamed = own().filter(|record| {
        record
            .invalid
            .iter()
            .any(|why| why.starts_with(OF_GENERATOR))
    });
    let named = own().filter(|record| record.metrics.get(LIMIT).copied().flatten().is_some());
    let (blamed, named) = (blamed.count(), named.count());
    let of = |count: usize| format!("{count} of {trials} trials");
    [
        Row {
            subject: format!("{arm}, invalid for the generator's sake"),
            truth: of(trials),
            measured: of(blamed),
            tolerance: "none".to_owned(),
            pass: trials > 0 && blamed == trials,
        },
        Row {
            subject: format!("{arm}, a limit reported as the transport's"),
            truth: of(0),
            measured: of(named),
            tolerance: "none".to_owned(),
            pass: trials > 0 && named == 0,
        },
    ]
}

fn picture(arms: &[&str], records: &[Record]) -> Picture {
    let figure = |record: &Record, name: &str| record.metrics.get(name).copied().flatten();
    let mut series = vec![Series {
        name: "invalid above".to_owned(),
        look: Look::Truth,
        points: vec![[1.0, 80.0]],
    }];
    let mut delivered = Vec::new();
    for arm in arms {
        let own = || records.iter().filter(|record| record.arm == *arm);
        let points = own().filter_map(|record| {
            Some([
                f64::from(record.round),
                100.0 * figure(record, "generator_load")?,
            ])
        });
        series.push(Series {
            name: (*arm).to_owned(),
            look: Look::Dots,
            points: points.collect(),
        });
        let rates: Vec<f64> = own()
            .filter_map(|record| figure(record, "delivered_per_second"))
            .collect();
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        delivered.push(format!("{} over {arm}", number(mean)));
    }
    Picture {
        title: "How busy the generator was".to_owned(),
        subtitle: format!(
            "{} deliveries a second offered; handed over: {}",
            grouped((RATE * f64::from(SUBSCRIBERS)) as u64),
            delivered.join(", ")
        ),
        caption: "Every dot is a trial. Above the dashed line the generator itself may be what was measured. Dots \
                  below it are trials in which other programs had its core, and which are invalid because it read late."
            .to_owned(),
        x_title: "round".to_owned(),
        y_title: "share of its core, %".to_owned(),
        x_logarithmic: false,
        y_logarithmic: false,
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::super::blank_record;
    use super::*;

    fn records(invalid: &[&str], limit: Option<f64>) -> Vec<Record> {
        let record = |round| {
            let mut record = blank_record("throughput", "ws-h1", round);
            record.invalid = invalid.iter().map(|why| (*why).to_owned()).collect();
            record.metrics.insert(LIMIT.to_owned(), limit);
            record
                .metrics
                .insert("generator_load".to_owned(), Some(1.0));
            record
        };
        (1..=20).map(record).collect()
    }

    const SATURATED: &str = "the load generator used 100 % of its core: it may be the limit";

    fn passes(records: &[Record]) -> [bool; 2] {
        judge("ws-h1", records).map(|row| row.pass)
    }

    #[test]
    fn every_trial_is_to_be_invalid_and_none_to_name_a_limit() {
        let sound = records(&["a subscriber was cut off", SATURATED], None);
        assert_eq!(passes(&sound), [true, true]);
        assert_eq!(judge("ws-h1", &sound)[0].measured, "20 of 20 trials");
    }

    #[test]
    fn a_rule_that_is_off_or_sleeps_once_is_found_out() {
        assert_eq!(passes(&records(&[], None)), [false, true]);
        assert_eq!(
            passes(&records(&["the machine was busy"], None)),
            [false, true]
        );
        let mut once = records(&[SATURATED], None);
        once[7].invalid.clear();
        assert_eq!(passes(&once), [false, true]);
        assert_eq!(passes(&records(&[SATURATED], Some(5e6))), [true, false]);
        assert_eq!(passes(&[]), [false, false], "nothing was shown");
    }

    /// The reason of a trial is written elsewhere: it must be the one that is looked for here.
    #[test]
    fn the_plan_offers_each_transport_the_same_in_every_round() {
        let plan = offered(QUICK);
        let trials = plan.trials();
        assert_eq!(trials.len(), plan.arms.len() * QUICK.get() as usize);
        assert!(
            trials
                .iter()
                .all(|trial| matches!(&trial.experiment, Experiment::Throughput(s) if s.search))
        );
    }
}

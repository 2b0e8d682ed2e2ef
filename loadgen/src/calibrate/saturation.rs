//! Check 6: where more is offered than the generator can take, the trial is invalid and says why, and
//! nothing is reported as a transport's limit.

pub mod crowd;

use std::path::Path;

use pushbench_reports::{
    calibration::{Check, Look, Picture, Row, Series},
    histograms::read_log,
    quantity::number,
    record::Record,
};
use pushbench_server::affinity;

use self::crowd::{Crowd, Order};
use super::{Lab, grouped};
use crate::{
    bench::Broken,
    experiment::{Experiment, throughput::Settings},
    plan::{self, Plan},
    quantity::{Rounds, count, rate, rounds, seconds},
    recorder::tail,
    trial::{self, ATTEMPTS, Trial},
    validity::{Evidence, Process},
};

const TITLE: &str = "A saturated generator";

/// The figure of a trial that searches for a transport's limit.
const LIMIT: &str = "sustained_deliveries_per_second";

const SUBSCRIBERS: u32 = 100;

/// Programs that crowd the generator's core and leave it a sixth. Rate alone does not make it the limit:
/// with a core each, the server uses 1.2 to 1.9 times the generator's CPU for a message (over 1 to 1,000
/// subscribers, 200 thousand to 1 million deliveries a second offered), and so is at its end first.
const PROGRAMS: u32 = 5;

/// Messages a second that are past the generator: to each subscriber this is 50 thousand deliveries a
/// second, about a third of a core for it, twice what it is left, and less than half of the server's.
const PAST: f64 = 500.0;

/// Messages a second that are not, and some four doublings below what the server can do.
const BELOW: f64 = 100.0;

/// When the programs come where a search is to climb into what the generator can no longer do: after the
/// fixed rate was measured, and before the search has met the server's own limit.
const IN_SEARCH_MS: [u64; 2] = [1_200, 2_500];

/// Trials of each transport at the fixed rate.
const QUICK: Rounds = rounds(6);
const WHOLE: Rounds = rounds(20);

/// And of those that climb, which take several times as long.
const QUICK_CLIMBS: u32 = 1;
const WHOLE_CLIMBS: u32 = 6;

/// Runs the trials of the throughput experiment, its search for the limit included.
///
/// # Errors
/// When a trial cannot be run at all, or the other process cannot.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let trials = |fixed: Rounds, climbs: u32| {
        format!(
            "{} trials of each transport past the generator, {climbs} that climb there",
            fixed.get()
        )
    };
    let fixed = lab.effort.pick(QUICK, WHOLE);
    let climbs = lab.effort.pick(QUICK_CLIMBS, WHOLE_CLIMBS);
    let mut past = Vec::new();
    for trial in offered(fixed, PAST).trials() {
        past.push(crowded(lab, &trial, [0, 0]).await?);
    }
    let mut climbed = Vec::new();
    let rounds = offered(WHOLE, BELOW).trials().into_iter();
    for trial in rounds.filter(|trial| trial.round <= climbs) {
        climbed.push(climb(lab, &trial).await?);
    }
    let plan = offered(fixed, PAST);
    let arms: Vec<&str> = plan.arms.iter().map(|arm| arm.label.as_str()).collect();
    let rows = arms.iter().flat_map(|arm| {
        let [blamed, unnamed] = judge(arm, &past);
        [blamed, unnamed, judge_climb(arm, &climbed)]
    });
    Ok(Check {
        number: 6,
        name: "saturation".to_owned(),
        title: TITLE.to_owned(),
        method: format!(
            "Another process crowds the generator's core with {PROGRAMS} programs, which leave it a sixth; the server's \
             core stays free. The throughput experiment then offers {} deliveries a second to {SUBSCRIBERS} \
             subscribers, about twice what such a generator can take, and is asked for the highest rate that the \
             server sustains: each trial must be marked invalid because of the generator, and must name no such rate. \
             Other trials begin undisturbed at {} deliveries a second, and their search climbs while the programs come, \
             at a moment that they draw: it must name no rate either. A failure would mean that the generator's limit \
             may be reported as a transport's.",
            deliveries(PAST),
            deliveries(BELOW)
        ),
        counts: lab
            .effort
            .told(&trials(fixed, climbs), &trials(WHOLE, WHOLE_CLIMBS)),
        rows: rows.collect(),
        picture: Some(picture(&arms, &past)),
        note: String::new(),
    })
}

fn deliveries(rate: f64) -> String {
    grouped((rate * f64::from(SUBSCRIBERS)) as u64)
}

/// A trial, and whether it was invalid for the generator's sake.
#[derive(Debug)]
struct Tried {
    record: Record,
    blamed: bool,
}

/// Runs a trial with a crowd of its own.
async fn crowded(lab: &Lab, trial: &Trial, between_ms: [u64; 2]) -> Result<Tried, Broken> {
    let order = Order {
        // Where nobody is pinned there is one core, and everybody is on it.
        cores: match lab.site.generator_cores.is_empty() {
            true => affinity::cores().unwrap_or_default(),
            false => lab.site.generator_cores.clone(),
        },
        programs: PROGRAMS,
        between_ms,
    };
    let crowd = Crowd::order(&lab.site.server_binary, &order).await?;
    let record = trial::run(trial, &lab.site).await?;
    crowd.leave().await?;
    let blamed = blamed(&record, read_lag(&record, &lab.site.directory));
    Ok(Tried { record, blamed })
}

/// The same until it has searched.
async fn climb(lab: &Lab, trial: &Trial) -> Result<Tried, Broken> {
    let mut tried = crowded(lab, trial, IN_SEARCH_MS).await?;
    for _ in 1..ATTEMPTS {
        if tried.record.invalid.is_empty() {
            break;
        }
        tried = crowded(lab, trial, IN_SEARCH_MS).await?;
    }
    Ok(tried)
}

/// At the tail, as it was weighed, nanoseconds; none of a trial that wrote none.
fn read_lag(record: &Record, directory: &Path) -> Option<f64> {
    let file = record.histograms.get("read_lag")?;
    Some(tail(&read_log(directory, file).ok()?))
}

/// Whether one of the reasons is a rule's about the generator, on the evidence of the record itself.
fn blamed(record: &Record, read_lag_ns: Option<f64>) -> bool {
    let figure = |name: &str| record.metrics.get(name).copied().flatten();
    let evidence = [
        figure("generator_load").map(Evidence::GeneratorLoad),
        figure("generator_run_queue_wait").map(|share| Evidence::RunQueueWait {
            whose: Process::Generator,
            share,
        }),
        read_lag_ns.map(Evidence::ReadLag),
    ];
    let reasons = evidence.iter().flatten().filter_map(Evidence::reason);
    reasons
        .into_iter()
        .any(|reason| record.invalid.contains(&reason))
}

/// The experiment, once a round for each transport.
fn offered(rounds: Rounds, messages_per_second: f64) -> Plan {
    let settings = Settings {
        rounds,
        subscribers: count(SUBSCRIBERS),
        messages_per_second: rate(messages_per_second),
        warm_up_s: seconds(0.1),
        // Crowded, it may never settle, which is a reason of its own and none of the generator's.
        warm_up_max_s: seconds(0.5),
        window_s: seconds(0.4),
        search: true,
        search_step_s: seconds(0.2),
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

fn limit(record: &Record) -> Option<f64> {
    record.metrics.get(LIMIT).copied().flatten()
}

fn judge(arm: &str, tried: &[Tried]) -> [Row; 2] {
    let own = || tried.iter().filter(|tried| tried.record.arm == arm);
    let trials = own().count();
    let blamed = own().filter(|tried| tried.blamed && !tried.record.invalid.is_empty());
    let named = own().filter(|tried| limit(&tried.record).is_some());
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

/// Of trials whose search climbs. Those whose fixed rate was invalid already did not search.
fn judge_climb(arm: &str, tried: &[Tried]) -> Row {
    let own = || tried.iter().filter(|tried| tried.record.arm == arm);
    let searched = own()
        .filter(|tried| tried.record.invalid.is_empty())
        .count();
    let named = own().filter(|tried| limit(&tried.record).is_some()).count();
    Row {
        subject: format!("{arm}, a limit named by a search that climbs past the generator"),
        truth: format!("0 of {} trials", own().count()),
        measured: format!(
            "{named} of {} trials, {searched} of which searched",
            own().count()
        ),
        tolerance: "none, and half of them must have searched".to_owned(),
        pass: searched > 0 && 2 * searched >= own().count() && named == 0,
    }
}

fn picture(arms: &[&str], tried: &[Tried]) -> Picture {
    let figure = |record: &Record, name: &str| record.metrics.get(name).copied().flatten();
    let mut series = vec![Series {
        name: "invalid above".to_owned(),
        look: Look::Truth,
        points: vec![[1.0, 5.0]],
    }];
    let mut delivered = Vec::new();
    for arm in arms {
        let own = || {
            tried
                .iter()
                .map(|tried| &tried.record)
                .filter(|record| record.arm == *arm)
        };
        let points = own().filter_map(|record| {
            Some([
                f64::from(record.round),
                100.0 * figure(record, "generator_run_queue_wait")?,
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
        title: "How long the generator waited for its core".to_owned(),
        subtitle: format!(
            "{} deliveries a second offered; handed over: {}",
            deliveries(PAST),
            delivered.join(", ")
        ),
        caption: "Every dot is a trial at the fixed rate. Above the dashed line the generator had so little of its core \
                  that it may be what was measured."
            .to_owned(),
        x_title: "round".to_owned(),
        y_title: "waited, share of the window, %".to_owned(),
        x_logarithmic: false,
        y_logarithmic: false,
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::super::blank_record;
    use super::*;

    /// A trial with this share of its core and this wait, judged by rules of which some may be off.
    fn record(load: f64, wait: f64, rules: impl Fn(&Evidence) -> bool) -> Record {
        let mut record = blank_record("throughput", "ws-h1", 1);
        let evidence = [
            ("generator_load", Evidence::GeneratorLoad(load), load),
            (
                "generator_run_queue_wait",
                Evidence::RunQueueWait {
                    whose: Process::Generator,
                    share: wait,
                },
                wait,
            ),
        ];
        for (name, evidence, figure) in evidence {
            record.metrics.insert(name.to_owned(), Some(figure));
            record
                .invalid
                .extend(evidence.reason().filter(|_| rules(&evidence)));
        }
        record
    }

    fn tried(record: impl Fn() -> Record, limit: Option<f64>) -> Vec<Tried> {
        let one = |round| {
            let mut record = record();
            record.round = round;
            record.metrics.insert(LIMIT.to_owned(), limit);
            let blamed = blamed(&record, None);
            Tried { record, blamed }
        };
        (1..=20).map(one).collect()
    }

    fn saturated() -> Record {
        record(0.2, 0.8, |_| true)
    }

    fn passes(tried: &[Tried]) -> [bool; 2] {
        judge("ws-h1", tried).map(|row| row.pass)
    }

    #[test]
    fn every_trial_is_to_be_invalid_and_none_to_name_a_limit() {
        let sound = tried(saturated, None);
        assert_eq!(passes(&sound), [true, true]);
        assert_eq!(judge("ws-h1", &sound)[0].measured, "20 of 20 trials");
        let busy = tried(|| record(0.95, 0.0, |_| true), None);
        assert_eq!(passes(&busy), [true, true]);
    }

    #[test]
    fn a_rule_that_is_off_or_sleeps_once_is_found_out() {
        let off = tried(|| record(0.2, 0.8, |_| false), None);
        assert_eq!(passes(&off), [false, true]);
        let mut once = tried(saturated, None);
        once[7] = tried(|| record(0.2, 0.8, |_| false), None).remove(0);
        assert_eq!(passes(&once), [false, true]);
        assert_eq!(passes(&tried(saturated, Some(5e6))), [true, false]);
        assert_eq!(passes(&[]), [false, false], "nothing was shown");
    }

    #[test]
    fn what_is_not_the_generators_does_not_count_as_that() {
        let other = || {
            let mut record = record(0.2, 0.0, |_| true);
            let server = Evidence::RunQueueWait {
                whose: Process::Server,
                share: 0.8,
            };
            record.invalid.extend(server.reason());
            record
                .invalid
                .push("a subscriber was cut off: reset".to_owned());
            record
        };
        assert_eq!(passes(&tried(other, None)), [false, true]);
        let mut late = other();
        late.invalid.extend(Evidence::ReadLag(3e6).reason());
        assert!(blamed(&late, Some(3e6)));
        assert!(!blamed(&late, Some(5e5)), "on its own evidence");
    }

    #[test]
    fn a_search_that_climbs_must_have_searched_and_name_nothing() {
        let pass = |tried: &[Tried]| judge_climb("ws-h1", tried).pass;
        let sound = || record(0.2, 0.0, |_| true);
        assert!(pass(&tried(sound, None)));
        assert!(!pass(&tried(sound, Some(1e5))));
        assert!(!pass(&tried(saturated, None)), "none of them searched");
        assert!(!pass(&[]));
    }

    #[test]
    fn the_plan_offers_each_transport_the_same_in_every_round() {
        let plan = offered(QUICK, PAST);
        let trials = plan.trials();
        assert_eq!(trials.len(), plan.arms.len() * QUICK.get() as usize);
        assert!(
            trials
                .iter()
                .all(|trial| matches!(&trial.experiment, Experiment::Throughput(s) if s.search))
        );
    }
}

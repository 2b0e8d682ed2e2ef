//! Check 12: what changes or disturbs a measurement is cut off, thrown out or cancelled by the order, and
//! where too much is thrown out there is no verdict.

mod drift;
pub mod neighbour;
mod ramp;

use pushbench_reports::{
    calibration::{Check, Row},
    noise::NOISY,
    quantity::percent,
    record::{MarginKind, Metric},
    statistics::Level,
};

use super::{
    Lab,
    probe::{self, Sound},
};
use crate::bench::Broken;
use drift::Order;
use neighbour::Tried;

/// Heading.
pub const TITLE: &str = "Drift, warm-up and a noisy neighbour";

/// Share of ramps that are cut right, as counted here.
const CUT_RIGHT: f64 = 0.95;

/// Share of disturbed trials that are invalid, as counted here.
const FLAGGED: f64 = 0.9;

/// Share of runs without a difference that may find one.
const ALARMS: f64 = 0.05;

/// Share of runs that an uncancelled drift, and of trials that a neighbour must do harm to: where most are
/// as they would have been, that the others are is no merit.
const HARMED: f64 = 0.5;

/// Share of its window that a neighbour must have been there for: four times what the rule of foreign load
/// allows to be missing. One that came too late, or left too early, disturbed nothing that was measured.
const DISTURBED: f64 = 0.2;

/// Measures ramps, neighbours and a drift, simulates more drifts, and judges.
///
/// # Errors
/// When a server or the neighbour cannot be used.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let mut sound = Sound::default();
    let ramps = ramp::measure(lab, &mut sound).await?;
    let trials = neighbour::measure(lab).await?;
    let series = drift::series(lab).await?;
    let (simulated, seed) = (lab.effort.pick(400, 2_000), rand::random());
    let mut rows: Vec<Row> = ramps.iter().map(judge_ramps).collect();
    rows.extend(judge_trials(&trials));
    rows.extend(judge_series(&series));
    rows.extend(judge_drift(simulated, seed));
    rows.extend(drift::without_a_verdict());
    rows.push(Row {
        subject: "every ramp, undisturbed".to_owned(),
        ..sound.row()
    });
    Ok(Check {
        number: 12,
        name: "disturbance".to_owned(),
        title: TITLE.to_owned(),
        method: METHOD.to_owned(),
        counts: counts(lab, &ramps, &trials, &series, simulated, seed) + &sound.told(),
        rows,
        picture: ramp::picture(&ramps),
        note: note(&ramps, &trials),
    })
}

const METHOD: &str = "Servers hold their messages by a delay that falls, over a time that each draws for itself and tells \
    afterwards, to a level around which it scatters for good, so that what steady means does not depend on the \
    machine; one after the other, each is watched as a trial watches its load, by the warm-up of a built-in plan, and one whose machine was busy is made again. The \
    cut is right if it lies at most a fifth of the ramp before its end and at most thirty slices behind it, which is \
    what the detector states. Another process keeps the server's or the generator's core busy for a part of a trial, \
    where and when it draws, and tells afterwards; a trial counts as disturbed if that covered a fifth of its window \
    for certain, and must be invalid because the machine was busy or the generator late, and for no accident. Trials of identical arms whose servers burn ever more CPU \
    time for a message, as drawn from the system's randomness, go through the whole statistics: in the order of the \
    plan that must be no effect; with the labels given as if one arm had always gone first it must be one, or the \
    drift would have shown nothing. The same is simulated often, with a drift of one margin. Last, a run with a true \
    difference loses rounds, and with too few left there must be no verdict. Shares are held as counted.";

fn counts(
    lab: &Lab,
    ramps: &[(ramp::Setting, Vec<ramp::Ramp>)],
    trials: &[Tried],
    series: &drift::Series,
    simulated: usize,
    seed: u64,
) -> String {
    let of_ramps = |ramps: &ramp::Setting| {
        format!(
            "{} ramps of {} s ({})",
            ramps.ramps(),
            ramps.ramp_s,
            ramps.name
        )
    };
    let ramps: Vec<_> = ramps.iter().map(|(setting, _)| of_ramps(setting)).collect();
    let alone = trials.iter().filter(|one| one.covered.is_none()).count();
    let disturbed = trials.iter().filter(|one| hit(one)).count();
    let [first_ns, last_ns] = series.work_ns;
    let counts = format!(
        "{}; {disturbed} trials disturbed, {alone} left alone, {} that the neighbour missed; {} trials on servers that \
         burn {first_ns} to {last_ns} ns a message, {} made again; {simulated} simulated runs with a drift, seeds from \
         {seed} on",
        ramps.join(", "),
        trials.len() - alone - disturbed,
        series.trials(),
        series.again,
    );
    lab.effort.told(
        &counts,
        "24 ramps of 2 s and 14 of 10 s, 30 trials disturbed and 15 left alone, 16 trials with a drift, 2,000 runs",
    )
}

/// What went wrong, one by one.
fn note(ramps: &[(ramp::Setting, Vec<ramp::Ramp>)], trials: &[Tried]) -> String {
    let metrics = neighbour::metrics();
    let missed = trials
        .iter()
        .filter(|one| hit(one) && one.flagged.is_empty());
    let missed = missed.map(|one| {
        let moved = moved(one, trials, &metrics);
        let what = match moved.is_empty() {
            true => "none of its figures moved by a margin".to_owned(),
            false => format!("these moved: {}", moved.join(", ")),
        };
        let share = percent(one.covered.unwrap_or(0.0));
        format!("a neighbour during {share} of the window was not flagged; {what}")
    });
    let left_alone = trials.iter().filter(|one| one.covered.is_none());
    let wronged = left_alone.flat_map(|one| &one.flagged);
    let wronged = wronged.map(|why| format!("left alone: {why}"));
    probe::reasons(
        ramps
            .iter()
            .flat_map(ramp::wrong)
            .chain(missed)
            .chain(wronged),
    )
}

fn judge_ramps(ramps: &(ramp::Setting, Vec<ramp::Ramp>)) -> Row {
    let (hits, tries) = ramp::cut_right(ramps);
    let (setting, _) = ramps;
    Share {
        subject: format!("warm-up of the {} plan, cut right", setting.name),
        hits,
        tries,
    }
    .at_least(CUT_RIGHT)
}

/// Whether the neighbour was surely there for long enough.
fn hit(trial: &Tried) -> bool {
    trial.covered.is_some_and(|covered| covered >= DISTURBED)
}

/// The figures of a trial that lie outside those of the trials left alone, and further than the metric's
/// margin from their median.
fn moved<'a>(trial: &Tried, trials: &[Tried], metrics: &'a [Metric]) -> Vec<&'a str> {
    let moved = metrics.iter().filter(|metric| {
        let figure = |of: &Tried| of.figures.get(&metric.name).copied();
        let quiet = trials
            .iter()
            .filter(|one| one.covered.is_none() && one.flagged.is_empty());
        let alone: Vec<f64> = quiet.filter_map(figure).collect();
        let median = probe::median(alone.iter().copied());
        let margin = match metric.margin_kind {
            MarginKind::Absolute => metric.margin,
            MarginKind::Relative => metric.margin * median,
        };
        figure(trial).is_some_and(|figure| {
            let outside =
                alone.iter().all(|one| figure > *one) || alone.iter().all(|one| figure < *one);
            outside && (figure - median).abs() > margin
        })
    });
    moved.map(|metric| metric.name.as_str()).collect()
}

fn judge_trials(trials: &[Tried]) -> [Row; 2] {
    let share = |subject: &str, of: &dyn Fn(&Tried) -> bool| {
        let tried: Vec<_> = trials.iter().filter(|one| of(one)).collect();
        Share {
            subject: subject.to_owned(),
            hits: tried.iter().filter(|one| !one.flagged.is_empty()).count(),
            tries: tried.len(),
        }
    };
    [
        share("trials with a noisy neighbour, invalid", &hit).at_least(FLAGGED),
        share("trials left alone, invalid", &|one| one.covered.is_none()).at_most(NOISY),
    ]
}

/// No effect in the order of the plan; and one if the order had not been that.
fn judge_series(series: &drift::Series) -> [Row; 2] {
    let level = Level::CONVENTION.significance();
    let [mirrored, fixed] = [Order::Mirrored, Order::Fixed].map(|order| series.p(order));
    let row = |subject: &str, truth: &str, p: Option<f64>, pass: fn(f64, f64) -> bool| Row {
        subject: subject.to_owned(),
        truth: truth.to_owned(),
        measured: p.map_or("no effect was estimated".to_owned(), |p| {
            format!("p = {p:.3}")
        }),
        tolerance: format!("{} of significance", percent(level)),
        pass: p.is_some_and(|p| pass(p, level)),
    };
    [
        row(
            "trials on ever slower servers, order of the plan",
            "no difference",
            mirrored,
            |p, level| p > level,
        ),
        row(
            "the same trials as if one arm had gone first",
            "a difference",
            fixed,
            |p, level| p <= level,
        ),
    ]
}

fn judge_drift(runs: usize, seed: u64) -> [Row; 2] {
    let share = |subject: &str, order| Share {
        subject: subject.to_owned(),
        hits: drift::alarms(runs, seed, order),
        tries: runs,
    };
    // The same drift must be able to do harm, or the first row would show nothing.
    [
        share("alarms under a drift, simulated", Order::Mirrored).at_most(ALARMS),
        share("the same, order not mirrored, simulated", Order::Fixed).at_least(HARMED),
    ]
}

/// What was counted; nothing tried has shown nothing.
#[derive(Debug, Clone)]
struct Share {
    subject: String,
    hits: usize,
    tries: usize,
}

impl Share {
    fn at_least(self, stated: f64) -> Row {
        let pass = self.tries > 0 && self.hits as f64 >= stated * self.tries as f64;
        self.row(format!("at least {}", percent(stated)), pass)
    }

    fn at_most(self, stated: f64) -> Row {
        let pass = self.tries > 0 && self.hits as f64 <= stated * self.tries as f64;
        self.row(format!("at most {}", percent(stated)), pass)
    }

    fn row(self, truth: String, pass: bool) -> Row {
        let Self {
            subject,
            hits,
            tries,
        } = self;
        let share = percent(hits as f64 / tries.max(1) as f64);
        Row {
            subject,
            truth,
            measured: format!("{share} ({hits} of {tries})"),
            tolerance: "as counted".to_owned(),
            pass,
        }
    }
}

#[cfg(test)]
mod tests;

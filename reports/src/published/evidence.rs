//! The figure that a claim asks for, out of the newest run that has it.

use crate::estimate::level;
use crate::published::claim::{Ask, Scale, Side, Within};
use crate::read::Run;
use crate::record::{Arm, Experiment, Plan};
use crate::statistics::{Interval, Level, Pair, mean, mean_difference, ratio};
use crate::trials::Trials;

/// The level of each factor that an arm has unless a claim says otherwise: a tuned server's. A record that
/// does not know a factor was made when it had this level.
pub const USUAL: [(&str, &str); 17] = [
    ("tls", "false"),
    ("nodelay", "true"),
    ("ws_read_buffer_bytes", "4096"),
    ("ws_library", "tungstenite"),
    ("http_stack", "hyper"),
    ("http_buffer_bytes", "default"),
    ("flush", "ready"),
    ("framing", "sse"),
    ("compression", "off"),
    ("envelope", "minimal"),
    ("payload_bytes", "default"),
    ("resume", "false"),
    ("streams_per_connection", "1"),
    ("allocator", "glibc"),
    ("congestion_control", "default"),
    ("proxy", "none"),
    ("server", "pushbench"),
];

/// Fewer rounds decide nothing, here as in every report.
pub const ROUNDS_LEAST: usize = 4;

/// A run, and where it is below the directory that was asked about.
#[derive(Debug)]
pub struct Placed {
    /// Folder names with slashes between; empty for the directory itself.
    pub place: String,
    /// The run.
    pub run: Run,
}

/// A figure that was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// Where.
    pub placed: &'a Placed,
    /// In which experiment.
    pub experiment: &'a Experiment,
    /// Label of the one side.
    pub of: &'a str,
    /// Its mean over the rounds counted.
    pub of_value: f64,
    /// The same of the other.
    pub against: Option<(&'a str, f64)>,
    /// Rounds counted.
    pub rounds: usize,
    /// The estimate.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
    /// How much of the truth the interval covers.
    pub level: Level,
}

/// The newest first; of two that were started at the same moment, the one whose place comes first.
pub fn newest_first(runs: &mut [Placed]) {
    let started = |placed: &Placed| placed.run.manifest.started_at.clone();
    runs.sort_by(|a, b| started(b).cmp(&started(a)).then(a.place.cmp(&b.place)));
}

/// The first of these runs that has what is asked for.
pub fn find<'a>(runs: &'a [Placed], ask: &Ask) -> Option<Found<'a>> {
    runs.iter().find_map(|placed| found(placed, ask))
}

fn found<'a>(placed: &'a Placed, ask: &Ask) -> Option<Found<'a>> {
    let plan = &placed.run.manifest.plan;
    let Asked {
        experiment,
        of,
        against,
    } = asked(plan, ask)?;
    let trials = Trials::new(&placed.run.records);
    let readings = trials.readings(&experiment.name, ask.of.metric, of);
    let pairs: Vec<Pair> = match against {
        None => readings.iter().map(|(_, arm)| alone(*arm)).collect(),
        Some((side, label)) => {
            let others = trials.readings(&experiment.name, side.metric, label);
            let other = |round| others.iter().find(|(own, _)| *own == round);
            let both = readings.iter().filter_map(|(round, arm)| {
                let (_, baseline) = other(*round)?;
                Some(Pair {
                    baseline: *baseline,
                    arm: *arm,
                })
            });
            both.collect()
        }
    };
    if pairs.len() < ROUNDS_LEAST {
        return None;
    }
    let level = level(plan);
    let estimate = match ask.scale {
        Scale::Ratio => ratio(&pairs, level),
        Scale::Difference => mean_difference(&pairs, level),
        Scale::Times(factor) => mean_difference(&each(&pairs, |arm| arm * factor), level),
        Scale::Per(whole) => mean_difference(&each(&pairs, |arm| whole / arm), level),
    }?;
    let ends = [
        estimate.value,
        estimate.interval?.low,
        estimate.interval?.high,
    ];
    let center = |values: Vec<f64>| mean(&values);
    let baselines = pairs.iter().map(|pair| pair.baseline).collect();
    let against = against.map(|(_, label)| label).zip(center(baselines));
    ends.iter().all(|end| end.is_finite()).then_some(())?;
    Some(Found {
        placed,
        experiment,
        of,
        of_value: center(pairs.iter().map(|pair| pair.arm).collect())?,
        against,
        rounds: pairs.len(),
        value: estimate.value,
        interval: estimate.interval?,
        level,
    })
}

/// The part of a plan that a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked<'a> {
    /// With the workload that is asked for.
    pub experiment: &'a Experiment,
    /// Label of the one side.
    pub of: &'a str,
    /// The other, with its label.
    pub against: Option<(Side, &'a str)>,
}

/// Where a plan would yield the figure; nothing where it does not have its arms or its workload.
pub fn asked<'a>(plan: &'a Plan, ask: &Ask) -> Option<Asked<'a>> {
    let experiment = plan.experiments.iter().find(|own| {
        let asked = own.name == ask.experiment && own.screen.is_none();
        asked && ask.within.iter().all(|bound| meets(own, bound))
    })?;
    Some(Asked {
        experiment,
        of: arm(plan, experiment, &ask.of)?,
        against: match ask.against {
            Some(side) => Some((side, arm(plan, experiment, &side)?)),
            None => None,
        },
    })
}

/// A figure that is held against nothing.
fn alone(arm: f64) -> Pair {
    Pair { baseline: 0.0, arm }
}

fn each(pairs: &[Pair], made: impl Fn(f64) -> f64) -> Vec<Pair> {
    pairs.iter().map(|pair| alone(made(pair.arm))).collect()
}

/// Label of the arm with these levels and no other, which is nobody's control.
fn arm<'a>(plan: &'a Plan, experiment: &Experiment, side: &Side) -> Option<&'a str> {
    let takes_part = |arm: &&Arm| experiment.arms.contains(&arm.label);
    let mut arms = plan.arms.iter().filter(takes_part);
    arms.find(|arm| is(arm, side)).map(|arm| arm.label.as_str())
}

fn is(arm: &Arm, side: &Side) -> bool {
    let asked = |name: &str| {
        let asked = side.factors.iter().chain(&USUAL);
        asked
            .into_iter()
            .find(|(own, _)| *own == name)
            .map(|(_, level)| *level)
    };
    let usual = |name: &str, level: &str| USUAL.contains(&(name, level));
    let has = arm.factors.iter();
    arm.transport == side.transport
        && arm.control_of.is_none()
        && arm.held_against.is_none()
        && has.into_iter().all(|(name, level)| asked(name) == Some(level))
        // What the record does not know it had at the usual level.
        && side.factors.iter().all(|(name, level)| {
            arm.factors.contains_key(*name) || usual(name, level)
        })
}

fn meets(experiment: &Experiment, bound: &Within) -> bool {
    let setting = setting(experiment, bound.setting);
    setting.is_some_and(|value| (bound.least..=bound.most).contains(&value))
}

/// A setting of the workload as a number; of a list, its last entry.
pub fn setting(experiment: &Experiment, name: &str) -> Option<f64> {
    let text = experiment.settings.get(name)?;
    let last = text.trim_matches(['[', ']']).rsplit(',').next()?;
    last.trim().parse().ok()
}

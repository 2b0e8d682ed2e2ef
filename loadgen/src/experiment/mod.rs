//! The experiments: one file a question, with its defaults, what a trial measures, and its charts.

pub mod latency;
pub mod memory;
mod metric;
pub mod reconnect;
pub mod screen;
pub mod setup;
pub mod throughput;
pub mod wire;

use pushbench_reports::record;
use pushbench_server::contract::{
    factors::{Proxy, Served},
    message::Envelope,
};

use crate::{
    arm::Factors,
    bench::{Bench, Broken},
    quantity::{Rate, Rounds},
    warm_up::WarmUp,
};

/// An experiment with its settings: matched here and nowhere else.
#[derive(Debug, Clone, PartialEq)]
pub enum Experiment {
    /// How long does a token take?
    Latency(latency::Settings),
    /// What does a message cost, and how many can be sent?
    Throughput(throughput::Settings),
    /// What does a connection cost?
    Memory(memory::Settings),
    /// What is lost, and how long does it take, when streams are cut?
    Reconnect(reconnect::Settings),
    /// What does a token weigh on the wire?
    Wire(wire::Settings),
    /// What does it take from nothing to the first token?
    Setup(setup::Settings),
    /// Which of the factors matter?
    Screen(screen::Settings),
}

impl Experiment {
    /// Names, in the order of a plan.
    pub const NAMES: [&str; 7] = [
        "latency",
        "throughput",
        "memory",
        "reconnect",
        "wire",
        "setup",
        "screen",
    ];

    /// Each with its own defaults, in the order of [`Experiment::NAMES`].
    pub fn all() -> [Self; Self::NAMES.len()] {
        [
            Self::Latency(latency::Settings::default()),
            Self::Throughput(throughput::Settings::default()),
            Self::Memory(memory::Settings::default()),
            Self::Reconnect(reconnect::Settings::default()),
            Self::Wire(wire::Settings::default()),
            Self::Setup(setup::Settings::default()),
            Self::Screen(screen::Settings::default()),
        ]
    }

    /// The name in plans, records and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => Self::NAMES[0],
            Self::Throughput(_) => Self::NAMES[1],
            Self::Memory(_) => Self::NAMES[2],
            Self::Reconnect(_) => Self::NAMES[3],
            Self::Wire(_) => Self::NAMES[4],
            Self::Setup(_) => Self::NAMES[5],
            Self::Screen(_) => Self::NAMES[6],
        }
    }

    /// Rounds planned.
    pub const fn rounds(&self) -> u32 {
        match self {
            Self::Latency(settings) => settings.rounds.get(),
            Self::Throughput(settings) => settings.rounds.get(),
            Self::Memory(settings) => settings.rounds.get(),
            Self::Reconnect(settings) => settings.rounds.get(),
            Self::Wire(settings) => settings.rounds.get(),
            Self::Setup(settings) => settings.rounds.get(),
            Self::Screen(settings) => settings.replicates.get(),
        }
    }

    /// The same in another number of rounds.
    pub fn set_rounds(&mut self, rounds: Rounds) {
        match self {
            Self::Latency(settings) => settings.rounds = rounds,
            Self::Throughput(settings) => settings.rounds = rounds,
            Self::Memory(settings) => settings.rounds = rounds,
            Self::Reconnect(settings) => settings.rounds = rounds,
            Self::Wire(settings) => settings.rounds = rounds,
            Self::Setup(settings) => settings.rounds = rounds,
            Self::Screen(settings) => settings.set_rounds(rounds),
        }
    }

    /// Replays a trace this much faster than it was recorded, where turns arrive as in a trace.
    pub fn set_speed_up(&mut self, speed_up: Rate) {
        if let Self::Latency(settings) = self {
            settings.speed_up = speed_up;
        }
    }

    /// How long the warm-up may take, where it lasts until the load has settled.
    pub fn warm_up(&self) -> Option<WarmUp> {
        match self {
            Self::Latency(settings) => Some(settings.warm_up()),
            Self::Throughput(settings) => Some(settings.warm_up()),
            Self::Screen(settings) => Some(settings.warm_up()),
            Self::Memory(_) | Self::Reconnect(_) | Self::Wire(_) | Self::Setup(_) => None,
        }
    }

    /// Expected seconds of one trial, the server's start and end included.
    pub fn trial_seconds(&self) -> f64 {
        match self {
            Self::Latency(settings) => settings.trial_seconds(),
            Self::Throughput(settings) => settings.trial_seconds(),
            Self::Memory(settings) => settings.trial_seconds(),
            Self::Reconnect(settings) => settings.trial_seconds(),
            Self::Wire(settings) => settings.trial_seconds(),
            Self::Setup(settings) => settings.trial_seconds(),
            Self::Screen(settings) => settings.trial_seconds(),
        }
    }

    /// Connections that a trial holds open at most.
    pub fn connections(&self) -> u32 {
        match self {
            Self::Latency(settings) => settings.connections(),
            Self::Throughput(settings) => settings.subscribers.get(),
            Self::Memory(settings) => settings.connections(),
            Self::Reconnect(settings) => settings.subscribers.get(),
            Self::Wire(settings) => settings.subscribers.get(),
            Self::Setup(settings) => settings.connections(),
            Self::Screen(settings) => settings.connections(),
        }
    }

    /// Title, question, metrics and charts; the caller fills in rounds, baseline and arms.
    pub fn describe(&self) -> record::Experiment {
        match self {
            Self::Latency(settings) => settings.describe(),
            Self::Throughput(settings) => settings.describe(),
            Self::Memory(settings) => settings.describe(),
            Self::Reconnect(settings) => settings.describe(),
            Self::Wire(settings) => settings.describe(),
            Self::Setup(settings) => settings.describe(),
            Self::Screen(settings) => settings.describe(),
        }
    }

    /// Why an arm with these levels would not measure what this experiment asks, if so.
    pub fn misfit(&self, factors: &Factors) -> Option<&'static str> {
        let raw = factors.envelope == Envelope::Raw;
        let proxied = factors.proxy != Proxy::None;
        let foreign = factors.server != Served::Pushbench;
        match self {
            Self::Throughput(_)
            | Self::Memory(_)
            | Self::Reconnect(_)
            | Self::Wire(_)
            | Self::Setup(_)
            | Self::Screen(_)
                if proxied =>
            {
                Some(
                    "its figures are the server's alone, and a proxy would be counted in or left out: `proxy` is \
                     measured by latency",
                )
            }
            Self::Latency(_)
            | Self::Throughput(_)
            | Self::Reconnect(_)
            | Self::Wire(_)
            | Self::Setup(_)
            | Self::Screen(_)
                if foreign =>
            {
                Some(
                    "it needs messages of our own, with their stamps, and a server that others wrote has none: \
                     `server` is measured by memory",
                )
            }
            Self::Latency(_) | Self::Throughput(_) | Self::Screen(_) if raw => Some(
                "with envelope = \"raw\" a message has no stamps, and without them its latency, by which the \
                 warm-up is watched, is not known: use minimal or openai",
            ),
            Self::Reconnect(_) if raw => Some(
                "with envelope = \"raw\" a message has no number, and without it what is lost or repeated over a \
                 cut is not known: use minimal or openai",
            ),
            Self::Reconnect(_) if factors.resume => Some(
                "its every other subscriber resumes, whatever the arm: leave `resume` at false",
            ),
            Self::Latency(_)
            | Self::Throughput(_)
            | Self::Memory(_)
            | Self::Reconnect(_)
            | Self::Wire(_)
            | Self::Setup(_)
            | Self::Screen(_) => None,
        }
    }

    /// Measures one trial.
    ///
    /// # Errors
    /// When the experiment itself is broken; a measured failure is in the record.
    pub async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        match self {
            Self::Latency(settings) => settings.measure(bench).await,
            Self::Throughput(settings) => settings.measure(bench).await,
            Self::Memory(settings) => settings.measure(bench).await,
            Self::Reconnect(settings) => settings.measure(bench).await,
            Self::Wire(settings) => settings.measure(bench).await,
            Self::Setup(settings) => settings.measure(bench).await,
            Self::Screen(settings) => settings.measure(bench).await,
        }
    }
}

/// An experiment's settings by name, as the report shows them.
fn facts(settings: &impl serde::Serialize) -> record::Facts {
    let value = serde_json::to_value(settings).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}

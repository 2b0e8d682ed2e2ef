//! The plans that come with the program.

use std::{collections::BTreeMap, num::NonZeroU32};

use pushbench_server::contract::transport::Transport;

use super::{Entry, Plan, SEED, published};
use crate::{
    arm::{Arm, Build, Factors},
    experiment::{
        Experiment, latency,
        memory::{self, rungs},
        reconnect, throughput,
    },
    quantity::{Seconds, count, rate, rounds, seconds},
};

pub(super) const SSE: &str = "sse-h1";
pub(super) const WS: &str = "ws-h1";
pub(super) const CONTROL: &str = "sse-h1 (A/A)";
const WS_LIBRARY_DEFAULT: &str = "ws-h1 (library default)";

/// `tungstenite`'s own read buffer, in bytes, which it clears at each read.
pub(super) const TUNGSTENITE_READ_BUFFER: NonZeroU32 = const { NonZeroU32::new(131_072).unwrap() };

/// The full plan's warm-ups: slices so long that a ramp of 10 s does not pass for noise, and time for such
/// a ramp to end.
const LONG_WARM_UP: Seconds = seconds(3.0);
const LONGEST_WARM_UP: Seconds = seconds(15.0);

/// A plan that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// By which it is asked for.
    pub name: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// The plan.
    pub plan: fn() -> Plan,
}

/// All of them.
pub const BUILT_IN: [BuiltIn; 8] = [
    BuiltIn {
        name: "quick",
        what: "SSE and WebSocket, tuned, in every experiment that the answer needs",
        plan: quick,
    },
    BuiltIn {
        name: "full",
        what: "the same with more rounds, the highest sustained rate, and the WebSocket library as it comes",
        plan: full,
    },
    BuiltIn {
        name: "transports",
        what: "every transport, tuned, in every experiment",
        plan: transports,
    },
    BuiltIn {
        name: "screen",
        what: "eleven knobs at two levels each on SSE and WebSocket, and which of them matters more than the transport",
        plan: super::screen,
    },
    BuiltIn {
        name: "claims",
        what: "the arms that published claims on memory, latency, bytes and moderate load are judged by",
        plan: published::claims,
    },
    BuiltIn {
        name: "claims-batches",
        what: "the same for large batches of events over few connections",
        plan: published::claims_batches,
    },
    BuiltIn {
        name: "claims-limit",
        what: "the same for the highest rate, and for coalescing",
        plan: published::claims_limit,
    },
    BuiltIn {
        name: "claims-outside",
        what: "the same for nginx before a stream and for Python's websockets, which must be installed",
        plan: published::claims_outside,
    },
];

/// Both transports tuned, and the control: at most three minutes on two cores.
pub fn quick() -> Plan {
    let everyone = |experiment| entry(experiment, &[SSE, WS, CONTROL]);
    Plan {
        name: "quick".to_owned(),
        experiments: vec![
            everyone(Experiment::Latency(latency::Settings::default())),
            everyone(Experiment::Throughput(throughput::Settings::default())),
            everyone(Experiment::Memory(memory::Settings::default())),
            everyone(Experiment::Reconnect(reconnect::Settings::default())),
        ],
        arms: vec![
            arm(SSE, Transport::SseH1, None),
            arm(WS, Transport::WsH1, None),
            arm(CONTROL, Transport::SseH1, Some(SSE)),
        ],
        ..empty()
    }
}

/// More rounds, longer windows, the search for the highest rate, and the WebSocket library as it comes:
/// about half an hour.
pub fn full() -> Plan {
    let tuned = &[SSE, WS, CONTROL];
    let everyone = &[SSE, WS, CONTROL, WS_LIBRARY_DEFAULT];
    let mut arms = quick().arms;
    arms.push(Arm {
        factors: Factors {
            ws_read_buffer_bytes: TUNGSTENITE_READ_BUFFER,
            ..Factors::default()
        },
        ..arm(WS_LIBRARY_DEFAULT, Transport::WsH1, None)
    });
    let latency = latency::Settings {
        rounds: rounds(12),
        warm_up_s: LONG_WARM_UP,
        warm_up_max_s: LONGEST_WARM_UP,
        window_s: seconds(8.0),
        ..Default::default()
    };
    let throughput = throughput::Settings {
        rounds: rounds(10),
        warm_up_s: LONG_WARM_UP,
        warm_up_max_s: LONGEST_WARM_UP,
        window_s: seconds(3.0),
        search: true,
        ..Default::default()
    };
    let memory = memory::Settings {
        rounds: rounds(10),
        connections: rungs([500, 1_000, 2_000, 3_000, 4_000]),
        ..Default::default()
    };
    let reconnect = reconnect::Settings {
        rounds: rounds(10),
        subscribers: count(500),
        // 500 × 40: as many deliveries a second as the throughput experiment, which both sustain.
        messages_per_second: rate(40.0),
        phase_s: seconds(1.5),
        down_s: seconds(1.0),
        ..Default::default()
    };
    Plan {
        name: "full".to_owned(),
        experiments: vec![
            entry(Experiment::Latency(latency), tuned),
            entry(Experiment::Throughput(throughput), everyone),
            entry(Experiment::Memory(memory), everyone),
            entry(Experiment::Reconnect(reconnect), tuned),
        ],
        arms,
        ..empty()
    }
}

/// Every transport there is, tuned, in every experiment but the screen: at most twenty minutes. What decides
/// needs more rounds: a plan file with the arms of interest.
pub fn transports() -> Plan {
    let mut arms: Vec<_> = Transport::ALL
        .iter()
        .map(|&transport| arm(transport.name(), transport, None))
        .collect();
    arms.push(arm(CONTROL, Transport::SseH1, Some(SSE)));
    let labels: Vec<_> = arms.iter().map(|arm| arm.label.as_str()).collect();
    let mut experiments: Vec<_> = Experiment::all()
        .into_iter()
        .filter(|experiment| !matches!(experiment, Experiment::Screen(_)))
        .map(|experiment| entry(experiment, &labels))
        .collect();
    for entry in &mut experiments {
        let few = match entry.experiment {
            // What scatters most, and is asked first.
            Experiment::Throughput(_) => rounds(8),
            _ => rounds(4),
        };
        entry.experiment.set_rounds(few);
    }
    Plan {
        name: "transports".to_owned(),
        experiments,
        arms,
        ..empty()
    }
}

pub(super) fn empty() -> Plan {
    Plan {
        name: String::new(),
        seed: SEED,
        arms: Vec::new(),
        baseline: SSE.to_owned(),
        experiments: Vec::new(),
        replay: None,
        looks: Vec::new(),
    }
}

pub(super) fn arm(label: &str, transport: Transport, control_of: Option<&str>) -> Arm {
    Arm {
        label: label.to_owned(),
        transport,
        control_of: control_of.map(str::to_owned),
        factors: Factors::default(),
        build: Build::Own,
    }
}

pub(super) fn entry(experiment: Experiment, arms: &[&str]) -> Entry {
    Entry {
        experiment,
        arms: arms.iter().map(|&label| label.to_owned()).collect(),
        margins: BTreeMap::new(),
        design: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settle::STEADY;

    #[test]
    fn the_least_warm_up_is_as_many_slices_as_the_detector_was_calibrated_for() {
        for plan in [quick(), full()] {
            let warm_ups: Vec<_> = plan
                .experiments
                .iter()
                .filter_map(|entry| entry.experiment.warm_up())
                .collect();
            assert_eq!(warm_ups.len(), 2);
            for warm_up in warm_ups {
                let slices_ns = STEADY as u64 * warm_up.slice_ns();
                assert_eq!(warm_up.least.nanos(), slices_ns, "{}", plan.name);
            }
        }
    }
}

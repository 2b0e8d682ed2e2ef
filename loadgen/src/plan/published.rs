//! The plans `claims…`: the arms by which each published claim is judged, at its own conditions where two
//! cores allow. One plan has one workload an experiment, so that there are several.

use std::num::NonZeroU32;

use pushbench_server::contract::{
    factors::{Coding, Compression, Factors, Flush, HttpStack, Proxy, Served, WsLibrary},
    message::Envelope,
    transport::Transport,
};

use super::{
    Plan,
    builtin::{CONTROL, SSE, TUNGSTENITE_READ_BUFFER, WS, arm, empty, entry},
};
use crate::{
    arm::Arm,
    experiment::{
        Experiment, latency,
        memory::{self, rungs},
        setup, throughput, wire,
    },
    quantity::{count, rate, rounds, seconds},
};

/// The smaller of the two read buffers that were published with their memory, bytes.
const SMALL_READ_BUFFER: NonZeroU32 = const { NonZeroU32::new(1_024).unwrap() };

/// The tuned read buffer, bytes.
const TUNED_READ_BUFFER: NonZeroU32 = const { NonZeroU32::new(4_096).unwrap() };

/// Events a message in a published benchmark of batches, and the bytes of one: Timeplus's example row has some
/// 150, of which 400 would be more than the server sends in a message.
const BATCHES: [(u32, u32); 2] = [(50, 144), (400, 40)];

/// An update that repeats: the corpus is 7 to 9 KB a language, so that a text as long as the server sends
/// holds all of it, and every one after the first two is known.
const REPEATED_BYTES: NonZeroU32 = const { NonZeroU32::new(16_384).unwrap() };

/// Level of brotli that servers which compress on the fly use: above it the time grows faster than the gain.
const BROTLI: Compression = Compression::Coding(Coding::Br, 5);

/// As Python's `websockets` compresses by itself.
const DEFLATE: Compression = Compression::Deflate {
    window_bits: 12,
    takeover: true,
};

/// How long the published coalescing waits.
const COALESCING: Flush = Flush::Millis(const { NonZeroU32::new(50).unwrap() });

/// An arm that differs from the tuned one in some levels.
fn with(label: &str, transport: Transport, set: impl FnOnce(&mut Factors)) -> Arm {
    let mut arm = arm(label, transport, None);
    set(&mut arm.factors);
    arm
}

/// An arm once more.
fn control(original: &Arm) -> Arm {
    Arm {
        label: format!("{} (A/A)", original.label),
        control_of: Some(original.label.clone()),
        ..original.clone()
    }
}

fn labels(arms: &[Arm]) -> Vec<&str> {
    arms.iter().map(|arm| arm.label.as_str()).collect()
}

/// Memory up to 10,000 connections, the time to the first token with and without TLS, TCP_NODELAY and
/// coalescing, bytes under brotli, and CPU at a moderate rate: about ten minutes.
pub fn claims() -> Plan {
    let both = [
        arm(SSE, Transport::SseH1, None),
        arm(WS, Transport::WsH1, None),
        arm(CONTROL, Transport::SseH1, Some(SSE)),
    ];
    let (memory, latency, wire, tls) = (of_memory(), of_latency(), of_wire(), over_tls());
    let everyone = |others: &[&[Arm]]| -> Vec<Arm> {
        let others = others.iter().flat_map(|arms| arms.iter());
        both.iter().chain(others).cloned().collect()
    };
    let part = |experiment, arms: &[Arm]| entry(experiment, &labels(arms));
    Plan {
        name: "claims".to_owned(),
        experiments: vec![
            part(
                Experiment::Latency(latency::Settings::default()),
                &everyone(&[&latency, &tls]),
            ),
            part(
                Experiment::Throughput(throughput::Settings {
                    rounds: rounds(8),
                    // A token each 15 ms, as a model gives them.
                    messages_per_second: rate(66.0),
                    window_s: seconds(2.0),
                    ..Default::default()
                }),
                &both,
            ),
            part(
                Experiment::Memory(memory::Settings {
                    connections: rungs([2_000, 4_000, 6_000, 8_000, 10_000]),
                    // 10,000 × 2: as many deliveries a second as the throughput experiment, which all sustain.
                    messages_per_second: rate(2.0),
                    // A message for each, and time for it.
                    streaming_s: seconds(0.8),
                    ..Default::default()
                }),
                &everyone(&[&memory]),
            ),
            part(
                Experiment::Wire(wire::Settings {
                    // The text that is new weighs as little as it does in a stream that lasts.
                    messages: count(400),
                    subscribers: count(2),
                    ..Default::default()
                }),
                &everyone(&[&wire]),
            ),
            part(
                Experiment::Setup(setup::Settings::default()),
                &everyone(&[&tls]),
            ),
        ],
        arms: everyone(&[&memory, &latency, &wire, &tls]),
        ..empty()
    }
}

/// All under `axum::serve`, as the claims were published.
fn of_memory() -> Vec<Arm> {
    let axum = |label: &str, transport, read_buffer| {
        with(label, transport, |factors| {
            factors.http_stack = HttpStack::Axum;
            factors.ws_read_buffer_bytes = read_buffer;
        })
    };
    vec![
        axum("sse-h1 (axum)", Transport::SseH1, TUNED_READ_BUFFER),
        axum("ws-h1 (axum, 4 KiB)", Transport::WsH1, TUNED_READ_BUFFER),
        axum(
            "ws-h1 (axum, 128 KiB)",
            Transport::WsH1,
            TUNGSTENITE_READ_BUFFER,
        ),
        axum("ws-h1 (axum, 1 KiB)", Transport::WsH1, SMALL_READ_BUFFER),
    ]
}

fn of_latency() -> Vec<Arm> {
    let nodelay_off = |factors: &mut Factors| factors.nodelay = false;
    vec![
        with("sse-h1 (nodelay off)", Transport::SseH1, nodelay_off),
        with("ws-h1 (nodelay off)", Transport::WsH1, nodelay_off),
        coalesced(),
    ]
}

fn coalesced() -> Arm {
    with("sse-h1 (50 ms)", Transport::SseH1, |factors| {
        factors.flush = COALESCING;
    })
}

fn over_tls() -> Vec<Arm> {
    let tls = |factors: &mut Factors| factors.tls = true;
    vec![
        with("sse-h1 (TLS)", Transport::SseH1, tls),
        with("ws-h1 (TLS)", Transport::WsH1, tls),
    ]
}

/// A token in a chunk as OpenAI sends it, where the envelope repeats, and an update of which all repeats.
fn of_wire() -> Vec<Arm> {
    let openai = |factors: &mut Factors| factors.envelope = Envelope::OpenAi;
    let repeated = |factors: &mut Factors| factors.payload_bytes = Some(REPEATED_BYTES);
    let brotli = |factors: &mut Factors| factors.compression = BROTLI;
    vec![
        with("sse-h1 (openai)", Transport::SseH1, openai),
        with("sse-h1 (openai, br)", Transport::SseH1, |factors| {
            openai(factors);
            brotli(factors);
        }),
        with("sse-h1 (repeated)", Transport::SseH1, repeated),
        with("sse-h1 (repeated, br)", Transport::SseH1, |factors| {
            repeated(factors);
            brotli(factors);
        }),
    ]
}

/// Batches of events over 10 connections, from 3 million events a second upwards: about five minutes.
pub fn claims_batches() -> Plan {
    let batch = |transport: Transport, (events, bytes): (u32, u32)| {
        let label = format!("{transport} ({events} events)");
        with(&label, transport, |factors| {
            factors.payload_bytes = NonZeroU32::new(events * bytes);
        })
    };
    let [small, large] = BATCHES;
    let baseline = batch(Transport::SseH1, small);
    let arms = vec![
        baseline.clone(),
        batch(Transport::WsH1, small),
        batch(Transport::SseH1, large),
        batch(Transport::WsH1, large),
        control(&baseline),
    ];
    let throughput = throughput::Settings {
        subscribers: count(10),
        // 10 × 750 × 400 events: the published 3 million a second.
        messages_per_second: rate(750.0),
        search: true,
        search_step_s: seconds(0.5),
        ..Default::default()
    };
    alone(
        "claims-batches",
        Experiment::Throughput(throughput),
        baseline.label,
        arms,
    )
}

/// The highest rate, also with a write for each message, where the server is the limit and not the load
/// generator; and coalescing at a rate above a model's: about seven minutes.
pub fn claims_limit() -> Plan {
    let each =
        |label: &str, transport| with(label, transport, |factors| factors.flush = Flush::Each);
    let arms = vec![
        arm(SSE, Transport::SseH1, None),
        arm(WS, Transport::WsH1, None),
        arm(CONTROL, Transport::SseH1, Some(SSE)),
        each("sse-h1 (each)", Transport::SseH1),
        each("ws-h1 (each)", Transport::WsH1),
        coalesced(),
    ];
    let throughput = throughput::Settings {
        // 20 messages in 50 ms: in the middle of what was published.
        messages_per_second: rate(400.0),
        search: true,
        search_step_s: seconds(0.7),
        ..Default::default()
    };
    alone(
        "claims-limit",
        Experiment::Throughput(throughput),
        SSE.to_owned(),
        arms,
    )
}

/// What needs programs that others wrote: nginx before a stream, and the memory of Python's `websockets` beside a
/// second library of our own server, with compression and without: about three minutes.
pub fn claims_outside() -> Plan {
    let baseline = arm(SSE, Transport::SseH1, None);
    let control = arm(CONTROL, Transport::SseH1, Some(SSE));
    let proxied =
        |label: &str, proxy| with(label, Transport::SseH1, |factors| factors.proxy = proxy);
    let websocket = |label: &str, server, compression| {
        with(label, Transport::WsH1, |factors| {
            factors.ws_library = WsLibrary::Yawc;
            factors.server = server;
            factors.compression = compression;
        })
    };
    let everyone = [baseline, control];
    let behind = [
        proxied("sse-h1 (nginx)", Proxy::Nginx),
        proxied("sse-h1 (nginx, unbuffered)", Proxy::NginxUnbuffered),
        proxied("sse-h1 (nginx, buffering)", Proxy::NginxBuffering),
    ];
    let compressed = [
        websocket("ws-h1 (yawc)", Served::Pushbench, Compression::Off),
        websocket("ws-h1 (yawc, deflate)", Served::Pushbench, DEFLATE),
        websocket("ws-h1 (websockets)", Served::Websockets, Compression::Off),
        websocket("ws-h1 (websockets, deflate)", Served::Websockets, DEFLATE),
    ];
    let latency = latency::Settings {
        // A proxy that holds back an answer's beginning for seconds does so in steps that take a while to even out.
        warm_up_max_s: seconds(15.0),
        window_s: seconds(4.0),
        ..Default::default()
    };
    let memory = memory::Settings {
        connections: rungs([500, 1_000, 1_500, 2_000]),
        ..Default::default()
    };
    let of = |others: &[Arm]| [&everyone, others].concat();
    Plan {
        name: "claims-outside".to_owned(),
        experiments: vec![
            entry(Experiment::Latency(latency), &labels(&of(&behind))),
            entry(Experiment::Memory(memory), &labels(&of(&compressed))),
        ],
        arms: of(&[&behind[..], &compressed[..]].concat()),
        ..empty()
    }
}

/// A plan of one experiment in which every arm takes part.
fn alone(name: &str, experiment: Experiment, baseline: String, arms: Vec<Arm>) -> Plan {
    Plan {
        name: name.to_owned(),
        experiments: vec![entry(experiment, &labels(&arms))],
        baseline,
        arms,
        ..empty()
    }
}

#[cfg(test)]
mod tests {
    use pushbench_reports::{
        published::{
            claim::Ask,
            claims as published_claims,
            evidence::{USUAL, asked},
        },
        record::Facts,
    };

    use super::*;
    use crate::plan::BUILT_IN;

    /// Figures that records have and no effect is made of.
    const BESIDE_THE_METRICS: [&str; 3] = [
        "messages_a_write",
        "delivered_per_second",
        "inter_token_ms_p99",
    ];

    #[test]
    fn the_usual_levels_that_claims_are_judged_at_are_the_tuned_ones() {
        for (name, level) in Factors::default().levels() {
            assert!(USUAL.contains(&(name, level.as_str())), "{name} {level}");
        }
    }

    #[test]
    fn every_figure_that_a_claim_asks_for_is_in_the_plan_that_it_names() {
        let claims = published_claims();
        let parts = claims.iter().flat_map(|claim| claim.judging.parts());
        let mut asks = 0;
        for ask in parts.map(|part| part.ask) {
            let named = BUILT_IN.iter().find(|built_in| built_in.name == ask.plan);
            let plan = (named.unwrap().plan)();
            has(&plan, &ask);
            asks += 1;
        }
        assert!(asks > 30, "{asks}");
    }

    fn has(plan: &Plan, ask: &Ask) {
        let described = plan.manifest(String::new(), Facts::new()).plan;
        let Some(found) = asked(&described, ask) else {
            panic!("{} has no {ask:?}", plan.name);
        };
        for side in [Some(ask.of), ask.against].into_iter().flatten() {
            let metrics = &found.experiment.metrics;
            assert!(
                metrics.iter().any(|metric| metric.name == side.metric)
                    || BESIDE_THE_METRICS.contains(&side.metric),
                "{} has no {}",
                ask.experiment,
                side.metric
            );
        }
    }

    #[test]
    fn none_takes_longer_than_twenty_minutes_nor_all_longer_than_thirty() {
        let plans = [claims(), claims_batches(), claims_limit(), claims_outside()];
        for plan in &plans {
            assert!(
                plan.seconds() <= 1_200.0,
                "{} {}",
                plan.name,
                plan.seconds()
            );
        }
        let all: f64 = plans.iter().map(Plan::seconds).sum();
        assert!((600.0..=1_800.0).contains(&all), "{all}");
    }

    #[test]
    fn every_arm_can_be_measured_and_every_experiment_has_its_control() {
        for plan in [claims(), claims_batches(), claims_limit(), claims_outside()] {
            for entry in &plan.experiments {
                let arms = || {
                    let arms = plan.arms.iter();
                    arms.filter(|arm| entry.arms.contains(&arm.label))
                };
                assert_eq!(arms().count(), entry.arms.len(), "{}", plan.name);
                assert!(entry.arms.contains(&plan.baseline));
                assert!(arms().any(|arm| {
                    let original = arm.control_of.as_ref();
                    original.is_some_and(|original| entry.arms.contains(original))
                }));
                for arm in arms() {
                    assert_eq!(arm.factors.misfit(arm.transport), None, "{}", arm.label);
                    assert_eq!(entry.experiment.misfit(&arm.factors), None);
                }
                assert!(entry.experiment.rounds() >= 4);
            }
            assert!(plan.connections() < 15_000, "20,000 open files");
        }
    }
}

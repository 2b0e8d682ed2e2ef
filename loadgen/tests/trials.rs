//! Every experiment, as short as it can be, over every transport against the real program: that a trial
//! measures what it claims, says so, and keeps its books. Its figures say nothing.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{collections::BTreeMap, fs, num::NonZeroU32, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use pushbench::{
    arm::{Arm, Build, Factors},
    bench::{Bench, Site},
    calibrate::{Effort, Lab, overhead},
    experiment::Experiment,
    ledger::Ledger,
    trial::{self, Trial},
};
use pushbench_reports::record::{Books, Record};
use pushbench_server::contract::{
    event_id::EventId,
    message::Envelope,
    notice::Notice,
    transport::{Capabilities, Family, Http, Transport},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Settings as a plan file would give them.
fn settings<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn latency() -> Experiment {
    Experiment::Latency(settings(json!({
        "warm_up_s": 0.1, "warm_up_max_s": 0.4, "window_s": 0.4, "turns_per_second": 60.0, "first_token_s": 0.01,
        "warm_connections": 40,
    })))
}

fn throughput(search: bool) -> Experiment {
    Experiment::Throughput(settings(json!({
        "subscribers": 5, "messages_per_second": 100.0, "warm_up_s": 0.05, "warm_up_max_s": 0.2, "window_s": 0.2,
        "search": search, "search_step_s": 0.1,
    })))
}

/// More are warmed up than live at first: the books must not wait for those who left.
fn memory() -> Experiment {
    Experiment::Memory(settings(json!({
        "connections": [2, 4, 6, 8], "warm_up_connections": 5, "messages_per_second": 200.0,
        "streaming_s": 0.05,
    })))
}

fn reconnect() -> Experiment {
    Experiment::Reconnect(settings(json!({
        "subscribers": 6, "messages_per_second": 200.0, "retry_s": 0.05, "phase_s": 0.15,
        "down_s": 0.1,
    })))
}

fn wire() -> Experiment {
    Experiment::Wire(settings(
        json!({ "subscribers": 3, "messages": 20, "pause_s": 0.005 }),
    ))
}

fn setup() -> Experiment {
    Experiment::Setup(settings(json!({ "starts": 10, "window_s": 0.1 })))
}

fn screen() -> Experiment {
    Experiment::Screen(settings(json!({
        "first_connections": 22, "connections": 25, "turns": 20, "tokens": 2, "first_token_s": 0.002,
        "token_gap_s": 0.002, "messages_per_second": 100.0, "warm_up_s": 0.05, "warm_up_max_s": 0.2, "window_s": 0.3,
    })))
}

fn arm(transport: Transport) -> Arm {
    Arm {
        label: "arm".into(),
        transport,
        control_of: None,
        factors: Factors {
            envelope: Envelope::OpenAi,
            nodelay: false,
            ..Factors::default()
        },
        build: Build::Own,
    }
}

fn site(directory: &Path) -> Site {
    Site {
        server_binary: env!("CARGO_BIN_EXE_pushbench").into(),
        directory: directory.to_owned(),
        server_cores: Vec::new(),
        generator_cores: Vec::new(),
    }
}

/// Runs a trial of the experiment over each transport and looks at what all records have in common.
async fn over_all(experiment: Experiment, look: impl Fn(Transport, &Record)) {
    over_all_at(false, experiment, look).await;
}

/// The same with TLS below, where it can be.
async fn over_all_at(tls: bool, experiment: Experiment, look: impl Fn(Transport, &Record)) {
    for transport in Transport::ALL {
        let mut arm = arm(transport);
        arm.factors.tls = tls;
        if let Some(misfit) = arm.factors.misfit(transport) {
            eprintln!("does not apply: {misfit}");
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let trial = Trial {
            number: 7,
            experiment: experiment.clone(),
            arm,
            round: 1,
            seed: 3,
            trace: None,
        };
        let record = trial::run(&trial, &site(directory.path())).await.unwrap();
        check(&trial, &record, directory.path());
        look(transport, &record);
    }
}

fn check(trial: &Trial, record: &Record, directory: &Path) {
    // A busy machine may spoil a trial, which the record then says. Nothing else may be wrong.
    const BUSY: [&str; 3] = [
        "the load generator ",
        "the machine was busy",
        "the load had not settled",
    ];
    for reason in &record.invalid {
        assert!(BUSY.iter().any(|busy| reason.starts_with(busy)), "{reason}");
    }
    assert_eq!((record.trial, record.arm.as_str()), (7, "arm"));
    assert!(!record.books.is_empty());
    for books in &record.books {
        assert!(books.balanced(), "{books:?}");
        assert_eq!((books.dropped, books.duplicated), (0, 0), "{books:?}");
    }
    for metric in trial.experiment.describe().metrics {
        assert!(record.metrics.contains_key(&metric.name), "{}", metric.name);
    }
    let effective = |name: &str| record.settings.get(name).map(String::as_str);
    assert_eq!(effective("transport"), Some(trial.arm.transport.name()));
    let path = match trial.arm.transport {
        Transport::SseH1 | Transport::FetchH1 => "HTTP/1.1 200 text/event-stream",
        Transport::SseH2 | Transport::FetchH2 => "HTTP/2.0 200 text/event-stream",
        Transport::WsH1 => "HTTP/1.1 101 websocket",
        Transport::WsH2 => "HTTP/2.0 200 websocket",
        Transport::PollH1 => "HTTP/1.1 200 application/x-ndjson",
        Transport::PollH2 => "HTTP/2.0 200 application/x-ndjson",
        Transport::FloorSse => "bare HTTP/1.1 200 text/event-stream",
        Transport::FloorWs => "bare HTTP/1.1 101 websocket",
        Transport::RawTcp => "bare length-prefixed",
    };
    assert_eq!(effective("path"), Some(path), "as the wire had it");
    assert_eq!(
        effective("nodelay"),
        Some("false"),
        "read back, not as asked"
    );
    assert_eq!(effective("envelope"), Some("openai"));
    let tls = effective("tls").unwrap();
    assert_eq!(tls.starts_with("TLSv1_3 "), trial.arm.factors.tls, "{tls}");

    let name = format!("records/0007-{}-round-1.json", trial.experiment.name());
    let written = fs::read(directory.join(name)).unwrap();
    let written: Record = serde_json::from_slice(&written).unwrap();
    // Figures lose their last bit in JSON; what is counted does not.
    assert!(written.metrics.keys().eq(record.metrics.keys()));
    assert_eq!(
        (&written.books, &written.counters),
        (&record.books, &record.counters)
    );
    assert_eq!(
        (&written.invalid, &written.settings),
        (&record.invalid, &record.settings)
    );
    for path in record.histograms.values() {
        read_log(&directory.join(path));
    }
}

/// The one histogram of an interval log, as other tools read it.
fn read_log(path: &Path) -> Histogram<u64> {
    let log = fs::read(path).unwrap();
    let mut entries = IntervalLogIterator::new(&log).map(Result::unwrap);
    let encoded = entries.find_map(|entry| match entry {
        LogEntry::Interval(interval) => Some(interval.encoded_histogram().to_owned()),
        _ => None,
    });
    let bytes = BASE64_STANDARD.decode(encoded.unwrap()).unwrap();
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .unwrap()
}

fn total(record: &Record) -> Books {
    let mut total = Books::default();
    record.books.iter().for_each(|books| total += *books);
    total
}

/// To the first token, in clear text: connect, learn the settings and upgrade where need be, ask.
fn cold_round_trips(transport: Transport) -> f64 {
    match transport {
        Transport::WsH2 => 4.0,
        // A poller asks once more for the token.
        Transport::WsH1 | Transport::FloorWs | Transport::PollH1 | Transport::PollH2 => 3.0,
        _ => 2.0,
    }
}

/// The same on an open connection.
fn warm_round_trips(transport: Transport) -> f64 {
    match transport {
        Transport::PollH1 | Transport::PollH2 => 2.0,
        _ => 1.0,
    }
}

#[tokio::test]
async fn latency_counts_round_trips_and_loses_no_token() {
    over_all(latency(), |transport, record| {
        assert_eq!(
            record.metrics["round_trips_cold"],
            Some(cold_round_trips(transport)),
            "{transport}"
        );
        assert_eq!(
            record.metrics["round_trips_warm"],
            Some(warm_round_trips(transport)),
            "{transport}"
        );
        assert_eq!(record.books.len(), 1);
        assert_eq!(total(record).lost, 0, "{transport}");
        assert!(total(record).received > 0, "{transport}");
        assert_eq!(record.counters["turns_failed"], 0, "{transport}");
        assert!(record.counters["turns"] > 0, "{transport}");
        for name in [
            "token_latency",
            "service",
            "deviation",
            "pacer_lag",
            "hand_off",
        ] {
            assert!(record.histograms.contains_key(name), "{transport}: {name}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_generators_own_cost_is_measured_and_judged_on_every_transport() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Lab {
        site: site(directory.path()),
        effort: Effort::Quick,
    };
    let (check, client_us) = overhead::check(&lab).await.unwrap();
    let mut names = Transport::ALL.map(Transport::name);
    names.sort_unstable();
    assert!(client_us.keys().eq(names.iter()), "{client_us:?}");
    assert_eq!((check.number, check.name.as_str()), (8, "overhead"));
    let subjects: Vec<_> = check.rows.iter().map(|row| row.subject.as_str()).collect();
    let mut expected = ["null transport", "recording, sse-h1", "recording, ws-h1"]
        .map(str::to_owned)
        .to_vec();
    let others = names.iter().filter(|name| **name != "sse-h1");
    expected.extend(others.map(|name| format!("clients of sse-h1 and {name}")));
    assert_eq!(subjects, expected);
    // The trials' own files are gone.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // For whoever looks: the figures are this machine's, and this build's.
    eprintln!("{:#?}", check.rows);
}

#[tokio::test]
async fn throughput_charges_every_delivery() {
    over_all(throughput(false), |transport, record| {
        assert_eq!(record.books.len(), 1);
        assert_eq!(total(record).lost, 0, "{transport}");
        for name in ["server_cpu_us_per_message", "generator_cpu_us_per_message"] {
            assert!(record.metrics[name].unwrap() > 0.0, "{transport}: {name}");
        }
        assert!(record.metrics["messages_a_segment"].unwrap() > 0.0);
    })
    .await;
}

#[tokio::test]
async fn a_search_gives_no_rate_below_the_one_it_started_from_and_spoils_no_books() {
    over_all(throughput(true), |transport, record| {
        // None, where it was not the server that set the limit.
        if let Some(rate) = record.metrics["sustained_deliveries_per_second"] {
            assert!(rate >= 5.0 * 100.0, "{transport}: {rate}");
        }
        assert_eq!(record.books.len(), 1, "what was tried leaves no books");
        assert_eq!(total(record).lost, 0, "{transport}");
    })
    .await;
}

#[tokio::test]
async fn memory_is_read_at_every_count_and_the_warm_up_is_owed_nothing() {
    over_all(memory(), |transport, record| {
        for series in ["idle_user", "streaming_user"] {
            let counts = record.points[series].iter().map(|point| point[0]);
            assert_eq!(
                counts.collect::<Vec<_>>(),
                [2.0, 4.0, 6.0, 8.0],
                "{transport}"
            );
        }
        assert_eq!(record.books.len(), 2, "an epoch a state");
        assert_eq!(
            record.books[0],
            Books::default(),
            "nobody streams to the idle"
        );
        assert!(
            record.books[1].owed > 0 && total(record).lost == 0,
            "{transport}"
        );
    })
    .await;
}

#[tokio::test]
async fn reconnect_brings_everybody_back_and_loses_nothing_that_resume_can_save() {
    over_all(reconnect(), |transport, record| {
        let live = &record.points["live"];
        let counts: Vec<_> = live.iter().map(|point| point[1]).collect();
        assert_eq!((live[0][0], counts[0]), (0.0, 6.0), "{transport}");
        assert_eq!(counts.last(), Some(&6.0), "{transport}");
        assert!(live.is_sorted_by(|a, b| a[0] <= b[0]));
        // Down to nobody when all are cut, and again when the server dies.
        assert_eq!(counts.iter().filter(|&&count| count == 0.0).count(), 2);
        assert_eq!(record.points["marks"].len(), 3);
        assert_eq!(record.metrics["lost_with_resume"], Some(0.0), "{transport}");
        assert_eq!(record.metrics["duplicated_with_resume"], Some(0.0));
        assert!(
            record.metrics["lost_without_resume"].unwrap() > 0.0,
            "{transport}"
        );
        assert_eq!(record.counters["ended_reset"], 6, "{transport}");
        assert_eq!(record.books.len(), 2, "an epoch a server");
        assert!(record.books.iter().all(|books| books.owed > 0));
    })
    .await;
}

/// Of each of the wire's parts, bytes a token.
fn parts(record: &Record) -> [f64; 4] {
    let part = |name| record.metrics[&format!("{name}_bytes_per_token")].unwrap();
    ["payload", "envelope", "id", "framing"].map(part)
}

#[tokio::test]
async fn what_the_kernel_counts_on_the_wire_is_what_the_messages_add_up_to() {
    // That a trial is valid says that the sum is exact: nothing else is forgiven.
    over_all(wire(), |transport, record| {
        let [payload, envelope, id, framing] = parts(record);
        assert!((1.0..10.0).contains(&payload), "{transport}: {payload}");
        assert!(
            (150.0..300.0).contains(&envelope),
            "{transport}: {envelope}"
        );
        assert_eq!(id, 0.0, "{transport}");
        match framing_bytes(transport) {
            Some(expected) => assert_eq!(framing, expected, "{transport}"),
            None => assert!(framing > 0.0, "{transport}"),
        }
        // Window updates of HTTP/2, and the asks of a poll.
        let client = record.metrics["client_bytes_per_token"].unwrap();
        let bytes = record.metrics["bytes_per_token"].unwrap();
        let sum = payload + envelope + framing + client;
        assert!((sum - bytes).abs() < 1e-9, "{transport}: {sum} of {bytes}");
        let [segments, acks] =
            ["segments_per_token", "acks_per_token"].map(|name| record.metrics[name].unwrap());
        assert!(segments > 0.0 && acks > 0.0, "{transport}");
        let headers = record.metrics["tcp_ip_bytes_per_token"].unwrap();
        assert!(
            (headers - 52.0 * (segments + acks)).abs() < 1e-9,
            "{transport}"
        );
    })
    .await;
}

/// Of a message of 126 bytes to some hundreds; none of a poll, whose answer is a response each.
fn framing_bytes(transport: Transport) -> Option<f64> {
    let Capabilities { family, http, .. } = transport.capabilities();
    // `data: ` and two line ends; then three digits of a size and two line ends, or a frame's header.
    Some(match (family, http) {
        (Family::Sse | Family::Fetch, Http::H1 | Http::Bare) => 8.0 + 7.0,
        (Family::Sse | Family::Fetch, Http::H2) => 8.0 + 9.0,
        (Family::WebSocket, Http::H1 | Http::Bare) => 4.0,
        (Family::WebSocket, Http::H2) => 4.0 + 9.0,
        (Family::Raw, _) => 4.0,
        (Family::Poll, _) => return None,
    })
}

#[tokio::test]
async fn an_id_and_a_longer_text_are_parts_of_their_own() {
    for transport in [Transport::SseH1, Transport::WsH1] {
        let directory = tempfile::tempdir().unwrap();
        let mut arm = arm(transport);
        arm.factors = Factors {
            resume: true,
            payload_bytes: NonZeroU32::new(200),
            ..Factors::default()
        };
        let trial = Trial {
            number: 7,
            experiment: wire(),
            arm,
            round: 1,
            seed: 3,
            trace: None,
        };
        let record = trial::run(&trial, &site(directory.path())).await.unwrap();
        assert_eq!(record.invalid, [""; 0], "{transport}");
        let [payload, _, id, framing] = parts(&record);
        // `id: 1-0-7` and `id: 1-0-17`, each with its line end.
        let id_bytes = match transport.capabilities().family {
            Family::Sse => (9.0 * 10.0 + 11.0 * 11.0) / 20.0,
            _ => 0.0,
        };
        assert_eq!((payload, id), (200.0, id_bytes), "{transport}");
        assert_eq!(Some(framing), framing_bytes(transport), "{transport}");
    }
}

#[tokio::test]
async fn a_screen_measures_all_of_its_metrics_on_one_server() {
    over_all(screen(), |transport, record| {
        assert_eq!(record.books.len(), 1);
        assert_eq!(total(record).lost, 0, "{transport}");
        for name in [
            "server_cpu_us_per_message",
            "ttft_cold_ms_p50",
            "token_latency_ms_p50",
            "bytes_per_message",
        ] {
            assert!(record.metrics[name].unwrap() > 0.0, "{transport}: {name}");
        }
        // The chunk of a chat completion, and not much beside it; of a poll, the head of a response.
        let bytes = record.metrics["bytes_per_message"].unwrap();
        let most = match transport.capabilities().family {
            Family::Poll => 700.0,
            _ => 400.0,
        };
        assert!((200.0..most).contains(&bytes), "{transport}: {bytes}");
        assert_eq!(record.counters["turns"], 25, "{transport}");
    })
    .await;
}

/// A trial that is too short to mean anything, of an arm with these levels.
async fn settings_of(transport: Transport, factors: Factors) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let trial = Trial {
        number: 7,
        experiment: Experiment::Memory(settings(json!({
            "connections": [1, 2, 3, 4], "warm_up_connections": 1, "messages_per_second": 500.0,
            "streaming_s": 0.03,
        }))),
        arm: Arm {
            factors,
            ..arm(transport)
        },
        round: 1,
        seed: 3,
        trace: None,
    };
    let record = trial::run(&trial, &site(directory.path())).await.unwrap();
    assert!(
        record.invalid.is_empty(),
        "{transport}: {:?}",
        record.invalid
    );
    assert!(
        record.books.iter().all(|books| books.lost == 0),
        "{transport}"
    );
    record.settings
}

/// Another congestion control than the kernel's default, if it allows one.
fn other_congestion_control() -> Option<String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
    let usual = read("tcp_congestion_control");
    let allowed = read("tcp_allowed_congestion_control");
    let mut others = allowed
        .split_whitespace()
        .filter(|name| *name != usual.trim());
    others.next().map(str::to_owned)
}

#[tokio::test]
async fn levels_are_in_force_and_read_back() {
    let mut first = vec![
        ("flush", json!("each")),
        ("http_stack", json!("axum")),
        ("envelope", json!("raw")),
        ("payload_bytes", json!(180)),
        ("resume", json!(true)),
        ("allocator", json!("jemalloc")),
    ];
    first.extend(other_congestion_control().map(|name| ("congestion_control", json!(name))));
    let second = vec![
        ("flush", json!("5ms")),
        ("http_buffer_bytes", json!(16_384)),
    ];
    for transport in Transport::ALL {
        let usual = settings_of(transport, Factors::default()).await;
        for levels in [&first, &second] {
            let fits = |(name, level): &&(&str, Value)| {
                let alone: Factors = settings(json!({ *name: level }));
                let misfit = alone.misfit(transport);
                if let Some(misfit) = &misfit {
                    eprintln!("does not apply: {misfit}");
                }
                misfit.is_none()
            };
            let fitting: Vec<_> = levels.iter().filter(fits).cloned().collect();
            let together: serde_json::Map<_, _> = fitting
                .iter()
                .map(|(name, level)| ((*name).to_owned(), level.clone()))
                .collect();
            let read_back = settings_of(transport, settings(together.into())).await;
            for (name, level) in &fitting {
                let level = level
                    .as_str()
                    .map_or_else(|| level.to_string(), str::to_owned);
                assert_eq!(read_back.get(*name), Some(&level), "{transport}");
                assert_ne!(
                    usual.get(*name),
                    Some(&level),
                    "{transport}: it is no default"
                );
            }
        }
    }
}

#[tokio::test]
async fn setup_counts_what_each_way_to_begin_takes() {
    for tls in [false, true] {
        over_all_at(tls, setup(), |transport, record| {
            let figure = |name: &str| record.metrics[name];
            // Connect, upgrade where there is one, ask; TLS 1.3 shakes hands in one, resumed or not.
            let cold = cold_round_trips(transport) + f64::from(u8::from(tls));
            assert_eq!(figure("round_trips_cold"), Some(cold), "{transport}");
            assert_eq!(figure("round_trips_resumed"), tls.then_some(cold));
            let warm = warm_round_trips(transport);
            assert_eq!(figure("round_trips_warm"), Some(warm), "{transport}");
            let [cold, warm] = ["bytes_cold", "bytes_warm"].map(|name| figure(name).unwrap());
            assert!(warm > 100.0 && cold > 100.0, "{transport}: {warm}, {cold}");
            // What makes up a handshake is the certificate, which is not sent again.
            if tls {
                let resumed = figure("bytes_resumed").unwrap();
                assert!(resumed < cold, "{transport}: {resumed}, {cold}");
            }
            // Ten samples lie beyond no percentile of ten.
            assert_eq!(figure("cold_start_ms_p90"), None);
            assert!(figure("server_cpu_us_per_connection").unwrap() > 0.0);
            assert!(figure("connections_per_second").unwrap() > 0.0);
            assert_eq!(record.counters["turns_failed"], 0, "{transport}");
            // The one that begins, and those that are not recorded among them.
            let starts = 1 + (5 + 10) * if tls { 3 } else { 2 };
            let connections = record.counters["connections"];
            assert_eq!(record.counters["server_turns"], connections + starts);
            assert_eq!(record.counters["server_refused_handshakes"], 0);
            assert_eq!(record.books.len(), 1);
            assert_eq!(total(record).lost, 0, "{transport}");
            assert!(record.histograms.contains_key("warm_start"));
            assert_eq!(record.histograms.contains_key("resumed_start"), tls);
        })
        .await;
    }
}

#[tokio::test]
async fn streams_that_share_a_connection_are_read_back_at_both_ends() {
    let shares = |transport: &Transport| transport.capabilities().http == Http::H2;
    for transport in Transport::ALL.into_iter().filter(shares) {
        let directory = tempfile::tempdir().unwrap();
        let mut arm = arm(transport);
        arm.factors.streams_per_connection = 2.try_into().unwrap();
        let trial = Trial {
            number: 7,
            // Five: the last connection has room for one more.
            experiment: throughput(false),
            arm,
            round: 1,
            seed: 3,
            trace: None,
        };
        let record = trial::run(&trial, &site(directory.path())).await.unwrap();
        check(&trial, &record, directory.path());
        let each = (5.0_f64 / 3.0).to_string();
        for end in ["streams_per_connection", "client_streams_per_connection"] {
            assert_eq!(record.settings.get(end), Some(&each), "{transport}: {end}");
        }
        assert_eq!(record.counters["server_accepted"], 3, "{transport}");
    }
}

#[tokio::test]
async fn latency_over_tls_is_read_back_and_costs_a_round_trip_more() {
    over_all_at(true, latency(), |transport, record| {
        let cold = cold_round_trips(transport) + 1.0;
        assert_eq!(
            record.metrics["round_trips_cold"],
            Some(cold),
            "{transport}"
        );
        assert_eq!(
            record.metrics["round_trips_warm"],
            Some(warm_round_trips(transport))
        );
        assert_eq!(record.counters["turns_failed"], 0, "{transport}");
    })
    .await;
}

#[tokio::test]
async fn over_tls_a_server_that_was_killed_is_trusted_when_it_is_back() {
    over_all_at(true, reconnect(), |transport, record| {
        let live = &record.points["live"];
        assert_eq!(live.last().unwrap()[1], 6.0, "{transport}");
        assert_eq!(record.metrics["lost_with_resume"], Some(0.0), "{transport}");
    })
    .await;
}

#[tokio::test]
async fn books_that_do_not_balance_make_a_trial_invalid() {
    let directory = tempfile::tempdir().unwrap();
    let trial = Trial {
        number: 7,
        experiment: throughput(false),
        arm: arm(Transport::SseH1),
        round: 1,
        seed: 3,
        trace: None,
    };
    let site = site(directory.path());
    let mut record = trial::run(&trial, &site).await.unwrap();
    record.invalid.clear();
    let id = |seq| EventId {
        epoch: 1,
        stream: 0,
        seq,
    };
    // One message received, one lost, one dropped.
    let mut ledger = Ledger::default();
    ledger.notice(&Notice::Hello {
        after: id(0),
        missing: 0,
        previous: None,
        retry_ms: 1,
    });
    ledger.message(2);
    ledger.notice(&Notice::Dropped { count: 1 });
    for (owed, invalid) in [
        (vec![3], 0),
        (vec![2], 1),
        (vec![4], 1),
        // A second epoch that somebody was owed a message of.
        (vec![3, 1], 1),
        // No epoch at all, though somebody saw one.
        (vec![], 1),
    ] {
        let arm = trial.arm.clone();
        let mut bench = Bench::new(arm, 3, None, record.clone(), site.clone()).unwrap();
        bench.balance(&owed, std::iter::once(&ledger));
        let reasons = bench.record.invalid;
        assert_eq!(reasons.len(), invalid, "owed {owed:?}: {reasons:?}");
        assert!(reasons.iter().all(|reason| reason.contains("epoch")));
    }
}

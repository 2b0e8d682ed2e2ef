//! Programs that others wrote: nginx between clients and server, and the server of Python's `websockets`. Where one
//! is not installed its tests say so and pass, unless `PUSHBENCH_OUTSIDE` is set, as `.ci/run` sets it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    future::poll_fn,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use pushbench::{
    arm::{Arm, Build, Factors},
    bench::{Bench, Site},
    client::{Connector, Ended},
    experiment::Experiment,
    outside,
    trial::{self, Trial},
};
use pushbench_reports::record::Record;
use pushbench_server::{
    contract::{
        ask::{Ask, FeedAsk},
        factors::{Proxy, Served, WsLibrary},
        transport::Transport,
    },
    control::Command,
};
use serde_json::{Value, json};

/// Whether there is what these factors need.
fn present(factors: &Factors) -> bool {
    match outside::present(factors) {
        Ok(()) => true,
        Err(missing) => {
            assert!(std::env::var_os("PUSHBENCH_OUTSIDE").is_none(), "{missing}");
            eprintln!("not tested: {missing}");
            false
        }
    }
}

fn behind(proxy: Proxy) -> Factors {
    Factors {
        proxy,
        ..Factors::default()
    }
}

fn trial(experiment: Experiment, transport: Transport, factors: Factors) -> Trial {
    Trial {
        number: 7,
        experiment,
        arm: Arm {
            label: "arm".into(),
            transport,
            control_of: None,
            factors,
            build: Build::Own,
        },
        round: 1,
        seed: 3,
        trace: None,
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

fn latency() -> Experiment {
    let settings: Value = json!({
        "warm_up_s": 0.1, "warm_up_max_s": 0.4, "window_s": 0.4, "turns_per_second": 30.0, "first_token_s": 0.01,
        "warm_connections": 40,
    });
    Experiment::Latency(serde_json::from_value(settings).unwrap())
}

/// Runs it; a busy machine may spoil it, and nothing else may.
async fn run(trial: &Trial, directory: &Path) -> Record {
    let record = trial::run(trial, &site(directory)).await.unwrap();
    for reason in &record.invalid {
        let busy = ["the load ", "the machine was busy"];
        assert!(busy.iter().any(|busy| reason.starts_with(busy)), "{reason}");
    }
    record
}

/// A bench whose record nobody keeps.
async fn bench(transport: Transport, factors: Factors, directory: &Path) -> Bench {
    let usual = trial(latency(), transport, Factors::default());
    let mut record = run(&usual, directory).await;
    record.settings.clear();
    let arm = trial(latency(), transport, factors).arm;
    Bench::new(arm, 3, None, record, site(directory)).unwrap()
}

fn everything() -> Ask {
    Ask::Feed(FeedAsk::default())
}

const LEVELS: [Proxy; 3] = [Proxy::Nginx, Proxy::NginxUnbuffered, Proxy::NginxBuffering];

#[tokio::test]
async fn a_trial_behind_nginx_keeps_its_books_and_says_what_was_between() {
    if !present(&behind(Proxy::Nginx)) {
        return;
    }
    for transport in [Transport::SseH1, Transport::FetchH1, Transport::WsH1] {
        for level in LEVELS {
            if let Some(misfit) = behind(level).misfit(transport) {
                eprintln!("does not apply: {misfit}");
                continue;
            }
            let directory = tempfile::tempdir().unwrap();
            let record = run(
                &trial(latency(), transport, behind(level)),
                directory.path(),
            )
            .await;
            let effective = |name: &str| record.settings[name].as_str();
            assert_eq!(effective("proxy"), level.name(), "{transport}");
            assert!(effective("proxy_version").starts_with("nginx/"));
            assert!(effective("proxy_cores").starts_with('['));
            assert!(record.books[0].received > 0, "{:?}", record.books);
            assert_eq!(record.books[0].lost, 0, "{transport} {}", level.name());
            assert!(record.metrics["inter_token_ms_mean"].is_some());
        }
    }
}

/// Texts published, a pause apart, until the stream's first payload is read; the pauses are for what is not held.
async fn published_before_the_first(level: Proxy) -> usize {
    const TEXT_BYTES: usize = 200;
    const MOST: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    let mut bench = bench(Transport::SseH1, behind(level), directory.path()).await;
    let mut server = bench
        .start_server(10, Duration::from_secs(3))
        .await
        .unwrap();
    let connector = bench.connector(&server);
    let published = AtomicUsize::new(0);
    let first = async {
        let mut wire = connector.connect().await.unwrap();
        wire.ask(&everything()).await.unwrap();
        let mut heard = false;
        poll_fn(|cx| match wire.poll_receive(cx, &mut |_| heard = true) {
            Poll::Pending if !heard => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        published.load(Relaxed)
    };
    let publishing = async {
        for _ in 0..MOST {
            tokio::time::sleep(Duration::from_millis(20)).await;
            published.fetch_add(1, Relaxed);
            let texts = vec!["x".repeat(TEXT_BYTES)];
            server.command(Command::Publish { texts }).await.unwrap();
        }
        std::future::pending::<usize>().await
    };
    tokio::select! {
        count = first => count,
        count = publishing => count,
    }
}

#[tokio::test]
async fn nginx_that_buffers_holds_a_stream_back_until_it_fills_a_buffer() {
    if !present(&behind(Proxy::Nginx)) {
        return;
    }
    // A buffer is a page, 4 KiB at least, and a message some 300 bytes of it.
    let held = published_before_the_first(Proxy::NginxBuffering).await;
    assert!((10..100).contains(&held), "{held}");
    // Not even the greeting is held where the answer asks for that, or the configuration.
    for level in [Proxy::Nginx, Proxy::NginxUnbuffered] {
        let held = published_before_the_first(level).await;
        assert!(held < 10, "{held} behind {}", level.name());
    }
}

#[tokio::test]
async fn another_path_than_through_nginx_is_told_and_so_is_one_through_it_unasked() {
    if !present(&behind(Proxy::Nginx)) {
        return;
    }
    for transport in [Transport::SseH1, Transport::WsH1] {
        let directory = tempfile::tempdir().unwrap();
        let mut bench = bench(transport, behind(Proxy::Nginx), directory.path()).await;
        let server = bench
            .start_server(10, Duration::from_secs(3))
            .await
            .unwrap();
        let ended = async |factors: Factors, endpoint| {
            let connector = Connector::new(transport, factors, endpoint);
            match connector.connect().await {
                Ok(mut wire) => wire.ask(&everything()).await.err(),
                Err(ended) => Some(ended),
            }
        };
        let (own, front) = (server.endpoint().clone(), server.entrance());
        assert_ne!(own.http, front.http);
        for (factors, endpoint) in [
            (behind(Proxy::Nginx), own.clone()),
            (Factors::default(), front.clone()),
        ] {
            let wrong = ended(factors, endpoint).await;
            let Some(Ended::WrongPath(reason)) = wrong else {
                panic!("{transport}: {wrong:?}");
            };
            assert!(reason.contains("by nginx"), "{reason}");
        }
        assert_eq!(ended(behind(Proxy::Nginx), front).await, None);
        assert_eq!(ended(Factors::default(), own).await, None);
    }
}

#[tokio::test]
async fn nginx_ends_with_the_server_that_it_stands_before() {
    if !present(&behind(Proxy::Nginx)) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut bench = bench(Transport::SseH1, behind(Proxy::Nginx), directory.path()).await;
    let server = bench
        .start_server(10, Duration::from_secs(3))
        .await
        .unwrap();
    let process = format!("/proc/{}", server.front().unwrap().pid());
    assert!(Path::new(&process).exists());
    drop(server);
    assert!(!Path::new(&process).exists());
}

#[tokio::test]
async fn a_server_of_others_is_measured_idle_and_its_connections_are_counted_by_the_kernel() {
    let theirs = |compression: &str| Factors {
        server: Served::Websockets,
        ws_library: WsLibrary::Yawc,
        compression: compression.parse().unwrap(),
        ..Factors::default()
    };
    if !present(&theirs("off")) {
        return;
    }
    let settings: Value = json!({ "connections": [2, 4, 6, 8], "warm_up_connections": 5 });
    let memory = Experiment::Memory(serde_json::from_value(settings).unwrap());
    for level in ["off", "deflate-12", "deflate-15-no-takeover"] {
        let directory = tempfile::tempdir().unwrap();
        let trial = trial(memory.clone(), Transport::WsH1, theirs(level));
        let record = run(&trial, directory.path()).await;
        // Nothing of it is timed, so nothing may spoil it.
        assert_eq!(record.invalid, [""; 0], "{level}");
        let counts: Vec<_> = record.points["idle_user"]
            .iter()
            .map(|point| point[0])
            .collect();
        assert_eq!(counts, [2.0, 4.0, 6.0, 8.0]);
        assert!(record.metrics["user_bytes_per_idle_connection"].is_some());
        assert!(!record.metrics.keys().any(|name| name.contains("streaming")));
        assert!(
            record
                .notes
                .iter()
                .any(|note| note.starts_with("idle connections only"))
        );
        let effective = |name: &str| record.settings[name].as_str();
        assert_eq!(
            (effective("server"), effective("compression")),
            ("websockets", level)
        );
        assert!(effective("server_version").starts_with("websockets "));
    }
}

#[tokio::test]
async fn fewer_connections_than_asked_at_the_server_of_others_spoil_a_trial() {
    let factors = Factors {
        server: Served::Websockets,
        ..Factors::default()
    };
    if !present(&factors) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut bench = bench(Transport::WsH1, factors, directory.path()).await;
    let (mut server, connector) = bench.start_websockets().await.unwrap();
    let mut audience = pushbench::audience::Audience::of(&bench, connector, false);
    audience.join(3, |_| false).await;
    let live = server.live_connections().unwrap();
    assert_eq!((live, audience.crowd().live()), (3, 3));
    bench.record.invalid.clear();
    audience.hold_against(&mut bench, live, 4);
    let says = "4 live streams were asked for, the clients have 3, the server 3";
    assert!(
        bench
            .record
            .invalid
            .iter()
            .any(|reason| reason.contains(says))
    );
    let process = format!("/proc/{}", server.pid());
    drop(server);
    assert!(!Path::new(&process).exists());
}

//! The clients against servers made by hand: how a response's end is told, what is refused, and what
//! really ran on the wire.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

use std::{
    fs,
    future::{Future, poll_fn},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    task::Poll,
    time::Duration,
};

use pushbench::{
    arm::{Arm, Build, Factors},
    bench::Site,
    client::{self, Ended, Wire},
    experiment::Experiment,
    trial::{self, Trial},
};
use pushbench_server::contract::{
    ask::{Ask, FeedAsk},
    endpoint::Endpoint,
    transport::{Family, Http, Transport},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[path = "wire/http2.rs"]
mod http2;

/// What the server does after its last answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Hold,
}

/// A server that answers each request on a connection with the next of these, a byte at a time if `slow`.
async fn server(answers: &[impl AsRef<[u8]>], then: Then, slow: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().to_vec())
        .collect();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, answers.clone(), then, slow));
        }
    });
    address
}

async fn converse(mut stream: TcpStream, answers: Vec<Vec<u8>>, then: Then, slow: bool) {
    stream.set_nodelay(true).unwrap();
    for mut answer in answers {
        let request = request(&mut stream).await;
        let request = String::from_utf8_lossy(&request);
        // A hand-made server still knows how to answer a key.
        let mut lines = request.lines();
        if let Some(key) = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")) {
            let text = String::from_utf8(answer).unwrap();
            answer = text.replace("{accept}", &accept_key(key)).into();
        }
        // A frame begins with the high byte of its length.
        if request.starts_with("PRI ") && answer.starts_with(&[0]) {
            answer = http2::until_asked(&mut stream, answer).await;
        }
        for piece in answer.chunks(if slow { 1 } else { usize::MAX }) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
    if then == Then::Hold {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

fn accept_key(key: &str) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes())
}

/// A head, or the begin of what is none: a length.
async fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.first() != Some(&0) {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

/// A server of everything that there is.
fn at(server: SocketAddr) -> Endpoint {
    Endpoint {
        http: server,
        bare: Some(server),
        certificate: None,
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(20), future).await;
    done.unwrap_or_else(|_| panic!("waited in vain"))
}

fn feed() -> Ask {
    Ask::Feed(FeedAsk::default())
}

async fn ask(transport: Transport, server: SocketAddr) -> Result<Box<dyn Wire>, Ended> {
    let asked = async {
        let mut wire = client::connect(transport, at(server)).await?;
        wire.ask(&feed()).await?;
        Ok(wire)
    };
    soon(asked).await
}

/// Receives until so many payloads came, or to the connection's end.
async fn receive(wire: &mut dyn Wire, count: usize) -> (Vec<String>, Option<Ended>) {
    let mut payloads = Vec::new();
    let receiving = poll_fn(|cx| {
        let polled = wire.poll_receive(cx, &mut |payload| payloads.push(payload.to_owned()));
        match polled {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if payloads.len() >= count => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let ended = soon(receiving).await;
    (payloads, ended)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

fn ok(fields_and_body: &str) -> String {
    format!("{OK}{fields_and_body}")
}

#[tokio::test]
async fn a_body_ends_as_its_framing_says_and_the_next_ask_reuses_the_connection() {
    let answers = [
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_owned()
            + &ok("transfer-encoding: chunked\r\n\r\n\
                   6;x=y\r\ndata: \r\nB\r\n1\n\ndata: 2\n\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n"),
        ok("content-length: 18\r\n\r\ndata: 1\n\ndata: 2\n\n"),
        "HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\ndata: 9\n\n".to_owned(),
        ok("\r\ndata: 1\n\ndata: 2\n\ndata: never ended\n"),
    ];
    let answers: Vec<_> = answers.iter().map(String::as_str).collect();
    for slow in [false, true] {
        let server = server(&answers, Then::Close, slow).await;
        let mut wire = soon(client::connect(Transport::SseH1, server))
            .await
            .unwrap();
        for _ in 0..2 {
            soon(wire.ask(&feed())).await.unwrap();
            assert_eq!(wire.path(), Some("HTTP/1.1 200 text/event-stream"));
            let (payloads, ended) = receive(wire.as_mut(), 2).await;
            assert_eq!((payloads, ended), (vec!["1".into(), "2".into()], None));
        }
        let refused = soon(wire.ask(&feed())).await;
        assert_eq!(refused, Err(Ended::Status(503)));
        soon(wire.ask(&feed())).await.unwrap();
        let (payloads, ended) = receive(wire.as_mut(), 3).await;
        assert_eq!(
            (payloads, ended),
            (vec!["1".into(), "2".into()], Some(Ended::Closed))
        );
        // Told again to whoever asks again.
        assert_eq!(soon(wire.ask(&feed())).await, Err(Ended::Closed));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_or_off_its_framing_is_no_proper_end() {
    for (answer, says) in [
        (
            ok("transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"),
            "connection closed",
        ),
        (
            ok("transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n"),
            "connection closed",
        ),
        (
            ok("content-length: 10\r\n\r\ndata: 1\n\n"),
            "connection closed",
        ),
        (
            ok("transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\nX"),
            "chunked coding: byte 0x58",
        ),
        (
            ok("transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n-1\r\n"),
            "chunked coding: byte 0x2d",
        ),
        (
            ok("content-length: 9\r\n\r\ndata: 1\n\nHTTP/1.1 200 OK\r\n\r\n"),
            "nobody asked for",
        ),
        (
            ok("content-length: 9\r\nconnection: close\r\n\r\ndata: 1\n\n"),
            "connection closed",
        ),
    ] {
        let server = server(&[&answer], Then::Close, false).await;
        let mut wire = ask(Transport::SseH1, server).await.unwrap();
        let (payloads, ended) = receive(wire.as_mut(), 2).await;
        assert_eq!(payloads, ["1"], "{answer}");
        let ended = ended.unwrap();
        assert!(ended.to_string().contains(says), "{answer}: {ended}");
        assert_eq!(soon(wire.ask(&feed())).await, Err(ended), "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_stream_delivers_nothing_and_a_close_is_taken_at_its_word() {
    let refusal = "HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\ndata: 9\n\n";
    let elsewhere = server(&[refusal], Then::Close, false).await;
    let mut wire = soon(client::connect(Transport::SseH1, elsewhere))
        .await
        .unwrap();
    assert_eq!(soon(wire.ask(&feed())).await, Err(Ended::Status(503)));
    let heard = receive(wire.as_mut(), 1).await;
    assert_eq!(heard, (Vec::new(), Some(Ended::Closed)));

    // The server says that it will close, and has not yet.
    let last = ok("content-length: 9\r\nconnection: close\r\n\r\ndata: 1\n\n");
    let elsewhere = server(&[&last], Then::Hold, false).await;
    let mut wire = ask(Transport::SseH1, elsewhere).await.unwrap();
    let heard = receive(wire.as_mut(), 2).await;
    assert_eq!(heard, (vec!["1".into()], Some(Ended::Closed)));
    assert_eq!(soon(wire.ask(&feed())).await, Err(Ended::Closed));
}

#[tokio::test]
async fn heads_that_cannot_be_read_or_have_no_end_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(20_000));
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20);
    for (answer, says) in [
        (long.as_str(), "larger than 16384 bytes"),
        (hints.as_str(), "interim responses"),
        ("SSH-2.0-x\r\n", "cannot be read"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "both",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-ty", "connection closed"),
        ("", "connection closed"),
    ] {
        let server = server(&[answer], Then::Close, false).await;
        let ended = ask(Transport::SseH1, server).await.err().unwrap();
        assert!(ended.to_string().contains(says), "{answer:.40}: {ended}");
    }
    // Longer than the read buffer and within the bound: read.
    let long = ok(&format!(
        "x: {}\r\ncontent-length: 9\r\n\r\ndata: 1\n\n",
        "x".repeat(12_000)
    ));
    let server = server(&[&long], Then::Hold, false).await;
    let mut wire = ask(Transport::SseH1, server).await.unwrap();
    assert_eq!(receive(wire.as_mut(), 1).await.0, ["1"]);
}

const UPGRADE: &str = "connection: Upgrade\r\nupgrade: websocket\r\n";

/// What the transport names.
fn named(transport: Transport) -> &'static str {
    match transport {
        Transport::SseH1 | Transport::FetchH1 => "HTTP/1.1 200 text/event-stream",
        Transport::SseH2 | Transport::FetchH2 => "HTTP/2.0 200 text/event-stream",
        Transport::WsH1 => "HTTP/1.1 101 websocket",
        Transport::WsH2 => "HTTP/2.0 200 websocket",
        Transport::PollH1 => "HTTP/1.1 200 application/x-ndjson",
        Transport::PollH2 => "HTTP/2.0 200 application/x-ndjson",
        Transport::FloorSse => "bare HTTP/1.1 200 text/event-stream",
        Transport::FloorWs => "bare HTTP/1.1 101 websocket",
        Transport::RawTcp => "bare length-prefixed",
    }
}

/// Answers that are none of the transport's, and what the sentence must name.
fn other_paths(transport: Transport) -> Vec<(Vec<u8>, &'static str)> {
    let of_http1 = match transport {
        Transport::SseH2 | Transport::FetchH2 | Transport::WsH2 | Transport::PollH2 => {
            return http2::other_paths(transport);
        }
        Transport::SseH1 | Transport::FetchH1 => vec![
            (
                OK.replace("1.1", "1.0") + "\r\n",
                "`HTTP/1.0 200 text/event-stream` came",
            ),
            ("HTTP/1.0 503 Busy\r\n\r\n".into(), "`HTTP/1.0 503` came"),
            ("HTTP/1.1 200 OK\r\n\r\n".into(), "`HTTP/1.1 200` came"),
            (
                "HTTP/1.1 200 OK\r\ncontent-type: text/html; x\r\ncontent-length: 0\r\n\r\n".into(),
                "`HTTP/1.1 200 text/html` came",
            ),
        ],
        Transport::WsH1 => vec![
            (
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n".into(),
                "`HTTP/1.1 200 text/plain` came",
            ),
            (format!("HTTP/1.0 101 x\r\n{UPGRADE}\r\n"), "HTTP version"),
            (
                format!("HTTP/1.1 101 x\r\n{UPGRADE}sec-websocket-accept: x\r\n\r\n"),
                "accept",
            ),
            (
                "HTTP/1.1 101 x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n".into(),
                "upgrade",
            ),
            (
                format!(
                    "HTTP/1.1 101 x\r\n{UPGRADE}sec-websocket-accept: {{accept}}\r\n\
                     sec-websocket-extensions: permessage-deflate\r\n\r\n"
                ),
                "websocket with permessage-deflate` came",
            ),
        ],
        Transport::PollH1 => vec![
            (
                "HTTP/1.0 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n".into(),
                "`HTTP/1.0 200 application/x-ndjson` came",
            ),
            (
                ok("content-length: 0\r\n\r\n"),
                "`HTTP/1.1 200 text/event-stream` came",
            ),
        ],
        // Of another server than a floor, and of a floor that is none.
        Transport::FloorSse => vec![
            (ok("\r\n"), "`HTTP/1.1 200 text/event-stream` came"),
            (
                "HTTP/1.1 200 OK\r\nserver: bare\r\n\r\n".into(),
                "`bare HTTP/1.1 200` came",
            ),
        ],
        Transport::FloorWs => vec![
            (
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n".into(),
                "`HTTP/1.1 200 text/plain` came",
            ),
            (
                format!("HTTP/1.1 101 x\r\n{UPGRADE}sec-websocket-accept: {{accept}}\r\n\r\n"),
                "`HTTP/1.1 101 websocket` came",
            ),
            (
                format!(
                    "HTTP/1.1 101 x\r\nserver: bare\r\n{UPGRADE}sec-websocket-accept: x\r\n\r\n"
                ),
                "accept",
            ),
            (
                format!(
                    "HTTP/1.1 101 x\r\nserver: bare\r\n{UPGRADE}sec-websocket-accept: {{accept}}\r\n\
                     sec-websocket-extensions: permessage-deflate\r\n\r\n"
                ),
                "websocket with permessage-deflate` came",
            ),
        ],
        Transport::RawTcp => vec![
            (ok("\r\n"), "`HTTP/1.1 200 OK` came"),
            ("\0\0\0\u{2}[]".into(), "came"),
        ],
    };
    let bytes = |(answer, says): (String, _)| (answer.into_bytes(), says);
    of_http1.into_iter().map(bytes).collect()
}

#[tokio::test]
async fn another_path_than_the_transports_is_named_with_what_was_asked_for() {
    for transport in Transport::ALL {
        for (answer, says) in other_paths(transport) {
            let server = server(&[&answer], Then::Hold, false).await;
            let ended = ask(transport, server).await.err().unwrap();
            let answer = String::from_utf8_lossy(&answer);
            let Ended::WrongPath(sentence) = &ended else {
                panic!("{transport}, {answer}: {ended:?}");
            };
            assert_eq!(ended.cause(), "wrong_path");
            assert!(
                sentence.to_lowercase().contains(&says.to_lowercase()),
                "{answer}: {sentence}"
            );
            let asked = format!("`{}` was asked for", named(transport));
            assert!(sentence.contains(&asked), "{sentence}");
        }
        // A refusal is none of them; without HTTP it is a notice.
        if transport.capabilities().family == Family::Raw {
            continue;
        }
        let refusal = match transport.capabilities().http {
            Http::H2 => http2::head(&[http2::NOT_FOUND], true),
            _ => b"HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n".to_vec(),
        };
        let server = server(&[refusal], Then::Hold, false).await;
        assert_eq!(
            ask(transport, server).await.err(),
            Some(Ended::Status(404)),
            "{transport}"
        );
    }
}

/// A program that serves as ours does, and sends whoever connects to another address.
fn diverted(directory: &Path, to: SocketAddr) -> std::path::PathBuf {
    let path = directory.join("serve");
    let script = format!(
        "#!/bin/sh\n{} \"$@\" | sed -u 's/127\\.0\\.0\\.1:[0-9]*/{to}/g'\n",
        env!("CARGO_BIN_EXE_pushbench")
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_trial_over_another_path_is_invalid_for_that_reason() {
    let settings = serde_json::json!({
        "subscribers": 3, "messages_per_second": 100.0, "warm_up_s": 0.05, "window_s": 0.1,
    });
    let throughput = Experiment::Throughput(serde_json::from_value(settings).unwrap());
    let settings = serde_json::json!({
        "warm_up_s": 0.05, "window_s": 0.1, "turns_per_second": 10.0, "warm_connections": 1,
    });
    let latency = Experiment::Latency(serde_json::from_value(settings).unwrap());
    for transport in Transport::ALL {
        let (answer, _) = other_paths(transport).remove(0);
        for experiment in [&throughput, &latency] {
            let elsewhere = server(&[&answer], Then::Hold, false).await;
            let directory = tempfile::tempdir().unwrap();
            let trial = Trial {
                number: 1,
                experiment: experiment.clone(),
                arm: Arm {
                    label: "arm".into(),
                    transport,
                    control_of: None,
                    factors: Factors::default(),
                    build: Build::Own,
                },
                round: 1,
                seed: 1,
                trace: None,
            };
            let site = Site {
                server_binary: diverted(directory.path(), elsewhere),
                directory: directory.path().to_owned(),
                server_cores: Vec::new(),
                generator_cores: Vec::new(),
            };
            let record = soon(trial::run(&trial, &site)).await.unwrap();
            let reasons = &record.invalid;
            assert!(
                reasons
                    .iter()
                    .any(|reason| reason.contains("was asked for, and `HTTP/1")),
                "{transport}: {reasons:?}"
            );
            assert!(
                !reasons.iter().any(|reason| reason.contains("live streams")),
                "{reasons:?}"
            );
            assert!(!record.settings.contains_key("path"), "{transport}");
        }
    }
}

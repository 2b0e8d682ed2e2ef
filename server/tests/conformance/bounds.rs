//! Every bound on what a client sends, on how many there are, and on how long one may sit still.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use pushbench_server::{
    config::Config,
    contract::{clock::now_ns, notice::Notice},
    counters::{Counter, Counters},
    limits::Limits,
    server::Server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use super::support::{Answer, Running, soon, start};

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..Config::default()
    }
}

#[tokio::test]
async fn heads_too_large_or_unreadable_are_refused_and_counted() {
    let server = start(Config::default()).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(16 * 1_024));
    let many = "X-Many: 1\r\n".repeat(101);
    for (request, status) in [
        (server.request("GET", "/health", &long), 431),
        (server.request("GET", "/health", &many), 431),
        (
            server.request("GET", &format!("/{}", "x".repeat(17 * 1_024)), ""),
            431,
        ),
        ("GET /health HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nNo colon\r\n\r\n".to_owned(), 400),
    ] {
        let answer = server.ask(&request).await;
        assert_eq!(answer.status, status, "{:.60}", request);
    }
    server
        .until("six heads counted", |s| {
            s.count(Counter::RefusedHeaders) == 6
        })
        .await;
    let most = "X-Many: 1\r\n".repeat(98);
    let answer = server.ask(server.request("GET", "/health", &most)).await;
    assert_eq!(answer.status, 200, "100 header fields are allowed");
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_come_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let server = start(limited(Limits {
        header_time: short,
        body_time: short,
        ..Limits::default()
    }))
    .await;
    for part in ["", "GET /health HTTP/1.1\r\nHost: local"] {
        let answer = server.ask(part).await;
        assert!(matches!(answer.status, 0 | 408), "{answer:?}");
    }
    server
        .until("both counted", |s| s.count(Counter::RefusedHeaders) == 2)
        .await;
    for target in ["/sse/chat", "/sse/feed", "/fetch-sse", "/api/gpt/get"] {
        let headers = "Content-Type: application/json\r\nContent-Length: 9\r\n";
        let answer = server
            .ask(server.request("POST", target, headers) + "{\"half\"")
            .await;
        assert_eq!(answer.status, 408, "{target}");
        assert!(!answer.error().is_empty());
    }
    assert_eq!(server.count(Counter::RefusedBodies), 4);
}

#[tokio::test]
async fn bodies_too_large_or_not_json_are_refused_and_counted() {
    let server = start(limited(Limits {
        body_bytes: 100,
        ..Limits::default()
    }))
    .await;
    let long = format!("{{\"prompt\":\"{}\"}}", "x".repeat(100));
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let mut refused = 0;
    for target in ["/sse/chat", "/sse/feed", "/fetch-sse", "/api/gpt/get"] {
        let chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
        let answers = [
            (413, server.post(target, "application/json", &long).await),
            (
                413,
                server
                    .ask(server.request("POST", target, chunked) + &chunks)
                    .await,
            ),
            (
                400,
                server.post(target, "application/json", "{\"half").await,
            ),
            (400, server.post(target, "application/json", "").await),
        ];
        refused += answers.len() as u64;
        for (status, answer) in answers {
            assert_eq!(answer.status, status, "{target}: {answer:?}");
            assert!(!answer.error().is_empty());
        }
    }
    for (status, body) in [(422, "{\"unknown\":1}"), (422, "{\"tokens\":\"many\"}")] {
        let answer = server.post("/sse/chat", "application/json", body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(!answer.error().is_empty());
    }
    let answer = server.post("/sse/chat", "text/plain", "{}").await;
    assert_eq!(answer.status, 415);
    assert!(!answer.error().is_empty());
    assert_eq!(server.count(Counter::RefusedBodies), refused + 3);
}

#[tokio::test]
async fn who_sends_far_too_much_still_hears_why() {
    let server = start(Config::default()).await;
    for (bytes, waits) in [(8 << 20, ""), (1 << 40, "Expect: 100-continue\r\n")] {
        let headers =
            format!("Content-Type: application/json\r\nContent-Length: {bytes}\r\n{waits}");
        let mut stream = server.connect().await;
        let request = server.request("POST", "/sse/chat", &headers);
        stream.write_all(request.as_bytes()).await.unwrap();
        if waits.is_empty() {
            soon("all written", stream.write_all(&vec![b' '; bytes]))
                .await
                .unwrap();
        }
        let answer = Answer::read(&mut stream).await;
        assert_eq!(answer.status, 413);
        assert!(answer.error().contains("65536"), "{answer:?}");
    }
}

type Client = WebSocketStream<TcpStream>;

async fn next(client: &mut Client) -> Option<Message> {
    let message = soon("a WebSocket message", client.next()).await?;
    message.ok()
}

/// The code of the close that comes next.
async fn closed(client: &mut Client) -> CloseCode {
    match next(client).await {
        Some(Message::Close(Some(close))) => close.code,
        other => panic!("expected a close, got {other:?}"),
    }
}

fn frame(opcode: Data, payload: &[u8]) -> Message {
    let payload = payload.to_vec();
    Message::Frame(Frame::message(payload, OpCode::Data(opcode), true))
}

#[tokio::test]
async fn websocket_messages_that_break_the_rules_are_closed_with_the_reason() {
    let limits = Limits {
        message_bytes: 1_000,
        ..Limits::default()
    };
    let server = start(limited(limits)).await;
    for (n, (message, code)) in [
        (Message::binary(b"{}".as_slice()), CloseCode::Unsupported),
        (Message::text("x".repeat(1_001)), CloseCode::Size),
        // More than the sockets' buffers hold: the sender is still writing when it is refused.
        (Message::text("x".repeat(32 << 20)), CloseCode::Size),
        (frame(Data::Text, b"\xff\xfe"), CloseCode::Invalid),
        // A continuation of nothing.
        (frame(Data::Continue, b"{}"), CloseCode::Protocol),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = server.websocket(None).await.unwrap();
        client.send(message).await.unwrap();
        assert_eq!(closed(&mut client).await, code);
        assert_eq!(server.count(Counter::RefusedBodies), n as u64 + 1);
    }
}

#[tokio::test]
async fn asks_that_cannot_be_served_are_refused_and_the_connection_lives_on() {
    let server = start(Config::default()).await;
    let mut client = server.websocket(None).await.unwrap();
    for ask in [
        "",
        "{",
        "null",
        r#"{"chat":{"unknown":1}}"#,
        r#"{"chat":{"tokens":9000}}"#,
        r#"{"chat":{"after":"1-99-1"}}"#,
        r#"{"feed":{},"chat":{}}"#,
    ] {
        client.send(Message::text(ask)).await.unwrap();
        let answer = next(&mut client).await.unwrap().into_text().unwrap();
        let notice = Notice::decode(&answer).unwrap();
        assert!(matches!(notice, Notice::Refused { .. }), "{ask}: {answer}");
    }
    let refused = server.count(Counter::RefusedBodies) + server.count(Counter::RefusedAsks);
    assert_eq!(refused, 7);
    client.send(Message::text(r#"{"feed":{}}"#)).await.unwrap();
    let answer = next(&mut client).await.unwrap().into_text().unwrap();
    assert!(matches!(Notice::decode(&answer), Ok(Notice::Hello { .. })));
}

#[tokio::test]
async fn a_peer_that_is_merely_gone_has_sent_nothing_bad() {
    let server = start(Config::default()).await;
    for _ in 0..3 {
        drop(server.websocket(None).await.unwrap());
    }
    server
        .until("all left", |s| s.count(Counter::Closed) == 3)
        .await;
    assert_eq!(server.count(Counter::RefusedBodies), 0);
}

/// A handshake that finds the queue full is dropped and tried again a second later, which would be
/// measured as time to reconnect.
#[tokio::test]
async fn a_herd_may_wait_to_be_accepted() {
    let config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        ..Config::default()
    };
    // Listens, and does not accept.
    let server = Server::bind(config, Counters::private().unwrap())
        .await
        .unwrap();
    let mut herd = Vec::new();
    for _ in 0..600 {
        let connecting = TcpStream::connect(server.addresses()[0]);
        herd.push(soon("a place in the queue", connecting).await.unwrap());
    }
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_served() {
    let server = start(limited(Limits {
        connections: 3,
        ..Limits::default()
    }))
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(Answer::first(&mut stream).await.status, 200);
        held.push(stream);
    }
    for _ in 0..5 {
        let mut stream = server.connect().await;
        let mut byte = [0];
        let read = soon("the refusal", stream.read(&mut byte)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    assert_eq!(server.count(Counter::RefusedConnections), 5);
    assert_eq!(server.count(Counter::Accepted), 3);
    held.pop();
    server
        .until("one has left", |s| s.shared.register.live() == 2)
        .await;
    assert_eq!(server.get("/health").await.status, 200);
}

/// Publishes until the one subscriber, who never reads, is reset.
async fn stall(server: &Running) {
    let text = "x".repeat(64 * 1_024);
    server
        .until("subscribed", |s| s.count(Counter::Subscribed) == 1)
        .await;
    server
        .until("the stalled reader is reset", |s| {
            s.shared.feed.publish(now_ns(), &text);
            s.count(Counter::ClosedStalled) == 1
        })
        .await;
    server
        .until("it is gone", |s| s.count(Counter::Unsubscribed) == 1)
        .await;
    server
        .until("its connection too", |s| s.shared.register.live() == 0)
        .await;
}

fn impatient() -> Config {
    limited(Limits {
        write_stall: Duration::from_millis(100),
        feed_history: 4,
        ..Limits::default()
    })
}

#[tokio::test]
async fn an_sse_reader_that_stops_reading_is_reset() {
    let server = start(impatient()).await;
    let mut stream = server.connect().await;
    let request = server.request("GET", "/sse/feed", "");
    stream.write_all(request.as_bytes()).await.unwrap();
    stall(&server).await;
    let mut read = Vec::new();
    assert!(stream.read_to_end(&mut read).await.is_err(), "not a reset");
}

#[tokio::test]
async fn a_websocket_reader_that_stops_reading_is_reset() {
    let server = start(impatient()).await;
    let mut client = server.websocket(None).await.unwrap();
    client.send(Message::text(r#"{"feed":{}}"#)).await.unwrap();
    stall(&server).await;
    let end = loop {
        match soon("the reset", client.next()).await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            end,
            tungstenite::Error::Io(_) | tungstenite::Error::Protocol(_)
        ),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_slow_reader_that_reads_on_is_told_what_was_dropped() {
    let server = start(limited(Limits {
        feed_history: 4,
        ..Limits::default()
    }))
    .await;
    let mut client = server.websocket(None).await.unwrap();
    client
        .send(Message::text(r#"{"feed":{"subscriber":1}}"#))
        .await
        .unwrap();
    server
        .until("subscribed", |s| s.count(Counter::Subscribed) == 1)
        .await;
    // No await between: the connection's task cannot run, so the log overtakes it.
    (0..10).for_each(|n| server.shared.feed.publish(n, "x"));
    server.shared.feed.end(false);
    let (mut received, mut dropped) = (0, 0);
    loop {
        let text = next(&mut client).await.unwrap().into_text().unwrap();
        match Notice::decode(&text) {
            Ok(Notice::Dropped { count }) => dropped += count,
            Ok(Notice::End { .. }) => break,
            Ok(_) => {}
            Err(_) => received += 1,
        }
    }
    assert_eq!((received, dropped), (4, 6));
    assert_eq!(server.count(Counter::Owed), received + dropped);
    assert_eq!(server.count(Counter::Dropped), dropped);
}

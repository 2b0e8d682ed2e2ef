//! The floors as strangers meet them: what they refuse, what they bound, what they write.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pushbench_server::{
    config::Config,
    contract::{
        clock::now_ns,
        framing,
        notice::Notice,
        websocket::{self, Opcode},
    },
    counters::Counter,
    limits::Limits,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use super::support::{Answer, Running, soon, start};

const FEED: &str = "POST /feed HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn connect(server: &Running) -> TcpStream {
    soon("connect", TcpStream::connect(server.bare))
        .await
        .unwrap()
}

async fn websocket(server: &Running) -> WebSocketStream<TcpStream> {
    let opened = client_async(format!("ws://{}/ws", server.bare), connect(server).await);
    soon("an upgrade", opened).await.unwrap().0
}

/// Sends bytes and reads until the server closes.
async fn say(server: &Running, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = connect(server).await;
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    answer
}

/// A stream of the feed on each floor, its hello read.
async fn streams(server: &Running) -> [TcpStream; 3] {
    let mut streams = [
        connect(server).await,
        connect(server).await,
        connect(server).await,
    ];
    let ask = "{\"feed\":{}}";
    let masked = websocket::frame(Opcode::Text, ask.as_bytes(), Some([1, 2, 3, 4]));
    let asks = [
        FEED.as_bytes().to_vec(),
        [UPGRADE.as_bytes(), &masked].concat(),
        framing::prefixed(ask).to_vec(),
    ];
    for (stream, ask) in streams.iter_mut().zip(asks) {
        stream.write_all(&ask).await.unwrap();
        let mut read = Vec::new();
        while !read.windows(9).any(|bytes| bytes == b"retry_ms\"") {
            soon("a hello", stream.read_buf(&mut read)).await.unwrap();
        }
    }
    streams
}

#[tokio::test]
async fn requests_that_are_none_of_a_floors_are_refused_and_counted() {
    let server = start(Config::default()).await;
    let large = format!(
        "POST /feed HTTP/1.1\r\ncontent-length: {}\r\n\r\n",
        64 * 1_024 + 1
    );
    for (request, status, counter) in [
        ("PUT /feed HTTP/1.1\r\n\r\n", 404, Counter::RefusedHeaders),
        ("POST / HTTP/1.1\r\n\r\n", 404, Counter::RefusedHeaders),
        ("POST /feed HTTP/1.0\r\n\r\n", 505, Counter::RefusedHeaders),
        ("POST /feed\r\n\r\n", 400, Counter::RefusedHeaders),
        ("POST /feed HTTP/1.1\r\n\r\n", 411, Counter::RefusedBodies),
        (
            "POST /feed HTTP/1.1\r\ncontent-length: +1\r\n\r\n",
            411,
            Counter::RefusedBodies,
        ),
        (
            "POST /feed HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            411,
            Counter::RefusedBodies,
        ),
        (&large, 413, Counter::RefusedBodies),
        (
            "POST /feed HTTP/1.1\r\norigin: null\r\n\r\n",
            403,
            Counter::RefusedOrigins,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 404, Counter::RefusedUpgrades),
        ("GET /ws HTTP/1.1\r\n\r\n", 426, Counter::RefusedUpgrades),
        (&UPGRADE.replace("13", "8"), 426, Counter::RefusedUpgrades),
        (&UPGRADE.replace("dGhl", ""), 400, Counter::RefusedUpgrades),
        (
            &UPGRADE.replace("upgrade: W", "origin: http://localhost\r\nupgrade: W"),
            403,
            Counter::RefusedOrigins,
        ),
    ] {
        let before = server.count(counter);
        let mut stream = connect(&server).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = Answer::first(&mut stream).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(!answer.error().is_empty(), "{request}");
        assert_eq!(
            answer
                .header("connection")
                .map(|value| value.ends_with("close")),
            Some(true)
        );
        assert_eq!(server.count(counter), before + 1, "{request}");
    }
    assert!(say(&server, "SSH-2.0-x\r\n").await.is_empty());
    assert_eq!(server.count(Counter::Subscribed), 0);
}

#[tokio::test]
async fn what_does_not_come_in_time_is_not_waited_for_and_an_idle_websocket_is() {
    let server = start(Config {
        limits: Limits {
            header_time: Duration::from_millis(50),
            ..Limits::default()
        },
        ..Config::default()
    })
    .await;
    let mut idle = websocket(&server).await;
    for part in [
        &b""[..],
        b"POST /feed HT",
        &FEED.as_bytes()[..FEED.len() - 1],
        b"GET /ws",
        b"\0\0\0",
    ] {
        assert!(say(&server, part).await.is_empty(), "{part:?}");
    }
    assert_eq!(server.count(Counter::RefusedHeaders), 5);
    idle.send(Message::text("{\"feed\":{}}")).await.unwrap();
    let hello = soon("a hello", idle.next()).await.unwrap().unwrap();
    assert!(hello.to_text().unwrap().starts_with(Notice::PREFIX));
}

#[tokio::test]
async fn frames_against_the_standard_close_with_the_code_that_names_them() {
    let server = start(Config::default()).await;
    let mask = Some([9, 8, 7, 6]);
    let large = vec![b'x'; 64 * 1_024 + 1];
    let mut piece = websocket::frame(Opcode::Text, b"{}", mask).to_vec();
    piece[0] &= 0x7F;
    let frames = [
        (websocket::frame(Opcode::Text, b"{}", None).to_vec(), 1002),
        (vec![0xF1, 0x80, 0, 0, 0, 0], 1002),
        (websocket::frame(Opcode::Binary, b"{}", mask).to_vec(), 1003),
        (piece, 1003),
        (websocket::frame(Opcode::Text, b"\xFF", mask).to_vec(), 1007),
        (websocket::frame(Opcode::Text, &large, mask).to_vec(), 1009),
    ];
    let count = frames.len() as u64;
    for (frame, code) in frames {
        let answer = say_until_closed(&server, &[UPGRADE.as_bytes(), &frame].concat()).await;
        let (head, close) = answer.split_at(head_end(&answer));
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        assert_eq!(close[0], 0x88, "{code}");
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), code);
    }
    assert_eq!(server.count(Counter::RefusedBodies), count);
    let long = say_until_closed(&server, &u32::to_be_bytes(64 * 1_024 + 1)).await;
    assert!(long[4..].starts_with(b"{\"notice\":\"refused\""));
    assert_eq!(server.count(Counter::RefusedBodies), count + 1);
}

fn head_end(answer: &[u8]) -> usize {
    answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap()
        + 4
}

/// The same, and waits until the server has closed too.
async fn say_until_closed(server: &Running, bytes: &[u8]) -> Vec<u8> {
    let answer = say(server, bytes).await;
    server
        .until("nobody is left", |s| s.shared.register.live() == 0)
        .await;
    answer
}

#[tokio::test]
async fn a_ping_is_answered_amid_a_stream_and_a_close_by_a_close() {
    let server = start(Config::default()).await;
    let mut client = websocket(&server).await;
    client.send(Message::text("{\"feed\":{}}")).await.unwrap();
    soon("a hello", client.next()).await.unwrap().unwrap();
    client.send(Message::Ping("x".into())).await.unwrap();
    let pong = soon("a pong", client.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("x".into()));
    server.shared.feed.publish(1, "y");
    assert!(
        soon("a message", client.next())
            .await
            .unwrap()
            .unwrap()
            .is_text()
    );
    client.close(None).await.unwrap();
    let answer = soon("a close", client.next()).await.unwrap().unwrap();
    assert!(answer.is_close());
    server
        .until("it is gone", |s| s.count(Counter::Unsubscribed) == 1)
        .await;
}

#[tokio::test]
async fn what_is_ready_goes_in_one_write_and_is_framed_by_the_least_there_is() {
    let server = start(Config::default()).await;
    let mut streams = streams(&server).await;
    (0..10).for_each(|n| {
        server
            .shared
            .feed
            .publish(n, "0123456789".repeat(n as usize).as_str())
    });
    server
        .until("all handed over", |s| s.count(Counter::HandedOver) == 30)
        .await;
    server.shared.feed.end(false);
    let mut bytes = Vec::new();
    for stream in &mut streams {
        let mut read = Vec::new();
        while !read.windows(9).any(|bytes| bytes == b"cancelled") {
            soon("the rest", stream.read_buf(&mut read)).await.unwrap();
        }
        bytes.push(String::from_utf8_lossy(&read).into_owned());
    }
    assert_eq!(server.count(Counter::Writes), 3, "one a floor");
    // Payload by payload: what stands before each is the framing.
    for text in &bytes {
        assert_eq!(text.matches("{\"stream\":0").count(), 10, "{text}");
    }
    assert!(bytes[0].contains("}\n\n\r\n") && bytes[0].ends_with("\n\n\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_reset_on_every_floor() {
    let server = start(Config {
        limits: Limits {
            write_stall: Duration::from_millis(100),
            feed_history: 4,
            ..Limits::default()
        },
        ..Config::default()
    })
    .await;
    let streams = streams(&server).await;
    let text = "x".repeat(64 * 1_024);
    server
        .until("all are reset", |s| {
            s.shared.feed.publish(now_ns(), &text);
            s.count(Counter::ClosedStalled) == 3
        })
        .await;
    server
        .until("all are gone", |s| s.count(Counter::Closed) == 3)
        .await;
    assert_eq!(server.count(Counter::Unsubscribed), 3);
    for mut stream in streams {
        assert!(
            stream.read_to_end(&mut Vec::new()).await.is_err(),
            "not a reset"
        );
    }
}

#[tokio::test]
async fn a_stop_ends_streams_properly_and_a_websocket_with_1001() {
    let server = start(Config::default()).await;
    let mut client = websocket(&server).await;
    client.send(Message::text("{\"feed\":{}}")).await.unwrap();
    let [mut sse, websocket, mut raw] = streams(&server).await;
    drop(websocket);
    let shared = server.shared.clone();
    let hear = async {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = client.next().await {
            heard.push(message);
        }
        let (mut events, mut lengths) = (Vec::new(), Vec::new());
        sse.read_to_end(&mut events).await.unwrap();
        raw.read_to_end(&mut lengths).await.unwrap();
        (heard, events, lengths)
    };
    let ((), (heard, events, lengths)) = tokio::join!(server.stop(), hear);
    let [.., end, Message::Close(Some(close))] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    let notice = Notice::decode(end.to_text().unwrap()).unwrap();
    assert!(matches!(
        notice,
        Notice::End {
            cancelled: true,
            ..
        }
    ));
    assert_eq!(close.code, CloseCode::Away);
    assert!(events.ends_with(b"\r\n0\r\n\r\n"));
    assert!(lengths[4..].starts_with(b"{\"notice\":\"end\""));
    assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
}

//! HTTP/2: how a connection is told to be one, extended CONNECT, its bounds, and what a message costs.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http2, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pushbench_server::{
    config::Config,
    contract::{clock::now_ns, notice::Notice},
    counters::Counter,
    limits::Limits,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{Running, soon, start};

/// A client by hyper's library, one connection.
pub struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    origin: String,
}

impl Client {
    pub async fn connect(server: &Running) -> Self {
        let stream = TokioIo::new(server.connect().await);
        let shaken = http2::handshake(TokioExecutor::new(), stream);
        let (sender, connection) = soon("a handshake", shaken).await.unwrap();
        tokio::spawn(connection);
        let origin = format!("http://{}", server.address);
        let mut client = Self { sender, origin };
        // With its answer the settings have come: before, an extended CONNECT may not be sent.
        let health = client.request("GET", "/health");
        assert_eq!(client.send(health).await.status(), 200);
        client
    }

    pub fn request(&self, method: &str, target: &str) -> Request<Full<Bytes>> {
        let request = Request::builder().method(method);
        let request = request.uri(format!("{}{target}", self.origin));
        request.body(Full::default()).unwrap()
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let response = soon("a response", self.sender.send_request(request)).await;
        response.unwrap()
    }

    /// A whole body, and the status before it.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> (u16, String) {
        let response = self.send(request).await;
        let status = response.status().as_u16();
        let body = soon("a body", response.into_body().collect()).await;
        let body = body.unwrap().to_bytes().to_vec();
        (status, String::from_utf8(body).unwrap())
    }

    /// A well-formed extended CONNECT.
    pub fn websocket(&self) -> Request<Full<Bytes>> {
        let mut request = self.request("CONNECT", "/ws");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-version", "13".parse().unwrap());
        let protocol = Protocol::from_static("websocket");
        request.extensions_mut().insert(protocol);
        request
    }
}

#[tokio::test]
async fn a_connection_is_told_by_its_first_bytes_however_they_are_cut() {
    let server = start(Config::default()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for cut in [1, 2, 3, 4, 5, 24] {
        let mut stream = server.connect().await;
        stream.write_all(&preface[..cut]).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&preface[cut..]).await.unwrap();
        let mut head = [0; 9];
        soon("settings", stream.read_exact(&mut head))
            .await
            .unwrap();
        assert_eq!(head[3], SETTINGS, "cut at {cut}");
    }
    // Other methods begin alike.
    for method in ["POST", "PUT", "PRINT", "PRI"] {
        let request = server.request(method, "/nothing", "");
        let mut stream = server.connect().await;
        stream.write_all(&request.as_bytes()[..1]).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&request.as_bytes()[1..]).await.unwrap();
        // `PRI` is HTTP/2's own, and what follows it here is not.
        let status = if method == "PRI" { 0 } else { 404 };
        assert_eq!(Raw::status(&mut stream).await, status, "{method}");
    }
    // Who leaves in the middle is not waited for.
    let mut stream = server.connect().await;
    stream.write_all(b"PR").await.unwrap();
    stream.shutdown().await.unwrap();
    let gone = soon("its end", stream.read_to_end(&mut Vec::new())).await;
    assert!(gone.is_ok());
}

#[tokio::test]
async fn a_websocket_is_opened_by_extended_connect_and_by_nothing_else() {
    let server = start(Config::default()).await;
    let mut client = Client::connect(&server).await;
    let opened = client.websocket();
    let opened = client.send(opened).await;
    assert_eq!(opened.status(), 200);

    let mut refused = 0;
    let mut refuse = async |request, status| {
        let (came, body) = client.ask(request).await;
        assert_eq!(came, status, "{body}");
        assert!(body.contains("\"error\""), "{body}");
        refused += 1;
        assert_eq!(server.count(Counter::RefusedUpgrades), refused);
    };
    let origin = format!("http://{}", server.address);
    let request = |method: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("{origin}/ws"));
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let connect = |protocol: &'static str, version: &str| {
        let mut connect = request("CONNECT");
        let version = version.parse().unwrap();
        connect
            .headers_mut()
            .insert("sec-websocket-version", version);
        let protocol = Protocol::from_static(protocol);
        connect.extensions_mut().insert(protocol);
        connect
    };
    refuse(request("GET"), 405).await;
    refuse(request("POST"), 405).await;
    refuse(connect("webtransport", "13"), 501).await;
    refuse(connect("websocket", "8"), 400).await;
    refuse(connect("websocket", "13, 8"), 400).await;

    for (origin, status) in [(origin.as_str(), 200), ("http://evil.example", 403)] {
        let mut asked = connect("websocket", "13");
        let headers = asked.headers_mut();
        headers.insert("origin", origin.parse().unwrap());
        assert_eq!(client.send(asked).await.status(), status, "{origin}");
    }
    assert_eq!(server.count(Counter::RefusedOrigins), 1);
    // Elsewhere nothing is connected to.
    let mut elsewhere = connect("websocket", "13");
    *elsewhere.uri_mut() = format!("{origin}/sse/feed").parse().unwrap();
    assert_eq!(client.ask(elsewhere).await.0, 405);
}

#[tokio::test]
async fn a_foreign_authority_is_refused_and_counted() {
    let server = start(Config::default()).await;
    let mut client = Client::connect(&server).await;
    let own = format!("http://{}", server.address);
    for (origin, host, status) in [
        ("http://localhost:1", None, 200),
        ("http://evil.example", None, 421),
        ("http://evil.example", Some("localhost"), 421),
        (own.as_str(), Some("evil.example"), 421),
        (own.as_str(), Some("localhost"), 200),
        (own.as_str(), Some("a b"), 400),
    ] {
        let mut request = Request::builder().uri(format!("{origin}/health"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (came, _) = client.ask(request.body(Full::default()).unwrap()).await;
        assert_eq!(came, status, "{origin} {host:?}");
    }
    assert_eq!(server.count(Counter::RefusedHosts), 4);
}

#[tokio::test]
async fn heads_too_large_are_refused_and_counted() {
    let server = start(Config::default()).await;
    let mut client = Client::connect(&server).await;
    let with = |client: &Client, count: usize, bytes: usize| {
        let mut request = client.request("GET", "/health");
        for n in 0..count {
            let name: hyper::header::HeaderName = format!("x-{n}").parse().unwrap();
            let value = "x".repeat(bytes).parse().unwrap();
            request.headers_mut().insert(name, value);
        }
        request
    };
    for (count, bytes, status) in [
        (100, 1, 200),
        (101, 1, 431),
        (1, 16_000, 200),
        (1, 16_384, 431),
    ] {
        let request = with(&client, count, bytes);
        assert_eq!(
            client.ask(request).await.0,
            status,
            "{count} of {bytes} bytes"
        );
    }
    assert_eq!(server.count(Counter::RefusedHeaders), 2);
}

#[tokio::test]
async fn who_asks_for_nothing_is_not_waited_for() {
    let server = start(Config {
        limits: Limits {
            header_time: Duration::from_millis(50),
            ..Limits::default()
        },
        ..Config::default()
    })
    .await;
    for (n, part) in ["", "PR", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        .into_iter()
        .enumerate()
    {
        let mut stream = server.connect().await;
        stream.write_all(part.as_bytes()).await.unwrap();
        // It may have been told the settings.
        let _ = soon("its end", stream.read_to_end(&mut Vec::new())).await;
        server
            .until("it is counted", |s| {
                s.count(Counter::RefusedHeaders) == n as u64 + 1
            })
            .await;
    }
    // Who has asked may take its time.
    let mut raw = Raw::connect(&server).await;
    raw.get(1, "/sse/feed").await;
    raw.frame_of(DATA).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    server.shared.feed.publish(now_ns(), "x");
    raw.frame_of(DATA).await;
    assert_eq!(server.count(Counter::RefusedHeaders), 4);
}

#[tokio::test]
async fn what_is_no_http2_after_its_preface_is_refused_and_counted() {
    let server = start(Config::default()).await;
    let mut raw = Raw::connect(&server).await;
    // A frame for a stream that there cannot be.
    raw.send(DATA, 0, 0, b"x").await;
    raw.frame_of(GOAWAY).await;
    server
        .until("it is counted", |s| s.count(Counter::RefusedHeaders) == 1)
        .await;
}

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..Config::default()
    }
}

#[tokio::test]
async fn no_more_streams_than_allowed_are_open() {
    let limits = Limits {
        streams_per_connection: 2,
        ..Limits::default()
    };
    let server = start(limited(limits)).await;
    let mut raw = Raw::connect(&server).await;
    for stream in [1, 3, 5] {
        raw.get(stream, "/sse/feed").await;
    }
    let reset = raw.frame_of(RST_STREAM).await;
    assert_eq!(
        (reset.stream, reset.payload),
        (5, vec![0, 0, 0, REFUSED_STREAM])
    );
    server
        .until("two are subscribed", |s| s.count(Counter::Subscribed) == 2)
        .await;
    // One ends, and there is room.
    raw.send(RST_STREAM, 0, 1, &[0, 0, 0, CANCEL]).await;
    server
        .until("one has left", |s| s.count(Counter::Unsubscribed) == 1)
        .await;
    raw.get(7, "/sse/feed").await;
    server
        .until("another is there", |s| s.count(Counter::Subscribed) == 3)
        .await;

    // Over all connections together.
    let limits = Limits {
        streams: 2,
        ..Limits::default()
    };
    let server = start(limited(limits)).await;
    let mut client = Client::connect(&server).await;
    let mut held = Vec::new();
    for status in [200, 200, 503] {
        let request = client.request("GET", "/sse/feed");
        let response = client.send(request).await;
        assert_eq!(response.status(), status);
        held.push(response);
    }
    let request = client.request("GET", "/sse/chat");
    assert_eq!(client.send(request).await.status(), 503);
    assert_eq!(server.count(Counter::RefusedAsks), 2);
}

#[tokio::test]
async fn a_reader_that_stops_reading_one_stream_of_several_is_reset() {
    let server = start(limited(Limits {
        write_stall: Duration::from_millis(100),
        feed_history: 4,
        ..Limits::default()
    }))
    .await;
    for target in ["/sse/feed", "/ws"] {
        let mut client = Client::connect(&server).await;
        // Held and never read, while the connection answers others.
        let asked = if target == "/ws" {
            client.websocket()
        } else {
            client.request("GET", target)
        };
        let response = client.send(asked).await;
        let _held = Held::of(response, target == "/ws").await;
        let before = server.count(Counter::ClosedStalled);
        let text = "x".repeat(64 * 1_024);
        server
            .until("subscribed", |s| {
                s.shared.meters.counters.live_streams() == 1
            })
            .await;
        let mut asking = client.sender.clone();
        let others = async {
            loop {
                let request = client.request("GET", "/health");
                if asking.send_request(request).await.is_err() {
                    return;
                }
            }
        };
        let stall = server.until("the stalled reader is reset", |s| {
            s.shared.feed.publish(now_ns(), &text);
            s.count(Counter::ClosedStalled) == before + 1
        });
        let ((), ()) = tokio::join!(others, stall);
        server
            .until("it is gone", |s| s.shared.register.live() == 0)
            .await;
    }
}

/// A response that is not read.
enum Held {
    Stream { _response: Response<Incoming> },
    WebSocket { _upgraded: hyper::upgrade::Upgraded },
}

impl Held {
    async fn of(response: Response<Incoming>, websocket: bool) -> Self {
        assert_eq!(response.status(), 200);
        if !websocket {
            return Self::Stream {
                _response: response,
            };
        }
        let upgraded = soon("an upgrade", hyper::upgrade::on(response)).await;
        let mut stream = TokioIo::new(upgraded.unwrap());
        // `{"feed":{}}`, masked with nothing.
        let ask = [&b"\x81\x8b\0\0\0\0"[..], b"{\"feed\":{}}"].concat();
        stream.write_all(&ask).await.unwrap();
        Self::WebSocket {
            _upgraded: stream.into_inner(),
        }
    }
}

#[tokio::test]
async fn a_stop_is_announced_and_no_stream_is_torn() {
    let server = start(Config::default()).await;
    let mut raw = Raw::connect(&server).await;
    raw.get(1, "/sse/feed").await;
    raw.get(
        3,
        "/sse/chat?tokens=2&first_token_us=1&token_gap_us=1700000000",
    )
    .await;
    server
        .until("both are subscribed", |s| s.count(Counter::Subscribed) == 2)
        .await;
    let idle = Client::connect(&server).await;
    let shared = server.shared.clone();
    let reading = async {
        let mut frames = Vec::new();
        while let Some(frame) = raw.frame().await {
            if frame.kind == PING && frame.flags == 0 {
                // So the server learns what was on its way when it said that it goes.
                raw.send(PING, ACK, 0, &frame.payload).await;
            }
            frames.push(frame);
        }
        frames
    };
    let ((), frames) = tokio::join!(server.stop(), reading);
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY));
    for stream in [1, 3] {
        let data: Vec<_> = frames
            .iter()
            .filter(|frame| frame.kind == DATA && frame.stream == stream)
            .collect();
        let (last, before) = data.split_last().unwrap();
        assert_eq!((last.flags, last.payload.len()), (END_STREAM, 0));
        let body = String::from_utf8(before.last().unwrap().payload.clone()).unwrap();
        let (_, notice) = body.trim_end().rsplit_once("data: ").unwrap();
        assert!(matches!(
            Notice::decode(notice),
            Ok(Notice::End {
                cancelled: true,
                ..
            })
        ));
    }
    assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
    drop(idle);
}

#[tokio::test]
async fn a_message_is_one_data_frame_in_one_write() {
    const MESSAGES: u64 = 20;
    let server = start(Config::default()).await;
    for (target, beside) in [
        ("/sse/feed?resume=false", "data: \n\n"),
        ("/ndjson/feed", "\n"),
    ] {
        let mut raw = Raw::connect(&server).await;
        if target == "/ndjson/feed" {
            raw.post(1, target).await;
        } else {
            raw.get(1, target).await;
        }
        raw.frame_of(DATA).await;
        let (writes, messages) = (
            server.count(Counter::Writes),
            server.count(Counter::HandedOver),
        );
        for _ in 0..MESSAGES {
            server.shared.feed.publish(now_ns(), "好");
            let frame = raw.frame().await.unwrap();
            assert_eq!((frame.kind, frame.flags), (DATA, 0));
            let payload = frame.payload.len() - beside.len();
            let text = String::from_utf8(frame.payload).unwrap();
            assert!(text.ends_with('\n') && text.contains("好"), "{text}");
            assert!(payload > 0 && text.len() == payload + beside.len());
        }
        assert_eq!(server.count(Counter::Writes) - writes, MESSAGES);
        assert_eq!(server.count(Counter::HandedOver) - messages, MESSAGES);
        // What piles up goes together.
        (0..MESSAGES).for_each(|n| server.shared.feed.publish(n, "x"));
        for _ in 0..MESSAGES {
            assert_eq!(raw.frame().await.unwrap().kind, DATA);
        }
        assert_eq!(server.count(Counter::Writes) - writes, MESSAGES + 1);
        drop(raw);
        server
            .until("it has left", |s| s.shared.register.live() == 0)
            .await;
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u8 = 7;
const CANCEL: u8 = 8;

/// A client that writes frames by hand (RFC 9113 §4.1).
struct Raw {
    stream: TcpStream,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u8,
    payload: Vec<u8>,
}

impl Raw {
    async fn connect(server: &Running) -> Self {
        let mut stream = server.connect().await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        stream.write_all(preface).await.unwrap();
        let mut raw = Self { stream };
        raw.send(SETTINGS, 0, 0, &[]).await;
        raw.frame_of(SETTINGS).await;
        raw.send(SETTINGS, ACK, 0, &[]).await;
        raw
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        let head = [&length[..], &[kind, flags, 0, 0, 0, stream]].concat();
        let frame = [&head[..], payload].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Fields of RFC 7541's static table: a method, `http`, a path and an authority that are not indexed.
    async fn head(&mut self, stream: u8, method: u8, target: &str, more: &[u8], ended: u8) {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let fields = [
            &[method, 0x86, 0x04],
            &text(target)[..],
            &[0x01],
            &text("localhost"),
            more,
        ];
        self.send(HEADERS, END_HEADERS | ended, stream, &fields.concat())
            .await;
    }

    async fn get(&mut self, stream: u8, target: &str) {
        self.head(stream, 0x82, target, &[], END_STREAM).await;
    }

    async fn post(&mut self, stream: u8, target: &str) {
        let json = [&[0x0f, 0x10, 16], &b"application/json"[..]].concat();
        self.head(stream, 0x83, target, &json, 0).await;
        self.send(DATA, END_STREAM, stream, b"{}").await;
    }

    /// The next frame; none at the connection's end.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon("a frame", self.stream.read_exact(&mut head))
            .await
            .ok()?;
        let [a, b, c, kind, flags, _, _, _, stream] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        soon("its payload", self.stream.read_exact(&mut payload))
            .await
            .ok()?;
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// The next frame of a type.
    async fn frame_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().await.expect("the connection ended");
            if frame.kind == kind && (kind != SETTINGS || frame.flags & ACK == 0) {
                return frame;
            }
        }
    }

    /// The status of an answer in HTTP/1.1, 0 if it is none.
    async fn status(stream: &mut TcpStream) -> u16 {
        let mut bytes = Vec::new();
        let _ = soon("the response's end", stream.read_to_end(&mut bytes)).await;
        if bytes.starts_with(b"HTTP/1.1 ") {
            let status = std::str::from_utf8(&bytes[9..12]).unwrap();
            return status.parse().unwrap();
        }
        0
    }
}

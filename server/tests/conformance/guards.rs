//! Foreign hosts and origins, malformed upgrades, and wrong URLs.

use pushbench_server::{config::Config, counters::Counter};
use tokio_tungstenite::tungstenite;

use super::support::{Answer, start};

#[tokio::test]
async fn a_foreign_host_is_refused_and_counted() {
    let config = Config {
        allow_hosts: vec!["push.example".into()],
        ..Config::default()
    };
    let server = start(config).await;
    let refused = [
        ("GET /health HTTP/1.1\r\nHost: evil.example\r\n", 421),
        ("GET /ws HTTP/1.1\r\nHost: evil.example:3000\r\n", 421),
        ("GET /nothing HTTP/1.1\r\nHost: evil.example\r\n", 421),
        ("OPTIONS /sse HTTP/1.1\r\nHost: evil.example\r\n", 421),
        (
            "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n",
            421,
        ),
        ("GET /health HTTP/1.0\r\nHost: evil.example\r\n", 421),
        ("GET /health HTTP/1.1\r\n", 400),
        (
            "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
            400,
        ),
        ("GET /health HTTP/1.1\r\nHost: a b\r\n", 400),
    ];
    for (head, status) in refused {
        let answer = server.ask(format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{head}");
        assert!(!answer.error().is_empty());
    }
    assert_eq!(server.count(Counter::RefusedHosts), refused.len() as u64);

    for head in [
        "GET /health HTTP/1.1\r\nHost: localhost:1\r\n",
        "GET /health HTTP/1.1\r\nHost: race.localhost\r\n",
        "GET /health HTTP/1.1\r\nHost: [::1]:3000\r\n",
        "GET /health HTTP/1.1\r\nHost: push.example\r\n",
        "GET /health HTTP/1.0\r\n",
    ] {
        let answer = server.ask(format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!((answer.status, &*answer.body), (200, "ok"), "{head}");
    }
    assert_eq!(server.count(Counter::RefusedHosts), refused.len() as u64);
}

#[tokio::test]
async fn a_foreign_origin_may_not_open_a_websocket() {
    let config = Config {
        allow_origins: vec!["https://race.example".into()],
        ..Config::default()
    };
    let server = start(config).await;
    let neighbour = format!("http://127.0.0.1:{}", server.address.port() ^ 1);
    let foreign = ["http://evil.example", "null", "file://", "", &neighbour];
    for origin in foreign {
        let refused = server.websocket(Some(origin)).await.unwrap_err();
        let tungstenite::Error::Http(response) = refused else {
            panic!("{origin}: {refused}");
        };
        assert_eq!(response.status(), 403, "{origin}");
    }
    assert_eq!(server.count(Counter::RefusedOrigins), foreign.len() as u64);

    let (own, own_tls) = (
        format!("http://{}", server.address),
        format!("https://{}", server.address),
    );
    for origin in [
        None,
        Some(&*own),
        Some(&*own_tls),
        Some("https://race.example"),
    ] {
        assert!(server.websocket(origin).await.is_ok(), "{origin:?}");
    }
    assert_eq!(server.count(Counter::RefusedOrigins), foreign.len() as u64);
}

/// A whole upgrade with one header line replaced; an empty replacement leaves it out.
fn upgrade(start: &str, line: &str, replacement: &str) -> String {
    let lines = [
        start,
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut head = String::new();
    for field in lines {
        let field = if !line.is_empty() && field.starts_with(line) {
            replacement
        } else {
            field
        };
        if !field.is_empty() {
            head.push_str(field);
            head.push_str("\r\n");
        }
    }
    head + "\r\n"
}

#[tokio::test]
async fn a_malformed_upgrade_is_refused_and_counted() {
    const GET: &str = "GET /ws HTTP/1.1";
    const KEY: &str = "Sec-WebSocket-Key";
    let server = start(Config::default()).await;
    let refused: &[(&str, &str, &str, u16)] = &[
        ("POST /ws HTTP/1.1", "", "", 405),
        ("OPTIONS /ws HTTP/1.1", "", "", 405),
        ("GET /ws HTTP/1.0", "", "", 400),
        (GET, "Upgrade", "", 426),
        (GET, "Upgrade", "Upgrade: h2c", 426),
        (GET, "Upgrade", "Upgrade: websockets", 426),
        (GET, "Connection", "", 400),
        (GET, "Connection", "Connection: keep-alive", 400),
        (GET, "Connection", "Connection: upgraded", 400),
        (GET, "Sec-WebSocket-Version", "", 426),
        (
            GET,
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Version: 8",
            426,
        ),
        (
            GET,
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Version: 13, 8",
            426,
        ),
        (GET, KEY, "", 400),
        (GET, KEY, "Sec-WebSocket-Key:", 400),
        (GET, KEY, "Sec-WebSocket-Key: not base64 at all!!!", 400),
        // 15, 17 and 12 bytes, and 16 without the padding.
        (GET, KEY, "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2Rl", 400),
        (GET, KEY, "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZmc=", 400),
        (GET, KEY, "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFi", 400),
        (GET, KEY, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", 400),
        (
            GET,
            KEY,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            400,
        ),
    ];
    for &(start, line, replacement, status) in refused {
        let request = upgrade(start, line, replacement);
        let mut stream = server.connect().await;
        let answer = one_response(&mut stream, &request).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(!answer.error().is_empty());
        match status {
            405 => assert_eq!(answer.header("allow"), Some("GET"), "{request}"),
            426 => assert_eq!(answer.header("upgrade"), Some("websocket"), "{request}"),
            _ => {}
        }
        if line == "Sec-WebSocket-Version" {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        }
    }
    assert_eq!(server.count(Counter::RefusedUpgrades), refused.len() as u64);
}

#[tokio::test]
async fn a_well_formed_upgrade_is_accepted_however_it_is_spelled() {
    let server = start(Config::default()).await;
    for (line, replacement) in [
        ("", ""),
        ("Upgrade", "Upgrade: WebSocket"),
        ("Upgrade", "Upgrade: h2c, websocket"),
        ("Connection", "Connection: keep-alive, Upgrade"),
        (
            "Connection",
            "Connection: keep-alive\r\nConnection: UPGRADE",
        ),
        ("Sec-WebSocket-Version", "sec-websocket-version: 13"),
    ] {
        let request = upgrade("GET /ws HTTP/1.1", line, replacement);
        let mut stream = server.connect().await;
        let answer = one_response(&mut stream, &request).await;
        assert_eq!(answer.status, 101, "{request}");
        // RFC 6455 §1.3 gives the answer to this key.
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
    }
    assert_eq!(server.count(Counter::RefusedUpgrades), 0);
}

/// The head and body of one response on a connection that may stay open.
async fn one_response(stream: &mut tokio::net::TcpStream, request: &str) -> Answer {
    use tokio::io::AsyncWriteExt;
    stream.write_all(request.as_bytes()).await.unwrap();
    Answer::first(stream).await
}

#[tokio::test]
async fn wrong_urls_and_methods_are_json_errors() {
    let server = start(Config::default()).await;
    for (method, target, status) in [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("PUT", "/sse/chat", 405),
        ("DELETE", "/sse/feed", 405),
        ("POST", "/health", 405),
        ("POST", "/sse", 405),
        ("GET", "/fetch-sse", 405),
        ("GET", "/api/gpt/get", 405),
        ("GET", "/sse/chat?tokens=many", 400),
        ("GET", "/sse/chat?resume=perhaps", 400),
        ("GET", "/sse/chat?unknown=1", 400),
        ("GET", "/sse/chat?tokens=4000000000", 422),
        ("GET", "/sse/chat?after=1-77-3", 404),
        ("GET", "/sse/feed?subscriber=-1", 400),
    ] {
        let answer = server.ask(server.request(method, target, "")).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert!(!answer.error().is_empty());
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{method} {target}");
        }
    }
}

//! The articles' endpoints, and what an `EventSource` needs of ours.

use std::time::Duration;

use pushbench_server::{config::Config, contract::message, counters::Counter, limits::Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Answer, Running, events, messages, soon, start};

fn quick() -> Config {
    Config {
        articles_period: Duration::from_millis(2),
        ..Config::default()
    }
}

fn assert_ten_events(answer: &Answer, ids: impl Iterator<Item = u64>, params: serde_json::Value) {
    assert_eq!(answer.status, 200);
    assert!(answer.complete, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let ids: Vec<_> = ids.collect();
    let events = events(&answer.body);
    assert_eq!(events.len(), ids.len());
    for (event, id) in events.iter().zip(ids) {
        let names: Vec<_> = event.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["event", "id", "retry", "data"]);
        assert_eq!(event[0].1, "customEvent");
        assert_eq!(event[1].1, id.to_string());
        assert_eq!(event[2].1, "30000");
        let data: serde_json::Value = serde_json::from_str(event[3].1).unwrap();
        assert_eq!(data["id"], id);
        let shape = format!("{{\"id\":{id},\"time\":\"");
        assert!(event[3].1.starts_with(&shape), "{}", event[3].1);
        assert_eq!(data["params"], params);
        let time = data["time"].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(time.len(), "2026-01-01T00:00:00.000Z".len(), "{time}");
    }
}

/// A request as HTTP/1.1 clients send it, without `Connection: close`.
async fn keep_alive(server: &Running, request: &str) -> Answer {
    let request = request.replace("Connection: close\r\n", "");
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    Answer::first(&mut stream).await
}

#[tokio::test]
async fn the_demo_streams_ten_events_and_ends() {
    let server = start(quick()).await;
    let target = "/sse?content=%E4%BD%A0%E5%A5%BD+%22x%22&b=%0A%0D";
    let answer = keep_alive(&server, &server.request("GET", target, "")).await;
    let params = serde_json::json!({ "content": "你好 \"x\"", "b": "\n\r" });
    assert_ten_events(&answer, 0..10, params);
    let answer = keep_alive(&server, &server.request("GET", "/sse", "")).await;
    assert_ten_events(&answer, 0..10, serde_json::json!({}));
}

#[tokio::test]
async fn a_proxy_that_speaks_http_1_0_sees_the_end() {
    let server = start(quick()).await;
    for fields in ["", "Connection: keep-alive\r\n"] {
        let request = format!("GET /sse HTTP/1.0\r\n{fields}\r\n");
        let answer = server.ask(request).await;
        assert_eq!(events(&answer.body).len(), 10);
    }
}

#[tokio::test]
async fn the_demo_goes_on_after_the_last_event_id() {
    let server = start(quick()).await;
    let with = |id: &str| server.request("GET", "/sse", &format!("Last-Event-ID: {id}\r\n"));
    let params = serde_json::json!({});
    assert_ten_events(
        &keep_alive(&server, &with("6")).await,
        7..10,
        params.clone(),
    );
    for stranger in ["", "x", "-1", "1-0-3"] {
        let answer = keep_alive(&server, &with(stranger)).await;
        assert_ten_events(&answer, 0..10, params.clone());
    }
    for beyond in ["9", "10", "18446744073709551615"] {
        let answer = server.ask(with(beyond)).await;
        assert_eq!(answer.status, 204, "{beyond}");
    }
}

#[tokio::test]
async fn the_fetch_sample_streams_the_same_events() {
    let server = start(quick()).await;
    // A sample that forgets its Content-Type is served all the same.
    for content_type in ["application/json", "text/plain;charset=UTF-8"] {
        let body = r#"{"content":"好"}"#;
        let length = body.len();
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
        let request = server.request("POST", "/fetch-sse", &headers) + body;
        let answer = keep_alive(&server, &request).await;
        assert_ten_events(&answer, 0..10, serde_json::json!({ "content": "好" }));
    }
    let wrong = server.post("/fetch-sse", "application/json", r#"{"content":1}"#);
    let wrong = wrong.await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.header("access-control-allow-origin"), Some("*"));
    assert!(wrong.error().contains("string"), "{wrong:?}");
}

#[tokio::test]
async fn the_chat_sample_streams_raw_text() {
    let server = start(quick()).await;
    let bodies = [
        r#"{"message":"你是谁","role":"user"}"#,
        r#"{"message":["a",{"role":"user","content":"b"}],"role":"user"}"#,
        r#"{"message":"x"}"#,
    ];
    let asked = bodies.map(|body| server.post("/api/gpt/get", "application/json", body));
    let [zh, many, one] = futures_util::future::join_all(asked)
        .await
        .try_into()
        .unwrap();
    for answer in [&zh, &many, &one] {
        assert_eq!(answer.status, 200);
        assert!(answer.complete);
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(!answer.body.contains("data:") && !answer.body.contains("notice"));
    }
    let has_chinese = |text: &str| text.chars().any(|c| ('一'..='龥').contains(&c));
    assert!(has_chinese(&zh.body) && !has_chinese(&one.body));
    for wrong in [
        r#"{"role":"user"}"#,
        r#"{"message":1,"role":"user"}"#,
        r#"{"message":"x","role":1}"#,
        "[]",
    ] {
        let answer = server.post("/api/gpt/get", "application/json", wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(!answer.error().is_empty());
    }
}

#[tokio::test]
async fn a_chat_that_is_aborted_stops() {
    let server = start(quick()).await;
    let body = r#"{"message":"x","role":"user"}"#;
    let length = format!("Content-Length: {}\r\n", body.len());
    let mut stream = server.connect().await;
    let request = server.request("POST", "/api/gpt/get", &length) + body;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut some = [0; 1_024];
    for _ in 0..3 {
        let read = soon("a delta", stream.read(&mut some)).await;
        assert_ne!(read.unwrap(), 0);
    }
    drop(stream);
    server
        .until("the turn is stopped", |s| {
            s.count(Counter::StoppedTurns) == 1
        })
        .await;
}

#[tokio::test]
async fn any_origin_may_use_the_samples_and_only_them() {
    let server = start(quick()).await;
    for (target, method) in [
        ("/sse?content=x", "GET"),
        ("/fetch-sse", "POST"),
        ("/api/gpt/get", "POST"),
    ] {
        for origin in ["null", "https://article.example", "http://127.0.0.1:8080"] {
            let headers = format!(
                "Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n\
                 Access-Control-Request-Headers: content-type\r\n\
                 Access-Control-Request-Private-Network: true\r\n"
            );
            let answer = server
                .ask(server.request("OPTIONS", target, &headers))
                .await;
            assert_eq!(answer.status, 200, "{target} {origin}");
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", "*"),
                ("access-control-allow-headers", "*"),
                ("access-control-allow-private-network", "true"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{target} {origin}");
            }
        }
    }
    let foreign = "Origin: https://article.example\r\n";
    for target in ["/sse/chat?tokens=1&first_token_us=1", "/health"] {
        let answer = server.ask(server.request("GET", target, foreign)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn the_page_runs_only_its_own_script_and_knows_its_server() {
    let server = start(quick()).await;
    let [one, two] = [server.get("/").await, server.get("/").await];
    assert_eq!(one.status, 200);
    assert_eq!(one.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = one.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"));
    assert!(!policy.contains("unsafe"));
    let nonce = |answer: &Answer| {
        let (_, rest) = answer.body.split_once("<script nonce=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    assert!(policy.contains(&format!("'nonce-{}'", nonce(&one))));
    assert_ne!(nonce(&one), nonce(&two));
    let own = format!(
        "<meta name=\"server\" content=\"http://{}\">",
        server.address
    );
    assert!(one.body.contains(&own));
    for button in ["建立 SSE 连接", "断开 SSE 连接"] {
        assert!(one.body.contains(&format!(">{button}</button>")));
    }
}

#[tokio::test]
async fn an_event_source_continues_its_turn_by_itself() {
    const TURN: &str = "/sse/chat?tokens=5&first_token_us=1&token_gap_us=1";
    let server = start(Config::default()).await;
    let whole = server.get(TURN).await;
    let whole = messages(&whole.body);
    assert_eq!(whole.len(), 5);
    let [_, second, .., last] = &whole[..] else {
        panic!("{whole:?}");
    };

    // What an EventSource does after a cut: the same URL, and the id it saw last.
    let again = |id: &str| server.request("GET", TURN, &format!("Last-Event-ID: {id}\r\n"));
    let rest = server.ask(again(second.0.unwrap())).await;
    assert_eq!(messages(&rest.body), whole[2..]);
    let complete = server.ask(again(last.0.unwrap())).await;
    assert_eq!(complete.status, 204, "204 ends an EventSource");
    let seqs: Vec<_> = whole
        .iter()
        .map(|(_, data)| message::decode(data).unwrap().stamps.seq)
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);

    for (resume, with_id) in [("true", true), ("false", false)] {
        let answer = server.get(&format!("{TURN}&resume={resume}")).await;
        let messages = messages(&answer.body);
        assert_eq!(messages.len(), 5);
        assert!(messages.iter().all(|(id, _)| id.is_some() == with_id));
    }
}

#[tokio::test]
async fn an_event_source_continues_the_feed_or_is_told_what_is_gone() {
    let limits = Limits {
        feed_history: 4,
        ..Limits::default()
    };
    let server = start(Config {
        limits,
        ..Config::default()
    })
    .await;
    (0..6).for_each(|n| server.shared.feed.publish(n, "x"));
    server.shared.feed.end(false);
    let after = |id: &str, query: &str| {
        let target = format!("/sse/feed{query}");
        let request = server.request("GET", &target, &format!("Last-Event-ID: {id}\r\n"));
        server.ask(request)
    };
    for (id, ids, missing) in [
        ("1-0-4", &["1-0-5", "1-0-6"][..], "\"missing\":0"),
        (
            "1-0-1",
            &["1-0-3", "1-0-4", "1-0-5", "1-0-6"],
            "\"missing\":1",
        ),
        // Of an epoch that is gone: joins live.
        ("7-0-1", &[], "\"missing\":0"),
    ] {
        let answer = after(id, "").await;
        let received = messages(&answer.body);
        let received: Vec<_> = received.iter().filter_map(|(id, _)| *id).collect();
        assert_eq!(received, ids, "after {id}");
        assert!(answer.body.contains(missing), "{}", answer.body);
    }
    let without = after("1-0-4", "?resume=false").await;
    assert_eq!(messages(&without.body), []);
}

#[tokio::test]
async fn a_turn_that_nobody_comes_back_to_is_stopped() {
    let limits = Limits {
        abandoned_time: Duration::from_millis(20),
        ..Limits::default()
    };
    let server = start(Config {
        limits,
        ..Config::default()
    })
    .await;
    for (n, turn) in [
        "/sse/chat?tokens=8000&first_token_us=1&token_gap_us=1000",
        // Between two tokens that are far apart.
        "/sse/chat?tokens=2&first_token_us=1&token_gap_us=1700000000",
    ]
    .into_iter()
    .enumerate()
    {
        let stopped = |server: &Running| server.count(Counter::StoppedTurns);
        let mut stream = server.connect().await;
        let request = server.request("GET", turn, "");
        stream.write_all(request.as_bytes()).await.unwrap();
        soon("its head", stream.readable()).await.unwrap();
        assert_eq!(stopped(&server), n as u64);
        drop(stream);
        server
            .until("it is stopped", |s| stopped(s) == n as u64 + 1)
            .await;
    }
}

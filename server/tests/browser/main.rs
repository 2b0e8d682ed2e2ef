//! The articles' samples and our own streams in a real browser. It needs Chromium, so these tests run
//! on demand only: `cargo test -p pushbench-server --test browser -- --ignored`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, a panic is the report"
)]

mod cdp;
#[path = "../conformance/support.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    reason = "shared with the conformance tests"
)]
mod support;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, response::Html, routing::get};
use cdp::{Browser, Page};
use pushbench_server::{config::Config, counters::Counter};
use serde_json::{Value, json};
use support::{Running, start};

const PAGE: &str = include_str!("../../src/pages/articles.html");

/// The file as a reader has it, but for the port.
fn page_for(server: &Running) -> String {
    let named = PAGE.replace("127.0.0.1:3000", &server.address.to_string());
    assert_ne!(named, PAGE);
    named
}

/// Another server's page, hence another origin.
async fn elsewhere(page: String) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/page", get(async || Html(page)));
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

fn with_period(period: Duration) -> Config {
    Config {
        articles_period: period,
        ..Config::default()
    }
}

async fn click(browser: &mut Browser, page: &Page, label: &str) {
    let script = format!(
        "[...document.querySelectorAll('button')].find((b) => b.textContent === {label:?}).click()"
    );
    browser.evaluate(page, &script).await;
}

async fn log(browser: &mut Browser, page: &Page) -> Vec<String> {
    let script = "[...document.querySelectorAll('#log li')].map((line) => line.textContent)";
    serde_json::from_value(browser.evaluate(page, script).await).unwrap()
}

/// Connects, sees ten events and the end, and disconnects, as a reader of the article would.
async fn play(browser: &mut Browser, page: &Page) {
    click(browser, page, "建立 SSE 连接").await;
    // The server ends the stream; the EventSource says so and waits for its reconnect.
    browser
        .until(page, "document.querySelector('#log .error') !== null")
        .await;
    click(browser, page, "断开 SSE 连接").await;
    let lines = log(browser, page).await;
    assert_eq!(lines.len(), 13, "{lines:#?}");
    assert_eq!(lines[0], "open readyState: 1 (OPEN)");
    for (id, line) in lines[1..11].iter().enumerate() {
        assert!(line.starts_with(&format!("id: {id} time: 20")), "{line}");
        assert!(line.ends_with(r#"params: {"content":"xxx"}"#), "{line}");
    }
    assert_eq!(lines[11], "error readyState: 0 (CONNECTING)");
    assert_eq!(lines[12], "close readyState: 2 (CLOSED)");
}

#[tokio::test]
#[ignore = "needs Chromium: cargo test -p pushbench-server --test browser -- --ignored"]
async fn the_page_works_from_us_from_a_file_and_from_another_origin() {
    let server = start(with_period(Duration::from_millis(20))).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.html");
    std::fs::write(&file, page_for(&server)).unwrap();
    let other = elsewhere(page_for(&server)).await;
    let mut browser = Browser::start().await;
    for url in [
        format!("http://{}/", server.address),
        format!("http://localhost:{}/", server.address.port()),
        format!("file://{}", file.display()),
        format!("http://{other}/page"),
    ] {
        let page = browser.open(&url).await;
        play(&mut browser, &page).await;
    }
}

#[tokio::test]
#[ignore = "needs Chromium: cargo test -p pushbench-server --test browser -- --ignored"]
async fn disconnecting_in_the_middle_shows_the_state_and_frees_the_server() {
    let server = start(with_period(Duration::from_secs(3_600))).await;
    let mut browser = Browser::start().await;
    let url = format!("http://{}/", server.address);
    let page = browser.open(&url).await;
    let state = "document.getElementById('state').textContent";
    click(&mut browser, &page, "建立 SSE 连接").await;
    browser
        .until(&page, &format!("{state} === 'open readyState: 1 (OPEN)'"))
        .await;
    let closed = server.count(Counter::Closed);
    click(&mut browser, &page, "断开 SSE 连接").await;
    let shown = browser.evaluate(&page, state).await;
    assert_eq!(shown, "close readyState: 2 (CLOSED)");
    server
        .until("the stream's connection is closed", |s| {
            s.count(Counter::Closed) > closed
        })
        .await;
}

/// The articles' way to read a reply with `fetch`, stopped after `stop` chunks if at all.
async fn fetch(browser: &mut Browser, page: &Page, url: &str, body: &Value, stop: u32) -> Value {
    let body = body.to_string();
    let script = format!(
        r#"(async () => {{
            const abort = new AbortController();
            const response = await fetch({url:?}, {{
                method: "POST",
                headers: {{ "Content-Type": "application/json" }},
                body: {body:?},
                signal: abort.signal,
            }});
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            let chunks = 0, text = "";
            try {{
                for (;;) {{
                    const {{ done, value }} = await reader.read();
                    if (done) return {{ chunks, text, end: "done" }};
                    chunks += 1;
                    text += value;
                    if (chunks === {stop}) abort.abort();
                }}
            }} catch (error) {{
                return {{ chunks, text, end: error.name }};
            }}
        }})()"#
    );
    browser.evaluate(page, &script).await
}

#[tokio::test]
#[ignore = "needs Chromium: cargo test -p pushbench-server --test browser -- --ignored"]
async fn the_fetch_samples_stream_and_stop() {
    let server = start(with_period(Duration::from_millis(20))).await;
    let other = elsewhere("<!doctype html>".into()).await;
    let mut browser = Browser::start().await;
    let events = format!("http://{}/fetch-sse", server.address);
    let chat = format!("http://{}/api/gpt/get", server.address);
    let content = json!({ "content": "xxx" });
    let question = json!({ "message": "你是谁？", "role": "user" });
    for (url, stopped) in [
        (format!("http://{}/", server.address), 1),
        (format!("http://{other}/page"), 2),
        ("about:blank".to_owned(), 3),
    ] {
        let page = browser.open(&url).await;
        let reply = fetch(&mut browser, &page, &events, &content, 0).await;
        assert_eq!(reply["end"], "done", "{url}: {reply}");
        assert!(reply["chunks"].as_u64() > Some(1), "{reply}");
        let text = reply["text"].as_str().unwrap();
        assert_eq!(text.matches("event: customEvent\n").count(), 10);
        let reply = fetch(&mut browser, &page, &events, &content, 2).await;
        assert_eq!(reply["end"], "AbortError", "{reply}");

        let reply = fetch(&mut browser, &page, &chat, &question, 0).await;
        assert_eq!(reply["end"], "done", "{url}: {reply}");
        assert!(reply["chunks"].as_u64() > Some(1), "{reply}");
        assert!(!reply["text"].as_str().unwrap().contains('\u{fffd}'));
        let reply = fetch(&mut browser, &page, &chat, &question, 2).await;
        assert_eq!(reply["end"], "AbortError", "{reply}");
        server
            .until("the abort stops the turn", |s| {
                s.count(Counter::StoppedTurns) == stopped
            })
            .await;
    }
}

#[tokio::test]
#[ignore = "needs Chromium: cargo test -p pushbench-server --test browser -- --ignored"]
async fn an_event_source_that_is_cut_continues_its_turn_and_ends() {
    let server = start(Config {
        retry: Duration::from_millis(50),
        ..Config::default()
    })
    .await;
    let mut browser = Browser::start().await;
    let page = browser.open(&format!("http://{}/", server.address)).await;
    let turn = "/sse/chat?tokens=40&first_token_us=1000&token_gap_us=10000";
    let script = format!(
        "window.seqs = []; window.cut = new EventSource({turn:?}); \
         cut.onmessage = (event) => seqs.push(JSON.parse(event.data).seq);"
    );
    browser.evaluate(&page, &script).await;
    for few in [5, 15] {
        browser.until(&page, &format!("seqs.length >= {few}")).await;
        for connection in server.shared.register.all() {
            // Idle ones of the page's may have gone already.
            let _ = connection.reset();
        }
    }
    // 204, once nothing is left, closes it for good.
    browser.until(&page, "cut.readyState === 2").await;
    let seqs = browser.evaluate(&page, "seqs").await;
    assert_eq!(seqs, json!((1..=40).collect::<Vec<_>>()));
}

#[tokio::test]
#[ignore = "needs Chromium: cargo test -p pushbench-server --test browser -- --ignored"]
async fn a_websocket_opens_from_our_page_and_from_no_other() {
    let server = start(Config::default()).await;
    let other = elsewhere("<!doctype html>".into()).await;
    let mut browser = Browser::start().await;
    let script = format!(
        "new Promise((done) => {{ \
             const socket = new WebSocket('ws://{}/ws'); \
             socket.onopen = () => done('open'); \
             socket.onerror = () => done('refused'); \
         }})",
        server.address
    );
    for (url, expected, refused) in [
        (format!("http://{}/", server.address), "open", 0),
        (format!("http://{other}/page"), "refused", 1),
        ("about:blank".to_owned(), "refused", 2),
    ] {
        let page = browser.open(&url).await;
        assert_eq!(browser.evaluate(&page, &script).await, expected, "{url}");
        assert_eq!(server.count(Counter::RefusedOrigins), refused, "{url}");
    }
}

//! Who drives HTTP/1.1, and how large its buffers may be: told apart by what each accepts.

use std::collections::BTreeMap;

use pushbench_server::{
    config::Config,
    contract::{
        factors::{BufferBytes, Factors, HttpStack},
        message::Envelope,
    },
    control::{Command, Reply, attend},
    counters::Counter,
};
use tokio::io::AsyncWriteExt;

use super::support::{Answer, Running, soon, start};

async fn with(factors: Factors) -> Running {
    start(Config {
        factors,
        ..Config::default()
    })
    .await
}

async fn command(server: &Running, command: Command) -> Reply {
    let line = serde_json::to_vec(&command).unwrap();
    let mut reply = Vec::new();
    let attended = attend(server.shared.clone(), line.as_slice(), &mut reply);
    soon("an answer", attended).await.unwrap();
    serde_json::from_slice(&reply).unwrap()
}

/// What the server reads back while a connection is open.
async fn settings(server: &Running) -> BTreeMap<String, String> {
    let mut stream = server.connect().await;
    let request = format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(Answer::first(&mut stream).await.status, 200);
    match command(server, Command::Stats).await {
        Reply::Stats(stats) => stats.settings,
        other => panic!("{other:?}"),
    }
}

/// The status of a request whose head has a field of so many bytes.
async fn status(server: &Running, bytes: usize) -> u16 {
    let field = format!("X-Long: {}\r\n", "x".repeat(bytes));
    server
        .ask(server.request("GET", "/health", &field))
        .await
        .status
}

#[tokio::test]
async fn axums_own_loop_serves_every_transport_and_keeps_none_of_our_bounds_on_heads() {
    let server = with(Factors {
        http_stack: HttpStack::Axum,
        nodelay: false,
        ..Factors::default()
    })
    .await;
    assert_eq!(
        status(&server, 17 * 1_024).await,
        200,
        "it has no such bound"
    );
    assert_eq!(server.count(Counter::RefusedHeaders), 0);
    let settings = settings(&server).await;
    assert_eq!(settings["http_stack"], "axum");
    assert_eq!(settings["nodelay"], "false");
    let answer = server
        .get("/sse/chat?tokens=3&first_token_us=0&token_gap_us=0")
        .await;
    assert!(
        answer.complete && answer.body.contains("\"seq\":3"),
        "{answer:?}"
    );
    drop(server.websocket(None).await.unwrap());
    server.stop().await;
}

#[tokio::test]
async fn hyper_has_the_buffer_that_it_was_given() {
    let head = 10 * 1_024;
    let usual = with(Factors::default()).await;
    assert_eq!(status(&usual, head).await, 200, "within the bound of heads");
    let settings_of_usual = settings(&usual).await;
    assert_eq!(settings_of_usual["http_stack"], "hyper");
    assert!(!settings_of_usual.contains_key("http_buffer_bytes"));

    let least = BufferBytes::try_from(BufferBytes::LEAST).unwrap();
    let small = with(Factors {
        http_buffer_bytes: Some(least),
        ..Factors::default()
    })
    .await;
    assert_eq!(
        status(&small, head).await,
        431,
        "it does not fit the buffer"
    );
    assert_eq!(settings(&small).await["http_buffer_bytes"], "8192");
}

#[tokio::test]
async fn a_raw_text_that_a_transport_could_not_carry_is_refused_with_all_that_came_with_it() {
    let server = with(Factors {
        envelope: Envelope::Raw,
        ..Factors::default()
    })
    .await;
    for (text, says) in [("a\rb", "CR"), ("{\"notice\":\"end\"}", "notice")] {
        let texts = vec!["fine".to_owned(), text.to_owned()];
        match command(&server, Command::Publish { texts }).await {
            Reply::Refused(reason) => assert!(reason.contains(says), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.count(Counter::Published), 0);
    let texts = vec!["fine\nindeed".to_owned()];
    assert_eq!(
        command(&server, Command::Publish { texts }).await,
        Reply::Done(1)
    );
}

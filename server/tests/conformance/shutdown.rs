//! Stopping: no stream is torn, no connection lingers.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pushbench_server::{
    config::Config, contract::notice::Notice, counters::Counter, limits::Limits,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use super::support::{Answer, soon, start};

/// A turn of almost an hour: it ends because the server does.
const LONG: &str = "/sse/chat?tokens=2&first_token_us=1&token_gap_us=1700000000";

/// The same on a WebSocket.
const LONG_ASK: &str = r#"{"chat":{"tokens":2,"first_token_us":1,"token_gap_us":1700000000}}"#;

#[tokio::test]
async fn every_response_body_comes_to_its_end() {
    let config = Config {
        articles_period: Duration::from_secs(3_600),
        ..Config::default()
    };
    let server = start(config).await;
    let requests = [
        server.request("GET", "/sse/feed", ""),
        server.request("GET", LONG, ""),
        server.request("GET", "/sse?content=x", ""),
        server.request("POST", "/fetch-sse", "Content-Length: 15\r\n") + r#"{"content":"x"}"#,
        server.request("POST", "/api/gpt/get", "Content-Length: 15\r\n") + r#"{"message":"x"}"#,
    ];
    let mut streams = Vec::new();
    for request in &requests {
        let mut stream = server.connect().await;
        // The client would keep the connection: that it ends is the server's doing.
        let request = request.replace("Connection: close\r\n", "");
        stream.write_all(request.as_bytes()).await.unwrap();
        // Its head is here: the stream is under way.
        soon("a head", stream.readable()).await.unwrap();
        streams.push(stream);
    }
    let address = server.address;
    let shared = server.shared.clone();
    let answers = async {
        let mut answers = Vec::new();
        for stream in &mut streams {
            answers.push(Answer::read(stream).await);
        }
        answers
    };
    let ((), answers) = tokio::join!(server.stop(), answers);
    for (answer, request) in answers.iter().zip(&requests) {
        assert_eq!(answer.status, 200, "{request}");
        assert!(answer.complete, "torn: {request}{answer:?}");
    }
    for answer in &answers[..2] {
        let (_, last) = answer.body.trim_end().rsplit_once("data: ").unwrap();
        let notice = Notice::decode(last).unwrap();
        assert!(matches!(
            notice,
            Notice::End {
                cancelled: true,
                ..
            }
        ));
    }
    assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "still listening"
    );
}

#[tokio::test]
async fn every_websocket_is_told_the_end_and_closed_with_1001() {
    let server = start(Config::default()).await;
    let asks = [None, Some(r#"{"feed":{}}"#), Some(LONG_ASK)];
    let mut clients = Vec::new();
    for ask in asks {
        let mut client = server.websocket(None).await.unwrap();
        if let Some(ask) = ask {
            client.send(Message::text(ask)).await.unwrap();
            let hello = soon("the hello", client.next()).await.unwrap().unwrap();
            let hello = Notice::decode(hello.to_text().unwrap()).unwrap();
            assert!(matches!(hello, Notice::Hello { .. }));
        }
        clients.push(client);
    }
    let shared = server.shared.clone();
    let goodbyes = async {
        let mut goodbyes = Vec::new();
        for client in &mut clients {
            let mut all = Vec::new();
            while let Some(Ok(message)) = soon("a goodbye", client.next()).await {
                all.push(message);
            }
            goodbyes.push(all);
        }
        goodbyes
    };
    let ((), goodbyes) = tokio::join!(server.stop(), goodbyes);
    for (messages, ask) in goodbyes.iter().zip(asks) {
        let Some((Message::Close(Some(close)), before)) = messages.split_last() else {
            panic!("no close: {messages:?}");
        };
        assert_eq!(close.code, CloseCode::Away);
        let ended = before.last().is_some_and(|last| {
            let notice = Notice::decode(last.to_text().unwrap());
            matches!(
                notice,
                Ok(Notice::End {
                    cancelled: true,
                    ..
                })
            )
        });
        assert_eq!(ended, ask.is_some(), "{messages:?}");
    }
    assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
}

#[tokio::test]
async fn who_does_not_say_goodbye_is_not_waited_for_forever() {
    let config = Config {
        limits: Limits {
            shutdown: Duration::from_millis(100),
            ..Limits::default()
        },
        ..Config::default()
    };
    let server = start(config).await;
    // It has sent half a request and will never read or answer.
    let mut silent = server.connect().await;
    silent.write_all(b"GET /he").await.unwrap();
    let client = server.websocket(None).await.unwrap();
    server
        .until("both are in", |s| s.shared.register.live() == 2)
        .await;
    let shared = server.shared.clone();
    server.stop().await;
    assert!(shared.meters.counters.read(Counter::ClosedLate) >= 1);
    drop((silent, client));
}

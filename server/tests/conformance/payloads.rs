//! Payload bytes survive every transport exactly, and are the same on all of them.

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use pushbench_server::{
    config::Config,
    contract::{
        factors::Factors,
        message::{self, Envelope},
        notice::Notice,
        transport::{Family, Http, Transport},
    },
    counters::Counter,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{
    http2::Client,
    support::{Running, messages, soon, start},
};

fn awkward() -> Vec<String> {
    let texts = [
        "",
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        "a\rb\nc\r\nd\n",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        " leading and trailing ",
        ": comment",
        "data: nested\n\nevent: notice\n\n",
        "id: 1\nretry: 1",
        "😀👩‍👩‍👧‍👦",
        "好",
        "\"\\/\u{8}\u{c}\t\u{7f}",
        "{\"notice\":\"end\"}",
    ];
    let mut texts: Vec<_> = texts.map(str::to_owned).into();
    texts.push("😀\r\n".repeat((1 << 20) / 6));
    texts.push("x".repeat(1 << 20));
    texts
}

/// Every payload of the feed over one connection, until the feed ends.
async fn payloads(server: &Running, transport: Transport) -> Vec<String> {
    let capabilities = transport.capabilities();
    let http2 = capabilities.http == Http::H2;
    match capabilities.family {
        Family::WebSocket if http2 => {
            let mut client = Client::connect(server).await;
            let upgrade = client.websocket();
            let upgraded = hyper::upgrade::on(client.send(upgrade).await).await;
            let stream = TokioIo::new(upgraded.unwrap());
            of_websocket(WebSocketStream::from_raw_socket(stream, Role::Client, None).await).await
        }
        Family::WebSocket => of_websocket(server.websocket(None).await.unwrap()).await,
        Family::Fetch if http2 => {
            let mut client = Client::connect(server).await;
            let mut request = client.request("POST", "/ndjson/feed");
            let json = "application/json".parse().unwrap();
            request.headers_mut().insert("content-type", json);
            *request.body_mut() = Full::from("{}");
            lines(&client.ask(request).await.1)
        }
        Family::Fetch => {
            let answer = server.post("/ndjson/feed", "application/json", "{}").await;
            assert!(answer.complete);
            assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
            lines(&answer.body)
        }
        _ => {
            let body = if http2 {
                let mut client = Client::connect(server).await;
                let request = client.request("GET", "/sse/feed");
                client.ask(request).await.1
            } else {
                let answer = server.get("/sse/feed").await;
                assert!(answer.complete);
                answer.body
            };
            let messages = messages(&body).into_iter();
            messages.map(|(_, payload)| payload.to_owned()).collect()
        }
    }
}

fn lines(body: &str) -> Vec<String> {
    let lines = body.split_terminator('\n');
    let payloads = lines.filter(|line| Notice::decode(line).is_err());
    payloads.map(str::to_owned).collect()
}

async fn of_websocket<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: WebSocketStream<S>,
) -> Vec<String> {
    let ask = Message::text("{\"feed\":{}}");
    client.send(ask).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        let message = soon("a message", client.next()).await.unwrap().unwrap();
        let text = message.into_text().unwrap();
        match Notice::decode(&text) {
            Ok(Notice::End { .. }) => return payloads,
            Ok(_) => {}
            Err(_) => payloads.push(text.to_string()),
        }
    }
}

#[tokio::test]
async fn every_text_arrives_as_it_was_published_and_alike_on_all_transports() {
    for envelope in [Envelope::Minimal, Envelope::OpenAi] {
        let server = start(Config {
            factors: Factors {
                envelope,
                ..Factors::default()
            },
            ..Config::default()
        })
        .await;
        let subscribers = Transport::ALL.len() as u64;
        let publish = async {
            server
                .until("all subscribed", |s| {
                    s.count(Counter::Subscribed) == subscribers
                })
                .await;
            for text in awkward() {
                server.shared.feed.publish(1, &text);
                // The connections have their turn, so that messages come alone and in groups.
                tokio::task::yield_now().await;
            }
            server.shared.feed.end(false);
        };
        let received = Transport::ALL.map(|transport| payloads(&server, transport));
        let received = futures_util::future::join_all(received);
        let ((), received) = tokio::join!(publish, received);
        for payloads in &received {
            let texts: Vec<_> = payloads
                .iter()
                .map(|payload| message::decode(payload).unwrap().text.into_owned())
                .collect();
            assert!(
                texts == awkward(),
                "{envelope:?}: a text changed on its way"
            );
            assert!(payloads == &received[0], "{envelope:?}: transports differ");
        }
        assert_eq!(server.count(Counter::Dropped), 0);
    }
}

//! Payload bytes survive every transport exactly, and are the same on all of them.

use futures_util::{SinkExt, StreamExt};
use pushbench_server::{
    config::Config,
    contract::{
        factors::Factors,
        message::{self, Envelope},
        notice::Notice,
        transport::Transport,
    },
    counters::Counter,
};
use tokio_tungstenite::tungstenite::Message;

use super::support::{Running, messages, soon, start};

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
    match transport {
        Transport::SseH1 => {
            let answer = server.get("/sse/feed").await;
            assert!(answer.complete);
            let messages = messages(&answer.body).into_iter();
            messages.map(|(_, payload)| payload.to_owned()).collect()
        }
        Transport::WsH1 => {
            let mut client = server.websocket(None).await.unwrap();
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

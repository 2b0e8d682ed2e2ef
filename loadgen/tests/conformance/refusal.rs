//! Asks that are refused: in words, counted, and without harm to what runs.

use futures_util::{SinkExt, StreamExt};
use pushbench::client::Ended;
use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        framing,
        notice::Notice,
        transport::{Capabilities, Family, Http, Transport},
    },
    counters::Counter,
    limits::Limits,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    plain,
    support::{Client, Heard, Running, chat, everywhere, feed, soon, start, until},
};

#[tokio::test]
async fn turns_too_long_are_refused_and_the_connection_lives_on() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        let hours = ChatAsk {
            token_gap_us: 3_600_000_000,
            ..chat(2)
        };
        let overflowing = ChatAsk {
            token_gap_us: u64::MAX,
            first_token_us: u64::MAX,
            ..chat(8_192)
        };
        for ask in [chat(8_193), chat(u32::MAX), hours, overflowing] {
            let reason = client.refusal(&Ask::Chat(ask)).await;
            assert!(reason == "422" || reason.contains("most"), "{reason}");
        }
        assert_eq!(server.count(Counter::RefusedAsks), 4, "{transport}");
        assert_eq!(server.count(Counter::Turns), 0, "{transport}");
        client.ask(&Ask::Chat(chat(2))).await;
        assert_eq!(client.rest().await.0.len(), 2, "{transport}");
        assert_eq!(server.count(Counter::Accepted), 1, "{transport}");
    }
}

#[tokio::test]
async fn more_turns_or_subscribers_than_allowed_are_refused() {
    for transport in everywhere() {
        let limits = Limits {
            turns: 1,
            known_subscribers: 1,
            ..Limits::default()
        };
        let server = start(Config {
            limits,
            ..Config::default()
        })
        .await;
        let mut running = Client::connect(transport, &server).await;
        running
            .ask(&Ask::Chat(super::support::endless(false)))
            .await;
        let mut client = Client::connect(transport, &server).await;
        let full = |refusal: Result<(), Ended>, heard: Option<Heard>| match (refusal, heard) {
            (Err(Ended::Status(503)), None) => {}
            (Ok(()), Some(Heard::Notice(Notice::Refused { .. }))) => {}
            other => panic!("{transport}: {other:?}"),
        };
        server.shared.feed.subscribe(Some(99), None).unwrap();
        for ask in [Ask::Chat(chat(1)), feed(None)] {
            let asked = client.try_ask(&ask).await;
            let heard = match asked {
                Ok(()) => Some(client.hear().await),
                Err(_) => None,
            };
            full(asked, heard);
        }
        assert_eq!(server.count(Counter::RefusedAsks), 2, "{transport}");
        drop(running);
        until("the turn's stop", || {
            server.count(Counter::StoppedTurns) == 1
        })
        .await;
        until("room", || server.shared.turns.find(1).is_none()).await;
        client.ask(&Ask::Chat(chat(1))).await;
        assert_eq!(client.rest().await.0.len(), 1, "{transport}");
    }
}

#[tokio::test]
async fn a_second_ask_never_mixes_with_a_stream_that_runs() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        let slow = ChatAsk {
            token_gap_us: 1_000,
            ..chat(30)
        };
        client.ask(&Ask::Chat(slow)).await;
        client.messages(2).await;
        client.try_ask(&Ask::Chat(chat(3))).await.unwrap();
        let mut refused = 0;
        let mut streams = Vec::new();
        while streams.last() != Some(&(transport_waits(transport), 0)) {
            match client.hear().await {
                Heard::Message(id, _) => streams.push((id.stream, id.seq)),
                Heard::Notice(Notice::Refused { .. }) => refused += 1,
                Heard::Notice(Notice::End { last, .. }) => streams.push((last.stream, 0)),
                Heard::Notice(_) => {}
                Heard::Ended(ended) => panic!("{transport}: {ended}"),
            }
        }
        match transport_waits(transport) {
            // A response is read to its end before the next request: the second turn alone is heard.
            2 => {
                // But for what had come together with the messages awaited above.
                let second = streams.iter().position(|(stream, _)| *stream == 2).unwrap();
                let (before, heard) = streams.split_at(second);
                assert_eq!(refused, 0, "{transport}");
                assert_eq!(heard, [(2, 1), (2, 2), (2, 3), (2, 0)], "{transport}");
                assert!(
                    before.iter().zip(3..).all(|(own, seq)| *own == (1, seq)),
                    "{transport}: {before:?}"
                );
            }
            // Refused at once, and the first turn goes on.
            _ => {
                let rest = (3..=30).chain([0]).map(|seq| (1, seq));
                assert_eq!((refused, streams), (1, rest.collect()));
                assert_eq!(server.count(Counter::RefusedAsks), 1);
            }
        }
    }
}

/// The stream that a client hears last when it asks twice.
fn transport_waits(transport: Transport) -> u64 {
    if transport.capabilities().cancel {
        1
    } else {
        2
    }
}

#[tokio::test]
async fn fields_that_nobody_knows_and_values_that_make_no_sense_are_refused() {
    for transport in Transport::ALL {
        let server = start(Config::default()).await;
        for (query, json) in [
            ("chat?tokns=3", r#"{"chat":{"tokns":3}}"#),
            ("chat?tokens=-1", r#"{"chat":{"tokens":-1}}"#),
            ("chat?tokens=many", r#"{"chat":{"tokens":"many"}}"#),
            ("chat?language=tlh", r#"{"chat":{"language":"tlh"}}"#),
            ("chat?after=7", r#"{"chat":{"after":"7"}}"#),
            ("feed?subscriber=me", r#"{"feed":{"subscriber":"me"}}"#),
            ("feed?x=1", r#"{"feed":{"x":1}}"#),
        ] {
            let reason = say(transport, &server, query, json).await;
            assert!(!reason.is_empty(), "{transport} {query}");
        }
        assert_eq!(server.count(Counter::RefusedBodies), 7, "{transport}");
        assert_eq!(server.count(Counter::Subscribed), 0, "{transport}");
    }
}

/// Says what no typed ask can say; the reason of the refusal.
async fn say(transport: Transport, server: &Running, query: &str, json: &str) -> String {
    let (name, _) = query.split_once('?').unwrap();
    let ask: serde_json::Value = serde_json::from_str(json).unwrap();
    let Capabilities { family, http, .. } = transport.capabilities();
    let http2 = http == Http::H2;
    let (status, body) = match family {
        _ if http == Http::Bare => return say_bare(family, server, json).await,
        Family::WebSocket => return refused(&plain::say(server, http2, json).await),
        Family::Poll => plain::get(server, http2, &format!("/poll/{query}")).await,
        Family::Fetch => {
            let target = format!("/sse/{name}");
            plain::post(server, http2, &target, &ask[name].to_string()).await
        }
        _ => plain::get(server, http2, &format!("/sse/{query}")).await,
    };
    assert!((400..500).contains(&status), "{query}: {status}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

/// The same to a floor.
async fn say_bare(family: Family, server: &Running, json: &str) -> String {
    let address = server.endpoint.bare.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    match family {
        Family::WebSocket => {
            let url = format!("ws://{address}/ws");
            let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
            socket.send(Message::text(json)).await.unwrap();
            let answer = soon("an answer", socket.next()).await.unwrap().unwrap();
            refused(answer.to_text().unwrap())
        }
        Family::Raw => {
            stream.write_all(&framing::prefixed(json)).await.unwrap();
            let length = soon("an answer", stream.read_u32()).await.unwrap();
            let mut answer = vec![0; length as usize];
            stream.read_exact(&mut answer).await.unwrap();
            refused(std::str::from_utf8(&answer).unwrap())
        }
        _ => {
            let (name, fields) = json[2..json.len() - 1].split_once("\":").unwrap();
            let length = fields.len();
            let head = format!("POST /{name} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + fields).as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // One JSON object: the connection stays open.
            while !answer.ends_with(b"}") {
                let read = soon("an answer", stream.read_buf(&mut answer)).await;
                assert_ne!(read.unwrap(), 0, "{json}: it ended");
            }
            let answer = String::from_utf8(answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 4"), "{json}: {head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["error"].as_str().unwrap().to_owned()
        }
    }
}

/// The reason in the notice that answers an ask.
fn refused(notice: &str) -> String {
    match Notice::decode(notice).unwrap() {
        Notice::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

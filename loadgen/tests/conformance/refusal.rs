//! Asks that are refused: in words, counted, and without harm to what runs.

use pushbench::client::Ended;
use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        notice::Notice,
        transport::{Family, Http, Transport},
    },
    counters::Counter,
    limits::Limits,
};

use super::{
    plain,
    support::{Client, Heard, Running, chat, everywhere, feed, start, until},
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
        match transport.capabilities().family {
            // A response is read to its end before the next request: the second turn alone is heard.
            Family::Sse | Family::Fetch => {
                assert_eq!(
                    (refused, streams),
                    (0, vec![(2, 1), (2, 2), (2, 3), (2, 0)])
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
    match transport.capabilities().family {
        Family::Sse | Family::Fetch => 2,
        _ => 1,
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
    let http2 = transport.capabilities().http == Http::H2;
    let (status, body) = match transport.capabilities().family {
        Family::WebSocket => {
            let heard = plain::say(server, http2, json).await;
            return match Notice::decode(&heard).unwrap() {
                Notice::Refused { reason } => reason,
                other => panic!("{json}: {other:?}"),
            };
        }
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

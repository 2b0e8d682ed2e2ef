//! Order, no gap, a clean end, and one connection for many streams.

use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        event_id::EventId,
        transport::{Capabilities, Family, Http},
    },
    corpus::{self, Language},
    counters::Counter,
};

use super::support::{Client, Heard, books, chat, endless, everywhere, feed, start, until};
use pushbench::client::Ended;

fn numbered<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<(u64, String)> {
    let texts = texts.into_iter().map(str::to_owned);
    (1..).zip(texts).collect()
}

#[tokio::test]
async fn a_turn_arrives_whole_and_in_order_and_the_connection_carries_the_next() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        // An empty turn between others, and one longer than a read buffer.
        for (turn, tokens) in [3, 0, 1_500, 1].into_iter().enumerate() {
            let (language, seed) = (Language::ALL[turn % 2], turn as u64);
            let ask = ChatAsk {
                language,
                seed,
                ..chat(tokens)
            };
            let (after, missing) = client.ask(&Ask::Chat(ask)).await;
            let stream = turn as u64 + 1;
            let id = |seq| EventId {
                epoch: 1,
                stream,
                seq,
            };
            assert_eq!((after, missing), (id(0), 0), "{transport} turn {turn}");
            let (messages, last, cancelled) = client.rest().await;
            let expected = corpus::stream(language, seed).take(tokens as usize);
            assert_eq!(messages, numbered(expected), "{transport} turn {turn}");
            assert_eq!((last, cancelled), (id(u64::from(tokens)), false));
        }
        assert_eq!(server.count(Counter::Accepted), 1, "{transport}");
        assert!(
            books(&server, 1, [&client.ledger]).balanced(),
            "{transport}"
        );
        client.close().await;
        until("the connection's end", || {
            server.count(Counter::Closed) == 1
        })
        .await;
    }
}

#[tokio::test]
async fn round_trips_are_those_a_network_would_charge() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        let mut trips = Vec::new();
        let Capabilities { family, http, .. } = transport.capabilities();
        for _ in 0..3 {
            let before = if trips.is_empty() {
                0
            } else {
                client.round_trips()
            };
            client.ask(&Ask::Chat(chat(2))).await;
            client.messages(1).await;
            trips.push(client.round_trips() - before);
            client.rest().await;
            // A stream costs no more of them; a poller asks again, how often is chance.
            if family != Family::Poll {
                assert_eq!(client.round_trips(), trips.iter().sum::<u32>());
            }
        }
        // Connect, learn the settings and upgrade where need be, ask; a poller asks once more for the first
        // token.
        let (cold, warm) = match (family, http) {
            // The settings must have come before it may ask for a WebSocket.
            (Family::WebSocket, Http::H2) => (4, 1),
            (Family::WebSocket, _) => (3, 1),
            (Family::Poll, _) => (3, 2),
            _ => (2, 1),
        };
        // TLS 1.3 shakes hands in one.
        let cold = cold + u32::from(server.endpoint.certificate.is_some());
        assert_eq!(trips, [cold, warm, warm], "{transport}: cold, then warm");
    }
}

#[tokio::test]
async fn the_feed_reaches_every_subscriber_in_order_and_ends_with_its_last_id() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        server.publish(1..=5).await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = Client::connect(transport, &server).await;
            let (after, missing) = client.ask(&Ask::Feed(Default::default())).await;
            assert_eq!((after.seq, missing), (5, 0), "{transport}");
            clients.push(client);
        }
        for part in 0..20 {
            server.publish(part * 10 + 6..=part * 10 + 15).await;
            tokio::task::yield_now().await;
        }
        server.shared.end_streams();
        let expected: Vec<_> = (6..=205).map(|n| (n, n.to_string())).collect();
        for client in &mut clients {
            let (messages, last, cancelled) = client.rest().await;
            assert_eq!(messages, expected, "{transport}");
            assert_eq!((last.stream, last.seq, cancelled), (0, 205, true));
        }
        let books = books(&server, 1, clients.iter().map(|client| &client.ledger));
        assert_eq!((books.owed, books.received), (1_000, 1_000), "{transport}");
    }
}

#[tokio::test]
async fn a_cancelled_turn_stops_and_is_counted() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&Ask::Chat(endless(false))).await;
        client.messages(3).await;
        match client.try_ask(&Ask::Cancel).await {
            // Where a message can say so, the goodbye says where the turn stopped.
            Ok(()) => {
                let (_, last, cancelled) = client.rest().await;
                assert!(cancelled && last.seq < 8_192, "{transport}: {last}");
                assert!(books(&server, 1, [&client.ledger]).balanced());
                client.ask(&Ask::Chat(chat(1))).await;
                assert_eq!(client.rest().await.0.len(), 1, "{transport}");
            }
            // Where it cannot, hanging up is the way.
            Err(Ended::Failed(_)) => drop(client),
            Err(other) => panic!("{transport}: {other:?}"),
        }
        until("the turn's stop", || {
            server.count(Counter::StoppedTurns) == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_turn_that_nobody_listens_to_stops() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&Ask::Chat(endless(false))).await;
        client.messages(3).await;
        client.close().await;
        until("the turn's stop", || {
            server.count(Counter::StoppedTurns) == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_and_nothing_is_lost() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut turn = Client::connect(transport, &server).await;
        turn.ask(&Ask::Chat(endless(true))).await;
        let mut reader = Client::connect(transport, &server).await;
        reader.ask(&feed(None)).await;
        server.publish(1..=9).await;
        let shared = server.shared.clone();
        let stopped = tokio::spawn(server.stop());
        let (messages, last, cancelled) = reader.rest().await;
        assert_eq!((messages.len(), last.seq, cancelled), (9, 9, true));
        let (messages, last, cancelled) = turn.rest().await;
        assert_eq!((messages.len() as u64, cancelled), (last.seq, true));
        for mut client in [reader, turn] {
            assert_eq!(
                client.hear().await,
                Heard::Ended(Ended::Closed),
                "{transport}"
            );
        }
        stopped.await.unwrap();
        assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
    }
}

#[tokio::test]
async fn a_turn_asked_for_after_the_end_of_all_streams_ends_at_once() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        server.shared.end_streams();
        client.ask(&Ask::Chat(endless(false))).await;
        let (messages, last, cancelled) = client.rest().await;
        assert_eq!(
            (messages.len(), last.seq, cancelled),
            (0, 0, true),
            "{transport}"
        );
        client.ask(&feed(None)).await;
        assert_eq!(client.rest().await.1.seq, 0, "{transport}");
    }
}

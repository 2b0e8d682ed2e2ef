//! Streams that share a connection: how many, what becomes of the others when one ends, and of all when the
//! connection does.

use std::num::NonZeroU32;

use pushbench::client::{Connector, Ended};
use pushbench_server::{
    config::Config,
    contract::{
        ask::Ask,
        factors::Factors,
        transport::{Family, Http, Transport},
    },
    counters::Counter,
};

use super::support::{Client, Heard, Running, chat, everywhere, feed, start, until};

/// The transports whose connections can be shared.
fn sharing() -> impl Iterator<Item = Transport> {
    everywhere().filter(|transport| transport.capabilities().http == Http::H2)
}

fn connector(transport: Transport, server: &Running, streams: u32) -> Connector {
    let factors = Factors {
        streams_per_connection: NonZeroU32::new(streams).unwrap(),
        ..Factors::default()
    };
    assert_eq!(factors.misfit(transport), None);
    Connector::new(transport, factors, server.endpoint.clone())
}

/// So many clients of the feed, who join at once.
async fn join(connector: &Connector, count: usize) -> Vec<Client> {
    let joining = (0..count).map(|_| async {
        let mut client = Client::over(connector).await;
        client.ask(&feed(None)).await;
        client
    });
    futures_util::future::join_all(joining).await
}

fn live(server: &Running) -> usize {
    server.shared.register.live()
}

#[tokio::test]
async fn a_connection_carries_as_many_streams_as_asked_and_no_more() {
    for transport in sharing() {
        for (streams, connections) in [(1, 10), (3, 4), (10, 1), (100, 1)] {
            let server = start(Config::default()).await;
            let connector = connector(transport, &server, streams);
            let clients = join(&connector, 10).await;
            assert_eq!(live(&server), connections, "{transport}, {streams} each");
            let shared = (streams > 1).then(|| 10.0 / connections as f64);
            assert_eq!(connector.streams_per_connection(), shared);
            server.publish(1..=3).await;
            for mut client in clients {
                let heard = client.messages(3).await;
                assert!(heard.into_iter().map(|message| message.0).eq(1..=3));
                client.close().await;
            }
            until("all have left", || live(&server) == 0).await;
            assert_eq!(connector.streams_per_connection(), None);
            assert_eq!(server.shared.meters.counters.live_streams(), 0);
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_leaves_the_others_and_its_place() {
    for transport in sharing() {
        let server = start(Config::default()).await;
        let connector = connector(transport, &server, 2);
        let mut clients = join(&connector, 4).await;
        drop(clients.remove(1));
        until("it has left", || server.count(Counter::Unsubscribed) == 1).await;
        assert_eq!(live(&server), 2, "{transport}");
        clients.extend(join(&connector, 1).await);
        assert_eq!(live(&server), 2, "{transport}");
        server.publish(1..=1).await;
        for client in &mut clients {
            assert_eq!(client.messages(1).await[0].0, 1, "{transport}");
        }
        clients.extend(join(&connector, 1).await);
        assert_eq!(live(&server), 3, "{transport}");
    }
}

#[tokio::test]
async fn a_connection_cut_ends_all_its_streams_and_is_not_used_again() {
    for transport in sharing() {
        let server = start(Config::default()).await;
        let connector = connector(transport, &server, 4);
        let clients = join(&connector, 4).await;
        server
            .command(pushbench_server::control::Command::Cut)
            .await;
        for mut client in clients {
            assert_eq!(
                client.hear().await,
                Heard::Ended(Ended::Reset),
                "{transport}"
            );
            let again = client.try_ask(&Ask::Chat(chat(1))).await;
            let late = match again {
                Ok(()) => client.hear().await,
                Err(ended) => Heard::Ended(ended),
            };
            assert!(matches!(late, Heard::Ended(Ended::Reset | Ended::Closed)));
            // While the dead one is still held.
            let mut other = join(&connector, 1).await;
            server.publish(1..=1).await;
            other[0].messages(1).await;
        }
    }
}

#[tokio::test]
async fn turns_follow_one_another_on_a_shared_connection() {
    for transport in sharing() {
        let server = start(Config::default()).await;
        let connector = connector(transport, &server, 2);
        let mut clients = [
            Client::over(&connector).await,
            Client::over(&connector).await,
        ];
        let opened = clients.each_ref().map(Client::round_trips);
        for turn in 1..=3 {
            for (client, opened) in clients.iter_mut().zip(opened) {
                client.ask(&Ask::Chat(chat(2))).await;
                assert_eq!(client.rest().await.0.len(), 2, "{transport}");
                let trips = client.round_trips() - opened;
                if transport.capabilities().family == Family::Poll {
                    // It asks again for the tokens and for the end; how often is chance.
                    assert!(trips >= 2 * turn, "{transport}: {trips}");
                } else {
                    assert_eq!(trips, turn, "{transport}");
                }
            }
        }
        // The second was spared the connection's own.
        assert!(opened[1] < opened[0], "{transport}: {opened:?}");
        assert_eq!(server.count(Counter::Accepted), 1, "{transport}");
    }
}

//! Bounds that a reader can meet: a log that overran it, a connection that sat idle.

use std::time::Duration;

use pushbench::client::{self, Ended};
use pushbench_server::{
    config::Config,
    contract::{ask::Ask, clock::now_ns, notice::Notice, transport::Family},
    counters::Counter,
    limits::Limits,
};

use super::support::{Client, Heard, books, chat, everywhere, feed, start, until};

#[tokio::test]
async fn a_reader_that_was_overrun_is_told_how_much_and_the_books_balance() {
    for transport in everywhere() {
        let limits = Limits {
            feed_history: 8,
            ..Limits::default()
        };
        let server = start(Config {
            limits,
            ..Config::default()
        })
        .await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&feed(None)).await;
        // It stops reading: whatever the kernel's buffers hold, they fill up. A poller that does not read
        // does not ask either, so there is nothing to fill them with.
        let polls = transport.capabilities().family == Family::Poll;
        let large = "x".repeat(1 << 20);
        let connection = server.shared.register.all().remove(0);
        while !polls && connection.stalled_since().is_none() {
            server.shared.feed.publish(now_ns(), &large);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.publish(1..=100).await;
        server.shared.end_streams();
        let mut told = 0;
        let last = loop {
            match client.hear().await {
                Heard::Notice(Notice::Dropped { count }) => told += count,
                Heard::Notice(Notice::End { last, .. }) => break last.seq,
                Heard::Message(..) => {}
                other => panic!("{transport}: {other:?}"),
            }
        };
        let books = books(&server, 1, [&client.ledger]);
        assert!(told >= 92, "{transport}: {told}");
        assert_eq!(server.count(Counter::Dropped), told, "{transport}");
        assert_eq!((books.dropped, books.lost, books.duplicated), (told, 0, 0));
        assert_eq!(books.owed, last, "{transport}");
        assert!(books.balanced(), "{transport}: {books:?}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_bound_ends_and_does_not_hang() {
    for transport in everywhere() {
        let limits = Limits {
            connections: 1,
            ..Limits::default()
        };
        let server = start(Config {
            limits,
            ..Config::default()
        })
        .await;
        let mut first = Client::connect(transport, &server).await;
        first.ask(&feed(None)).await;
        let second = super::support::soon("an end", async {
            client::connect(transport, server.endpoint.clone())
                .await?
                .ask(&feed(None))
                .await
        });
        let ended = second.await.unwrap_err();
        assert!(
            matches!(ended, Ended::Closed | Ended::Reset),
            "{transport}: {ended:?}"
        );
        assert_eq!(server.count(Counter::RefusedConnections), 1, "{transport}");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_gave_up_between_turns_ends_and_does_not_hang() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&Ask::Chat(chat(2))).await;
        client.rest().await;
        for connection in server.shared.register.all() {
            connection.reset().unwrap();
        }
        until("the connection's end", || {
            server.count(Counter::Closed) == 1
        })
        .await;
        // Noticed while waiting, and again when asking: the cause does not change.
        assert_eq!(
            client.hear().await,
            Heard::Ended(Ended::Reset),
            "{transport}"
        );
        let again = client.try_ask(&Ask::Chat(chat(2))).await;
        let late = match again {
            Ok(()) => client.hear().await,
            Err(ended) => Heard::Ended(ended),
        };
        assert!(
            matches!(late, Heard::Ended(Ended::Reset | Ended::Closed)),
            "{transport}: {late:?}"
        );
    }
}

//! Resume: after an id, past history, of another epoch, of a turn nobody holds.

use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        event_id::EventId,
        notice::Notice,
    },
    corpus,
    counters::Counter,
    limits::Limits,
};

use super::support::{Client, Heard, Running, books, chat, everywhere, feed, start, until};
use pushbench::client::Ended;

/// Resets every connection from the server's side, and waits until the client has seen it.
async fn cut(server: &Running, client: &mut Client) {
    for connection in server.shared.register.all() {
        connection.reset().unwrap();
    }
    loop {
        match client.hear().await {
            Heard::Ended(ended) => return assert_eq!(ended, Ended::Reset),
            Heard::Message(..) => {}
            other => panic!("expected the cut, heard {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_turn_goes_on_after_a_cut_without_loss_or_repeat() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let ask = ChatAsk {
            token_gap_us: 500,
            resume: true,
            ..chat(200)
        };
        let mut client = Client::connect(transport, &server).await;
        client.ask(&Ask::Chat(ask.clone())).await;
        let mut text = client.messages(5).await;
        // Twice: the second connection resumes like the first.
        for _ in 0..2 {
            let position = client.ledger.position();
            for connection in server.shared.register.all() {
                connection.reset().unwrap();
            }
            loop {
                match client.hear().await {
                    Heard::Message(id, token) => text.push((id.seq, token)),
                    Heard::Ended(ended) => break assert_eq!(ended, Ended::Reset, "{transport}"),
                    other => panic!("{transport}: {other:?}"),
                }
            }
            assert!(client.ledger.position() >= position);
            client = client.again(transport, &server).await;
            let after = client.ledger.position();
            let hello = client
                .ask(&Ask::Chat(ChatAsk {
                    after,
                    ..ask.clone()
                }))
                .await;
            assert_eq!(hello, (after.unwrap(), 0), "{transport}");
        }
        let (rest, last, cancelled) = client.rest().await;
        text.extend(rest);
        let tokens = corpus::stream(ask.language, ask.seed).take(200);
        let expected: Vec<_> = (1..).zip(tokens.map(str::to_owned)).collect();
        assert_eq!(text, expected, "{transport}");
        assert_eq!((last.seq, cancelled), (200, false), "{transport}");
        assert_eq!(server.count(Counter::Turns), 1, "{transport}");
        let total = client.ledger.total();
        assert_eq!((total.received, total.lost, total.duplicated), (200, 0, 0));
    }
}

#[tokio::test]
async fn a_turn_that_finished_meanwhile_is_read_to_its_end_and_then_refused() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        let ask = ChatAsk {
            resume: true,
            ..chat(10)
        };
        let (start, _) = client.ask(&Ask::Chat(ask.clone())).await;
        client.rest().await;
        let resumed = |seq| {
            Ask::Chat(ChatAsk {
                after: Some(EventId { seq, ..start }),
                ..ask.clone()
            })
        };
        let (after, missing) = client.ask(&resumed(8)).await;
        assert_eq!((after.seq, missing), (8, 0), "{transport}");
        let (messages, last, _) = client.rest().await;
        assert_eq!((messages.len(), last.seq), (2, 10), "{transport}");
        client.refusal(&resumed(10)).await;
        // The refusal has not cost the connection.
        client.ask(&resumed(9)).await;
        assert_eq!(client.rest().await.0.len(), 1, "{transport}");
        assert_eq!(server.count(Counter::RefusedAsks), 1, "{transport}");
        assert_eq!(server.count(Counter::Accepted), 1, "{transport}");
    }
}

#[tokio::test]
async fn the_feed_goes_on_after_a_cut_without_loss_or_repeat() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&feed(None)).await;
        server.publish(1..=4).await;
        client.messages(4).await;
        cut(&server, &mut client).await;
        server.publish(5..=9).await;
        client = client.again(transport, &server).await;
        let after = client.ledger.position();
        assert_eq!(client.ask(&feed(after)).await, (after.unwrap(), 0));
        server.publish(10..=10).await;
        let seqs: Vec<_> = client.messages(6).await.into_iter().map(|m| m.0).collect();
        assert_eq!(seqs, [5, 6, 7, 8, 9, 10], "{transport}");
        let books = books(&server, 1, [&client.ledger]);
        assert!(books.balanced(), "{transport}: {books:?}");
        assert_eq!((books.lost, books.duplicated), (0, 0), "{transport}");
    }
}

#[tokio::test]
async fn what_history_no_longer_holds_is_said_and_counted_as_lost() {
    for transport in everywhere() {
        let limits = Limits {
            feed_history: 4,
            ..Limits::default()
        };
        let server = start(Config {
            limits,
            ..Config::default()
        })
        .await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&feed(None)).await;
        server.publish(1..=3).await;
        client.messages(3).await;
        cut(&server, &mut client).await;
        server.publish(4..=20).await;
        client = client.again(transport, &server).await;
        let position = client.ledger.position();
        let (after, missing) = client.ask(&feed(position)).await;
        assert_eq!((after.seq, missing), (16, 13), "{transport}");
        let seqs: Vec<_> = client.messages(4).await.into_iter().map(|m| m.0).collect();
        assert_eq!(seqs, [17, 18, 19, 20], "{transport}");
        let books = books(&server, 1, [&client.ledger]);
        assert!(books.balanced(), "{transport}: {books:?}");
        assert_eq!((books.received, books.lost, books.dropped), (7, 13, 0));
    }
}

#[tokio::test]
async fn an_id_of_another_epoch_joins_the_feed_live_and_closes_the_old_books() {
    for transport in everywhere() {
        let old = |seq| EventId {
            epoch: 1,
            stream: 0,
            seq,
        };
        let server = start(Config {
            epoch: 2,
            previous: Some(old(9)),
            ..Config::default()
        })
        .await;
        server.publish(1..=6).await;
        let mut client = Client::connect(transport, &server).await;
        // As left behind by the first epoch: two of its messages seen.
        client.ledger.notice(&Notice::Hello {
            after: old(0),
            missing: 0,
            previous: None,
            retry_ms: 1,
        });
        (1..=2).for_each(|seq| client.ledger.message(seq));
        let (after, missing) = client.ask(&feed(client.ledger.position())).await;
        assert_eq!((after.epoch, after.seq, missing), (2, 6, 0), "{transport}");
        server.publish(7..=7).await;
        client.messages(1).await;
        let first = client.ledger.books()[&1];
        assert_eq!((first.received, first.lost), (2, 7), "{transport}");
        assert!(books(&server, 2, [&client.ledger]).balanced());
    }
}

#[tokio::test]
async fn turns_that_are_not_held_are_refused() {
    for transport in everywhere() {
        let limits = Limits {
            retained_turns: 1,
            ..Limits::default()
        };
        let server = start(Config {
            limits,
            ..Config::default()
        })
        .await;
        let mut client = Client::connect(transport, &server).await;
        // Turn 1 is forgotten for turn 2, turn 3 was not to be resumed, turn 4 never was.
        for resume in [true, true, false] {
            let ask = ChatAsk { resume, ..chat(5) };
            client.ask(&Ask::Chat(ask)).await;
            client.rest().await;
        }
        until("turn 1 is forgotten", || {
            server.count(Counter::ForgottenTurns) == 1
        })
        .await;
        until("turn 3 is forgotten", || {
            server.shared.turns.find(3).is_none()
        })
        .await;
        let resumed = |epoch, stream| {
            Ask::Chat(ChatAsk {
                after: Some(EventId {
                    epoch,
                    stream,
                    seq: 2,
                }),
                resume: true,
                ..chat(5)
            })
        };
        // Another epoch's turn 2 is not ours, and the feed is no turn.
        let unknown = [(1, 1), (1, 3), (1, 4), (2, 2), (1, 0)];
        for (epoch, stream) in unknown {
            client.refusal(&resumed(epoch, stream)).await;
        }
        assert_eq!(server.count(Counter::RefusedAsks), unknown.len() as u64);
        client.ask(&resumed(1, 2)).await;
        assert_eq!(client.rest().await.0.len(), 3, "{transport}");
    }
}

//! Every flush policy on every transport: how many messages a write carries, that waiting loses none, and
//! that nothing waits for what will not come.

use pushbench_server::{
    config::Config,
    contract::{clock::now_ns, factors::Factors, transport::Transport},
};

use super::support::{Client, Running, books, everywhere, feed, start};

/// Where a transport can have the policy; else the case is listed.
fn wherever(flush: &str) -> impl Iterator<Item = Transport> {
    let factors = config(flush).factors;
    everywhere().filter(move |&transport| match factors.misfit(transport) {
        None => true,
        Some(misfit) => {
            eprintln!("does not apply: {misfit}");
            false
        }
    })
}

fn config(flush: &str) -> Config {
    Config {
        factors: Factors {
            flush: flush.parse().unwrap(),
            ..Factors::default()
        },
        ..Config::default()
    }
}

async fn reader(transport: Transport, flush: &str) -> (Running, Client) {
    let server = start(config(flush)).await;
    let mut client = Client::connect(transport, &server).await;
    client.ask(&feed(None)).await;
    (server, client)
}

/// Lets everybody run who is ready, many times over.
async fn let_others_run() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Writes that carried messages, and how many the smallest and the largest had.
fn writes(server: &Running) -> (u64, u64, u64) {
    let carried = server.shared.meters.histograms().messages_a_write;
    (carried.len(), carried.min(), carried.max())
}

fn numbered(count: u64) -> Vec<(u64, String)> {
    (1..=count).map(|n| (n, n.to_string())).collect()
}

#[tokio::test]
async fn what_is_ready_goes_together() {
    for transport in everywhere() {
        let (server, mut client) = reader(transport, "ready").await;
        server.publish(1..=8).await;
        assert_eq!(client.messages(8).await, numbered(8), "{transport}");
        assert_eq!(writes(&server), (1, 8, 8), "{transport}");
    }
}

#[tokio::test]
async fn each_message_has_a_write_of_its_own() {
    for transport in wherever("each") {
        let (server, mut client) = reader(transport, "each").await;
        server.publish(1..=20).await;
        server.shared.end_streams();
        assert_eq!(client.rest().await.0, numbered(20), "{transport}");
        assert!(books(&server, 1, [&client.ledger]).balanced());
        let (writes, least, most) = writes(&server);
        if transport == Transport::WsH2 {
            // hyper passes on what a WebSocket writes there through a task of its own: a message may be on its
            // way through it when the one before is written, and is counted with that.
            assert!(writes >= 15 && most <= 2, "{transport}: {writes}, {most}");
            continue;
        }
        assert_eq!((writes, least, most), (20, 1, 1), "{transport}");
    }
}

#[tokio::test]
async fn a_number_of_messages_is_waited_for_until_the_stream_ends() {
    for transport in wherever("8") {
        let (server, mut client) = reader(transport, "8").await;
        server.publish(1..=7).await;
        let_others_run().await;
        assert_eq!(writes(&server).0, 0, "{transport}: seven are not eight");
        server.publish(8..=8).await;
        client.messages(8).await;
        assert_eq!(writes(&server), (1, 8, 8), "{transport}");
        server.publish(9..=10).await;
        let_others_run().await;
        server.shared.end_streams();
        let (messages, last, _) = client.rest().await;
        assert_eq!((messages.len(), last.seq), (2, 10), "{transport}");
        assert_eq!(writes(&server), (2, 2, 8), "{transport}");
        assert!(books(&server, 1, [&client.ledger]).balanced());
    }
}

#[tokio::test]
async fn a_time_is_waited_for_and_what_came_meanwhile_goes_together() {
    for transport in wherever("50ms") {
        let (server, mut client) = reader(transport, "50ms").await;
        let begun = now_ns();
        server.publish(1..=3).await;
        server.publish(4..=5).await;
        assert_eq!(client.messages(5).await, numbered(5), "{transport}");
        assert!(
            now_ns() >= begun + 50_000_000,
            "{transport}: released early"
        );
        assert_eq!(writes(&server), (1, 5, 5), "{transport}");
    }
}

#[tokio::test]
async fn a_stopping_server_waits_for_nothing_and_loses_nothing() {
    for flush in ["each", "100", "3600000ms"] {
        for transport in wherever(flush) {
            let (server, mut client) = reader(transport, flush).await;
            server.publish(1..=9).await;
            let_others_run().await;
            let stopped = tokio::spawn(server.stop());
            let (messages, last, cancelled) = client.rest().await;
            assert_eq!(messages, numbered(9), "{transport} {flush}");
            assert_eq!((last.seq, cancelled), (9, true), "{transport} {flush}");
            client.close().await;
            stopped.await.unwrap();
        }
    }
}

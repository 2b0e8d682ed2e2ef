//! Long polling as strangers meet it: what an answer holds, and what becomes of a poller that comes over
//! another connection, late, or never.

use std::time::Duration;

use pushbench_server::{
    config::Config, contract::notice::Notice, counters::Counter, limits::Limits,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::support::{Answer, Running, start};

/// One poller on one connection.
struct Poller {
    stream: TcpStream,
    target: &'static str,
    last: String,
}

impl Poller {
    /// Begins a stream, and is greeted.
    async fn begin(server: &Running, target: &'static str) -> Self {
        let mut poller = Self {
            stream: server.connect().await,
            target,
            last: String::new(),
        };
        let hello = poller.ask("").await;
        assert_eq!(hello.header("content-type"), Some("application/x-ndjson"));
        assert!(hello.body.starts_with("{\"notice\":\"hello\"") && hello.body.ends_with("}\n"));
        poller
    }

    async fn ask(&mut self, fields: &str) -> Answer {
        let target = self.target;
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let answer = Answer::first(&mut self.stream).await;
        if let Some(last) = answer.header("last-event-id") {
            self.last = last.to_owned();
        }
        answer
    }

    /// Goes on: the answer.
    async fn poll(&mut self) -> Answer {
        let fields = format!("Last-Event-ID: {}\r\nPrefer: wait=25\r\n", self.last);
        self.ask(&fields).await
    }

    /// Goes on: the numbers of the messages that came, and the notices.
    async fn hear(&mut self) -> (Vec<u64>, Vec<Notice>) {
        let answer = self.poll().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (mut seqs, mut notices) = (Vec::new(), Vec::new());
        for line in answer.body.lines() {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            match json["seq"].as_u64() {
                Some(seq) => seqs.push(seq),
                None => notices.push(Notice::decode(line).unwrap()),
            }
        }
        (seqs, notices)
    }
}

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..Config::default()
    }
}

fn publish(server: &Running, count: u64) {
    (0..count).for_each(|n| server.shared.feed.publish(n, "x"));
}

#[tokio::test]
async fn an_answer_holds_all_that_is_ready_and_says_where_it_stopped() {
    let server = start(Config::default()).await;
    publish(&server, 2);
    let mut poller = Poller::begin(&server, "/poll/feed").await;
    assert_eq!(poller.last, "1-0-2");
    let live = || server.shared.meters.counters.live_streams();
    assert_eq!(live(), 1, "between two polls");
    publish(&server, 3);
    assert_eq!(poller.hear().await, (vec![3, 4, 5], vec![]));
    assert_eq!(poller.last, "1-0-5");
    // Whoever waits is answered when there is something.
    let waiting = async {
        server
            .until("it asks", |s| s.count(Counter::Subscribed) == 1)
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        publish(&server, 1);
    };
    let (heard, ()) = tokio::join!(poller.hear(), waiting);
    assert_eq!(heard, (vec![6], vec![]));
    server.shared.feed.end(false);
    let (_, notices) = poller.hear().await;
    assert!(matches!(
        notices[..],
        [Notice::End {
            cancelled: false,
            ..
        }]
    ));
    assert_eq!((live(), server.count(Counter::Subscribed)), (0, 1));
    assert_eq!(
        (
            server.count(Counter::Owed),
            server.count(Counter::HandedOver)
        ),
        (4, 4)
    );
}

#[tokio::test]
async fn nothing_within_the_time_is_an_empty_answer_and_the_poller_stays() {
    let server = start(limited(Limits {
        poll_wait: Duration::from_millis(30),
        ..Limits::default()
    }))
    .await;
    let mut poller = Poller::begin(&server, "/poll/feed").await;
    for _ in 0..2 {
        let answer = poller.poll().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("content-length"), Some("0"));
        assert_eq!(answer.header("last-event-id"), Some("1-0-0"));
    }
    publish(&server, 1);
    assert_eq!(poller.hear().await.0, [1]);
    assert_eq!(server.count(Counter::Subscribed), 1);
}

#[tokio::test]
async fn a_poller_loses_nothing_over_another_connection_and_waits_there_too() {
    let server = start(limited(Limits {
        poll_wait: Duration::from_millis(30),
        ..Limits::default()
    }))
    .await;
    let mut poller = Poller::begin(&server, "/poll/feed?subscriber=7").await;
    publish(&server, 2);
    poller.stream = server.connect().await;
    assert_eq!(
        poller.hear().await,
        (vec![1, 2], vec![]),
        "and no second hello"
    );
    poller.stream = server.connect().await;
    assert_eq!(poller.hear().await, (vec![], vec![]), "it was waited for");
    server
        .until("the first are gone", |s| {
            s.shared.meters.counters.live_streams() == 1
        })
        .await;
    publish(&server, 1);
    assert_eq!(poller.hear().await.0, [3]);
    assert_eq!(server.count(Counter::Owed), 3, "known again");
}

#[tokio::test]
async fn a_poller_that_does_not_ask_again_is_forgotten_and_may_still_come_back() {
    let server = start(limited(Limits {
        poll_pause: Duration::from_millis(20),
        write_stall: Duration::from_millis(100),
        feed_history: 2,
        ..Limits::default()
    }))
    .await;
    let mut poller = Poller::begin(&server, "/poll/feed?subscriber=7").await;
    server
        .until("forgotten", |s| s.count(Counter::ForgottenPolls) == 1)
        .await;
    assert_eq!(server.shared.meters.counters.live_streams(), 0);
    publish(&server, 2);
    assert_eq!(poller.hear().await, (vec![1, 2], vec![]));
    server
        .until("forgotten again", |s| s.count(Counter::ForgottenPolls) == 2)
        .await;
    publish(&server, 5);
    // What history no longer holds is said as to anybody who joins.
    let (seqs, notices) = poller.hear().await;
    assert!(
        matches!(notices[..], [Notice::Hello { missing: 3, .. }]),
        "{notices:?}"
    );
    assert_eq!(seqs, [6, 7]);
    // What falls out of it while the poller is known is dropped.
    publish(&server, 5);
    let (seqs, notices) = poller.hear().await;
    assert_eq!(
        (seqs, notices),
        (vec![11, 12], vec![Notice::Dropped { count: 3 }])
    );
}

#[tokio::test]
async fn a_large_batch_is_left_to_the_next_polls() {
    let server = start(limited(Limits {
        poll_bytes: 250,
        ..Limits::default()
    }))
    .await;
    let mut poller = Poller::begin(&server, "/poll/feed").await;
    publish(&server, 10);
    let mut seqs = Vec::new();
    let mut answers = 0;
    while seqs.len() < 10 {
        let heard = poller.hear().await.0;
        assert!(heard.len() < 10);
        seqs.extend(heard);
        answers += 1;
    }
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    assert!(answers >= 3, "{answers}");
}

#[tokio::test]
async fn after_a_turns_end_there_is_nothing_or_nobody() {
    let server = start(Config::default()).await;
    const KEPT: &str = "/poll/chat?tokens=2&first_token_us=0&token_gap_us=0&resume=true";
    const NOT_KEPT: &str = "/poll/chat?tokens=2&first_token_us=0&token_gap_us=0";
    for (target, status) in [(KEPT, 204), (NOT_KEPT, 404)] {
        let mut poller = Poller::begin(&server, target).await;
        let (mut seqs, mut ended) = (Vec::new(), false);
        while !ended {
            let (heard, notices) = poller.hear().await;
            seqs.extend(heard);
            ended = notices
                .iter()
                .any(|notice| matches!(notice, Notice::End { .. }));
        }
        assert_eq!(seqs, [1, 2]);
        let number = if status == 204 { 1 } else { 2 };
        server
            .until("it is over", |s| {
                s.shared.turns.find(number).is_some() == (status == 204)
            })
            .await;
        assert_eq!(poller.poll().await.status, status, "{target}");
    }
}

#[tokio::test]
async fn a_poller_without_a_place_is_refused() {
    let server = start(limited(Limits {
        polls: 0,
        ..Limits::default()
    }))
    .await;
    let answer = server.get("/poll/feed").await;
    assert_eq!(answer.status, 503);
    assert!(answer.error().contains("limit"));
    assert_eq!(server.count(Counter::RefusedAsks), 1);
}

#[tokio::test]
async fn a_poller_that_begins_anew_or_leaves_gives_up_its_stream() {
    let server = start(Config::default()).await;
    const ENDLESS: &str = "/poll/chat?tokens=8000&first_token_us=0&token_gap_us=1000";
    let mut poller = Poller::begin(&server, ENDLESS).await;
    poller.hear().await;
    poller.ask("").await;
    server
        .until("the first turn's stop", |s| {
            s.count(Counter::StoppedTurns) == 1
        })
        .await;
    drop(poller);
    server
        .until("the second's", |s| s.count(Counter::StoppedTurns) == 2)
        .await;
    assert_eq!(server.shared.meters.counters.live_streams(), 0);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_a_poller_and_not_for_ever() {
    let server = start(limited(Limits {
        shutdown: Duration::from_millis(100),
        ..Limits::default()
    }))
    .await;
    let mut comes = Poller::begin(&server, "/poll/feed").await;
    let _stays_away = Poller::begin(&server, "/poll/feed").await;
    let shared = server.shared.clone();
    let (heard, ()) = tokio::join!(comes.hear(), server.stop());
    assert!(matches!(
        heard.1[..],
        [Notice::End {
            cancelled: true,
            ..
        }]
    ));
    assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 1);
}

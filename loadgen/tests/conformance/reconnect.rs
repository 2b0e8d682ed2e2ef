//! Reconnection: real connections cut by the server's side, and a server that dies and comes back.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use pushbench::{
    client::{Connector, Ended},
    ledger::Ledger,
    recorder::Recorder,
    subscriber::{Crowd, Outcome, Subscriber},
};
use pushbench_server::{
    config::Config,
    contract::{endpoint::Endpoint, event_id::EventId, factors::Factors, transport::Transport},
    control::Command,
    counters::{Counter, Counters},
    limits::Limits,
    pacer::Pacer,
    server::Server,
};
use tokio::task::JoinSet;

use super::support::{
    Running, anywhere, books, everywhere, levelled, soon, start, start_at, until,
};

/// Short, so that a test is; longer than a cut takes to be noticed on an idle machine, though nothing
/// depends on it.
const RETRY: Duration = Duration::from_millis(20);

/// Half of them resume.
const SUBSCRIBERS: u64 = 8;

fn config() -> Config {
    Config {
        retry: RETRY,
        ..Config::default()
    }
}

struct Audience {
    crowd: Arc<Crowd>,
    recorder: Arc<Mutex<Recorder>>,
    lives: JoinSet<Outcome>,
}

impl Audience {
    async fn join(transport: Transport, server: &Endpoint, reconnect: bool) -> Self {
        let crowd = Arc::new(Crowd::default());
        let recorder = Arc::new(Mutex::new(Recorder::new(0..u64::MAX)));
        let pacer = Pacer::start().unwrap();
        let mut lives = JoinSet::new();
        for number in 0..SUBSCRIBERS {
            let subscriber = Subscriber {
                connector: Connector::new(transport, Factors::default(), server.clone()),
                number: Some(number),
                resume: number % 2 == 0,
                reconnect,
                pacer: pacer.clone(),
                recorder: recorder.clone(),
                crowd: crowd.clone(),
            };
            lives.spawn(subscriber.run());
        }
        let audience = Self {
            crowd,
            recorder,
            lives,
        };
        audience.complete().await;
        audience
    }

    /// Waits until all are live.
    async fn complete(&self) {
        soon("all are live", self.crowd.reaches(SUBSCRIBERS as usize)).await;
    }

    /// Waits until all have come back from this many cuts.
    async fn came_back(&self, cuts: u64) {
        let attempts = SUBSCRIBERS * (1 + cuts);
        until("everybody has tried", || {
            self.crowd.log().attempts.len() as u64 >= attempts
        })
        .await;
        self.complete().await;
    }

    /// Waits until so many messages were received by all together.
    async fn received(&self, count: u64) {
        until("all messages received", || {
            self.recorder.lock().unwrap().received == count
        })
        .await;
    }

    /// Waits for everybody's end; those who resume first.
    async fn leave(self) -> [Vec<Outcome>; 2] {
        let outcomes = soon("everybody's end", self.lives.join_all()).await;
        assert_eq!(outcomes.len() as u64, SUBSCRIBERS);
        let (resumed, not) = outcomes.into_iter().partition(|outcome| outcome.resumed);
        [resumed, not]
    }
}

fn ledgers(outcomes: &[Vec<Outcome>; 2]) -> impl Iterator<Item = &Ledger> {
    outcomes.iter().flatten().map(|outcome| &outcome.ledger)
}

async fn cut_all(server: &Running) {
    assert_eq!(server.command(Command::Cut).await, SUBSCRIBERS);
}

#[tokio::test]
async fn what_is_published_between_cut_and_return_is_lost_without_resume_and_only_then() {
    for transport in everywhere() {
        let server = start(config()).await;
        let audience = Audience::join(transport, &server.endpoint, true).await;
        server.publish(1..=3).await;
        audience.received(3 * SUBSCRIBERS).await;
        for cut in 1..=3_u64 {
            // Nobody runs between these two: all are away when it is published.
            cut_all(&server).await;
            server.publish(1..=5).await;
            audience.came_back(cut).await;
            server.publish(1..=1).await;
            // Before the first cut 3 each, then 1 each, and 5 more for those who resume.
            let each = 2 * 3 + cut * (2 + 5);
            audience.received(SUBSCRIBERS / 2 * each).await;
        }
        server.command(Command::End).await;
        let outcomes = audience.leave().await;
        let total = books(&server, 1, ledgers(&outcomes));
        assert!(total.balanced(), "{transport}: {total:?}");
        assert_eq!(total.owed, SUBSCRIBERS * (3 + 3 * 6), "{transport}");
        for (outcomes, lost) in outcomes.iter().zip([0, 5]) {
            for outcome in outcomes {
                assert_eq!(outcome.gave_up, None, "{transport}");
                assert_eq!(outcome.outages.len(), 3, "{transport}");
                assert_eq!(outcome.ledger.total().lost, 3 * lost, "{transport}");
                for outage in &outcome.outages {
                    assert_eq!(outage.cause, "reset", "{transport}");
                    assert_eq!((outage.lost, outage.duplicated), (lost, 0), "{transport}");
                    assert_eq!(outage.attempts, 1, "{transport}");
                    assert!(outage.last_message_at <= outage.noticed_at);
                    let retry_ns = RETRY.as_nanos() as u64;
                    assert!(outage.noticed_at + retry_ns <= outage.greeted_at);
                    assert!(outage.greeted_at <= outage.first_new_at);
                }
            }
        }
        assert_eq!(server.count(Counter::Cut), 3 * SUBSCRIBERS, "{transport}");
    }
}

#[tokio::test]
async fn cuts_at_any_moment_of_a_running_feed_leave_the_books_balanced() {
    for transport in everywhere() {
        let server = start(config()).await;
        let audience = Audience::join(transport, &server.endpoint, true).await;
        server.command(Command::Feed { rate: 2_000.0 }).await;
        for cut in 1..=5 {
            tokio::time::sleep(Duration::from_micros(7_300 * cut)).await;
            cut_all(&server).await;
            audience.came_back(cut).await;
        }
        server.command(Command::End).await;
        let outcomes = audience.leave().await;
        let total = books(&server, 1, ledgers(&outcomes));
        assert!(total.balanced() && total.owed > 0, "{transport}: {total:?}");
        let [resumed, not] = &outcomes;
        assert!(
            resumed
                .iter()
                .all(|outcome| outcome.ledger.total().lost == 0)
        );
        assert!(not.iter().any(|outcome| outcome.ledger.total().lost > 0));
        assert_eq!((total.duplicated, total.dropped), (0, 0), "{transport}");
    }
}

#[tokio::test]
async fn losses_past_history_are_lost_with_resume_too_and_the_books_know() {
    for transport in everywhere() {
        let limits = Limits {
            feed_history: 3,
            ..Limits::default()
        };
        let server = start(Config { limits, ..config() }).await;
        let audience = Audience::join(transport, &server.endpoint, true).await;
        server.publish(1..=2).await;
        audience.received(2 * SUBSCRIBERS).await;
        cut_all(&server).await;
        server.publish(1..=10).await;
        audience.came_back(1).await;
        server.command(Command::End).await;
        let outcomes = audience.leave().await;
        let total = books(&server, 1, ledgers(&outcomes));
        assert!(total.balanced(), "{transport}: {total:?}");
        for (outcomes, lost) in outcomes.iter().zip([7, 10]) {
            for outcome in outcomes {
                assert_eq!(outcome.ledger.total().lost, lost, "{transport}");
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_come_back_gives_up_and_says_why() {
    for transport in everywhere() {
        let server = start(config()).await;
        let audience = Audience::join(transport, &server.endpoint, false).await;
        server.publish(1..=1).await;
        audience.received(SUBSCRIBERS).await;
        cut_all(&server).await;
        let outcomes = audience.leave().await;
        for outcome in outcomes.iter().flatten() {
            assert_eq!(outcome.gave_up, Some(Ended::Reset), "{transport}");
            assert_eq!(outcome.outages.len(), 1, "{transport}");
        }
    }
}

#[tokio::test]
async fn a_killed_server_comes_back_as_the_next_epoch_and_both_books_balance() {
    for transport in everywhere() {
        let first = Mortal::start();
        let audience = Audience::join(transport, &first.endpoint, true).await;
        first.publish(5);
        audience.received(5 * SUBSCRIBERS).await;
        let (shared, endpoint) = (first.shared.clone(), first.endpoint.clone());
        first.kill();
        soon("all are gone", audience.crowd.reaches(0)).await;
        // Published by the dying server after its last word to anyone.
        (0..4).for_each(|n| shared.feed.publish(n, "unheard"));
        let last = shared.meters.counters.read(Counter::FeedSeq);
        assert_eq!(last, 9);
        until("they found nobody", || {
            audience.crowd.log().attempts.len() as u64 >= 2 * SUBSCRIBERS
        })
        .await;

        let second = start_at(
            &endpoint,
            Config {
                epoch: 2,
                previous: Some(EventId {
                    epoch: 1,
                    stream: 0,
                    seq: last,
                }),
                ..config()
            },
        )
        .await;
        audience.complete().await;
        second.publish(1..=3).await;
        second.command(Command::End).await;
        let outcomes = audience.leave().await;

        let owed = shared.meters.counters.read(Counter::Owed);
        assert_eq!(owed, 9 * SUBSCRIBERS, "{transport}");
        let old: u64 = ledgers(&outcomes)
            .map(|ledger| ledger.books()[&1].received + ledger.books()[&1].lost)
            .sum();
        assert_eq!(owed, old, "{transport}: the first epoch's books");
        let new = books(&second, 2, ledgers(&outcomes));
        assert!(new.balanced(), "{transport}: {new:?}");
        assert_eq!(
            (new.received, new.lost),
            (3 * SUBSCRIBERS, 0),
            "{transport}"
        );
        for outcome in outcomes.iter().flatten() {
            // A dead server's history is gone: resume cannot bring it back.
            assert_eq!(outcome.ledger.books()[&1].lost, 4, "{transport}");
            assert_eq!(outcome.outages.len(), 1, "{transport}");
            let outage = &outcome.outages[0];
            assert!(
                ["closed", "reset"].contains(&outage.cause.as_str()),
                "{outage:?}"
            );
            assert!(outage.attempts >= 2, "{transport}: {outage:?}");
            assert_eq!(outage.lost, 4, "{transport}");
        }
    }
}

/// A server on a runtime of its own, all of whose tasks and sockets go at once, without a goodbye.
struct Mortal {
    endpoint: Endpoint,
    shared: Arc<pushbench_server::shared::Shared>,
    runtime: tokio::runtime::Runtime,
}

impl Mortal {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = Config {
            listen: vec![anywhere().http],
            bare: anywhere().bare,
            ..levelled(config())
        };
        let (started, wait) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let server = Server::bind(config, Counters::private().unwrap())
                .await
                .unwrap();
            started
                .send((server.endpoint().unwrap(), server.shared()))
                .unwrap();
            server.run(std::future::pending()).await;
        });
        let (endpoint, shared) = wait.recv().unwrap();
        Self {
            endpoint,
            shared,
            runtime,
        }
    }

    fn publish(&self, count: u64) {
        (0..count).for_each(|n| self.shared.feed.publish(n, "heard"));
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

//! One simulated client of the feed: connect, receive, reconnect, for any transport.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pushbench_reports::record::Books;
use pushbench_server::{
    contract::{
        ask::{Ask, FeedAsk},
        clock::now_ns,
        message::Stamps,
        notice::Notice,
        transport::Transport,
    },
    pacer::Pacer,
};
use tokio::sync::watch;

use crate::{
    client::{self, Ended, Heard, Wire},
    ledger::Ledger,
    recorder::{Previous, Recorder},
};

/// Who subscribes, how, and where it reports.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// How messages travel.
    pub transport: Transport,
    /// Where from.
    pub server: SocketAddr,
    /// By which the server's books know it again; a stranger, whom they forget, has none.
    pub number: Option<u64>,
    /// Whether it asks for what it missed.
    pub resume: bool,
    /// Whether it comes back after a cut: the policy is to wait as long as the server said, then try
    /// again and again at that interval.
    pub reconnect: bool,
    /// For waits.
    pub pacer: Pacer,
    /// Where messages are recorded.
    pub recorder: Arc<Mutex<Recorder>>,
    /// How many streams are live, and how many attempts were made.
    pub crowd: Arc<Crowd>,
}

/// All subscribers of a trial together.
#[derive(Debug)]
pub struct Crowd {
    live: watch::Sender<usize>,
    log: Mutex<Log>,
}

/// What happened when; times are [`now_ns`].
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Time and number of live streams after each change.
    pub live: Vec<(u64, usize)>,
    /// When connections were attempted.
    pub attempts: Vec<u64>,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            live: watch::Sender::new(0),
            log: Mutex::default(),
        }
    }
}

impl Crowd {
    /// Streams live now, as the clients see it: greeted and not ended.
    pub fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Completes when as many streams are live.
    pub async fn reaches(&self, count: usize) {
        // The sender is `self`: it outlives the wait.
        let _ = self.live.subscribe().wait_for(|&live| live == count).await;
    }

    /// The log so far.
    pub fn log(&self) -> Log {
        self.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut usize)) {
        self.live.send_modify(change);
        self.lock().live.push((now_ns(), self.live()));
    }

    fn attempt(&self) {
        self.lock().attempts.push(now_ns());
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a subscriber saw from its first connection to the stream's end.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Whether it asked for what it missed.
    pub resumed: bool,
    /// Its account of messages.
    pub ledger: Ledger,
    /// Each time it was cut off, in order.
    pub outages: Vec<Outage>,
    /// Why it gave up before the stream's end, if it did.
    pub gave_up: Option<Ended>,
}

/// One time without a stream; times are [`now_ns`], 0 when it never happened.
#[derive(Debug, Clone, Default)]
pub struct Outage {
    /// Why the connection ended.
    pub cause: String,
    /// The last message before.
    pub last_message_at: u64,
    /// The client learned of the end.
    pub noticed_at: u64,
    /// Connections attempted until one was greeted.
    pub attempts: u64,
    /// Greeted again.
    pub greeted_at: u64,
    /// The first message that it had not seen.
    pub first_new_at: u64,
    /// Messages that it will never see, as the first new one told.
    pub lost: u64,
    /// Messages that it saw again.
    pub duplicated: u64,
}

impl Subscriber {
    /// Lives until the stream's end, or until a connection ends and it may not come back.
    pub async fn run(self) -> Outcome {
        let mut life = Life {
            subscriber: &self,
            outcome: Outcome {
                resumed: self.resume,
                ..Outcome::default()
            },
            retry: None,
            last_message_at: 0,
            before_outage: Books::default(),
            live: false,
        };
        loop {
            let Err(ended) = life.one_connection().await else {
                return life.outcome;
            };
            if life.live {
                life.live = false;
                self.crowd.change(|live| *live -= 1);
                life.before_outage = life.outcome.ledger.total();
                life.outcome.outages.push(Outage {
                    cause: ended.cause(),
                    last_message_at: life.last_message_at,
                    noticed_at: now_ns(),
                    ..Outage::default()
                });
            }
            match life.retry {
                Some(retry) if self.reconnect => {
                    self.pacer
                        .sleep_until(now_ns() + retry.as_nanos() as u64)
                        .await;
                }
                _ => {
                    life.outcome.gave_up = Some(ended);
                    return life.outcome;
                }
            }
        }
    }
}

struct Life<'a> {
    subscriber: &'a Subscriber,
    outcome: Outcome,
    /// As the server said; a subscriber that was never greeted does not come back.
    retry: Option<Duration>,
    last_message_at: u64,
    /// The account when the latest outage began.
    before_outage: Books,
    live: bool,
}

impl Life<'_> {
    /// Connects and receives; `Ok` at the stream's proper end.
    async fn one_connection(&mut self) -> Result<(), Ended> {
        let Subscriber {
            transport,
            server,
            number,
            resume,
            crowd,
            ..
        } = self.subscriber;
        crowd.attempt();
        if let Some(outage) = self.outcome.outages.last_mut() {
            outage.attempts += 1;
        }
        let mut wire = client::connect(*transport, *server).await?;
        let after = self.outcome.ledger.position().filter(|_| *resume);
        wire.ask(&Ask::Feed(FeedAsk {
            subscriber: *number,
            resume: *resume,
            after,
        }))
        .await?;
        let end = self.receive(wire.as_mut()).await;
        if end.is_ok() {
            self.live = false;
            crowd.change(|live| *live -= 1);
            wire.close().await;
        }
        end
    }

    async fn receive(&mut self, wire: &mut dyn Wire) -> Result<(), Ended> {
        let mut previous = Previous::default();
        client::receive(wire, |heard| match heard {
            Heard::Message(message, received_at) => {
                self.message(&message.stamps, received_at, &mut previous);
                None
            }
            Heard::Notice(notice) => self.notice(&notice),
        })
        .await
    }

    fn message(&mut self, stamps: &Stamps, received_at: u64, previous: &mut Previous) {
        let mut recorder = self
            .subscriber
            .recorder
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        recorder.record(stamps, received_at, previous);
        drop(recorder);
        self.last_message_at = received_at;
        let before = self.outcome.ledger.position();
        self.outcome.ledger.message(stamps.seq);
        if let Some(outage) = self.outcome.outages.last_mut()
            && outage.first_new_at == 0
            && self.outcome.ledger.position() != before
        {
            let total = self.outcome.ledger.total();
            outage.first_new_at = received_at;
            outage.lost = total.lost - self.before_outage.lost;
            outage.duplicated = total.duplicated - self.before_outage.duplicated;
        }
    }

    /// Acts on a notice; the stream's end, or its refusal, when it is one.
    fn notice(&mut self, notice: &Notice) -> Option<Result<(), Ended>> {
        self.outcome.ledger.notice(notice);
        match notice {
            Notice::Hello { retry_ms, .. } => {
                self.retry = Some(Duration::from_millis(*retry_ms));
                self.live = true;
                self.subscriber.crowd.change(|live| *live += 1);
                if let Some(outage) = self.outcome.outages.last_mut() {
                    outage.greeted_at = now_ns();
                }
                None
            }
            Notice::Dropped { .. } => None,
            Notice::End { .. } => Some(Ok(())),
            Notice::Refused { reason } => Some(Err(Ended::Failed(reason.clone()))),
        }
    }
}

//! One simulated client of the feed: connect, receive, reconnect, for any transport.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use pushbench_reports::record::Books;
use pushbench_server::{
    contract::{
        ask::{Ask, FeedAsk},
        clock::now_ns,
        message::{Envelope, Stamps},
        notice::Notice,
    },
    pacer::Pacer,
};
use tokio::sync::watch;

use crate::{
    client::{self, Connector, Ended, Heard, Wire},
    ledger::Ledger,
    recorder::{Previous, Recorder},
};

/// Who subscribes, how, and where it reports.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// How messages travel, and where from.
    pub connector: Connector,
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
    path: OnceLock<&'static str>,
    wrong_path: OnceLock<Ended>,
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
            path: OnceLock::new(),
            wrong_path: OnceLock::new(),
        }
    }
}

impl Crowd {
    /// Streams live now, as the clients see it: greeted and not ended.
    pub fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Completes when as many streams are live, or as soon as something else runs on a wire than the
    /// transport names: then no count means anything.
    pub async fn reaches(&self, count: usize) {
        let done = |live: &usize| *live == count || self.wrong_path().is_some();
        // The sender is `self`: it outlives the wait.
        let _ = self.live.subscribe().wait_for(done).await;
    }

    /// What runs on the wires, as the server's answers said; all say the same, or are a wrong path.
    pub fn path(&self) -> Option<&'static str> {
        self.path.get().copied()
    }

    /// The first connection on which something else ran than the transport names.
    pub fn wrong_path(&self) -> Option<&Ended> {
        self.wrong_path.get()
    }

    /// The log so far.
    pub fn log(&self) -> Log {
        self.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut usize)) {
        self.live.send_modify(change);
        self.lock().live.push((now_ns(), self.live()));
    }

    /// Keeps what an attempt said of the path.
    fn met<T>(&self, attempt: Result<T, Ended>) -> Result<T, Ended> {
        if let Err(wrong @ Ended::WrongPath(_)) = &attempt {
            // Somebody may have met one before: the first is enough to know.
            let _ = self.wrong_path.set(wrong.clone());
            self.live.send_modify(|_| ());
        }
        attempt
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
    /// Whose it is; none of a stranger's.
    pub number: Option<u64>,
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
        let mut life = Life::new(
            &self.crowd,
            |stamps: &Stamps, received_at, previous: &mut Previous| {
                let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
                recorder.record(stamps, received_at, previous);
            },
        );
        (life.outcome.number, life.outcome.resumed) = (self.number, self.resume);
        loop {
            let Err(ended) = self.one_connection(&mut life).await else {
                return life.outcome;
            };
            life.cut(&ended);
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

    /// Connects and receives; `Ok` at the stream's proper end.
    async fn one_connection(&self, life: &mut Life<'_, impl Record>) -> Result<(), Ended> {
        self.crowd.attempt();
        life.attempt();
        let wire = self.connector.connect().await;
        let mut wire = self.crowd.met(wire)?;
        let after = life.outcome.ledger.position().filter(|_| self.resume);
        let ask = Ask::Feed(FeedAsk {
            subscriber: self.number,
            resume: self.resume,
            after,
        });
        self.crowd.met(wire.ask(&ask).await)?;
        if let Some(path) = wire.path() {
            self.crowd.path.get_or_init(|| path);
        }
        let envelope = self.connector.factors().envelope;
        life.receive(envelope, wire.as_mut()).await?;
        life.leave();
        wire.close().await;
        Ok(())
    }
}

/// Takes down when a message was due, sent and received.
pub(crate) trait Record: FnMut(&Stamps, u64, &mut Previous) {}

impl<R: FnMut(&Stamps, u64, &mut Previous)> Record for R {}

/// A subscriber's memory over all its connections, whatever they run over.
pub(crate) struct Life<'a, R> {
    crowd: &'a Crowd,
    record: R,
    outcome: Outcome,
    /// As the server said; a subscriber that was never greeted does not come back.
    retry: Option<Duration>,
    last_message_at: u64,
    /// The account when the latest outage began.
    before_outage: Books,
    live: bool,
}

impl<'a, R: Record> Life<'a, R> {
    /// Before the first connection.
    pub(crate) fn new(crowd: &'a Crowd, record: R) -> Self {
        Self {
            crowd,
            record,
            outcome: Outcome::default(),
            retry: None,
            last_message_at: 0,
            before_outage: Books::default(),
            live: false,
        }
    }

    /// Receives until the stream's proper end.
    pub(crate) async fn receive(
        &mut self,
        envelope: Envelope,
        wire: &mut dyn Wire,
    ) -> Result<(), Ended> {
        let mut previous = Previous::default();
        client::receive_in(envelope, wire, |heard| match heard {
            Heard::Text(_, received_at) => {
                self.last_message_at = received_at;
                self.outcome.ledger.next_message();
                None
            }
            Heard::Message(message, received_at) => {
                self.message(&message.stamps, received_at, &mut previous);
                None
            }
            Heard::Notice(notice) => self.notice(&notice),
        })
        .await
    }

    /// Its account of messages.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.outcome.ledger
    }

    fn message(&mut self, stamps: &Stamps, received_at: u64, previous: &mut Previous) {
        (self.record)(stamps, received_at, previous);
        self.last_message_at = received_at;
        let before = self.outcome.ledger.position();
        self.outcome.ledger.message(stamps.seq);
        if let Some(outage) = self.outcome.outages.last_mut()
            && outage.first_new_at == 0
            && self.outcome.ledger.position() != before
        {
            let total = self.outcome.ledger.total();
            outage.first_new_at = received_at;
            // What was missing before the outage may have come late since.
            outage.lost = total.lost.saturating_sub(self.before_outage.lost);
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
                self.crowd.change(|live| *live += 1);
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

    fn attempt(&mut self) {
        if let Some(outage) = self.outcome.outages.last_mut() {
            outage.attempts += 1;
        }
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.live) {
            self.crowd.change(|live| *live -= 1);
        }
    }

    /// A connection ended before the stream did: an outage, if there was a stream.
    fn cut(&mut self, ended: &Ended) {
        if !self.live {
            return;
        }
        self.leave();
        self.before_outage = self.outcome.ledger.total();
        self.outcome.outages.push(Outage {
            cause: ended.cause(),
            last_message_at: self.last_message_at,
            noticed_at: now_ns(),
            ..Outage::default()
        });
    }
}

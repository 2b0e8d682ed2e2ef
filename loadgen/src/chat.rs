//! The users of a chat trial: connections kept warm, turns that run, and what they saw.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use pushbench_server::{
    contract::{
        ask::{Ask, ChatAsk},
        clock::now_ns,
        notice::Notice,
    },
    meters::histogram,
};
use tokio::task::JoinSet;

use crate::{
    bench::{Bench, Broken},
    client::{self, Connector, Ended, Heard, Wire},
    ledger::Ledger,
    recorder::{Previous, Recorder},
    server_process::ServerProcess,
    workload::Turn,
};

/// The users of one trial.
pub struct Crowd {
    connector: Connector,
    /// Oldest first, so that every connection is used in turn and none goes stale.
    idle: Arc<Mutex<VecDeque<Box<dyn Wire>>>>,
    turns: JoinSet<()>,
    tally: Arc<Mutex<Tally>>,
}

/// What is counted over all turns.
#[derive(Debug)]
pub struct Tally {
    /// Tokens, of turns in the window.
    pub recorder: Recorder,
    /// Due to first token, nanoseconds, of turns that opened a connection.
    pub ttft_cold: Histogram<u64>,
    /// The same of turns on an open one.
    pub ttft_warm: Histogram<u64>,
    /// Woken − due, nanoseconds: how late turns were started, from the window's opening on.
    pub send_lag: Histogram<u64>,
    /// Round trips to the first token, connecting included.
    pub trips_cold: Mean,
    /// The same on an open connection.
    pub trips_warm: Mean,
    /// Turns started.
    pub turns: u64,
    /// Turns that the window's end cut.
    pub cut: u64,
    /// Why turns failed.
    pub failures: Vec<String>,
    /// All turns' accounts added up.
    pub ledgers: Ledger,
    /// What ran on the wires, as the server's answers said; another path is a failure.
    pub path: Option<&'static str>,
}

/// A running mean.
#[derive(Debug, Default)]
pub struct Mean {
    sum: u64,
    count: u64,
}

impl Mean {
    /// One value more.
    pub(crate) fn add(&mut self, value: u64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean, or none of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            recorder: Recorder::new(0..0),
            ttft_cold: histogram(),
            ttft_warm: histogram(),
            send_lag: histogram(),
            trips_cold: Mean::default(),
            trips_warm: Mean::default(),
            turns: 0,
            cut: 0,
            failures: Vec::new(),
            ledgers: Ledger::default(),
            path: None,
        }
    }

    /// From now on, what is due in this window is recorded, and nothing that was before.
    pub fn open(&mut self, window: std::ops::Range<u64>) {
        *self = Self {
            recorder: Recorder::new(window),
            turns: self.turns,
            cut: self.cut,
            failures: std::mem::take(&mut self.failures),
            ledgers: std::mem::take(&mut self.ledgers),
            ..Self::new()
        };
    }
}

/// A crowd's tally in other hands.
pub struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    /// What the users saw so far; hold it briefly.
    pub fn lock(&self) -> MutexGuard<'_, Tally> {
        lock(&self.0)
    }
}

impl Crowd {
    /// Nobody yet.
    pub fn new(bench: &Bench, server: &ServerProcess) -> Self {
        Self {
            // Turns that open a connection are those of users who have not been here.
            connector: bench.connector(server).without_resumption(),
            idle: Arc::default(),
            turns: JoinSet::new(),
            tally: Arc::new(Mutex::new(Tally::new())),
        }
    }

    /// Opens the connections that warm turns reuse, and lets each carry a turn of one token.
    ///
    /// # Errors
    /// When one cannot be had.
    pub async fn warm(&mut self, connections: u32) -> Result<(), Broken> {
        for _ in 0..connections {
            let wire = self.connector.connect().await;
            let mut wire = wire.map_err(|source| self.unconnected(source))?;
            let ask = ChatAsk {
                tokens: 1,
                first_token_us: 0,
                ..self.template()
            };
            let run = Run {
                tally: self.tally.clone(),
                due_ns: 0,
                cold: false,
                tokens: 1,
            };
            if let Err(source) = run.turn(wire.as_mut(), ask, 0).await {
                return Err(self.unconnected(source));
            }
            lock(&self.idle).push_back(wire);
        }
        Ok(())
    }

    /// What the arm's factors say of an ask.
    fn template(&self) -> ChatAsk {
        let factors = self.connector.factors();
        ChatAsk {
            envelope: factors.envelope,
            payload_bytes: factors.payload_bytes,
            resume: factors.resume,
            ..ChatAsk::default()
        }
    }

    fn unconnected(&self, source: Ended) -> Broken {
        Broken::Connect {
            transport: self.connector.transport(),
            server: self.connector.endpoint().http,
            source,
        }
    }

    /// What the users saw so far; hold it briefly.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// The same, for whoever looks at it while turns are started.
    pub fn shared_tally(&self) -> SharedTally {
        SharedTally(self.tally.clone())
    }

    /// Starts a turn, now.
    pub fn start(&mut self, turn: &Turn, due_ns: u64) {
        let mut tally = lock(&self.tally);
        tally
            .send_lag
            .saturating_record(now_ns().saturating_sub(due_ns));
        tally.turns += 1;
        let idle = self.idle.clone();
        let warm = if turn.cold {
            None
        } else {
            lock(&idle).pop_front()
        };
        if !turn.cold && warm.is_none() {
            tally
                .failures
                .push("no warm connection was idle: raise `warm_connections`".into());
            return;
        }
        drop(tally);
        let ask = ChatAsk {
            prompt: "Why does it stream its answers?".into(),
            tokens: turn.tokens,
            first_token_us: turn.first_token_ns / 1_000,
            token_gap_us: turn.token_gap_ns / 1_000,
            language: turn.language,
            seed: turn.seed,
            ..self.template()
        };
        let connector = self.connector.clone();
        let run = Run {
            tally: self.tally.clone(),
            due_ns,
            cold: turn.cold,
            tokens: turn.tokens,
        };
        self.turns.spawn(async move {
            let tally = run.tally.clone();
            let result = match warm {
                Some(mut wire) => {
                    let trips = wire.round_trips();
                    let result = run.turn(wire.as_mut(), ask, trips).await;
                    lock(&idle).push_back(wire);
                    result
                }
                None => match connector.connect().await {
                    Ok(mut wire) => {
                        let result = run.turn(wire.as_mut(), ask, 0).await;
                        wire.close().await;
                        result
                    }
                    Err(ended) => Err(ended),
                },
            };
            if let Err(ended) = result {
                lock(&tally).failures.push(ended.to_string());
            }
        });
    }

    /// Waits for the goodbyes of all turns.
    ///
    /// # Errors
    /// When a turn hangs.
    pub async fn settled(&mut self) -> Result<(), Broken> {
        // The server has ended every turn, or it is a short one.
        const PATIENCE: Duration = Duration::from_secs(5);
        let all = async { while self.turns.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, all)
            .await
            .map_err(|_| Broken::Waited("every turn had its goodbye from the server".into()))
    }

    /// Waits for the goodbyes of all turns and closes the warm connections.
    ///
    /// # Errors
    /// When a turn hangs.
    pub async fn finish(&mut self) -> Result<(), Broken> {
        self.settled().await?;
        let idle = std::mem::take(&mut *lock(&self.idle));
        for wire in idle {
            wire.close().await;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One turn.
struct Run {
    tally: Arc<Mutex<Tally>>,
    due_ns: u64,
    cold: bool,
    tokens: u32,
}

/// A turn as its user sees it.
struct User<'a> {
    tally: &'a Mutex<Tally>,
    ledger: Ledger,
    previous: Previous,
    first_at: Option<u64>,
    goodbye: Option<Result<Goodbye, Ended>>,
}

impl User<'_> {
    /// Takes down what came; something at the first token and at the end.
    fn hear(&mut self, heard: Heard<'_>) -> Option<Result<(), Ended>> {
        match heard {
            Heard::Text(_, received_at) => {
                let first = self.first_at.is_none();
                self.first_at.get_or_insert(received_at);
                self.ledger.next_message();
                first.then_some(Ok(()))
            }
            Heard::Message(message, received_at) => {
                let first = self.first_at.is_none();
                self.first_at.get_or_insert(received_at);
                self.ledger.message(message.stamps.seq);
                let recorder = &mut lock(self.tally).recorder;
                recorder.record(&message.stamps, received_at, &mut self.previous);
                first.then_some(Ok(()))
            }
            Heard::Notice(notice) => {
                self.ledger.notice(&notice);
                let goodbye = goodbye_of(notice)?;
                self.goodbye = Some(goodbye);
                Some(Ok(()))
            }
        }
    }
}

impl Run {
    /// Asks, and receives to the goodbye. `trips_before` were made for earlier turns.
    async fn turn(self, wire: &mut dyn Wire, ask: ChatAsk, trips_before: u32) -> Result<(), Ended> {
        let envelope = ask.envelope;
        wire.ask(&Ask::Chat(ask)).await?;
        let mut user = User {
            tally: &self.tally,
            ledger: Ledger::default(),
            previous: Previous::default(),
            first_at: None,
            goodbye: None,
        };
        // To the first token, whose round trips are counted: a poller makes more of them afterwards.
        let mut received = client::receive_in(envelope, wire, |heard| user.hear(heard)).await;
        let trips = wire.round_trips() - trips_before;
        if received.is_ok() && user.goodbye.is_none() {
            received = client::receive_in(envelope, wire, |heard| user.hear(heard)).await;
        }
        let User {
            ledger,
            first_at,
            goodbye,
            ..
        } = user;
        let end = goodbye.unwrap_or_else(|| Err(received.err().unwrap_or(Ended::Closed)));
        lock(&self.tally).path = wire.path();
        self.close(&ledger, first_at, trips, end)
    }

    fn close(
        self,
        ledger: &Ledger,
        first_at: Option<u64>,
        trips: u32,
        end: Result<Goodbye, Ended>,
    ) -> Result<(), Ended> {
        let mut tally = lock(&self.tally);
        tally.ledgers.add(ledger);
        let goodbye = end?;
        if goodbye.cancelled && goodbye.last < u64::from(self.tokens) {
            tally.cut += 1;
        }
        if let Some(first_at) = first_at.filter(|_| tally.recorder.covers(self.due_ns)) {
            let ttft_ns = first_at.saturating_sub(self.due_ns);
            let (ttft, trips_sum) = if self.cold {
                let Tally {
                    ttft_cold,
                    trips_cold,
                    ..
                } = &mut *tally;
                (ttft_cold, trips_cold)
            } else {
                let Tally {
                    ttft_warm,
                    trips_warm,
                    ..
                } = &mut *tally;
                (ttft_warm, trips_warm)
            };
            ttft.saturating_record(ttft_ns);
            trips_sum.add(u64::from(trips));
        }
        Ok(())
    }
}

/// How a turn ended.
struct Goodbye {
    last: u64,
    cancelled: bool,
}

fn goodbye_of(notice: Notice) -> Option<Result<Goodbye, Ended>> {
    match notice {
        Notice::End { last, cancelled } => Some(Ok(Goodbye {
            last: last.seq,
            cancelled,
        })),
        Notice::Refused { reason } => Some(Err(Ended::Failed(reason))),
        Notice::Hello { .. } | Notice::Dropped { .. } => None,
    }
}

//! Starts, one after another: from nothing, from a TLS session that is remembered, from an open connection.

use hdrhistogram::Histogram;
use pushbench_server::{
    contract::{
        ask::{Ask, ChatAsk},
        clock::now_ns,
        notice::Notice,
    },
    meters::histogram,
};

use super::PATIENCE;
use crate::{
    chat::Mean,
    client::{self, Connector, Ended, Heard, Opened, Traffic, Wire},
    ledger::Ledger,
};

/// What there is when a start begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Nothing.
    Cold,
    /// The memory of a TLS session.
    Resumed,
    /// A connection that has carried a turn.
    Warm,
}

impl Beginning {
    pub(super) const ALL: [Self; 3] = [Self::Cold, Self::Resumed, Self::Warm];

    /// In the names of metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Resumed => "resumed",
            Self::Warm => "warm",
        }
    }

    /// In their titles.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Cold => "new connection",
            Self::Resumed => "TLS session resumed",
            Self::Warm => "connection reused",
        }
    }
}

/// What one start took to its first token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    first_at_ns: u64,
    trips: u32,
    /// Both ways, on the socket.
    bytes: u64,
}

impl Started {
    /// Asks for a turn and reads it to its goodbye; the counts are the connection's own when the first token
    /// was read.
    pub(super) async fn turn(
        wire: &mut dyn Wire,
        traffic: &Traffic,
        ask: &ChatAsk,
        ledger: &mut Ledger,
    ) -> Result<Self, Ended> {
        wire.ask(&Ask::Chat(ask.clone())).await?;
        let mut turn = Turn::default();
        client::receive_in(ask.envelope, wire, |heard| {
            turn.hear(heard, traffic, ledger);
            (turn.first.is_some() || turn.end.is_some()).then_some(Ok(()))
        })
        .await?;
        let trips = wire.round_trips();
        if turn.end.is_none() {
            client::receive_in(ask.envelope, wire, |heard| {
                turn.hear(heard, traffic, ledger);
                turn.end.is_some().then_some(Ok(()))
            })
            .await?;
        }
        turn.end.unwrap_or(Ok(()))?;
        let (first_at_ns, bytes) = turn
            .first
            .ok_or_else(|| Ended::Failed("a turn without a token".into()))?;
        Ok(Self {
            first_at_ns,
            trips,
            bytes,
        })
    }
}

/// What was heard of a turn.
#[derive(Default)]
struct Turn {
    /// When the first token was decoded, and the bytes until then.
    first: Option<(u64, u64)>,
    end: Option<Result<(), Ended>>,
}

impl Turn {
    fn hear(&mut self, heard: Heard<'_>, traffic: &Traffic, ledger: &mut Ledger) {
        match heard {
            Heard::Text(_, at_ns) => {
                ledger.next_message();
                self.first.get_or_insert_with(|| (at_ns, bytes(traffic)));
            }
            Heard::Message(message, at_ns) => {
                ledger.message(message.stamps.seq);
                self.first.get_or_insert_with(|| (at_ns, bytes(traffic)));
            }
            Heard::Notice(notice) => {
                ledger.notice(&notice);
                match notice {
                    Notice::End { .. } => self.end = Some(Ok(())),
                    Notice::Refused { reason } => self.end = Some(Err(Ended::Failed(reason))),
                    Notice::Hello { .. } | Notice::Dropped { .. } => {}
                }
            }
        }
    }
}

fn bytes(traffic: &Traffic) -> u64 {
    traffic.sent_bytes() + traffic.received_bytes()
}

/// All starts of one kind.
#[derive(Debug)]
pub(super) struct Kind {
    /// Nanoseconds to the first token.
    pub(super) time: Histogram<u64>,
    pub(super) trips: Mean,
    pub(super) bytes: Mean,
}

impl Kind {
    fn new() -> Self {
        Self {
            time: histogram(),
            trips: Mean::default(),
            bytes: Mean::default(),
        }
    }

    fn add(&mut self, took: &Started, begun_ns: u64) {
        let time_ns = took.first_at_ns.saturating_sub(begun_ns);
        self.time.saturating_record(time_ns);
        self.trips.add(took.trips.into());
        self.bytes.add(took.bytes);
    }
}

/// All starts.
pub(super) struct Starts {
    kinds: [Kind; Beginning::ALL.len()],
    /// The connection of the warm ones; still open.
    pub(super) warm: Opened,
    pub(super) ledger: Ledger,
    pub(super) failures: Vec<String>,
    /// Starts that should have resumed a session and did not.
    pub(super) unresumed: u64,
}

impl Starts {
    /// Runs `unrecorded` and then `recorded` starts of each kind, the kinds in turn, so that whatever changes
    /// meanwhile changes for all of them.
    ///
    /// # Errors
    /// When not even the connection of the warm ones can be had.
    pub(super) async fn run(
        connector: &Connector,
        ask: &ChatAsk,
        unrecorded: u32,
        recorded: u32,
    ) -> Result<Self, Ended> {
        let mut ledger = Ledger::default();
        // The first of a client: what those that follow resume.
        let mut warm = connector.open().await?;
        Started::turn(warm.wire.as_mut(), &warm.traffic, ask, &mut ledger).await?;
        let mut starts = Self {
            kinds: Beginning::ALL.map(|_| Kind::new()),
            warm,
            ledger,
            failures: Vec::new(),
            unresumed: 0,
        };
        let stranger = connector.without_resumption();
        for number in 0..unrecorded + recorded {
            for beginning in Beginning::ALL {
                let begun_ns = now_ns();
                let start = async {
                    match beginning {
                        Beginning::Cold => starts.fresh(&stranger, ask, false).await.map(Some),
                        Beginning::Resumed if starts.warm.session.is_none() => Ok(None),
                        Beginning::Resumed => starts.fresh(connector, ask, true).await.map(Some),
                        Beginning::Warm => starts.again(ask).await.map(Some),
                    }
                };
                match tokio::time::timeout(PATIENCE, start).await {
                    Ok(Ok(Some(took))) if number >= unrecorded => {
                        starts.kinds[beginning as usize].add(&took, begun_ns);
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(ended)) => starts.failures.push(ended.to_string()),
                    Err(_) => starts.failures.push("a start hangs".into()),
                }
            }
            // What failed once would fail a hundred times more.
            if !starts.failures.is_empty() {
                break;
            }
        }
        Ok(starts)
    }

    /// Those of one kind; empty where it does not apply.
    pub(super) fn of(&self, beginning: Beginning) -> &Kind {
        &self.kinds[beginning as usize]
    }

    /// On a new connection.
    async fn fresh(
        &mut self,
        connector: &Connector,
        ask: &ChatAsk,
        resumes: bool,
    ) -> Result<Started, Ended> {
        let Opened {
            mut wire,
            traffic,
            session,
        } = connector.open().await?;
        if resumes && !session.is_some_and(|session| session.resumed()) {
            self.unresumed += 1;
        }
        let started = Started::turn(wire.as_mut(), &traffic, ask, &mut self.ledger).await;
        wire.close().await;
        started
    }

    /// On the open one.
    async fn again(&mut self, ask: &ChatAsk) -> Result<Started, Ended> {
        let Opened { wire, traffic, .. } = &mut self.warm;
        let before = (wire.round_trips(), bytes(traffic));
        let started = Started::turn(wire.as_mut(), traffic, ask, &mut self.ledger).await?;
        Ok(Started {
            trips: started.trips - before.0,
            bytes: started.bytes - before.1,
            ..started
        })
    }
}

//! A server in this process, and a client that hears one thing after the other.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    future::Future,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use pushbench::{
    client::{Connector, Ended, Wire},
    ledger::Ledger,
};
use pushbench_reports::record::Books;
use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk, FeedAsk},
        endpoint::Endpoint,
        event_id::EventId,
        factors::Factors,
        message::decode,
        notice::Notice,
        transport::Transport,
    },
    control::{self, Command, Reply},
    counters::{Counter, Counters},
    server::Server,
    shared::Shared,
    tls::Identity,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// A test that waits this long has failed; none measures time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test instead of hanging it.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Looks again and again, at no particular pace.
pub async fn until(what: &str, done: impl Fn() -> bool) {
    let looks = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(what, looks).await;
}

thread_local! {
    /// Whether the servers of this test speak TLS now.
    static TLS: Cell<bool> = const { Cell::new(false) };
}

/// Every transport, in clear text and then over TLS: the servers that are started meanwhile are such.
pub fn everywhere() -> impl Iterator<Item = Transport> {
    let transports = Transport::ALL.into_iter();
    let levels = transports.flat_map(|transport| [(transport, false), (transport, true)]);
    let cases = levels.filter_map(|(transport, tls)| {
        let factors = Factors {
            tls,
            ..Factors::default()
        };
        // For whoever looks, and for a case that fails.
        match factors.misfit(transport) {
            None => eprintln!("{transport}, tls = {tls}"),
            Some(misfit) => {
                eprintln!("does not apply: {misfit}");
                return None;
            }
        }
        TLS.set(tls);
        Some(transport)
    });
    // The next test may be on the same thread.
    cases.chain(std::iter::from_fn(|| {
        TLS.set(false);
        None
    }))
}

/// The same configuration at the level of TLS that is being tested. All servers of a process are the same to
/// their clients, as those of a trial are.
pub fn levelled(mut config: Config) -> Config {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let identity = IDENTITY.get_or_init(|| Identity::throwaway(&[]).unwrap());
    config.factors.tls |= TLS.get();
    config.identity.get_or_insert_with(|| identity.clone());
    config
}

/// A server that serves.
pub struct Running {
    pub address: SocketAddr,
    pub endpoint: Endpoint,
    pub shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// On ports that the kernel chooses.
pub fn anywhere() -> Endpoint {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Endpoint {
        http: any,
        bare: Some(any),
        certificate: None,
    }
}

pub async fn start(config: Config) -> Running {
    start_at(&anywhere(), config).await
}

pub async fn start_at(endpoint: &Endpoint, config: Config) -> Running {
    let config = Config {
        listen: vec![endpoint.http],
        bare: endpoint.bare,
        ..levelled(config)
    };
    let counters = Counters::private().unwrap();
    let server = Server::bind(config, counters).await.unwrap();
    let (endpoint, shared) = (server.endpoint().unwrap(), server.shared());
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(async { drop(stopped.await) }));
    Running {
        address: endpoint.http,
        endpoint,
        shared,
        stop,
        task,
    }
}

impl Running {
    pub fn count(&self, counter: Counter) -> u64 {
        self.shared.meters.counters.read(counter)
    }

    /// Has a command followed as a parent process would. No other task runs meanwhile.
    pub async fn command(&self, command: Command) -> u64 {
        let line = serde_json::to_vec(&command).unwrap();
        let mut reply = Vec::new();
        control::attend(self.shared.clone(), line.as_slice(), &mut reply)
            .await
            .unwrap();
        match serde_json::from_slice(&reply).unwrap() {
            Reply::Done(count) => count,
            other => panic!("{command:?} was answered with {other:?}"),
        }
    }

    /// The settings that the server reads back.
    pub async fn settings(&self) -> BTreeMap<String, String> {
        let mut reply = Vec::new();
        control::attend(self.shared.clone(), &b"\"stats\""[..], &mut reply)
            .await
            .unwrap();
        match serde_json::from_slice(&reply).unwrap() {
            Reply::Stats(stats) => stats.settings,
            other => panic!("answered with {other:?}"),
        }
    }

    /// Publishes numbered texts on the feed. No other task runs meanwhile.
    pub async fn publish(&self, texts: std::ops::RangeInclusive<u32>) {
        let texts = texts.map(|n| n.to_string()).collect();
        self.command(Command::Publish { texts }).await;
    }

    /// Asks the server to stop and waits until it has; one that is dropped stops by itself.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        soon("the server's end", self.task).await.unwrap();
    }
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Notice(Notice),
    Message(EventId, String),
    Ended(Ended),
}

/// One connection, and the account of what came over it.
pub struct Client {
    pub ledger: Ledger,
    wire: Box<dyn Wire>,
    heard: VecDeque<Heard>,
    epoch: u32,
}

impl Client {
    pub async fn connect(transport: Transport, server: &Running) -> Self {
        Self::connect_as(transport, Factors::default(), server).await
    }

    /// With other levels than the tuned ones.
    pub async fn connect_as(transport: Transport, factors: Factors, server: &Running) -> Self {
        let endpoint = server.endpoint.clone();
        Self::over(&Connector::new(transport, factors, endpoint)).await
    }

    /// As the connector has it.
    pub async fn over(connector: &Connector) -> Self {
        let wire = soon("a connection", connector.connect()).await;
        Self {
            ledger: Ledger::default(),
            wire: wire.unwrap(),
            heard: VecDeque::new(),
            epoch: 0,
        }
    }

    /// Another connection of the same client: its account goes on.
    pub async fn again(self, transport: Transport, server: &Running) -> Self {
        Self {
            ledger: self.ledger,
            ..Self::connect(transport, server).await
        }
    }

    pub async fn try_ask(&mut self, ask: &Ask) -> Result<(), Ended> {
        soon("an ask", self.wire.ask(ask)).await
    }

    /// Asks, and hears the hello: `after` and `missing`.
    pub async fn ask(&mut self, ask: &Ask) -> (EventId, u64) {
        self.try_ask(ask).await.unwrap();
        match self.hear().await {
            Heard::Notice(Notice::Hello { after, missing, .. }) => (after, missing),
            other => panic!("expected a hello, heard {other:?}"),
        }
    }

    /// The next that arrives.
    pub async fn hear(&mut self) -> Heard {
        let Self {
            wire, heard, epoch, ..
        } = self;
        if heard.is_empty() {
            let waiting = std::future::poll_fn(|cx| {
                let mut deliver = |payload: &str| heard.push_back(read(payload, epoch));
                let polled = wire.poll_receive(cx, &mut deliver);
                if let std::task::Poll::Ready(ended) = polled {
                    heard.push_back(Heard::Ended(ended));
                }
                if heard.is_empty() {
                    std::task::Poll::Pending
                } else {
                    std::task::Poll::Ready(())
                }
            });
            soon("the next message", waiting).await;
        }
        let next = self.heard.pop_front().unwrap();
        match &next {
            Heard::Notice(notice) => self.ledger.notice(notice),
            Heard::Message(id, _) => self.ledger.message(id.seq),
            Heard::Ended(_) => {}
        }
        next
    }

    /// Hears this many messages; fails on anything else.
    pub async fn messages(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut messages = Vec::new();
        while messages.len() < count {
            match self.hear().await {
                Heard::Message(id, text) => messages.push((id.seq, text)),
                other => panic!("expected message {}, heard {other:?}", messages.len() + 1),
            }
        }
        messages
    }

    /// Hears to the stream's end: its messages, the last one's id and whether it was cancelled.
    pub async fn rest(&mut self) -> (Vec<(u64, String)>, EventId, bool) {
        let mut messages = Vec::new();
        loop {
            match self.hear().await {
                Heard::Message(id, text) => messages.push((id.seq, text)),
                Heard::Notice(Notice::End { last, cancelled }) => {
                    return (messages, last, cancelled);
                }
                Heard::Notice(Notice::Dropped { .. }) => {}
                other => panic!("expected a message or the end, heard {other:?}"),
            }
        }
    }

    /// Why an ask is refused, in whichever way the transport says it.
    pub async fn refusal(&mut self, ask: &Ask) -> String {
        match self.try_ask(ask).await {
            Err(Ended::Status(status @ 400..=499)) => status.to_string(),
            // The standard's way to tell an `EventSource` that nothing is left.
            Err(Ended::Status(204)) => "204".into(),
            Err(other) => panic!("expected a refusal, got {other:?}"),
            Ok(()) => match self.hear().await {
                Heard::Notice(Notice::Refused { reason }) => reason,
                other => panic!("expected a refusal, heard {other:?}"),
            },
        }
    }

    /// Says goodbye.
    pub async fn close(self) {
        soon("the connection's close", self.wire.close()).await;
    }

    pub fn round_trips(&self) -> u32 {
        self.wire.round_trips()
    }

    /// What runs on the wire.
    pub fn path(&self) -> &'static str {
        self.wire.path().unwrap()
    }
}

fn read(payload: &str, epoch: &mut u32) -> Heard {
    if payload.starts_with(Notice::PREFIX) {
        let notice = Notice::decode(payload).unwrap();
        if let Notice::Hello { after, .. } = &notice {
            *epoch = after.epoch;
        }
        return Heard::Notice(notice);
    }
    let message = decode(payload).unwrap();
    let id = EventId {
        epoch: *epoch,
        stream: message.stamps.stream,
        seq: message.stamps.seq,
    };
    Heard::Message(id, message.text.into_owned())
}

/// A short turn without pauses.
pub fn chat(tokens: u32) -> ChatAsk {
    ChatAsk {
        tokens,
        first_token_us: 0,
        token_gap_us: 0,
        ..ChatAsk::default()
    }
}

/// A turn that lasts far longer than any test.
pub fn endless(resume: bool) -> ChatAsk {
    ChatAsk {
        token_gap_us: 1_000,
        resume,
        ..chat(8_192)
    }
}

/// A resuming subscription of subscriber 1.
pub fn feed(after: Option<EventId>) -> Ask {
    Ask::Feed(FeedAsk {
        subscriber: Some(1),
        resume: true,
        after,
    })
}

/// The subscribers' account of an epoch beside the server's.
pub fn books<'a>(
    server: &Running,
    epoch: u32,
    ledgers: impl IntoIterator<Item = &'a Ledger>,
) -> Books {
    let mut books = Books {
        owed: server.count(Counter::Owed),
        ..Books::default()
    };
    for ledger in ledgers {
        books += ledger.books().get(&epoch).copied().unwrap_or_default();
    }
    books
}

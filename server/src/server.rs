//! The server itself: listens, accepts within bounds, serves, and stops properly.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

use crate::{
    connection::{Io, Register},
    contract::{
        ask::{ChatAsk, FeedAsk},
        clock::now_ns,
        event_id::EventId,
        message::Envelope,
        notice::Notice,
    },
    counters::{Counter, Counters},
    hub::{FEED, Joined, Subscription, TooManyKnown, Topic},
    limits::Limits,
    meters::Meters,
    pacer::Pacer,
    routes,
    source::Source,
    turns::{TooManyTurns, Turns},
};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on; port 0 lets the kernel choose.
    pub listen: Vec<SocketAddr>,
    /// Bounds.
    pub limits: Limits,
    /// `Origin`s beside our own whose pages may open a WebSocket (`https://example.org`).
    pub allow_origins: Vec<String>,
    /// Names beside `localhost` by which clients may call us in `Host`.
    pub allow_hosts: Vec<String>,
    /// What clients are told to wait before a reconnect.
    pub retry: Duration,
    /// Which start of the server this is, from 1.
    pub epoch: u32,
    /// Last message of the feed in the epoch before.
    pub previous: Option<EventId>,
    /// Envelope of the feed's messages.
    pub feed_envelope: Envelope,
    /// Messages a second that the feed publishes from the start on; none leaves it silent.
    pub feed_rate: Option<f64>,
    /// Read buffer of a WebSocket connection, in bytes. The library's default is 128 KiB; a client
    /// that sends prompts needs no more than a page.
    pub ws_read_buffer: usize,
    /// Whether TCP_NODELAY is set.
    pub nodelay: bool,
    /// From one event of the articles' demo to the next: a second, as published.
    pub articles_period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 3000))],
            limits: Limits::default(),
            allow_origins: Vec::new(),
            allow_hosts: Vec::new(),
            retry: Duration::from_secs(3),
            epoch: 1,
            previous: None,
            feed_envelope: Envelope::Minimal,
            feed_rate: None,
            ws_read_buffer: 4 * 1_024,
            nodelay: true,
            articles_period: Duration::from_secs(1),
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    /// As set.
    pub config: Config,
    /// What is counted and measured.
    pub meters: Arc<Meters>,
    /// The process's one pacer.
    pub pacer: Pacer,
    /// Live connections.
    pub register: Arc<Register>,
    /// The one feed.
    pub feed: Arc<Topic>,
    /// Chat turns.
    pub turns: Arc<Turns>,
    stop: watch::Sender<bool>,
}

/// A well-formed ask that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The turn asked for is longer than allowed.
    #[error("{0}")]
    TooLong(String),
    /// The turn to resume is unknown.
    #[error("turn {0} is not held any more: send the prompt again")]
    UnknownTurn(EventId),
    /// The turn to resume was read to its end.
    #[error("the turn has ended and nothing of it is missing")]
    Complete,
    /// Bound on turns.
    #[error(transparent)]
    Turns(#[from] TooManyTurns),
    /// Bound on subscribers.
    #[error(transparent)]
    Subscribers(#[from] TooManyKnown),
}

impl Shared {
    /// Starts a turn, or resumes the one that `ask.after` names.
    ///
    /// # Errors
    /// What cannot be served, counted as `refused_asks`.
    pub fn chat(&self, ask: &ChatAsk) -> Result<(Notice, Subscription), Refusal> {
        self.start_or_resume(ask)
            .inspect_err(|_| self.meters.counters.count(Counter::RefusedAsks))
    }

    fn start_or_resume(&self, ask: &ChatAsk) -> Result<(Notice, Subscription), Refusal> {
        if let Some(after) = ask.after {
            let known = after.epoch == self.config.epoch && after.stream != FEED;
            let turn = known.then(|| self.turns.find(after.stream)).flatten();
            let turn = turn.ok_or(Refusal::UnknownTurn(after))?;
            if turn.ended() && after.seq >= turn.last() {
                return Err(Refusal::Complete);
            }
            return Ok(self.greet(turn.subscribe(None, Some(after.seq))?));
        }
        let ask = self.within_bounds(ask)?;
        let limits = &self.config.limits;
        let (number, topic) = self.turns.start(|number| {
            let name = (self.config.epoch, number);
            Topic::new(
                name,
                ask.envelope,
                limits.turn_history,
                limits.known_subscribers,
                self.meters.clone(),
            )
        })?;
        let joined = topic.subscribe(None, None)?;
        let (turns, retain) = (self.turns.clone(), ask.resume);
        let patience = if ask.resume {
            limits.abandoned_time
        } else {
            Duration::ZERO
        };
        let turn = self.source().turn(topic, ask, patience);
        tokio::spawn(async move {
            turn.await;
            turns.finish(number, retain);
        });
        Ok(self.greet(joined))
    }

    fn within_bounds(&self, ask: &ChatAsk) -> Result<ChatAsk, Refusal> {
        let limits = &self.config.limits;
        if ask.tokens > limits.turn_tokens {
            let (asked, limit) = (ask.tokens, limits.turn_tokens);
            return Err(Refusal::TooLong(format!(
                "{asked} tokens asked for: ask for {limit} at most"
            )));
        }
        let gaps_us = ask.token_gap_us.saturating_mul(u64::from(ask.tokens));
        let planned = Duration::from_micros(ask.first_token_us.saturating_add(gaps_us));
        if planned > limits.turn_time {
            let limit = limits.turn_time.as_secs();
            return Err(Refusal::TooLong(format!(
                "the turn would take {planned:?}: plan {limit} s at most"
            )));
        }
        Ok(ask.clone())
    }

    /// Subscribes to the feed.
    ///
    /// # Errors
    /// When as many subscribers as allowed are known, counted as `refused_asks`.
    pub fn subscribe(&self, ask: &FeedAsk) -> Result<(Notice, Subscription), Refusal> {
        // An id of another epoch says nothing about this one's messages: join live, and let `previous`
        // in the hello say what the old epoch still owed.
        let after = ask
            .after
            .filter(|after| ask.resume && after.epoch == self.config.epoch && after.stream == FEED);
        let joined = self
            .feed
            .subscribe(ask.subscriber, after.map(|after| after.seq));
        let joined = joined.inspect_err(|_| self.meters.counters.count(Counter::RefusedAsks))?;
        Ok(self.greet(joined))
    }

    fn greet(&self, joined: Joined) -> (Notice, Subscription) {
        let Joined {
            after,
            missing,
            subscription,
        } = joined;
        let retry_ms = self.config.retry.as_millis() as u64;
        (
            Notice::Hello {
                after,
                missing,
                previous: self.config.previous,
                retry_ms,
            },
            subscription,
        )
    }

    /// What a schedule needs to run.
    pub fn source(&self) -> Source {
        Source {
            pacer: self.pacer.clone(),
            meters: self.meters.clone(),
        }
    }

    /// Ends the feed and every turn, those to come as well; subscribers read what is left and the
    /// goodbye.
    pub fn end_streams(&self) {
        self.feed.end(true);
        self.turns.end();
    }

    /// Completes when the server is to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the server is gone, which is a stop as well.
            let _ = stop.wait_for(|&stopping| stopping).await;
        }
    }
}

/// A server that listens and does not accept yet.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}{remedy}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
        /// What to do, when that is known.
        remedy: &'static str,
    },
    /// No timer.
    #[error("cannot start the pacer: {0}")]
    Pacer(io::Error),
}

impl Server {
    /// Listens on every address, or on none.
    ///
    /// # Errors
    /// [`StartError`] names the address and the remedy.
    pub async fn bind(config: Config, counters: Counters) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for &address in &config.listen {
            listeners.push(listen(address, config.limits.backlog).map_err(|source| {
                let remedy = match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        "; end the program that uses it or choose another port"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "; ports below 1024 need privileges, choose a higher one"
                    }
                    _ => "",
                };
                StartError::Listen {
                    address,
                    source,
                    remedy,
                }
            })?);
        }
        let addresses = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let pacer = Pacer::start().map_err(StartError::Pacer)?;
        let meters = Arc::new(Meters::new(counters));
        let limits = config.limits;
        let feed = Topic::new(
            (config.epoch, FEED),
            config.feed_envelope,
            limits.feed_history,
            limits.known_subscribers,
            meters.clone(),
        );
        let turns = Arc::new(Turns::new(limits, meters.clone()));
        let stop = watch::Sender::new(false);
        let shared = Shared {
            config,
            meters,
            pacer,
            register: Arc::default(),
            feed,
            turns,
            stop,
        };
        Ok(Self {
            shared: Arc::new(shared),
            listeners,
            addresses,
        })
    }

    /// Where it listens, in the order asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What all connections share.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Serves until `stop` completes, then ends every stream properly and waits for the connections,
    /// [`Limits::shutdown`] at most.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            shared, listeners, ..
        } = self;
        if let Some(rate) = shared.config.feed_rate {
            tokio::spawn(shared.source().feed(shared.feed.clone(), rate));
        }
        let reaper = tokio::spawn(reset_stalled(shared.clone()));
        let mut accepting = JoinSet::new();
        let app = routes::router(shared.clone());
        for listener in listeners {
            accepting.spawn(accept(listener, app.clone(), shared.clone()));
        }
        stop.await;
        accepting.shutdown().await;
        shared.end_streams();
        shared.stop.send_replace(true);
        wait_for_goodbyes(&shared).await;
        reaper.abort();
    }
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that comes back must not wait for the old one's connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Waits until every connection has ended or the deadline has passed.
async fn wait_for_goodbyes(shared: &Shared) {
    // No one reads a clock by these looks; the wait is for humans.
    const LOOK: Duration = Duration::from_millis(5);
    let deadline_ns = now_ns() + shared.config.limits.shutdown.as_nanos() as u64;
    while shared.register.live() > 0 && now_ns() < deadline_ns {
        tokio::time::sleep(LOOK).await;
    }
    shared
        .meters
        .counters
        .add(Counter::ClosedLate, shared.register.live() as u64);
    shared
        .register
        .all()
        .iter()
        .for_each(|connection| drop(connection.reset()));
}

async fn accept(listener: TcpListener, app: Router, shared: Arc<Shared>) {
    // Out of open files, accepting fails at once and for as long as it lasts: pause, do not spin.
    const PAUSE: Duration = Duration::from_millis(50);
    let counters = &shared.meters.counters;
    loop {
        match listener.accept().await {
            Ok(_) if shared.register.live() >= shared.config.limits.connections => {
                counters.count(Counter::RefusedConnections);
            }
            Ok((stream, _)) => {
                counters.count(Counter::Accepted);
                // Entered here, not in its task: a burst must not outrun the count it is held to.
                let io = shared.register.enter(stream, shared.meters.clone());
                tokio::spawn(serve(io, app.clone(), shared.clone()));
            }
            Err(error) => {
                counters.count(Counter::FailedAccepts);
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(io: Io, app: Router, shared: Arc<Shared>) {
    let connection = io.connection().clone();
    if let Err(error) = connection.socket().set_nodelay(shared.config.nodelay) {
        tracing::debug!(%error, "the connection was gone before it was served");
        return;
    }
    let app = app.map_request(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(connection.clone());
        request
    });
    let limits = &shared.config.limits;
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_headers(limits.header_count)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(app))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = shared.stopping() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        if error.is_parse() || error.is_timeout() {
            shared.meters.counters.count(Counter::RefusedHeaders);
        }
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Resets connections whose reader stopped reading.
async fn reset_stalled(shared: Arc<Shared>) {
    let limit_ns = shared.config.limits.write_stall.as_nanos() as u64;
    let mut looks = tokio::time::interval(shared.config.limits.write_stall / 10);
    loop {
        looks.tick().await;
        let now = now_ns();
        for connection in shared.register.all() {
            let stalled_ns = connection
                .stalled_since()
                .map_or(0, |since| now.saturating_sub(since));
            if stalled_ns > limit_ns && connection.reset().is_ok() {
                shared.meters.counters.count(Counter::ClosedStalled);
                tracing::warn!(
                    stalled_ms = stalled_ns / 1_000_000,
                    "reset a connection whose reader stopped reading"
                );
            }
        }
    }
}

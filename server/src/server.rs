//! The server itself: listens, accepts within bounds, serves, and stops properly.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinSet,
    time::MissedTickBehavior,
};

use crate::{
    config::Config,
    congestion::{self, NotOffered},
    connection::Connection,
    contract::{clock::now_ns, endpoint::Endpoint, factors::HttpStack},
    counters::{Counter, Counters},
    faults::{Injector, TooDense},
    flush::Hold,
    hub::{FEED, Topic},
    meters::Meters,
    pacer::Pacer,
    routes,
    serving::{serve_clear, serve_secured},
    shared::Shared,
    stack::{Door, serve_by_axum},
    tls::{Acceptor, Identity, Unusable},
    transport::bare,
    turns::Turns,
};

/// A server that listens and does not accept yet.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    /// None in clear text.
    tls: Option<Acceptor>,
    /// Where the floors are served, if they are.
    bare: Option<TcpListener>,
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
    /// No congestion control of that name.
    #[error(transparent)]
    Congestion(#[from] NotOffered),
    /// Faults that cannot be told apart.
    #[error(transparent)]
    Faults(#[from] TooDense),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] Unusable),
}

impl Server {
    /// Listens on every address, or on none.
    ///
    /// # Errors
    /// [`StartError`] names the address and the remedy.
    pub async fn bind(config: Config, counters: Counters) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for &address in &config.listen {
            listeners.push(listen(address, config.limits.backlog)?);
        }
        let bare = config.bare;
        let bare = bare.map(|address| listen(address, config.limits.backlog));
        let bare = bare.transpose()?;
        let addresses = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let tls = config.factors.tls.then(|| acceptor(&config)).transpose()?;
        if let Some(name) = &config.factors.congestion_control {
            // What is accepted inherits it.
            let mut all = listeners.iter().chain(&bare);
            all.try_for_each(|listener| congestion::set(listener, name))?;
        }
        let pacer = Pacer::start().map_err(StartError::Pacer)?;
        let meters = Arc::new(Meters::new(counters));
        // The system seeds it, and nobody outside this process can know what is drawn.
        let faults = Injector::draw(&config.faults, pacer.clone(), &mut rand::rng())?;
        let faults = Arc::new(faults);
        let injected = (!config.faults.none()).then(|| faults.clone());
        let limits = config.limits;
        let feed = Topic::new(
            (config.epoch, FEED),
            config.factors.envelope,
            limits.feed_history,
            limits.known_subscribers,
            meters.clone(),
            injected,
            Hold::new(config.factors.flush, &pacer),
        );
        let turns = Arc::new(Turns::new(limits, meters.clone()));
        let stop = watch::Sender::new(false);
        let shared = Shared {
            config,
            meters,
            pacer,
            faults,
            register: Arc::default(),
            feed,
            turns,
            stop,
            latest: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            listeners,
            addresses,
            tls,
            bare,
        })
    }

    /// Where it listens, in the order asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it is reached by a client of the testbed; none of a server that listens nowhere.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let http = *self.addresses.first()?;
        let certificate = self.tls.as_ref().map(|tls| tls.certificate().clone());
        let bare = self.bare.as_ref();
        let bare = bare.and_then(|listener| listener.local_addr().ok());
        Some(Endpoint {
            http,
            certificate,
            bare,
        })
    }

    /// What all connections share.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Serves until `stop` completes, then ends every stream properly and waits for the connections,
    /// [`Limits::shutdown`](crate::limits::Limits::shutdown) at most.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            shared,
            listeners,
            tls,
            bare,
            ..
        } = self;
        if let Some(rate) = shared.config.feed_rate {
            tokio::spawn(shared.source().feed(shared.feed.clone(), rate));
        }
        if shared.config.faults.awake {
            tokio::spawn(stay_awake());
        }
        let reaper = tokio::spawn(end_idle(shared.clone()));
        let mut accepting = JoinSet::new();
        let app = routes::router(shared.clone());
        for listener in listeners {
            let tls = tls.clone();
            accepting.spawn(accept(listener, tls, app.clone(), shared.clone()));
        }
        if let Some(listener) = bare {
            accepting.spawn(accept_bare(listener, shared.clone()));
        }
        stop.await;
        accepting.shutdown().await;
        shared.end_streams();
        shared.stop.send_replace(true);
        wait_for_goodbyes(&shared).await;
        reaper.abort();
    }
}

/// With the identity that was handed over, or one of our own.
fn acceptor(config: &Config) -> Result<Acceptor, Unusable> {
    match &config.identity {
        Some(identity) => Acceptor::new(identity),
        None => {
            let hosts = config.allow_hosts.iter();
            let names: Vec<_> = hosts
                .filter_map(|host| Some(host.split(':').next()?.to_owned()))
                .collect();
            Acceptor::new(&Identity::throwaway(&names)?)
        }
    }
}

fn listen(address: SocketAddr, backlog: u32) -> Result<TcpListener, StartError> {
    bind(address, backlog).map_err(|source| {
        let remedy = match source.kind() {
            io::ErrorKind::AddrInUse => "; end the program that uses it or choose another port",
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
    })
}

fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
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

async fn accept(listener: TcpListener, tls: Option<Acceptor>, app: Router, shared: Arc<Shared>) {
    let door = Door::new(listener, shared.clone());
    if shared.config.factors.http_stack == HttpStack::Axum {
        return serve_by_axum(door, app).await;
    }
    loop {
        let io = door.next().await;
        let (app, shared) = (app.clone(), shared.clone());
        match tls.clone() {
            None => tokio::spawn(serve_clear(io, app, shared)),
            Some(tls) => tokio::spawn(serve_secured(io, tls, app, shared)),
        };
    }
}

/// The same for the floors, which HTTP does not stand before.
async fn accept_bare(listener: TcpListener, shared: Arc<Shared>) {
    let door = Door::new(listener, shared.clone());
    loop {
        tokio::spawn(bare::serve(door.next().await, shared.clone()));
    }
}

/// Keeps the runtime from ever waiting for the kernel; ends with it.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// Resets connections whose reader stopped reading, and forgets pollers who do not ask again.
async fn end_idle(shared: Arc<Shared>) {
    let limit_ns = shared.config.limits.write_stall.as_nanos() as u64;
    let stopped_reading = |connection: &Connection, stalled_ns: u64| {
        // One that was reset stays registered until its tasks have seen it.
        if stalled_ns > limit_ns && connection.reset_stalled() {
            shared.meters.counters.count(Counter::ClosedStalled);
            tracing::warn!(
                stalled_ms = stalled_ns / 1_000_000,
                "reset a connection whose reader stopped reading"
            );
        }
    };
    let mut looks = tokio::time::interval(shared.config.limits.write_stall / 10);
    // Looks that were held up are not made up for: one is as good as ten at once.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = now_ns();
        for connection in shared.register.all() {
            let forgotten = connection.leases().forget(shared.config.limits.poll_pause);
            let counters = &shared.meters.counters;
            counters.add(Counter::ForgottenPolls, forgotten as u64);
            let since = connection.stalled_since();
            stopped_reading(
                &connection,
                since.map_or(0, |since| now.saturating_sub(since)),
            );
        }
        for (connection, stalled_ns) in shared.register.streams().waiting(now) {
            stopped_reading(&connection, stalled_ns);
        }
    }
}

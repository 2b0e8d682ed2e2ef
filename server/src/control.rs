//! How a parent process drives a server it started: a line of JSON in, a line of JSON out, over the
//! child's standard input and output.
//!
//! A pipe instead of a URL: nothing of it can be reached from the network or by a web page, and it
//! takes no part in the connections that are measured. When the pipe closes, the server ends.

use std::{
    collections::BTreeMap, net::SocketAddr, ops::Add, path::PathBuf, sync::Arc, time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rand::seq::SliceRandom;
use rustix::net::sockopt;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    config::Config,
    connection::{Connection, Traffic},
    contract::{clock::now_ns, endpoint::Endpoint, event_id::EventId, factors::Factors},
    counters::Counter,
    faults::{Faults, Truth},
    limits::Limits,
    shared::Shared,
    sys,
    tls::Identity,
};

/// First line in: what to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Where the floors listen, for a trial of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<SocketAddr>,
    /// Which start of the server this is, from 1.
    pub epoch: u32,
    /// Last message of the feed in the epoch before.
    pub previous: Option<EventId>,
    /// Bound on live connections.
    pub connections: usize,
    /// What clients are told to wait before a reconnect.
    pub retry_ms: u64,
    /// The knobs that are compared; the envelope is the feed's.
    pub factors: Factors,
    /// What proves who it is, where the factors have TLS: the parent's, so that clients trust each of the
    /// servers that it starts one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Cores to run on, one worker each; empty leaves the choice to the kernel.
    pub cores: Vec<usize>,
    /// File of the counters, created by the parent.
    pub counters: PathBuf,
    /// What is done wrong on purpose. Left out when there is none, so that a build from before there were
    /// any can be started too.
    #[serde(default, skip_serializing_if = "Faults::none")]
    pub faults: Faults,
}

impl Launch {
    /// The configuration it describes.
    pub fn config(&self) -> Config {
        Config {
            listen: vec![self.listen],
            bare: self.bare,
            limits: Limits {
                connections: self.connections,
                // HTTP counts the pause between two requests as time for the next head. A WebSocket
                // may idle for ever, so what a trial keeps warm must be able to on every transport.
                header_time: Duration::from_secs(3_600),
                ..Limits::default()
            },
            retry: Duration::from_millis(self.retry_ms),
            epoch: self.epoch,
            previous: self.previous,
            factors: self.factors.clone(),
            identity: self.identity.clone(),
            faults: self.faults.clone(),
            ..Config::default()
        }
    }
}

/// First line out: the server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where.
    pub endpoint: Endpoint,
    /// Cores it may run on, as read back.
    pub cores: Vec<usize>,
}

/// A line in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Publish on the feed at this rate, messages a second, from now on.
    Feed {
        /// More than 0.
        rate: f64,
    },
    /// Publish these texts on the feed now, one message each.
    Publish {
        /// Any text.
        texts: Vec<String>,
    },
    /// The warm-up is over: empty the histograms, and answer with the counts so far.
    Mark,
    /// Answer with counts and histograms.
    Stats,
    /// Reset every live connection at once.
    Cut,
    /// Reset some of the live connections; how many and which is drawn, and told by `disclose`.
    CutSome,
    /// Answer with what was done wrong on purpose: the measurement is closed.
    Disclose,
    /// End the feed and all turns; subscribers are told the last message.
    End,
}

/// A line out: the answer to one [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done; the number of connections cut or messages published, 0 otherwise.
    Done(u64),
    /// To `mark` and `stats`.
    Stats(Box<Stats>),
    /// To `disclose`.
    Truth(Box<Truth>),
    /// Not a command, or it cannot be followed.
    Refused(String),
}

/// The server's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// When it was taken, [`now_ns`].
    pub at_ns: u64,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Connections live now.
    pub live_connections: u64,
    /// Subscriptions live now.
    pub live_streams: u64,
    /// Data segments sent by all connections so far, live and closed (`TCP_INFO`).
    pub segments: u64,
    /// Segments that they received, acknowledgements included. A build from before it was counted says
    /// nothing of it, as of the next two.
    #[serde(default)]
    pub segments_in: u64,
    /// Bytes of TCP payload that they sent, each once.
    #[serde(default)]
    pub bytes: u64,
    /// Bytes of TCP payload that they received.
    #[serde(default)]
    pub bytes_in: u64,
    /// HdrHistogram V2 encodings, base64, by name.
    pub histograms: BTreeMap<String, String>,
    /// Effective settings, read back from a live connection where one is open.
    pub settings: BTreeMap<String, String>,
}

/// Follows commands until the parent closes the pipe.
///
/// # Errors
/// When the pipe breaks; the server should end then too.
pub async fn attend(
    shared: Arc<Shared>,
    commands: impl AsyncBufRead + Unpin,
    mut replies: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut lines = commands.lines();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line) {
            Ok(command) => follow(&shared, command),
            Err(error) => Reply::Refused(format!("not a command: {error}")),
        };
        let mut line = serde_json::to_vec(&reply).unwrap_or_default();
        line.push(b'\n');
        replies.write_all(&line).await?;
        replies.flush().await?;
    }
    Ok(())
}

fn follow(shared: &Arc<Shared>, command: Command) -> Reply {
    match command {
        Command::Feed { rate } if rate > 0.0 && rate.is_finite() => {
            tokio::spawn(shared.source().feed(shared.feed.clone(), rate));
            Reply::Done(0)
        }
        Command::Feed { rate } => {
            Reply::Refused(format!("a rate of {rate} messages a second cannot be run"))
        }
        Command::Publish { texts } => {
            let envelope = shared.config.factors.envelope;
            // All or nothing: the caller counts on what it was answered.
            if let Err(unfit) = texts.iter().try_for_each(|text| envelope.fit(text)) {
                return Reply::Refused(unfit.to_string());
            }
            texts
                .iter()
                .for_each(|text| shared.feed.publish(now_ns(), text));
            Reply::Done(texts.len() as u64)
        }
        Command::Mark => {
            let stats = stats(shared);
            shared.meters.reset();
            Reply::Stats(Box::new(stats))
        }
        Command::Stats => Reply::Stats(Box::new(stats(shared))),
        Command::Cut => {
            let cut = shared
                .register
                .all()
                .iter()
                .filter(|connection| connection.reset().is_ok())
                .count() as u64;
            shared.meters.counters.add(Counter::Cut, cut);
            Reply::Done(cut)
        }
        Command::CutSome => {
            cut_some(shared);
            Reply::Done(0)
        }
        Command::Disclose => Reply::Truth(Box::new(shared.faults.truth())),
        Command::End => {
            shared.end_streams();
            Reply::Done(0)
        }
    }
}

/// The parent is not to know how many: they are counted among the faults, not among the counters, which it
/// can read.
fn cut_some(shared: &Shared) {
    let mut live = shared.register.all();
    let mut random = rand::rng();
    let count = shared.faults.draw_cut(live.len(), &mut random);
    let (drawn, _) = live.partial_shuffle(&mut random, count);
    let cut = drawn
        .iter()
        .filter(|connection| connection.reset().is_ok())
        .count();
    shared.faults.note_cut(cut as u64);
}

fn stats(shared: &Shared) -> Stats {
    let counters = &shared.meters.counters;
    let live = shared.register.all();
    let Traffic {
        segments,
        segments_in,
        bytes,
        bytes_in,
    } = live
        .iter()
        .map(|connection| connection.traffic())
        .fold(Traffic::of_closed(counters), Traffic::add);
    let histograms = shared.meters.histograms().encoded();
    let mut settings = settings(shared, live.first().map(Arc::as_ref));
    settings.extend(of_carriage(&live));
    Stats {
        at_ns: now_ns(),
        counters: counters.snapshot(),
        live_connections: live.len() as u64,
        live_streams: counters.live_streams(),
        segments,
        segments_in,
        bytes,
        bytes_in,
        histograms: histograms
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), BASE64_STANDARD.encode(bytes)))
            .collect(),
        settings,
    }
}

/// How messages travel. An idle connection has none to say it of: the first that carries something speaks for
/// all.
fn of_carriage(live: &[Arc<Connection>]) -> impl Iterator<Item = (String, String)> {
    let carriage = live.iter().find_map(|connection| connection.carriage());
    let library = carriage.and_then(|carriage| carriage.ws_library);
    let settings = [
        (
            "compression",
            carriage.map(|carriage| carriage.compression.to_string()),
        ),
        (
            "ws_library",
            library.map(|library| library.name().to_owned()),
        ),
    ];
    settings
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// What is in force, each read from what it is in force on; what cannot be read is left out.
fn settings(shared: &Shared, connection: Option<&Connection>) -> BTreeMap<String, String> {
    let factors = &shared.config.factors;
    let latest = shared.latest();
    let driver = connection.and_then(Connection::driver);
    let envelope = latest.map_or(factors.envelope, |latest| latest.envelope);
    let mut settings = vec![
        (
            "ws_read_buffer_bytes",
            Some(factors.ws_read_buffer_bytes.to_string()),
        ),
        ("envelope", Some(envelope.name().to_owned())),
        (
            "retry_ms",
            Some(shared.config.retry.as_millis().to_string()),
        ),
        ("flush", Some(shared.feed.flush().to_string())),
        ("resume", latest.map(|latest| latest.resume.to_string())),
        (
            "payload_bytes",
            shared
                .meters
                .text_bytes
                .ends()
                .map(|_| shared.meters.text_bytes.to_string()),
        ),
        (
            "allocator",
            Some(sys::allocator::in_force().name().to_owned()),
        ),
        (
            "http_stack",
            driver.map(|driver| driver.stack.name().to_owned()),
        ),
        (
            "http_buffer_bytes",
            driver.and_then(|driver| Some(driver.buffer_bytes?.get().to_string())),
        ),
    ];
    let streams_per_connection = match shared.register.streams().count() {
        // Nobody shares one, or all are polls, which are no streams of HTTP/2 that last. Connections that wait
        // for an ask carry none.
        (_, 0) => {
            let streams = shared.meters.counters.live_streams();
            let connections = shared.register.live().max(1) as f64;
            (streams > 0).then(|| (streams as f64 / connections).max(1.0))
        }
        (streams, connections) => Some(streams as f64 / connections as f64),
    };
    settings.push((
        "streams_per_connection",
        streams_per_connection.map(|streams| streams.to_string()),
    ));
    if let Some(connection) = connection {
        let session = connection.session();
        settings.push((
            "tls",
            Some(session.map_or_else(|| "false".to_owned(), ToString::to_string)),
        ));
        settings.extend(of_socket(connection.socket()));
    }
    let read = settings
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    read.collect()
}

fn of_socket(socket: &TcpStream) -> [(&'static str, Option<String>); 4] {
    let bytes = |size: rustix::io::Result<usize>| size.map(|bytes| bytes.to_string()).ok();
    [
        ("nodelay", socket.nodelay().map(|on| on.to_string()).ok()),
        (
            "send_buffer_bytes",
            bytes(sockopt::socket_send_buffer_size(socket)),
        ),
        (
            "receive_buffer_bytes",
            bytes(sockopt::socket_recv_buffer_size(socket)),
        ),
        ("congestion_control", sockopt::tcp_congestion(socket).ok()),
    ]
}

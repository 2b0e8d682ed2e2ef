//! The client's half of each transport: connect, ask, receive. One file a transport; matched here and
//! nowhere else.

mod buffered;
pub mod chunked;
mod connector;
mod content;
mod counted;
mod decoded;
mod dial;
mod exchange;
mod first_frame;
mod floor_sse;
mod floor_ws;
mod h2_connection;
mod head;
mod memory;
mod poll;
mod poll_h2;
mod polled;
mod raw_tcp;
mod request;
mod script_h2;
mod sse_h1;
mod stream_h2;
mod tls;
mod ws_h1;
mod ws_h2;
mod ws_yawc;

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use pushbench_server::contract::{
    ask::Ask,
    clock::now_ns,
    endpoint::Endpoint,
    factors::{Factors, Proxy, WsLibrary},
    message::{Envelope, Received, decode},
    notice::Notice,
    transport::Transport,
};

pub use connector::{Connector, Opened};
pub use counted::{ByteStream, RoundTrips, Traffic};
pub use memory::{Memory, Script};

use connector::Target;
use counted::Counted;
use dial::Way;
use h2_connection::Link;

/// The read buffer of a connection on every transport. The WebSocket library clears its buffer at each
/// read, and its default of 128 KiB would be billed to the transport (22 against 6 µs a message); a token
/// is far smaller than this.
const READ_BUFFER_BYTES: usize = 4_096;

/// A future that a trait object returns: connecting and asking are rare, so the box costs nothing that
/// is measured.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An open connection of some transport.
pub trait Wire: Send {
    /// Sends an ask. Where a connection carries one answer after the other, a stream still open is read
    /// to its end first, and an error says that the server refused; elsewhere a notice does.
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>>;

    /// Hands every payload that is here to `deliver`, then waits for more; completes when the
    /// connection has ended.
    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended>;

    /// Says goodbye as the transport has it and waits for the end.
    fn close(self: Box<Self>) -> Pending<'static, ()>;

    /// Times that this side has waited for the other since it began to connect: the round trips a real
    /// network would have charged.
    fn round_trips(&self) -> u32;

    /// What runs on the wire, as the server's answer said: what the transport names, since all else ends
    /// as [`Ended::WrongPath`]. None before there was an answer.
    fn path(&self) -> Option<&'static str>;
}

/// Opens one connection with every factor at its tuned level.
///
/// # Errors
/// Why there is none.
pub async fn connect(
    transport: Transport,
    server: impl Into<Endpoint>,
) -> Result<Box<dyn Wire>, Ended> {
    Connector::new(transport, Factors::default(), server.into())
        .connect()
        .await
}

/// Opens a connection whose server is played from memory.
///
/// # Errors
/// Why there is none.
pub async fn connect_memory(
    transport: Transport,
    stream: impl ByteStream,
) -> Result<Box<dyn Wire>, Ended> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = Endpoint {
        http: nowhere,
        bare: Some(nowhere),
        certificate: None,
    };
    let target = Target::new(transport, Factors::default(), endpoint);
    over(&target, Counted::new(stream)).await
}

/// On an open byte stream, which is the wire's own.
async fn over<S: ByteStream>(target: &Target, stream: Counted<S>) -> Result<Box<dyn Wire>, Ended> {
    let server = target.address()?;
    Ok(match target.transport {
        Transport::SseH1 | Transport::FetchH1 => {
            let (manner, coding) = (target.manner(), target.coding());
            let proxy = target.factors.proxy;
            Box::new(sse_h1::StreamH1::new(
                stream, server, manner, coding, proxy,
            )?)
        }
        Transport::SseH2 | Transport::FetchH2 => {
            let link = Link::own(stream, stream_h2::path(target), false).await?;
            Box::new(stream_h2::StreamH2::new(link, target)?)
        }
        Transport::WsH1 => match target.factors.ws_library {
            WsLibrary::Tungstenite => {
                let proxy = target.factors.proxy;
                Box::new(ws_h1::WsH1::upgrade(stream, server, proxy).await?)
            }
            WsLibrary::Yawc => {
                let (compression, proxy) = (target.factors.compression, target.factors.proxy);
                Box::new(ws_yawc::WsYawc::upgrade(stream, server, compression, proxy).await?)
            }
        },
        Transport::WsH2 => {
            let link = Link::own(stream, ws_h2::PATH, true).await?;
            Box::new(ws_h2::WsH2::connect(link, target).await?)
        }
        Transport::PollH1 => Box::new(poll::PollH1::new(stream, server)),
        Transport::PollH2 => {
            let link = Link::own(stream, poll_h2::PATH, false).await?;
            Box::new(poll_h2::PollH2::new(link, target))
        }
        Transport::FloorSse => Box::new(floor_sse::FloorSse::new(stream, server)),
        Transport::FloorWs => Box::new(floor_ws::FloorWs::upgrade(stream, server).await?),
        Transport::RawTcp => Box::new(raw_tcp::RawTcp::new(stream)),
    })
}

/// On a stream of a connection that wires share.
async fn shared(target: &Target, way: &Way) -> Result<Box<dyn Wire>, Ended> {
    Ok(match target.transport {
        Transport::WsH2 => {
            let link = target.link(way, ws_h2::PATH, true).await?;
            Box::new(ws_h2::WsH2::connect(link, target).await?)
        }
        Transport::PollH2 => {
            let link = target.link(way, poll_h2::PATH, false).await?;
            Box::new(poll_h2::PollH2::new(link, target))
        }
        _ => {
            let link = target.link(way, stream_h2::path(target), false).await?;
            Box::new(stream_h2::StreamH2::new(link, target)?)
        }
    })
}

/// The server's side of a transport, for [`Memory`].
pub const fn script(transport: Transport) -> Script {
    match transport {
        Transport::SseH1 | Transport::FetchH1 => sse_h1::SCRIPT,
        Transport::SseH2 | Transport::FetchH2 => script_h2::EVENTS,
        Transport::WsH1 => ws_h1::SCRIPT,
        Transport::WsH2 => script_h2::WEBSOCKET,
        Transport::PollH1 => poll::SCRIPT,
        Transport::PollH2 => script_h2::POLL,
        Transport::FloorSse => floor_sse::SCRIPT,
        Transport::FloorWs => floor_ws::SCRIPT,
        Transport::RawTcp => raw_tcp::SCRIPT,
    }
}

/// Holds what ran on the wire against what the transport names.
fn hold_path(named: &'static str, came: &str) -> Result<&'static str, Ended> {
    if came == named {
        return Ok(named);
    }
    Err(Ended::WrongPath(format!(
        "`{named}` was asked for, and `{}` came",
        came.trim_end()
    )))
}

/// How a path ends that a proxy of ours passed on: nginx signs what it passes on (`Server`), and our server signs
/// nothing.
const BY_NGINX: &str = " by nginx";

/// What a path has of an answer's signature, the value of `Server`.
fn signed(signature: &[u8]) -> &'static str {
    match signature.starts_with(b"nginx") {
        true => BY_NGINX,
        false => "",
    }
}

/// The same as [`hold_path`] where a proxy may stand between: its signature must be there exactly if it does.
fn hold_path_through(proxy: Proxy, named: &'static str, came: &str) -> Result<&'static str, Ended> {
    if proxy == Proxy::None {
        return hold_path(named, came);
    }
    match came.strip_suffix(BY_NGINX) {
        Some(came) => hold_path(named, came),
        None => Err(Ended::WrongPath(format!(
            "`{named}{BY_NGINX}` was asked for, and `{}` came",
            came.trim_end()
        ))),
    }
}

/// What a stream brings.
pub enum Heard<'a> {
    /// A message, and when it was decoded ([`now_ns`]).
    Message(Received<'a>, u64),
    /// A raw message, which only its place in the stream identifies, and when it was read ([`now_ns`]).
    Text(&'a str, u64),
    /// The server said something about the stream.
    Notice(Notice),
}

impl<'a> Heard<'a> {
    /// Reads a payload; none of what is neither.
    fn read(envelope: Envelope, payload: &'a str) -> Option<Self> {
        // No message begins so: the server refuses to publish a raw text that does.
        if payload.starts_with(Notice::PREFIX) {
            return Notice::decode(payload).ok().map(Self::Notice);
        }
        if envelope == Envelope::Raw {
            return Some(Self::Text(payload, now_ns()));
        }
        let message = decode(payload).ok()?;
        Some(Self::Message(message, now_ns()))
    }
}

/// Receives messages that have stamps until `hear` takes something for the stream's end and says what came
/// of it.
///
/// # Errors
/// What `hear` gives as one, or why the connection ended before.
pub async fn receive<T>(
    wire: &mut dyn Wire,
    hear: impl FnMut(Heard<'_>) -> Option<Result<T, Ended>>,
) -> Result<T, Ended> {
    receive_in(Envelope::default(), wire, hear).await
}

/// The same of messages in a known envelope: what is raw does not say so.
///
/// # Errors
/// As [`receive`].
pub async fn receive_in<T>(
    envelope: Envelope,
    wire: &mut dyn Wire,
    mut hear: impl FnMut(Heard<'_>) -> Option<Result<T, Ended>>,
) -> Result<T, Ended> {
    poll_fn(|cx| {
        let mut goodbye = None;
        let ended = wire.poll_receive(cx, &mut |payload| {
            if let Some(heard) = Heard::read(envelope, payload) {
                let said = hear(heard);
                goodbye = goodbye.take().or(said);
            }
        });
        match (goodbye, ended) {
            (Some(goodbye), _) => Poll::Ready(goodbye),
            (None, Poll::Ready(ended)) => Poll::Ready(Err(ended)),
            (None, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// Why a connection ended, or never came about; counted by cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nobody listens.
    Refused,
    /// Aborted by the other side.
    Reset,
    /// Closed by the other side, properly or not, before the stream's goodbye.
    Closed,
    /// Answered with another status than the transport needs.
    Status(u16),
    /// Something else ran on the wire than the transport names: what was asked for and what came.
    WrongPath(String),
    /// Something else, in words.
    Failed(String),
}

impl Ended {
    /// The name under which it is counted.
    pub fn cause(&self) -> String {
        match self {
            Self::Refused => "refused".into(),
            Self::Reset => "reset".into(),
            Self::Closed => "closed".into(),
            Self::Status(status) => format!("status_{status}"),
            Self::WrongPath(_) => "wrong_path".into(),
            Self::Failed(_) => "failed".into(),
        }
    }

    /// Reads the kernel's reason at the bottom of a library's error.
    fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>()
                && let Some(ended) = Self::from_kind(error.kind())
            {
                return ended;
            }
            cause = error.source();
        }
        Self::Failed(error.to_string())
    }

    fn from_kind(kind: io::ErrorKind) -> Option<Self> {
        match kind {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Some(Self::Reset),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotConnected => Some(Self::Closed),
            _ => None,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Closed => f.write_str("connection closed"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::WrongPath(reason) => write!(f, "another path than the transport's: {reason}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Ended {}

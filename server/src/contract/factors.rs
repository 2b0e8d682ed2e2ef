//! The factors: every knob that is not the transport, each a field with the level of a tuned server. Both
//! ends read theirs from here, and a combination that cannot be is refused where it is read.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    message::Envelope,
    transport::{Family, Http, Transport},
};
use crate::{corpus, limits::STREAMS_PER_CONNECTION_MAX};

/// A level for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Factors {
    /// TLS 1.3 below everything, by a certificate that the server makes when it starts.
    pub tls: bool,
    /// Whether the server sets TCP_NODELAY.
    pub nodelay: bool,
    /// Read buffer of the server's WebSocket connections. `tungstenite`'s default is 131,072, cleared
    /// at each read; 4,096 holds any prompt.
    pub ws_read_buffer_bytes: NonZeroU32,
    /// Whose WebSocket both ends speak.
    pub ws_library: WsLibrary,
    /// Who drives the server's HTTP/1.1 connections.
    pub http_stack: HttpStack,
    /// Bound of the HTTP/1.1 library's buffers, a connection; none leaves it to the library (about
    /// 400 KiB).
    pub http_buffer_bytes: Option<BufferBytes>,
    /// When the server writes what is ready.
    pub flush: Flush,
    /// How a `fetch` transport tells its messages apart.
    pub framing: Framing,
    /// Of what the server sends.
    pub compression: Compression,
    /// How tokens are wrapped.
    pub envelope: Envelope,
    /// Bytes of each message's text; none leaves them to the corpus, whose tokens have about four.
    pub payload_bytes: Option<NonZeroU32>,
    /// Whether messages carry what a resume needs: an `id:` each on SSE, nothing more on the others,
    /// whose envelope has it.
    pub resume: bool,
    /// Streams that share a connection, where the transport can: HTTP/2.
    pub streams_per_connection: NonZeroU32,
    /// The server's.
    pub allocator: Allocator,
    /// The server's sockets'; none leaves it to the kernel.
    pub congestion_control: Option<String>,
}

impl Default for Factors {
    fn default() -> Self {
        Self {
            tls: false,
            nodelay: true,
            ws_read_buffer_bytes: const { NonZeroU32::new(4_096).unwrap() },
            ws_library: WsLibrary::default(),
            http_stack: HttpStack::default(),
            http_buffer_bytes: None,
            flush: Flush::default(),
            framing: Framing::default(),
            compression: Compression::default(),
            envelope: Envelope::default(),
            payload_bytes: None,
            resume: false,
            streams_per_connection: NonZeroU32::MIN,
            allocator: Allocator::default(),
            congestion_control: None,
        }
    }
}

/// Whose WebSocket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WsLibrary {
    /// `tungstenite`, as axum has it: no compression.
    #[default]
    Tungstenite,
    /// `yawc`, which knows permessage-deflate.
    Yawc,
}

impl WsLibrary {
    /// The name in plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tungstenite => "tungstenite",
            Self::Yawc => "yawc",
        }
    }
}

/// Who drives an HTTP/1.1 connection of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpStack {
    /// hyper's own HTTP/1.1 builder.
    #[default]
    Hyper,
    /// `axum::serve`, which finds out what a client speaks first, and keeps what that takes.
    Axum,
}

/// A bound of hyper's HTTP/1.1 buffers, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct BufferBytes(u32);

impl BufferBytes {
    /// The library panics below (`http1::Builder::max_buf_size`).
    pub const LEAST: u32 = 8_192;

    /// As the library takes it.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Less than [`BufferBytes::LEAST`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a buffer of {0} bytes is too small for the library: use {least} or more", least = BufferBytes::LEAST)]
pub struct TooSmall(u32);

impl TryFrom<u32> for BufferBytes {
    type Error = TooSmall;

    fn try_from(bytes: u32) -> Result<Self, TooSmall> {
        if bytes < Self::LEAST {
            return Err(TooSmall(bytes));
        }
        Ok(Self(bytes))
    }
}

impl From<BufferBytes> for u32 {
    fn from(bytes: BufferBytes) -> Self {
        bytes.0
    }
}

/// How a `fetch` transport tells its messages apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// A line of JSON each.
    Ndjson,
}

/// The allocator of a process.
///
/// A child is told by its environment, since the first allocation comes before the first line of its
/// input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allocator {
    /// The C library's.
    #[default]
    Glibc,
    /// jemalloc.
    Jemalloc,
}

impl Allocator {
    /// The environment variable by which a process is told; without it, or with anything else in it, the
    /// process uses the C library's.
    pub const VARIABLE: &str = "PUSHBENCH_ALLOCATOR";

    /// The name in plans, in the environment and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Jemalloc => "jemalloc",
        }
    }
}

impl HttpStack {
    /// The name in plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Axum => "axum",
        }
    }
}

/// When the server writes what is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Flush {
    /// All that is ready, at once: nothing waits, and what has piled up goes together.
    #[default]
    Ready,
    /// A write each.
    Each,
    /// Together, so many milliseconds after the first of them was encoded.
    Millis(NonZeroU32),
    /// At least so many together; the rest at the stream's end.
    Count(NonZeroU32),
}

impl Flush {
    /// Messages that a subscription holds back at most, whatever the policy: as many as a second of the
    /// fastest feed that a plan would pace. Beyond, they are not waited with.
    pub const HELD_MOST: u32 = 1_024;
}

/// Compression of what the server sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// None.
    #[default]
    Off,
    /// A content coding, flushed after each event.
    Coding(Coding, u8),
    /// permessage-deflate (RFC 7692).
    Deflate {
        /// Base-2 logarithm of the window's bytes, 9 to 15.
        window_bits: u8,
        /// Whether a message may refer to the ones before it, at the price of a window a connection.
        takeover: bool,
    },
}

/// A content coding of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, levels 1 to 9.
    Gzip,
    /// RFC 7932, levels 2 to 11: the two below look only at what lies between two flushes, and a token alone
    /// grows by them.
    Br,
    /// RFC 8878, levels 1 to 19: those whose window every client of HTTP must take, 8 MiB (RFC 9659).
    Zstd,
}

impl Coding {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Br, Self::Zstd];

    /// The token in `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    const fn levels(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Gzip => 1..=9,
            Self::Br => 2..=11,
            Self::Zstd => 1..=19,
        }
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Each => f.write_str("each"),
            Self::Millis(ms) => write!(f, "{ms}ms"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// No level of `flush`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown flush `{0}`: use ready, each, a time such as 50ms or a number of messages such as 16, {most} at most",
    most = Flush::HELD_MOST
)]
pub struct UnknownFlush(String);

impl FromStr for Flush {
    type Err = UnknownFlush;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownFlush(text.to_owned());
        Ok(match text {
            "ready" => Self::Ready,
            "each" => Self::Each,
            _ => match text.strip_suffix("ms") {
                Some(ms) => Self::Millis(ms.parse().map_err(|_| unknown())?),
                None => {
                    let count: NonZeroU32 = text.parse().map_err(|_| unknown())?;
                    if count.get() > Self::HELD_MOST {
                        return Err(unknown());
                    }
                    Self::Count(count)
                }
            },
        })
    }
}

impl TryFrom<String> for Flush {
    type Error = UnknownFlush;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Flush> for String {
    fn from(flush: Flush) -> Self {
        flush.to_string()
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Coding(coding, level) => write!(f, "{}-{level}", coding.name()),
            Self::Deflate {
                window_bits,
                takeover,
            } => {
                let without = if *takeover { "" } else { "-no-takeover" };
                write!(f, "deflate-{window_bits}{without}")
            }
        }
    }
}

/// No level of `compression`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown compression `{0}`: use off, gzip-1 to gzip-9, br-2 to br-11, zstd-1 to zstd-19, or for a WebSocket \
     deflate-9 to deflate-15, with -no-takeover behind it or without"
)]
pub struct UnknownCompression(String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            if text == "off" {
                return Some(Self::Off);
            }
            let (name, level) = text.split_once('-')?;
            if name == "deflate" {
                let (bits, takeover) = match level.strip_suffix("-no-takeover") {
                    Some(bits) => (bits, false),
                    None => (level, true),
                };
                let window_bits = bits.parse().ok().filter(|bits| (9..=15).contains(bits))?;
                return Some(Self::Deflate {
                    window_bits,
                    takeover,
                });
            }
            let coding = Coding::ALL
                .into_iter()
                .find(|coding| coding.name() == name)?;
            let level = level.parse().ok()?;
            let known = coding.levels().contains(&level);
            known.then_some(Self::Coding(coding, level))
        };
        read().ok_or_else(|| UnknownCompression(text.to_owned()))
    }
}

impl TryFrom<String> for Compression {
    type Error = UnknownCompression;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

/// What is known of a factor beside its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// The field's name.
    pub name: &'static str,
    /// What may stand there.
    pub levels: &'static str,
    /// What it is.
    pub what: &'static str,
}

/// Every factor, in the order of the fields.
pub const FACTORS: [Factor; 15] = [
    factor("tls", "false, true", "TLS 1.3 below everything"),
    factor(
        "nodelay",
        "true, false",
        "TCP_NODELAY on the server's sockets",
    ),
    factor(
        "ws_read_buffer_bytes",
        "4096 (the library's default is 131072)",
        "read buffer of a WebSocket on the server",
    ),
    factor(
        "ws_library",
        "tungstenite, yawc",
        "whose WebSocket both ends speak",
    ),
    factor(
        "http_stack",
        "hyper, axum",
        "who drives the server's HTTP/1.1 connections",
    ),
    factor(
        "http_buffer_bytes",
        "8192 and more (default: the library's 400 KiB)",
        "bound of the HTTP/1.1 library's buffers",
    ),
    factor(
        "flush",
        "ready, each, a time (50ms), a number of messages (16, 1024 at most)",
        "when the server writes what is ready",
    ),
    factor(
        "framing",
        "sse, ndjson",
        "how a fetch transport tells its messages apart",
    ),
    factor(
        "compression",
        "off, gzip-1…9, br-2…11, zstd-1…19; WebSocket: deflate-9…15, deflate-9…15-no-takeover",
        "of what the server sends",
    ),
    factor("envelope", "minimal, openai, raw", "how a token is wrapped"),
    factor(
        "payload_bytes",
        "1 to 16384 (default: the corpus's tokens)",
        "bytes of each message's text",
    ),
    factor(
        "resume",
        "false, true",
        "whether messages carry what a resume needs",
    ),
    factor(
        "streams_per_connection",
        "1 to 1024",
        "streams that share a connection on HTTP/2",
    ),
    factor("allocator", "glibc, jemalloc", "the server's"),
    factor(
        "congestion_control",
        "what the kernel offers (default: its own)",
        "of the server's sockets",
    ),
];

const fn factor(name: &'static str, levels: &'static str, what: &'static str) -> Factor {
    Factor { name, levels, what }
}

/// Largest `payload_bytes`, the server's own bound ([`Limits::payload_bytes`](crate::limits::Limits::payload_bytes)).
const PAYLOAD_BYTES_MOST: NonZeroU32 = const { NonZeroU32::new(16_384).unwrap() };

/// Why a transport cannot have these levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{transport} cannot have {factor} = {level}: {reason}")]
pub struct Misfit {
    transport: Transport,
    factor: &'static str,
    level: String,
    reason: &'static str,
}

impl Factors {
    /// Name and level of each, as text; what is left to somebody else is `default`.
    pub fn levels(&self) -> Vec<(&'static str, String)> {
        // A plain structure with string keys: serialization has no way to fail.
        let levels = serde_json::to_value(self).unwrap_or_default();
        let level = |factor: &Factor| match &levels[factor.name] {
            serde_json::Value::Null => "default".to_owned(),
            serde_json::Value::String(level) => level.clone(),
            level => level.to_string(),
        };
        FACTORS
            .iter()
            .map(|factor| (factor.name, level(factor)))
            .collect()
    }

    /// The first level that differs from the default and that this transport cannot have, and why: an option
    /// that did nothing would be taken for a measurement.
    pub fn misfit(&self, transport: Transport) -> Option<Misfit> {
        let usual = Self::default();
        let capabilities = transport.capabilities();
        let (family, http) = (capabilities.family, capabilities.http);
        let websocket = family == Family::WebSocket && http != Http::Bare;
        let body = http != Http::Bare && family != Family::WebSocket;
        let coding = matches!(self.compression, Compression::Coding(..));
        let deflate = matches!(self.compression, Compression::Deflate { .. });
        let raw = self.envelope == Envelope::Raw;
        let rules = [
            (
                "tls",
                self.tls && http == Http::Bare,
                "the floors are written straight to the socket",
            ),
            (
                "ws_read_buffer_bytes",
                self.ws_read_buffer_bytes != usual.ws_read_buffer_bytes
                    && !(websocket && self.ws_library == WsLibrary::Tungstenite),
                "the buffer is that of tungstenite's WebSocket",
            ),
            (
                "ws_library",
                self.ws_library != usual.ws_library && transport != Transport::WsH1,
                "only ws-h1 is served by a second library",
            ),
            (
                "http_stack",
                self.http_stack != usual.http_stack && (http != Http::H1 || self.tls),
                "axum::serve is compared on HTTP/1.1 in clear text",
            ),
            (
                "http_buffer_bytes",
                self.http_buffer_bytes.is_some()
                    && (http != Http::H1 || self.http_stack == HttpStack::Axum),
                "it is a setting of hyper's HTTP/1.1 builder",
            ),
            (
                "flush",
                self.flush != usual.flush && (http == Http::Bare || family == Family::Poll),
                "a floor writes what is ready, and an answer to a poll is a batch already",
            ),
            (
                "framing",
                self.framing != usual.framing && family != Family::Fetch,
                "only fetch leaves the framing to both ends",
            ),
            (
                "compression",
                coding && !(body && matches!(family, Family::Sse | Family::Fetch)),
                "a content coding is of a streamed HTTP response; a WebSocket has deflate",
            ),
            (
                "compression",
                deflate && !(websocket && self.ws_library == WsLibrary::Yawc),
                "permessage-deflate is an extension of WebSocket, which ws_library = \"yawc\" knows",
            ),
            (
                "envelope",
                raw && (self.framing == Framing::Ndjson || family == Family::Poll),
                "a line of JSON is an envelope",
            ),
            (
                "envelope",
                raw && matches!(family, Family::Sse | Family::Fetch)
                    && !carries(self.envelope, corpus::texts()),
                "a text of the corpus has a CR, which would end its line, or looks like a notice",
            ),
            (
                "payload_bytes",
                self.payload_bytes
                    .is_some_and(|bytes| bytes > PAYLOAD_BYTES_MOST),
                "16,384 is the most that a server sends",
            ),
            (
                "streams_per_connection",
                self.streams_per_connection != usual.streams_per_connection && http != Http::H2,
                "without HTTP/2 a connection carries one stream",
            ),
            (
                "streams_per_connection",
                self.streams_per_connection.get() > STREAMS_PER_CONNECTION_MAX,
                "the server lets a connection have 1,024",
            ),
        ];
        let levels = self.levels();
        let (factor, _, reason) = rules.into_iter().find(|(_, misfit, _)| *misfit)?;
        let level = levels.into_iter().find(|(name, _)| *name == factor)?.1;
        Some(Misfit {
            transport,
            factor,
            level,
            reason,
        })
    }
}

/// Whether an envelope takes every one of these texts.
fn carries<'a>(envelope: Envelope, texts: impl IntoIterator<Item = &'a str>) -> bool {
    texts.into_iter().all(|text| envelope.fit(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::notice::Notice, limits::Limits};

    #[test]
    fn every_field_is_a_factor_and_every_factor_a_field() {
        let fields = serde_json::to_value(Factors::default()).unwrap();
        let mut fields: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
        let mut names = FACTORS.map(|factor| factor.name.to_owned());
        fields.sort();
        names.sort();
        assert_eq!(fields, names);
    }

    #[test]
    fn levels_are_read_back_and_others_refused_with_the_choice() {
        for level in ["ready", "each", "50ms", "16"] {
            assert_eq!(level.parse::<Flush>().unwrap().to_string(), level);
        }
        for level in [
            "off",
            "gzip-6",
            "br-2",
            "zstd-19",
            "deflate-15",
            "deflate-9-no-takeover",
        ] {
            assert_eq!(level.parse::<Compression>().unwrap().to_string(), level);
        }
        for level in ["", "0", "0ms", "-1", "1.5ms", "ms", "1025"] {
            let refusal = level.parse::<Flush>().unwrap_err().to_string();
            assert!(refusal.contains("50ms"), "{refusal}");
        }
        for level in [
            "gzip",
            "gzip-0",
            "gzip-10",
            "br-1",
            "br-12",
            "zstd-20",
            "deflate-8",
            "deflate-16",
            "lz4-1",
        ] {
            let refusal = level.parse::<Compression>().unwrap_err().to_string();
            assert!(refusal.contains("gzip-1 to gzip-9"), "{refusal}");
        }
    }

    #[test]
    fn what_a_transport_cannot_have_is_refused_with_the_reason() {
        let with = |level: &str| -> Factors {
            let (name, level) = level.split_once('=').unwrap();
            let level = serde_json::from_str(level).unwrap();
            let levels = serde_json::Map::from_iter([(name.to_owned(), level)]);
            serde_json::from_value(levels.into()).unwrap()
        };
        for transport in Transport::ALL {
            assert_eq!(Factors::default().misfit(transport), None);
        }
        for (transport, level, says) in [
            (
                Transport::SseH1,
                r#"compression="deflate-15""#,
                "extension of WebSocket",
            ),
            (
                Transport::WsH1,
                r#"compression="gzip-6""#,
                "a WebSocket has deflate",
            ),
            (Transport::WsH1, r#"compression="deflate-15""#, "yawc"),
            (
                Transport::SseH1,
                r#"ws_read_buffer_bytes=131072"#,
                "tungstenite",
            ),
            (
                Transport::SseH1,
                r#"streams_per_connection=10"#,
                "carries one stream",
            ),
            (
                Transport::SseH2,
                r#"streams_per_connection=1025"#,
                "lets a connection have 1,024",
            ),
            (Transport::SseH1, r#"framing="ndjson""#, "only fetch"),
            (
                Transport::WsH1,
                r#"payload_bytes=16385"#,
                "16,384 is the most",
            ),
            (
                Transport::FloorWs,
                r#"flush="50ms""#,
                "writes what is ready",
            ),
            (Transport::PollH1, r#"flush="each""#, "a batch already"),
            (Transport::PollH1, r#"envelope="raw""#, "is an envelope"),
            (
                Transport::FloorWs,
                r#"ws_read_buffer_bytes=1024"#,
                "tungstenite",
            ),
            (Transport::RawTcp, r#"tls=true"#, "straight to the socket"),
            (
                Transport::FloorSse,
                r#"http_stack="axum""#,
                "on HTTP/1.1 in clear text",
            ),
            (
                Transport::FloorSse,
                r#"compression="gzip-6""#,
                "streamed HTTP response",
            ),
        ] {
            let refusal = with(level).misfit(transport).unwrap().to_string();
            assert!(refusal.contains(says), "{refusal} lacks {says}");
        }
        let most = Limits::default().payload_bytes;
        assert_eq!(PAYLOAD_BYTES_MOST.get() as usize, most, "both ends agree");
    }

    #[test]
    fn a_raw_text_that_a_line_cannot_carry_is_found_before_it_is_sent() {
        assert!(carries(Envelope::Raw, corpus::texts()));
        assert!(!carries(Envelope::Raw, ["fine", "not\rfine"]));
        assert!(!carries(Envelope::Raw, [Notice::PREFIX]));
        assert!(carries(Envelope::Minimal, ["\r", Notice::PREFIX]));
    }

    #[test]
    fn a_buffer_smaller_than_the_librarys_least_is_refused_with_it() {
        assert_eq!(BufferBytes::try_from(8_192).unwrap().get(), 8_192);
        let refusal = serde_json::from_str::<BufferBytes>("8191").unwrap_err();
        assert!(
            refusal.to_string().contains("use 8192 or more"),
            "{refusal}"
        );
    }
}

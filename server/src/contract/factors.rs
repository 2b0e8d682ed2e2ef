//! The factors: every knob that is not the transport, each a field with the level of a tuned server. Both
//! ends read theirs from here, and a combination that cannot be is refused where it is read.

mod level;
mod misfit;
mod outside;

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::message::Envelope;

pub use level::{
    Allocator, BufferBytes, Coding, Compression, Flush, Framing, HttpStack, TooSmall,
    UnknownCompression, UnknownFlush, WsLibrary,
};
pub use misfit::Misfit;
pub use outside::{Proxy, Served};

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
    /// What stands between the clients and the server. Neither this nor the next is our server's business: at
    /// their defaults they are left out, so that a build from before there were any can be started too.
    #[serde(skip_serializing_if = "usual")]
    pub proxy: Proxy,
    /// Whose server it is.
    #[serde(skip_serializing_if = "usual")]
    pub server: Served,
}

fn usual<T: Default + PartialEq>(level: &T) -> bool {
    *level == T::default()
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
            proxy: Proxy::default(),
            server: Served::default(),
        }
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
pub const FACTORS: [Factor; 17] = [
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
    factor(
        "proxy",
        "none, nginx, nginx-unbuffered, nginx-buffering",
        "what stands between the clients and the server",
    ),
    factor(
        "server",
        "pushbench, websockets (of Python)",
        "whose server it is",
    ),
];

const fn factor(name: &'static str, levels: &'static str, what: &'static str) -> Factor {
    Factor { name, levels, what }
}

impl Factors {
    /// Name and level of each, as text; what is left to somebody else is `default`.
    pub fn levels(&self) -> Vec<(&'static str, String)> {
        // A plain structure with string keys: serialization has no way to fail.
        let levels = serde_json::to_value(self).unwrap_or_default();
        let level = |factor: &Factor| match (factor.name, &levels[factor.name]) {
            ("proxy", _) => self.proxy.name().to_owned(),
            ("server", _) => self.server.name().to_owned(),
            (_, serde_json::Value::Null) => "default".to_owned(),
            (_, serde_json::Value::String(level)) => level.clone(),
            (_, level) => level.to_string(),
        };
        FACTORS
            .iter()
            .map(|factor| (factor.name, level(factor)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_factor_and_every_factor_a_field() {
        let fields = serde_json::to_value(Factors {
            proxy: Proxy::Nginx,
            server: Served::Websockets,
            ..Factors::default()
        })
        .unwrap();
        let mut fields: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
        let mut names = FACTORS.map(|factor| factor.name.to_owned());
        fields.sort();
        names.sort();
        assert_eq!(fields, names);
    }

    #[test]
    fn what_is_not_the_servers_business_is_left_out_and_told_all_the_same() {
        let usual = serde_json::to_string(&Factors::default()).unwrap();
        assert!(
            !usual.contains("proxy") && !usual.contains("server"),
            "{usual}"
        );
        let levels = Factors::default().levels();
        assert!(levels.contains(&("proxy", "none".to_owned())));
        assert!(levels.contains(&("server", "pushbench".to_owned())));
    }
}

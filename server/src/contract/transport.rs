//! The transports: how messages travel. Everything else about one is in the two files named after it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A way for messages to travel from the server to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Transport {
    /// Server-sent events over an HTTP/1.1 response.
    SseH1,
    /// Server-sent events over an HTTP/2 response, in clear text with prior knowledge.
    SseH2,
    /// A `POST` answered by a stream, over HTTP/1.1.
    FetchH1,
    /// The same over HTTP/2.
    FetchH2,
    /// WebSocket over an HTTP/1.1 upgrade (RFC 6455).
    WsH1,
    /// WebSocket over an HTTP/2 stream (RFC 8441).
    WsH2,
    /// Long polling over HTTP/1.1.
    PollH1,
    /// The same over HTTP/2.
    PollH2,
    /// Server-sent events over an HTTP/1.1 response, made by hand.
    FloorSse,
    /// WebSocket made by hand.
    FloorWs,
    /// Messages with their length before them.
    RawTcp,
}

/// What a transport can do: what tests and experiments ask before they ask it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// How messages are told apart and asked for.
    pub family: Family,
    /// What carries them.
    pub http: Http,
    /// Whether a message tells the server to stop; elsewhere closing the stream does.
    pub cancel: bool,
}

/// How messages are asked for and told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `GET`, answered by server-sent events.
    Sse,
    /// `POST`, answered by a stream: server-sent events, or lines of JSON.
    Fetch,
    /// A WebSocket.
    WebSocket,
    /// A request for each batch of messages, answered when there is one.
    Poll,
    /// A length before each message.
    Raw,
}

/// What lies between a transport and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1, by a library.
    H1,
    /// HTTP/2, by a library; several streams may share a connection.
    H2,
    /// Nothing but what we write ourselves: a floor.
    Bare,
}

impl Transport {
    /// Every transport there is; the conformance tests iterate over it.
    pub const ALL: [Self; 11] = [
        Self::SseH1,
        Self::SseH2,
        Self::FetchH1,
        Self::FetchH2,
        Self::WsH1,
        Self::WsH2,
        Self::PollH1,
        Self::PollH2,
        Self::FloorSse,
        Self::FloorWs,
        Self::RawTcp,
    ];

    /// The name in plans, reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SseH1 => "sse-h1",
            Self::SseH2 => "sse-h2",
            Self::FetchH1 => "fetch-h1",
            Self::FetchH2 => "fetch-h2",
            Self::WsH1 => "ws-h1",
            Self::WsH2 => "ws-h2",
            Self::PollH1 => "poll-h1",
            Self::PollH2 => "poll-h2",
            Self::FloorSse => "floor-sse",
            Self::FloorWs => "floor-ws",
            Self::RawTcp => "raw-tcp",
        }
    }

    /// What it can do.
    pub const fn capabilities(self) -> Capabilities {
        let (family, http) = match self {
            Self::SseH1 => (Family::Sse, Http::H1),
            Self::SseH2 => (Family::Sse, Http::H2),
            Self::FetchH1 => (Family::Fetch, Http::H1),
            Self::FetchH2 => (Family::Fetch, Http::H2),
            Self::WsH1 => (Family::WebSocket, Http::H1),
            Self::WsH2 => (Family::WebSocket, Http::H2),
            Self::PollH1 => (Family::Poll, Http::H1),
            Self::PollH2 => (Family::Poll, Http::H2),
            Self::FloorSse => (Family::Sse, Http::Bare),
            Self::FloorWs => (Family::WebSocket, Http::Bare),
            Self::RawTcp => (Family::Raw, Http::Bare),
        };
        Capabilities {
            family,
            http,
            cancel: matches!(family, Family::WebSocket | Family::Raw),
        }
    }

    /// What it is, in a line.
    pub const fn what(self) -> &'static str {
        match self {
            Self::SseH1 => "GET answered by text/event-stream",
            Self::SseH2 => "the same over HTTP/2",
            Self::FetchH1 => "POST answered by a stream: server-sent events, or lines of JSON",
            Self::FetchH2 => "the same over HTTP/2",
            Self::WsH1 => "WebSocket by upgrade (RFC 6455)",
            Self::WsH2 => "WebSocket by extended CONNECT over HTTP/2 (RFC 8441)",
            Self::PollH1 => "long polling: a GET for each batch of messages",
            Self::PollH2 => "the same over HTTP/2",
            Self::FloorSse => {
                "POST answered by text/event-stream, made by hand: the protocol's own cost"
            }
            Self::FloorWs => "WebSocket made by hand: the protocol's own cost",
            Self::RawTcp => "a length before each message: the floor under the floors",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No transport has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown transport `{0}`: use one of {names}", names = Transport::ALL.map(Transport::name).join(", "))]
pub struct UnknownTransport(String);

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
            .ok_or_else(|| UnknownTransport(name.to_owned()))
    }
}

impl TryFrom<String> for Transport {
    type Error = UnknownTransport;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<Transport> for String {
    fn from(transport: Transport) -> Self {
        transport.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_refused_with_the_choice() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
        }
        let refusal = "sse".parse::<Transport>().unwrap_err().to_string();
        assert!(
            refusal.contains("`sse`")
                && refusal.contains("sse-h1, sse-h2")
                && refusal.contains(", raw-tcp"),
            "{refusal}"
        );
    }
}

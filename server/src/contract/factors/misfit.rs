//! Which transport cannot have which level: an option that did nothing would be taken for a measurement.

use std::num::NonZeroU32;

use super::{Compression, Factors, Framing, HttpStack, Proxy, Served, WsLibrary};
use crate::{
    contract::{
        message::Envelope,
        transport::{Family, Http, Transport},
    },
    corpus,
    limits::STREAMS_PER_CONNECTION_MAX,
};

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
        let proxied = self.proxy != Proxy::None;
        let foreign = self.server != Served::Pushbench;
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
            (
                "proxy",
                proxied && (http != Http::H1 || family == Family::Poll || self.tls),
                "nginx stands before sse-h1, fetch-h1 and ws-h1 in clear text",
            ),
            (
                "proxy",
                proxied && self.proxy != Proxy::Nginx && websocket,
                "nginx tunnels a WebSocket and buffers nothing of it: use nginx",
            ),
            (
                "server",
                foreign && transport != Transport::WsH1,
                "it serves WebSockets over HTTP/1.1 and nothing else",
            ),
            (
                "server",
                foreign && !self.known_to_others(),
                "it has none of our server's knobs: leave all factors but ws_library and compression at their defaults",
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

impl Factors {
    /// Whether nothing is asked for that only our own server can do.
    fn known_to_others(&self) -> bool {
        let usual = Self {
            ws_library: self.ws_library,
            compression: self.compression,
            server: self.server,
            ..Self::default()
        };
        *self == usual
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
            (Transport::PollH2, r#"flush="each""#, "a batch already"),
            (
                Transport::PollH2,
                r#"compression="gzip-6""#,
                "streamed HTTP response",
            ),
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
            (Transport::SseH2, r#"proxy="nginx""#, "in clear text"),
            (Transport::PollH1, r#"proxy="nginx""#, "before sse-h1"),
            (Transport::FloorWs, r#"proxy="nginx""#, "before sse-h1"),
            (
                Transport::WsH1,
                r#"proxy="nginx-unbuffered""#,
                "tunnels a WebSocket",
            ),
            (
                Transport::SseH1,
                r#"server="websockets""#,
                "serves WebSockets over HTTP/1.1",
            ),
        ] {
            let refusal = with(level).misfit(transport).unwrap().to_string();
            assert!(refusal.contains(says), "{refusal} lacks {says}");
        }
        for level in [Proxy::Nginx, Proxy::NginxUnbuffered, Proxy::NginxBuffering] {
            let proxied = Factors {
                proxy: level,
                ..Factors::default()
            };
            assert_eq!(proxied.misfit(Transport::SseH1), None);
            assert_eq!(proxied.misfit(Transport::FetchH1), None);
            let secured = Factors {
                tls: true,
                ..proxied
            };
            let refusal = secured.misfit(Transport::SseH1).unwrap().to_string();
            assert!(refusal.contains("clear text"), "{refusal}");
        }
        let most = Limits::default().payload_bytes;
        assert_eq!(PAYLOAD_BYTES_MOST.get() as usize, most, "both ends agree");
    }

    #[test]
    fn a_server_of_others_has_none_of_our_knobs() {
        let theirs = Factors {
            server: Served::Websockets,
            ws_library: WsLibrary::Yawc,
            compression: "deflate-15".parse().unwrap(),
            ..Factors::default()
        };
        assert_eq!(theirs.misfit(Transport::WsH1), None);
        for factors in [
            Factors {
                nodelay: false,
                ..theirs.clone()
            },
            Factors {
                resume: true,
                ..theirs.clone()
            },
            Factors {
                proxy: Proxy::Nginx,
                ..theirs.clone()
            },
        ] {
            let refusal = factors.misfit(Transport::WsH1).unwrap().to_string();
            assert!(refusal.contains("none of our server's knobs"), "{refusal}");
        }
    }

    #[test]
    fn a_raw_text_that_a_line_cannot_carry_is_found_before_it_is_sent() {
        assert!(carries(Envelope::Raw, corpus::texts()));
        assert!(!carries(Envelope::Raw, ["fine", "not\rfine"]));
        assert!(!carries(Envelope::Raw, [Notice::PREFIX]));
        assert!(carries(Envelope::Minimal, ["\r", Notice::PREFIX]));
    }
}

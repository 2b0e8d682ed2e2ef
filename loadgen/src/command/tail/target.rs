//! What a URL asks for: which wire, which address, which path.

use std::time::Duration;

use tokio::net::TcpStream;
use url::{Host, Position, Url};

use crate::refusal::Refusal;

/// A server that has not answered a SYN for so long is not there; the kernel would try for two minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How events travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// `http://`
    Http,
    /// `ws://`
    WebSocket,
}

/// A URL that can be tailed.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) wire: Wire,
    host: Host<String>,
    port: u16,
    url: Url,
}

impl Target {
    /// # Errors
    ///
    /// Says which part of `text` cannot be used, and what to give instead.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str| {
            Err(Refusal(format!(
                "cannot tail `{text}`: {why}; give a URL like http://127.0.0.1:3000/sse or ws://127.0.0.1:3000/ws"
            )))
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        let wire = match url.scheme() {
            "http" => Wire::Http,
            "ws" => Wire::WebSocket,
            "https" | "wss" => return refuse("TLS is not supported yet"),
            _ => return refuse("it begins neither with http:// nor with ws://"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("a name or password in a URL is not sent");
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return refuse("it names no host");
        };
        Ok(Self {
            wire,
            host: host.to_owned(),
            port,
            url,
        })
    }

    /// # Errors
    ///
    /// A sentence with a remedy.
    pub(super) async fn connect(&self) -> Result<TcpStream, String> {
        let connecting = async {
            match &self.host {
                Host::Domain(name) => TcpStream::connect((name.as_str(), self.port)).await,
                Host::Ipv4(address) => TcpStream::connect((*address, self.port)).await,
                Host::Ipv6(address) => TcpStream::connect((*address, self.port)).await,
            }
        };
        let cause = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
        };
        Err(format!(
            "cannot connect to {}:{}: {cause}; check the address, or start a server there (`pushbench serve`)",
            self.host, self.port
        ))
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Path and query, as in the request line.
    pub(super) fn path(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The whole, for sentences and for the WebSocket's handshake; without the fragment.
    pub(super) fn url(&self) -> &str {
        &self.url[..Position::AfterQuery]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (url, wire, authority, path, port) in [
            ("http://localhost", Wire::Http, "localhost", "/", 80),
            (
                "http://127.0.0.1:3000/sse?a=1&b=好#f",
                Wire::Http,
                "127.0.0.1:3000",
                "/sse?a=1&b=%E5%A5%BD",
                3000,
            ),
            (
                "ws://[::1]:7345/ws",
                Wire::WebSocket,
                "[::1]:7345",
                "/ws",
                7345,
            ),
            (
                "HTTP://EXAMPLE.org:80/?",
                Wire::Http,
                "example.org",
                "/?",
                80,
            ),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(
                (target.wire, target.authority(), target.path(), target.port),
                (wire, authority, path, port)
            );
        }
    }

    #[test]
    fn what_cannot_be_tailed_is_refused_with_a_remedy() {
        for (url, why) in [
            ("https://localhost/", "TLS is not supported yet"),
            ("wss://localhost/", "TLS is not supported yet"),
            ("localhost:3000/sse", "neither"),
            ("127.0.0.1:3000", "relative URL"),
            ("ftp://localhost/", "neither"),
            ("http://", "empty host"),
            ("http://a:b@localhost/", "password"),
            ("http://localhost:99999/", "port"),
            ("", "relative URL"),
        ] {
            let sentence = Target::parse(url).unwrap_err().to_string();
            assert!(
                sentence.contains(why) && sentence.contains("give a URL like"),
                "{url}: {sentence}"
            );
        }
    }
}

//! Where a server is reached: all that a client has to know of it before it connects.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The addresses of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// HTTP, of every version.
    pub http: SocketAddr,
}

impl From<SocketAddr> for Endpoint {
    /// A server of HTTP in clear text and nothing else.
    fn from(http: SocketAddr) -> Self {
        Self { http }
    }
}

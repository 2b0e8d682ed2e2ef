//! Where a server is reached: all that a client has to know of it before it connects.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::certificate::Certificate;

/// The addresses of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// HTTP, of every version.
    pub http: SocketAddr,
    /// The certificate that it shows there, and that its clients trust; none of a server of clear text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// The floors, where the server was started with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<SocketAddr>,
}

impl From<SocketAddr> for Endpoint {
    /// A server of HTTP in clear text and nothing else.
    fn from(http: SocketAddr) -> Self {
        Self {
            http,
            certificate: None,
            bare: None,
        }
    }
}

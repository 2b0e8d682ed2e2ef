//! The factors that bring in programs that others wrote: what passes the messages on, and whose server it is.

use serde::{Deserialize, Serialize};

/// What stands between the clients and the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proxy {
    /// Nothing.
    #[default]
    None,
    /// nginx as it comes. It buffers, unless the answer asks it not to, as ours does (`X-Accel-Buffering: no`).
    Nginx,
    /// nginx with `proxy_buffering off`.
    NginxUnbuffered,
    /// nginx that buffers whatever the answer asks for, and speaks HTTP/1.0 to the server, as it does by itself
    /// before 1.29.7: then nothing tells it where one message ends.
    NginxBuffering,
}

impl Proxy {
    /// The name in plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nginx => "nginx",
            Self::NginxUnbuffered => "nginx-unbuffered",
            Self::NginxBuffering => "nginx-buffering",
        }
    }
}

/// Whose server an arm's clients meet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Served {
    /// Ours.
    #[default]
    Pushbench,
    /// That of the Python package `websockets`.
    Websockets,
}

impl Served {
    /// The name in plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pushbench => "pushbench",
            Self::Websockets => "websockets",
        }
    }
}

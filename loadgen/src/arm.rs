//! An arm: one transport with all its factor levels.

use std::num::NonZeroU32;

use pushbench_reports::record::{self, Facts};
use pushbench_server::contract::{message::Envelope, transport::Transport};
use serde::{Deserialize, Serialize};

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// Unique in a plan.
    pub label: String,
    /// How its messages travel.
    pub transport: Transport,
    /// The arm that this one repeats under another label: the A/A control.
    pub control_of: Option<String>,
    /// Everything else.
    pub factors: Factors,
}

/// The knobs that are not the transport, at the levels of a tuned server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Factors {
    /// Read buffer of the server's WebSocket connections. `tungstenite`'s default is 131,072, cleared
    /// at each read; 4,096 holds any prompt.
    pub ws_read_buffer_bytes: NonZeroU32,
    /// Whether the server sets TCP_NODELAY.
    pub nodelay: bool,
    /// How tokens are wrapped.
    pub envelope: Envelope,
}

impl Default for Factors {
    fn default() -> Self {
        Self {
            ws_read_buffer_bytes: const { NonZeroU32::new(4_096).unwrap() },
            nodelay: true,
            envelope: Envelope::Minimal,
        }
    }
}

impl Factors {
    /// Name and level of each, as the record has them.
    pub fn facts(&self) -> Facts {
        let Self {
            ws_read_buffer_bytes,
            nodelay,
            envelope,
        } = self;
        [
            ("ws_read_buffer_bytes", ws_read_buffer_bytes.to_string()),
            ("nodelay", nodelay.to_string()),
            ("envelope", envelope.name().to_owned()),
        ]
        .map(|(name, level)| (name.to_owned(), level))
        .into()
    }
}

impl From<&Arm> for record::Arm {
    fn from(arm: &Arm) -> Self {
        Self {
            label: arm.label.clone(),
            transport: arm.transport.name().to_owned(),
            control_of: arm.control_of.clone(),
            held_against: None,
            factors: arm.factors.facts(),
        }
    }
}

//! What the server says about a stream beside its messages: where it begins, what is missing, why it
//! ends. SSE carries a notice as `event: notice`, WebSocket as a text message of its own.

use serde::{Deserialize, Serialize};

use super::event_id::EventId;

/// A sentence of the server about the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// First of all: what follows, and from where.
    Hello {
        /// Identity of the last message before this subscription; the next one is `seq + 1`.
        after: EventId,
        /// Messages asked for by id that history no longer holds.
        missing: u64,
        /// Last message of the feed in the epoch before this one, if the server knows it.
        previous: Option<EventId>,
        /// How long to wait before a reconnect, in milliseconds (SSE says it as `retry:` too).
        retry_ms: u64,
    },
    /// A bound discarded messages of this subscription: it had fallen too far behind.
    Dropped {
        /// How many.
        count: u64,
    },
    /// The stream is over; `last` is its last message.
    End {
        /// Identity of the last message published.
        last: EventId,
        /// Whether it was stopped before its planned end.
        cancelled: bool,
    },
    /// The ask could not be served.
    Refused {
        /// Why, and what to do instead.
        reason: String,
    },
}

impl Notice {
    /// Every notice begins so, and no message does: receivers tell them apart by it.
    pub const PREFIX: &str = "{\"notice\":";

    /// The event name on SSE.
    pub const EVENT: &str = "notice";

    /// As JSON.
    pub fn encode(&self) -> String {
        // A plain data structure with string keys: serialization has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Notice::encode`] wrote.
    pub fn decode(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_from_a_message_by_its_prefix_and_read_back() {
        let id = EventId {
            epoch: 1,
            stream: 0,
            seq: 9,
        };
        for notice in [
            Notice::Hello {
                after: id,
                missing: 3,
                previous: None,
                retry_ms: 250,
            },
            Notice::Dropped { count: 4 },
            Notice::End {
                last: id,
                cancelled: true,
            },
            Notice::Refused {
                reason: "a \"quoted\"\nreason".into(),
            },
        ] {
            let json = notice.encode();
            assert!(json.starts_with(Notice::PREFIX), "{json}");
            assert!(!json.contains(['\r', '\n']));
            assert_eq!(Notice::decode(&json).unwrap(), notice);
        }
    }
}

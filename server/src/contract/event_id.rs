//! The identity of a message: enough to resume any stream from it, on any transport.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// `epoch-stream-seq`, the `id:` of an event and the `after` of an ask.
///
/// The epoch is in it because a restarted server counts from 1 again, and the stream because
/// `EventSource` reconnects to the URL it was opened with: `Last-Event-ID` alone must name the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId {
    /// Which start of the server, from 1.
    pub epoch: u32,
    /// Which stream of that epoch: 0 is the feed, turns count from 1.
    pub stream: u64,
    /// Which message of that stream, from 1; 0 is before the first.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.stream, self.seq)
    }
}

/// The text is not an event id of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event id: expected epoch-stream-seq, as in 1-0-42")]
pub struct NotAnEventId(String);

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split('-');
            let id = Self {
                epoch: parts.next()?.parse().ok()?,
                stream: parts.next()?.parse().ok()?,
                seq: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(id)
        };
        // A stranger's header may be long; what is echoed is not.
        read().ok_or_else(|| NotAnEventId(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for EventId {
    type Error = NotAnEventId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_back() {
        let id = EventId {
            epoch: 2,
            stream: 7,
            seq: u64::MAX,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        for text in [
            "",
            "1",
            "1-2",
            "1-2-3-4",
            "a-0-1",
            "-1-0-1",
            "1-0-99999999999999999999999",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}

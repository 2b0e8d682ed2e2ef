//! What a subscriber asks for: the query of a `GET`, the body of a `POST`, a text message on a
//! WebSocket.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{event_id::EventId, message::Envelope};
use crate::corpus::Language;

/// A text message that a client sends on a WebSocket: `{"chat":{…}}`, `{"feed":{…}}` or `"cancel"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A prompt: starts a turn, or resumes one.
    Chat(ChatAsk),
    /// Subscribes to the feed.
    Feed(FeedAsk),
    /// Stops what is streaming on this connection.
    Cancel,
}

/// A prompt and the shape of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatAsk {
    /// What the user typed; carried, never read.
    pub prompt: String,
    /// Length of the answer.
    pub tokens: u32,
    /// From the prompt's arrival to the first token, in microseconds.
    pub first_token_us: u64,
    /// From one token to the next, in microseconds.
    pub token_gap_us: u64,
    /// Whose tokens.
    pub language: Language,
    /// How tokens are wrapped.
    pub envelope: Envelope,
    /// Bytes of each text; none leaves them to the corpus. Left out then, so that a build from before it
    /// could be asked for understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<NonZeroU32>,
    /// Where in the corpus the answer starts.
    pub seed: u64,
    /// Whether the turn outlives its connection and its messages carry an `id:`.
    pub resume: bool,
    /// Continue after this message (SSE: `Last-Event-ID` says the same and wins).
    pub after: Option<EventId>,
}

impl Default for ChatAsk {
    /// An answer as users meet it: first token after half a second, 66 tokens a second.
    fn default() -> Self {
        Self {
            prompt: String::new(),
            tokens: 129,
            first_token_us: 500_000,
            token_gap_us: 15_000,
            language: Language::En,
            envelope: Envelope::Minimal,
            payload_bytes: None,
            seed: 0,
            resume: false,
            after: None,
        }
    }
}

/// A subscription to the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedAsk {
    /// Who asks: the same number over all connections of one subscriber, so that the server's books
    /// know it again. A stranger leaves it out.
    pub subscriber: Option<u64>,
    /// Whether messages carry an `id:` and `after` is honoured.
    pub resume: bool,
    /// Continue after this message (SSE: `Last-Event-ID` says the same and wins).
    pub after: Option<EventId>,
}

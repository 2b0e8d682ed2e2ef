//! A message as both ends see it: stamps and text inside a JSON envelope, or the text alone.
//!
//! In an envelope the text is escaped by JSON, so CR, LF, NUL and everything else survive SSE, whose lines
//! could not carry a raw CR. What a raw text cannot be is refused before it is sent ([`Envelope::fit`]).

use std::{borrow::Cow, fmt, fmt::Write, str::FromStr};

use serde::{Deserialize, Serialize};

use super::notice::Notice;

/// How a token is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    /// The stamps and the text, nothing else.
    #[default]
    Minimal,
    /// The chunk of OpenAI's chat completions, about 180 bytes, with the stamps beside it.
    OpenAi,
    /// The text alone, with nothing that identifies or dates it.
    Raw,
}

impl Envelope {
    /// The name in plans and queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::OpenAi => "openai",
            Self::Raw => "raw",
        }
    }

    /// That a text can travel in it, on every transport alike: who publishes does not know who listens.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn fit(self, text: &str) -> Result<(), Unfit> {
        match self {
            Self::Raw if text.contains('\r') => Err(Unfit::CarriageReturn),
            Self::Raw if text.starts_with(Notice::PREFIX) => Err(Unfit::LikeANotice),
            _ => Ok(()),
        }
    }
}

/// Why a text cannot travel raw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It ends a line of server-sent events, and no parser can tell it from LF (WHATWG HTML §9.2.6).
    #[error(
        "a raw text cannot have a CR, which server-sent events would lose: use another envelope"
    )]
    CarriageReturn,
    /// On a WebSocket nothing else tells the two apart.
    #[error(
        "a raw text cannot begin as a notice does, or it would be taken for one: use another envelope"
    )]
    LikeANotice,
}

/// No envelope has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown envelope `{0}`: use minimal, openai or raw")]
pub struct UnknownEnvelope(String);

impl FromStr for Envelope {
    type Err = UnknownEnvelope;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Minimal, Self::OpenAi, Self::Raw]
            .into_iter()
            .find(|envelope| envelope.name() == name)
            .ok_or_else(|| UnknownEnvelope(name.to_owned()))
    }
}

/// What identifies and dates a message. Times are [`now_ns`](super::clock::now_ns).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    /// Which stream: 0 is the feed, turns count from 1.
    pub stream: u64,
    /// Which message of the stream, from 1.
    pub seq: u64,
    /// When the schedule wanted it sent.
    pub scheduled_at: u64,
    /// When it was encoded, once for all its subscribers.
    pub sent_at: u64,
}

/// Wraps a text.
pub fn encode(envelope: Envelope, stamps: &Stamps, text: &str) -> String {
    let Stamps {
        stream,
        seq,
        scheduled_at,
        sent_at,
    } = *stamps;
    let mut json = String::with_capacity(text.len() + 256);
    // Writing to a String and serializing a str cannot fail.
    let _ = match envelope {
        Envelope::Minimal => write!(
            json,
            "{{\"stream\":{stream},\"seq\":{seq},\"scheduled_at\":{scheduled_at},\
             \"sent_at\":{sent_at},\"text\":{}}}",
            Quoted(text)
        ),
        Envelope::Raw => json.write_str(text),
        Envelope::OpenAi => write!(
            json,
            "{{\"id\":\"chatcmpl-{stream:024}\",\"object\":\"chat.completion.chunk\",\
             \"created\":1700000000,\"model\":\"pushbench\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":{}}},\"finish_reason\":null}}],\
             \"pushbench\":{{\"stream\":{stream},\"seq\":{seq},\
             \"scheduled_at\":{scheduled_at},\"sent_at\":{sent_at}}}}}",
            Quoted(text)
        ),
    };
    json
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// A message as received: what [`encode`] wrote, in either envelope that has stamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its identity and dates.
    pub stamps: Stamps,
    /// Its text, borrowed where nothing was escaped.
    pub text: Cow<'a, str>,
}

/// Reads a message in either envelope that has stamps; of a raw one there is nothing to read.
pub fn decode(json: &str) -> Result<Received<'_>, serde_json::Error> {
    if json.starts_with("{\"stream\":") {
        let Minimal {
            stream,
            seq,
            scheduled_at,
            sent_at,
            text,
        } = serde_json::from_str(json)?;
        return Ok(Received {
            stamps: Stamps {
                stream,
                seq,
                scheduled_at,
                sent_at,
            },
            text,
        });
    }
    let Chunk {
        choices: (choice,),
        pushbench,
    } = serde_json::from_str(json)?;
    Ok(Received {
        stamps: pushbench,
        text: choice.delta.content,
    })
}

/// Spelled out: `flatten` would go through a map and cost more than the socket read.
#[derive(Deserialize)]
struct Minimal<'a> {
    stream: u64,
    seq: u64,
    scheduled_at: u64,
    sent_at: u64,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: (Choice<'a>,),
    pushbench: Stamps,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_survives_every_envelope(
            text in any::<String>(), stream: u64, seq: u64, sent_at: u64,
        ) {
            let stamps = Stamps { stream, seq, scheduled_at: sent_at / 2, sent_at };
            for envelope in [Envelope::Minimal, Envelope::OpenAi] {
                let json = encode(envelope, &stamps, &text);
                prop_assert!(!json.contains(['\r', '\n', '\0']));
                let received = decode(&json).unwrap();
                prop_assert_eq!(received.stamps, stamps);
                prop_assert_eq!(received.text, text.as_str());
            }
        }
    }

    #[test]
    fn a_raw_message_is_its_text_and_what_it_cannot_be_is_refused() {
        let stamps = Stamps {
            stream: 0,
            seq: 1,
            scheduled_at: 2,
            sent_at: 3,
        };
        for text in ["", " a\n好\0", "{\"stream\":0}"] {
            assert_eq!(encode(Envelope::Raw, &stamps, text), text);
            assert_eq!(Envelope::Raw.fit(text), Ok(()));
        }
        assert_eq!(Envelope::Raw.fit("a\rb"), Err(Unfit::CarriageReturn));
        let notice = Notice::Dropped { count: 1 }.encode();
        assert_eq!(Envelope::Raw.fit(&notice), Err(Unfit::LikeANotice));
        for envelope in [Envelope::Minimal, Envelope::OpenAi] {
            assert_eq!(envelope.fit("a\rb").and(envelope.fit(&notice)), Ok(()));
        }
        for name in ["minimal", "openai", "raw"] {
            assert_eq!(name.parse::<Envelope>().unwrap().name(), name);
        }
    }

    #[test]
    fn the_openai_chunk_has_the_shape_its_clients_read() {
        let stamps = Stamps {
            stream: 3,
            seq: 1,
            scheduled_at: 5,
            sent_at: 6,
        };
        let json = encode(Envelope::OpenAi, &stamps, "好");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["object"], "chat.completion.chunk");
        assert_eq!(json["choices"][0]["delta"]["content"], "好");
        assert!(json["choices"][0]["finish_reason"].is_null());
    }
}

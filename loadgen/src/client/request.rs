//! What an ask is in HTTP: a `GET` with a query or a `POST` with a body, and what must answer it.

use pushbench_server::contract::{
    ask::Ask,
    event_id::EventId,
    factors::{Coding, Factors, Framing},
    transport::{Family, Transport},
};

use super::{Ended, content::Content};

/// How a transport asks, and how messages are told apart in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As `EventSource` does: a `GET`, answered by server-sent events.
    Get,
    /// As `fetch` can: a `POST`, answered in either framing.
    Post(Framing),
    /// As a poller does: one `GET` after the other, answered by lines.
    Poll,
}

/// A request, whichever version of HTTP carries it.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Fields beside those that every request of the manner has.
    pub last_event_id: Option<EventId>,
    /// JSON, of a `POST`.
    pub body: String,
}

/// The version of HTTP that carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The names of a version, which are constants: what came is held against them for each connection.
macro_rules! named {
    ($version:literal, $events:expr, $coding:expr) => {
        match ($events, $coding) {
            (true, None) => concat!($version, " 200 text/event-stream"),
            (true, Some(Coding::Gzip)) => concat!($version, " 200 text/event-stream gzip"),
            (true, Some(Coding::Br)) => concat!($version, " 200 text/event-stream br"),
            (true, Some(Coding::Zstd)) => concat!($version, " 200 text/event-stream zstd"),
            (false, None) => concat!($version, " 200 application/x-ndjson"),
            (false, Some(Coding::Gzip)) => concat!($version, " 200 application/x-ndjson gzip"),
            (false, Some(Coding::Br)) => concat!($version, " 200 application/x-ndjson br"),
            (false, Some(Coding::Zstd)) => concat!($version, " 200 application/x-ndjson zstd"),
        }
    };
}

impl Manner {
    /// How an arm asks.
    pub fn of(transport: Transport, factors: &Factors) -> Self {
        match transport.capabilities().family {
            Family::Fetch => Self::Post(factors.framing),
            Family::Poll => Self::Poll,
            _ => Self::Get,
        }
    }

    /// The media type that is asked for.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Get | Self::Post(Framing::Sse) => "text/event-stream",
            Self::Post(Framing::Ndjson) | Self::Poll => "application/x-ndjson",
        }
    }

    /// The parser of an answer.
    pub fn content(self) -> Content {
        match self {
            Self::Get | Self::Post(Framing::Sse) => Content::events(),
            Self::Post(Framing::Ndjson) | Self::Poll => Content::lines(),
        }
    }

    /// What a transport names that asks so: the version of HTTP, and the coding that is asked for.
    pub const fn path(self, version: Version, coding: Option<Coding>) -> &'static str {
        let events = matches!(self, Self::Get | Self::Post(Framing::Sse));
        match version {
            Version::Http1 => named!("HTTP/1.1", events, coding),
            Version::Http2 => named!("HTTP/2.0", events, coding),
        }
    }

    /// The request for an ask.
    ///
    /// # Errors
    /// When HTTP has none: a stream is cancelled by closing it.
    pub fn request(self, ask: &Ask) -> Result<Request, Ended> {
        let (fields, name, after) = match ask {
            Ask::Chat(ask) => (serde_json::to_value(ask), "chat", ask.after),
            Ask::Feed(ask) => (serde_json::to_value(ask), "feed", ask.after),
            Ask::Cancel => {
                return Err(Ended::Failed(
                    "a response is cancelled by closing it".into(),
                ));
            }
        };
        let fields = fields.map_err(|error| Ended::Failed(error.to_string()))?;
        let root = match self {
            Self::Get | Self::Post(Framing::Sse) => "/sse",
            Self::Post(Framing::Ndjson) => "/ndjson",
            Self::Poll => "/poll",
        };
        Ok(match self {
            Self::Get | Self::Poll => Request {
                method: "GET",
                target: format!("{root}/{name}?{}", query(&fields)),
                last_event_id: after,
                body: String::new(),
            },
            Self::Post(_) => Request {
                method: "POST",
                target: format!("{root}/{name}"),
                // The body says it.
                last_event_id: None,
                body: fields.to_string(),
            },
        })
    }
}

/// The ask's fields as a query, without `after`: that is what `Last-Event-ID` is for.
fn query(fields: &serde_json::Value) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Null => {}
            _ if name == "after" => {}
            serde_json::Value::String(text) => drop(query.append_pair(name, text)),
            other => drop(query.append_pair(name, &other.to_string())),
        }
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use pushbench_server::contract::ask::FeedAsk;

    use super::*;

    #[test]
    fn an_ask_is_a_query_or_a_body_and_says_once_where_to_resume() {
        let after = EventId {
            epoch: 1,
            stream: 0,
            seq: 9,
        };
        let ask = Ask::Feed(FeedAsk {
            subscriber: Some(3),
            resume: true,
            after: Some(after),
        });
        let get = Manner::Get.request(&ask).unwrap();
        assert_eq!(get.target, "/sse/feed?resume=true&subscriber=3");
        assert_eq!((get.last_event_id, get.body.as_str()), (Some(after), ""));
        for (framing, target) in [
            (Framing::Sse, "/sse/feed"),
            (Framing::Ndjson, "/ndjson/feed"),
        ] {
            let post = Manner::Post(framing).request(&ask).unwrap();
            assert_eq!((post.method, post.target.as_str()), ("POST", target));
            assert_eq!(post.last_event_id, None);
            let body: FeedAsk = serde_json::from_str(&post.body).unwrap();
            assert_eq!(Ask::Feed(body), ask);
        }
        assert!(Manner::Get.request(&Ask::Cancel).is_err());
    }
}

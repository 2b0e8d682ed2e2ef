//! How a response's body tells its messages apart: server-sent events, or lines of JSON.

use bytes::Bytes;

use crate::{
    contract::{event::frame, framing::line, notice::Notice},
    hub::Message,
};

/// A framing, with what it leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events (WHATWG HTML §9.2).
    Events {
        /// Whether messages carry an `id:`.
        with_id: bool,
    },
    /// A payload a line: newline-delimited JSON. A payload has no line end in it, since JSON escapes them.
    Lines,
}

impl Framing {
    /// The media type of such a body.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Events { .. } => "text/event-stream",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// What a body begins with. The hello carries the id of the message before it, so that a client that is
    /// cut before its first message resumes from here.
    pub fn opening(self, hello: &Notice) -> Bytes {
        let Self::Events { with_id } = self else {
            return line(&hello.encode());
        };
        let Notice::Hello {
            after, retry_ms, ..
        } = hello
        else {
            return self.notice(hello);
        };
        let id = with_id.then_some(*after);
        let hello = frame(Some(Notice::EVENT), id, &hello.encode());
        [format!("retry: {retry_ms}\n").as_bytes(), &hello]
            .concat()
            .into()
    }

    /// A message, framed once for all who are sent it so.
    pub fn message(self, message: &Message) -> Bytes {
        match self {
            Self::Events { with_id } => message.event(with_id),
            Self::Lines => message.line(),
        }
    }

    /// A notice.
    pub fn notice(self, notice: &Notice) -> Bytes {
        match self {
            Self::Events { .. } => frame(Some(Notice::EVENT), None, &notice.encode()),
            Self::Lines => line(&notice.encode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::event_id::EventId;

    #[test]
    fn a_hello_opens_a_body_in_either_framing() {
        let hello = Notice::Hello {
            after: EventId {
                epoch: 1,
                stream: 0,
                seq: 9,
            },
            missing: 0,
            previous: None,
            retry_ms: 250,
        };
        let json = hello.encode();
        let opening = |framing: Framing| String::from_utf8(framing.opening(&hello).into()).unwrap();
        let events = |with_id| opening(Framing::Events { with_id });
        assert_eq!(opening(Framing::Lines), format!("{json}\n"));
        assert_eq!(
            events(false),
            format!("retry: 250\nevent: notice\ndata: {json}\n\n")
        );
        assert_eq!(
            events(true),
            format!("retry: 250\nid: 1-0-9\nevent: notice\ndata: {json}\n\n")
        );
    }
}

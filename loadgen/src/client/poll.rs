//! `poll-h1`, long polling: a request for each batch of messages, sent again by itself after each answer.

use std::{
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{
    ask::{Ask, FeedAsk},
    event_id::EventId,
    framing::line,
    notice::Notice,
};

use super::{
    Ended, Pending, Script, Wire,
    content::Content,
    counted::{ByteStream, Counted},
    exchange::{Exchange, path},
    hold_path,
    request::{Manner, Version},
};

/// What the transport names.
const PATH: &str = Manner::Poll.path(Version::Http1, None);

/// How long the server is asked to wait, seconds: it waits as long at most.
pub const WAIT_S: u32 = 25;

/// A connection of HTTP/1.1 that polls one stream after the other.
#[derive(Debug)]
pub struct PollH1<S> {
    exchange: Exchange<S>,
    state: State,
    lines: Content,
    told: Told,
    /// Of all requests but the first.
    target: String,
    /// The last message that was told, for the next request.
    last: Option<EventId>,
    host: String,
    path: Option<&'static str>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing: no stream, or its end has come.
    Idle,
    /// That a request is sent, and the head of its answer.
    Head,
    /// The lines of an answer.
    Body,
}

impl<S: ByteStream> PollH1<S> {
    /// On an open connection; nothing is sent yet.
    pub fn new(stream: Counted<S>, server: SocketAddr) -> Self {
        Self {
            exchange: Exchange::new(stream),
            state: State::Idle,
            lines: Content::lines(),
            told: Told::default(),
            target: String::new(),
            last: None,
            host: server.to_string(),
            path: None,
        }
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let first = Manner::Poll.request(ask)?;
        // A stream that has not ended is given up: the answer that is on its way is the last.
        if std::mem::replace(&mut self.state, State::Idle) == State::Head {
            match std::future::poll_fn(|cx| self.poll_answer(cx)).await {
                Ok(()) | Err(Ended::Status(_)) => self.state = State::Idle,
                Err(ended) => return Err(ended),
            }
        }
        (self.lines, self.told) = (Content::lines(), Told::default());
        self.last = first.last_event_id;
        let request = self.request(&first.target, "");
        self.target = goes_on(ask);
        let head = self.exchange.request(request.as_bytes()).await?;
        if head.minor_version == 1 && head.status != 200 {
            return Err(Ended::Status(head.status));
        }
        self.path = Some(hold_path(PATH, &path(&head))?);
        self.last = head.last_event_id;
        self.state = State::Body;
        Ok(())
    }

    fn request(&self, target: &str, fields: &str) -> String {
        let Self { last, host, .. } = self;
        let last = last.map_or_else(String::new, |last| format!("last-event-id: {last}\r\n"));
        format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\naccept: application/x-ndjson\r\n{last}{fields}\r\n"
        )
    }

    fn ask_again(&mut self) {
        let request = self.request(&self.target, &format!("prefer: wait={WAIT_S}\r\n"));
        self.exchange.queue(request.as_bytes());
        self.state = State::Head;
    }

    /// Sends the request that is queued and reads the head of its answer.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        ready!(self.exchange.poll_send(cx))?;
        let head = ready!(self.exchange.poll_head(cx))?;
        if head.status != 200 {
            self.state = State::Idle;
            return Poll::Ready(Err(Ended::Status(head.status)));
        }
        hold_path(PATH, &path(&head))?;
        self.last = head.last_event_id.or(self.last);
        self.state = State::Body;
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> Wire for PollH1<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        loop {
            let done = match self.state {
                State::Idle => {
                    // A refusal in words is read over, so that the connection can be asked again.
                    if let Err(ended) = ready!(self.exchange.poll_body(cx, &mut |_| Ok(()))) {
                        return Poll::Ready(ended);
                    }
                    return self.exchange.poll_end(cx);
                }
                State::Head => ready!(self.poll_answer(cx)),
                State::Body => {
                    let (lines, told) = (&mut self.lines, &mut self.told);
                    let mut note = |payload: &str| {
                        if told.note(payload) {
                            deliver(payload);
                        }
                    };
                    let mut take = |bytes: &[u8]| lines.push(bytes, &mut note);
                    let read = ready!(self.exchange.poll_body(cx, &mut take));
                    read.map(|()| {
                        if self.told.ended {
                            self.state = State::Idle;
                        } else {
                            self.ask_again();
                        }
                    })
                }
            };
            if let Err(ended) = done {
                return Poll::Ready(ended);
            }
        }
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        // HTTP/1.1 has no goodbye but closing.
        Box::pin(async move { drop(self) })
    }

    fn round_trips(&self) -> u32 {
        self.exchange.round_trips()
    }

    fn path(&self) -> Option<&'static str> {
        self.path
    }
}

/// The target of all requests but the first: the stream is in the id.
pub fn goes_on(ask: &Ask) -> String {
    match ask {
        Ask::Feed(FeedAsk {
            subscriber: Some(number),
            ..
        }) => format!("/poll/feed?subscriber={number}"),
        Ask::Feed(_) => "/poll/feed".into(),
        Ask::Chat(_) | Ask::Cancel => "/poll/chat".into(),
    }
}

/// What a stream has told so far, over all its answers.
#[derive(Debug, Default)]
pub struct Told {
    greeted: bool,
    /// Whether the stream has.
    pub ended: bool,
}

impl Told {
    /// Takes note of a payload; whether it is to be delivered.
    pub fn note(&mut self, payload: &str) -> bool {
        if !payload.starts_with(Notice::PREFIX) {
            return true;
        }
        match Notice::decode(payload) {
            // Joined again, as a poller may be who comes late: what it missed shows at the next message.
            Ok(Notice::Hello { .. }) => !std::mem::replace(&mut self.greeted, true),
            Ok(Notice::End { .. }) => {
                self.ended = true;
                true
            }
            _ => true,
        }
    }
}

/// The server's side: an answer a message.
pub const SCRIPT: Script = Script {
    answer: |_| Vec::new(),
    frame: |_, payload| {
        let body = line(payload);
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncache-control: no-store\r\n\
             last-event-id: 1-0-42\r\ncontent-length: {length}\r\n\
             date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n"
        );
        [head.as_bytes(), &body].concat()
    },
    requests: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_hello_is_not_told_and_the_end_is_noted() {
        let hello = Notice::Hello {
            after: "1-0-0".parse().unwrap(),
            missing: 0,
            previous: None,
            retry_ms: 1,
        };
        let end = Notice::End {
            last: "1-0-9".parse().unwrap(),
            cancelled: true,
        };
        let mut told = Told::default();
        assert!(told.note(&hello.encode()) && told.note("{\"stream\":0"));
        assert!(!told.note(&hello.encode()) && !told.ended);
        assert!(told.note(&Notice::Dropped { count: 1 }.encode()));
        assert!(told.note(&end.encode()) && told.ended);
    }
}

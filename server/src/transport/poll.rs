//! Long polling: a subscription as one answer after the other, each to a request of its own.
//!
//! | Request | Answered |
//! |---|---|
//! | without `Prefer: wait` | at once, with the hello: a stream begins |
//! | with `Prefer: wait=25` and `Last-Event-ID` | as soon as there is a message after that id, with all that are ready |
//!
//! An answer is newline-delimited JSON with a `Content-Length`, and its `Last-Event-ID` is what the next
//! request says. Nothing within the time waited for is an empty answer, and not 204: that one says, as on
//! SSE, that a turn was read to its end and that asking again is no use. `Prefer: wait` is RFC 7240 §4.3.

use std::time::Duration;

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, Response, Version, header, request::Parts},
};
use bytes::Bytes;

use crate::{
    connection::Connection,
    contract::{event_id::EventId, framing::line, notice::Notice},
    counters::Counter,
    hub::{Item, Subscription},
    leases::{Asked, Place},
    shared::{Refusal, Shared},
};

/// A request, as far as it is not the ask.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// HTTP/1.1 carries one stream a connection.
    version: Version,
    /// How long the poller is willing to wait; none of one that begins a stream.
    wait: Option<Duration>,
}

/// Who polls, and what it saw last.
#[derive(Debug, Clone, Copy)]
pub struct Poller {
    /// By which the feed's books know it; none of a stranger, and of the one who reads a turn.
    pub subscriber: Option<u64>,
    /// The last message that it saw.
    pub after: Option<EventId>,
}

impl Poll {
    /// Whether it goes on with a stream that it began before. Whatever a subscriber misses while it is cut
    /// off, between two polls it misses nothing.
    pub fn goes_on(&self) -> bool {
        self.wait.is_some()
    }

    /// Answers, now or as soon as there is something to say; `join` begins the stream, or joins it again.
    ///
    /// # Errors
    /// What cannot be served, counted as `refused_asks`.
    pub async fn answer(
        self,
        poller: Poller,
        join: impl FnOnce() -> Result<(Notice, Subscription), Refusal>,
        shared: &Shared,
        connection: &Connection,
    ) -> Result<Response<Body>, Refusal> {
        let asked = connection.leases().ask();
        let Some((wait, told)) = self.wait.zip(poller.after) else {
            if self.version < Version::HTTP_2 {
                connection.leases().clear();
            }
            let (answer, subscription) = begin(poller, join, shared, &asked)?;
            return Ok(answer.keeping(&asked, subscription));
        };
        let subscriber = poller.subscriber;
        let mut answer = Answer::new(Place { subscriber, told });
        let mut subscription = match asked.take(answer.place) {
            Some(subscription) => subscription,
            // Over another connection, or too late: it goes on after what it saw, and is greeted only if
            // that is not where it stands.
            None => {
                let (greeting, subscription) = begin(poller, join, shared, &asked)?;
                if greeting.place != answer.place {
                    answer = greeting;
                }
                subscription
            }
        };
        let limits = &shared.config.limits;
        if answer.lines.is_empty() {
            let waited = wait.min(limits.poll_wait);
            match tokio::time::timeout(waited, subscription.next()).await {
                Ok(item) => answer.say(item, connection),
                Err(_) => return Ok(answer.keeping(&asked, subscription)),
            }
        }
        while !answer.ended
            && answer.bytes < limits.poll_bytes
            && let Some(item) = subscription.try_next()
        {
            answer.say(item, connection);
        }
        Ok(answer.keeping(&asked, subscription))
    }
}

/// Joins a stream, if there is room; the answer that greets.
fn begin(
    poller: Poller,
    join: impl FnOnce() -> Result<(Notice, Subscription), Refusal>,
    shared: &Shared,
    asked: &Asked<'_>,
) -> Result<(Answer, Subscription), Refusal> {
    let limit = shared.config.limits.polls;
    if !asked.room(limit) {
        shared.meters.counters.count(Counter::RefusedAsks);
        return Err(Refusal::Polls(limit));
    }
    let (hello, subscription) = join()?;
    let mut answer = Answer::new(Place {
        subscriber: poller.subscriber,
        told: subscription.position(),
    });
    answer.push(line(&hello.encode()));
    Ok((answer, subscription))
}

/// One answer.
#[derive(Debug)]
struct Answer {
    /// Where it leaves the poller.
    place: Place,
    lines: Vec<Bytes>,
    bytes: usize,
    ended: bool,
}

impl Answer {
    fn new(place: Place) -> Self {
        Self {
            place,
            lines: Vec::new(),
            bytes: 0,
            ended: false,
        }
    }

    fn push(&mut self, line: Bytes) {
        self.bytes += line.len();
        self.lines.push(line);
    }

    fn say(&mut self, item: Item, connection: &Connection) {
        match item {
            Item::Message(message) => {
                connection.hand_over(message.sent_at);
                self.place.told = message.id;
                self.push(message.line());
            }
            Item::Dropped(count) => {
                self.place.told.seq += count;
                self.push(line(&Notice::Dropped { count }.encode()));
            }
            Item::End { last, cancelled } => {
                self.ended = true;
                self.push(line(&Notice::End { last, cancelled }.encode()));
            }
        }
    }

    /// The response; the subscription is kept for the next request, unless its stream has ended.
    fn keeping(self, asked: &Asked<'_>, subscription: Subscription) -> Response<Body> {
        if !self.ended {
            asked.keep(self.place, subscription);
        }
        let body = match <[Bytes; 1]>::try_from(self.lines) {
            // Shared with all subscribers, as on every transport.
            Ok([line]) => line,
            Err(lines) => lines.concat().into(),
        };
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        let lines = HeaderValue::from_static("application/x-ndjson");
        headers.insert(header::CONTENT_TYPE, lines);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Digits and hyphens are a value.
        if let Ok(told) = HeaderValue::try_from(self.place.told.to_string()) {
            headers.insert("last-event-id", told);
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Poll {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            version: parts.version,
            wait: wait(&parts.headers),
        })
    }
}

/// The preference `wait`, seconds; one that makes no sense is none, as the standard has it.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter();
    let preferences = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut seconds = preferences.filter_map(|one| one.trim().strip_prefix("wait="));
    seconds.next()?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_read_among_others() {
        for (value, expected) in [
            ("wait=25", Some(25)),
            ("respond-async, wait=10", Some(10)),
            ("wait", None),
            ("wait=soon", None),
            ("wait=-1", None),
            ("await=3", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            assert_eq!(wait(&headers), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(wait(&HeaderMap::new()), None);
    }
}

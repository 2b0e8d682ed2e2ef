//! `sse-h1`: a `GET` answered by `text/event-stream`, on an HTTP/1.1 connection that is kept alive.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, StatusCode, Version,
    body::{Body, Incoming},
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use pushbench_server::contract::{ask::Ask, event_id::EventId};

use super::{
    Ended, Pending, Wire,
    counted::{Counted, RoundTrips},
};
use crate::sse::Parser;

/// The connection is polled by whoever reads from it, never by a task of its own: a hop between tasks
/// would be charged to SSE alone.
pub struct SseH1 {
    requests: SendRequest<Empty<Bytes>>,
    connection: Pin<Box<http1::Connection<TokioIo<Counted>, Empty<Bytes>>>>,
    /// The library's connection must not be polled after its end.
    ended: Option<Ended>,
    body: Option<Incoming>,
    parser: Parser,
    host: String,
    trips: RoundTrips,
}

impl SseH1 {
    /// Opens the connection; nothing is sent yet.
    pub async fn connect(server: SocketAddr) -> Result<Self, Ended> {
        let (stream, trips) = Counted::connect(server).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (requests, connection) = handshake.map_err(|error| Ended::from_error(&error))?;
        Ok(Self {
            requests,
            connection: Box::pin(connection),
            ended: None,
            body: None,
            parser: Parser::new(),
            host: server.to_string(),
            trips,
        })
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        if self.ended.is_none()
            && let Poll::Ready(result) = self.connection.as_mut().poll(cx)
        {
            self.ended =
                Some(result.map_or_else(|error| Ended::from_error(&error), |()| Ended::Closed));
        }
    }

    /// Why a request or a body failed: the kernel's reason, which the library gives to whichever of them
    /// and the connection it tells first.
    fn why(&self, error: &hyper::Error) -> Ended {
        match (Ended::from_error(error), &self.ended) {
            (Ended::Failed(_), Some(ended)) => ended.clone(),
            (Ended::Failed(_), None) if error.is_incomplete_message() => Ended::Closed,
            (ended, _) => ended,
        }
    }

    /// The next piece of the body, or none at its proper end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Ended>>> {
        self.poll_connection(cx);
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        Poll::Ready(match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => {
                self.body = None;
                let why = self.why(&error);
                // The library tells the connection of it as a proper end.
                self.ended = Some(why.clone());
                Some(Err(why))
            }
            None => {
                self.body = None;
                None
            }
        })
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let request = self.request(ask)?;
        while let Some(piece) = poll_fn(|cx| self.poll_body(cx)).await {
            piece?;
        }
        let ready = poll_fn(|cx| {
            self.poll_connection(cx);
            self.requests.poll_ready(cx)
        });
        ready.await.map_err(|error| self.why(&error))?;
        let mut response = pin!(self.requests.send_request(request));
        let response = poll_fn(|cx| {
            self.poll_connection(cx);
            response.as_mut().poll(cx)
        });
        let response = response.await.map_err(|error| self.why(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Ended::Status(response.status().as_u16()));
        }
        if response.version() != Version::HTTP_11 {
            let version = response.version();
            return Err(Ended::Failed(format!(
                "answered with {version:?}, not HTTP/1.1"
            )));
        }
        let content_type = response.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
            return Err(Ended::Failed(format!(
                "answered with content type {content_type:?}, not text/event-stream"
            )));
        }
        self.parser = Parser::new();
        self.body = Some(response.into_body());
        Ok(())
    }

    fn request(&self, ask: &Ask) -> Result<Request<Empty<Bytes>>, Ended> {
        let (path, after) = match ask {
            Ask::Chat(ask) => (format!("/sse/chat?{}", query(ask)), ask.after),
            Ask::Feed(ask) => (format!("/sse/feed?{}", query(ask)), ask.after),
            Ask::Cancel => {
                return Err(Ended::Failed(
                    "a stream of events is cancelled by closing it".into(),
                ));
            }
        };
        let mut request = Request::get(path)
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, "text/event-stream")
            .header(header::CACHE_CONTROL, "no-cache");
        if let Some(after) = after {
            request = request.header("last-event-id", EventId::to_string(&after));
        }
        request
            .body(Empty::new())
            .map_err(|error| Ended::Failed(error.to_string()))
    }
}

/// The ask's fields as a query, without `after`: that is what `Last-Event-ID` is for.
fn query(ask: &impl serde::Serialize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(ask) {
        for (name, value) in fields {
            match value {
                serde_json::Value::Null => {}
                _ if name == "after" => {}
                serde_json::Value::String(text) => drop(query.append_pair(&name, &text)),
                other => drop(query.append_pair(&name, &other.to_string())),
            }
        }
    }
    query.finish()
}

impl Wire for SseH1 {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        loop {
            match ready!(self.poll_body(cx)) {
                Some(Ok(bytes)) => {
                    if self
                        .parser
                        .push(&bytes, &mut |event| deliver(event.data))
                        .is_err()
                    {
                        return Poll::Ready(Ended::Failed(
                            "an event is larger than the parser's bound".into(),
                        ));
                    }
                }
                Some(Err(ended)) => return Poll::Ready(ended),
                None => {
                    // Between two answers: only the connection's own end is of interest.
                    return self.ended.clone().map_or(Poll::Pending, Poll::Ready);
                }
            }
        }
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        // HTTP/1.1 has no goodbye but closing.
        Box::pin(async move { drop(self) })
    }

    fn round_trips(&self) -> u32 {
        self.trips.count()
    }
}

//! `sse-h2` and `fetch-h2`: a request answered by a stream, on a stream of an HTTP/2 connection.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use hyper::{
    Response,
    header::{
        ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    },
};
use pushbench_server::contract::{ask::Ask, factors::Coding};

use super::{
    Ended, Pending, Wire,
    connector::Target,
    content::Content,
    counted::ByteStream,
    decoded::Decoded,
    h2_connection::Link,
    hold_path,
    request::{Manner, Request, Version},
};

/// What the transport names, with the coding that the arm asks for.
pub(super) fn path(target: &Target) -> &'static str {
    target.manner().path(Version::Http2, target.coding())
}

/// One response after the other, each on a stream of its own of the same connection.
pub struct StreamH2<S> {
    link: Link<S>,
    manner: Manner,
    /// Scheme, host and port of every request.
    origin: String,
    body: Option<RecvStream>,
    /// Whether the body is the stream that was asked for.
    streams: bool,
    content: Content,
    /// What every answer is asked for in.
    coding: Option<Coding>,
    decoded: Decoded,
    /// What the transport names.
    named: &'static str,
    /// Round trips of what was asked here.
    trips: u32,
    path: Option<&'static str>,
    /// Told again to whoever asks again.
    ended: Option<Ended>,
}

impl<S: ByteStream> StreamH2<S> {
    /// On a connection; nothing is asked yet.
    ///
    /// # Errors
    /// When the coding's library does not start.
    pub(super) fn new(link: Link<S>, target: &Target) -> Result<Self, Ended> {
        let (manner, coding) = (target.manner(), target.coding());
        Ok(Self {
            link,
            manner,
            origin: target.origin(),
            body: None,
            streams: false,
            content: manner.content(),
            coding,
            decoded: Decoded::new(coding)?,
            named: path(target),
            trips: 0,
            path: None,
            ended: None,
        })
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let Request {
            method,
            target,
            last_event_id,
            body,
        } = self.manner.request(ask)?;
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.origin))
            .header(ACCEPT, self.manner.media_type())
            .header(CACHE_CONTROL, "no-cache");
        if let Some(after) = last_event_id {
            request = request.header("last-event-id", after.to_string());
        }
        if let Some(coding) = self.coding {
            request = request.header(ACCEPT_ENCODING, coding.name());
        }
        if !body.is_empty() {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .header(CONTENT_LENGTH, body.len());
        }
        let request = request.body(());
        let request = request.map_err(|error| Ended::Failed(error.to_string()))?;
        poll_fn(|cx| self.poll_idle(cx)).await?;
        let response = self.link.request(request, body.into()).await;
        let response = response.map_err(|ended| self.end(ended))?;
        self.trips += 1;
        self.begin(response)
    }

    /// A response has come: whether it is what was asked for.
    fn begin(&mut self, response: Response<RecvStream>) -> Result<(), Ended> {
        let status = response.status().as_u16();
        let mut came = said(&response);
        if let Some(coding) = response.headers().get(CONTENT_ENCODING) {
            came.push(' ');
            came.push_str(&String::from_utf8_lossy(coding.as_bytes()).to_ascii_lowercase());
        }
        self.streams = came == self.named;
        self.decoded = Decoded::new(self.coding)?;
        self.content = self.manner.content();
        self.body = Some(response.into_body());
        if status != 200 {
            return Err(Ended::Status(status));
        }
        self.path = Some(hold_path(self.named, &came)?);
        Ok(())
    }

    /// Reads what is left of the response before, as on a connection that carries one after the other.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        self.streams = false;
        if self.body.is_none() && self.ended.is_none() {
            // Whether the connection is alive, the request will tell.
            return Poll::Ready(Ok(()));
        }
        self.poll_body(cx, &mut |_| ())
    }

    /// Reads the body to its proper end, which has come if there is none.
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        deliver: &mut dyn FnMut(&str),
    ) -> Poll<Result<(), Ended>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(Err(ended.clone()));
        }
        let driven = self.link.drive(cx);
        let mut waiting = Context::from_waker(self.link.waker(cx));
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(Ok(()));
            };
            match body.poll_data(&mut waiting) {
                Poll::Ready(Some(Ok(bytes))) => {
                    // The window is open again for what was taken; fails where the stream is gone, which the
                    // next poll tells.
                    let _ = body.flow_control().release_capacity(bytes.len());
                    if let Err(ended) = self.take(&bytes, deliver) {
                        return Poll::Ready(Err(self.end(ended)));
                    }
                }
                Poll::Ready(None) => {
                    self.body = None;
                    if self.streams
                        && let Err(ended) = self.decoded.end()
                    {
                        return Poll::Ready(Err(self.end(ended)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let ended = self.link.failed(&error);
                    return Poll::Ready(Err(self.end(ended)));
                }
                Poll::Pending => {
                    let ended = ready!(driven);
                    return Poll::Ready(Err(self.end(ended)));
                }
            }
        }
    }

    fn take(&mut self, bytes: &Bytes, deliver: &mut dyn FnMut(&str)) -> Result<(), Ended> {
        // A refusal in words is read over.
        if !self.streams {
            return Ok(());
        }
        let content = &mut self.content;
        self.decoded
            .push(bytes, &mut |bytes| content.push(bytes, deliver))
    }

    /// Between two answers, only the connection's own end is of interest.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let ended = ready!(self.link.poll_gone(cx));
        Poll::Ready(self.end(ended))
    }

    fn end(&mut self, ended: Ended) -> Ended {
        self.ended = Some(ended.clone());
        ended
    }
}

/// Version, status and media type of a response.
pub fn said<B>(response: &Response<B>) -> String {
    let media_type = response.headers().get(CONTENT_TYPE);
    let media_type = media_type.map_or_else(String::new, |value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().to_ascii_lowercase()
    });
    let status = response.status().as_u16();
    format!("{:?} {status} {media_type}", response.version())
}

impl<S: ByteStream> Wire for StreamH2<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        match ready!(self.poll_body(cx, deliver)) {
            Ok(()) => self.poll_end(cx),
            Err(ended) => Poll::Ready(ended),
        }
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            let Self { link, body, .. } = *self;
            // A stream that has not ended is reset.
            drop(body);
            link.close().await;
        })
    }

    fn round_trips(&self) -> u32 {
        self.link.opening() + self.trips
    }

    fn path(&self) -> Option<&'static str> {
        self.path
    }
}

//! HTTP/1.1 by hand: one request after the other on a connection that is kept alive, each answered by a head
//! and a body in pieces (RFC 9112). For the reason in [`chunked`](super::chunked).

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use super::{
    BY_NGINX, Ended,
    buffered::Buffered,
    chunked::Piece,
    counted::{ByteStream, Counted},
    head::{Framing, HEAD_BYTES_MAX, Head},
};

/// Most interim responses before the one that was asked for. No server sends more than a hint or two.
const INTERIM_MAX: usize = 8;

/// A connection of HTTP/1.1, client's side.
#[derive(Debug)]
pub struct Exchange<S> {
    bytes: Buffered<S>,
    interim: usize,
    /// The body that is being read.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    framing: Framing,
    /// Whether the connection outlives it.
    keep_alive: bool,
}

impl<S: ByteStream> Exchange<S> {
    /// On an open connection; nothing is sent yet.
    pub fn new(stream: Counted<S>) -> Self {
        Self {
            bytes: Buffered::new(stream),
            interim: 0,
            body: None,
        }
    }

    /// Sends a request once the body before it was read over, and reads the head of its answer.
    ///
    /// # Errors
    /// Why there is none. A refusal is an answer.
    pub async fn request(&mut self, request: &[u8]) -> Result<Head, Ended> {
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.queue(request);
        poll_fn(|cx| {
            ready!(self.poll_send(cx))?;
            self.poll_head(cx)
        })
        .await
    }

    /// Queues a request. The body before it must have been read.
    pub fn queue(&mut self, request: &[u8]) {
        self.interim = 0;
        self.bytes.queue(request);
    }

    /// Sends what is queued.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        self.bytes.poll_flush(cx)
    }

    /// Reads the head of the final response; its body is read next.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Ended>> {
        loop {
            let head = match Head::parse(self.bytes.unread()) {
                Ok(Some(head)) => head,
                Ok(None) => {
                    ready!(self.poll_more_head(cx))?;
                    continue;
                }
                Err(ended) => return Poll::Ready(Err(self.bytes.end(ended))),
            };
            self.bytes.consume(head.length);
            if !head.is_interim() {
                self.body = Some(Body {
                    framing: head.framing.clone(),
                    keep_alive: head.keep_alive,
                });
                return Poll::Ready(Ok(head));
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                let reason = format!("more than {INTERIM_MAX} interim responses");
                return Poll::Ready(Err(self.bytes.end(Ended::Failed(reason))));
            }
        }
    }

    fn poll_more_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let here = self.bytes.unread().len();
        if here >= HEAD_BYTES_MAX {
            let reason = format!("the response's head is larger than {HEAD_BYTES_MAX} bytes");
            return Poll::Ready(Err(self.bytes.end(Ended::Failed(reason))));
        }
        self.bytes.poll_fill(cx, here + 1)
    }

    /// Hands the body's pieces to `take`, to its proper end, which has come if there is none.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Ended>,
    ) -> Poll<Result<(), Ended>> {
        loop {
            if let Some(ended) = self.bytes.ended() {
                return Poll::Ready(Err(ended.clone()));
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(Ok(()));
            };
            let mut input = self.bytes.unread();
            let before = input.len();
            let taken = body.take(&mut input, take);
            let used = before - input.len();
            self.bytes.consume(used);
            match taken {
                Ok(Taken::All) => ready!(self.bytes.poll_fill(cx, 1))?,
                Ok(Taken::ToTheEnd) => {
                    if !body.keep_alive {
                        self.bytes.end(Ended::Closed);
                    }
                    self.body = None;
                    return Poll::Ready(Ok(()));
                }
                Err(ended) => return Poll::Ready(Err(self.bytes.end(ended))),
            }
        }
    }

    /// Reads over what is left of a body; then the connection must be quiet and alive.
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        ready!(self.poll_body(cx, &mut |_| Ok(())))?;
        match self.poll_end(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Between two answers, only the connection's own end is of interest.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let filled = if self.bytes.unread().is_empty() {
            ready!(self.bytes.poll_fill(cx, 1))
        } else {
            Ok(())
        };
        Poll::Ready(match filled {
            Ok(()) => {
                let reason = "bytes came that nobody asked for";
                self.bytes.end(Ended::Failed(reason.into()))
            }
            Err(ended) => ended,
        })
    }

    /// Ends it; the cause is told again to whoever asks again.
    pub fn end(&mut self, ended: Ended) -> Ended {
        self.bytes.end(ended)
    }

    /// Round trips so far.
    pub fn round_trips(&self) -> u32 {
        self.bytes.round_trips()
    }
}

/// How far the input went.
enum Taken {
    All,
    ToTheEnd,
}

impl Body {
    fn take(
        &mut self,
        input: &mut &[u8],
        take: &mut dyn FnMut(&[u8]) -> Result<(), Ended>,
    ) -> Result<Taken, Ended> {
        loop {
            match self.framing.next(input) {
                Ok(Piece::Data(bytes)) => take(bytes)?,
                Ok(Piece::More) => return Ok(Taken::All),
                Ok(Piece::End) => return Ok(Taken::ToTheEnd),
                Err(malformed) => {
                    return Err(Ended::Failed(format!(
                        "the body is not in the chunked coding: {malformed}"
                    )));
                }
            }
        }
    }
}

/// What ran, by an answer's head; `bare` where a floor says that nobody else wrote it, and at the end who passed
/// it on.
pub fn path(head: &Head) -> String {
    let Head {
        minor_version,
        status,
        media_type,
        content_coding,
        bare,
        by_nginx,
        ..
    } = head;
    let bare = if *bare { "bare " } else { "" };
    let path = format!("{bare}HTTP/1.{minor_version} {status} {media_type} {content_coding}");
    let passed_on = if *by_nginx { BY_NGINX } else { "" };
    path.trim_end().to_owned() + passed_on
}

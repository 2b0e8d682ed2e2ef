//! A server played from memory: a stream whose bytes are there before they are asked for.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The server's side of a transport.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// What it answers to what the client has sent, before any message.
    pub answer: fn(&[u8]) -> Vec<u8>,
    /// A payload as it comes off the wire, and how many were before it.
    pub frame: fn(usize, &str) -> Vec<u8>,
    /// Requests among what the client has sent, where each is answered by a frame and waited for in a later
    /// wait; none where there is a frame for each wait.
    pub requests: Option<fn(&[u8]) -> usize>,
}

/// Plays a script, then frames, one a wait: each is followed by a read that finds nothing, as a paced
/// stream brings them. Nothing wakes the reader, so whoever measures polls by hand.
#[derive(Debug)]
pub struct Memory {
    script: Script,
    /// Sent by the client and not answered yet.
    sent: Vec<u8>,
    /// Answered, and not read yet.
    answer: Vec<u8>,
    frames: Arc<[Vec<u8>]>,
    next: usize,
    /// Bytes of the next frame that were read already.
    offset: usize,
    /// Whether the next read finds nothing.
    pause: bool,
    /// Frames that may be read, where each must be asked for.
    due: usize,
}

impl Memory {
    /// A server of `frames`, which are the script's.
    pub fn new(script: Script, frames: Arc<[Vec<u8>]>) -> Self {
        Self {
            script,
            sent: Vec::new(),
            answer: Vec::new(),
            frames,
            next: 0,
            offset: 0,
            pause: true,
            due: 0,
        }
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.sent.is_empty() {
            let sent = std::mem::take(&mut this.sent);
            this.answer.extend((this.script.answer)(&sent));
            match this.script.requests {
                Some(requests) => this.due += requests(&sent),
                // What needs no answer takes its turn as well.
                None => this.pause = true,
            }
        }
        if !this.answer.is_empty() {
            let count = this.answer.len().min(buf.remaining());
            buf.put_slice(&this.answer[..count]);
            this.answer.drain(..count);
            this.pause = true;
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut this.pause) {
            return Poll::Pending;
        }
        let asked = this.script.requests.is_none() || this.due > 0;
        let Some(frame) = this.frames.get(this.next).filter(|_| asked) else {
            return Poll::Pending;
        };
        let rest = &frame[this.offset..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        if count == rest.len() {
            (this.next, this.offset, this.pause) = (this.next + 1, 0, true);
            this.due = this.due.saturating_sub(1);
        } else {
            this.offset += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sent.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

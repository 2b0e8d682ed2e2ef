//! A non-blocking stream in the standard library's terms, for the WebSocket library, which does not know
//! futures.
//!
//! Its usual wrapper registers two wakers at each poll, one for each direction, so that two tasks may
//! share a socket. Here one task owns it, and what the wrapper costs would be charged to WebSocket alone.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Says `WouldBlock` where the stream is not ready, and has the owner woken when it is.
#[derive(Debug)]
pub struct Polled<S> {
    stream: S,
    waker: Waker,
}

impl<S> Polled<S> {
    /// Nobody is woken before [`Polled::wake`].
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            waker: Waker::noop().clone(),
        }
    }

    /// What it is made of.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The same, to act on.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The same, for good.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Whom to wake from now on.
    pub fn wake(&mut self, cx: &Context<'_>) {
        // Clones only if it is another one.
        self.waker.clone_from(cx.waker());
    }
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: AsyncRead + Unpin> Read for Polled<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut cx = Context::from_waker(&self.waker);
        let mut buf = ReadBuf::new(bytes);
        or_would_block(Pin::new(&mut self.stream).poll_read(&mut cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Polled<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut cx = Context::from_waker(&self.waker);
        or_would_block(Pin::new(&mut self.stream).poll_write(&mut cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut cx = Context::from_waker(&self.waker);
        or_would_block(Pin::new(&mut self.stream).poll_flush(&mut cx))
    }
}

//! A stream with what was read from it and is not used yet, and what is queued to be written: messages are
//! handed out where the socket put them.

use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Ended, READ_BUFFER_BYTES,
    counted::{ByteStream, Counted},
};

/// Read by whoever waits for it; all waiting is done in polls, so that no task stands between the socket and
/// the subscriber.
#[derive(Debug)]
pub struct Buffered<S> {
    stream: Counted<S>,
    buffer: Vec<u8>,
    unread: Range<usize>,
    queued: Vec<u8>,
    written: usize,
    /// Told again to whoever asks again.
    ended: Option<Ended>,
}

impl<S: ByteStream> Buffered<S> {
    /// Around an open stream.
    pub fn new(stream: Counted<S>) -> Self {
        Self {
            stream,
            buffer: vec![0; READ_BUFFER_BYTES],
            unread: 0..0,
            queued: Vec::new(),
            written: 0,
            ended: None,
        }
    }

    /// What was read and is not used yet.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    /// Uses up the first of what is unread.
    pub fn consume(&mut self, bytes: usize) {
        self.unread.start += bytes;
    }

    /// Queues bytes to be written.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.queued.extend_from_slice(bytes);
    }

    /// Writes what is queued, through whatever lies below: TLS may hold a record back until it is flushed.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.queued.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest) = self
            .queued
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(self.end(Ended::Closed))),
                Ok(written) => self.written += written,
                Err(error) => {
                    let ended = Ended::from_error(&error);
                    return Poll::Ready(Err(self.end(ended)));
                }
            }
        }
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            return Poll::Ready(Err(self.end(Ended::from_error(&error))));
        }
        self.queued.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads once, behind what is unread, which may grow to `wanted` bytes and to at least a buffer's.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<Result<(), Ended>> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(Err(ended.clone()));
        }
        self.make_room(wanted);
        let mut space = ReadBuf::new(&mut self.buffer[self.unread.end..]);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space));
        let count = space.filled().len();
        self.unread.end += count;
        Poll::Ready(match read {
            Ok(()) if count > 0 => Ok(()),
            Ok(()) => Err(self.end(Ended::Closed)),
            Err(error) => Err(self.end(Ended::from_error(&error))),
        })
    }

    fn make_room(&mut self, wanted: usize) {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.buffer.len()
            || self.unread.start + wanted > self.buffer.len()
        {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let least = wanted.max(READ_BUFFER_BYTES).max(self.unread.end + 1);
        if least > self.buffer.len() {
            self.buffer.resize(least, 0);
        } else if self.unread.is_empty() && self.buffer.len() > READ_BUFFER_BYTES {
            // What was large is over.
            self.buffer.truncate(least);
            self.buffer.shrink_to_fit();
        }
    }

    /// Why the stream has ended, if it has.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Ends it; the cause is told again to whoever asks again.
    pub fn end(&mut self, ended: Ended) -> Ended {
        self.ended.get_or_insert(ended).clone()
    }

    /// Round trips so far.
    pub fn round_trips(&self) -> u32 {
        self.stream.trips().count()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn fill<S: ByteStream>(buffered: &mut Buffered<S>, wanted: usize) -> Result<(), Ended> {
        std::future::poll_fn(|cx| buffered.poll_fill(cx, wanted)).await
    }

    #[tokio::test]
    async fn what_is_unread_stays_whole_while_the_buffer_moves_and_grows_and_shrinks() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let mut buffered = Buffered::new(Counted::new(ours));
        let bytes: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        theirs.write_all(&bytes).await.unwrap();
        fill(&mut buffered, 1).await.unwrap();
        assert_eq!(buffered.unread(), &bytes[..READ_BUFFER_BYTES]);
        buffered.consume(4_000);
        // No room behind it: it moves to the front.
        fill(&mut buffered, 1).await.unwrap();
        assert_eq!(buffered.unread(), &bytes[4_000..4_000 + READ_BUFFER_BYTES]);
        while buffered.unread().len() < 16_000 {
            fill(&mut buffered, 16_000).await.unwrap();
        }
        assert_eq!(buffered.unread(), &bytes[4_000..]);
        buffered.consume(16_000);
        theirs.write_all(b"x").await.unwrap();
        fill(&mut buffered, 1).await.unwrap();
        assert_eq!(
            (buffered.unread(), buffered.buffer.len()),
            (&b"x"[..], READ_BUFFER_BYTES)
        );
        drop(theirs);
        for _ in 0..2 {
            assert_eq!(fill(&mut buffered, 1).await, Err(Ended::Closed));
        }
    }
}

//! A byte stream that counts what its owner sends and receives, and how often it has waited for the other
//! side.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::Ended;

/// What a connection is made of: a socket, or memory that plays one.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for S {}

/// Counts a round trip whenever bytes arrive after bytes were sent, and all bytes both ways. What lies above
/// TLS hands on the count of the socket below.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    traffic: Traffic,
    /// Whether the bytes here are those of the socket.
    counts: bool,
    /// Bytes were sent since the last ones arrived.
    awaiting: bool,
}

/// The count of round trips, readable while a library owns the stream. The stream alone writes it, so that
/// nothing has to be added atomically.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips(Arc<AtomicU32>);

impl RoundTrips {
    /// So many so far.
    pub fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }

    fn add(&self) {
        self.0.store(self.count() + 1, Relaxed);
    }
}

/// All that is counted of a connection.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Times that this side has waited for the other.
    pub round_trips: RoundTrips,
    bytes: Arc<Bytes>,
}

#[derive(Debug, Default)]
struct Bytes {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// Bytes handed to the socket so far; TCP's and IP's headers are not among them.
    pub fn sent_bytes(&self) -> u64 {
        self.bytes.sent.load(Relaxed)
    }

    /// Bytes taken from the socket so far.
    pub fn received_bytes(&self) -> u64 {
        self.bytes.received.load(Relaxed)
    }

    fn sent(&self, bytes: usize) {
        let sent = self.sent_bytes() + bytes as u64;
        self.bytes.sent.store(sent, Relaxed);
    }

    fn received(&self, bytes: usize) {
        let received = self.received_bytes() + bytes as u64;
        self.bytes.received.store(received, Relaxed);
    }
}

impl Counted<TcpStream> {
    /// Connects, which is the first round trip; sets TCP_NODELAY, as both transports' clients do.
    pub async fn connect(server: SocketAddr) -> Result<Self, Ended> {
        let stream = TcpStream::connect(server)
            .await
            .map_err(|error| Ended::from_error(&error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| Ended::from_error(&error))?;
        let counted = Self::new(stream);
        counted.traffic.round_trips.add();
        Ok(counted)
    }
}

impl<S> Counted<S> {
    /// Around a stream that is open already.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            traffic: Traffic::default(),
            counts: true,
            awaiting: false,
        }
    }

    /// Around a stream above the one that counts.
    pub fn above(stream: S, traffic: Traffic) -> Self {
        Self {
            stream,
            traffic,
            counts: false,
            awaiting: false,
        }
    }

    /// A handle to the count of round trips.
    pub fn trips(&self) -> RoundTrips {
        self.traffic.round_trips.clone()
    }

    /// A handle to all that is counted.
    pub fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    /// What was sent last is not waited for: whatever comes next is no round trip.
    pub fn expect_nothing(&mut self) {
        self.awaiting = false;
    }

    fn note_sent(&mut self, written: &Poll<io::Result<usize>>) {
        if let (true, Poll::Ready(Ok(bytes))) = (self.counts, written) {
            self.awaiting = true;
            self.traffic.sent(*bytes);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().len() - before;
        if self.counts && bytes > 0 {
            self.traffic.received(bytes);
            if self.awaiting {
                self.awaiting = false;
                self.traffic.round_trips.add();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_sent(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn counts_bytes_both_ways_and_a_trip_for_each_answer() {
        let (mut server, client) = duplex(64);
        let mut client = Counted::new(client);
        let traffic = client.traffic();
        let mut answer = [0; 3];
        for asked in 1..=2 {
            client.write_all(b"as").await.unwrap();
            client.write_all(b"king").await.unwrap();
            // In two pieces, which were waited for once.
            server.write_all(b"ans").await.unwrap();
            client.read_exact(&mut answer).await.unwrap();
            server.write_all(b"wer").await.unwrap();
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(u64::from(traffic.round_trips.count()), asked);
            assert_eq!(traffic.sent_bytes(), 6 * asked);
            assert_eq!(traffic.received_bytes(), 6 * asked);
        }
        client.write_all(b"!").await.unwrap();
        client.expect_nothing();
        server.write_all(b"wer").await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            (traffic.round_trips.count(), traffic.received_bytes()),
            (2, 15)
        );
    }

    #[tokio::test]
    async fn what_lies_above_hands_on_the_count_of_what_lies_below() {
        let (mut server, client) = duplex(64);
        let below = Counted::new(client);
        let traffic = below.traffic();
        let mut above = Counted::above(below, traffic.clone());
        above.write_all(b"once").await.unwrap();
        server.write_all(b"too").await.unwrap();
        above.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(above.trips().count(), 1);
        assert_eq!((traffic.sent_bytes(), traffic.received_bytes()), (4, 3));
    }
}

//! A byte stream that counts how often its owner has waited for the other side.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
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

/// Counts a round trip whenever bytes arrive after bytes were sent.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    trips: RoundTrips,
    /// Bytes were sent since the last ones arrived.
    awaiting: bool,
}

/// The count, readable while a library owns the stream.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips(Arc<AtomicU32>);

impl RoundTrips {
    /// So many so far.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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
        counted.trips.add();
        Ok(counted)
    }
}

impl<S> Counted<S> {
    /// Around a stream that is open already.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            trips: RoundTrips::default(),
            awaiting: false,
        }
    }

    /// A handle to the count.
    pub fn trips(&self) -> RoundTrips {
        self.trips.clone()
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
        if self.awaiting && buf.filled().len() > before {
            self.awaiting = false;
            self.trips.add();
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
        self.awaiting = true;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

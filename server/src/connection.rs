//! A live TCP connection: the one place where bytes meet the socket, so that hand-off, messages a write
//! and stalls are measured alike for every transport, and the register of all of them.

use std::{
    io::{self, IoSlice},
    ops::Add,
    os::fd::AsFd,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use slab::Slab;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    contract::{
        clock::now_ns,
        factors::{BufferBytes, Compression, HttpStack, WsLibrary},
    },
    counters::{Counter, Counters},
    faults::Injector,
    leases::Leases,
    meters::Meters,
    progress::Streams,
    sys,
    tls::Session,
};

/// A connection, shared by its [`Io`], the handlers that stream on it and the [`Register`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    meters: Arc<Meters>,
    /// `sent_at` of messages handed over and not yet written.
    unwritten: Mutex<Vec<u64>>,
    /// Since when the socket refuses bytes; 0 when it does not.
    stalled_since: AtomicU64,
    /// Whether its stall ended it.
    stall_ended: AtomicBool,
    /// Whether several streams may share it.
    carries_streams: AtomicBool,
    /// What a TLS handshake came to.
    session: OnceLock<Session>,
    leases: Leases,
    /// Who drives its HTTP, once somebody does.
    driver: OnceLock<Driver>,
    /// How the messages on it travel; none before the first stream.
    carriage: Mutex<Option<Carriage>>,
}

/// Who drives the HTTP of a connection, as whoever handed it over says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver {
    /// Whose code.
    pub stack: HttpStack,
    /// The bound its buffers were given, if one was.
    pub buffer_bytes: Option<BufferBytes>,
}

/// How messages travel on a connection, as its peer agreed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carriage {
    /// Whose WebSocket carries them, if one does.
    pub ws_library: Option<WsLibrary>,
    /// How they are compressed.
    pub compression: Compression,
}

impl Connection {
    /// Notes how the messages of the stream that begins travel.
    pub fn carries(&self, carriage: Carriage) {
        *self.carriage.lock().unwrap_or_else(PoisonError::into_inner) = Some(carriage);
    }

    /// How messages travel here, once there are any.
    pub fn carriage(&self) -> Option<Carriage> {
        *self.carriage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a message is on its way to the socket; its hand-off ends with the next write. Where streams
    /// share the connection, that write takes what all of them have handed over.
    pub fn hand_over(&self, sent_at: u64) {
        self.meters.counters.count(Counter::HandedOver);
        self.unwritten().push(sent_at);
    }

    /// The socket, to read options and counts from.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The TLS session above the socket, if there is one.
    pub fn session(&self) -> Option<&Session> {
        self.session.get()
    }

    /// A TLS handshake came to this.
    pub(crate) fn secured(&self, session: Session) {
        // There is one handshake a connection.
        let _ = self.session.set(session);
    }

    /// Subscriptions that wait for their poller's next request.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Notes who drives it from now on; the first to say so is right.
    pub fn driven_by(&self, driver: Driver) {
        self.driver.get_or_init(|| driver);
    }

    /// Who drives it; none of what is written straight to the socket.
    pub fn driver(&self) -> Option<Driver> {
        self.driver.get().copied()
    }

    /// Since when the socket refuses bytes ([`now_ns`]), if it does.
    pub fn stalled_since(&self) -> Option<u64> {
        Some(self.stalled_since.load(Ordering::Relaxed)).filter(|&since| since != 0)
    }

    /// Aborts the connection: the peer sees a reset, our tasks an error.
    ///
    /// # Errors
    /// When the socket is not connected any more.
    pub fn reset(&self) -> io::Result<()> {
        sys::disconnect(self.stream.as_fd())
    }

    /// Aborts the connection because its reader stalls; whether it did, which it does once.
    pub fn reset_stalled(&self) -> bool {
        !self.stall_ended.load(Ordering::Relaxed)
            && self.reset().is_ok()
            && !self.stall_ended.swap(true, Ordering::Relaxed)
    }

    /// From now on, several streams may share it.
    pub fn carry_streams(&self) {
        self.carries_streams.store(true, Ordering::Relaxed);
    }

    /// Whether several streams may share it.
    pub fn carries_streams(&self) -> bool {
        self.carries_streams.load(Ordering::Relaxed)
    }

    /// Reads and discards until the peer has closed. Closing with unread bytes would reset the connection,
    /// and the peer might never see the last thing it was told. Nothing of the kind where streams share the
    /// connection: the bytes are theirs, and a stream's own end resets none of them.
    pub async fn discard_rest(&self) {
        if self.carries_streams() {
            return;
        }
        let mut bytes = [0; 4_096];
        while self.stream.readable().await.is_ok() {
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// What it has carried so far, nothing when the kernel does not say.
    pub fn traffic(&self) -> Traffic {
        sys::tcp_info(self.stream.as_fd()).map_or_else(
            |_| Traffic::default(),
            |info| Traffic {
                segments: info.segments_out.into(),
                segments_in: info.all_segments_in.into(),
                bytes: info.bytes_sent,
                bytes_in: info.bytes_received,
            },
        )
    }

    /// A write went through: what was handed over is the kernel's now. A write that took only a part
    /// counts as all of it; the rest follows within the same wake-up or stalls, which is counted apart.
    fn written(&self) {
        self.stalled_since.store(0, Ordering::Relaxed);
        let mut unwritten = self.unwritten();
        if unwritten.is_empty() {
            return;
        }
        let now = now_ns();
        self.meters.counters.count(Counter::Writes);
        self.meters.record(|histograms| {
            histograms
                .messages_a_write
                .saturating_record(unwritten.len() as u64);
            for sent_at in unwritten.drain(..) {
                histograms
                    .hand_off
                    .saturating_record(now.saturating_sub(sent_at));
            }
        });
    }

    fn unwritten(&self) -> MutexGuard<'_, Vec<u64>> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What connections have carried, as the kernel counts (`TCP_INFO`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Segments with data sent.
    pub segments: u64,
    /// Segments received, acknowledgements included.
    pub segments_in: u64,
    /// Bytes of TCP payload sent. One that was sent again, as the kernel does where an acknowledgement is
    /// late, counts once here; its segments count each.
    pub bytes: u64,
    /// The same received.
    pub bytes_in: u64,
}

impl Traffic {
    /// Of all connections that have closed.
    pub fn of_closed(counters: &Counters) -> Self {
        Self {
            segments: counters.read(Counter::SegmentsOfClosed),
            segments_in: counters.read(Counter::SegmentsInOfClosed),
            bytes: counters.read(Counter::BytesOfClosed),
            bytes_in: counters.read(Counter::BytesInOfClosed),
        }
    }

    fn close(self, counters: &Counters) {
        counters.add(Counter::SegmentsOfClosed, self.segments);
        counters.add(Counter::SegmentsInOfClosed, self.segments_in);
        counters.add(Counter::BytesOfClosed, self.bytes);
        counters.add(Counter::BytesInOfClosed, self.bytes_in);
    }
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            segments: self.segments + other.segments,
            segments_in: self.segments_in + other.segments_in,
            bytes: self.bytes + other.bytes,
            bytes_in: self.bytes_in + other.bytes_in,
        }
    }
}

/// Every live connection.
#[derive(Debug, Default)]
pub struct Register {
    live: Mutex<Slab<Arc<Connection>>>,
    streams: Arc<Streams>,
}

impl Register {
    /// Enters a connection; it leaves when the [`Io`] is dropped.
    pub fn enter(
        self: &Arc<Self>,
        stream: TcpStream,
        meters: Arc<Meters>,
        faults: Option<&Injector>,
    ) -> Io {
        let connection = Arc::new(Connection {
            stream,
            meters,
            unwritten: Mutex::default(),
            stalled_since: AtomicU64::new(0),
            stall_ended: AtomicBool::new(false),
            carries_streams: AtomicBool::new(false),
            session: OnceLock::new(),
            leases: Leases::default(),
            driver: OnceLock::new(),
            carriage: Mutex::default(),
        });
        let slot = self.lock().insert(connection.clone());
        Io {
            connection,
            slot,
            register: self.clone(),
            _hoard: faults.and_then(Injector::hoard),
        }
    }

    /// How many are live.
    pub fn live(&self) -> usize {
        self.lock().len()
    }

    /// All that are live now.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.lock()
            .iter()
            .map(|(_, connection)| connection.clone())
            .collect()
    }

    /// The streams of connections that carry several.
    pub fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<Connection>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The byte stream of a [`Connection`].
#[derive(Debug)]
pub struct Io {
    connection: Arc<Connection>,
    slot: usize,
    register: Arc<Register>,
    /// Held for nothing but its size.
    _hoard: Option<Box<[u8]>>,
}

impl Io {
    /// The connection it belongs to.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Tries until the socket takes bytes, noting since when it refuses them.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.connection.stream.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    let since = &self.connection.stalled_since;
                    // Only the first refusal dates the stall.
                    let _ =
                        since.compare_exchange(0, now_ns(), Ordering::Relaxed, Ordering::Relaxed);
                    return Poll::Pending;
                }
            }
            match write(&self.connection.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                result => {
                    if result.is_ok() {
                        self.connection.written();
                    }
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.connection.stream.poll_read_ready(cx))?;
            match self.connection.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                result => return Poll::Ready(result.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        use rustix::net::{Shutdown, shutdown};
        match shutdown(&self.connection.stream, Shutdown::Write) {
            // The peer was faster: there is nothing left to shut.
            Err(rustix::io::Errno::NOTCONN) | Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.register.lock().remove(self.slot);
        // Others may hold the connection a while longer.
        self.connection.leases.clear();
        let counters = &self.connection.meters.counters;
        self.connection.traffic().close(counters);
        counters.count(Counter::Closed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn what_a_connection_carried_is_counted_while_it_lives_and_kept_when_it_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap());
        let mut client = connected.await.unwrap();
        let meters = Arc::new(Meters::new(Counters::private().unwrap()));
        let (stream, _) = listener.accept().await.unwrap();
        let register = Arc::new(Register::default());
        let mut io = register.enter(stream, meters.clone(), None);
        client.write_all(b"1234567").await.unwrap();
        io.read_exact(&mut [0; 7]).await.unwrap();
        for _ in 0..3 {
            io.write_all(b"12345").await.unwrap();
            client.read_exact(&mut [0; 5]).await.unwrap();
        }
        let live = io.connection().traffic();
        assert_eq!((live.segments, live.bytes, live.bytes_in), (3, 15, 7));
        // The end of the handshake and the ask at least.
        assert!(live.segments_in >= 2, "{live:?}");
        assert_eq!(Traffic::of_closed(&meters.counters), Traffic::default());
        drop(io);
        let closed = Traffic::of_closed(&meters.counters);
        assert_eq!((closed.segments, closed.bytes, closed.bytes_in), (3, 15, 7));
        assert!(closed.segments_in >= live.segments_in, "{closed:?}");
    }
}

//! A connection of HTTP/2 (RFC 9113): the library's, whose streams one wire has for its own or many share.

use std::{
    future::{Future, poll_fn},
    io,
    num::NonZeroU32,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, Connection, ResponseFuture, SendRequest},
};
use hyper::{Request, Response};
use tokio::sync::{OnceCell, watch};

use super::{
    Ended, Pending,
    counted::{ByteStream, Counted},
    dial::{Line, Way},
    first_frame::{FirstFrame, Seen},
    head::HEAD_BYTES_MAX,
    hold_path,
};

/// Bytes that a stream may send before it waits for us. Chromium's: at the standard's 64 KiB a window of
/// 250 messages would have to be opened again and again, and who waits for that waits for no transport.
const STREAM_WINDOW_BYTES: u32 = 6 * 1_024 * 1_024;

/// The same of all streams of a connection together; Chromium's.
const CONNECTION_WINDOW_BYTES: u32 = 15 * 1_024 * 1_024;

/// Streams that we have reset and whose late frames are still known for what they are: as many as the
/// server lets a connection have. Beyond the library's 50, late frames would be taken for violations.
const RESET_STREAMS_MAX: usize = 1_024;

/// A connection's life: who asks on it, and who moves its frames.
pub struct Link<S> {
    sender: SendRequest<Bytes>,
    driver: Driver<S>,
    seen: Seen,
    /// What the transport names.
    named: &'static str,
    /// Round trips of its opening, charged to the wire that opened it.
    opening: u32,
    ended: Option<Ended>,
    /// The connection's end, while nothing else is waited for.
    gone: Option<Pending<'static, Ended>>,
}

/// Who moves the frames.
enum Driver<S> {
    /// The wire that waits for them: it has the connection for its own, and a hop between tasks would be
    /// charged to HTTP/2 alone.
    Wire(Box<Connection<FirstFrame<Counted<S>>, Bytes>>),
    /// A task: whoever shares the connection may wait for long.
    Task(Arc<Shared>),
}

impl<S: ByteStream> Link<S> {
    /// On an open byte stream, for one wire; nothing is sent yet but the preface. `settled` waits for the
    /// server's settings.
    pub async fn own(
        stream: Counted<S>,
        named: &'static str,
        settled: bool,
    ) -> Result<Self, Ended> {
        let trips = stream.trips();
        let opened = open(stream, named, settled).await?;
        Ok(Self {
            named,
            sender: opened.sender,
            driver: Driver::Wire(Box::new(opened.connection)),
            seen: opened.seen,
            opening: trips.count(),
            ended: None,
            gone: None,
        })
    }

    /// On one of the pool's connections, which is opened if need be.
    pub async fn shared(
        pool: &Pool,
        streams: NonZeroU32,
        way: &Way,
        named: &'static str,
        settled: bool,
    ) -> Result<Self, Ended> {
        let shared = pool.seat(streams);
        let mut opening = 0;
        let Open { sender, seen } = shared
            .open
            .get_or_try_init(|| async {
                let (open, trips) = match way.dial().await? {
                    Line::Clear(stream) => shared.launch(stream, named, settled).await?,
                    Line::Secured(stream, _) => shared.launch(stream, named, settled).await?,
                };
                opening = trips;
                Ok::<_, Ended>(open)
            })
            .await?;
        Ok(Self {
            sender: sender.clone(),
            seen: seen.clone(),
            driver: Driver::Task(shared.clone()),
            named,
            opening,
            ended: None,
            gone: None,
        })
    }

    /// Round trips that its opening took, of the wire that opened it.
    pub fn opening(&self) -> u32 {
        self.opening
    }

    /// Whether the server takes extended `CONNECT` (RFC 8441 §3).
    pub fn has_extended_connect(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Moves frames both ways as far as they go now, where that is the wire's to do; ready with the
    /// connection's end. Whoever waits calls it once a wake-up, before it asks its stream.
    pub fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if let Some(ended) = &self.ended {
            return Poll::Ready(ended.clone());
        }
        let Driver::Wire(connection) = &mut self.driver else {
            // Streams are told by the library.
            return Poll::Pending;
        };
        let end = ready!(Future::poll(Pin::new(connection), cx));
        let end = end_of(end, &self.seen, self.named);
        self.ended = Some(end.clone());
        Poll::Ready(end)
    }

    /// Whom a stream is to wake: nobody where [`Link::drive`] has its frames and is woken by the socket.
    pub fn waker<'a>(&self, cx: &Context<'a>) -> &'a Waker {
        match self.driver {
            Driver::Wire(_) => Waker::noop(),
            Driver::Task(_) => cx.waker(),
        }
    }

    /// Sends a request and waits for the response's head.
    pub async fn request(
        &mut self,
        request: Request<()>,
        body: Bytes,
    ) -> Result<Response<RecvStream>, Ended> {
        let (response, _) = self.begin(request, body, true).await?;
        Ok(response)
    }

    /// The same, of a request that may go on: what it sends more is written to the stream beside.
    pub async fn begin(
        &mut self,
        request: Request<()>,
        body: Bytes,
        whole: bool,
    ) -> Result<(Response<RecvStream>, SendStream<Bytes>), Ended> {
        poll_fn(|cx| self.poll_ready(cx)).await?;
        let (mut response, stream) = self.send(request, body, whole)?;
        let response =
            poll_fn(|cx| self.poll(cx, |_, cx| Future::poll(Pin::new(&mut response), cx)));
        Ok((response.await?, stream))
    }

    /// Queues a request on a stream that may be opened; whoever waits for its response drives.
    pub fn send(
        &mut self,
        request: Request<()>,
        body: Bytes,
        whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Ended> {
        let bodiless = whole && body.is_empty();
        let sent = self.sender.send_request(request, bodiless);
        let (response, mut stream) = sent.map_err(|error| self.failed(&error))?;
        if !body.is_empty() {
            let sent = stream.send_data(body, whole);
            sent.map_err(|error| self.failed(&error))?;
        }
        Ok((response, stream))
    }

    /// Whether another stream may be opened, which is nearly always so, and known without the network.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut waiting = Context::from_waker(self.waker(cx));
        match self.sender.poll_ready(&mut waiting) {
            Poll::Ready(ready) => Poll::Ready(ready.map_err(|error| self.failed(&error))),
            Poll::Pending => self.poll(cx, |link, cx| link.sender.poll_ready(cx)),
        }
    }

    /// Drives, then polls something of a stream.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, h2::Error>>,
    ) -> Poll<Result<T, Ended>> {
        let driven = self.drive(cx);
        let mut waiting = Context::from_waker(self.waker(cx));
        match poll(self, &mut waiting) {
            Poll::Ready(Ok(done)) => Poll::Ready(Ok(done)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed(&error))),
            Poll::Pending => driven.map(Err),
        }
    }

    /// The connection's own end, waited for by who has no stream on it.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Driver::Task(shared) = &self.driver else {
            return self.drive(cx);
        };
        let gone = self.gone.get_or_insert_with(|| {
            let mut ended = shared.ended.subscribe();
            Box::pin(async move {
                let end = ended.wait_for(Option::is_some).await;
                end.ok()
                    .and_then(|end| end.clone())
                    .unwrap_or(Ended::Closed)
            })
        });
        let ended = ready!(gone.as_mut().poll(cx));
        self.gone = None;
        Poll::Ready(ended)
    }

    /// What an error of a stream means.
    pub fn failed(&self, error: &h2::Error) -> Ended {
        match &self.driver {
            // The connection's end says more than what its streams were told.
            Driver::Task(shared) if !error.is_reset() => shared.ended(),
            _ => self.ended.clone(),
        }
        .unwrap_or_else(|| ended(error, &self.seen, self.named))
    }

    /// Ends the connection when this was its last stream: says goodbye, and closes.
    pub async fn close(self) {
        let Self { sender, driver, .. } = self;
        drop(sender);
        if let Driver::Wire(connection) = driver {
            // The peer may be gone already, which is an end as well.
            let _ = connection.await;
        }
    }
}

struct Opened<S> {
    sender: SendRequest<Bytes>,
    connection: Connection<FirstFrame<Counted<S>>, Bytes>,
    seen: Seen,
}

async fn open<S: ByteStream>(
    stream: Counted<S>,
    named: &'static str,
    settled: bool,
) -> Result<Opened<S>, Ended> {
    let stream = FirstFrame::new(stream);
    let seen = stream.seen();
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .enable_push(false)
        .handshake(stream)
        .await;
    let (sender, mut connection) = handshake.map_err(|error| ended(&error, &seen, named))?;
    let settle = poll_fn(|cx| {
        let polled = Future::poll(Pin::new(&mut connection), cx);
        match polled {
            Poll::Ready(end) => Poll::Ready(Err(end_of(end, &seen, named))),
            Poll::Pending if seen.settings() || !settled => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    });
    if settled {
        settle.await?;
    }
    Ok(Opened {
        sender,
        connection,
        seen,
    })
}

/// The end of a connection.
fn end_of(end: Result<(), h2::Error>, seen: &Seen, named: &'static str) -> Ended {
    end.err()
        .map_or(Ended::Closed, |error| ended(&error, seen, named))
}

fn ended(error: &h2::Error, seen: &Seen, named: &'static str) -> Ended {
    if let Some(Err(wrong)) = seen.other().map(|other| hold_path(named, other)) {
        return wrong;
    }
    if let Some(error) = error.get_io() {
        return match error.kind() {
            // So the library calls the end of its input.
            io::ErrorKind::BrokenPipe => Ended::Closed,
            _ => Ended::from_error(error),
        };
    }
    if error.is_remote() && error.is_go_away() {
        return Ended::Closed;
    }
    if error.is_remote() && error.is_reset() && error.reason() != Some(h2::Reason::REFUSED_STREAM) {
        return Ended::Reset;
    }
    Ended::Failed(error.to_string())
}

/// The connections whose streams the wires of one connector share.
#[derive(Debug, Default)]
pub struct Pool {
    connections: Mutex<Vec<Weak<Shared>>>,
}

/// A shared connection, for as long as a wire has it.
#[derive(Debug)]
struct Shared {
    open: OnceCell<Open>,
    /// Why it ended.
    ended: Arc<watch::Sender<Option<Ended>>>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Bytes>,
    seen: Seen,
}

impl Pool {
    /// A connection with fewer wires than it may have, which are as many as hold it; a new one if there is
    /// none. One that has ended is no more given to anybody.
    fn seat(&self, streams: NonZeroU32) -> Arc<Shared> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| connection.strong_count() > 0);
        let free = connections
            .iter()
            .filter(|connection| connection.strong_count() < streams.get() as usize)
            .find_map(|connection| connection.upgrade().filter(|one| one.ended().is_none()));
        free.unwrap_or_else(|| {
            let shared = Arc::new(Shared {
                open: OnceCell::new(),
                ended: Arc::new(watch::Sender::new(None)),
            });
            connections.push(Arc::downgrade(&shared));
            shared
        })
    }

    /// Wires and the live connections that they share.
    pub fn usage(&self) -> (usize, usize) {
        let connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let live = connections
            .iter()
            .map(Weak::strong_count)
            .filter(|&wires| wires > 0);
        live.fold((0, 0), |(wires, connections), more| {
            (wires + more, connections + 1)
        })
    }
}

impl Shared {
    /// On an open byte stream: its frames are moved by a task from now on; and the round trips so far.
    async fn launch<S: ByteStream>(
        &self,
        stream: Counted<S>,
        named: &'static str,
        settled: bool,
    ) -> Result<(Open, u32), Ended> {
        let trips = stream.trips();
        let opened = open(stream, named, settled).await?;
        let opening = trips.count();
        let (seen, ended) = (opened.seen.clone(), self.ended.clone());
        tokio::spawn(async move {
            let end = end_of(opened.connection.await, &seen, named);
            ended.send_replace(Some(end));
        });
        let (sender, seen) = (opened.sender, opened.seen);
        Ok((Open { sender, seen }, opening))
    }

    fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }
}

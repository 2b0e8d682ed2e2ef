//! `ws-h2`: a WebSocket by extended `CONNECT` on a stream of an HTTP/2 connection (RFC 8441).

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream, ext::Protocol};
use hyper::{Method, header::SEC_WEBSOCKET_VERSION};
use pushbench_server::contract::ask::Ask;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::{
    WebSocket,
    protocol::{Role, WebSocketConfig},
};

use super::{
    Ended, Pending, READ_BUFFER_BYTES, Wire,
    connector::Target,
    counted::ByteStream,
    h2_connection::Link,
    hold_path,
    polled::Polled,
    stream_h2::said,
    ws_h1::{self, Socket},
};

/// What the transport names. A WebSocket's answer says 200 and nothing of what follows.
pub const PATH: &str = "HTTP/2.0 200 websocket";

/// One WebSocket.
pub struct WsH2<S> {
    socket: Socket<Tunnel<S>>,
}

impl<S: ByteStream> WsH2<S> {
    /// Opens a stream for it on a connection whose settings have come.
    pub(super) async fn connect(mut link: Link<S>, target: &Target) -> Result<Self, Ended> {
        if !link.has_extended_connect() {
            return Err(hold_path(PATH, "HTTP/2.0 without extended CONNECT")
                .err()
                .unwrap_or(Ended::Closed));
        }
        let request = hyper::Request::builder()
            .method(Method::CONNECT)
            .uri(format!("{}/ws", target.origin()))
            .extension(Protocol::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, "13")
            .body(())
            .map_err(|error| Ended::Failed(error.to_string()))?;
        let (response, send) = link.begin(request, Bytes::new(), false).await?;
        if !response.status().is_success() {
            return Err(Ended::Status(response.status().as_u16()));
        }
        let mut came = said(&response);
        if came.ends_with(' ') {
            came.push_str("websocket");
        }
        let extensions = response.headers().get("sec-websocket-extensions");
        // Nothing of the kind was asked for, and frames would mean something else (RFC 6455 §9.1).
        came.extend(
            extensions.map(|value| format!(" with {}", String::from_utf8_lossy(value.as_bytes()))),
        );
        hold_path(PATH, &came)?;
        let tunnel = Tunnel {
            trips: link.opening() + 1,
            link,
            send,
            recv: response.into_body(),
            chunk: Bytes::new(),
            awaiting: false,
        };
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let socket = WebSocket::from_raw_socket(Polled::new(tunnel), Role::Client, Some(config));
        Ok(Self { socket })
    }

    fn tunnel(&self) -> &Tunnel<S> {
        self.socket.get_ref().stream()
    }

    fn tunnel_mut(&mut self) -> &mut Tunnel<S> {
        self.socket.get_mut().stream_mut()
    }
}

/// A stream of HTTP/2 as one of bytes. Reading it does not move frames: that is done once a wake-up, before.
struct Tunnel<S> {
    link: Link<S>,
    send: SendStream<Bytes>,
    recv: RecvStream,
    /// What came and is not read yet.
    chunk: Bytes,
    /// Bytes were sent since the last ones arrived, as [`Counted`](super::counted::Counted) has it.
    awaiting: bool,
    trips: u32,
}

impl<S: ByteStream> Tunnel<S> {
    fn failed(&self, error: &h2::Error) -> io::Error {
        broken(self.link.failed(error))
    }
}

/// An end in the terms of the byte stream, out of which it is read again.
fn broken(ended: Ended) -> io::Error {
    match ended {
        Ended::Reset => io::ErrorKind::ConnectionReset.into(),
        Ended::Closed => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::other(other),
    }
}

impl<S: ByteStream> AsyncRead for Tunnel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut waiting = Context::from_waker(this.link.waker(cx));
        while this.chunk.is_empty() {
            match ready!(this.recv.poll_data(&mut waiting)) {
                Some(Ok(chunk)) => this.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Err(this.failed(&error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        if std::mem::take(&mut this.awaiting) {
            this.trips += 1;
        }
        let count = this.chunk.len().min(buf.remaining());
        buf.put_slice(&this.chunk[..count]);
        this.chunk.advance(count);
        // The window is open again for what was taken; fails where the stream is gone, which the next read
        // tells.
        let _ = this.recv.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for Tunnel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.send.reserve_capacity(bytes.len());
        if this.send.capacity() == 0 {
            if let Poll::Ready(ended) = this.link.drive(cx) {
                return Poll::Ready(Err(broken(ended)));
            }
            let mut waiting = Context::from_waker(this.link.waker(cx));
            match ready!(this.send.poll_capacity(&mut waiting)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(this.failed(&error))),
                None => return Poll::Ready(Err(broken(Ended::Closed))),
            }
        }
        let count = this.send.capacity().min(bytes.len());
        let sent = this
            .send
            .send_data(Bytes::copy_from_slice(&bytes[..count]), false);
        sent.map_err(|error| this.failed(&error))?;
        this.awaiting = true;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.link.drive(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(broken(ended))),
            // What the socket does not take now goes on with the next wake-up.
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The stream may have ended already.
        let _ = self.send.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> Wire for WsH2<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(ws_h1::say(&mut self.socket, ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        let driven = self.tunnel_mut().link.drive(cx);
        match ws_h1::hear(&mut self.socket, cx, deliver) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => driven,
        }
    }

    fn close(mut self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            if ws_h1::say_goodbye(&mut self.socket).await {
                // To the peer's goodbye, or its end.
                poll_fn(|cx| self.poll_receive(cx, &mut |_| ())).await;
            }
            let Tunnel {
                link,
                mut send,
                recv,
                ..
            } = self.socket.into_inner().into_stream();
            // The stream may have ended already.
            let _ = send.send_data(Bytes::new(), true);
            drop((send, recv));
            link.close().await;
        })
    }

    fn round_trips(&self) -> u32 {
        self.tunnel().trips
    }

    fn path(&self) -> Option<&'static str> {
        Some(PATH)
    }
}

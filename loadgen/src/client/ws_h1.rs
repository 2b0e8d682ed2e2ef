//! `ws-h1`: a WebSocket by upgrade of an HTTP/1.1 connection (RFC 6455).

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{ask::Ask, factors::Proxy};
use tokio_tungstenite::tungstenite::{
    self, Error, Message, WebSocket,
    client::IntoClientRequest,
    error::ProtocolError,
    handshake::{
        HandshakeError,
        client::{ClientHandshake, Response},
        derive_accept_key,
    },
    protocol::{
        WebSocketConfig,
        frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use super::{
    Ended, Pending, READ_BUFFER_BYTES, Script, Wire,
    counted::{ByteStream, Counted, RoundTrips},
    hold_path, hold_path_through,
    polled::Polled,
    signed,
};

/// What the transport names.
const PATH: &str = "HTTP/1.1 101 websocket";

/// A WebSocket of a client, over whatever bytes.
pub type Socket<S> = WebSocket<Polled<S>>;

/// One WebSocket.
pub struct WsH1<S> {
    socket: Socket<Counted<S>>,
    trips: RoundTrips,
    path: &'static str,
}

impl<S: ByteStream> WsH1<S> {
    /// Upgrades an open connection.
    pub async fn upgrade(
        stream: Counted<S>,
        server: SocketAddr,
        proxy: Proxy,
    ) -> Result<Self, Ended> {
        let trips = stream.trips();
        let (socket, response) = shake_hands(stream, server).await.map_err(not_upgraded)?;
        Ok(Self {
            socket,
            trips,
            path: hold_path_through(proxy, PATH, &path(&response))?,
        })
    }
}

async fn shake_hands<S: ByteStream>(
    stream: Counted<S>,
    server: SocketAddr,
) -> Result<(Socket<Counted<S>>, Response), Error> {
    let request = format!("ws://{server}/ws").into_client_request()?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let stream = Polled::new(stream);
    let mut open = Some(ClientHandshake::start(stream, request, Some(config))?);
    let shaken = poll_fn(|cx| {
        let Some(mut handshake) = open.take() else {
            return Poll::Pending;
        };
        handshake.get_mut().get_mut().wake(cx);
        match handshake.handshake() {
            Ok(upgraded) => Poll::Ready(Ok(upgraded)),
            Err(HandshakeError::Failure(error)) => Poll::Ready(Err(error)),
            Err(HandshakeError::Interrupted(handshake)) => {
                open = Some(handshake);
                Poll::Pending
            }
        }
    });
    shaken.await
}

/// Lets the library act on the socket; pending where it would block, until `cx` is woken.
fn poll<S: ByteStream, T>(
    socket: &mut Socket<S>,
    cx: &Context<'_>,
    act: impl FnOnce(&mut Socket<S>) -> tungstenite::Result<T>,
) -> Poll<tungstenite::Result<T>> {
    socket.get_mut().wake(cx);
    match act(socket) {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// Queues something and waits until it is written.
async fn send<S: ByteStream>(
    socket: &mut Socket<S>,
    queue: impl FnOnce(&mut Socket<S>) -> tungstenite::Result<()>,
) -> tungstenite::Result<()> {
    let mut queue = Some(queue);
    poll_fn(|cx| {
        poll(socket, cx, |socket| {
            // What is queued stays queued where writing would block.
            queue.take().map_or(Ok(()), |queue| queue(socket))?;
            socket.flush()
        })
    })
    .await
}

/// What ran, by the answer to the upgrade.
fn path<B>(response: &hyper::Response<B>) -> String {
    let (status, headers) = (response.status().as_u16(), response.headers());
    let word = |name: &str| {
        let value = headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
    };
    let mut path = format!("{:?} {status}", response.version());
    // Until it is upgraded, the connection speaks what the content type says.
    let kind = if status == 101 {
        "upgrade"
    } else {
        "content-type"
    };
    path.extend(word(kind).map(|kind| format!(" {kind}")));
    // Nothing of the kind was asked for, and frames would mean something else (RFC 6455 §9.1).
    path.extend(word("sec-websocket-extensions").map(|extensions| format!(" with {extensions}")));
    path.extend(
        headers
            .get("server")
            .map(|server| signed(server.as_bytes())),
    );
    path
}

/// Why there is no WebSocket: a refusal has a status of its own, all else is another path.
fn not_upgraded(error: Error) -> Ended {
    use ProtocolError::*;
    let came = match error {
        Error::Http(response) if !response.status().is_success() => {
            return Ended::Status(response.status().as_u16());
        }
        Error::Http(response) => path(&response),
        Error::Protocol(
            reason @ (WrongHttpVersion
            | MissingUpgradeWebSocketHeader
            | MissingConnectionUpgradeHeader
            | SecWebSocketAcceptKeyMismatch
            | SecWebSocketSubProtocolError(_)),
        ) => format!("an answer that is none ({reason})"),
        other => return ended(other),
    };
    hold_path(PATH, &came).err().unwrap_or(Ended::Closed)
}

fn ended(error: Error) -> Ended {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ended::Closed,
        other => Ended::from_error(&other),
    }
}

/// Sends an ask.
pub async fn say<S: ByteStream>(socket: &mut Socket<S>, ask: &Ask) -> Result<(), Ended> {
    let text = serde_json::to_string(ask).map_err(|error| Ended::Failed(error.to_string()))?;
    let text = Message::Text(text.into());
    send(socket, |socket| socket.write(text))
        .await
        .map_err(ended)
}

/// Delivers what is here, until there is nothing more; ready with the socket's end.
pub fn hear<S: ByteStream>(
    socket: &mut Socket<S>,
    cx: &Context<'_>,
    deliver: &mut dyn FnMut(&str),
) -> Poll<Ended> {
    loop {
        match ready!(poll(socket, cx, WebSocket::read)) {
            Ok(Message::Text(text)) => deliver(&text),
            Ok(Message::Close(_)) => return Poll::Ready(Ended::Closed),
            Ok(_) => {}
            Err(error) => return Poll::Ready(ended(error)),
        }
    }
}

/// Sends a close; whether it could. The peer may be gone already, which is an end as well.
pub async fn say_goodbye<S: ByteStream>(socket: &mut Socket<S>) -> bool {
    let sent = send(socket, |socket| socket.close(None)).await;
    sent.is_ok()
}

impl<S: ByteStream> Wire for WsH1<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(say(&mut self.socket, ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        hear(&mut self.socket, cx, deliver)
    }

    fn close(mut self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            if say_goodbye(&mut self.socket).await {
                while poll_fn(|cx| poll(&mut self.socket, cx, WebSocket::read))
                    .await
                    .is_ok()
                {}
            }
        })
    }

    fn round_trips(&self) -> u32 {
        self.trips.count()
    }

    fn path(&self) -> Option<&'static str> {
        Some(self.path)
    }
}

/// The server's side: the upgrade, then a text frame a message, unmasked (RFC 6455 §5.1, §5.2).
pub const SCRIPT: Script = Script {
    answer: |sent| {
        let text = String::from_utf8_lossy(sent);
        let key = text
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        // What comes later is the ask, which nothing but messages answers.
        key.map_or_else(Vec::new, |key| {
            let accept = derive_accept_key(key.as_bytes());
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            )
            .into_bytes()
        })
    },
    frame: |_, payload| {
        let mut frame = Vec::new();
        let text = Frame::message(payload.to_owned(), OpCode::Data(Data::Text), true);
        // Writing to memory cannot fail.
        let _ = text.format(&mut frame);
        frame
    },
    requests: None,
};

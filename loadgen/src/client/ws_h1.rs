//! `ws-h1`: a WebSocket by upgrade of an HTTP/1.1 connection (RFC 6455).

use std::{
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use futures_util::{SinkExt, StreamExt};
use pushbench_server::contract::ask::Ask;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, error::ProtocolError, protocol::WebSocketConfig},
};

use super::{
    Ended, Pending, Wire,
    counted::{Counted, RoundTrips},
};

/// The client's read buffer: the library's 128 KiB is cleared at each read and would be billed to the
/// transport (22 against 6 µs a message); a token is far smaller than this.
const READ_BUFFER_BYTES: usize = 4_096;

/// One WebSocket.
pub struct WsH1 {
    socket: WebSocketStream<Counted>,
    trips: RoundTrips,
}

impl WsH1 {
    /// Connects and upgrades.
    pub async fn connect(server: SocketAddr) -> Result<Self, Ended> {
        let (stream, trips) = Counted::connect(server).await?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let url = format!("ws://{server}/ws");
        let upgraded = client_async_with_config(url, stream, Some(config)).await;
        let (socket, _) = upgraded.map_err(ended)?;
        Ok(Self { socket, trips })
    }
}

fn ended(error: Error) -> Ended {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ended::Closed,
        Error::Http(response) => Ended::Status(response.status().as_u16()),
        other => Ended::from_error(&other),
    }
}

impl Wire for WsH1 {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(async move {
            let text =
                serde_json::to_string(ask).map_err(|error| Ended::Failed(error.to_string()))?;
            self.socket
                .send(Message::Text(text.into()))
                .await
                .map_err(ended)
        })
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        loop {
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => deliver(&text),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ended::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(ended(error)),
            }
        }
    }

    fn close(mut self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async move {
            // The peer may be gone already, which is an end as well.
            if self.socket.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        })
    }

    fn round_trips(&self) -> u32 {
        self.trips.count()
    }
}

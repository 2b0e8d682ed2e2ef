//! Who drives HTTP/1.1: the door through which every connection comes, and `axum::serve` behind it.

use std::{convert::Infallible, future::ready, io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    serve::{IncomingStream, Listener},
};
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};

use crate::{
    connection::{Driver, Io},
    contract::factors::HttpStack,
    counters::Counter,
    shared::Shared,
};

/// Accepts within the bounds, counts, and enters each connection into the register.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, shared: Arc<Shared>) -> Self {
        Self { listener, shared }
    }

    /// The next connection; those beyond the bound are closed at once.
    pub(crate) async fn next(&self) -> Io {
        // Out of open files, accepting fails at once and for as long as it lasts: pause, do not spin.
        const PAUSE: Duration = Duration::from_millis(50);
        let Shared {
            register, meters, ..
        } = &*self.shared;
        loop {
            match self.listener.accept().await {
                Ok(_) if register.live() >= self.shared.config.limits.connections => {
                    meters.counters.count(Counter::RefusedConnections);
                }
                Ok((stream, _)) => {
                    meters.counters.count(Counter::Accepted);
                    // Entered here, not in its task: a burst must not outrun the count it is held to.
                    let faults = self.shared.injected();
                    let io = register.enter(stream, meters.clone(), faults.as_deref());
                    let nodelay = self.shared.config.factors.nodelay;
                    match io.connection().socket().set_nodelay(nodelay) {
                        Ok(()) => return io,
                        Err(error) => {
                            tracing::debug!(%error, "the connection was gone before it was served");
                        }
                    }
                }
                Err(error) => {
                    meters.counters.count(Counter::FailedAccepts);
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Listener for Door {
    type Io = Io;
    type Addr = ();

    async fn accept(&mut self) -> (Io, ()) {
        (self.next().await, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves as `axum::serve` does, until the server stops. What it offers no place for is not in force:
/// `header_time`, `header_bytes` and `http_buffer_bytes`, and `refused_headers` is not counted. Its own
/// bound of header fields is 100, as `header_count` is.
pub(crate) async fn serve_by_axum(door: Door, app: Router) {
    let stopping = door.shared.stopping();
    let services = service_fn(move |stream: IncomingStream<'_, Door>| {
        let connection = stream.io().connection().clone();
        connection.driven_by(Driver {
            stack: HttpStack::Axum,
            buffer_bytes: None,
        });
        ready(Ok::<_, Infallible>(app.clone().map_request(
            move |mut request: Request| {
                request.extensions_mut().insert(connection.clone());
                request
            },
        )))
    });
    let served = axum::serve(door, services).with_graceful_shutdown(stopping);
    if let Err(error) = served.await {
        tracing::warn!(%error, "axum stopped serving");
    }
}

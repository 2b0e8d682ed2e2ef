//! HTTP on one connection: which version its client speaks, and each of them within its bounds. What the
//! bytes come over is the caller's: the connection itself, or what lies above it.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tower::ServiceExt;

use crate::{
    connection::{Connection, Driver, Io},
    contract::factors::HttpStack,
    counters::Counter,
    shared::Shared,
    tls::{Acceptor, NotSecured, Secured},
};

/// A version of HTTP that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1, or what a client of it sends that is none.
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// Serves a connection in clear text, in a task of its own: one for both versions would have room for the
/// larger, and its start room for what is needed only then.
pub(crate) async fn serve_clear(io: Io, app: Router, shared: Arc<Shared>) {
    let connection = io.connection().clone();
    let spoken = tokio::select! {
        spoken = timeout(shared.config.limits.header_time, version(connection.socket())) => spoken,
        // Nothing was asked for, and nothing is owed.
        () = shared.stopping() => return,
    };
    match spoken {
        Ok(Ok(Version::Http1)) => drop(tokio::spawn(serve_http1(io, connection, app, shared))),
        Ok(Ok(Version::Http2)) => drop(tokio::spawn(serve_http2(io, connection, app, shared))),
        Ok(Err(error)) => tracing::debug!(%error, "the connection was gone before it was served"),
        Err(_) => shared.meters.counters.count(Counter::RefusedHeaders),
    }
}

/// Serves a connection over TLS: shakes hands within the time that a head may take, and then speaks what was
/// agreed on (ALPN, RFC 7301); HTTP/1.1 with a client that knows nothing of it. In tasks of their own for the
/// same reason.
pub(crate) async fn serve_secured(io: Io, tls: Acceptor, app: Router, shared: Arc<Shared>) {
    let connection = io.connection().clone();
    let shaken = tokio::select! {
        shaken = timeout(shared.config.limits.header_time, tls.accept(io)) => shaken,
        () = shared.stopping() => return,
    };
    let reason = match shaken {
        Ok(Ok(Secured {
            stream,
            http2: true,
        })) => {
            return drop(tokio::spawn(serve_http2(stream, connection, app, shared)));
        }
        Ok(Ok(Secured { stream, .. })) => {
            return drop(tokio::spawn(serve_http1(stream, connection, app, shared)));
        }
        Ok(Err(NotSecured::Silent)) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the handshake took too long".to_owned(),
    };
    shared.meters.counters.count(Counter::RefusedHandshakes);
    tracing::debug!(reason, "refused a handshake");
}

/// What the client speaks, by its first bytes, which stay where they are.
async fn version(socket: &TcpStream) -> io::Result<Version> {
    // Enough of HTTP/2's preface that no request of HTTP/1.1 begins so: `PRI` is a reserved method.
    const PREFACE: &[u8] = b"PRI ";
    loop {
        let ready = socket.ready(Interest::READABLE).await?;
        let looked = socket.try_io(Interest::READABLE, || {
            let mut first = [0; PREFACE.len()];
            let (count, _) = recv(socket, &mut first, RecvFlags::PEEK)?;
            let first = &first[..count];
            if first == PREFACE {
                return Ok(Version::Http2);
            }
            // What will tell is still on its way, unless nothing is.
            let undecided = count > 0 && PREFACE.starts_with(first) && !ready.is_read_closed();
            if undecided {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(Version::Http1)
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// Serves HTTP/1.1 until either end closes it or the server stops.
pub(crate) async fn serve_http1<S>(
    stream: S,
    connection: Arc<Connection>,
    app: Router,
    shared: Arc<Shared>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let polled = connection.clone();
    let buffer_bytes = shared.config.factors.http_buffer_bytes;
    connection.driven_by(Driver {
        stack: HttpStack::Hyper,
        buffer_bytes,
    });
    let app = app.map_request(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(connection.clone());
        request
    });
    let limits = &shared.config.limits;
    let mut builder = http1::Builder::new();
    if let Some(bytes) = buffer_bytes {
        builder.max_buf_size(bytes.get());
    }
    let serving = builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_headers(limits.header_count)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    let mut serving = pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = shared.stopping() => {
            // A poller between two requests is yet to be told its stream's end.
            tokio::select! {
                result = &mut serving => result,
                () = polled.leases().told() => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
    };
    if let Err(error) = result {
        if error.is_parse() || error.is_timeout() {
            shared.meters.counters.count(Counter::RefusedHeaders);
        }
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Serves HTTP/2 until either end closes it or the server stops, which it announces (GOAWAY) and then waits
/// for the streams to end.
pub(crate) async fn serve_http2<S>(
    stream: S,
    connection: Arc<Connection>,
    app: Router,
    shared: Arc<Shared>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    connection.carry_streams();
    connection.driven_by(Driver {
        stack: HttpStack::Hyper,
        buffer_bytes: None,
    });
    let asked = Arc::new(Notify::new());
    let asks = asked.clone();
    let polled = connection.clone();
    let app = app.map_request(move |mut request: hyper::Request<_>| {
        asks.notify_one();
        request.extensions_mut().insert(connection.clone());
        request
    });
    let limits = &shared.config.limits;
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // Twice ours, which the guard counts: the library answers beyond it, and tells nobody.
        .max_header_list_size(
            limits
                .header_bytes
                .saturating_mul(2)
                .try_into()
                .unwrap_or(u32::MAX),
        )
        .max_concurrent_streams(limits.streams_per_connection)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut serving = pin!(serving);
    let result = tokio::select! {
        result = &mut serving => result,
        () = shared.stopping() => {
            // A poller between two requests is yet to be told its stream's end.
            tokio::select! {
                result = &mut serving => result,
                () = polled.leases().told() => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
        () = passes_unasked(&asked, limits.header_time) => {
            return shared.meters.counters.count(Counter::RefusedHeaders);
        }
    };
    if let Err(error) = result {
        // What is no fault of the network's was the client's: not by RFC 9113.
        let of_network =
            std::error::Error::source(&error).is_none_or(|cause| cause.is::<io::Error>());
        if !of_network {
            shared.meters.counters.count(Counter::RefusedHeaders);
        }
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Completes when the time has passed and nothing was asked for.
async fn passes_unasked(asked: &Notify, time: Duration) {
    if timeout(time, asked.notified()).await.is_ok() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that an async function of these arguments returns.
    const fn size<A, B, C, D, F: Future>(_: fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_of_http1_costs_its_library_and_little_more() {
        type Library = http1::UpgradeableConnection<TokioIo<Io>, TowerToHyperService<Router>>;
        let overhead = size(serve_http1::<Io>) - size_of::<Library>();
        assert!(
            overhead < 512,
            "{overhead} bytes beside the library's connection"
        );
    }
}

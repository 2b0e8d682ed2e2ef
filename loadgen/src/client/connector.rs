//! What a subscriber needs to open a connection, over and over: the transport, the levels that are the
//! client's, and where the server is.

use std::sync::Arc;

use pushbench_server::contract::{
    endpoint::Endpoint,
    factors::Factors,
    transport::{Http, Transport},
};
use tokio::net::TcpStream;

use super::{
    Counted, Ended, Wire,
    h2_connection::{Link, Pool},
    over,
    request::Manner,
    shared,
};

/// Opens connections of one arm to one server. Clones are the same connector.
#[derive(Debug, Clone)]
pub struct Connector(Arc<Target>);

/// What every connection of a connector has in common.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) transport: Transport,
    pub(super) factors: Factors,
    pub(super) endpoint: Endpoint,
    /// The connections that its wires share, where they do.
    pool: Pool,
}

impl Target {
    pub(super) fn new(transport: Transport, factors: Factors, endpoint: Endpoint) -> Self {
        Self {
            transport,
            factors,
            endpoint,
            pool: Pool::default(),
        }
    }

    /// How it asks, where a response streams.
    pub(super) fn manner(&self) -> Manner {
        Manner::of(self.transport, &self.factors)
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.factors.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.endpoint.http)
    }

    /// A seat on a connection that wires share.
    pub(super) async fn link(
        &self,
        named: &'static str,
        settled: bool,
    ) -> Result<Link<TcpStream>, Ended> {
        let streams = self.factors.streams_per_connection;
        Link::shared(&self.pool, streams, self.endpoint.http, named, settled).await
    }

    fn shares_connections(&self) -> bool {
        let http = self.transport.capabilities().http;
        http == Http::H2 && self.factors.streams_per_connection.get() > 1
    }
}

impl Connector {
    /// Opens nothing yet.
    pub fn new(transport: Transport, factors: Factors, endpoint: Endpoint) -> Self {
        Self(Arc::new(Target::new(transport, factors, endpoint)))
    }

    /// How messages travel.
    pub fn transport(&self) -> Transport {
        self.0.transport
    }

    /// The levels of the arm's factors.
    pub fn factors(&self) -> &Factors {
        &self.0.factors
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Streams a connection now, where wires share connections and one is open.
    pub fn streams_per_connection(&self) -> Option<f64> {
        let (streams, connections) = self.0.pool.usage();
        (connections > 0).then(|| streams as f64 / connections as f64)
    }

    /// Opens a connection, or a stream on one that has room for it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self) -> Result<Box<dyn Wire>, Ended> {
        if self.0.shares_connections() {
            return shared(&self.0).await;
        }
        over(&self.0, Counted::connect(self.0.endpoint.http).await?).await
    }
}

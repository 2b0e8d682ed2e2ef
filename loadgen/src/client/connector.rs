//! What a subscriber needs to open a connection, over and over: the transport, the levels that are the
//! client's, and where the server is.

use std::{net::SocketAddr, sync::Arc};

use pushbench_server::{
    contract::{
        endpoint::Endpoint,
        factors::{Coding, Factors},
        transport::{Http, Transport},
    },
    tls::Session,
};
use tokio::net::TcpStream;

use super::{
    Ended, Wire,
    counted::Traffic,
    decoded,
    dial::{Line, Way},
    h2_connection::{Link, Pool},
    over,
    request::Manner,
    shared,
};

/// Opens connections of one arm to one server, as one client: what it remembers of a TLS session, its next
/// connection may resume. Clones are the same connector.
#[derive(Debug, Clone)]
pub struct Connector {
    target: Arc<Target>,
    way: Way,
}

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

    /// The content coding that it asks for.
    pub(super) fn coding(&self) -> Option<Coding> {
        decoded::asked(self.factors.compression)
    }

    /// Where connections of this transport go.
    pub(super) fn address(&self) -> Result<SocketAddr, Ended> {
        if self.transport.capabilities().http != Http::Bare {
            return Ok(self.endpoint.http);
        }
        let missing = || Ended::Failed("the server was started without the floors".into());
        self.endpoint.bare.ok_or_else(missing)
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.endpoint.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.endpoint.http)
    }

    /// A seat on a connection that wires share.
    pub(super) async fn link(
        &self,
        way: &Way,
        named: &'static str,
        settled: bool,
    ) -> Result<Link<TcpStream>, Ended> {
        let streams = self.factors.streams_per_connection;
        Link::shared(&self.pool, streams, way, named, settled).await
    }

    fn shares_connections(&self) -> bool {
        let http = self.transport.capabilities().http;
        http == Http::H2 && self.factors.streams_per_connection.get() > 1
    }
}

/// An open connection, and what opening it came to.
pub struct Opened {
    /// Asked and read.
    pub wire: Box<dyn Wire>,
    /// What it has cost since it began to connect, and goes on to cost.
    pub traffic: Traffic,
    /// None in clear text.
    pub session: Option<Session>,
}

impl Connector {
    /// Opens nothing yet. The endpoint's certificate says whether it speaks TLS.
    pub fn new(transport: Transport, factors: Factors, endpoint: Endpoint) -> Self {
        Self::of(Arc::new(Target::new(transport, factors, endpoint)), true)
    }

    /// The same that resumes no session: each connection is that of a client which has never been here.
    #[must_use]
    pub fn without_resumption(&self) -> Self {
        Self::of(self.target.clone(), false)
    }

    /// The same for a client of its own, which has not been here yet.
    #[must_use]
    pub fn of_another_client(&self) -> Self {
        Self::of(self.target.clone(), true)
    }

    fn of(target: Arc<Target>, resumption: bool) -> Self {
        let way = Way::to(&target, resumption);
        Self { target, way }
    }

    /// How messages travel.
    pub fn transport(&self) -> Transport {
        self.target.transport
    }

    /// The levels of the arm's factors.
    pub fn factors(&self) -> &Factors {
        &self.target.factors
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.target.endpoint
    }

    /// Streams a connection now, where wires share connections and one is open.
    pub fn streams_per_connection(&self) -> Option<f64> {
        let (streams, connections) = self.target.pool.usage();
        (connections > 0).then(|| streams as f64 / connections as f64)
    }

    /// Opens a connection, or a stream on one that has room for it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self) -> Result<Box<dyn Wire>, Ended> {
        if self.target.shares_connections() {
            return shared(&self.target, &self.way).await;
        }
        Ok(self.open().await?.wire)
    }

    /// Opens a connection of its own, even where wires share some, and says what it takes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&self) -> Result<Opened, Ended> {
        Ok(match self.way.dial().await? {
            Line::Clear(stream) => Opened {
                traffic: stream.traffic(),
                wire: over(&self.target, stream).await?,
                session: None,
            },
            Line::Secured(stream, session) => Opened {
                traffic: stream.traffic(),
                wire: over(&self.target, stream).await?,
                session: Some(session),
            },
        })
    }
}

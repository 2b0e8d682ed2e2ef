//! What a subscriber needs to open a connection, over and over: the transport, the levels that are the
//! client's, and where the server is.

use std::sync::Arc;

use pushbench_server::contract::{endpoint::Endpoint, factors::Factors, transport::Transport};

use super::{Counted, Ended, Wire, over};

/// Opens connections of one arm to one server. Clones are the same connector.
#[derive(Debug, Clone)]
pub struct Connector(Arc<Target>);

/// What every connection of a connector has in common.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) transport: Transport,
    pub(super) factors: Factors,
    pub(super) endpoint: Endpoint,
}

impl Connector {
    /// Opens nothing yet.
    pub fn new(transport: Transport, factors: Factors, endpoint: Endpoint) -> Self {
        Self(Arc::new(Target {
            transport,
            factors,
            endpoint,
        }))
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

    /// Opens a connection.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self) -> Result<Box<dyn Wire>, Ended> {
        over(&self.0, Counted::connect(self.0.endpoint.http).await?).await
    }
}

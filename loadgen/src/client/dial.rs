//! The way to a server: its address, and TLS where it speaks it.

use std::{net::SocketAddr, sync::Arc};

use pushbench_server::{
    contract::{endpoint::Endpoint, transport::Http},
    tls::Session,
};
use tokio::net::TcpStream;

use super::{
    Ended,
    connector::Target,
    counted::Counted,
    tls::{Secured, Tls},
};

/// How one client opens connections; its clones are the same client, which may resume its own sessions.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// Or why there is none of the transport's.
    server: Result<SocketAddr, Ended>,
    /// None in clear text; or why there cannot be any.
    tls: Option<Result<Arc<Tls>, Ended>>,
}

/// An open connection, before anything of a transport was sent.
pub(super) enum Line {
    Clear(Counted<TcpStream>),
    Secured(Counted<Secured>, Session),
}

impl Way {
    /// To the target's server, as a client that has never been there. The endpoint's certificate says whether
    /// it speaks TLS.
    pub(super) fn to(target: &Target, resumption: bool) -> Self {
        let Endpoint {
            http, certificate, ..
        } = &target.endpoint;
        let carries = target.transport.capabilities().http;
        let tls = match certificate {
            // It is shown where HTTP is spoken; the floors are beside it.
            Some(certificate) if carries != Http::Bare => {
                Some(Tls::new(certificate, *http, carries, resumption).map(Arc::new))
            }
            // Without a word it would be measured in clear text.
            _ if target.factors.tls => Some(Err(Ended::Failed(
                "TLS is asked for, and the server has no certificate".into(),
            ))),
            _ => None,
        };
        Self {
            server: target.address(),
            tls,
        }
    }

    /// Opens a connection and shakes hands.
    pub(super) async fn dial(&self) -> Result<Line, Ended> {
        let tls = self.tls.as_ref().map(Result::as_ref).transpose();
        let tls = tls.map_err(Clone::clone)?;
        let socket = Counted::connect(self.server.clone()?).await?;
        match tls {
            None => Ok(Line::Clear(socket)),
            Some(tls) => {
                let (stream, session) = tls.secure(socket).await?;
                Ok(Line::Secured(stream, session))
            }
        }
    }
}

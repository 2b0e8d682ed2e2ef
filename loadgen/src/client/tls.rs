//! TLS below a transport: trusts the certificate of one server, and nobody else's.

use std::{net::SocketAddr, sync::Arc};

use pushbench_server::{
    contract::{certificate::Certificate, transport::Http},
    tls::Session,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        AlertDescription, ClientConfig, Error, InvalidMessage, RootCertStore,
        client::Resumption,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
        version::TLS13,
    },
};

use super::{Ended, counted::Counted};

/// Servers whose tickets are kept: the one. The library keeps eight of each, and each is used once.
const SERVERS: usize = 1;

/// A connection whose handshake is done; in a box, because it is handed from one to the other.
pub(super) type Secured = Box<TlsStream<Counted<TcpStream>>>;

/// How a connector's connections are secured.
pub(super) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
    protocol: &'static [u8],
}

impl Tls {
    /// For connections to `server` that carry `http`.
    pub(super) fn new(
        certificate: &Certificate,
        server: SocketAddr,
        http: Http,
        resumption: bool,
    ) -> Result<Self, Ended> {
        let mut trusted = RootCertStore::empty();
        trusted
            .add(CertificateDer::from(certificate.der().to_vec()))
            .map_err(|error| {
                Ended::Failed(format!("the server's certificate cannot be used: {error}"))
            })?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| Ended::Failed(error.to_string()))?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let protocol: &[u8] = match http {
            Http::H1 | Http::Bare => b"http/1.1",
            Http::H2 => b"h2",
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        config.resumption = if resumption {
            Resumption::in_memory_sessions(SERVERS)
        } else {
            Resumption::disabled()
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server: ServerName::from(server.ip()),
            protocol,
        })
    }

    /// Shakes hands on an open connection.
    pub(super) async fn secure(
        &self,
        stream: Counted<TcpStream>,
    ) -> Result<(Counted<Secured>, Session), Ended> {
        let traffic = stream.traffic();
        let secured = self.connector.connect(self.server.clone(), stream).await;
        let mut stream = secured.map_err(|error| not_secured(&error))?;
        let (socket, tls) = stream.get_mut();
        // The tickets that a server sends after the handshake come when they come: nobody waits for them.
        socket.expect_nothing();
        if tls.alpn_protocol() != Some(self.protocol) {
            let came = tls.alpn_protocol().unwrap_or(b"none");
            return Err(Ended::WrongPath(format!(
                "`{}` above TLS was asked for, and `{}` came",
                String::from_utf8_lossy(self.protocol),
                String::from_utf8_lossy(came),
            )));
        }
        let session = Session::of(tls)
            .ok_or_else(|| Ended::Failed("a TLS handshake that came to nothing".to_owned()))?;
        Ok((Counted::above(Box::new(stream), traffic), session))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Why there is no session.
fn not_secured(error: &std::io::Error) -> Ended {
    let reason = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<Error>());
    match reason {
        Some(Error::InvalidCertificate(reason)) => Ended::Failed(format!(
            "the server shows another certificate than the one that is trusted ({reason:?})"
        )),
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Ended::WrongPath("TLS was asked for, and the server does not speak it".into())
        }
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            Ended::WrongPath("the server does not speak this HTTP above TLS".into())
        }
        Some(reason) => Ended::Failed(format!("no TLS handshake: {reason}")),
        None => Ended::from_error(error),
    }
}

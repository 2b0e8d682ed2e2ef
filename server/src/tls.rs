//! TLS on the server: who it is, and the handshake between a connection and HTTP.

use std::{fmt, io, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        CipherSuite, CommonState, HandshakeKind, ProtocolVersion, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::NoServerSessionStorage,
        version::TLS13,
    },
    server::TlsStream,
};

use crate::{
    connection::Io,
    contract::certificate::{Certificate, base64_text},
};

/// Names under which a server on this machine is called.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The protocols that HTTP is spoken by, as ALPN has them (RFC 7301), those that we prefer first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

const HTTP2: &[u8] = b"h2";

/// The first byte of a client that speaks TLS: a record that carries a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A certificate that signs itself, and its key: thrown away with the run that it was made for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    certificate: Certificate,
    /// PKCS #8 in DER.
    #[serde(with = "base64_text")]
    key: Vec<u8>,
}

/// No TLS with this.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// No certificate.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Certificate and key are none, or not of each other.
    #[error("cannot speak TLS with this certificate and key: {0}")]
    Identity(#[from] tokio_rustls::rustls::Error),
}

impl Identity {
    /// Makes one for `localhost`, its addresses, and these names or addresses.
    ///
    /// # Errors
    /// When a name is none, or there is no randomness.
    pub fn throwaway(also: &[String]) -> Result<Self, Unusable> {
        let local = LOCAL_NAMES.iter().map(|&name| name.to_owned());
        let names: Vec<_> = local.chain(also.iter().cloned()).collect();
        // ECDSA on P-256, as most certificates of the web have it.
        let made = rcgen::generate_simple_self_signed(names)?;
        Ok(Self {
            certificate: Certificate::from_der(made.cert.der().to_vec()),
            key: made.signing_key.serialize_der(),
        })
    }

    /// What clients are told to trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key belongs in no log.
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// What a handshake came to, at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    version: ProtocolVersion,
    suite: CipherSuite,
    resumed: bool,
}

impl Session {
    /// As negotiated; none before the handshake is done.
    pub fn of(state: &CommonState) -> Option<Self> {
        Some(Self {
            version: state.protocol_version()?,
            suite: state.negotiated_cipher_suite()?.suite(),
            resumed: state.handshake_kind()? == HandshakeKind::Resumed,
        })
    }

    /// Whether it goes on with the secret of an earlier session, so that no certificate was sent and checked.
    pub const fn resumed(&self) -> bool {
        self.resumed
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.version, self.suite)
    }
}

/// A connection whose handshake is done.
pub struct Secured {
    /// In a box, because hyper and axum hand it from one to the other, and each would keep room for a kilobyte.
    pub stream: Box<TlsStream<Io>>,
    /// Whether HTTP/2 was agreed on.
    pub http2: bool,
}

/// Shakes hands.
#[derive(Clone)]
pub struct Acceptor {
    acceptor: TlsAcceptor,
    certificate: Certificate,
}

/// Why a connection is not secured.
#[derive(Debug, thiserror::Error)]
pub enum NotSecured {
    /// The peer closed before it said anything, which is not counted: in clear text it is not either.
    #[error("the peer said nothing")]
    Silent,
    /// It speaks something else, and was told.
    #[error("the peer does not speak TLS")]
    ClearText,
    /// The handshake failed.
    #[error("no TLS handshake: {0}")]
    Handshake(io::Error),
}

impl Acceptor {
    /// With this identity: TLS 1.3, and sessions that can be resumed.
    ///
    /// # Errors
    /// When the identity is none.
    pub fn new(identity: &Identity) -> Result<Self, Unusable> {
        let certificate = CertificateDer::from(identity.certificate.der().to_vec());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // The session goes to the client, sealed (RFC 8446 §4.6.1): the server keeps a key and nothing a
        // connection. The library's default keeps the last 256 sessions instead, and forgets the others.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: identity.certificate.clone(),
        })
    }

    /// What clients are told to trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Shakes hands on a connection; waits for as long as the peer takes.
    ///
    /// # Errors
    /// Why there is no session.
    pub async fn accept(&self, mut io: Io) -> Result<Secured, NotSecured> {
        let connection = io.connection().clone();
        let mut first = [0];
        match connection.socket().peek(&mut first).await {
            Ok(0) | Err(_) => return Err(NotSecured::Silent),
            Ok(_) if first[0] != HANDSHAKE => {
                refuse_clear_text(&mut io).await;
                return Err(NotSecured::ClearText);
            }
            Ok(_) => {}
        }
        let stream = self.acceptor.accept(io).await;
        let stream = stream.map_err(NotSecured::Handshake)?;
        let (_, session) = stream.get_ref();
        if let Some(negotiated) = Session::of(session) {
            connection.secured(negotiated);
        }
        let http2 = session.alpn_protocol() == Some(HTTP2);
        Ok(Secured {
            stream: Box::new(stream),
            http2,
        })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Tells whoever speaks HTTP in clear text what to do, in words that it understands. What else it may be
/// reads the close.
async fn refuse_clear_text(io: &mut Io) {
    const BODY: &str = r#"{"error":"this server speaks TLS: use https:// or wss://"}"#;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    // A peer that is gone needs no answer.
    if io.write_all(answer.as_bytes()).await.is_ok() && io.shutdown().await.is_ok() {
        io.connection().clone().discard_rest().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_the_pipe_and_keeps_its_key_to_itself() {
        let identity = Identity::throwaway(&["push.example".to_owned()]).unwrap();
        let json = serde_json::to_string(&identity).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
        Acceptor::new(&identity).unwrap();
        let shown = format!("{identity:?}");
        assert!(
            shown.contains("certificate") && !shown.contains("key"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let [one, other] = [(); 2].map(|()| Identity::throwaway(&[]).unwrap());
        for identity in [
            Identity {
                key: other.key.clone(),
                ..one.clone()
            },
            Identity {
                key: Vec::new(),
                ..one.clone()
            },
            Identity {
                certificate: Certificate::from_der(vec![1, 2, 3]),
                ..other
            },
        ] {
            let refusal = Acceptor::new(&identity).unwrap_err().to_string();
            assert!(refusal.contains("cannot speak TLS"), "{refusal}");
        }
    }
}

//! A server's certificate, as clients are told it.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

/// X.509 in DER; base64 where it is text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Certificate(#[serde(with = "base64_text")] Vec<u8>);

impl Certificate {
    /// Whatever the bytes are: who uses them finds out.
    pub fn from_der(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The bytes.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// As other programs read it from a file (RFC 7468).
    pub fn pem(&self) -> String {
        // RFC 7468 §2: lines of exactly 64 characters.
        const LINE: usize = 64;
        let text = BASE64_STANDARD.encode(&self.0);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            // Base64 is ASCII: any place is a boundary.
            let (line, behind) = rest.split_at(LINE.min(rest.len()));
            pem.push_str(line);
            pem.push('\n');
            rest = behind;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.0.len())
    }
}

/// Bytes as base64, for serialization.
pub(crate) mod base64_text {
    use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(bytes, &BASE64_STANDARD))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_base64_in_json_and_lines_of_64_in_pem() {
        let certificate = Certificate::from_der((0..=99).collect());
        let json = serde_json::to_string(&certificate).unwrap();
        assert!(json.starts_with("\"AAECAwQF"), "{json}");
        assert_eq!(
            serde_json::from_str::<Certificate>(&json).unwrap(),
            certificate
        );
        let pem = certificate.pem();
        let lengths: Vec<_> = pem.lines().map(str::len).collect();
        assert_eq!(lengths, [27, 64, 64, 8, 25], "{pem}");
        assert!(serde_json::from_str::<Certificate>("\"?\"").is_err());
    }
}

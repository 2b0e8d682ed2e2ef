//! permessage-deflate as both ends name it in a handshake (RFC 7692 §7.1).

use super::factors::Compression;

/// Window of a side that does not say which, base-2 logarithm of its bytes (RFC 7692 §7.1.2.1).
const WINDOW_BITS_UNSAID: u8 = 15;

/// What a client asks for and a server agrees to: one window and one takeover for both directions.
pub fn extension(window_bits: u8, takeover: bool) -> String {
    let without = if takeover {
        ""
    } else {
        "; server_no_context_takeover; client_no_context_takeover"
    };
    format!(
        "permessage-deflate; server_max_window_bits={window_bits}; \
         client_max_window_bits={window_bits}{without}"
    )
}

/// How a server compresses that has agreed to this; none of what is another extension.
pub fn agreed(extension: &str) -> Option<Compression> {
    let mut parts = extension.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return None;
    }
    let (mut window_bits, mut takeover) = (WINDOW_BITS_UNSAID, true);
    for parameter in parts {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("server_max_window_bits", bits) => window_bits = bits.parse().ok()?,
            ("server_no_context_takeover", _) => takeover = false,
            _ => {}
        }
    }
    Some(Compression::Deflate {
        window_bits,
        takeover,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_back() {
        for window_bits in 9..=15 {
            for takeover in [true, false] {
                let level = Compression::Deflate {
                    window_bits,
                    takeover,
                };
                assert_eq!(agreed(&extension(window_bits, takeover)), Some(level));
            }
        }
    }

    #[test]
    fn the_servers_half_is_what_counts() {
        let deflate = |window_bits, takeover| {
            Some(Compression::Deflate {
                window_bits,
                takeover,
            })
        };
        for (extension, level) in [
            ("permessage-deflate", deflate(15, true)),
            (
                "permessage-deflate;server_max_window_bits=9 ; client_no_context_takeover",
                deflate(9, true),
            ),
            (
                "permessage-deflate; client_max_window_bits=9; server_no_context_takeover",
                deflate(15, false),
            ),
            ("permessage-deflate; server_max_window_bits=x", None),
            ("x-webkit-deflate-frame", None),
            ("", None),
        ] {
            assert_eq!(agreed(extension), level, "{extension}");
        }
    }
}

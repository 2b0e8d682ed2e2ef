//! The framings that are made by hand: a chunk, a line, a length before the message.

use bytes::Bytes;

/// Bytes of a length before a message.
pub const PREFIX_BYTES: usize = 4;

/// A chunk of HTTP/1.1's chunked coding (RFC 9112 §7.1), its size as the HTTP library writes it.
pub fn chunk(data: &[u8]) -> Bytes {
    let size = format!("{:X}\r\n", data.len());
    [size.as_bytes(), data, b"\r\n"].concat().into()
}

/// The chunk after the last, which ends the body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A line. Payloads have no LF of their own: JSON escapes it.
pub fn line(payload: &str) -> Bytes {
    [payload.as_bytes(), b"\n"].concat().into()
}

/// A payload with its length before it, 32 bits, big-endian; no payload is longer than fits them.
pub fn prefixed(payload: &str) -> Bytes {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), payload.as_bytes()].concat().into()
}

/// The length at the front of `bytes`; none while it is not whole.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk::<PREFIX_BYTES>()?;
    // Where addresses have fewer bits, nothing of that length can come.
    Some(usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framings_are_what_their_names_say() {
        assert_eq!(chunk(b"data: 0123\n\n"), "C\r\ndata: 0123\n\n\r\n");
        assert_eq!(chunk(&[b'x'; 255])[..4], *b"FF\r\n");
        assert_eq!(line("{}"), "{}\n");
        assert_eq!(prefixed("")[..], [0, 0, 0, 0]);
        assert_eq!(prefixed("hi")[..], [0, 0, 0, 2, b'h', b'i']);
    }

    #[test]
    fn a_length_is_read_back_once_it_is_whole() {
        let framed = prefixed(&"x".repeat(70_000));
        for cut in 0..PREFIX_BYTES {
            assert_eq!(length(&framed[..cut]), None);
        }
        assert_eq!(length(&framed), Some(70_000));
        assert_eq!(length(b"HTTP/1.1"), Some(0x4854_5450));
    }
}

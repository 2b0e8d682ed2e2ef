//! A WebSocket frame by hand (RFC 6455 §5.2), for the floor of that protocol: read and written by both its
//! ends, and held against the library in tests.

use bytes::Bytes;

/// What a frame carries (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The rest of a message whose frames before had no end.
    Continuation = 0x0,
    /// UTF-8.
    Text = 0x1,
    /// Any bytes.
    Binary = 0x2,
    /// The goodbye.
    Close = 0x8,
    /// To be answered with a pong.
    Ping = 0x9,
    /// The answer.
    Pong = 0xA,
}

impl Opcode {
    const ALL: [Self; 6] = [
        Self::Continuation,
        Self::Text,
        Self::Binary,
        Self::Close,
        Self::Ping,
        Self::Pong,
    ];

    const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The header of a frame, as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the last frame of its message.
    pub last: bool,
    /// What it carries.
    pub opcode: Opcode,
    /// What the payload is masked with: all that a client sends is, nothing that a server sends.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the header: where the payload begins.
    pub bytes: usize,
    /// Bytes of the payload.
    pub length: u64,
}

/// Not a frame by RFC 6455 §5.2 and §5.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A bit that an extension would define, and none was agreed on.
    #[error("a reserved bit is set")]
    Reserved,
    /// An opcode that nobody defined.
    #[error("opcode {0:#x} is not defined")]
    Opcode(u8),
    /// A control frame is whole and short.
    #[error("a control frame in pieces, or of more than 125 bytes")]
    Control,
    /// The shortest form is the only one.
    #[error("a length that a shorter form would hold, or of 64 bits")]
    Length,
}

impl Header {
    /// Reads the header at the front of `bytes`; none while it is not whole.
    ///
    /// # Errors
    /// When it is no header: what follows cannot be read either.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(Malformed::Reserved);
        }
        let code = first & 0x0F;
        let opcode = Opcode::ALL.into_iter().find(|opcode| *opcode as u8 == code);
        let opcode = opcode.ok_or(Malformed::Opcode(code))?;
        let last = first & 0x80 != 0;
        let short = second & 0x7F;
        if opcode.is_control() && (!last || short > 125) {
            return Err(Malformed::Control);
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        let shortest = match short {
            126 => length > 125,
            127 => length > u64::from(u16::MAX) && length >> 63 == 0,
            _ => true,
        };
        if !shortest {
            return Err(Malformed::Length);
        }
        let (mask, rest) = match (second & 0x80 != 0, rest.split_first_chunk::<4>()) {
            (false, _) => (None, rest),
            (true, Some((mask, rest))) => (Some(*mask), rest),
            (true, None) => return Ok(None),
        };
        Ok(Some(Self {
            last,
            opcode,
            mask,
            bytes: bytes.len() - rest.len(),
            length,
        }))
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        self.length.saturating_add(self.bytes as u64)
    }
}

/// A whole message, or a control frame, in the shortest form: 2, 4 or 10 bytes before the payload, and the
/// mask's 4 where there is one.
pub fn frame(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode as u8);
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ ..126 => frame.push(masked | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(masked | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask.iter().flatten());
    let begin = frame.len();
    frame.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply(mask, &mut frame[begin..]);
    }
    frame.into()
}

/// A close frame: its code and why (RFC 6455 §5.5.1).
pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Bytes {
    frame(
        Opcode::Close,
        &[&code.to_be_bytes(), reason.as_bytes()].concat(),
        mask,
    )
}

/// Masks, or unmasks, which is the same (RFC 6455 §5.3).
pub fn apply(mask: [u8; 4], payload: &mut [u8]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };

    use super::*;

    fn by_the_library(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut message = Frame::message(payload.to_vec(), OpCode::Data(Data::Binary), true);
        message.header_mut().mask = mask;
        let mut bytes = Vec::new();
        message.format(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn frames_are_the_librarys_at_every_form_of_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for mask in [None, Some([1, 2, 3, 0xFF])] {
                let mut bytes = frame(Opcode::Binary, &payload, mask).to_vec();
                assert!(bytes == by_the_library(&payload, mask), "{length} {mask:?}");
                let header = Header::parse(&bytes).unwrap().unwrap();
                assert_eq!((header.opcode, header.last), (Opcode::Binary, true));
                assert_eq!((header.mask, header.length), (mask, length as u64));
                assert_eq!(header.frame_bytes(), bytes.len() as u64);
                for cut in 0..header.bytes {
                    assert_eq!(Header::parse(&bytes[..cut]), Ok(None), "{length} {cut}");
                }
                if let Some(mask) = mask {
                    apply(mask, &mut bytes[header.bytes..]);
                }
                assert!(bytes[header.bytes..] == payload);
            }
        }
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for (bytes, malformed) in [
            (&[0xC1, 0][..], Malformed::Reserved),
            (&[0x91, 0], Malformed::Reserved),
            (&[0x83, 0], Malformed::Opcode(3)),
            (&[0x8F, 0], Malformed::Opcode(15)),
            (&[0x09, 0], Malformed::Control),
            (&[0x88, 126, 0, 126], Malformed::Control),
            (&[0x81, 126, 0, 125], Malformed::Length),
            (
                &[0x81, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
                Malformed::Length,
            ),
            (&[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Malformed::Length),
        ] {
            assert_eq!(Header::parse(bytes), Err(malformed), "{bytes:x?}");
        }
        assert_eq!(close(1001, "x", None)[..], [0x88, 3, 0x03, 0xE9, b'x']);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_refused_or_too_few(
            bytes in prop::collection::vec(any::<u8>(), 0..16),
        ) {
            match Header::parse(&bytes) {
                Ok(Some(header)) => prop_assert!(header.bytes <= bytes.len()),
                // Fourteen bytes are the longest header.
                Ok(None) => prop_assert!(bytes.len() < 14),
                Err(_) => {}
            }
        }
    }
}

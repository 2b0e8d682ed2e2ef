//! What a message weighs on the wire, part by part: arithmetic on lengths, none of it measured.

use std::ops::AddAssign;

use pushbench_server::contract::{
    event::frame,
    event_id::EventId,
    factors::{Compression, Factors, Framing},
    message::{Stamps, encode},
    transport::{Capabilities, Family, Http},
};

/// Bytes of messages, by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// The text.
    pub payload: u64,
    /// What the text is wrapped in before any transport sees it.
    pub envelope: u64,
    /// What a resume needs: `id: …` and its line end.
    pub id: u64,
    /// What the transport adds so that messages can be told apart; none where no arithmetic says.
    pub framing: Option<u64>,
}

impl Parts {
    /// Of no message yet, where the framing is known.
    pub const NOTHING: Self = Self {
        payload: 0,
        envelope: 0,
        id: 0,
        framing: Some(0),
    };

    /// Of one message with this text.
    pub fn of(capabilities: Capabilities, factors: &Factors, stamps: &Stamps, text: &str) -> Self {
        let json = encode(factors.envelope, stamps, text);
        let id = EventId {
            epoch: 1,
            stream: stamps.stream,
            seq: stamps.seq,
        };
        let id_bytes = if carries_id(capabilities, factors) {
            "id: \n".len() + id.to_string().len()
        } else {
            0
        };
        let framing = framing_bytes(capabilities, factors, &json, id_bytes);
        Self {
            payload: text.len() as u64,
            envelope: (json.len() - text.len()) as u64,
            id: id_bytes as u64,
            framing: framing.map(|bytes| bytes as u64),
        }
    }

    /// All of them, as far as they are known.
    pub fn total(&self) -> u64 {
        self.payload + self.envelope + self.id + self.framing.unwrap_or(0)
    }

    /// The same of as many receivers.
    pub fn times(self, receivers: u64) -> Self {
        Self {
            payload: self.payload * receivers,
            envelope: self.envelope * receivers,
            id: self.id * receivers,
            framing: self.framing.map(|bytes| bytes * receivers),
        }
    }
}

impl AddAssign for Parts {
    fn add_assign(&mut self, other: Self) {
        self.payload += other.payload;
        self.envelope += other.envelope;
        self.id += other.id;
        self.framing = self
            .framing
            .zip(other.framing)
            .map(|(own, others)| own + others);
    }
}

/// Whether a message is a server-sent event: on the others the envelope is all that a resume needs.
fn is_event(capabilities: Capabilities, factors: &Factors) -> bool {
    match capabilities.family {
        Family::Sse => true,
        Family::Fetch => factors.framing == Framing::Sse,
        Family::WebSocket | Family::Poll | Family::Raw => false,
    }
}

fn carries_id(capabilities: Capabilities, factors: &Factors) -> bool {
    factors.resume && is_event(capabilities, factors)
}

/// Bytes that a transport adds to one message, sent alone, beside payload, envelope and `id_bytes`. None of
/// a poll, whose answer is a whole response each, and none where what is sent is compressed.
pub fn framing_bytes(
    capabilities: Capabilities,
    factors: &Factors,
    payload: &str,
    id_bytes: usize,
) -> Option<usize> {
    if factors.compression != Compression::Off {
        return None;
    }
    let added = match capabilities.family {
        Family::Sse | Family::Fetch if is_event(capabilities, factors) => {
            frame(None, None, payload).len() - payload.len()
        }
        Family::Sse | Family::Fetch => "\n".len(),
        Family::WebSocket => frame_header_bytes(payload.len()),
        // A length of 32 bits.
        Family::Raw => 4,
        Family::Poll => return None,
    };
    let carried = payload.len() + id_bytes + added;
    let carrier = match (capabilities.http, capabilities.family) {
        (Http::H2, _) => carried.div_ceil(DATA_BYTES_MAX) * DATA_HEADER_BYTES,
        (Http::H1 | Http::Bare, Family::Sse | Family::Fetch) => chunk_bytes(carried),
        (Http::H1 | Http::Bare, _) => 0,
    };
    Some(added + carrier)
}

/// The header of a WebSocket frame that a server sends, unmasked (RFC 6455 §5.2).
const fn frame_header_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        ..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }
}

/// The header of an HTTP/2 frame (RFC 9113 §4.1).
const DATA_HEADER_BYTES: usize = 9;

/// The longest payload of a frame that a peer must take (RFC 9113 §4.2), which nobody here raises.
const DATA_BYTES_MAX: usize = 16_384;

/// Size line and line end of a chunk (RFC 9112 §7.1).
fn chunk_bytes(data_bytes: usize) -> usize {
    format!("{data_bytes:X}\r\n\r\n").len()
}

#[cfg(test)]
mod tests {
    use pushbench_server::contract::{factors::Coding, message::Envelope};

    use super::*;

    const fn over(family: Family, http: Http) -> Capabilities {
        Capabilities {
            family,
            http,
            cancel: false,
        }
    }

    fn framing(family: Family, http: Http, payload_bytes: usize) -> Option<usize> {
        let payload = "x".repeat(payload_bytes);
        framing_bytes(over(family, http), &Factors::default(), &payload, 0)
    }

    /// The published figures, and where a length needs another digit or a longer field.
    #[test]
    fn framing_is_what_the_standards_say() {
        use Family::{Fetch, Raw, Sse, WebSocket};
        for (family, http, payload_bytes, expected) in [
            (Sse, Http::H1, 7, 13),
            (Sse, Http::H1, 8, 14),
            (Sse, Http::H1, 20, 14),
            (Sse, Http::H1, 180, 14),
            (Sse, Http::H1, 247, 14),
            (Sse, Http::H1, 248, 15),
            (Sse, Http::Bare, 180, 14),
            (Sse, Http::H2, 20, 17),
            (Sse, Http::H2, 16_376, 17),
            (Sse, Http::H2, 16_377, 26),
            (Fetch, Http::H1, 180, 14),
            (Fetch, Http::H2, 180, 17),
            (WebSocket, Http::H1, 20, 2),
            (WebSocket, Http::H1, 125, 2),
            (WebSocket, Http::H1, 126, 4),
            (WebSocket, Http::H1, 180, 4),
            (WebSocket, Http::H1, 65_535, 4),
            (WebSocket, Http::H1, 65_536, 10),
            (WebSocket, Http::Bare, 180, 4),
            (WebSocket, Http::H2, 20, 11),
            (WebSocket, Http::H2, 180, 13),
            (Raw, Http::Bare, 180, 4),
        ] {
            let framing = framing(family, http, payload_bytes);
            assert_eq!(
                framing,
                Some(expected),
                "{family:?} {http:?} {payload_bytes}"
            );
        }
    }

    #[test]
    fn a_line_of_json_is_lighter_than_an_event_and_only_an_event_has_an_id() {
        let factors = |framing, resume| Factors {
            framing,
            resume,
            ..Factors::default()
        };
        let stamps = Stamps {
            stream: 0,
            seq: 42,
            scheduled_at: 1,
            sent_at: 1,
        };
        let parts = |family, framing, resume| {
            let factors = factors(framing, resume);
            Parts::of(over(family, Http::H1), &factors, &stamps, "x")
        };
        let without = |family, framing| parts(family, framing, false);
        let line = without(Family::Fetch, Framing::Ndjson);
        assert_eq!(line.framing, Some("\n".len() as u64 + 4 + 2));
        assert_eq!(without(Family::Fetch, Framing::Sse).framing, Some(14));
        for (family, framing, id) in [
            (Family::Sse, Framing::Sse, "id: 1-0-42\n".len() as u64),
            (Family::Fetch, Framing::Sse, "id: 1-0-42\n".len() as u64),
            (Family::Fetch, Framing::Ndjson, 0),
            (Family::WebSocket, Framing::Sse, 0),
        ] {
            let with = parts(family, framing, true);
            assert_eq!(with.id, id, "{family:?}");
            assert_eq!(
                with.total(),
                without(family, framing).total() + id,
                "{family:?}"
            );
        }
    }

    #[test]
    fn what_no_arithmetic_says_is_left_open_for_all() {
        for http in [Http::H1, Http::H2] {
            assert_eq!(framing(Family::Poll, http, 20), None);
        }
        let gzip = Factors {
            compression: Compression::Coding(Coding::Gzip, 1),
            ..Factors::default()
        };
        let sse = over(Family::Sse, Http::H1);
        assert_eq!(framing_bytes(sse, &gzip, "x", 0), None);
        let mut all = Parts::NOTHING;
        let open = Parts {
            framing: None,
            ..Parts::NOTHING
        };
        all += open;
        all += Parts::NOTHING;
        assert_eq!(all.framing, None);
    }

    #[test]
    fn an_envelope_is_what_is_not_the_text() {
        let stamps = Stamps {
            stream: 0,
            seq: 1,
            scheduled_at: 1_000,
            sent_at: 1_000,
        };
        let sse = over(Family::Sse, Http::H1);
        let parts = |envelope, text| {
            let factors = Factors {
                envelope,
                ..Factors::default()
            };
            Parts::of(sse, &factors, &stamps, text)
        };
        let minimal = parts(Envelope::Minimal, "abc");
        assert_eq!((minimal.payload, minimal.id), (3, 0));
        // What JSON escapes is the envelope's doing.
        assert_eq!(
            parts(Envelope::Minimal, "a\"c").envelope,
            minimal.envelope + 1
        );
        assert!(parts(Envelope::OpenAi, "abc").envelope > minimal.envelope + 100);
        let mut three = minimal.times(2);
        three += minimal;
        assert_eq!(three.total(), 3 * minimal.total());
    }
}

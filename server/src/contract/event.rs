//! A server-sent event on the wire (WHATWG HTML §9.2).
//!
//! Our own encoder, because the framework's loses an empty `data`, rewrites CR and copies the payload
//! for every connection; a frame here is made once and shared.

use bytes::Bytes;

use super::event_id::EventId;

/// One event: fields, then the empty line.
///
/// `data` is split at LF, as the standard joins it. A CR in it would end the line too and could not be
/// brought back, so callers pass text without one (JSON escapes it).
pub fn frame(event: Option<&str>, id: Option<EventId>, data: &str) -> Bytes {
    let mut frame = String::with_capacity(data.len() + 64);
    if let Some(id) = id {
        frame.push_str("id: ");
        frame.push_str(&id.to_string());
        frame.push('\n');
    }
    if let Some(event) = event {
        frame.push_str("event: ");
        frame.push_str(event);
        frame.push('\n');
    }
    for line in data.split('\n') {
        frame.push_str("data: ");
        frame.push_str(line);
        frame.push('\n');
    }
    frame.push('\n');
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_standards() {
        let id = EventId {
            epoch: 1,
            stream: 0,
            seq: 42,
        };
        assert_eq!(frame(None, None, "hi"), "data: hi\n\n");
        assert_eq!(frame(None, None, ""), "data: \n\n");
        assert_eq!(frame(None, None, "a\nb\n"), "data: a\ndata: b\ndata: \n\n");
        assert_eq!(
            frame(Some("x"), Some(id), "y"),
            "id: 1-0-42\nevent: x\ndata: y\n\n"
        );
    }
}

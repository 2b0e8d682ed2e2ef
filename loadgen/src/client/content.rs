//! Payloads out of the bytes of a response's body, in whichever framing, and however the bytes are cut.

use memchr::memchr;

use super::Ended;
use crate::sse::{EVENT_BYTES_MAX, Parser};

/// Capacity in bytes that the buffer keeps after a line, as the parser of events does after an event.
const KEPT_CAPACITY: usize = 16 * 1_024;

/// A parser of a body.
#[derive(Debug)]
pub enum Content {
    /// Of server-sent events.
    Events(Parser),
    /// Of newline-delimited JSON: what has come of a line that has not ended.
    Lines(Vec<u8>),
}

impl Content {
    /// Of server-sent events, at the body's begin.
    pub fn events() -> Self {
        Self::Events(Parser::new())
    }

    /// Of newline-delimited JSON, at the body's begin.
    pub fn lines() -> Self {
        Self::Lines(Vec::new())
    }

    /// Takes bytes, and delivers the payloads that they complete.
    ///
    /// # Errors
    /// When a payload outgrows [`EVENT_BYTES_MAX`].
    pub fn push(&mut self, bytes: &[u8], deliver: &mut dyn FnMut(&str)) -> Result<(), Ended> {
        match self {
            Self::Events(parser) => parser
                .push(bytes, &mut |event| deliver(event.data))
                .map_err(|overflow| Ended::Failed(overflow.to_string())),
            Self::Lines(begun) => push_lines(begun, bytes, deliver),
        }
    }
}

fn push_lines(
    begun: &mut Vec<u8>,
    mut bytes: &[u8],
    deliver: &mut dyn FnMut(&str),
) -> Result<(), Ended> {
    while let Some(end) = memchr(b'\n', bytes) {
        let line = &bytes[..end];
        bytes = &bytes[end + 1..];
        // Nearly always the whole line is here, and is read where it lies.
        if begun.is_empty() {
            read_line(line, deliver);
            continue;
        }
        extend(begun, line)?;
        read_line(begun, deliver);
        begun.clear();
        begun.shrink_to(KEPT_CAPACITY);
    }
    extend(begun, bytes)
}

fn extend(begun: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Ended> {
    if begun.len() + bytes.len() > EVENT_BYTES_MAX {
        *begun = Vec::new();
        return Err(Ended::Failed(format!(
            "one line is larger than {EVENT_BYTES_MAX} bytes, the most that is held in memory"
        )));
    }
    begun.extend_from_slice(bytes);
    Ok(())
}

fn read_line(line: &[u8], deliver: &mut dyn FnMut(&str)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Some servers send empty ones to keep a connection alive.
    if !line.is_empty() {
        deliver(&String::from_utf8_lossy(line));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut content, mut read) = (Content::lines(), Vec::new());
        for piece in pieces {
            content
                .push(piece, &mut |payload| read.push(payload.to_owned()))
                .unwrap();
        }
        read
    }

    #[test]
    fn lines_are_payloads_and_a_line_without_an_end_is_none() {
        assert_eq!(
            read(&[b"{\"a\":1}\n\r\n\n\"\xE5\xA5\xBD\"\r\nbegun"]),
            ["{\"a\":1}", "\"好\""]
        );
        assert_eq!(read(&[b"x", b"", b"y\n", b"\n"]), ["xy"]);
    }

    #[test]
    fn a_line_without_an_end_is_not_held_for_ever() {
        let mut content = Content::lines();
        let piece = vec![b'x'; EVENT_BYTES_MAX / 4];
        for _ in 0..4 {
            assert_eq!(content.push(&piece, &mut |_| ()), Ok(()));
        }
        assert!(content.push(b"x", &mut |_| ()).is_err());
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_payloads(text in "[ab\r\n好]{0,60}", cuts in prop::collection::vec(any::<usize>(), 0..9)) {
            let bytes = text.as_bytes();
            let mut at: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            at.push(bytes.len());
            at.sort_unstable();
            let mut from = 0;
            let pieces: Vec<_> = at
                .into_iter()
                .map(|to| &bytes[std::mem::replace(&mut from, to)..to])
                .collect();
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }
    }
}

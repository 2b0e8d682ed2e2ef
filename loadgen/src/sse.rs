//! Parses a stream of server-sent events as the WHATWG HTML standard says (section 9.2.6, "Interpreting
//! an event stream"), at any chunking and for any bytes.
//!
//! The parser works on bytes and decodes only what it hands out. That is the same as decoding first: CR,
//! LF and the colon never occur inside a UTF-8 sequence, and one of them after a broken sequence ends it.

use std::time::Duration;

use memchr::{memchr, memchr2};

/// Largest event held in memory, in bytes. An endless line must not take the machine; the largest
/// payload that the project sends is 1 MiB, so 16 MiB refuses nobody who means well.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Capacity in bytes that a buffer keeps after an event, so that one large event does not stay in the
/// memory of a connection for ever, and small ones do not allocate each time.
const KEPT_CAPACITY: usize = 16 * 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event, as `EventSource` would hand it to a listener. Borrowed: copy what you keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The event's type; `message` when the stream named none.
    pub event: &'a str,
    /// All `data` lines, joined by LF.
    pub data: &'a str,
    /// The last event id, which an earlier event may have set.
    pub id: &'a str,
}

/// An event outgrew [`EVENT_BYTES_MAX`]; the stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one event is larger than {EVENT_BYTES_MAX} bytes, the most that is held in memory")]
pub struct Overflow;

/// State between two chunks of one response body.
///
/// At the end of the body just drop it: the standard discards an event that no blank line has ended.
#[derive(Debug)]
pub struct Parser {
    /// Bytes of the byte order mark seen at the stream's start; `BOM.len()` once that is settled.
    bom_matched: usize,
    /// The last chunk ended in CR: a LF that comes next belongs to the same line end.
    after_cr: bool,
    /// The begin of a line whose end has not come yet.
    line: Vec<u8>,
    /// The standard's data buffer: each line followed by LF, not yet decoded.
    data: Vec<u8>,
    /// The standard's event type buffer.
    event: String,
    /// The standard's last event ID buffer.
    id: String,
    /// Whether `id` was set since the last blank line.
    id_set: bool,
    /// The event source's last event ID string.
    last_event_id: String,
    retry: Option<Duration>,
    limit: usize,
    overflowed: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// A parser at the start of the first response.
    pub fn new() -> Self {
        Self::resuming("")
    }

    /// A parser at the start of a response to a reconnect: events without an id of their own still carry
    /// `last_event_id`, as in browsers (web-platform-tests: `eventsource/format-field-id-2`).
    pub fn resuming(last_event_id: &str) -> Self {
        Self {
            bom_matched: 0,
            after_cr: false,
            line: Vec::new(),
            data: Vec::new(),
            event: String::new(),
            id: last_event_id.to_owned(),
            id_set: false,
            last_event_id: last_event_id.to_owned(),
            retry: None,
            limit: EVENT_BYTES_MAX,
            overflowed: false,
        }
    }

    /// Takes the next bytes of the body and calls `on_event` for each event that they complete.
    ///
    /// # Errors
    ///
    /// [`Overflow`] once an event outgrows the bound, and from then on at each call; events before it
    /// have been handed out.
    pub fn push<F>(&mut self, chunk: &[u8], on_event: &mut F) -> Result<(), Overflow>
    where
        F: FnMut(Event<'_>),
    {
        if self.overflowed {
            return Err(Overflow);
        }
        let mut rest = self.skip_bom(chunk);
        rest = self.skip_lf_after_cr(rest);
        // The event's only `data` line so far, left in the chunk: most events are never copied.
        let mut only: Option<&[u8]> = None;

        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, tail) = (&rest[..end], &rest[end + 1..]);
            self.after_cr = rest[end] == b'\r';
            rest = self.skip_lf_after_cr(tail);

            if !self.line.is_empty() {
                self.complete_line(line)?;
            } else if line.is_empty() {
                self.dispatch(only.take(), on_event);
            } else {
                self.check_size(only, line.len())?;
                if let Some(value) = self.field(line) {
                    if self.data.is_empty() && only.is_none() {
                        only = Some(value);
                    } else {
                        self.append_data(only.take());
                        self.append_data(Some(value));
                    }
                }
            }
        }

        self.append_data(only);
        self.check_size(None, self.line.len() + rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// What a reconnect sends as `Last-Event-ID`; empty when it sends none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// How long to wait before a reconnect, if this stream has said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// "UTF-8 decode" strips one byte order mark, and only at the stream's start.
    fn skip_bom<'c>(&mut self, mut chunk: &'c [u8]) -> &'c [u8] {
        while self.bom_matched < BOM.len()
            && let Some((&first, tail)) = chunk.split_first()
        {
            if first == BOM[self.bom_matched] {
                self.bom_matched += 1;
                chunk = tail;
            } else {
                self.line.extend_from_slice(&BOM[..self.bom_matched]);
                self.bom_matched = BOM.len();
            }
        }
        chunk
    }

    /// CR LF is one line end, also when a chunk's border is between them.
    fn skip_lf_after_cr<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        match rest.split_first() {
            Some((&first, tail)) if self.after_cr => {
                self.after_cr = false;
                if first == b'\n' { tail } else { rest }
            }
            _ => rest,
        }
    }

    /// Processes a line that began in an earlier chunk and ends with `end`.
    fn complete_line(&mut self, end: &[u8]) -> Result<(), Overflow> {
        self.check_size(None, self.line.len() + end.len())?;
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(end);
        let value = self.field(&line);
        self.append_data(value);
        line.clear();
        line.shrink_to(KEPT_CAPACITY);
        self.line = line;
        Ok(())
    }

    /// Processes a line that is not empty; the value is returned if the field is `data`.
    fn field<'l>(&mut self, line: &'l [u8]) -> Option<&'l [u8]> {
        let (name, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => return Some(value),
            b"event" => {
                self.event.clear();
                self.event.push_str(&String::from_utf8_lossy(value));
            }
            b"id" if memchr(0, value).is_none() => {
                self.id.clear();
                self.id.push_str(&String::from_utf8_lossy(value));
                self.id_set = true;
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = Some(Duration::from_millis(saturating_integer(value)));
            }
            // A comment (its name is empty), or a field that the standard ignores.
            _ => {}
        }
        None
    }

    /// Ends the event at a blank line; `only` is its data where that has not been copied.
    fn dispatch<F>(&mut self, only: Option<&[u8]>, on_event: &mut F)
    where
        F: FnMut(Event<'_>),
    {
        if std::mem::take(&mut self.id_set) {
            self.last_event_id.clone_from(&self.id);
        }
        if let Some(data) = only.or_else(|| self.data.strip_suffix(b"\n")) {
            on_event(Event {
                event: if self.event.is_empty() {
                    "message"
                } else {
                    &self.event
                },
                data: &String::from_utf8_lossy(data),
                id: &self.last_event_id,
            });
        }
        self.data.clear();
        self.data.shrink_to(KEPT_CAPACITY);
        self.event.clear();
        self.event.shrink_to(KEPT_CAPACITY);
    }

    fn append_data(&mut self, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        }
    }

    /// Counts the same bytes however the stream is cut into chunks.
    fn check_size(&mut self, only: Option<&[u8]>, line_bytes: usize) -> Result<(), Overflow> {
        let only_bytes = only.map_or(0, |value| value.len() + 1);
        if self.data.len() + only_bytes + line_bytes <= self.limit {
            return Ok(());
        }
        self.overflowed = true;
        self.line = Vec::new();
        self.data = Vec::new();
        Err(Overflow)
    }
}

/// A `retry` of more milliseconds than fit means "practically never", not "at once".
fn saturating_integer(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value: u64, &digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests;

//! Writes events as lines of JSON, until enough are written or nobody reads them.

use std::io::{self, ErrorKind, Write};
use std::num::NonZeroU64;
use std::time::Instant;

use base64::Engine as _;
use serde::Serialize;

use crate::refusal::Refusal;
use crate::sse::Event;

/// Where the lines go, and how many more.
pub(super) struct Printer<W> {
    out: W,
    start: Instant,
    left: Option<u64>,
    ended: bool,
    failure: Option<io::Error>,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    id: &'a str,
    at_ms: f64,
}

impl<W: Write> Printer<W> {
    /// `at_ms` counts from now.
    pub(super) fn new(out: W, max_events: Option<NonZeroU64>) -> Self {
        Self {
            out,
            start: Instant::now(),
            left: max_events.map(NonZeroU64::get),
            ended: false,
            failure: None,
        }
    }

    /// Whether further events would not be printed.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Prints an event of text.
    pub(super) fn print(&mut self, event: Event<'_>) {
        self.print_line(event.event, Some(event.data), None, event.id);
    }

    /// Prints a WebSocket's binary message.
    pub(super) fn print_binary(&mut self, data: &[u8]) {
        let data = base64::engine::general_purpose::STANDARD.encode(data);
        self.print_line("message", None, Some(data), "");
    }

    /// # Errors
    ///
    /// What went wrong when a line was written, unless its reader had just left.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(Refusal(format!(
                "cannot write to standard output: {error}; free space where it leads, or lead it elsewhere"
            ))),
            _ => Ok(()),
        }
    }

    fn print_line(
        &mut self,
        event: &str,
        data: Option<&str>,
        data_base64: Option<String>,
        id: &str,
    ) {
        if self.ended {
            return;
        }
        // Whole microseconds: more digits would claim more than a terminal's clock can hold.
        let at_ms = self.start.elapsed().as_micros() as f64 / 1000.0;
        if let Err(error) = self.write(&Line {
            event,
            data,
            data_base64,
            id,
            at_ms,
        }) {
            self.failure = Some(error);
            self.ended = true;
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
            self.ended |= *left == 0;
        }
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.out.write_all(&bytes)?;
        self.out.flush()
    }
}

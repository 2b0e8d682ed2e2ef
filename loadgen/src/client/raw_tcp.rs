//! `raw-tcp`: a length before each message, on a plain socket.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use pushbench_server::contract::{
    ask::Ask,
    framing::{PREFIX_BYTES, length, prefixed},
};

use super::{
    Ended, Pending, Script, Wire,
    buffered::Buffered,
    counted::{ByteStream, Counted},
    hold_path,
};
use crate::sse::EVENT_BYTES_MAX;

/// What the transport names.
const PATH: &str = "bare length-prefixed";

/// Of an answer that is none, what a sentence shows.
const SHOWN_BYTES: usize = 32;

/// One connection.
#[derive(Debug)]
pub struct RawTcp<S> {
    bytes: Buffered<S>,
    path: Option<&'static str>,
}

impl<S: ByteStream> RawTcp<S> {
    /// On an open connection; nothing is sent yet.
    pub fn new(stream: Counted<S>) -> Self {
        Self {
            bytes: Buffered::new(stream),
            path: None,
        }
    }

    async fn start(&mut self, ask: &Ask) -> Result<(), Ended> {
        let json = serde_json::to_string(ask).map_err(|error| Ended::Failed(error.to_string()))?;
        self.bytes.queue(&prefixed(&json));
        poll_fn(|cx| self.bytes.poll_flush(cx)).await?;
        if self.path.is_none() {
            // Nothing else says what the server speaks, and it answers an ask at once.
            poll_fn(|cx| self.poll_recognize(cx)).await?;
        }
        Ok(())
    }

    /// Looks at the first bytes that come, and leaves them unread: a length, and JSON behind it.
    fn poll_recognize(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        loop {
            let unread = self.bytes.unread();
            let plausible = length(unread).is_none_or(|length| length <= EVENT_BYTES_MAX);
            let came = match unread.get(PREFIX_BYTES) {
                Some(b'{') if plausible => PATH.into(),
                None if plausible => {
                    ready!(self.bytes.poll_fill(cx, PREFIX_BYTES + 1))?;
                    continue;
                }
                _ => begin(unread),
            };
            self.path = Some(hold_path(PATH, &came).map_err(|wrong| self.bytes.end(wrong))?);
            return Poll::Ready(Ok(()));
        }
    }

    /// Delivers the messages that are here; how many bytes the next one takes.
    fn take(&mut self, deliver: &mut dyn FnMut(&str)) -> Result<usize, Ended> {
        loop {
            let unread = self.bytes.unread();
            let Some(length) = length(unread) else {
                return Ok(PREFIX_BYTES);
            };
            if length > EVENT_BYTES_MAX {
                let reason = "a message beyond the most that is held in memory";
                return Err(Ended::Failed(reason.into()));
            }
            let end = PREFIX_BYTES + length;
            let Some(payload) = unread.get(PREFIX_BYTES..end) else {
                return Ok(end);
            };
            let text = std::str::from_utf8(payload);
            deliver(text.map_err(|error| Ended::Failed(error.to_string()))?);
            self.bytes.consume(end);
        }
    }
}

/// The first line of what came instead.
fn begin(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| byte.is_ascii_control()).next();
    let line = line.unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(SHOWN_BYTES)]).into_owned()
}

impl<S: ByteStream> Wire for RawTcp<S> {
    fn ask<'a>(&'a mut self, ask: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(self.start(ask))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        loop {
            let wanted = match self.take(deliver) {
                Ok(wanted) => wanted,
                Err(ended) => return Poll::Ready(self.bytes.end(ended)),
            };
            if let Err(ended) = ready!(self.bytes.poll_fill(cx, wanted)) {
                return Poll::Ready(ended);
            }
        }
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        // A plain socket has no goodbye but closing.
        Box::pin(async move { drop(self) })
    }

    fn round_trips(&self) -> u32 {
        self.bytes.round_trips()
    }

    fn path(&self) -> Option<&'static str> {
        self.path
    }
}

/// The server's side: nothing but messages.
pub const SCRIPT: Script = Script {
    answer: |_| Vec::new(),
    frame: |_, payload| prefixed(payload).to_vec(),
    requests: None,
};

//! `pushbench tail URL`: reads one stream, SSE or WebSocket, and prints each event as one line of JSON.

mod printer;
mod sse;
mod target;
mod websocket;

use std::io::Write;
use std::num::NonZeroU64;
use std::process::ExitCode;

use crate::refusal::Refusal;

use printer::Printer;
use target::{Target, Wire};

/// Print each event of a stream as one line of JSON: event, data, id, at_ms (milliseconds since start).
///
/// A WebSocket's text message is the event `message` with an empty id; a binary one has `data_base64` in
/// place of `data`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Tail {
    /// http://HOST:PORT/PATH reads server-sent events, ws://HOST:PORT/PATH a WebSocket
    pub url: String,

    /// Send a POST with this body (application/json) and read the events of its answer
    #[arg(long, value_name = "BODY")]
    pub post: Option<String>,

    /// Connect again when the stream ends, as EventSource does: waits as `retry:` says (3 s if it says
    /// nothing), sends Last-Event-ID, ends at a 204
    #[arg(long)]
    pub reconnect: bool,

    /// Send this Last-Event-ID with the first request already
    #[arg(long, value_name = "ID")]
    pub last_event_id: Option<String>,

    /// Exit after so many events
    #[arg(long, value_name = "N")]
    pub max_events: Option<NonZeroU64>,

    /// Send this text as the WebSocket's first message
    #[arg(long, value_name = "TEXT")]
    pub send: Option<String>,
}

/// Tails to standard output.
///
/// # Errors
///
/// A [`Refusal`]: a URL that is none, nobody there, an answer that is not a stream, a stream broken off.
pub async fn run(args: Tail) -> anyhow::Result<ExitCode> {
    run_to(&args, std::io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Tails to `out`, flushed after each line; ends quietly when `out` is a pipe that nobody reads any more.
///
/// # Errors
///
/// As [`run`].
pub async fn run_to(args: &Tail, out: impl Write) -> Result<(), Refusal> {
    let target = Target::parse(&args.url)?;
    let mut printer = Printer::new(out, args.max_events);
    match target.wire {
        Wire::Http => {
            if args.send.is_some() {
                return refuse("--send is for ws:// URLs: use --post to send a body over HTTP");
            }
            sse::tail(&target, args, &mut printer).await?;
        }
        Wire::WebSocket => {
            if args.post.is_some() {
                return refuse(
                    "--post is for http:// URLs: use --send to send a WebSocket's first message",
                );
            }
            if args.reconnect || args.last_event_id.is_some() {
                return refuse(
                    "--reconnect and --last-event-id are for http:// URLs, a WebSocket has no rule for either: \
                     say where to resume in the first message, with --send",
                );
            }
            websocket::tail(&target, args, &mut printer).await?;
        }
    }
    printer.finish()
}

fn refuse(sentence: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal(sentence.into()))
}

/// A stranger's text within a sentence: it must not drive the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

//! `pushbench tail` against servers that answer with bytes written by hand.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

mod server;
mod sse;
mod websocket;

use std::io::{self, ErrorKind, Write};

use pushbench::command::tail::{Tail, run_to};
use serde_json::Value;

use server::{OK, serve, whole};

fn tail(url: String) -> Tail {
    Tail {
        url,
        ..Tail::default()
    }
}

/// The printed lines as `[event, data, id]`, and the refusal if there was one.
async fn run(args: Tail) -> (Vec<[String; 3]>, Option<String>) {
    let mut out = Vec::new();
    let result = run_to(&args, &mut out).await;
    let mut at_ms_last = 0.0;
    let lines = String::from_utf8(out).unwrap();
    let events = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let at_ms = line["at_ms"].as_f64().unwrap();
        assert!(at_ms >= at_ms_last);
        at_ms_last = at_ms;
        assert_eq!(line.as_object().unwrap().len(), 4, "{line}");
        ["event", "data", "id"].map(|key| line[key].as_str().unwrap().to_owned())
    });
    (
        events.collect(),
        result.err().map(|refusal| refusal.to_string()),
    )
}

fn events<const N: usize>(events: [[&str; 3]; N]) -> Vec<[String; 3]> {
    events.map(|event| event.map(str::to_owned)).to_vec()
}

/// A pipe whose reader has left, or a full disk.
struct Closed(ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
    for (kind, quiet) in [
        (ErrorKind::BrokenPipe, true),
        (ErrorKind::StorageFull, false),
    ] {
        let (address, _server) = serve(vec![whole(&format!("{OK}data: a\n\ndata: b\n\n"))]).await;
        let result = run_to(&tail(format!("http://{address}/")), Closed(kind)).await;
        assert_eq!(result.is_ok(), quiet, "{result:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_a_remedy() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = server::bound();
    let address = socket.local_addr().unwrap();
    for scheme in ["http", "ws"] {
        let (_, refusal) = run(tail(format!("{scheme}://{address}/"))).await;
        let refusal = refusal.unwrap();
        assert!(refusal.contains(&address.to_string()), "{refusal}");
        assert!(refusal.contains("pushbench serve"), "{refusal}");
    }
}

#[tokio::test]
async fn arguments_of_the_other_wire_are_refused() {
    let text = || Some("x".to_owned());
    let http = || tail("http://127.0.0.1:1/".to_owned());
    let ws = || tail("ws://127.0.0.1:1/".to_owned());
    for (args, part) in [
        (
            Tail {
                send: text(),
                ..http()
            },
            "--post",
        ),
        (
            Tail {
                post: text(),
                ..ws()
            },
            "--send",
        ),
        (
            Tail {
                reconnect: true,
                ..ws()
            },
            "--send",
        ),
        (
            Tail {
                last_event_id: text(),
                ..ws()
            },
            "--send",
        ),
        (tail("https://127.0.0.1:1/".to_owned()), "not supported yet"),
    ] {
        assert!(run(args).await.1.unwrap().contains(part));
    }
}

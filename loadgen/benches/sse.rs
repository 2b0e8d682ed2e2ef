//! What the parser costs a message, in the receive path of the load generator: `cargo bench`.

use std::hint::black_box;
use std::time::Instant;

use pushbench::sse::Parser;

const EVENTS: u32 = 1_000_000;

fn main() {
    for (payload, events_per_chunk) in [(64, 1), (64, 16), (180, 1), (180, 16), (16 * 1024, 1)] {
        let event = format!("id: 123456\ndata: {}\n\n", "x".repeat(payload));
        let chunk = event.repeat(events_per_chunk).into_bytes();
        let chunks = EVENTS / events_per_chunk as u32;

        let mut parser = Parser::new();
        let mut bytes = 0;
        let start = Instant::now();
        for _ in 0..chunks {
            let parsed = parser.push(black_box(&chunk), &mut |e| bytes += black_box(e).data.len());
            assert!(parsed.is_ok());
        }
        let nanos = start.elapsed().as_nanos() as f64 / f64::from(chunks) / events_per_chunk as f64;
        eprintln!("{payload:>6} B, {events_per_chunk:>2} a chunk: {nanos:>7.1} ns an event");
        black_box(bytes);
    }
}

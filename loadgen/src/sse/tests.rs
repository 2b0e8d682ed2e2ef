//! The standard's examples, the cases of web-platform-tests (`eventsource/format-*`), and properties
//! against a naive reading of the standard.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    event: String,
    data: String,
    id: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Owned>,
    last_event_id: String,
    retry: Option<Duration>,
}

fn event(event: &str, data: &str, id: &str) -> Owned {
    Owned {
        event: event.to_owned(),
        data: data.to_owned(),
        id: id.to_owned(),
    }
}

fn message(data: &str) -> Owned {
    event("message", data, "")
}

fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut parser = Parser::new();
    let mut events = Vec::new();
    for chunk in chunks {
        parser
            .push(chunk, &mut |e| events.push(event(e.event, e.data, e.id)))
            .unwrap();
    }
    Outcome {
        events,
        last_event_id: parser.last_event_id().to_owned(),
        retry: parser.retry(),
    }
}

/// The standard's steps, one by one, over the whole decoded text.
fn reference(bytes: &[u8]) -> Outcome {
    let decoded = String::from_utf8_lossy(bytes);
    let text = decoded.strip_prefix('\u{FEFF}').unwrap_or(&decoded);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop(); // What no line end has ended.

    let mut outcome = Outcome {
        events: Vec::new(),
        last_event_id: String::new(),
        retry: None,
    };
    let (mut data, mut kind, mut id) = (String::new(), String::new(), String::new());
    for line in lines {
        if line.is_empty() {
            outcome.last_event_id.clone_from(&id);
            if !data.is_empty() {
                let kind = if kind.is_empty() { "message" } else { &kind };
                outcome
                    .events
                    .push(event(kind, data.strip_suffix('\n').unwrap(), &id));
            }
            data.clear();
            kind.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => data += &format!("{value}\n"),
            "event" => kind = value.to_owned(),
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                outcome.retry = Some(Duration::from_millis(value.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }
    outcome
}

/// Checks the events of `stream` as one chunk, byte by byte, and with each possible single cut.
fn check(name: &str, stream: &[u8], expected: &[Owned]) {
    let whole = parse([stream]);
    assert_eq!(whole.events, expected, "{name}");
    assert_eq!(whole, reference(stream), "{name}: reference");
    assert_eq!(parse(stream.chunks(1)), whole, "{name}: byte by byte");
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(parse([head, &[], tail]), whole, "{name}: cut at {cut}");
    }
}

#[test]
fn examples_of_the_standard() {
    check(
        "three lines",
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        &[message("YHOO\n+2\n10")],
    );
    check(
        "comment, id, empty id, leading space, unfinished",
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        &[event("message", "first event", "1"), event("message", "second event", "")],
    );
    check(
        "two events, last discarded",
        b"data\n\ndata\ndata\n\ndata:",
        &[message(""), message("\n")],
    );
    check(
        "space after the colon",
        b"data:test\n\ndata: test\n\n",
        &[message("test"), message("test")],
    );
    check(
        "named",
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        &[event("add", "73857293", ""), event("remove", "2153", "")],
    );
}

#[test]
fn byte_order_mark() {
    let bom_in_the_middle = "\u{FEFF}data:1\n\n\u{FEFF}data:2\n\ndata:3\n\n".as_bytes();
    check("bom", bom_in_the_middle, &[message("1"), message("3")]);
    let two = "\u{FEFF}\u{FEFF}data:1\n\ndata:2\n\ndata:3\n\n".as_bytes();
    check("bom-2", two, &[message("2"), message("3")]);
    check(
        "half a bom",
        b"\xEF\xBBdata:1\n\ndata:2\n\n",
        &[message("2")],
    );
    check(
        "half a bom, then a line end",
        b"\xEF\n\xBB\xBFdata:1\n\ndata:2\n\n",
        &[message("2")],
    );
    check("only a bom", BOM, &[]);
}

#[test]
fn line_ends() {
    check(
        "newlines",
        b"data:test\r\ndata\ndata:test\r\n\r",
        &[message("test\n\ntest")],
    );
    check("cr", b"data:1\r\rdata:2\r\r", &[message("1"), message("2")]);
    check(
        "crlf",
        b"data:1\r\n\r\ndata:2\r\n\r\n",
        &[message("1"), message("2")],
    );
    check(
        "lf cr is two",
        b"data:1\n\rdata:2\n\n",
        &[message("1"), message("2")],
    );
    check(
        "other separators are data",
        "data:a\u{2028}b\u{85}c\x0B\x0C\n\n".as_bytes(),
        &[message("a\u{2028}b\u{85}c\x0B\x0C")],
    );
    check(
        "data before final empty line",
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        &[message("test1")],
    );
}

#[test]
fn an_event_ended_by_cr_does_not_wait_for_the_next_byte() {
    let mut parser = Parser::new();
    let mut count = 0;
    parser.push(b"data:1\r\n\r", &mut |_| count += 1).unwrap();
    assert_eq!(count, 1);
    parser.push(b"\n", &mut |_| count += 1).unwrap();
    assert_eq!(count, 1, "the LF belongs to the CR before it");
}

#[test]
fn fields() {
    check(
        "comments",
        format!(
            "data:1\r:\0\n:\r\ndata:2\n:{}\rdata:3\n:data:fail\r:{0}\ndata:4\n\n",
            "x".repeat(2048)
        )
        .as_bytes(),
        &[message("1\n2\n3\n4")],
    );
    check(
        "field-data",
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        &[message(""), message("\n"), message("test")],
    );
    check(
        "field-event",
        b"event:test\ndata:x\n\ndata:x\n\n",
        &[event("test", "x", ""), message("x")],
    );
    check(
        "field-event-empty",
        b"event: \ndata:data\n\n",
        &[message("data")],
    );
    check(
        "event without data resets the type",
        b"event:a\n\ndata:x\n\n",
        &[message("x")],
    );
    check(
        "the last type wins",
        b"event:a\nevent:b\ndata:x\n\n",
        &[event("b", "x", "")],
    );
    check(
        "field-parsing",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
        &[message("\0\n 2\n1\n3\n\n4")],
    );
    check(
        "field-unknown",
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        &[message("test\n\ntest")],
    );
    check(
        "leading-space",
        b"data:\ttest\rdata: \ndata:test\n\n",
        &[message("\ttest\n\ntest")],
    );
    check("null-character", b"data:\0\n\n\n\n", &[message("\0")]);
    check(
        "only the first colon counts",
        b"data: a: b\n\n",
        &[message("a: b")],
    );
    check("a colon alone", b":\n\n", &[]);
}

#[test]
fn utf_8() {
    check("utf-8", "data:ok…\n\n".as_bytes(), &[message("ok…")]);
    check("four bytes", "data:😀好\n\n".as_bytes(), &[message("😀好")]);
    // The Encoding standard replaces each maximal subpart once.
    check(
        "maximal subparts",
        b"data:\xF0\x9F\x98a\xC0\xAF\xED\xA0\x80\xFF\n\n",
        &[message(
            "\u{FFFD}a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}",
        )],
    );
    check(
        "a line end ends a sequence",
        b"data:\xE2\x80\ndata:\xA6\n\n",
        &[message("\u{FFFD}\n\u{FFFD}")],
    );
    check(
        "in a type and an id",
        b"event:\xFF\nid:\xC3\ndata\n\n",
        &[event("\u{FFFD}", "", "\u{FFFD}")],
    );
    check(
        "in a field's name",
        b"data\xFF:1\ndata:2\n\n",
        &[message("2")],
    );
}

#[test]
fn id_is_sticky_and_takes_effect_at_the_blank_line() {
    check(
        "field-id",
        b"id:1\ndata:a\n\ndata:b\n\n",
        &[event("message", "a", "1"), event("message", "b", "1")],
    );
    check(
        "field-id-null",
        b"id:1\nid:2\0 3\ndata:a\n\n",
        &[event("message", "a", "1")],
    );
    check(
        "empty id resets",
        b"id:1\ndata:a\n\nid\ndata:b\n\n",
        &[event("message", "a", "1"), message("b")],
    );
    assert_eq!(
        parse([&b"id:1\n\nid:2\n"[..]]).last_event_id,
        "1",
        "an unfinished event's id does not count"
    );
    assert_eq!(
        parse([&b"id:1\n\n"[..]]).last_event_id,
        "1",
        "an id counts without data"
    );
}

#[test]
fn id_is_kept_over_a_reconnect() {
    let mut parser = Parser::resuming("…");
    let mut ids = Vec::new();
    parser
        .push(b"data:a\n\nid:2\ndata:b\n\n", &mut |e| {
            ids.push(e.id.to_owned())
        })
        .unwrap();
    assert_eq!(ids, ["…", "2"]);
}

#[test]
fn retry_takes_digits_only() {
    for (stream, expected) in [
        ("retry:3000\n", Some(3000)),
        ("retry: 03000\n", Some(3000)),
        ("retry:3000\nretry:1000x\n", Some(3000)),
        ("retry:3000\nretry\n", Some(3000)),
        ("retry:3000\nretry:\n", Some(3000)),
        ("retry: +5\n", None),
        ("retry:-5\n", None),
        ("retry:1.5\n", None),
        ("retry:  5\n", None),
        ("retry:5 \n", None),
        ("retry:٣\n", None),
        ("retry:5", None),
        ("retry:0\n", Some(0)),
        ("retry:99999999999999999999999999\n", Some(u64::MAX)),
    ] {
        let outcome = parse([stream.as_bytes()]);
        assert_eq!(
            outcome.retry,
            expected.map(Duration::from_millis),
            "{stream:?}"
        );
        assert_eq!(
            outcome,
            reference(stream.as_bytes()),
            "{stream:?}: reference"
        );
    }
}

#[test]
fn an_event_beyond_the_bound_ends_the_stream() {
    // The largest moment: `aaaa` and its LF held, 9 bytes of the second line at hand.
    let fits = b"data:aaaa\ndata:bbbb\n\n";
    let too_large = b"data:x\n\ndata:aaaa\ndata:bbbbb\n\ndata:y\n\n";
    for size in 1..=too_large.len() {
        let mut parser = Parser {
            limit: 14,
            ..Parser::new()
        };
        let mut data = Vec::new();
        for chunk in fits.chunks(size) {
            parser
                .push(chunk, &mut |e| data.push(e.data.to_owned()))
                .unwrap();
        }
        assert_eq!(data, ["aaaa\nbbbb"], "chunks of {size}");

        let mut parser = Parser {
            limit: 14,
            ..Parser::new()
        };
        let mut data = Vec::new();
        let results: Vec<_> = too_large
            .chunks(size)
            .map(|chunk| parser.push(chunk, &mut |e| data.push(e.data.to_owned())))
            .collect();
        assert_eq!(results.last(), Some(&Err(Overflow)), "chunks of {size}");
        assert_eq!(data, ["x"], "chunks of {size}");
        assert_eq!((parser.line.capacity(), parser.data.capacity()), (0, 0));
    }
}

#[test]
fn an_endless_line_is_refused_before_it_fills_the_memory() {
    let mut parser = Parser::new();
    let chunk = vec![b'x'; 1024 * 1024];
    let taken = (0..32)
        .take_while(|_| parser.push(&chunk, &mut |_| ()).is_ok())
        .count();
    assert_eq!(taken, 16);
}

#[test]
fn a_large_event_does_not_stay_in_memory() {
    let mut parser = Parser::new();
    let mut bytes = 0;
    let stream = [b"data:".as_slice(), &vec![b'x'; 1024 * 1024], b"\n\n"].concat();
    for chunk in stream.chunks(4096) {
        parser.push(chunk, &mut |e| bytes += e.data.len()).unwrap();
    }
    assert_eq!(bytes, 1024 * 1024);
    assert!(parser.line.capacity() + parser.data.capacity() <= 2 * KEPT_CAPACITY);
}

/// Bytes that often mean something to the parser.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            &b"data"[..],
            b"data:",
            b"data: ",
            b"event:",
            b"id:",
            b"id: 7",
            b"retry:",
            b"12",
            b":",
            b" ",
            b"\n",
            b"\n\n",
            b"\r",
            b"\r\n",
            b"\r\n\r\n",
            b"\0",
            b"\xEF",
            b"\xBB",
            b"\xBF",
            b"\xEF\xBB\xBF",
            b"x",
            "好".as_bytes(),
            "😀".as_bytes(),
            b"\xF0\x9F",
            b"\x98",
            b"\xFF",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_agree_with_the_reference(bytes in stream()) {
        prop_assert_eq!(parse([&bytes[..]]), reference(&bytes));
    }

    #[test]
    fn any_chunking_gives_the_same_events(bytes in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        prop_assert_eq!(parse(chunks), reference(&bytes));
    }
}

//! Little that becomes much: what is decompressed is held to the same bounds as what is not, on both ends; and
//! what else breaks the rules is refused by the second WebSocket library as by the first.

use std::net::SocketAddr;

use flate2::{Compress, Compression as Level, FlushCompress};
use pushbench::{
    client::{Connector, Ended},
    sse::EVENT_BYTES_MAX,
};
use pushbench_server::{
    config::Config,
    contract::{
        deflate::extension,
        factors::{Coding, Compression, Factors, WsLibrary},
        transport::Transport,
    },
    counters::Counter,
    transport::encoder::Encoder,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::support::{Running, feed, soon, start, until};

fn deflating() -> Factors {
    Factors {
        ws_library: WsLibrary::Yawc,
        compression: Compression::Deflate {
            window_bits: 15,
            takeover: true,
        },
        ..Factors::default()
    }
}

/// A message as permessage-deflate has it (RFC 7692 §7.2.1).
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 64);
    let mut state = Compress::new(Level::best(), false);
    state
        .compress_vec(message, &mut bytes, FlushCompress::Sync)
        .unwrap();
    assert_eq!(state.total_in() as usize, message.len());
    bytes.truncate(bytes.len() - 4);
    bytes
}

const FIN: u8 = 0x80;
const DEFLATED: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CONTINUATION: u8 = 0;

/// A frame (RFC 6455 §5.2); a client's is masked, here by nothing.
fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mask_bit = u8::from(masked) << 7;
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(mask_bit | short as u8),
        middling @ 126..65_536 => {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&(middling as u16).to_be_bytes());
        }
        long => {
            frame.push(mask_bit | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(if masked { &[0; 4] } else { &[] });
    frame.extend_from_slice(payload);
    frame
}

/// Upgrades a connection by hand; the answer's head.
async fn upgraded(server: &Running) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-extensions: {}\r\n\r\n",
        extension(15, true)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    (stream, head)
}

/// Reads a head and nothing behind it.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("a head", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Sends frames, and reads to the connection's end: the code of the close that came.
async fn close_code(stream: &mut TcpStream, frames: &[Vec<u8>]) -> u16 {
    stream.write_all(&frames.concat()).await.unwrap();
    let header = soon("a frame", stream.read_u16()).await.unwrap();
    assert_eq!(header >> 8, 0x88, "a close, and nothing before it");
    let code = stream.read_u16().await.unwrap();
    let mut reason = vec![0; usize::from(header & 0x7f) - 2];
    stream.read_exact(&mut reason).await.unwrap();
    stream.shutdown().await.unwrap();
    let rest = soon("the end", stream.read_to_end(&mut reason)).await;
    assert_eq!(rest.unwrap(), 0, "one close is enough");
    code
}

#[tokio::test]
async fn the_server_refuses_what_breaks_the_rules_by_its_code_and_counts_it() {
    let large = deflated(&vec![b'x'; 1 << 20]);
    assert!(large.len() < 4_096, "a bomb: {}", large.len());
    let halves = large.split_at(large.len() / 2);
    let bomb = FIN | DEFLATED | TEXT;
    for (frames, code) in [
        (vec![frame(bomb, &large, true)], 1009),
        (
            vec![
                frame(DEFLATED | TEXT, halves.0, true),
                frame(FIN | CONTINUATION, halves.1, true),
            ],
            1009,
        ),
        (vec![frame(FIN | TEXT, &[b'x'; 65_537], true)], 1009),
        (vec![frame(FIN | BINARY, b"{}", true)], 1003),
        (vec![frame(FIN | TEXT, &[0xff, 0xfe], true)], 1007),
        (vec![frame(FIN | CONTINUATION, b"x", true)], 1002),
        (vec![frame(FIN | TEXT, b"not masked", false)], 1002),
        // No deflate: the library has no better word for it.
        (vec![frame(bomb, &[0xff; 8], true)], 1011),
    ] {
        let server = start(Config {
            factors: deflating(),
            ..Config::default()
        })
        .await;
        let (mut stream, head) = upgraded(&server).await;
        assert!(head.contains(&extension(15, true)), "{head}");
        assert_eq!(close_code(&mut stream, &frames).await, code);
        assert_eq!(server.count(Counter::RefusedBodies), 1, "{code}");
        until("the connection's end", || {
            server.count(Counter::Closed) == 1
        })
        .await;
    }
}

#[tokio::test]
async fn the_largest_message_is_heard_deflated_or_not_and_one_byte_more_is_not() {
    let limit = Config::default().limits.message_bytes;
    for (length, heard) in [(limit, true), (limit + 1, false)] {
        let ask = vec![b'x'; length];
        for message in [
            frame(FIN | TEXT, &ask, true),
            frame(FIN | DEFLATED | TEXT, &deflated(&ask), true),
        ] {
            let server = start(Config {
                factors: deflating(),
                ..Config::default()
            })
            .await;
            let (mut stream, _) = upgraded(&server).await;
            stream.write_all(&message).await.unwrap();
            let first = soon("an answer", stream.read_u8()).await.unwrap();
            // A refusal in words, deflated as all that the server says; or a close.
            let expected = if heard { FIN | DEFLATED | TEXT } else { 0x88 };
            assert_eq!(first, expected, "{length}");
        }
    }
}

#[tokio::test]
async fn pings_are_answered_however_many_come_at_once() {
    let server = start(Config {
        factors: deflating(),
        ..Config::default()
    })
    .await;
    let (mut stream, _) = upgraded(&server).await;
    let pings: Vec<_> = (0..1_000_u16)
        .map(|n| frame(FIN | 9, &n.to_be_bytes(), true))
        .collect();
    stream.write_all(&pings.concat()).await.unwrap();
    for n in 0..1_000_u16 {
        let mut pong = [0; 4];
        soon("a pong", stream.read_exact(&mut pong)).await.unwrap();
        assert_eq!(pong[..2], [FIN | 10, 2]);
        assert_eq!(pong[2..], n.to_be_bytes());
    }
}

/// A server that answers every request with these bytes; `{accept}` becomes what its key asks for.
async fn answering(head: String, body: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = self::head(&mut stream).await;
        let key = request
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        let head = head.replace("{accept}", &accept);
        stream.write_all(head.as_bytes()).await.unwrap();
        if key.is_some() {
            // Nothing may come before the ask, whose first byte this is.
            stream.read_u8().await.unwrap();
        }
        // The client hangs up in the middle.
        let _ = stream.write_all(&body).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    address
}

/// Asks and receives until the connection ends.
async fn end(transport: Transport, factors: Factors, server: SocketAddr) -> Ended {
    let connector = Connector::new(transport, factors, server.into());
    let ended = async {
        let mut wire = connector.connect().await?;
        wire.ask(&feed(None)).await?;
        let nothing = pushbench::client::receive(wire.as_mut(), |_| None::<Result<(), Ended>>);
        nothing.await
    };
    soon("an end", ended).await.unwrap_err()
}

#[tokio::test]
async fn a_client_holds_no_more_of_an_event_than_its_bound() {
    let bound = format!("larger than {EVENT_BYTES_MAX} bytes");
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(coding, 1).unwrap();
        let mut body = encoder.event(b"data: ").unwrap();
        let mib = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            body.extend(encoder.event(&mib).unwrap());
        }
        assert!(body.len() < 1 << 20, "a bomb: {}", body.len());
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {}\r\n\r\n",
            coding.name()
        );
        let server = answering(head, body).await;
        let factors = Factors {
            compression: Compression::Coding(coding, 1),
            ..Factors::default()
        };
        let ended = end(Transport::SseH1, factors, server).await;
        assert!(ended.to_string().contains(&bound), "{coding:?}: {ended}");
    }
    let head = format!(
        "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {{accept}}\r\nsec-websocket-extensions: {}\r\n\r\n",
        extension(15, true)
    );
    let message = deflated(&vec![b'x'; EVENT_BYTES_MAX]);
    let server = answering(head, frame(FIN | DEFLATED | TEXT, &message, false)).await;
    let ended = end(Transport::WsH1, deflating(), server).await;
    assert!(ended.to_string().contains(&bound), "{ended}");
}

#[tokio::test]
async fn a_coding_that_breaks_off_is_no_proper_end() {
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(coding, 1).unwrap();
        let body = encoder.event(b"data: 1\n\n").unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {}\r\n\
             content-length: {}\r\n\r\n",
            coding.name(),
            body.len()
        );
        let server = answering(head, body).await;
        let factors = Factors {
            compression: Compression::Coding(coding, 1),
            ..Factors::default()
        };
        let ended = end(Transport::SseH1, factors, server).await;
        assert!(ended.to_string().contains("breaks off"), "{ended}");
    }
}

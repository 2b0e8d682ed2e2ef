//! The frames of a server of HTTP/2 made by hand (RFC 9113, RFC 7541).

use pushbench_server::contract::transport::Transport;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Types of frames.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

/// `:status: 200` and `:status: 404` by the static table.
const OK: &[u8] = &[0x88];
pub const NOT_FOUND: &[u8] = &[0x8d];

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The head of the answer to a client's first request.
pub fn head(fields: &[&[u8]], ended: bool) -> Vec<u8> {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let flags = END_HEADERS | if ended { END_STREAM } else { 0 };
    frame(HEADERS, flags, 1, &fields.concat())
}

/// A field that is in no table.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// Settings that allow a WebSocket or do not.
fn settings(connect_protocol: bool) -> Vec<u8> {
    let allowed: &[u8] = if connect_protocol {
        &[0, 8, 0, 0, 0, 1]
    } else {
        &[]
    };
    frame(SETTINGS, 0, 0, allowed)
}

/// Says hello once the preface's first half was read, and waits for a request; what is to answer it. An
/// answer that begins with settings has them for its hello.
pub async fn until_asked(stream: &mut TcpStream, mut answer: Vec<u8>) -> Vec<u8> {
    let hello = match answer.get(3) {
        Some(&SETTINGS) => std::mem::take(&mut answer),
        _ => settings(true),
    };
    if stream.write_all(&hello).await.is_err() {
        return answer;
    }
    let mut rest_of_preface = [0; 6];
    let _ = stream.read_exact(&mut rest_of_preface).await;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return answer;
        }
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let _ = stream.read_exact(&mut vec![0; length]).await;
        if head[3] == HEADERS {
            return answer;
        }
    }
}

/// Answers that are none of the transport's, and what the sentence must name.
pub fn other_paths(transport: Transport) -> Vec<(Vec<u8>, &'static str)> {
    let of_type = |media_type| head(&[OK, &field("content-type", media_type)], false);
    let http1 = |head: &str| head.as_bytes().to_vec();
    let mut paths = vec![
        (
            http1("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"),
            "`HTTP/1.1 200 text/event-stream` came",
        ),
        (
            http1("HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r\n"),
            "`HTTP/1.1 101` came",
        ),
        (b"SSH-2.0-x\r\n".to_vec(), "no HTTP/2"),
        (of_type("text/html; x"), "`HTTP/2.0 200 text/html` came"),
    ];
    if transport == Transport::WsH2 {
        let extensions = field("sec-websocket-extensions", "permessage-deflate");
        paths.push((settings(false), "without extended CONNECT"));
        paths.push((
            head(&[OK, &extensions], false),
            "websocket with permessage-deflate` came",
        ));
    } else {
        paths.push((head(&[OK], false), "`HTTP/2.0 200` came"));
    }
    paths
}

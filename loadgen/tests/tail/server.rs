//! A server that knows nothing of HTTP but where a request ends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// The head of an event stream that ends with its connection.
pub const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// Ends reconnecting.
pub const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// An answer in one piece.
pub fn whole(answer: &str) -> Vec<Vec<u8>> {
    vec![answer.as_bytes().to_vec()]
}

/// A socket with an address that refuses connections until it listens.
pub fn bound() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

/// Answers one connection after the other with the pieces given for it, each written on its own, and
/// returns the requests.
pub async fn serve(answers: Vec<Vec<Vec<u8>>>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (
        listener.local_addr().unwrap(),
        tokio::spawn(answer_all(listener, answers)),
    )
}

/// As [`serve`], on a listener of the caller's.
pub async fn answer_all(listener: TcpListener, answers: Vec<Vec<Vec<u8>>>) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        requests.push(read_request(&mut stream).await);
        for piece in answer {
            // A client that has seen enough may have left.
            if stream.write_all(&piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    requests
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        assert_ne!(
            stream.read_buf(&mut request).await.unwrap(),
            0,
            "no whole request: {text}"
        );
    }
}

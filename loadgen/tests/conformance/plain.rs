//! Clients by libraries, that say what a test tells them to, over either version of HTTP.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::support::{Running, soon};

pub async fn get(server: &Running, http2: bool, target: &str) -> (u16, String) {
    let response = send(server, http2, request(server, "GET", target, "")).await;
    read(response).await
}

pub async fn post(server: &Running, http2: bool, target: &str, body: &str) -> (u16, String) {
    let response = send(server, http2, request(server, "POST", target, body)).await;
    read(response).await
}

/// Sends a text message; the first that is answered.
pub async fn say(server: &Running, http2: bool, text: &str) -> String {
    let mut upgrade = request(server, "GET", "/ws", "");
    let headers = upgrade.headers_mut();
    headers.insert("sec-websocket-version", "13".parse().unwrap());
    if http2 {
        *upgrade.method_mut() = Method::CONNECT;
        let protocol = Protocol::from_static("websocket");
        upgrade.extensions_mut().insert(protocol);
    } else {
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "websocket".parse().unwrap());
        let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
        headers.insert("sec-websocket-key", key.parse().unwrap());
    }
    let response = send(server, http2, upgrade).await;
    let upgraded = soon("an upgrade", hyper::upgrade::on(response)).await;
    let stream = TokioIo::new(upgraded.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    socket.send(Message::text(text)).await.unwrap();
    let answer = soon("an answer", socket.next()).await.unwrap().unwrap();
    answer.into_text().unwrap().to_string()
}

fn request(server: &Running, method: &str, target: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://{}{target}", server.address))
        .header("content-type", "application/json")
        .body(Full::from(Bytes::from(body.to_owned())))
        .unwrap()
}

/// On a connection of its own.
async fn send(
    server: &Running,
    http2: bool,
    mut request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    if http2 {
        use hyper::client::conn::http2;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        if request.method() == Method::CONNECT {
            settled(server, &mut sender).await;
        }
        return soon("a response", sender.send_request(request))
            .await
            .unwrap();
    }
    use hyper::client::conn::http1;
    let host = server.address.to_string();
    request.headers_mut().insert("host", host.parse().unwrap());
    *request.uri_mut() = request
        .uri()
        .path_and_query()
        .unwrap()
        .as_str()
        .parse()
        .unwrap();
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    soon("a response", sender.send_request(request))
        .await
        .unwrap()
}

/// A response has come, so the settings have: before, an extended `CONNECT` may not be sent.
async fn settled(
    server: &Running,
    sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>,
) {
    let asked = sender.send_request(request(server, "GET", "/nothing", ""));
    assert_eq!(soon("a response", asked).await.unwrap().status(), 404);
}

async fn read(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = soon("a body", response.into_body().collect())
        .await
        .unwrap();
    (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

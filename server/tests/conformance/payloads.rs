//! Payload bytes survive every transport exactly, and are the same on all of them.

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use pushbench_server::{
    config::Config,
    contract::{
        factors::Factors,
        framing,
        message::{self, Envelope},
        notice::Notice,
        transport::{Family, Http, Transport},
    },
    counters::Counter,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::Role},
};

use super::{
    http2::Client,
    support::{Answer, Running, messages, soon, start},
};

fn awkward() -> Vec<String> {
    let texts = [
        "",
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        "a\rb\nc\r\nd\n",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        " leading and trailing ",
        ": comment",
        "data: nested\n\nevent: notice\n\n",
        "id: 1\nretry: 1",
        "😀👩‍👩‍👧‍👦",
        "好",
        "\"\\/\u{8}\u{c}\t\u{7f}",
        "{\"notice\":\"end\"}",
    ];
    let mut texts: Vec<_> = texts.map(str::to_owned).into();
    texts.push("😀\r\n".repeat((1 << 20) / 6));
    texts.push("x".repeat(1 << 20));
    texts
}

/// Every payload of the feed over one connection, until the feed ends.
async fn payloads(server: &Running, transport: Transport) -> Vec<String> {
    let capabilities = transport.capabilities();
    let http2 = capabilities.http == Http::H2;
    match capabilities.family {
        family if capabilities.http == Http::Bare => of_floor(server, family).await,
        Family::Poll if http2 => polled_over_http2(server).await,
        Family::Poll => polled(server).await,
        Family::WebSocket if http2 => {
            let mut client = Client::connect(server).await;
            let upgrade = client.websocket();
            let upgraded = hyper::upgrade::on(client.send(upgrade).await).await;
            let stream = TokioIo::new(upgraded.unwrap());
            of_websocket(WebSocketStream::from_raw_socket(stream, Role::Client, None).await).await
        }
        Family::WebSocket => of_websocket(server.websocket(None).await.unwrap()).await,
        Family::Fetch if http2 => {
            let mut client = Client::connect(server).await;
            let mut request = client.request("POST", "/ndjson/feed");
            let json = "application/json".parse().unwrap();
            request.headers_mut().insert("content-type", json);
            *request.body_mut() = Full::from("{}");
            lines(&client.ask(request).await.1)
        }
        Family::Fetch => {
            let answer = server.post("/ndjson/feed", "application/json", "{}").await;
            assert!(answer.complete);
            assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
            lines(&answer.body)
        }
        _ => {
            let body = if http2 {
                let mut client = Client::connect(server).await;
                let request = client.request("GET", "/sse/feed");
                client.ask(request).await.1
            } else {
                let answer = server.get("/sse/feed").await;
                assert!(answer.complete);
                answer.body
            };
            let messages = messages(&body).into_iter();
            messages.map(|(_, payload)| payload.to_owned()).collect()
        }
    }
}

fn lines(body: &str) -> Vec<String> {
    let lines = body.split_terminator('\n');
    let payloads = lines.filter(|line| Notice::decode(line).is_err());
    payloads.map(str::to_owned).collect()
}

async fn of_websocket<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: WebSocketStream<S>,
) -> Vec<String> {
    let ask = Message::text("{\"feed\":{}}");
    client.send(ask).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        let message = soon("a message", client.next()).await.unwrap().unwrap();
        if heard(message.to_text().unwrap(), &mut payloads) {
            return payloads;
        }
    }
}

/// The same of a floor.
async fn of_floor(server: &Running, family: Family) -> Vec<String> {
    let mut stream = TcpStream::connect(server.bare).await.unwrap();
    match family {
        Family::WebSocket => {
            let opened = client_async(format!("ws://{}/ws", server.bare), stream);
            let (client, _) = soon("an upgrade", opened).await.unwrap();
            of_websocket(client).await
        }
        Family::Raw => {
            let ask = framing::prefixed("{\"feed\":{}}");
            stream.write_all(&ask).await.unwrap();
            let mut payloads = Vec::new();
            loop {
                let length = soon("a message", stream.read_u32()).await.unwrap();
                let mut payload = vec![0; length as usize];
                soon("a message", stream.read_exact(&mut payload))
                    .await
                    .unwrap();
                if heard(std::str::from_utf8(&payload).unwrap(), &mut payloads) {
                    return payloads;
                }
            }
        }
        _ => {
            let ask = b"POST /feed HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(ask).await.unwrap();
            let answer = Answer::first(&mut stream).await;
            assert!(answer.complete);
            let messages = messages(&answer.body).into_iter();
            messages.map(|(_, payload)| payload.to_owned()).collect()
        }
    }
}

/// Takes down a message; whether it was the end.
fn heard(text: &str, payloads: &mut Vec<String>) -> bool {
    match Notice::decode(text) {
        Ok(notice) => matches!(notice, Notice::End { .. }),
        Err(_) => {
            payloads.push(text.to_owned());
            false
        }
    }
}

/// The same by one request after the other.
async fn polled(server: &Running) -> Vec<String> {
    let mut stream = server.connect().await;
    let mut payloads = Vec::new();
    let mut fields = String::new();
    loop {
        let host = server.address;
        let request = format!("GET /poll/feed HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = Answer::first(&mut stream).await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        for line in answer.body.split_terminator('\n') {
            if heard(line, &mut payloads) {
                return payloads;
            }
        }
        let last = answer.header("last-event-id").unwrap();
        fields = format!("Last-Event-ID: {last}\r\nPrefer: wait=25\r\n");
    }
}

/// The same, each request on a stream of its own.
async fn polled_over_http2(server: &Running) -> Vec<String> {
    let mut client = Client::connect(server).await;
    let mut payloads = Vec::new();
    let mut last = None;
    loop {
        let mut request = client.request("GET", "/poll/feed");
        if let Some(last) = last {
            let headers = request.headers_mut();
            headers.insert("last-event-id", last);
            headers.insert("prefer", "wait=25".parse().unwrap());
        }
        let answer = client.send(request).await;
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        last = Some(answer.headers()["last-event-id"].clone());
        let body = soon("a body", answer.into_body().collect()).await;
        let body = body.unwrap().to_bytes();
        for line in std::str::from_utf8(&body).unwrap().split_terminator('\n') {
            if heard(line, &mut payloads) {
                return payloads;
            }
        }
    }
}

#[tokio::test]
async fn every_text_arrives_as_it_was_published_and_alike_on_all_transports() {
    for envelope in [Envelope::Minimal, Envelope::OpenAi] {
        let server = start(Config {
            factors: Factors {
                envelope,
                ..Factors::default()
            },
            ..Config::default()
        })
        .await;
        let subscribers = Transport::ALL.len() as u64;
        let publish = async {
            server
                .until("all subscribed", |s| {
                    s.count(Counter::Subscribed) == subscribers
                })
                .await;
            for text in awkward() {
                server.shared.feed.publish(1, &text);
                // The connections have their turn, so that messages come alone and in groups.
                tokio::task::yield_now().await;
            }
            server.shared.feed.end(false);
        };
        let received = Transport::ALL.map(|transport| payloads(&server, transport));
        let received = futures_util::future::join_all(received);
        let ((), received) = tokio::join!(publish, received);
        for payloads in &received {
            let texts: Vec<_> = payloads
                .iter()
                .map(|payload| message::decode(payload).unwrap().text.into_owned())
                .collect();
            assert!(
                texts == awkward(),
                "{envelope:?}: a text changed on its way"
            );
            assert!(payloads == &received[0], "{envelope:?}: transports differ");
        }
        assert_eq!(server.count(Counter::Dropped), 0);
    }
}

//! A server in this process, and clients that say exactly what a test tells them to.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use pushbench_server::{
    config::Config,
    counters::{Counter, Counters},
    server::Server,
    shared::Shared,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, client::IntoClientRequest, http::HeaderValue},
};

/// A test that waits this long has failed; none measures time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test instead of hanging it.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

pub struct Running {
    pub address: SocketAddr,
    /// Of the floors.
    pub bare: SocketAddr,
    pub shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub async fn start(config: Config) -> Running {
    let config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        bare: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..config
    };
    let server = Server::bind(config, Counters::private().unwrap())
        .await
        .unwrap();
    let (address, shared) = (server.addresses()[0], server.shared());
    let bare = server.endpoint().unwrap().bare.unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(async { drop(stopped.await) }));
    Running {
        address,
        bare,
        shared,
        stop,
        task,
    }
}

impl Running {
    pub async fn connect(&self) -> TcpStream {
        soon("connect", TcpStream::connect(self.address))
            .await
            .unwrap()
    }

    /// Sends `request` on a connection of its own and reads until the server closes it.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        Answer::read(&mut stream).await
    }

    /// A well-formed request that asks for the connection to be closed behind it.
    pub async fn get(&self, target: &str) -> Answer {
        self.ask(self.request("GET", target, "")).await
    }

    pub async fn post(&self, target: &str, content_type: &str, body: &str) -> Answer {
        let length = body.len();
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
        self.ask(self.request("POST", target, &headers) + body)
            .await
    }

    pub fn request(&self, method: &str, target: &str, headers: &str) -> String {
        let host = self.address;
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n")
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.shared.meters.counters.read(counter)
    }

    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let looks = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon(what, looks).await;
    }

    pub async fn websocket(
        &self,
        origin: Option<&str>,
    ) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        let mut request = format!("ws://{}/ws", self.address)
            .into_client_request()
            .unwrap();
        if let Some(origin) = origin {
            let origin = HeaderValue::from_str(origin).unwrap();
            request.headers_mut().insert("origin", origin);
        }
        let opened = client_async(request, self.connect().await);
        Ok(soon("WebSocket handshake", opened).await?.0)
    }

    /// Asks the server to stop and waits until it has.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        soon("the server's end", self.task).await.unwrap();
    }
}

/// A response, read to the end of its connection.
#[derive(Debug)]
pub struct Answer {
    /// 0 when the connection ended without a response.
    pub status: u16,
    head: String,
    pub body: String,
    /// Whether the body came to its proper end: the length promised, or the last chunk.
    pub complete: bool,
}

impl Answer {
    pub async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset is an end like any other; what came before it counts.
        let _ = soon("the response's end", stream.read_to_end(&mut bytes)).await;
        Self::parse(&bytes)
    }

    /// The head and the promised body of one response, on a connection that may stay open.
    pub async fn first(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        loop {
            // A character may be cut in two where a read ends.
            let whole = std::str::from_utf8(&bytes).is_ok_and(|text| text.contains("\r\n\r\n"));
            if whole && Self::parse(&bytes).complete {
                return Self::parse(&bytes);
            }
            let read = soon("a response", stream.read_buf(&mut bytes)).await;
            assert_ne!(read.unwrap(), 0, "the connection ended");
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).map_or(0, |s| s.parse().unwrap());
        let mut answer = Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
            complete: true,
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            (answer.body, answer.complete) = unchunk(body);
        } else if let Some(length) = answer.header("content-length") {
            answer.complete = length == body.len().to_string();
        }
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut fields = lines.filter_map(|line| line.split_once(": "));
        Some(fields.find(|(n, _)| n.eq_ignore_ascii_case(name))?.1)
    }

    /// The reason in a JSON error; fails the test when it is not one.
    pub fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not a JSON error ({error}): {self:?}"));
        assert_eq!(self.header("content-type"), Some("application/json"));
        json["error"].as_str().expect("an error").to_owned()
    }
}

fn unchunk(mut body: &str) -> (String, bool) {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (whole, rest == "\r\n");
        }
        let Some(chunk) = rest.get(..size) else {
            break;
        };
        whole.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    (whole, false)
}

/// The fields of each event, in their order.
pub fn events(body: &str) -> Vec<Vec<(&str, &str)>> {
    let blocks = body.strip_suffix("\n\n").unwrap_or(body).split("\n\n");
    blocks
        .map(|block| {
            let lines = block.lines();
            lines
                .map(|line| line.split_once(": ").unwrap_or((line, "")))
                .collect()
        })
        .collect()
}

/// `id:` and payload of each message, notices left out.
pub fn messages(body: &str) -> Vec<(Option<&str>, &str)> {
    let events = events(body).into_iter();
    let messages = events.filter(|event| !event.contains(&("event", "notice")));
    messages
        .map(|event| {
            let field = |name| event.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            (field("id"), field("data").unwrap())
        })
        .collect()
}

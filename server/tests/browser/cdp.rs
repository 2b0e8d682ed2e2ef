//! Just enough of the Chrome DevTools Protocol: start a browser, open pages, evaluate scripts.

use std::{path::Path, process::Stdio, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::support::soon;

/// A running headless Chromium, ended when dropped.
pub struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    _process: Child,
    _profile: TempDir,
}

/// A page of it.
pub struct Page(String);

impl Browser {
    /// Starts the Chromium that `PUSHBENCH_CHROMIUM` names, else the one in the path.
    pub async fn start() -> Self {
        let program = std::env::var("PUSHBENCH_CHROMIUM").unwrap_or("chromium".into());
        let profile = TempDir::new().unwrap();
        let process = Command::new(&program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            // A test must not depend on the network, nor tell it anything.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-port=0", "about:blank"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {program}: {error}; install it or set PUSHBENCH_CHROMIUM")
            });
        let address = soon("the browser", endpoint(profile.path())).await;
        let (socket, _) = connect_async(address).await.unwrap();
        Self {
            socket,
            last_id: 0,
            _process: process,
            _profile: profile,
        }
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&mut self, url: &str) -> Page {
        let target = self
            .call(None, "Target.createTarget", json!({ "url": url }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", attach).await;
        let page = Page(session["sessionId"].as_str().unwrap().to_owned());
        let loaded = format!("document.readyState === 'complete' && location.href === {url:?}");
        self.until(&page, &loaded).await;
        page
    }

    /// The value of an expression, awaited when it is a promise.
    pub async fn evaluate(&mut self, page: &Page, expression: &str) -> Value {
        let ask = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        });
        let answer = self.call(Some(page), "Runtime.evaluate", ask).await;
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, page: &Page, expression: &str) {
        let looks = async {
            while self.evaluate(page, expression).await != true {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(expression, looks).await;
    }

    async fn call(&mut self, page: Option<&Page>, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(Page(session)) = page {
            command["sessionId"] = json!(session);
        }
        let command = Message::text(command.to_string());
        self.socket.send(command).await.unwrap();
        // Events come between; none matters here.
        loop {
            let message = soon(method, self.socket.next()).await.unwrap().unwrap();
            let mut answer: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }
}

/// Chromium writes where it listens into its profile: port, then path.
async fn endpoint(profile: &Path) -> String {
    loop {
        let written = std::fs::read_to_string(profile.join("DevToolsActivePort"));
        let written = written.unwrap_or_default();
        if let Some((port, path)) = written.split_once('\n') {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! The samples of the two articles behind the question, so that they run unchanged against this server.
//!
//! | URL | Serves |
//! |---|---|
//! | `GET /` | the demo page, 建立 SSE 连接 and 断开 SSE 连接 |
//! | `GET /sse?content=…` | ten events, one a second: `event: customEvent`, `id: N` from 0, `retry: 30000`, `data: {"id","time","params"}` with the query as `params` |
//! | `POST /fetch-sse` with `{"content":"…"}` | the same ten events with the body as `params`, for `fetch` |
//! | `POST /api/gpt/get` with `{"message":"…" or […],"role":"…"}` | a chat turn as raw UTF-8 text, token by token |
//!
//! Any origin may use them, `null` included: the samples are opened from files and from other servers.
//! The published endpoint ignored `Last-Event-ID`, so that each reconnect began at 0 again; here the
//! events that are left follow, and after the last one 204 ends the `EventSource`.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_http::cors::{Any, CorsLayer};

use crate::{
    connection::Connection,
    contract::{ask::ChatAsk, clock::now_ns, message},
    corpus::Language,
    hub::{Item, Subscription},
    problem::Problem,
    routes::{unreadable, wrong_method},
    shared::Shared,
};

/// Events of one demo stream, as published.
const EVENTS: u64 = 10;

/// What the published stream tells its client to wait before a reconnect.
const RETRY: Duration = Duration::from_secs(30);

/// Where the page, opened from a file, finds the server.
const DEFAULT_SERVER: &str = "http://127.0.0.1:3000";

const PAGE: &str = include_str!("../pages/articles.html");

type App = State<Arc<Shared>>;

/// The articles' endpoints.
pub fn router() -> Router<Arc<Shared>> {
    let any_origin = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        .allow_headers(Any)
        // A public page that reaches for a private address asks for this too.
        .allow_private_network(true)
        // The answer is the same for every origin.
        .vary([]);
    Router::new()
        .route("/", get(page))
        .route("/sse", get(sse))
        .route("/fetch-sse", post(fetch_sse))
        .route("/api/gpt/get", post(gpt))
        .method_not_allowed_fallback(wrong_method)
        .layer(any_origin)
}

/// The page names the server it came from, so that a copy of it finds its way back; its own script
/// and style are the only ones it may run.
async fn page(headers: HeaderMap) -> impl IntoResponse {
    let nonce = BASE64_STANDARD.encode(rand::random::<[u8; 16]>());
    let mut page = PAGE.replace("nonce=\"\"", &format!("nonce=\"{nonce}\""));
    // The guard has let only host[:port] through, which needs no escaping.
    if let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) {
        page = page.replace(DEFAULT_SERVER, &format!("http://{host}"));
    }
    // Loopback beside ourselves: the second sample is published on a port of its own.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self' http://127.0.0.1:* http://localhost:*; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (HeaderName::from_static("content-security-policy"), policy),
        (
            HeaderName::from_static("x-content-type-options"),
            "nosniff".to_owned(),
        ),
    ];
    (headers, page)
}

async fn sse(
    State(shared): App,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let params = query
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let next = last.map_or(0, |last| last.saturating_add(1));
    if next >= EVENTS {
        return StatusCode::NO_CONTENT.into_response();
    }
    streamed(
        "text/event-stream",
        ten_events(shared, next, Value::Object(params)),
    )
}

#[derive(Deserialize)]
struct Content {
    content: String,
}

async fn fetch_sse(State(shared): App, body: Bytes) -> Result<Response, Problem> {
    let Content { content } = read(&shared, &body)?;
    let events = ten_events(shared, 0, json!({ "content": content }));
    Ok(streamed("text/event-stream", events))
}

/// What is left of the ten events from `first` on, each due on the schedule.
fn ten_events(
    shared: Arc<Shared>,
    first: u64,
    params: Value,
) -> impl Stream<Item = String> + Send + 'static {
    let (stopping, start_ns) = (shared.stopping(), now_ns());
    stream::iter(first..EVENTS)
        .then(move |id| {
            let period_ns = shared.config.articles_period.as_nanos() as u64;
            let due = shared
                .pacer
                .sleep_until(start_ns + (id - first + 1) * period_ns);
            let params = params.clone();
            async move {
                due.await;
                event(id, &params)
            }
        })
        .take_until(stopping)
}

/// The published order of its fields.
#[derive(Serialize)]
struct Data<'a> {
    id: u64,
    time: String,
    params: &'a Value,
}

fn event(id: u64, params: &Value) -> String {
    // With milliseconds, as JavaScript's `toISOString` has it.
    let time = format!("{:.3}", jiff::Timestamp::now());
    // A plain data structure with string keys: serialization has no way to fail.
    let data = serde_json::to_string(&Data { id, time, params }).unwrap_or_default();
    let retry_ms = RETRY.as_millis();
    format!("event: customEvent\nid: {id}\nretry: {retry_ms}\ndata: {data}\n\n")
}

#[derive(Deserialize)]
struct Question {
    message: Words,
    /// Who speaks; carried, never read.
    #[serde(rename = "role")]
    _role: Option<String>,
}

/// What was said: one text, or the conversation so far in whatever shape the client keeps it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<Value>),
}

/// Answers with a turn like any other's; only the wire is the article's.
async fn gpt(
    State(shared): App,
    Extension(connection): Extension<Arc<Connection>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Question { message, .. } = read(&shared, &body)?;
    let prompt = match message {
        Words::One(text) => text,
        Words::Many(texts) => Value::Array(texts).to_string(),
    };
    let is_ascii = prompt.is_ascii();
    let ask = ChatAsk {
        // In the language of the question; another question, another answer.
        language: if is_ascii { Language::En } else { Language::Zh },
        seed: prompt.len() as u64,
        prompt,
        ..ChatAsk::default()
    };
    let (_, subscription) = shared.chat(&ask)?;
    Ok(streamed(
        "text/plain; charset=utf-8",
        texts(subscription, connection),
    ))
}

/// The tokens of a turn without their envelopes. Each is whole UTF-8, so no chunk ends inside a
/// character.
fn texts(
    subscription: Subscription,
    connection: Arc<Connection>,
) -> impl Stream<Item = String> + Send + 'static {
    stream::unfold(subscription, |mut subscription| async {
        let item = subscription.next().await;
        Some((item, subscription))
    })
    .take_while(|item| ready(!matches!(item, Item::End { .. })))
    .filter_map(move |item| {
        ready(match item {
            Item::Message(message) => {
                connection.hand_over(message.sent_at);
                let decoded = message::decode(&message.payload);
                decoded.ok().map(|message| message.text.into_owned())
            }
            Item::Dropped(_) | Item::End { .. } => None,
        })
    })
}

/// Reads JSON whatever `Content-Type` says: a sample that forgets the header still works, and since
/// any origin may ask anyhow, nothing is won by insisting on a preflight.
fn read<T: DeserializeOwned>(shared: &Shared, body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let refusal = format!("the body is not the JSON this URL takes: {error}");
        unreadable(shared, StatusCode::BAD_REQUEST, refusal)
    })
}

fn streamed(
    content_type: &'static str,
    chunks: impl Stream<Item = String> + Send + 'static,
) -> Response {
    let mut response = Response::new(Body::from_stream(chunks.map(Ok::<_, Infallible>)));
    response.headers_mut().extend([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // The default of HTTP/1.1; the articles list it among what makes an event stream.
        (CONNECTION, HeaderValue::from_static("keep-alive")),
        // nginx buffers a proxied response unless told otherwise.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ]);
    response
}

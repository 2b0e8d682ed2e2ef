//! Which URL serves what, and what every request passes on its way there.
//!
//! | URL | Serves |
//! |---|---|
//! | `GET /sse/chat`, `POST /sse/chat` | one turn as server-sent events; the ask is the query or the JSON body |
//! | `GET /sse/feed`, `POST /sse/feed` | the feed as server-sent events |
//! | `POST /ndjson/chat`, `POST /ndjson/feed` | the same as lines of JSON |
//! | `GET /poll/chat`, `GET /poll/feed` | the same by long polling, an answer a request ([`poll`](crate::transport::poll)) |
//! | `GET /ws` | WebSocket: asks as text messages, streams back; over HTTP/2 by `CONNECT` (RFC 8441) |
//! | `GET /health` | `ok` |
//! | `GET /`, `GET /sse`, `POST /fetch-sse`, `POST /api/gpt/get` | the articles' samples, to any origin ([`articles`]) |
//!
//! An `EventSource` reconnects by itself and continues only where messages carry ids, so a `GET` that
//! says nothing of `resume` means `resume=true`; `resume=false` is honoured.
//!
//! What is refused is answered with a JSON error ([`Problem`]).

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{
        DefaultBodyLimit, FromRequestParts, Query, State, WebSocketUpgrade,
        rejection::{JsonRejection, QueryRejection},
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, Method, StatusCode, Uri, request::Parts},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde::Deserialize;

use crate::{
    compat::articles,
    connection::Connection,
    contract::{
        ask::{ChatAsk, FeedAsk},
        event_id::EventId,
        factors::WsLibrary,
        notice::Notice,
    },
    counters::Counter,
    guard,
    hub::Subscription,
    problem::Problem,
    shared::{Refusal, Shared},
    transport::{
        compressed,
        framing::Framing,
        poll::{Poll, Poller},
        sse, ws, ws_yawc,
    },
};

/// The whole service.
pub fn router(shared: Arc<Shared>) -> Router {
    let upgrades_only = from_fn_with_state(shared.clone(), guard::upgrade);
    let websocket = match shared.config.factors.ws_library {
        WsLibrary::Tungstenite => any(websocket),
        WsLibrary::Yawc => ws_yawc::route(&shared.config),
    };
    let routes = Router::new()
        .route("/sse/chat", get(chat_by_query).post(chat_by_body))
        .route("/sse/feed", get(feed_by_query).post(feed_by_body))
        .route("/ndjson/chat", post(chat_as_lines))
        .route("/ndjson/feed", post(feed_as_lines))
        .route("/poll/chat", get(poll_chat))
        .route("/poll/feed", get(poll_feed))
        .route("/ws", websocket.layer(upgrades_only))
        .route("/health", get("ok"))
        .method_not_allowed_fallback(wrong_method);
    compressed::coded(routes, shared.config.factors.compression)
        .merge(articles::router())
        .fallback(nothing_here)
        // The guard below holds bodies to their bounds.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(shared.clone(), guard::whole_body))
        .layer(from_fn_with_state(shared.clone(), guard::own_host))
        .with_state(shared)
}

/// 404. The path is not echoed: it may be 16 KiB of anything.
async fn nothing_here() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "nothing here: try /, /sse/chat, /sse/feed, /poll/chat, /poll/feed or /ws",
    )
}

/// 405; the framework adds `Allow`.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not answer to {method}", uri.path()),
    )
}

type Connected = Extension<Arc<Connection>>;
type App = State<Arc<Shared>>;

async fn chat_by_query(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    said: Result<Query<OfEventSource>, QueryRejection>,
    ask: Result<Query<ChatAsk>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(mut ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    // What makes this unreadable has made the ask unreadable.
    ask.resume = said.map_or(true, |Query(said)| said.resume);
    chat(&shared, connection, last, ask)
}

/// What an ask by query means when it leaves `resume` out.
#[derive(Deserialize)]
#[serde(default)]
struct OfEventSource {
    resume: bool,
}

impl Default for OfEventSource {
    fn default() -> Self {
        Self { resume: true }
    }
}

async fn chat_by_body(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    ask: Result<Json<ChatAsk>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    chat(&shared, connection, last, ask)
}

async fn chat_as_lines(
    State(shared): App,
    Extension(connection): Connected,
    ask: Result<Json<ChatAsk>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    begin(&shared, connection, shared.chat(&ask), Framing::Lines)
}

fn chat(
    shared: &Shared,
    connection: Arc<Connection>,
    last: Option<EventId>,
    mut ask: ChatAsk,
) -> Result<Response, Problem> {
    ask.after = last.or(ask.after);
    let with_id = ask.resume || ask.after.is_some();
    let framing = Framing::Events { with_id };
    begin(shared, connection, shared.chat(&ask), framing)
}

/// The response that streams what was asked for, if it can be.
fn begin(
    shared: &Shared,
    connection: Arc<Connection>,
    joined: Result<(Notice, Subscription), Refusal>,
    framing: Framing,
) -> Result<Response, Problem> {
    match joined {
        Ok((hello, subscription)) => {
            let streams = shared.register.streams();
            let response = sse::response(&hello, subscription, framing, connection, streams);
            Ok(response)
        }
        // 204 is the standard's way to end an EventSource that reconnects after a complete answer.
        Err(Refusal::Complete) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn feed_by_query(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    said: Result<Query<OfEventSource>, QueryRejection>,
    ask: Result<Query<FeedAsk>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(mut ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    ask.resume = said.map_or(true, |Query(said)| said.resume);
    feed(&shared, connection, last, ask)
}

async fn feed_by_body(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    ask: Result<Json<FeedAsk>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    feed(&shared, connection, last, ask)
}

async fn feed_as_lines(
    State(shared): App,
    Extension(connection): Connected,
    ask: Result<Json<FeedAsk>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    begin(&shared, connection, shared.subscribe(&ask), Framing::Lines)
}

fn feed(
    shared: &Shared,
    connection: Arc<Connection>,
    last: Option<EventId>,
    mut ask: FeedAsk,
) -> Result<Response, Problem> {
    ask.after = last.or(ask.after);
    let framing = Framing::Events {
        with_id: ask.resume,
    };
    begin(shared, connection, shared.subscribe(&ask), framing)
}

async fn poll_chat(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    poll: Poll,
    ask: Result<Query<ChatAsk>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(mut ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    ask.after = last.or(ask.after);
    let poller = Poller {
        subscriber: None,
        after: ask.after,
    };
    let join = || shared.chat(&ask);
    polled(poll.answer(poller, join, &shared, &connection).await)
}

async fn poll_feed(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    poll: Poll,
    ask: Result<Query<FeedAsk>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(mut ask) =
        ask.map_err(|rejection| unreadable(&shared, rejection.status(), rejection.body_text()))?;
    ask.after = last.or(ask.after);
    ask.resume |= poll.goes_on();
    let poller = Poller {
        subscriber: ask.subscriber,
        after: ask.after,
    };
    let join = || shared.subscribe(&ask);
    polled(poll.answer(poller, join, &shared, &connection).await)
}

fn polled(answer: Result<Response, Refusal>) -> Result<Response, Problem> {
    match answer {
        Err(Refusal::Complete) => Ok(StatusCode::NO_CONTENT.into_response()),
        answer => Ok(answer?),
    }
}

async fn websocket(
    State(shared): App,
    Extension(connection): Connected,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        shared.meters.counters.count(Counter::RefusedUpgrades);
        Problem::new(rejection.status(), rejection.body_text())
    })?;
    let limits = &shared.config.limits;
    Ok(upgrade
        .read_buffer_size(shared.config.factors.ws_read_buffer_bytes.get() as usize)
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes)
        .on_upgrade(move |socket| ws::serve(socket, shared, connection)))
}

/// `Last-Event-ID`, when it is one of ours: a stranger's means a fresh start, as the standard has it.
struct LastEventId(Option<EventId>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(last_event_id(&parts.headers)))
    }
}

fn last_event_id(headers: &HeaderMap) -> Option<EventId> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// A body or query that could not be read.
pub(crate) fn unreadable(shared: &Shared, status: StatusCode, message: String) -> Problem {
    shared.meters.counters.count(Counter::RefusedBodies);
    Problem::new(status, message)
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status(), refusal.to_string())
    }
}

impl Refusal {
    /// How HTTP says it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnknownTurn(_) => StatusCode::NOT_FOUND,
            // The standard's way to end an EventSource that reconnects after a complete answer.
            Self::Complete => StatusCode::NO_CONTENT,
            Self::Turns(_) | Self::Polls(_) | Self::Subscribers(_) | Self::Streams(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

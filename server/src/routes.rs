//! Which URL serves what.
//!
//! | URL | Serves |
//! |---|---|
//! | `GET /sse/chat`, `POST /sse/chat` | one turn as server-sent events; the ask is the query or the JSON body |
//! | `GET /sse/feed`, `POST /sse/feed` | the feed as server-sent events |
//! | `GET /ws` | WebSocket: asks as text messages, streams back |
//! | `GET /health` | `ok` |

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{
        DefaultBodyLimit, FromRequestParts, Query, State, WebSocketUpgrade,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{
    connection::Connection,
    contract::{
        ask::{ChatAsk, FeedAsk},
        event_id::EventId,
    },
    counters::Counter,
    server::{Refusal, Shared},
    transport::{sse, ws},
};

/// The whole service.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/sse/chat", get(chat_by_query).post(chat_by_body))
        .route("/sse/feed", get(feed_by_query).post(feed_by_body))
        .route("/ws", get(websocket))
        .route("/health", get("ok"))
        .layer(DefaultBodyLimit::max(shared.config.limits.body_bytes))
        .with_state(shared)
}

type Connected = Extension<Arc<Connection>>;
type App = State<Arc<Shared>>;

async fn chat_by_query(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    ask: Result<Query<ChatAsk>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ask) = ask.map_err(|rejection| {
        Problem::unreadable(&shared, rejection.status(), rejection.body_text())
    })?;
    chat(&shared, connection, last, ask)
}

async fn chat_by_body(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    ask: Result<Json<ChatAsk>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ask) = ask.map_err(|rejection| {
        Problem::unreadable(&shared, rejection.status(), rejection.body_text())
    })?;
    chat(&shared, connection, last, ask)
}

fn chat(
    shared: &Shared,
    connection: Arc<Connection>,
    last: Option<EventId>,
    mut ask: ChatAsk,
) -> Result<Response, Problem> {
    ask.after = last.or(ask.after);
    let with_id = ask.resume || ask.after.is_some();
    match shared.chat(&ask) {
        Ok((hello, subscription)) => Ok(sse::response(&hello, subscription, with_id, connection)),
        // 204 is the standard's way to end an EventSource that reconnects after a complete answer.
        Err(Refusal::Complete) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn feed_by_query(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    ask: Result<Query<FeedAsk>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ask) = ask.map_err(|rejection| {
        Problem::unreadable(&shared, rejection.status(), rejection.body_text())
    })?;
    feed(&shared, connection, last, ask)
}

async fn feed_by_body(
    State(shared): App,
    Extension(connection): Connected,
    LastEventId(last): LastEventId,
    ask: Result<Json<FeedAsk>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(ask) = ask.map_err(|rejection| {
        Problem::unreadable(&shared, rejection.status(), rejection.body_text())
    })?;
    feed(&shared, connection, last, ask)
}

fn feed(
    shared: &Shared,
    connection: Arc<Connection>,
    last: Option<EventId>,
    mut ask: FeedAsk,
) -> Result<Response, Problem> {
    ask.after = last.or(ask.after);
    let (hello, subscription) = shared.subscribe(&ask)?;
    Ok(sse::response(&hello, subscription, ask.resume, connection))
}

async fn websocket(
    State(shared): App,
    Extension(connection): Connected,
    upgrade: WebSocketUpgrade,
) -> Response {
    let limits = &shared.config.limits;
    upgrade
        .read_buffer_size(shared.config.ws_read_buffer)
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes)
        .on_upgrade(move |socket| ws::serve(socket, shared, connection))
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

/// A refused request: status and a JSON body `{"error": "…"}`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
}

impl Problem {
    /// A refusal with this status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    fn unreadable(shared: &Shared, status: StatusCode, message: String) -> Self {
        shared.meters.counters.count(Counter::RefusedBodies);
        Self { status, message }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::TooLong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::UnknownTurn(_) | Refusal::Complete => StatusCode::NOT_FOUND,
            Refusal::Turns(_) | Refusal::Subscribers(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            message: refusal.to_string(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

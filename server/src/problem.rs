//! How a refused request is answered: a status, and why, as JSON.

use axum::{
    Json,
    http::{HeaderName, StatusCode},
    response::{AppendHeaders, IntoResponse, Response},
};
use serde_json::json;

/// A refused request: status and a JSON body `{"error": "…"}`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
    headers: Vec<(HeaderName, &'static str)>,
}

impl Problem {
    /// A refusal with this status; the message says what to do instead.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// The same with one header more, where the status asks for it.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.message }));
        (self.status, AppendHeaders(self.headers), body).into_response()
    }
}

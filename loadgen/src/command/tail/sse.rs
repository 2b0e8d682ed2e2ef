//! Reads server-sent events over HTTP/1.1, and reconnects by the rules of `EventSource`.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::printer::Printer;
use super::target::Target;
use super::{Tail, printable, refuse};
use crate::refusal::Refusal;
use crate::sse::Parser;

/// Wait before a reconnect when the server never sent `retry:`; the standard leaves it to the client, "a
/// few seconds", and Chromium's is 3 s.
const RECONNECT_DELAY: Duration = Duration::from_secs(3);

/// As much of a refusal's body as fits a sentence.
const EXCERPT_BYTES_MAX: usize = 300;

/// A body that explains a refusal comes at once; one that does not come must not hold the refusal up.
const EXCERPT_TIMEOUT: Duration = Duration::from_secs(1);

/// How one connection ended where that is no refusal.
enum End {
    /// All wanted events are printed, or nobody reads them.
    Done,
    /// The body is complete.
    Complete,
    /// 204: the server asks for no reconnect.
    NoContent,
    /// A network error, as the standard calls it, in a sentence.
    Broken(String),
}

/// Tails until the stream ends, with `--reconnect` until the server ends it with 204.
///
/// # Errors
///
/// What `EventSource` takes as final (status, content type), and without `--reconnect` a network error.
pub(super) async fn tail<W: Write>(
    target: &Target,
    args: &Tail,
    printer: &mut Printer<W>,
) -> Result<(), Refusal> {
    let mut last_event_id = args.last_event_id.clone().unwrap_or_default();
    let mut delay = RECONNECT_DELAY;
    loop {
        let mut parser = Parser::resuming(&last_event_id);
        match read(target, args, &last_event_id, &mut parser, printer).await? {
            End::Done | End::NoContent => return Ok(()),
            End::Complete if !args.reconnect => return Ok(()),
            End::Complete => tracing::info!("the stream ended"),
            End::Broken(sentence) if !args.reconnect => return refuse(sentence),
            End::Broken(sentence) => tracing::warn!("{sentence}"),
        }
        delay = parser.retry().unwrap_or(delay);
        parser.last_event_id().clone_into(&mut last_event_id);
        tracing::info!("reconnecting in {} ms", delay.as_millis());
        tokio::time::sleep(delay).await;
    }
}

/// One connection, from connect to end.
async fn read<W: Write>(
    target: &Target,
    args: &Tail,
    last_event_id: &str,
    parser: &mut Parser,
    printer: &mut Printer<W>,
) -> Result<End, Refusal> {
    let request = request(target, args, last_event_id)?;
    let response = match respond(target, args, request).await {
        Ok(response) => response,
        Err(sentence) => return Ok(End::Broken(sentence)),
    };
    if response.status() == StatusCode::NO_CONTENT && args.reconnect {
        return Ok(End::NoContent);
    }
    let mut body = event_stream(target, args, response).await?;
    while let Some(frame) = body.frame().await {
        let chunk = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return Ok(End::Broken(broken_off(target, args, error))),
        };
        let parsed = parser.push(&chunk, &mut |event| printer.print(event));
        if printer.ended() {
            return Ok(End::Done);
        }
        parsed.map_err(|overflow| {
            Refusal(format!(
                "gave up on {}: {overflow}; send smaller events",
                target.url()
            ))
        })?;
    }
    Ok(End::Complete)
}

fn request(
    target: &Target,
    args: &Tail,
    last_event_id: &str,
) -> Result<Request<Full<Bytes>>, Refusal> {
    let mut request = Request::new(Full::new(Bytes::from(
        args.post.clone().unwrap_or_default(),
    )));
    let unusable = |what: &str| Refusal(format!("cannot request {}: {what}", target.url()));
    *request.uri_mut() = target
        .path()
        .parse()
        .map_err(|error| unusable(&format!("{error}; check the path")))?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(target.authority());
    headers.insert(
        header::HOST,
        host.map_err(|error| unusable(&format!("{error}; check the host")))?,
    );
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !last_event_id.is_empty() {
        let id = HeaderValue::from_bytes(last_event_id.as_bytes());
        let id = id.map_err(|_| {
            unusable(&format!("the last event id {last_event_id:?} does not fit a header; use ids without control characters"))
        })?;
        headers.insert("last-event-id", id);
    }
    if args.post.is_some() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        *request.method_mut() = Method::POST;
    }
    Ok(request)
}

/// Connects and reads the response's head; the error is a network error in a sentence.
async fn respond(
    target: &Target,
    args: &Tail,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let stream = target.connect().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken_off(target, args, error))?;
    // It ends when the body is dropped; its errors reach the request and the body.
    tokio::spawn(connection);
    sender
        .send_request(request)
        .await
        .map_err(|error| broken_off(target, args, error))
}

/// Refuses what is not an event stream.
async fn event_stream(
    target: &Target,
    args: &Tail,
    response: Response<Incoming>,
) -> Result<Incoming, Refusal> {
    let (head, body) = response.into_parts();
    let url = target.url();
    if head.status != StatusCode::OK {
        let remedy = remedy(
            head.status,
            args.post.is_some(),
            head.headers.get(header::LOCATION),
        );
        let excerpt = excerpt(body).await;
        return Err(Refusal(format!(
            "{url} answered {}, not 200 OK{excerpt}; {remedy}",
            head.status
        )));
    }
    let content_type = head
        .headers
        .get(header::CONTENT_TYPE)
        .map_or("nothing".into(), |value| {
            String::from_utf8_lossy(value.as_bytes())
        });
    let essence = content_type.split(';').next().unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("text/event-stream") {
        return Err(Refusal(format!(
            "{url} answered with content type {content_type}, not text/event-stream; check that the path is that of a stream of events"
        )));
    }
    Ok(body)
}

fn remedy(status: StatusCode, post: bool, location: Option<&HeaderValue>) -> String {
    match (status, location.and_then(|location| location.to_str().ok())) {
        (status, Some(location)) if status.is_redirection() => {
            format!("redirects are not followed, tail {location}")
        }
        (StatusCode::NOT_FOUND, _) => "check the path".to_owned(),
        (StatusCode::METHOD_NOT_ALLOWED, _) if post => "try it without --post".to_owned(),
        (StatusCode::METHOD_NOT_ALLOWED, _) => "try it with --post BODY".to_owned(),
        (status, _) if status.is_client_error() => "check the URL and what is sent".to_owned(),
        (status, _) if status.is_server_error() => "look at the server's log".to_owned(),
        _ => "check that the path is that of a stream of events".to_owned(),
    }
}

/// The begin of a body that says why, as the tail of a sentence; empty if there is none.
async fn excerpt(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < EXCERPT_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    };
    // Whatever came in time is shown.
    tokio::time::timeout(EXCERPT_TIMEOUT, reading).await.ok();
    bytes.truncate(EXCERPT_BYTES_MAX);
    match printable(&String::from_utf8_lossy(&bytes)).trim() {
        "" => String::new(),
        text => format!(" ({text})"),
    }
}

fn broken_off(target: &Target, args: &Tail, error: hyper::Error) -> String {
    // `:#` prints the causes, too: hyper's own words alone do not say much.
    let cause = anyhow::Error::new(error);
    let or = if args.reconnect {
        ""
    } else {
        ", or try --reconnect"
    };
    format!(
        "the connection to {} broke off: {cause:#}; look at the server's log{or}",
        target.url()
    )
}

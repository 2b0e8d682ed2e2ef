//! Who may ask, and how: foreign hosts, foreign origins, malformed upgrades and bodies that never come
//! are refused before a handler sees them, each with a JSON error and a counter.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
        header::{
            ALLOW, CONNECTION, EXPECT, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
            UPGRADE,
        },
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::StreamExt;
use http_body::Body as _;
use hyper::ext::Protocol;

use crate::{config::Config, counters::Counter, limits::Limits, problem::Problem, shared::Shared};

/// Refuses requests that call us by a name that is not ours, in `Host` or, over HTTP/2, in `:authority`.
///
/// A web page may point its own name at our address (DNS rebinding) and would then share our origin;
/// its requests still carry its name. IP literals cannot be rebound, and `localhost` names are ours.
///
/// # Errors
/// 400 without exactly one `Host` where HTTP/1.1 demands it (RFC 9112 §3.2), 421 for a foreign one; 431 for a
/// head too large where the library has not refused it.
pub async fn own_host(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check_head(&shared.config.limits, &request)
        .inspect_err(|_| shared.meters.counters.count(Counter::RefusedHeaders))?;
    check_host(&shared.config, &request)
        .inspect_err(|_| shared.meters.counters.count(Counter::RefusedHosts))?;
    Ok(next.run(request).await)
}

/// Holds the head of an HTTP/2 request to its bounds: the library has none on the number of fields, and does
/// not tell when it refuses their size. Fields count as they do there (RFC 9113 §6.5.2).
fn check_head(limits: &Limits, request: &Request) -> Result<(), Problem> {
    const BYTES_BESIDE_A_FIELD: usize = 32;
    if request.version() < Version::HTTP_2 {
        return Ok(());
    }
    let headers = request.headers();
    let fields = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + BYTES_BESIDE_A_FIELD);
    let bytes = fields.sum::<usize>() + request.uri().path().len();
    let bytes = bytes + request.uri().query().map_or(0, str::len);
    if bytes <= limits.header_bytes && headers.len() <= limits.header_count {
        return Ok(());
    }
    let (bytes, count) = (limits.header_bytes, limits.header_count);
    Err(Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        format!("the head is too large: send {bytes} bytes and {count} fields at most"),
    ))
}

fn check_host(config: &Config, request: &Request) -> Result<(), Problem> {
    // A target in absolute form names the host once more, and would win (RFC 9112 §3.2.2).
    if let Some(target) = request.uri().authority() {
        check_name(config, target)?;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        // `:authority`, checked above, stands in its place (RFC 9113 §8.3.1).
        (None, _) if request.version() >= Version::HTTP_2 && request.uri().host().is_some() => {
            Ok(())
        }
        (Some(host), None) => {
            let host = Authority::try_from(host.as_bytes());
            let host = host
                .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "`Host` is not host[:port]"))?;
            check_name(config, &host)
        }
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "send exactly one `Host`: HTTP/1.1 demands it",
        )),
    }
}

fn check_name(config: &Config, authority: &Authority) -> Result<(), Problem> {
    let host = authority.host();
    let allowed = |name: &String| {
        name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(authority.as_str())
    };
    if is_ip_literal(host) || is_localhost(host) || config.allow_hosts.iter().any(allowed) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "this server does not answer to that `Host`: use its address or localhost, or have it started with the name allowed",
    ))
}

fn is_ip_literal(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    v6.is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
        || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// RFC 6761 §6.3: the name and everything under it is this machine.
fn is_localhost(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    last.eq_ignore_ascii_case("localhost")
}

/// Refuses WebSocket upgrades that RFC 6455 §4.2.1 or, over HTTP/2, RFC 8441 §5 does not allow, or that a
/// foreign page sends: the
/// browser lets any page open a WebSocket to any server, so the server must look at `Origin`.
///
/// # Errors
/// 400, 405, 426 or 501 for a malformed upgrade, 403 for a foreign origin.
pub async fn upgrade(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let counters = &shared.meters.counters;
    let http2 = request.version() >= Version::HTTP_2;
    let checked = if http2 {
        check_extended_connect(&request)
    } else {
        check_upgrade(&request)
    };
    checked.inspect_err(|_| counters.count(Counter::RefusedUpgrades))?;
    check_origin(&shared.config, &request)
        .inspect_err(|_| counters.count(Counter::RefusedOrigins))?;
    if http2 {
        return Ok(next.run(request).await);
    }
    // The framework reads the first line of each only, and `Upgrade` only as a whole.
    let headers = request.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    Ok(next.run(request).await)
}

fn check_upgrade(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let bad = |message: &str| Err(Problem::new(StatusCode::BAD_REQUEST, message));
    if request.method() != Method::GET {
        let refusal = "open a WebSocket with GET";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, refusal).with(ALLOW, "GET"));
    }
    if request.version() < Version::HTTP_11 {
        return bad("a WebSocket needs HTTP/1.1");
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        let refusal = "this URL is a WebSocket: send `Upgrade: websocket`";
        return Err(upgrade_required(refusal));
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return bad("send `Connection: Upgrade`");
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(
            upgrade_required("send `Sec-WebSocket-Version: 13`").with(SEC_WEBSOCKET_VERSION, "13")
        );
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).map(|key| BASE64_STANDARD.decode(key));
    if !key.is_some_and(|key| key.is_ok_and(|key| key.len() == 16)) {
        return bad("send one `Sec-WebSocket-Key` of 16 bytes in base64");
    }
    Ok(())
}

/// RFC 8441 §5: what an upgrade says in fields of the connection, a `CONNECT` says in `:protocol`, and nobody
/// needs a key where a request cannot be mistaken for another protocol's.
fn check_extended_connect(request: &Request) -> Result<(), Problem> {
    if request.method() != Method::CONNECT {
        let refusal = "over HTTP/2, open a WebSocket with CONNECT and `:protocol` websocket";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, refusal).with(ALLOW, "CONNECT"));
    }
    let protocol = request.extensions().get::<Protocol>();
    if protocol.map(Protocol::as_str) != Some("websocket") {
        // As RFC 9220 §3 has it for a protocol that is not known.
        let refusal = "this URL is a WebSocket: send `:protocol` websocket";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, refusal));
    }
    if only(request.headers(), &SEC_WEBSOCKET_VERSION) != Some("13") {
        let refusal = "send `Sec-WebSocket-Version: 13`";
        let refusal = Problem::new(StatusCode::BAD_REQUEST, refusal);
        return Err(refusal.with(SEC_WEBSOCKET_VERSION, "13"));
    }
    Ok(())
}

/// RFC 9110 §15.5.22: a 426 names what to upgrade to.
fn upgrade_required(refusal: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, refusal)
        .with(UPGRADE, "websocket")
        .with(CONNECTION, "Upgrade")
}

/// Whether a comma-separated header, which may come in several lines, has this token.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter();
    let mut tokens = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that must not be repeated.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line.trim())
}

/// No `Origin` is no browser. Ours is the one whose host and port are those that were asked; the scheme may
/// be `https` where a proxy in front of us speaks it. `null` is any file and any sandbox, so foreign.
fn check_origin(config: &Config, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    if !headers.contains_key(ORIGIN) {
        return Ok(());
    }
    let origin = only(headers, &ORIGIN).unwrap_or_default();
    let listed = |allowed: &String| allowed.eq_ignore_ascii_case(origin);
    let host = only(headers, &HOST).or(request.uri().authority().map(Authority::as_str));
    let own = || host.is_some_and(|host| is_same_place(origin, host));
    if config.allow_origins.iter().any(listed) || own() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "pages of that `Origin` may not open a WebSocket here: have the server started with it allowed",
    ))
}

fn is_same_place(origin: &str, host: &str) -> bool {
    let Some((scheme, origin)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let place = |authority: &str| {
        let authority = authority.parse::<Authority>().ok()?;
        let port = authority.port_u16().unwrap_or(default_port);
        Some((authority.host().to_ascii_lowercase(), port))
    };
    place(origin).is_some_and(|origin| place(host) == Some(origin))
}

/// Reads a request's body before its handler runs, held to [`Limits`] in size and time: a sender that
/// stalls must not hold a connection.
///
/// # Errors
/// 408 when it does not come, 413 when it is too large, 400 when it breaks off.
pub async fn whole_body(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if request.body().is_end_stream() {
        return Ok(next.run(request).await);
    }
    let limits = &shared.config.limits;
    let (parts, body) = request.into_parts();
    let waits = parts.headers.contains_key(EXPECT);
    let read = tokio::time::timeout(limits.body_time, read(body, waits, limits)).await;
    let late = || {
        let limit = limits.body_time;
        let refusal = format!("the body did not arrive within {limit:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, refusal)
    };
    let body = read
        .unwrap_or_else(|_| Err(late()))
        .inspect_err(|_| shared.meters.counters.count(Counter::RefusedBodies))?;
    let request = Request::from_parts(parts, Body::from(body));
    Ok(next.run(request).await)
}

/// A sender that is still writing when its connection closes hears a reset and never reads why, so the
/// rest of a body too large is read and discarded, within a bound; unless the sender waits to be asked
/// for it (`Expect: 100-continue`).
async fn read(body: Body, waits: bool, limits: &Limits) -> Result<Vec<u8>, Problem> {
    let limit = limits.body_bytes;
    let too_large = || {
        let refusal = format!("the body is too large: send {limit} bytes at most");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, refusal)
    };
    if waits && body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let (mut kept, mut length) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "the body broke off");
        let chunk = chunk.map_err(broken)?;
        length += chunk.len();
        if length <= limit {
            kept.extend_from_slice(&chunk);
        } else if length > limits.discarded_body_bytes {
            break;
        }
    }
    if length > limit {
        Err(too_large())
    } else {
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_addresses_localhost_and_what_is_allowed() {
        let config = Config {
            allow_hosts: vec!["Push.Example".into(), "only.example:8443".into()],
            ..Config::default()
        };
        let answers = |host: &str| check_name(&config, &host.parse().unwrap()).is_ok();
        for own in [
            "127.0.0.1",
            "127.0.0.1:3000",
            "[::1]:3000",
            "192.0.2.7",
            "localhost",
            "LOCALHOST:1",
            "a.b.localhost:3000",
            "push.example:9",
            "only.example:8443",
        ] {
            assert!(answers(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "[::1",
            "only.example:1",
            "x.push.example",
        ] {
            let parsed = foreign.parse::<Authority>();
            assert!(
                parsed.is_err() || !answers(foreign),
                "{foreign} must be refused"
            );
        }
    }

    #[test]
    fn own_origin_is_the_same_host_and_port() {
        for (origin, host) in [
            ("http://localhost:3000", "localhost:3000"),
            ("http://LocalHost:3000", "localhost:3000"),
            ("http://localhost", "localhost:80"),
            ("https://push.example", "push.example"),
            ("https://push.example", "push.example:443"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            assert!(is_same_place(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "localhost:3000"),
            ("file://", "localhost:3000"),
            ("http://localhost:3001", "localhost:3000"),
            ("http://localhost", "localhost:3000"),
            ("http://127.0.0.1:3000", "localhost:3000"),
            ("ftp://localhost:3000", "localhost:3000"),
            ("http://localhost:3000.evil.example", "localhost:3000"),
        ] {
            assert!(!is_same_place(origin, host), "{origin} {host}");
        }
    }
}

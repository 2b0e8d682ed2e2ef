//! The head of an HTTP/1.1 request, read by hand, and answers to what is refused.

use axum::http::StatusCode;
use bytes::Bytes;

use super::Breach;
use crate::{counters::Counter, limits::Limits};

/// Fields that are read: our own clients send half a dozen, a browser or a proxy has no business here.
pub(in crate::transport) const FIELDS_MAX: usize = 32;

/// How every answer names the one who gives it, so that its clients know that nobody else did.
pub(in crate::transport) const SERVER: &str = "server: bare\r\n";

/// A request's head.
#[derive(Debug)]
pub(in crate::transport) struct Request<'h, 'b> {
    /// The method.
    pub method: &'b str,
    /// The target.
    pub path: &'b str,
    /// Where the body begins.
    pub length: usize,
    fields: &'h [httparse::Header<'b>],
}

impl<'h, 'b> Request<'h, 'b> {
    /// Reads the head at the front of `heard`; none while it is not whole.
    ///
    /// # Errors
    /// What is no head of HTTP/1.1, or too large, or a web page's.
    pub fn parse(
        heard: &'b [u8],
        fields: &'h mut [httparse::Header<'b>; FIELDS_MAX],
        limits: &Limits,
    ) -> Result<Option<Self>, Breach> {
        let mut request = httparse::Request::new(fields);
        let length = match request.parse(heard) {
            Ok(httparse::Status::Complete(length)) if length <= limits.header_bytes => length,
            Ok(httparse::Status::Partial) if heard.len() < limits.header_bytes => return Ok(None),
            Ok(_) => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                return Err(refused(
                    status,
                    "the head is too large",
                    Counter::RefusedHeaders,
                ));
            }
            Err(error) => {
                let reason = format!("the head cannot be read: {error}");
                let status = StatusCode::BAD_REQUEST;
                return Err(refused(status, &reason, Counter::RefusedHeaders));
            }
        };
        let read = Self {
            method: request.method.unwrap_or_default(),
            path: request.path.unwrap_or_default(),
            length,
            fields: request.headers,
        };
        if request.version != Some(1) {
            let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            return Err(refused(status, "send HTTP/1.1", Counter::RefusedHeaders));
        }
        // Every web page may send requests to this machine, and says so.
        if read.all("origin").next().is_some() {
            let reason = "a floor serves no web page";
            return Err(refused(
                StatusCode::FORBIDDEN,
                reason,
                Counter::RefusedOrigins,
            ));
        }
        Ok(Some(read))
    }

    /// The values of a field, in order.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
        let named = move |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        self.fields.iter().filter(named).map(|field| field.value)
    }

    /// The value of a field that there is exactly once.
    pub fn only(&self, name: &'static str) -> Option<&'b str> {
        let mut values = self.all(name);
        let value = std::str::from_utf8(values.next()?).ok()?;
        values.next().is_none().then_some(value.trim())
    }

    /// Whether a field that is a list, over all its lines, has this member.
    pub fn has(&self, name: &'static str, member: &str) -> bool {
        let members = self
            .all(name)
            .flat_map(|value| value.split(|&byte| byte == b','));
        members
            .map(<[u8]>::trim_ascii)
            .any(|held| held.eq_ignore_ascii_case(member.as_bytes()))
    }
}

/// A refusal after which the connection is closed.
pub(in crate::transport) fn refused(status: StatusCode, reason: &str, counter: Counter) -> Breach {
    Breach {
        answer: problem(status, reason, "connection: close\r\n"),
        counter,
    }
}

/// A response that says why there is no other, with these fields more.
pub(in crate::transport) fn problem(status: StatusCode, reason: &str, fields: &str) -> Bytes {
    let body = serde_json::json!({ "error": reason }).to_string();
    let length = body.len();
    let head = head(status, fields);
    format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

/// The begin of a head: to be followed by more fields, or the empty line.
pub(in crate::transport) fn head(status: StatusCode, fields: &str) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("HTTP/1.1 {} {reason}\r\n{SERVER}{fields}", status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(String, usize)>, String> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        match Request::parse(text.as_bytes(), &mut fields, &Limits::default()) {
            Ok(request) => Ok(request.map(|request| (request.path.to_owned(), request.length))),
            Err(breach) => {
                let answer = String::from_utf8(breach.answer.to_vec()).unwrap();
                Err(answer.lines().next().unwrap().to_owned())
            }
        }
    }

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let text = "POST /feed HTTP/1.1\r\nhost: x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(parse(text), Ok(Some(("/feed".into(), text.len()))));
        assert_eq!(parse(&format!("{text}body")), parse(text));
    }

    #[test]
    fn what_is_no_head_of_ours_is_refused_in_words() {
        let long = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(20_000));
        let whole = format!("{long}\r\n\r\n");
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "x: y\r\n".repeat(FIELDS_MAX + 1)
        );
        for (text, status) in [
            (long.as_str(), "431"),
            (&whole, "431"),
            (&many, "400"),
            ("POST /feed\r\n\r\n", "400"),
            ("POST /feed HTTP/1.0\r\n\r\n", "505"),
            ("POST /feed HTTP/1.1\r\nOrigin: null\r\n\r\n", "403"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(status), "{text:.40}: {refused}");
        }
    }

    #[test]
    fn fields_are_found_in_any_case_and_lists_over_their_lines() {
        let text = b"GET / HTTP/1.1\r\nConnection: x\r\nCONNECTION: keep-alive , UpGrade\r\nA:  b \r\n\r\n";
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let request = Request::parse(text, &mut fields, &Limits::default());
        let request = request.unwrap().unwrap();
        assert!(request.has("connection", "upgrade") && !request.has("connection", "up"));
        assert_eq!(request.only("a"), Some("b"));
        assert_eq!(
            (request.only("connection"), request.only("b")),
            (None, None)
        );
    }
}

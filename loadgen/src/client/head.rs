//! The head of an HTTP/1 response: what it says of the path, of the body's framing and of the connection
//! (RFC 9112 §4 to §6).

use pushbench_server::contract::event_id::EventId;

use super::{
    Ended,
    chunked::{self, Malformed, Piece},
    signed,
};

/// Largest head that is read, bytes: twice what common proxies let pass.
pub const HEAD_BYTES_MAX: usize = 16 * 1_024;

/// Most fields that a head may have; the HTTP library of both ends allows as many.
const FIELDS_MAX: usize = 100;

/// What a response's head says.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Minor version of HTTP/1.
    pub minor_version: u8,
    /// Status code.
    pub status: u16,
    /// Media type, without parameters, in lower case; empty where there is none.
    pub media_type: String,
    /// Content codings in the order they were applied, in lower case; empty where there is none.
    pub content_coding: String,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may carry another response after this one.
    pub keep_alive: bool,
    /// Length in bytes: where the body begins.
    pub length: usize,
    /// Whether it was written by a floor, and by nobody else.
    pub bare: bool,
    /// Whether it was passed on by nginx, which signs it.
    pub by_nginx: bool,
    /// The last message of a stream that was told, where the answer says it.
    pub last_event_id: Option<EventId>,
}

/// How the end of a body is known (RFC 9112 §6.3), and what is still to come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// By the chunked coding.
    Chunked(chunked::Decoder),
    /// By its length in bytes.
    Length(u64),
    /// By the connection's end.
    UntilClose,
}

impl Head {
    /// Reads the head at the front of `bytes`; none while it is not complete.
    ///
    /// # Errors
    /// When it is no head of HTTP/1, or says nothing certain about where the body ends.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Ended> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let (minor_version, status) = (
            response.version.unwrap_or_default(),
            response.code.unwrap_or_default(),
        );
        let fields = Fields(response.headers);
        let persistent = minor_version > 0 && !fields.list_holds("connection", "close");
        let framing = fields.framing(status)?;
        Ok(Some(Self {
            minor_version,
            status,
            media_type: fields.media_type(),
            content_coding: fields.content_coding(),
            keep_alive: persistent && framing != Framing::UntilClose,
            framing,
            length,
            bare: fields.all("server").any(|name| name == b"bare"),
            by_nginx: fields.all("server").any(|name| !signed(name).is_empty()),
            last_event_id: fields.last_event_id(),
        }))
    }

    /// Whether another head follows for the same request (RFC 9110 §15.2). 101 is none of them: the
    /// connection leaves HTTP with it.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

fn unreadable(reason: impl std::fmt::Display) -> Ended {
    Ended::Failed(format!("the response's head cannot be read: {reason}"))
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of a field, in order.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|field| field.value)
    }

    /// The members of a field that is a list, over all its lines (RFC 9110 §5.6.1).
    fn list(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }

    fn list_holds(&self, name: &'static str, member: &str) -> bool {
        self.list(name)
            .any(|held| held.eq_ignore_ascii_case(member.as_bytes()))
    }

    fn media_type(&self) -> String {
        let value = self.all("content-type").next().unwrap_or_default();
        let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
        String::from_utf8_lossy(media_type.trim_ascii()).to_ascii_lowercase()
    }

    fn last_event_id(&self) -> Option<EventId> {
        let value = self.all("last-event-id").next()?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    fn content_coding(&self) -> String {
        let codings: Vec<_> = self.list("content-encoding").collect();
        String::from_utf8_lossy(&codings.join(&b", "[..])).to_ascii_lowercase()
    }

    /// RFC 9112 §6.3, for the response to a `GET`.
    fn framing(&self, status: u16) -> Result<Framing, Ended> {
        if status < 200 || matches!(status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let mut codings = self.list("transfer-encoding");
        let mut lengths = self.list("content-length");
        match (codings.next(), lengths.next()) {
            (None, None) => Ok(Framing::UntilClose),
            // "Ought to be handled as an error": it is how responses are smuggled.
            (Some(_), Some(_)) => Err(unreadable("it has both a length and a transfer coding")),
            (Some(coding), None) => {
                if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() {
                    Ok(Framing::Chunked(chunked::Decoder::default()))
                } else {
                    Err(unreadable(
                        "it has a transfer coding beside `chunked`, which was not asked for",
                    ))
                }
            }
            (None, Some(length)) => {
                // The same length said again is harmless.
                let certain = lengths.all(|again| again == length);
                let length = decimal(length).filter(|_| certain);
                length
                    .map(Framing::Length)
                    .ok_or_else(|| unreadable("its length is not one number"))
            }
        }
    }
}

/// Digits alone: `parse` would take a sign as well.
fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

impl Framing {
    /// Takes what it can from the front of `input`, as [`chunked::Decoder::next`] does.
    ///
    /// # Errors
    /// When the framing is broken.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Malformed> {
        match self {
            Self::Chunked(decoder) => decoder.next(input),
            Self::Length(0) => Ok(Piece::End),
            Self::Length(_) | Self::UntilClose if input.is_empty() => Ok(Piece::More),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX);
                let (data, rest) = input.split_at(here.min(input.len()));
                *left -= data.len() as u64;
                *input = rest;
                Ok(Piece::Data(data))
            }
            Self::UntilClose => Ok(Piece::Data(std::mem::take(input))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[&str]) -> Result<Head, Ended> {
        let text = lines.join("\r\n") + "\r\n\r\n";
        for cut in 0..text.len() {
            // However little has come: not complete, or refused already.
            assert!(
                !matches!(Head::parse(&text.as_bytes()[..cut]), Ok(Some(_))),
                "{cut}"
            );
        }
        let read = Head::parse((text.clone() + "body").as_bytes()).map(Option::unwrap);
        if let Ok(head) = &read {
            assert_eq!(head.length, text.len());
        }
        read
    }

    fn framing(fields: &[&str]) -> Option<(Framing, bool)> {
        let lines: Vec<_> = ["HTTP/1.1 200 OK"].iter().chain(fields).copied().collect();
        head(&lines)
            .ok()
            .map(|head| (head.framing, head.keep_alive))
    }

    #[test]
    fn the_end_of_the_body_is_the_standards() {
        let chunked = || Framing::Chunked(chunked::Decoder::default());
        for (fields, expected) in [
            (&[][..], Some((Framing::UntilClose, false))),
            (&["Transfer-Encoding: Chunked"], Some((chunked(), true))),
            (
                &["transfer-encoding: chunked", "connection: x, Close"],
                Some((chunked(), false)),
            ),
            (&["Content-Length: 12"], Some((Framing::Length(12), true))),
            (
                &["Content-Length: 12, 12", "content-length: 12"],
                Some((Framing::Length(12), true)),
            ),
            (&["Content-Length: 12", "Content-Length: 13"], None),
            (&["Content-Length: +12"], None),
            (&["Content-Length: 18446744073709551616"], None),
            (&["Content-Length: 1 2"], None),
            (&["Content-Length: 12", "Transfer-Encoding: chunked"], None),
            (&["Transfer-Encoding: gzip, chunked"], None),
            (&["Transfer-Encoding: chunked, chunked"], None),
            (&["Transfer-Encoding: gzip"], None),
        ] {
            assert_eq!(framing(fields), expected, "{fields:?}");
        }
        for status in ["101 x", "204 No Content", "304 x"] {
            let line = format!("HTTP/1.1 {status}");
            let bodiless = head(&[&line, "Content-Length: 7"]).unwrap();
            assert_eq!(bodiless.framing, Framing::Length(0), "{status}");
        }
    }

    #[test]
    fn version_status_and_media_type_are_told() {
        let read = head(&[
            "HTTP/1.0 200 OK",
            "Content-Type: Text/Event-Stream;charset=utf-8",
            "Content-Encoding: GZIP,br",
            "content-encoding: x",
        ])
        .unwrap();
        assert_eq!((read.minor_version, read.status), (0, 200));
        assert_eq!(read.media_type, "text/event-stream");
        assert_eq!(read.content_coding, "gzip, br, x");
        assert!(!read.keep_alive && !read.is_interim());
        assert!(!read.bare && read.last_event_id.is_none());
        let read = head(&["HTTP/1.1 200 OK", "Server: bare", "Last-Event-ID: 1-0-42"]).unwrap();
        assert_eq!(read.last_event_id.unwrap().to_string(), "1-0-42");
        assert!(read.bare);
        assert!(!head(&["HTTP/1.1 200 OK", "Server: barely"]).unwrap().bare);
        for (server, by_nginx) in [("nginx/1.22.1", true), ("nginx", true), ("unnginx", false)] {
            let line = format!("Server: {server}");
            let read = head(&["HTTP/1.1 200 OK", &line]).unwrap();
            assert_eq!(read.by_nginx, by_nginx, "{server}");
        }
        assert!(head(&["HTTP/1.1 103 Early Hints"]).unwrap().is_interim());
        assert!(
            !head(&["HTTP/1.1 101 Switching Protocols"])
                .unwrap()
                .is_interim()
        );
        assert!(head(&["HTTP/2 200 OK"]).is_err());
        assert!(head(&["SSH-2.0-x"]).is_err());
    }

    #[test]
    fn a_length_is_counted_down_over_any_cut() {
        let mut framing = Framing::Length(5);
        for (input, piece, left) in [
            (&b"abc"[..], Piece::Data(b"abc"), &b""[..]),
            (b"", Piece::More, b""),
            (b"defg", Piece::Data(b"de"), b"fg"),
            (b"fg", Piece::End, b"fg"),
        ] {
            let mut rest = input;
            assert_eq!((framing.next(&mut rest), rest), (Ok(piece), left));
        }
    }
}

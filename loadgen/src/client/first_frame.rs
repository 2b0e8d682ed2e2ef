//! Looks at the first bytes of an HTTP/2 connection on their way to the library: the server's SETTINGS, or
//! an answer in another protocol, which the library would only call a broken frame.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{HEAD_BYTES_MAX, Head};

/// Length of a frame's head, and the type in it that a server's first frame has (RFC 9113 §3.4, §4.1).
const FRAME_HEAD_BYTES: usize = 9;
const SETTINGS: u8 = 4;

/// The byte stream below an HTTP/2 connection.
#[derive(Debug)]
pub struct FirstFrame<S> {
    stream: S,
    /// What has come, until the first frame is whole.
    begun: Option<Vec<u8>>,
    seen: Seen,
}

/// What the first bytes were, known to whoever does not own the stream.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    settings: AtomicBool,
    other: OnceLock<String>,
}

impl Seen {
    /// Whether the server's SETTINGS have come.
    pub fn settings(&self) -> bool {
        self.0.settings.load(Ordering::Relaxed)
    }

    /// What came if it is not HTTP/2: version, status and media type, or that there is none.
    pub fn other(&self) -> Option<&str> {
        self.0.other.get().map(String::as_str)
    }
}

impl<S> FirstFrame<S> {
    /// Before anything was read.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            begun: Some(Vec::new()),
            seen: Seen::default(),
        }
    }

    /// A handle to what the first bytes are.
    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

/// What the bytes so far are.
enum Begin {
    Undecided,
    Settings,
    Other(String),
}

fn judge(bytes: &[u8], ended: bool) -> Begin {
    let Some(&kind) = bytes.get(3) else {
        return Begin::Undecided;
    };
    if kind != SETTINGS {
        return other(bytes, ended);
    }
    let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
    if bytes.len() >= FRAME_HEAD_BYTES + length {
        Begin::Settings
    } else {
        Begin::Undecided
    }
}

/// Not HTTP/2: the head of HTTP/1, or nothing that can be named.
fn other(bytes: &[u8], ended: bool) -> Begin {
    match Head::parse(bytes) {
        Ok(None) if !ended && bytes.len() < HEAD_BYTES_MAX => Begin::Undecided,
        Ok(Some(head)) => {
            let (minor, status) = (head.minor_version, head.status);
            Begin::Other(format!("HTTP/1.{minor} {status} {}", head.media_type))
        }
        Ok(None) | Err(_) => Begin::Other("an answer that is no HTTP/2".into()),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstFrame<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(begun) = &mut this.begun else {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        };
        loop {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let came = &buf.filled()[before..];
            let ended = came.is_empty();
            begun.extend_from_slice(came);
            match judge(begun, ended) {
                Begin::Settings => {
                    this.seen.0.settings.store(true, Ordering::Relaxed);
                    this.begun = None;
                    return Poll::Ready(Ok(()));
                }
                Begin::Other(other) => {
                    // It is said once: nothing is read after it.
                    let _ = this.seen.0.other.set(other);
                    buf.set_filled(before);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                // A head of HTTP/1 is read to its end, and the library sees none of it.
                Begin::Undecided if begun.get(3).is_some_and(|&kind| kind != SETTINGS) => {
                    buf.set_filled(before);
                }
                Begin::Undecided => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstFrame<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What is read and what was seen when these pieces come one after the other.
    async fn read(pieces: &[&[u8]]) -> (io::Result<Vec<u8>>, Seen) {
        let (mut server, client) = duplex(64);
        let mut first = FirstFrame::new(client);
        let seen = first.seen();
        let reading = async {
            let mut all = Vec::new();
            first.read_to_end(&mut all).await.map(|_| all)
        };
        let writing = async {
            for piece in pieces {
                // The reader may have seen enough.
                let _ = server.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            drop(server);
        };
        let (all, ()) = tokio::join!(reading, writing);
        (all, seen)
    }

    #[tokio::test]
    async fn settings_pass_as_they_come_however_they_are_cut() {
        let bytes = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, b'x'];
        for cut in 0..bytes.len() {
            let (all, seen) = read(&[&bytes[..cut], &bytes[cut..]]).await;
            assert_eq!(all.unwrap(), bytes);
            assert!(seen.settings() && seen.other().is_none());
        }
        let (_, seen) = read(&[&bytes[..14]]).await;
        assert!(!seen.settings());
    }

    #[tokio::test]
    async fn another_protocol_is_named() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        for cut in 0..answer.len() {
            let (all, seen) = read(&[&answer[..cut], &answer[cut..]]).await;
            assert!(all.is_err());
            assert_eq!(seen.other(), Some("HTTP/1.1 200 text/html"));
        }
        for answer in [&b"SSH-2.0-x\r\n"[..], b"HTTP/1.1 200 O"] {
            let (all, seen) = read(&[answer]).await;
            assert!(all.is_err());
            assert_eq!(seen.other(), Some("an answer that is no HTTP/2"));
        }
    }
}

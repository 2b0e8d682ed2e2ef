//! The levels of the factors that are more than a number or a switch, each read from text and written as it
//! is read.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whose WebSocket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WsLibrary {
    /// `tungstenite`, as axum has it: no compression.
    #[default]
    Tungstenite,
    /// `yawc`, which knows permessage-deflate.
    Yawc,
}

impl WsLibrary {
    /// The name in plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tungstenite => "tungstenite",
            Self::Yawc => "yawc",
        }
    }
}

/// Who drives an HTTP/1.1 connection of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpStack {
    /// hyper's own HTTP/1.1 builder.
    #[default]
    Hyper,
    /// `axum::serve`, which finds out what a client speaks first, and keeps what that takes.
    Axum,
}

/// A bound of hyper's HTTP/1.1 buffers, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct BufferBytes(u32);

impl BufferBytes {
    /// The library panics below (`http1::Builder::max_buf_size`).
    pub const LEAST: u32 = 8_192;

    /// As the library takes it.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Less than [`BufferBytes::LEAST`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a buffer of {0} bytes is too small for the library: use {least} or more", least = BufferBytes::LEAST)]
pub struct TooSmall(u32);

impl TryFrom<u32> for BufferBytes {
    type Error = TooSmall;

    fn try_from(bytes: u32) -> Result<Self, TooSmall> {
        if bytes < Self::LEAST {
            return Err(TooSmall(bytes));
        }
        Ok(Self(bytes))
    }
}

impl From<BufferBytes> for u32 {
    fn from(bytes: BufferBytes) -> Self {
        bytes.0
    }
}

/// How a `fetch` transport tells its messages apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// A line of JSON each.
    Ndjson,
}

/// The allocator of a process.
///
/// A child is told by its environment, since the first allocation comes before the first line of its
/// input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allocator {
    /// The C library's.
    #[default]
    Glibc,
    /// jemalloc.
    Jemalloc,
}

impl Allocator {
    /// The environment variable by which a process is told; without it, or with anything else in it, the
    /// process uses the C library's.
    pub const VARIABLE: &str = "PUSHBENCH_ALLOCATOR";

    /// The name in plans, in the environment and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Jemalloc => "jemalloc",
        }
    }
}

impl HttpStack {
    /// The name in plans and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Axum => "axum",
        }
    }
}

/// When the server writes what is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Flush {
    /// All that is ready, at once: nothing waits, and what has piled up goes together.
    #[default]
    Ready,
    /// A write each.
    Each,
    /// Together, so many milliseconds after the first of them was encoded.
    Millis(NonZeroU32),
    /// At least so many together; the rest at the stream's end.
    Count(NonZeroU32),
}

impl Flush {
    /// Messages that a subscription holds back at most, whatever the policy: as many as a second of the
    /// fastest feed that a plan would pace. Beyond, they are not waited with.
    pub const HELD_MOST: u32 = 1_024;
}

/// Compression of what the server sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// None.
    #[default]
    Off,
    /// A content coding, flushed after each event.
    Coding(Coding, u8),
    /// permessage-deflate (RFC 7692).
    Deflate {
        /// Base-2 logarithm of the window's bytes, 9 to 15.
        window_bits: u8,
        /// Whether a message may refer to the ones before it, at the price of a window a connection.
        takeover: bool,
    },
}

/// A content coding of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, levels 1 to 9.
    Gzip,
    /// RFC 7932, levels 2 to 11: the two below look only at what lies between two flushes, and a token alone
    /// grows by them.
    Br,
    /// RFC 8878, levels 1 to 19: those whose window every client of HTTP must take, 8 MiB (RFC 9659).
    Zstd,
}

impl Coding {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Br, Self::Zstd];

    /// The token in `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    const fn levels(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Gzip => 1..=9,
            Self::Br => 2..=11,
            Self::Zstd => 1..=19,
        }
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Each => f.write_str("each"),
            Self::Millis(ms) => write!(f, "{ms}ms"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// No level of `flush`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown flush `{0}`: use ready, each, a time such as 50ms or a number of messages such as 16, {most} at most",
    most = Flush::HELD_MOST
)]
pub struct UnknownFlush(String);

impl FromStr for Flush {
    type Err = UnknownFlush;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownFlush(text.to_owned());
        Ok(match text {
            "ready" => Self::Ready,
            "each" => Self::Each,
            _ => match text.strip_suffix("ms") {
                Some(ms) => Self::Millis(ms.parse().map_err(|_| unknown())?),
                None => {
                    let count: NonZeroU32 = text.parse().map_err(|_| unknown())?;
                    if count.get() > Self::HELD_MOST {
                        return Err(unknown());
                    }
                    Self::Count(count)
                }
            },
        })
    }
}

impl TryFrom<String> for Flush {
    type Error = UnknownFlush;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Flush> for String {
    fn from(flush: Flush) -> Self {
        flush.to_string()
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Coding(coding, level) => write!(f, "{}-{level}", coding.name()),
            Self::Deflate {
                window_bits,
                takeover,
            } => {
                let without = if *takeover { "" } else { "-no-takeover" };
                write!(f, "deflate-{window_bits}{without}")
            }
        }
    }
}

/// No level of `compression`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown compression `{0}`: use off, gzip-1 to gzip-9, br-2 to br-11, zstd-1 to zstd-19, or for a WebSocket \
     deflate-9 to deflate-15, with -no-takeover behind it or without"
)]
pub struct UnknownCompression(String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            if text == "off" {
                return Some(Self::Off);
            }
            let (name, level) = text.split_once('-')?;
            if name == "deflate" {
                let (bits, takeover) = match level.strip_suffix("-no-takeover") {
                    Some(bits) => (bits, false),
                    None => (level, true),
                };
                let window_bits = bits.parse().ok().filter(|bits| (9..=15).contains(bits))?;
                return Some(Self::Deflate {
                    window_bits,
                    takeover,
                });
            }
            let coding = Coding::ALL
                .into_iter()
                .find(|coding| coding.name() == name)?;
            let level = level.parse().ok()?;
            let known = coding.levels().contains(&level);
            known.then_some(Self::Coding(coding, level))
        };
        read().ok_or_else(|| UnknownCompression(text.to_owned()))
    }
}

impl TryFrom<String> for Compression {
    type Error = UnknownCompression;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_back_and_others_refused_with_the_choice() {
        for level in ["ready", "each", "50ms", "16"] {
            assert_eq!(level.parse::<Flush>().unwrap().to_string(), level);
        }
        for level in [
            "off",
            "gzip-6",
            "br-2",
            "zstd-19",
            "deflate-15",
            "deflate-9-no-takeover",
        ] {
            assert_eq!(level.parse::<Compression>().unwrap().to_string(), level);
        }
        for level in ["", "0", "0ms", "-1", "1.5ms", "ms", "1025"] {
            let refusal = level.parse::<Flush>().unwrap_err().to_string();
            assert!(refusal.contains("50ms"), "{refusal}");
        }
        for level in [
            "gzip",
            "gzip-0",
            "gzip-10",
            "br-1",
            "br-12",
            "zstd-20",
            "deflate-8",
            "deflate-16",
            "lz4-1",
        ] {
            let refusal = level.parse::<Compression>().unwrap_err().to_string();
            assert!(refusal.contains("gzip-1 to gzip-9"), "{refusal}");
        }
    }

    #[test]
    fn a_buffer_smaller_than_the_librarys_least_is_refused_with_it() {
        assert_eq!(BufferBytes::try_from(8_192).unwrap().get(), 8_192);
        let refusal = serde_json::from_str::<BufferBytes>("8191").unwrap_err();
        assert!(
            refusal.to_string().contains("use 8192 or more"),
            "{refusal}"
        );
    }
}

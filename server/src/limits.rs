//! Every bound of the server in one place, each with its reason; what a bound refuses or discards is
//! counted under the [`Counter`](crate::counters::Counter) its documentation names.

use std::time::Duration;

/// Streams that one HTTP/2 connection may have open at once; what clients may plan with.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;

/// The bounds. All are in force on every transport alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Live connections; the next is closed at once (`refused_connections`). 1,024 leaves room below
    /// the usual soft limit of open files once that is raised; a trial asks for what it needs.
    pub connections: usize,
    /// Connections that the kernel holds until they are accepted; beyond it drops the handshake, and the
    /// client tries again after a second (no counter of ours: `ListenOverflows` in `nstat`). The
    /// library's 128 makes a herd that comes back at once wait that second. The kernel's `somaxconn`
    /// caps it.
    pub backlog: u32,
    /// Time for a request's head to be complete, from the connection's first byte, which has as long, or
    /// the last response's end; over HTTP/2, until the first request (`refused_headers`); and for a TLS
    /// handshake before all that (`refused_handshakes`). Ten seconds is a slow phone, not a patient attacker.
    pub header_time: Duration,
    /// Streams that one HTTP/2 connection may have open at once; a client that was told opens no more, and
    /// one that does is answered by the library with REFUSED_STREAM (no counter of ours). The library's 200
    /// would be the end of any larger fan-out over one connection; these are as many as may connect.
    pub streams_per_connection: u32,
    /// Streams open at once over all connections (`refused_asks` for the next): as many as a feed knows
    /// subscribers. Where a connection carries one stream, the bound on connections is the nearer one.
    pub streams: u64,
    /// Bytes of a request's head (`refused_headers`): twice what browsers send with large cookies.
    pub header_bytes: usize,
    /// Header fields of a request (`refused_headers`): browsers send about 20.
    pub header_count: usize,
    /// Bytes of a request's body (`refused_bodies`): a long prompt.
    pub body_bytes: usize,
    /// Bytes up to which a body too large is read and discarded, so that its sender is done writing and
    /// reads the refusal; beyond it the connection is closed.
    pub discarded_body_bytes: usize,
    /// Time for a request's body to arrive (`refused_bodies`): the same slow phone.
    pub body_time: Duration,
    /// Bytes of a message that a WebSocket client sends (`refused_bodies`): the same prompt.
    pub message_bytes: usize,
    /// Messages a feed holds for slow readers and for resume: at 50 messages a second it reaches back
    /// 80 s. What falls out before a reader took it is `dropped`.
    pub feed_history: usize,
    /// The same for a turn: the longest answer in the real traces has 1,899 tokens.
    pub turn_history: usize,
    /// Tokens of one turn (`refused_asks`).
    pub turn_tokens: u32,
    /// Bytes that an ask may want each text to have (`refused_asks`): one record of TLS. With
    /// `turn_history` it bounds what a turn holds.
    pub payload_bytes: usize,
    /// Longest schedule of one turn (`refused_asks`): nobody waits an hour for an answer.
    pub turn_time: Duration,
    /// How long a turn that may be resumed goes on with nobody listening (`stopped_turns`): several
    /// reconnects, not the hour that a page long closed once asked for.
    pub abandoned_time: Duration,
    /// Turns streaming at once (`refused_asks`): one a connection, and those awaiting a resume.
    pub turns: usize,
    /// Turns that outlived their connection or finished, kept for resume (oldest forgotten first,
    /// `forgotten_turns`).
    pub retained_turns: usize,
    /// Subscribers whose return a feed recognizes (`refused_asks` for the next one).
    pub known_subscribers: usize,
    /// How long a poll waits for a message before it is answered with none: below the 30 s after which
    /// common proxies give up on an answer.
    pub poll_wait: Duration,
    /// How long a subscription waits for the next request of its poller before it is given up
    /// (`forgotten_polls`): as long as the head of any other request may take.
    pub poll_pause: Duration,
    /// Subscriptions of pollers that a connection keeps between their requests (`refused_asks`): as many
    /// as HTTP/2 recommends streams.
    pub polls: usize,
    /// Bytes of an answer to a poll before the rest is left to the next: several hundred tokens, so that
    /// catching up costs few round trips and no reader a buffer without a bound.
    pub poll_bytes: usize,
    /// How long a socket may refuse bytes before its connection is reset (`closed_stalled`): a reader
    /// that stopped reading, not a slow link.
    pub write_stall: Duration,
    /// From the wish to stop until connections that have not ended are dropped: longer than any
    /// goodbye, shorter than a supervisor's patience.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            backlog: 4_096,
            header_time: Duration::from_secs(10),
            streams_per_connection: STREAMS_PER_CONNECTION_MAX,
            streams: 65_536,
            header_bytes: 16 * 1_024,
            header_count: 100,
            body_bytes: 64 * 1_024,
            discarded_body_bytes: 16 * 1_024 * 1_024,
            body_time: Duration::from_secs(10),
            message_bytes: 64 * 1_024,
            feed_history: 4_096,
            turn_history: 2_048,
            turn_tokens: 8_192,
            payload_bytes: 16 * 1_024,
            turn_time: Duration::from_secs(3_600),
            abandoned_time: Duration::from_secs(60),
            turns: 4_096,
            retained_turns: 256,
            known_subscribers: 65_536,
            poll_wait: Duration::from_secs(25),
            poll_pause: Duration::from_secs(10),
            polls: 100,
            poll_bytes: 64 * 1_024,
            write_stall: Duration::from_secs(10),
            shutdown: Duration::from_secs(5),
        }
    }
}

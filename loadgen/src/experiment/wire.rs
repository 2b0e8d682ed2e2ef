//! Wire: bytes and segments a token, counted by the kernel on the server's sockets and split into what
//! they are for.
//!
//! Known texts are published one at a time. Payload, envelope, id and framing are arithmetic, from the code
//! that encodes; in clear text they must add up to what the kernel counted, to the byte, or the trial is
//! invalid. A token here is a message.

mod split;

use std::time::Duration;

use pushbench_reports::record::{self, Chart};
use pushbench_server::{
    contract::{
        clock::now_ns,
        factors::{Compression, Factors, Flush},
        message::{Envelope, Stamps},
    },
    control::{Command, Stats},
    counters::Counter,
    hub::FEED,
    source::feed_texts,
};
use serde::{Deserialize, Serialize};

use self::split::Parts;
use super::metric::{NONE, lower, primary};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    quantity::{Count, Rounds, Seconds, count, rounds, seconds},
    recorder::Recorder,
    server_process::ServerProcess,
    validity::Evidence,
};

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rounds of the plan.
    pub rounds: Rounds,
    /// Subscribers of the feed, who all get the same bytes.
    pub subscribers: Count,
    /// Messages published, one at a time.
    pub messages: Count,
    /// From one message to the next: far longer than it takes to arrive, so that each is a segment of its
    /// own and is acknowledged.
    pub pause_s: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rounds: rounds(4),
            subscribers: count(8),
            messages: count(100),
            pause_s: seconds(0.01),
        }
    }
}

/// Start and end of a server process, joining and leaving.
const AROUND_S: f64 = 0.3;

/// Before each of the two accounts: the longest that Linux delays an acknowledgement is 200 ms
/// (TCP_DELACK_MAX).
const QUIET: Duration = Duration::from_millis(250);

/// How long the last message may take: far above any flush policy.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a segment that are not TCP's payload: IPv4's header, 20 (RFC 791), TCP's, 20 (RFC 9293), and
/// its timestamps, 10 padded to 12 (RFC 7323), which Linux puts into every segment. What lies below, such
/// as Ethernet, is the link's.
const TCP_IP_BYTES: u64 = 52;

/// The parts of a token's bytes, in the order of the chart: name without its unit, and title.
const PARTS: [(&str, &str); 8] = [
    ("payload", "payload"),
    ("envelope", "envelope"),
    ("id", "id"),
    ("framing", "framing"),
    ("compressed", "all of these, compressed"),
    ("tls", "TLS"),
    ("client", "sent by the client"),
    ("tcp_ip", "TCP/IP"),
];

fn part_key(name: &str) -> String {
    format!("{name}_bytes_per_token")
}

impl Settings {
    /// Expected seconds of one trial.
    pub fn trial_seconds(&self) -> f64 {
        AROUND_S + 2.0 * QUIET.as_secs_f64() + f64::from(self.messages.get()) * self.pause_s.get()
    }

    /// Question, metrics and chart.
    pub fn describe(&self) -> record::Experiment {
        let bytes = |name: &str, title: &str| lower(name, title, "bytes", NONE);
        let mut metrics = vec![primary(bytes(
            "bytes_per_token",
            "bytes per token, TCP's payload",
        ))];
        metrics.extend(
            PARTS.map(|(name, title)| bytes(&part_key(name), &format!("bytes per token: {title}"))),
        );
        metrics.extend([
            lower(
                "segments_per_token",
                "segments sent per token",
                "segments",
                NONE,
            ),
            lower(
                "acks_per_token",
                "segments received per token",
                "segments",
                NONE,
            ),
        ]);
        record::Experiment {
            name: "wire".into(),
            title: "Bytes on the wire".into(),
            question: "What does a token weigh on the wire, and what of it is for what?".into(),
            rounds: self.rounds.get(),
            baseline: String::new(),
            arms: Vec::new(),
            settings: super::facts(self),
            metrics,
            charts: vec![Chart::Stack {
                file: "wire-bytes".into(),
                title: "Bytes for a token, and what they are for".into(),
                subtitle: format!(
                    "mean of {} known texts, each sent alone; both directions, TCP/IP at {TCP_IP_BYTES} bytes a segment",
                    self.messages
                ),
                caption: "Payload, envelope, id and framing are arithmetic and, in clear text, add up to what the \
                          kernel counted, to the byte. What is left of the count over TLS is TLS. TCP/IP is \
                          headers, of data segments and of what acknowledges them."
                    .into(),
                parts: PARTS.map(|(name, _)| part_key(name)).to_vec(),
            }],
            screen: None,
        }
    }

    /// Publishes, and counts what that put on the wire.
    pub(super) async fn measure(&self, bench: &mut Bench) -> Result<(), Broken> {
        let subscribers = self.subscribers.get();
        let mut server = bench
            .start_server(subscribers, Duration::from_secs(3))
            .await?;
        let mut audience = Audience::new(bench, &server, false);
        let resume = bench.arm.factors.resume;
        audience.grow(bench, &server, subscribers, |_| resume).await;
        // A pause for both ends, not a measured time; so is the next.
        tokio::time::sleep(QUIET).await;
        let before = server.stats(true).await?;
        *audience.recorder() = Recorder::new(0..u64::MAX);
        let (parts, published) = self.publish(bench, &mut server, &audience).await?;
        let deliveries = published * u64::from(subscribers);
        tokio::time::sleep(QUIET).await;
        let after = server.stats(false).await?;
        audience.verify(bench, &server, subscribers);
        server.command(Command::End).await?;
        let outcomes = audience.leave().await?;
        let owed = server.counters().read(Counter::Owed);
        server.stop().await?;
        bench.take_stats(&after)?;
        bench.balance(&[owed], outcomes.iter().map(|outcome| &outcome.ledger));
        let carried = Carried::between(&before, &after);
        report(bench, parts.times(subscribers.into()), &carried, deliveries);
        Ok(())
    }

    /// Publishes one message at a time, each when everybody has the one before it: two that met on a busy
    /// machine would share a frame. What they weigh for one subscriber, and how many there were.
    async fn publish(
        &self,
        bench: &Bench,
        server: &mut ServerProcess,
        audience: &Audience,
    ) -> Result<(Parts, u64), Broken> {
        let factors = &bench.arm.factors;
        let capabilities = bench.arm.transport.capabilities();
        let published = whole_flushes(u64::from(self.messages.get()), factors.flush);
        let mut parts = Parts::NOTHING;
        for (text, seq) in feed_texts(factors.payload_bytes).zip(1..=published) {
            let at = now_ns();
            // The server's own stamps have as many digits: it reads the same clock a moment later.
            let stamps = Stamps {
                stream: FEED,
                seq,
                scheduled_at: at,
                sent_at: at,
            };
            parts += Parts::of(capabilities, factors, &stamps, &text);
            let texts = vec![text.into_owned()];
            server.command(Command::Publish { texts }).await?;
            if seq == whole_flushes(seq, factors.flush) {
                let deliveries = seq * u64::from(self.subscribers.get());
                all_received(bench, server, audience, deliveries).await?;
            }
            bench.pacer.sleep_until(at + self.pause_s.nanos()).await;
        }
        Ok((parts, published))
    }
}

/// At least as many, and so many that none is held back for others to come.
fn whole_flushes(messages: u64, flush: Flush) -> u64 {
    match flush {
        Flush::Count(count) => messages.next_multiple_of(count.get().into()),
        Flush::Ready | Flush::Each | Flush::Millis(_) => messages,
    }
}

/// Waits until everybody has had all messages so far, or until they are on their way where a message has no
/// stamps for a recorder to see it by; whether all came is for the books to say.
async fn all_received(
    bench: &Bench,
    server: &ServerProcess,
    audience: &Audience,
    deliveries: u64,
) -> Result<(), Broken> {
    const LOOK: Duration = Duration::from_millis(1);
    let so_far = || match bench.arm.factors.envelope {
        Envelope::Raw => server.counters().read(Counter::HandedOver),
        Envelope::Minimal | Envelope::OpenAi => audience.recorder().received,
    };
    let all = async {
        while so_far() < deliveries {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .map_err(|_| Broken::Waited("everybody had received every message".into()))
}

/// What the server's sockets carried between its two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Carried {
    sent_bytes: u64,
    received_bytes: u64,
    segments: u64,
    segments_in: u64,
}

impl Carried {
    fn between(before: &Stats, after: &Stats) -> Self {
        let rise = |count: fn(&Stats) -> u64| count(after).saturating_sub(count(before));
        Self {
            sent_bytes: rise(|stats| stats.bytes),
            received_bytes: rise(|stats| stats.bytes_in),
            segments: rise(|stats| stats.segments),
            segments_in: rise(|stats| stats.segments_in),
        }
    }

    fn tcp_ip_bytes(&self) -> u64 {
        TCP_IP_BYTES * (self.segments + self.segments_in)
    }
}

/// Enters the parts, and holds their sum against the count where nothing may lie between the two.
fn report(bench: &mut Bench, parts: Parts, carried: &Carried, deliveries: u64) {
    let factors = &bench.arm.factors;
    let remainder = Remainder::of(factors, &parts);
    if remainder == Remainder::Nothing {
        bench.weigh(&Evidence::Wire {
            counted: carried.sent_bytes,
            arithmetic: parts.total(),
        });
    }
    bench
        .record
        .notes
        .extend(remainder.note().map(str::to_owned));
    let each = |bytes: f64| bytes / deliveries.max(1) as f64;
    for ((name, _), bytes) in PARTS.iter().zip(remainder.bytes(&parts, carried)) {
        bench.metric(&part_key(name), each(bytes));
    }
    let both_ways = carried.sent_bytes + carried.received_bytes;
    bench.metric("bytes_per_token", each(both_ways as f64));
    bench.metric("segments_per_token", each(carried.segments as f64));
    bench.metric("acks_per_token", each(carried.segments_in as f64));
}

/// What the kernel's count has beyond the arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remainder {
    Nothing,
    Tls,
    /// The framing, and TLS where it is on.
    Framing,
    /// All of it is one part.
    Compressed,
}

impl Remainder {
    fn of(factors: &Factors, parts: &Parts) -> Self {
        match parts.framing {
            _ if factors.compression != Compression::Off => Self::Compressed,
            None => Self::Framing,
            Some(_) if factors.tls => Self::Tls,
            Some(_) => Self::Nothing,
        }
    }

    fn note(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Tls => None,
            Self::Framing => Some(
                "framing is what is left of the bytes counted: every message is a whole response, and where there is \
                 TLS it is in it",
            ),
            Self::Compressed => Some(
                "what is compressed cannot be told apart: text, envelope and framing are one part, and where there is \
                 TLS it is in it",
            ),
        }
    }

    /// Bytes of each of [`PARTS`].
    fn bytes(self, parts: &Parts, carried: &Carried) -> [f64; PARTS.len()] {
        let known = [parts.payload, parts.envelope, parts.id].map(|bytes| bytes as f64);
        let sent = carried.sent_bytes as f64;
        let rest = sent - parts.total() as f64;
        let framing = parts.framing.unwrap_or(0) as f64;
        let (known, framing, compressed, tls) = match self {
            Self::Nothing => (known, framing, 0.0, 0.0),
            Self::Tls => (known, framing, 0.0, rest),
            Self::Framing => (known, rest, 0.0, 0.0),
            Self::Compressed => ([0.0; 3], 0.0, sent, 0.0),
        };
        let [payload, envelope, id] = known;
        let client = carried.received_bytes as f64;
        let tcp_ip = carried.tcp_ip_bytes() as f64;
        [
            payload, envelope, id, framing, compressed, tls, client, tcp_ip,
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use pushbench_server::contract::factors::Coding;

    use super::*;

    const PARTS_OF_TWO: Parts = Parts {
        payload: 10,
        envelope: 100,
        id: 20,
        framing: Some(28),
    };

    fn carried(sent_bytes: u64) -> Carried {
        Carried {
            sent_bytes,
            received_bytes: 5,
            segments: 2,
            segments_in: 3,
        }
    }

    #[test]
    fn the_parts_add_up_to_what_was_counted_whatever_is_left_to_be_measured() {
        let plain = Factors::default();
        let tls = Factors {
            tls: true,
            ..Factors::default()
        };
        let gzip = Factors {
            compression: Compression::Coding(Coding::Gzip, 1),
            ..Factors::default()
        };
        let open = Parts {
            framing: None,
            ..PARTS_OF_TWO
        };
        for (factors, parts, sent, expected) in [
            (&plain, PARTS_OF_TWO, 158, Remainder::Nothing),
            (&tls, PARTS_OF_TWO, 202, Remainder::Tls),
            (&plain, open, 500, Remainder::Framing),
            (&tls, open, 500, Remainder::Framing),
            (&gzip, open, 60, Remainder::Compressed),
        ] {
            let remainder = Remainder::of(factors, &parts);
            assert_eq!(remainder, expected);
            let [all @ .., tcp_ip] = remainder.bytes(&parts, &carried(sent));
            assert_eq!(all.iter().sum::<f64>(), sent as f64 + 5.0, "{remainder:?}");
            assert_eq!(tcp_ip, 260.0);
        }
        assert_eq!(Remainder::Tls.bytes(&PARTS_OF_TWO, &carried(202))[5], 44.0);
    }

    #[test]
    fn nothing_is_held_back_by_a_flush_that_waits_for_more() {
        let sixteen = Flush::Count(NonZeroU32::new(16).unwrap());
        assert_eq!(whole_flushes(100, sixteen), 112);
        assert_eq!(whole_flushes(100, Flush::Ready), 100);
    }

    #[test]
    fn what_was_carried_lies_between_the_two_accounts() {
        let stats = |n| Stats {
            segments: n,
            segments_in: 2 * n,
            bytes: 10 * n,
            bytes_in: 3 * n,
            ..Stats::default()
        };
        let carried = Carried::between(&stats(5), &stats(7));
        assert_eq!((carried.segments, carried.segments_in), (2, 4));
        assert_eq!((carried.sent_bytes, carried.received_bytes), (20, 6));
        assert_eq!(carried.tcp_ip_bytes(), 312);
    }
}

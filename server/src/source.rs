//! Runs arrival schedules: the tokens of a turn, the messages of the feed. What is due is due on the
//! schedule, however late the one before it was.

use std::{borrow::Cow, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    contract::{ask::ChatAsk, clock::now_ns},
    corpus::{self, Language},
    counters::Counter,
    faults::Injector,
    hub::Topic,
    meters::Meters,
    pacer::Pacer,
};

/// How often a turn that waits long for a token looks whether it is still wanted: nobody should hold
/// one of the places for turns without listening.
const LOOK_NS: u64 = 1_000_000_000;

/// What every schedule needs.
#[derive(Debug, Clone)]
pub struct Source {
    /// The process's one pacer.
    pub pacer: Pacer,
    /// Where pacer lag is recorded.
    pub meters: Arc<Meters>,
    /// What is done wrong on purpose, if anything.
    pub faults: Option<Arc<Injector>>,
    /// Bytes of each of the feed's texts; none leaves them to the corpus. A turn's are its ask's.
    pub feed_payload_bytes: Option<NonZeroU32>,
}

impl Source {
    /// Streams one turn to its end, or until it was ended, or nobody has listened for `patience`.
    pub async fn turn(self, topic: Arc<Topic>, ask: ChatAsk, patience: Duration) {
        let first_ns = now_ns() + ask.first_token_us * 1_000;
        let texts = texts(corpus::stream(ask.language, ask.seed), ask.payload_bytes);
        let texts = texts.take(ask.tokens as usize);
        let mut audience = Audience {
            topic: topic.clone(),
            patience,
            alone_since: None,
        };
        for (text, k) in texts.zip(0..) {
            let due_ns = first_ns + k * ask.token_gap_us * 1_000;
            while due_ns > now_ns() + LOOK_NS && !audience.left() {
                self.pacer.sleep_until(now_ns() + LOOK_NS).await;
            }
            if !audience.left() {
                self.wait(due_ns).await;
            }
            if audience.left() {
                self.meters.counters.count(Counter::StoppedTurns);
                return topic.end(true);
            }
            self.meters.text_bytes.note(text.len());
            topic.publish(due_ns, &text);
        }
        topic.end(false);
    }

    /// Publishes `rate` messages a second until the feed ends.
    pub async fn feed(self, topic: Arc<Topic>, rate: f64) {
        let start_ns = now_ns();
        if let Some(faults) = &self.faults {
            faults.begin(start_ns);
        }
        for (text, k) in feed_texts(self.feed_payload_bytes).zip(1_u64..) {
            let due_ns = start_ns + (k as f64 * 1e9 / rate) as u64;
            self.wait(due_ns).await;
            if let Some(faults) = &self.faults {
                faults.stall(start_ns);
            }
            if topic.ended() {
                return;
            }
            self.meters.text_bytes.note(text.len());
            topic.publish(due_ns, &text);
        }
    }

    async fn wait(&self, due_ns: u64) {
        if due_ns <= now_ns() {
            // Behind schedule: catch up, but let the connections have their turn.
            tokio::task::yield_now().await;
        }
        self.pacer.sleep_until(due_ns).await;
        let lag_ns = now_ns().saturating_sub(due_ns);
        self.meters
            .record(|histograms| histograms.pacer_lag.saturating_record(lag_ns));
    }
}

/// What the feed publishes: English and Chinese by turns, so that it has both kinds of token, as they are or
/// cut into pieces of so many bytes.
pub fn feed_texts(
    payload_bytes: Option<NonZeroU32>,
) -> impl Iterator<Item = Cow<'static, str>> + Send {
    let [english, chinese] = [Language::En, Language::Zh]
        .map(|language| texts(corpus::stream(language, 0), payload_bytes));
    english.zip(chinese).flat_map(|(en, zh)| [en, zh])
}

/// The tokens as they are, or cut into pieces of so many bytes.
fn texts(
    tokens: impl Iterator<Item = &'static str> + Send + 'static,
    payload_bytes: Option<NonZeroU32>,
) -> Box<dyn Iterator<Item = Cow<'static, str>> + Send> {
    match payload_bytes {
        None => Box::new(tokens.map(Cow::Borrowed)),
        Some(bytes) => Box::new(corpus::sized(tokens, bytes.get() as usize).map(Cow::Owned)),
    }
}

/// Those for whom a turn goes on.
struct Audience {
    topic: Arc<Topic>,
    patience: Duration,
    alone_since: Option<u64>,
}

impl Audience {
    /// Whether the turn was ended, or nobody has listened for longer than is waited for a resume.
    fn left(&mut self) -> bool {
        if self.topic.ended() {
            return true;
        }
        if self.topic.listeners() > 0 {
            self.alone_since = None;
            return false;
        }
        let now = now_ns();
        let alone_ns = now - *self.alone_since.get_or_insert(now);
        u128::from(alone_ns) >= self.patience.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_corpus_or_as_long_as_asked() {
        let tokens: Vec<_> = feed_texts(None).take(4).collect();
        assert!(tokens.iter().all(|token| !token.is_empty()));
        assert_eq!(tokens[0], corpus::stream(Language::En, 0).next().unwrap());
        assert_eq!(tokens[1], corpus::stream(Language::Zh, 0).next().unwrap());
        for bytes in [1, 20, 512] {
            let long = feed_texts(NonZeroU32::new(bytes)).take(50);
            assert!(long.into_iter().all(|text| text.len() == bytes as usize));
        }
    }
}

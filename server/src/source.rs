//! Runs arrival schedules: the tokens of a turn, the messages of the feed. What is due is due on the
//! schedule, however late the one before it was.

use std::sync::Arc;

use crate::{
    contract::{ask::ChatAsk, clock::now_ns},
    corpus::{self, Language},
    counters::Counter,
    hub::Topic,
    meters::Meters,
    pacer::Pacer,
};

/// What every schedule needs.
#[derive(Debug, Clone)]
pub struct Source {
    /// The process's one pacer.
    pub pacer: Pacer,
    /// Where pacer lag is recorded.
    pub meters: Arc<Meters>,
}

impl Source {
    /// Streams one turn to its end, or until nobody listens and nobody may come back.
    pub async fn turn(self, topic: Arc<Topic>, ask: ChatAsk) {
        let first_ns = now_ns() + ask.first_token_us * 1_000;
        let texts = corpus::stream(ask.language, ask.seed).take(ask.tokens as usize);
        for (text, k) in texts.zip(0..) {
            let abandoned = || !ask.resume && topic.listeners() == 0;
            self.wait(first_ns + k * ask.token_gap_us * 1_000).await;
            if topic.ended() || abandoned() {
                self.meters.counters.count(Counter::StoppedTurns);
                return topic.end(true);
            }
            topic.publish(first_ns + k * ask.token_gap_us * 1_000, text);
        }
        topic.end(false);
    }

    /// Publishes `rate` messages a second until the feed ends.
    pub async fn feed(self, topic: Arc<Topic>, rate: f64) {
        let start_ns = now_ns();
        // English and Chinese by turns, so that one feed has both kinds of token.
        let texts = corpus::stream(Language::En, 0).zip(corpus::stream(Language::Zh, 0));
        for (text, k) in texts.flat_map(|(en, zh)| [en, zh]).zip(1_u64..) {
            let due_ns = start_ns + (k as f64 * 1e9 / rate) as u64;
            self.wait(due_ns).await;
            if topic.ended() {
                return;
            }
            topic.publish(due_ns, text);
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

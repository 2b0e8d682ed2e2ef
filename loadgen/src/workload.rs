//! The chat workload's arrivals: which turn starts when and how long its answer is, from a seed alone.
//!
//! Arrivals are open-loop: a turn is due by the schedule whether or not the one before it has ended, so
//! that a slow server cannot slow its own load down.

use std::ops::RangeInclusive;

use pushbench_server::corpus::Language;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::trace::Trace;

/// From one token to the next, in nanoseconds. Mean inter-token latency of a hosted 70B model in public
/// leaderboard data: 13–18 ms, 55 to 68 tokens a second.
pub const TOKEN_GAP_NS: RangeInclusive<u64> = 13_000_000..=18_000_000;

/// Share of turns at or below a number of generated tokens: the conversation trace of the Azure Public
/// Dataset, 2023-11, 19,366 requests (Patel et al., "Splitwise", ISCA 2024). Its shortest answer is not
/// among the published quantiles; one token is the least there can be.
const CHAT_TOKENS: [(f64, f64); 8] = [
    (0.0, 1.0),
    (0.10, 54.0),
    (0.25, 85.0),
    (0.50, 129.0),
    (0.75, 395.0),
    (0.90, 424.0),
    (0.99, 601.0),
    (1.0, 1_000.0),
];

/// One prompt and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// When the prompt is sent, in nanoseconds after the window's start.
    pub due_ns: u64,
    /// Length of the answer; at least 1.
    pub tokens: u32,
    /// From the prompt's arrival to the first token, in nanoseconds.
    pub first_token_ns: u64,
    /// From one token to the next, in nanoseconds.
    pub token_gap_ns: u64,
    /// Of the answer.
    pub language: Language,
    /// Where in the corpus the answer starts.
    pub seed: u64,
    /// Whether the turn opens a connection of its own; a warm one uses a connection that is open.
    pub cold: bool,
}

impl Turn {
    /// When the last token is due, in nanoseconds after the window's start: a turn that ends later than
    /// the window is cut by it.
    pub fn last_token_due_ns(&self) -> u64 {
        let gaps_ns = self
            .token_gap_ns
            .saturating_mul(u64::from(self.tokens.saturating_sub(1)));
        self.due_ns
            .saturating_add(self.first_token_ns)
            .saturating_add(gaps_ns)
    }
}

/// What the arrivals of one trial have in common, wherever they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chat {
    /// The same seed gives the same turns.
    pub seed: u64,
    /// Turns start within this time, in nanoseconds.
    pub window_ns: u64,
    /// From a prompt's arrival to its first token, in nanoseconds.
    pub first_token_ns: u64,
}

impl Chat {
    /// Poisson arrivals at a mean rate, with the answer lengths of the conversation trace.
    ///
    /// The turns of a longer window start with those of a shorter one. A rate that is not above 0 gives
    /// no turns.
    pub fn synthetic(&self, rate_per_second: f64) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut due_seconds = exponential(&mut random, rate_per_second);
        while let Some(due_ns) = self.within_window(due_seconds * 1e9) {
            let tokens = chat_tokens(random.random());
            turns.push(self.turn(turns.len(), due_ns, tokens, &mut random));
            due_seconds += exponential(&mut random, rate_per_second);
        }
        turns
    }

    /// Real arrivals and answer lengths, from a request of the trace that the seed chooses.
    ///
    /// `speed_up` divides the time between arrivals and nothing else: token gaps stay what they are. The
    /// first turn is due at 0. The trace never wraps: of the requests only those are chosen from that
    /// leave the window filled, and all of a trace shorter than the window is replayed. A speed-up that
    /// is not above 0 gives no turns.
    pub fn replay(&self, trace: &Trace, speed_up: f64) -> Vec<Turn> {
        if speed_up.is_nan() || speed_up <= 0.0 {
            return Vec::new();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let requests = trace.requests();
        let latest_start_ns = trace.span_ns() as f64 - self.window_ns as f64 * speed_up;
        let starts = requests.partition_point(|request| request.at_ns as f64 <= latest_start_ns);
        let requests = &requests[random.random_range(0..starts.max(1))..];
        let origin_ns = requests.first().map_or(0, |first| first.at_ns);

        let mut turns = Vec::new();
        for request in requests {
            let due_ns = (request.at_ns - origin_ns) as f64 / speed_up;
            let Some(due_ns) = self.within_window(due_ns) else {
                break;
            };
            turns.push(self.turn(turns.len(), due_ns, request.generated_tokens, &mut random));
        }
        turns
    }

    /// What neither a rate nor a trace says of a turn.
    fn turn(&self, place: usize, due_ns: u64, tokens: u32, random: &mut ChaCha8Rng) -> Turn {
        Turn {
            due_ns,
            tokens,
            first_token_ns: self.first_token_ns,
            token_gap_ns: random.random_range(TOKEN_GAP_NS),
            language: Language::ALL[random.random_range(0..Language::ALL.len())],
            seed: random.random(),
            cold: place.is_multiple_of(2),
        }
    }

    /// Whole nanoseconds; nothing for a time past the window, infinite or not a number.
    fn within_window(&self, due_ns: f64) -> Option<u64> {
        (due_ns >= 0.0 && due_ns < self.window_ns as f64).then_some(due_ns as u64)
    }
}

/// Length of an answer at a quantile from 0 to 1, by inversion of the published quantiles, linear in the
/// logarithm between two of them.
pub fn chat_tokens(quantile: f64) -> u32 {
    let quantile = quantile.clamp(0.0, 1.0);
    let mut tokens = CHAT_TOKENS[0].1;
    for pair in CHAT_TOKENS.windows(2) {
        let [(low, least), (high, most)] = [pair[0], pair[1]];
        if quantile >= low {
            let share = ((quantile - low) / (high - low)).min(1.0);
            tokens = least * (most / least).powf(share);
        }
    }
    tokens.round() as u32
}

/// Seconds to the next arrival of a Poisson process; infinite at a rate of 0.
fn exponential(random: &mut ChaCha8Rng, rate_per_second: f64) -> f64 {
    // `random` is below 1, so that the logarithm is of a number above 0.
    -(1.0 - random.random::<f64>()).ln() / rate_per_second
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn chat(seed: u64, window_seconds: u64) -> Chat {
        Chat {
            seed,
            window_ns: window_seconds * SECOND_NS,
            first_token_ns: 50_000_000,
        }
    }

    /// One request a second: answers of 1, 2, 3 … tokens.
    fn trace(seconds: u32) -> Trace {
        let mut text = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
        for second in 0..seconds {
            let (minute, rest) = (second / 60, second % 60);
            text += &format!("2023-11-16 18:{minute:02}:{rest:02}.000,9,{}\n", second + 1);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Trace::read(file.path()).unwrap()
    }

    #[test]
    fn published_quantiles_come_back_exactly() {
        let quantiles = CHAT_TOKENS.map(|(quantile, _)| chat_tokens(quantile));
        assert_eq!(quantiles, [1, 54, 85, 129, 395, 424, 601, 1_000]);
        assert_eq!(chat_tokens(0.05), 7, "the geometric mean of 1 and 54");
    }

    #[test]
    fn many_turns_have_the_rate_and_the_lengths_asked_for() {
        let turns = chat(1, 1_000).synthetic(20.0);
        assert!(
            (19_000..21_000).contains(&turns.len()),
            "{} turns, 20,000 expected",
            turns.len()
        );
        for (share, expected) in &CHAT_TOKENS[1..7] {
            let below = turns
                .iter()
                .filter(|turn| f64::from(turn.tokens) <= *expected)
                .count();
            let found = below as f64 / turns.len() as f64;
            assert!(
                (found - share).abs() < 0.02,
                "{found} at or below {expected}, {share} expected"
            );
        }
        let english = turns
            .iter()
            .filter(|turn| turn.language == Language::En)
            .count();
        assert!((0.47..0.53).contains(&(english as f64 / turns.len() as f64)));
    }

    #[test]
    fn no_rate_and_no_speed_give_no_turns() {
        for none in [0.0, -1.0, f64::NAN] {
            assert_eq!(chat(1, 10).synthetic(none), []);
            assert_eq!(chat(1, 10).replay(&trace(20), none), []);
        }
    }

    #[test]
    fn replay_keeps_lengths_and_compresses_arrivals_only() {
        let trace = trace(60);
        for seed in 0..50 {
            let turns = chat(seed, 5).replay(&trace, 4.0);
            assert_eq!(
                turns.len(),
                20,
                "the window is filled: 5 s of 4 requests each"
            );
            for (place, turn) in (0..).zip(&turns) {
                assert_eq!(turn.due_ns, u64::from(place) * SECOND_NS / 4);
                assert_eq!(turn.tokens, turns[0].tokens + place);
                assert!(TOKEN_GAP_NS.contains(&turn.token_gap_ns));
            }
        }
        let starts = (0..50).map(|seed| chat(seed, 5).replay(&trace, 4.0)[0].tokens);
        assert!(
            starts.collect::<std::collections::BTreeSet<_>>().len() > 10,
            "the seed chooses"
        );
    }

    #[test]
    fn a_trace_shorter_than_the_window_is_replayed_once() {
        let turns = chat(3, 100).replay(&trace(7), 1.0);
        assert_eq!(
            turns.iter().map(|turn| turn.tokens).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn the_last_token_is_one_gap_less_than_there_are_tokens() {
        let mut turn = chat(1, 10).synthetic(5.0)[0];
        (
            turn.due_ns,
            turn.first_token_ns,
            turn.token_gap_ns,
            turn.tokens,
        ) = (5, 100, 10, 1);
        assert_eq!(turn.last_token_due_ns(), 105);
        turn.tokens = 4;
        assert_eq!(turn.last_token_due_ns(), 135);
    }

    proptest! {
        #[test]
        fn lengths_grow_with_the_quantile(low in 0.0..=1.0, high in 0.0..=1.0) {
            let (low, high) = if low <= high { (low, high) } else { (high, low) };
            prop_assert!(chat_tokens(low) <= chat_tokens(high));
            prop_assert!((1..=1_000).contains(&chat_tokens(low)));
        }

        #[test]
        fn turns_are_in_order_within_the_window_and_repeat_by_seed(seed: u64, rate in 0.1..200.0) {
            let turns = chat(seed, 10).synthetic(rate);
            prop_assert_eq!(&turns, &chat(seed, 10).synthetic(rate));
            prop_assert!(turns.is_sorted_by_key(|turn| turn.due_ns));
            for (place, turn) in turns.iter().enumerate() {
                prop_assert!(turn.due_ns < 10 * SECOND_NS);
                prop_assert!(TOKEN_GAP_NS.contains(&turn.token_gap_ns));
                prop_assert_eq!(turn.first_token_ns, 50_000_000);
                prop_assert_eq!(turn.cold, place % 2 == 0);
            }
            prop_assert!(chat(seed, 20).synthetic(rate).starts_with(&turns));
        }
    }
}

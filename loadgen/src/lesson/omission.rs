//! Lesson 4: a benchmark with two faults that are usual, and what its data says without them.

use std::fmt::Write;

use anyhow::bail;
use pushbench_reports::{
    quantity::number,
    statistics::{Level, Pair, ratio},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Call, Lesson, Mark, NOT_ANSWERED,
    numbers::{self, Expected, Tolerance},
    said,
    stage::write_new,
};

pub const LESSON: Lesson = Lesson {
    number: 4,
    title: ("Latency done honestly", "诚实地测延迟"),
    question: (
        "Somebody publishes: \"p99 is 1.6 ms. And B needs less CPU than A: 12 % in the first round, in the best even 24 %.\" You have the data.\n\n\
         \x20 requests.csv  1,000 requests, meant to be sent one every 10 ms; each waited for the one before it to be answered\n\
         \x20 rounds.csv    CPU a message of both arms in ten rounds, microseconds\n\n\
         \x20 claimed_p99_ms  p99 of received − sent: what they computed\n\
         \x20 p99_ms          p99 of received − intended: what a user of an open system would have waited\n\
         \x20 ratio           geometric mean of B/A over the rounds\n\
         \x20 low, high       its 95 % interval by Student's t on the logarithms\n\
         \x20 verdict         better, worse, equivalent or inconclusive, with a margin of 10 % (0.90 to 1.10; less is better)\n\n\
         Answer:  pushbench lesson 4 claimed_p99_ms=… p99_ms=… ratio=… low=… high=… verdict=…",
        "有人发表：“p99 为 1.6 ms。B 的 CPU 比 A 少：第一轮少 12 %，最好的一轮甚至少 24 %。”数据在你手里。\n\n\
         \x20 requests.csv  1000 个请求，计划每 10 ms 发一个；每个都要等前一个得到回答才发出\n\
         \x20 rounds.csv    十轮中两组每条消息的 CPU，微秒\n\n\
         \x20 claimed_p99_ms  received − sent 的 p99：他们算的\n\
         \x20 p99_ms          received − intended 的 p99：开环系统的用户要等的\n\
         \x20 ratio           各轮 B/A 的几何平均\n\
         \x20 low, high       对数上用 Student t 求的 95 % 区间\n\
         \x20 verdict         better、worse、equivalent 或 inconclusive，余量 10 %（0.90 到 1.10；越小越好）\n\n\
         回答：pushbench lesson 4 claimed_p99_ms=… p99_ms=… ratio=… low=… high=… verdict=…",
    ),
};

/// Requests that were meant to be sent, one every [`GAP_MS`].
const REQUESTS: usize = 1_000;
const GAP_MS: f64 = 10.0;

/// The request during which the server stalls, and for how long.
const STALLED: usize = 400;
const STALL_MS: f64 = 1_000.0;

/// Of the requests' times, so that everybody has the same.
const SEED: u64 = 4;

/// CPU a message in each round, A and B: drawn once around the same mean, with a spread of 12 %.
const ROUNDS: [(f64, f64); 10] = [
    (6.9, 6.1),
    (6.2, 6.9),
    (7.4, 5.6),
    (6.6, 6.4),
    (6.0, 6.8),
    (7.1, 6.2),
    (6.4, 6.5),
    (6.8, 5.9),
    (6.3, 7.0),
    (7.0, 6.1),
];

/// What may be concluded.
const VERDICTS: [&str; 4] = ["better", "worse", "equivalent", "inconclusive"];

/// The largest ratio that does not matter.
const MARGIN: f64 = 0.1;

/// Two definitions of a percentile of a thousand values differ by less.
const PERCENTILE: Tolerance = Tolerance::Share(0.02);

/// Room for rounding.
const ESTIMATE: Tolerance = Tolerance::Share(0.005);

struct Request {
    intended_ms: f64,
    sent_ms: f64,
    received_ms: f64,
}

/// A closed loop: a request goes out when it is meant to, or when the one before is answered.
fn requests() -> Vec<Request> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut free_ms = 0.0f64;
    let request = |number: usize| {
        let intended_ms = number as f64 * GAP_MS;
        let sent_ms = intended_ms.max(free_ms);
        let stall_ms = if number == STALLED { STALL_MS } else { 0.0 };
        free_ms = sent_ms + random.random_range(0.8..1.6) + stall_ms;
        Request {
            intended_ms,
            sent_ms,
            received_ms: free_ms,
        }
    };
    (0..REQUESTS).map(request).collect()
}

/// Writes the data.
pub fn prepare(call: &Call) -> anyhow::Result<String> {
    let mut lines = String::from("intended_ms,sent_ms,received_ms\n");
    for request in requests() {
        let Request {
            intended_ms,
            sent_ms,
            received_ms,
        } = request;
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{intended_ms:.3},{sent_ms:.3},{received_ms:.3}");
    }
    let mut rounds = String::from("round,a_us,b_us\n");
    for ((a, b), round) in ROUNDS.iter().zip(1..) {
        let _ = writeln!(rounds, "{round},{a},{b}");
    }
    let mut written = String::new();
    for (name, text) in [("requests.csv", lines), ("rounds.csv", rounds)] {
        let path = call.out.join(name);
        write_new(&path, &text)?;
        let _ = writeln!(written, "{}", path.display());
    }
    Ok(written)
}

/// The value that so large a share does not exceed (nearest rank).
fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// What the data says.
pub fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    let keys = [
        "claimed_p99_ms",
        "p99_ms",
        "ratio",
        "low",
        "high",
        "verdict",
    ];
    call.answers.only(&keys)?;
    let requests = requests();
    let p99 = |ms: fn(&Request) -> f64| percentile(requests.iter().map(ms).collect(), 0.99);
    let [middle, low, high] = interval();
    let estimate = call.language.of(
        "mean of the logarithms of B/A, ± t(0.975, 9) = 2.262 times their standard deviation ÷ √10, and back by exp",
        "对 B/A 取对数求均值，± t(0.975, 9) = 2.262 乘以标准差 ÷ √10，再取指数",
    );
    let number_of = |key, value, unit, tolerance, why| Expected {
        key,
        value,
        unit,
        tolerance,
        why,
    };
    let expected = [
        number_of(
            "claimed_p99_ms",
            p99(|own| own.received_ms - own.sent_ms),
            "ms",
            PERCENTILE,
            call.language.of(
                "received − sent, the 990th of 1,000",
                "received − sent，1000 个中的第 990 个",
            ),
        ),
        number_of(
            "p99_ms",
            p99(|own| own.received_ms - own.intended_ms),
            "ms",
            PERCENTILE,
            call.language.of(
                "received − intended: the requests that could not be sent during the stall waited too",
                "received − intended：停顿期间没能发出的请求也在等",
            ),
        ),
        number_of("ratio", middle, "", ESTIMATE, estimate),
        number_of("low", low, "", ESTIMATE, estimate),
        number_of("high", high, "", ESTIMATE, estimate),
    ];
    let mut marks = numbers::grade(&expected, &call.answers, call.language)?;
    marks.push(verdict([low, high], call)?);
    Ok(marks)
}

/// The ratio over all rounds, and its interval's ends.
fn interval() -> [f64; 3] {
    let pair = |&(baseline, arm): &(f64, f64)| Pair { baseline, arm };
    let pairs: Vec<_> = ROUNDS.iter().map(pair).collect();
    let estimate = ratio(&pairs, Level::CONVENTION);
    let ends = estimate.and_then(|own| Some((own.value, own.interval?)));
    ends.map_or([f64::NAN; 3], |(value, interval)| {
        [value, interval.low, interval.high]
    })
}

fn verdict([low, high]: [f64; 2], call: &Call) -> anyhow::Result<Mark> {
    let truth = if low > 1.0 - MARGIN && high < 1.0 + MARGIN {
        "equivalent"
    } else if high < 1.0 {
        "better"
    } else if low > 1.0 {
        "worse"
    } else {
        "inconclusive"
    };
    let Some(answer) = call.answers.text("verdict") else {
        let missing = said(NOT_ANSWERED, call.language);
        return Ok(Mark {
            right: false,
            text: format!("verdict: {missing}"),
        });
    };
    if !VERDICTS.contains(&answer) {
        bail!("`verdict={answer}` is none of {}", VERDICTS.join(", "));
    }
    let right = answer == truth;
    let text = if right {
        format!("verdict = {truth}")
    } else {
        let why = call.language.of(
            "the interval reaches beyond the margin on one side and contains 1: these rounds do not decide it",
            "区间一端超出余量，又包含 1：这些轮次判定不了",
        );
        let (low, high) = (number(low), number(high));
        format!("verdict={answer}: {truth}\n    {low}–{high}: {why}")
    };
    Ok(Mark { right, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stall_is_in_one_percentile_and_not_in_the_other() {
        let requests = requests();
        let p99 = |ms: fn(&Request) -> f64| percentile(requests.iter().map(ms).collect(), 0.99);
        let claimed = p99(|own| own.received_ms - own.sent_ms);
        let true_ms = p99(|own| own.received_ms - own.intended_ms);
        assert!((1.5..1.6).contains(&claimed), "{claimed}");
        assert!((850.0..1_000.0).contains(&true_ms), "{true_ms}");
    }

    #[test]
    fn the_rounds_decide_nothing() {
        let [middle, low, high] = interval();
        assert!(
            low < 0.9 && high > 1.0 && (0.9..1.0).contains(&middle),
            "{low} {middle} {high}"
        );
    }
}

//! Lesson 10: what a turn with tools sends upstream, in full and incrementally.

use super::{
    Call, Lesson, Mark,
    numbers::{self, Expected, Tolerance},
};

pub const LESSON: Lesson = Lesson {
    number: 10,
    title: ("Agents", "智能体"),
    question: (
        "An agent's turn calls a tool 20 times, so it makes 21 requests. System prompt and tool descriptions have 12,000 bytes; \
         after each call the conversation grows by the model's call, 500 bytes, and the tool's result, 3,500 bytes. Request heads \
         and JSON are in these figures.\n\
         \x20 full         bytes sent upstream over the turn when each request carries the whole conversation so far\n\
         \x20 incremental  bytes when the server remembers it, and each request carries only what is new: the prompts once, then each result\n\
         \x20 saved        per cent of `full` that this saves\n\
         \x20 uplink_mbit  Mbit/s of the uplink at which sending what is saved takes as long as 40 % of a turn whose other parts take 30 s\n\n\
         Answer:  pushbench lesson 10 full=… incremental=… saved=… uplink_mbit=…",
        "智能体的一个回合里调用工具 20 次，共发 21 个请求。系统提示与工具说明有 12000 字节；每次调用之后，对话增加模型的调用 500 字节\
         和工具的结果 3500 字节。请求头和 JSON 已计算在内。\n\
         \x20 full         每个请求都带上迄今的整个对话时，一个回合上行的字节数\n\
         \x20 incremental  服务器记住对话、请求只带新内容时的字节数：提示一次，之后每次只有结果\n\
         \x20 saved        相对 `full` 节省的百分比\n\
         \x20 uplink_mbit  上行带宽（Mbit/s）：发送所省字节的时间等于整个回合的 40 %，其余部分用时 30 秒\n\n\
         回答：pushbench lesson 10 full=… incremental=… saved=… uplink_mbit=…",
    ),
};

const CALLS: u32 = 20;
const PROMPT_BYTES: f64 = 12_000.0;
const CALL_BYTES: f64 = 500.0;
const RESULT_BYTES: f64 = 3_500.0;

/// Of the turn without what is saved.
const OTHERWISE_S: f64 = 30.0;

/// The published gain.
const FASTER: f64 = 0.4;

/// Bytes of a turn, full and incremental.
fn sent_bytes() -> [f64; 2] {
    let calls = f64::from(CALLS);
    // Request k, from 0, carries the prompt and k calls with their results.
    let full =
        (calls + 1.0) * PROMPT_BYTES + calls * (calls + 1.0) / 2.0 * (CALL_BYTES + RESULT_BYTES);
    [full, PROMPT_BYTES + calls * RESULT_BYTES]
}

/// By arithmetic.
pub fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    call.answers
        .only(&["full", "incremental", "saved", "uplink_mbit"])?;
    let [full, incremental] = sent_bytes();
    let saved = full - incremental;
    // s / (s + otherwise) = 40 %.
    let sending_s = OTHERWISE_S * FASTER / (1.0 - FASTER);
    let expected = |key, value, unit, share, why| Expected {
        key,
        value,
        unit,
        tolerance: Tolerance::Share(share),
        why,
    };
    let all = [
        expected(
            "full",
            full,
            call.language.of("bytes", "字节"),
            0.01,
            call.language.of(
                "21 times the prompts, and k calls with their results in request k: 21 × 12,000 + 210 × 4,000",
                "提示 21 次，第 k 个请求带 k 次调用及结果：21 × 12000 + 210 × 4000",
            ),
        ),
        expected(
            "incremental",
            incremental,
            call.language.of("bytes", "字节"),
            0.01,
            call.language.of(
                "the prompts once and 20 results: 12,000 + 20 × 3,500; the model's calls came from the server",
                "提示一次加 20 个结果：12000 + 20 × 3500；模型的调用本就来自服务器",
            ),
        ),
        expected(
            "saved",
            100.0 * saved / full,
            "%",
            0.01,
            call.language.of("(full − incremental) ÷ full", "(full − incremental) ÷ full"),
        ),
        expected(
            "uplink_mbit",
            8.0 * saved / sending_s / 1e6,
            "Mbit/s",
            0.05,
            call.language.of(
                "sending takes s with s ÷ (s + 30) = 0.4, so 20 s; 8 bits × bytes saved ÷ 20 s. A slow uplink indeed: on a fast \
                 one the gain is the server's, which need not read the conversation again",
                "设发送用 s 秒，s ÷ (s + 30) = 0.4，得 20 秒；8 比特 × 所省字节 ÷ 20 秒。这是很慢的上行：带宽充足时，收益来自服务器不必重读整个对话",
            ),
        ),
    ];
    numbers::grade(&all, &call.answers, call.language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_requests_one_by_one() {
        let (mut full, mut incremental) = (0.0, 0.0);
        for request in 0..=CALLS {
            full += PROMPT_BYTES + f64::from(request) * (CALL_BYTES + RESULT_BYTES);
            incremental += if request == 0 {
                PROMPT_BYTES
            } else {
                RESULT_BYTES
            };
        }
        assert_eq!(sent_bytes(), [full, incremental]);
    }
}

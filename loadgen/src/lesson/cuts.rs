//! Lesson 7: a client that survives being cut.

use std::time::Duration;

use pushbench_server::{
    config::Config,
    corpus::{self, Language as Tongue},
};
use rand::RngExt;
use serde::Deserialize;

use super::{
    Call, Lesson, Mark,
    program::Program,
    program_of,
    relay::{Manner, Relay},
    stage::Stage,
};

pub const LESSON: Lesson = Lesson {
    number: 7,
    title: ("Reconnect and resume", "重连与续传"),
    question: (
        "Write a client that reads one answer of 400 tokens, whatever happens to its connections: they are cut 20 times, at \
         places that nobody knows beforehand. It is started with\n\
         \x20 PUSHBENCH_URL  what to GET: an event stream with ids, whose `retry:` says how long to wait\n\
         and prints for each token, once and in order, a line of JSON: {\"id\":\"…\",\"text\":\"…\"}. The text is in the event's data, \
         which is JSON. An event of type `notice` is not a token; the one with {\"notice\":\"end\",…} ends the answer.\n\n\
         Answer:  pushbench lesson 7 -- python3 mine.py",
        "写一个客户端，读完一个 400 个 token 的回答，不管连接发生什么：它会被切断 20 次，位置事先无人知道。它启动时有\n\
         \x20 PUSHBENCH_URL  要 GET 的地址：带 id 的事件流，`retry:` 说明要等多久\n\
         每个 token 恰好一次、按顺序输出一行 JSON：{\"id\":\"…\",\"text\":\"…\"}。文本在事件的 data（JSON）里。\
         类型为 `notice` 的事件不是 token；其中 {\"notice\":\"end\",…} 表示回答结束。\n\n\
         回答：pushbench lesson 7 -- python3 mine.py",
    ),
};

const TOKENS: usize = 400;
const CUTS: usize = 20;

/// Bytes of a connection's answer before it is cut. The least is more than the head and the first notice, so
/// that each connection gets on; the most times [`CUTS`] is less than the answer, so that all happen.
const CUT_BYTES: std::ops::Range<usize> = 900..2_600;

/// What the server tells its clients to wait, short so that 20 waits are.
const RETRY: Duration = Duration::from_millis(20);

/// For the whole answer, which takes four seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line of the learner's.
#[derive(Debug, Deserialize)]
struct Token {
    id: String,
    text: String,
}

/// Cuts the program's connections, and compares.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    call.answers.only(&[])?;
    let command = program_of(call)?;
    let stage = Stage::start(Config {
        retry: RETRY,
        ..Config::default()
    })
    .await?;
    let (seed, cuts) = {
        let mut random = rand::rng();
        let cuts = (0..CUTS).map(|_| random.random_range(CUT_BYTES));
        let cuts: Vec<usize> = cuts.collect();
        (u64::from(random.random::<u16>()), cuts)
    };
    let manner = Manner {
        cuts,
        ..Manner::default()
    };
    let relay = Relay::start(stage.address, manner).await?;
    let url = format!(
        "http://{}/sse/chat?tokens={TOKENS}&first_token_us=10000&token_gap_us=5000&language=zh&seed={seed}",
        relay.address
    );
    let program = Program::start(command, &[("PUSHBENCH_URL", url)])?;
    let ended = program.end(PATIENCE).await;
    let made = relay.cuts();
    stage.end().await;
    let mut marks = judge(&ended.lines, seed, call);
    marks.push(Mark {
        right: made == CUTS,
        text: format!(
            "{} {made}/{CUTS}",
            call.language.of("cuts met:", "经历的切断：")
        ),
    });
    marks.extend(ended.trouble.map(|text| Mark { right: false, text }));
    Ok(marks)
}

/// Whether the lines are the answer's tokens: all, once, in order.
fn judge(lines: &[String], seed: u64, call: &Call) -> Vec<Mark> {
    let expected: Vec<_> = corpus::stream(Tongue::Zh, seed).take(TOKENS).collect();
    let mut came = Vec::new();
    for line in lines {
        match serde_json::from_str::<Token>(line) {
            Ok(token) => came.push(token),
            Err(error) => {
                let text = format!("`{line}`: {error}");
                return vec![Mark { right: false, text }];
            }
        }
    }
    // The place in the stream is the id's last part.
    let places: Vec<Option<usize>> = came
        .iter()
        .map(|token| token.id.rsplit('-').next()?.parse().ok())
        .collect();
    let count = |place: usize| places.iter().filter(|own| **own == Some(place)).count();
    let missing = (1..=TOKENS).filter(|&place| count(place) == 0).count();
    let repeated = (1..=TOKENS).filter(|&place| count(place) > 1).count();
    let ordered = places.is_sorted();
    let texts = came.iter().zip(&places);
    let same = texts.filter(|(token, place)| {
        let at = place.and_then(|place| place.checked_sub(1));
        at.and_then(|at| expected.get(at)) == Some(&token.text.as_str())
    });
    let same = same.count();
    // What to do about it, where something is wrong.
    let mark = |right: bool, text: String, hint: (&str, &str)| Mark {
        right,
        text: match right {
            true => text,
            false => format!("{text}\n    {}", call.language.of(hint.0, hint.1)),
        },
    };
    vec![
        mark(
            missing == 0,
            call.language.of(
                format!("{missing} tokens missing"),
                format!("缺 {missing} 个 token"),
            ),
            (
                "after a cut, ask again with Last-Event-ID",
                "切断后用 Last-Event-ID 再问",
            ),
        ),
        mark(
            repeated == 0,
            call.language.of(
                format!("{repeated} tokens twice"),
                format!("重复 {repeated} 个 token"),
            ),
            (
                "an event without its blank line did not happen, and its id does not count",
                "没有空行收尾的事件不算发生，它的 id 也不算数",
            ),
        ),
        mark(
            ordered,
            call.language.of("in order".to_owned(), "按顺序".to_owned()),
            (
                "print a token when its event is dispatched",
                "事件派发时就输出",
            ),
        ),
        mark(
            same == TOKENS && came.len() == TOKENS,
            call.language.of(
                format!("{same} of {TOKENS} texts as sent"),
                format!("{TOKENS} 个文本中 {same} 个与发送的一致"),
            ),
            (
                "the text is the field `text` of the data, which is JSON",
                "文本是 data（JSON）里的 `text` 字段",
            ),
        ),
    ]
}

//! Lesson 9: stopping an answer so that the server stops too.

use std::time::Duration;

use pushbench_server::{
    config::Config,
    corpus::{self, Language as Tongue},
    counters::Counter,
};

use super::{Call, Lesson, Mark, program::Program, program_of, stage::Stage};

pub const LESSON: Lesson = Lesson {
    number: 9,
    title: ("Stop, backpressure, duplex", "停止、背压、双工"),
    question: (
        "Write a client that asks for an answer of 400 tokens and stops it after the fifth, so that the server stops generating. \
         It is started with\n\
         \x20 PUSHBENCH_URL     http://…/sse/chat, to be POSTed to with PUSHBENCH_ASK as JSON\n\
         \x20 PUSHBENCH_WS_URL  ws://…/ws, for those who prefer it\n\
         \x20 PUSHBENCH_ASK     the ask: {\"tokens\":400,…}; on a WebSocket {\"chat\": that}\n\
         and prints the texts of the first five tokens, a line each. Then it goes on living for a second, so that the stop is \
         not its own end.\n\n\
         Answer:  pushbench lesson 9 -- python3 mine.py",
        "写一个客户端：请求 400 个 token 的回答，在第五个之后停止，使服务器也停止生成。它启动时有\n\
         \x20 PUSHBENCH_URL     http://…/sse/chat，以 JSON 把 PUSHBENCH_ASK POST 过去\n\
         \x20 PUSHBENCH_WS_URL  ws://…/ws，愿意用 WebSocket 的话\n\
         \x20 PUSHBENCH_ASK     请求：{\"tokens\":400,…}；WebSocket 上为 {\"chat\": 它}\n\
         输出前五个 token 的文本，一行一个。然后再活一秒，好让停止不是因为程序自己结束。\n\n\
         回答：pushbench lesson 9 -- python3 mine.py",
    ),
};

const TOKENS: u64 = 400;
const WANTED: usize = 5;

/// Tokens that may be published at most: five, and what a second's notice lets through at a token every 20 ms.
const PUBLISHED_MAX: u64 = 80;

/// For the program: its answer alone would take eight seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server learns of a closed connection by then.
const NOTICED: Duration = Duration::from_secs(2);

/// Runs the program, and asks the server.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    call.answers.only(&[])?;
    let command = program_of(call)?;
    let stage = Stage::start(Config::default()).await?;
    let seed = 9;
    let ask = format!(
        "{{\"tokens\":{TOKENS},\"first_token_us\":10000,\"token_gap_us\":20000,\"seed\":{seed}}}"
    );
    let variables = [
        (
            "PUSHBENCH_URL",
            format!("http://{}/sse/chat", stage.address),
        ),
        ("PUSHBENCH_WS_URL", format!("ws://{}/ws", stage.address)),
        ("PUSHBENCH_ASK", ask),
    ];
    let program = Program::start(command, &variables)?;
    let ended = program.end(PATIENCE).await;
    // Not a measured time.
    tokio::time::sleep(NOTICED).await;
    let (stopped, published) = (
        stage.count(Counter::StoppedTurns),
        stage.count(Counter::Published),
    );
    stage.end().await;
    let expected: Vec<_> = corpus::stream(Tongue::En, seed).take(WANTED).collect();
    let printed: Vec<_> = ended.lines.iter().map(|line| line.trim()).collect();
    let same = printed.len() == WANTED
        && printed
            .iter()
            .zip(&expected)
            .all(|(came, should)| *came == should.trim());
    let mut marks = vec![
        Mark {
            right: same,
            text: call.language.of(
                format!("five texts: {printed:?}, sent were {expected:?}"),
                format!("五个文本：{printed:?}，发送的是 {expected:?}"),
            ),
        },
        Mark {
            right: stopped == 1,
            text: call.language.of(
                format!(
                    "turns stopped before their end: {stopped}, to be 1; close the connection, reset the stream, or send \"cancel\""
                ),
                format!("提前停止的回答：{stopped}，应为 1；关闭连接、重置流，或发送 \"cancel\""),
            ),
        },
        Mark {
            right: (WANTED as u64..=PUBLISHED_MAX).contains(&published),
            text: call.language.of(
                format!(
                    "tokens that the server made: {published} of {TOKENS}, to be {PUBLISHED_MAX} at most"
                ),
                format!("服务器生成的 token：{published}/{TOKENS}，至多 {PUBLISHED_MAX}"),
            ),
        },
    ];
    marks.extend(ended.trouble.map(|text| Mark { right: false, text }));
    Ok(marks)
}

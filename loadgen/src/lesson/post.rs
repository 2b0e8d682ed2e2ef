//! Lesson 3: reading a streamed answer to a `POST`, and what `EventSource` does instead.

use std::time::Duration;

use pushbench_server::{
    config::Config,
    contract::ask::ChatAsk,
    corpus::{self, Language as Tongue},
};

use super::{
    Call, Lesson, Mark, Words,
    choices::{self, Statement},
    program::Program,
    relay::{Manner, Relay},
    stage::Stage,
};

/// What `EventSource` may do.
const KINDS: [&str; 3] = ["reconnects", "closes", "cannot"];

pub const LESSON: Lesson = Lesson {
    number: 3,
    title: ("EventSource is not SSE", "EventSource 不等于 SSE"),
    question: (
        "First: write a client, in any language, that does what ChatGPT's page does. It is started with\n\
         \x20 PUSHBENCH_URL      where the server is, such as http://127.0.0.1:40000\n\
         \x20 PUSHBENCH_MESSAGE  what to ask\n\
         and POSTs {\"message\": …, \"role\": \"user\"} as JSON to $PUSHBENCH_URL/api/gpt/get. The answer is a stream of UTF-8 text; \
         a read may end inside a character. Print the text, and nothing else.\n\n\
         Then: what does EventSource do? Each is `reconnects`, `closes` or `cannot`.\n\
         \x20 a  the connection is lost in the middle of a stream\n\
         \x20 b  the server ends the response properly\n\
         \x20 c  the server answers 204\n\
         \x20 d  the server answers 500\n\
         \x20 e  the server answers 200 with application/json\n\
         \x20 f  the page wants to send a prompt as the body of a POST\n\
         \x20 g  the page wants to send an Authorization header\n\
         \x20 h  nobody listens at that port for the moment\n\n\
         Answer both:  pushbench lesson 3 a=… b=… c=… d=… e=… f=… g=… h=… -- python3 mine.py",
        "第一部分：用任意语言写一个客户端，做 ChatGPT 页面所做的事。它启动时有两个环境变量\n\
         \x20 PUSHBENCH_URL      服务器地址，例如 http://127.0.0.1:40000\n\
         \x20 PUSHBENCH_MESSAGE  要问的话\n\
         请把 {\"message\": …, \"role\": \"user\"} 以 JSON POST 到 $PUSHBENCH_URL/api/gpt/get。回答是 UTF-8 文本流；一次读取可能停在字符中间。\
         只输出文本，别的什么都不要输出。\n\n\
         第二部分：EventSource 会怎样？每项是 `reconnects`（重连）、`closes`（永久关闭）或 `cannot`（做不到）。\n\
         \x20 a  流传到一半连接断了\n\
         \x20 b  服务器正常结束了响应\n\
         \x20 c  服务器回答 204\n\
         \x20 d  服务器回答 500\n\
         \x20 e  服务器回答 200，类型是 application/json\n\
         \x20 f  页面想把提示词作为 POST 的正文发出去\n\
         \x20 g  页面想带上 Authorization 头\n\
         \x20 h  那个端口暂时没有人监听\n\n\
         两部分一起回答：pushbench lesson 3 a=… b=… c=… d=… e=… f=… g=… h=… -- python3 mine.py",
    ),
};

const ESTABLISHED: Words = (
    "The standard fails the connection for good when status or content type are not those of an event stream.",
    "状态或内容类型不是事件流的，标准规定连接永久失败。",
);

const LOST: Words = (
    "The standard reestablishes the connection, after the reconnection time, when the stream ends or the network fails.",
    "流结束或网络出错时，标准规定等过重连时间后重新建立连接。",
);

const GET_ONLY: Words = (
    "The constructor takes a URL and `withCredentials`, and nothing else: a GET without headers of your own.",
    "构造函数只接受 URL 和 `withCredentials`：一个不能自带头的 GET。",
);

const fn situation(key: &'static str, text: Words, truth: &'static str, why: Words) -> Statement {
    Statement {
        key,
        text,
        truth,
        why,
    }
}

const SITUATIONS: [Statement; 8] = [
    situation(
        "a",
        ("lost in the middle", "传到一半断了"),
        "reconnects",
        LOST,
    ),
    situation("b", ("ended properly", "正常结束"), "reconnects", LOST),
    situation(
        "c",
        ("204", "204"),
        "closes",
        (
            "204 is how a server says: do not come back.",
            "204 是服务器在说：不要再来。",
        ),
    ),
    situation("d", ("500", "500"), "closes", ESTABLISHED),
    situation(
        "e",
        ("another content type", "别的内容类型"),
        "closes",
        ESTABLISHED,
    ),
    situation(
        "f",
        ("a POST with a body", "带正文的 POST"),
        "cannot",
        GET_ONLY,
    ),
    situation(
        "g",
        ("an Authorization header", "Authorization 头"),
        "cannot",
        GET_ONLY,
    ),
    situation("h", ("nobody listens", "没人监听"), "reconnects", LOST),
];

/// Questions in two languages, so that the answer has whole bytes of one and three of the other.
const MESSAGES: [&str; 2] = ["Why not WebSocket?", "为什么不用 WebSocket？"];

/// The answer goes on in pieces of so many bytes: no multiple of a character's three.
const PIECE_BYTES: usize = 5;

/// For one answer, which takes less than three seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program and the situations; passed with both.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    let mut marks = Vec::new();
    for message in MESSAGES.iter().filter(|_| !call.program.is_empty()) {
        marks.push(read(message, call).await?);
    }
    if call.program.is_empty() {
        let missing = call.language.of(
            "the program is still to be answered: `-- python3 mine.py`",
            "还差程序：`-- python3 mine.py`",
        );
        marks.push(Mark {
            right: false,
            text: missing.to_owned(),
        });
    }
    let situations = choices::grade(&SITUATIONS, &KINDS, &call.answers, call.language)?;
    marks.extend(situations);
    Ok(marks)
}

async fn read(message: &str, call: &Call) -> anyhow::Result<Mark> {
    let stage = Stage::start(Config::default()).await?;
    let manner = Manner {
        piece_bytes: Some(PIECE_BYTES),
        ..Manner::default()
    };
    let relay = Relay::start(stage.address, manner).await?;
    let variables = [
        ("PUSHBENCH_URL", format!("http://{}", relay.address)),
        ("PUSHBENCH_MESSAGE", message.to_owned()),
    ];
    let program = Program::start(&call.program, &variables)?;
    let ended = program.end(PATIENCE).await;
    stage.end().await;
    let printed = ended.lines.join("\n");
    let expected = answer(message);
    // A line feed at the very end is the program's own business.
    let right = ended.trouble.is_none() && printed.trim_end() == expected.trim_end();
    let text = if right {
        message.to_owned()
    } else {
        let why = ended
            .trouble
            .unwrap_or_else(|| difference(&printed, &expected, call));
        format!("{message}\n    {why}")
    };
    Ok(Mark { right, text })
}

/// What the server says to it.
fn answer(message: &str) -> String {
    let language = match message.is_ascii() {
        true => Tongue::En,
        false => Tongue::Zh,
    };
    let tokens = corpus::stream(language, message.len() as u64);
    tokens.take(ChatAsk::default().tokens as usize).collect()
}

/// Where the two texts part.
fn difference(printed: &str, expected: &str, call: &Call) -> String {
    if printed.contains('\u{fffd}') {
        let split = call.language.of(
            "there is a U+FFFD in it: a character was decoded before all of its bytes had come; keep one decoder for the \
             whole stream",
            "其中有 U+FFFD：字符的字节还没到齐就解码了；整个流应共用一个解码器",
        );
        return split.to_owned();
    }
    let same = printed.chars().zip(expected.chars());
    let same = same.take_while(|(came, should)| came == should).count();
    let next = |text: &str| text.chars().skip(same).take(20).collect::<String>();
    let (came, should) = (next(printed), next(expected));
    call.language.of(
        format!("after {same} characters it printed {came:?} instead of {should:?}"),
        format!("第 {same} 个字符之后输出了 {came:?}，应为 {should:?}"),
    )
}

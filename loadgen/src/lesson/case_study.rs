//! Lesson 11: what is said of real services, sorted.

use super::{
    Call, Lesson, Mark, Words,
    choices::{self, Statement},
};

/// What a statement may be.
const KINDS: [&str; 3] = ["true", "outdated", "untested"];

pub const LESSON: Lesson = Lesson {
    number: 11,
    title: ("Case study", "案例"),
    question: (
        "Sort these twelve, as in lesson 0: true, outdated (or never true), untested (published as a quantity, and not measured \
         here).\n\n\
         \x20 a  ChatGPT's page has always used one WebSocket for everything\n\
         \x20 b  OpenAI's chat completions stream ends with `data: [DONE]`\n\
         \x20 c  OpenAI's Responses API can be spoken over WebSocket\n\
         \x20 d  over WebSocket its events have another format than over SSE\n\
         \x20 e  OpenAI's WebSocket mode is up to 40 % faster at 20 and more tool calls\n\
         \x20 f  Anthropic streams typed events from `message_start` to `message_stop`, with pings and in-stream errors\n\
         \x20 g  Gemini's Live API is SSE\n\
         \x20 h  MCP's HTTP transport is two endpoints, one of them a long-lived event stream\n\
         \x20 i  a server should choose the stream's format by the request's Accept header, as every LLM client sends text/event-stream\n\
         \x20 j  a service that streams over SSE cannot hand a long turn over to another connection\n\
         \x20 k  a gateway that changed from SSE to WebSocket has its first token 28 to 41 % sooner\n\
         \x20 l  WebTransport gives a page streams and datagrams over HTTP/3\n\n\
         Answer:  pushbench lesson 11 a=… b=… c=… d=… e=… f=… g=… h=… i=… j=… k=… l=…",
        "像第 0 课那样把这十二条分类：true、outdated（过时或从未成立）、untested（作为数量公布，本书没有测量）。\n\n\
         \x20 a  ChatGPT 的页面一直用一条 WebSocket 做所有事\n\
         \x20 b  OpenAI chat completions 的流以 `data: [DONE]` 结束\n\
         \x20 c  OpenAI 的 Responses API 可以走 WebSocket\n\
         \x20 d  走 WebSocket 时它的事件格式与 SSE 不同\n\
         \x20 e  OpenAI 的 WebSocket 模式在 20 次以上工具调用时最多快 40 %\n\
         \x20 f  Anthropic 的流是带类型的事件，从 `message_start` 到 `message_stop`，有 ping 和流内错误\n\
         \x20 g  Gemini 的 Live API 是 SSE\n\
         \x20 h  MCP 的 HTTP 传输是两个端点，其中一个是长期的事件流\n\
         \x20 i  服务器应按请求的 Accept 头选择流的格式，因为所有 LLM 客户端都发 text/event-stream\n\
         \x20 j  用 SSE 输出的服务无法把一个长回答移交给另一条连接\n\
         \x20 k  从 SSE 换到 WebSocket 的网关，首个 token 早 28 到 41 %\n\
         \x20 l  WebTransport 让页面通过 HTTP/3 使用流和数据报\n\n\
         回答：pushbench lesson 11 a=… b=… c=… d=… e=… f=… g=… h=… i=… j=… k=… l=…",
    ),
};

const fn statement(key: &'static str, text: Words, truth: &'static str, why: Words) -> Statement {
    Statement {
        key,
        text,
        truth,
        why,
    }
}

const STATEMENTS: [Statement; 12] = [
    statement(
        "a",
        (
            "ChatGPT: one WebSocket from the start",
            "ChatGPT：从一开始就是一条 WebSocket",
        ),
        "outdated",
        (
            "A fetch POST answered by an event stream in 2022 and 2023; WebSocket for some traffic from 2024; now both.",
            "2022 至 2023 年是以事件流回答的 fetch POST；2024 年起部分流量走 WebSocket；如今两者并用。",
        ),
    ),
    statement(
        "b",
        (
            "chat completions end with [DONE]",
            "chat completions 以 [DONE] 结束",
        ),
        "true",
        (
            "OpenAI documents it, and its clients stop there.",
            "OpenAI 的文档如此，客户端也在此停止。",
        ),
    ),
    statement(
        "c",
        ("Responses over WebSocket", "Responses 走 WebSocket"),
        "true",
        (
            "Since 2026: `response.create` goes in as a JSON text frame.",
            "2026 年起：`response.create` 作为 JSON 文本帧发入。",
        ),
    ),
    statement(
        "d",
        ("another format over WebSocket", "WebSocket 上是另一种格式"),
        "outdated",
        (
            "The same events come out, as JSON text frames.",
            "出来的是同样的事件，只是装在 JSON 文本帧里。",
        ),
    ),
    statement(
        "e",
        (
            "up to 40 % faster at 20 tool calls",
            "20 次工具调用时最多快 40 %",
        ),
        "untested",
        (
            "A figure of OpenAI's about its own service; what it is made of is chapter 10.",
            "这是 OpenAI 关于自家服务的数字；它由什么构成见第 10 章。",
        ),
    ),
    statement(
        "f",
        ("Anthropic's typed events", "Anthropic 的类型化事件"),
        "true",
        ("As documented.", "文档如此。"),
    ),
    statement(
        "g",
        ("Gemini Live is SSE", "Gemini Live 是 SSE"),
        "outdated",
        (
            "Gemini streams over SSE; its Live API, which also takes audio in, is WebSocket.",
            "Gemini 的流走 SSE；同时要接收音频的 Live API 是 WebSocket。",
        ),
    ),
    statement(
        "h",
        ("MCP: two endpoints", "MCP：两个端点"),
        "outdated",
        (
            "HTTP+SSE gave way to Streamable HTTP in 2025: one endpoint, a POST answered by JSON or by an event stream.",
            "HTTP+SSE 在 2025 年让位给 Streamable HTTP：一个端点，POST 的回答是 JSON 或事件流。",
        ),
    ),
    statement(
        "i",
        ("choose by Accept", "按 Accept 选择"),
        "outdated",
        (
            "OpenAI's own clients send Accept: application/json and get an event stream: `stream` in the body decides.",
            "OpenAI 自己的客户端发 Accept: application/json，得到的却是事件流：由正文里的 `stream` 决定。",
        ),
    ),
    statement(
        "j",
        ("no hand-over from SSE", "SSE 不能移交"),
        "outdated",
        (
            "ChatGPT does: a long turn goes on at a resume endpoint, or on a WebSocket topic with an offset. Ids make it possible.",
            "ChatGPT 就这么做：长回答转到续传端点，或带偏移量的 WebSocket 主题。有 id 就能做到。",
        ),
    ),
    statement(
        "k",
        (
            "a gateway's first token 28 to 41 % sooner",
            "网关首个 token 早 28 到 41 %",
        ),
        "untested",
        (
            "Published of one gateway. The page of claims says what the transport alone does.",
            "这是某一网关公布的数字。单是传输方式有多大作用，见公开说法的检验页。",
        ),
    ),
    statement(
        "l",
        (
            "WebTransport: streams and datagrams",
            "WebTransport：流与数据报",
        ),
        "true",
        ("As its specification says.", "规范如此。"),
    ),
];

/// Each statement for itself.
pub fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    choices::grade(&STATEMENTS, &KINDS, &call.answers, call.language)
}

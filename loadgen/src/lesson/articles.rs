//! Lesson 0: what the two articles say, sorted.

use super::{
    Call, Lesson, Mark,
    choices::{self, Statement},
};

/// What a statement may be.
const KINDS: [&str; 3] = ["true", "outdated", "untested"];

pub const LESSON: Lesson = Lesson {
    number: 0,
    title: ("The question", "问题"),
    question: (
        "Two well-read articles say the ten things below. Sort them:\n\
         \x20 true      holds today, by a standard or by the documentation of who made it\n\
         \x20 outdated  was true once, or was never, and a standard or its maker says so now\n\
         \x20 untested  a statement about a quantity that none of the articles measured\n\n\
         \x20 a  SSE is one-way: the server sends, the client cannot\n\
         \x20 b  WebSocket has lower latency than SSE\n\
         \x20 c  EventSource reconnects by itself after a connection was lost\n\
         \x20 d  ChatGPT streams its answers with EventSource\n\
         \x20 e  SSE is lighter than WebSocket\n\
         \x20 f  over HTTP/1.1 a browser opens 6 connections to an origin at most, and event streams share them\n\
         \x20 g  without `retry:` a browser waits 30 seconds before it reconnects\n\
         \x20 h  over HTTP/2 the number of event streams is limited by what the two ends agree on, 100 by default\n\
         \x20 i  the number of WebSocket connections of a browser is unlimited\n\
         \x20 j  WebSocket is faster because it has no HTTP headers for each message\n\n\
         Answer:  pushbench lesson 0 a=… b=… c=… d=… e=… f=… g=… h=… i=… j=…",
        "两篇流传很广的文章说了下面十件事。请分类：\n\
         \x20 true      今天成立，有标准或其制造者的文档为证\n\
         \x20 outdated  曾经成立或从未成立，标准或其制造者如今另有说法\n\
         \x20 untested  关于数量的说法，而文章都没有测量\n\n\
         \x20 a  SSE 是单向的：服务器发，客户端不能发\n\
         \x20 b  WebSocket 的延迟比 SSE 低\n\
         \x20 c  连接断开后 EventSource 会自动重连\n\
         \x20 d  ChatGPT 用 EventSource 流式输出回答\n\
         \x20 e  SSE 比 WebSocket 更轻\n\
         \x20 f  在 HTTP/1.1 上浏览器对同一源最多开 6 条连接，事件流也算在内\n\
         \x20 g  没有 `retry:` 时浏览器等 30 秒再重连\n\
         \x20 h  在 HTTP/2 上事件流的数量由双方协商，默认 100\n\
         \x20 i  浏览器的 WebSocket 连接数没有限制\n\
         \x20 j  WebSocket 更快，因为每条消息不带 HTTP 头\n\n\
         回答：pushbench lesson 0 a=… b=… c=… d=… e=… f=… g=… h=… i=… j=…",
    ),
};

const STATEMENTS: [Statement; 10] = [
    Statement {
        key: "a",
        text: ("SSE is one-way", "SSE 是单向的"),
        truth: "true",
        why: (
            "An event stream is the body of one response (WHATWG HTML, 9.2); what the client has to say goes into other requests.",
            "事件流是一个响应的正文（WHATWG HTML 9.2）；客户端要说的话走别的请求。",
        ),
    },
    Statement {
        key: "b",
        text: (
            "WebSocket has lower latency than SSE",
            "WebSocket 的延迟比 SSE 低",
        ),
        truth: "untested",
        why: (
            "Neither article gives a measurement. Chapter 4 does.",
            "两篇文章都没有给出测量。第 4 章给出。",
        ),
    },
    Statement {
        key: "c",
        text: ("EventSource reconnects by itself", "EventSource 自动重连"),
        truth: "true",
        why: (
            "The standard says so, with three ways out: status 204, another status than 200, another content type.",
            "标准如此规定，例外有三：204、非 200 的状态、别的内容类型。",
        ),
    },
    Statement {
        key: "d",
        text: (
            "ChatGPT streams with EventSource",
            "ChatGPT 用 EventSource 流式输出",
        ),
        truth: "outdated",
        why: (
            "EventSource can only GET, and a prompt is POSTed: it is fetch, and the body has the format text/event-stream. \
             The first article's author has corrected it.",
            "EventSource 只能 GET，而提示词是 POST 出去的：用的是 fetch，正文的格式是 text/event-stream。第一篇文章的作者后来已更正。",
        ),
    },
    Statement {
        key: "e",
        text: ("SSE is lighter than WebSocket", "SSE 比 WebSocket 更轻"),
        truth: "untested",
        why: (
            "Lighter in what? Neither article weighs anything. Chapters 1, 5 and 6 do: bytes, CPU, memory.",
            "轻在哪里？两篇文章都没有称过。第 1、5、6 章称了字节、CPU 和内存。",
        ),
    },
    Statement {
        key: "f",
        text: (
            "6 connections to an origin over HTTP/1.1",
            "HTTP/1.1 上同源 6 条连接",
        ),
        truth: "true",
        why: (
            "Browsers document it, and all tabs share the six (MDN, EventSource).",
            "浏览器有文档，而且所有标签页共用这六条（MDN，EventSource）。",
        ),
    },
    Statement {
        key: "g",
        text: (
            "a browser waits 30 seconds without `retry:`",
            "没有 `retry:` 时浏览器等 30 秒",
        ),
        truth: "outdated",
        why: (
            "The standard leaves it to the browser, \"a few seconds\"; Chromium waits 3 and Firefox 5.",
            "标准交给浏览器决定，“几秒”；Chromium 等 3 秒，Firefox 等 5 秒。",
        ),
    },
    Statement {
        key: "h",
        text: (
            "over HTTP/2 the limit is agreed on, 100 by default",
            "HTTP/2 上的上限由双方协商，默认 100",
        ),
        truth: "true",
        why: (
            "SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, 6.5.2); MDN gives 100 as the common default.",
            "SETTINGS_MAX_CONCURRENT_STREAMS（RFC 9113，6.5.2）；MDN 给出的常见默认值是 100。",
        ),
    },
    Statement {
        key: "i",
        text: (
            "the number of WebSocket connections is unlimited",
            "WebSocket 连接数没有限制",
        ),
        truth: "outdated",
        why: (
            "Chromium opens 255 to a host at most.",
            "Chromium 对一个主机最多开 255 条。",
        ),
    },
    Statement {
        key: "j",
        text: (
            "faster because it has no HTTP headers for each message",
            "更快，因为每条消息不带 HTTP 头",
        ),
        truth: "untested",
        why: (
            "A message of an event stream has no HTTP headers either: the response's came once, before the first. What is left \
             is 14 bytes against 2, and whether that is faster nobody had measured.",
            "事件流的消息同样不带 HTTP 头：响应头只在最前面来一次。剩下的是 14 字节对 2 字节，是否因此更快，没有人测过。",
        ),
    },
];

/// Each statement for itself.
pub fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    choices::grade(&STATEMENTS, &KINDS, &call.answers, call.language)
}

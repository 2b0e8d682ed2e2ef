//! The case table, from the standard's text (WHATWG HTML, 9.2.5 and 9.2.6); a test holds it against our own
//! parser.

use crate::lesson::Words;

/// A stream, cut into chunks, and what it dispatches.
#[derive(Debug)]
pub struct Case {
    /// What it is about.
    pub name: Words,
    /// What the standard says of it.
    pub rule: Words,
    /// As they come.
    pub chunks: &'static [&'static [u8]],
    /// Type, data, last event id.
    pub events: &'static [(&'static str, &'static str, &'static str)],
    /// Whether the first event must be there before the second chunk is given.
    pub at_once: bool,
}

const fn case(
    name: Words,
    rule: Words,
    chunks: &'static [&'static [u8]],
    events: &'static [(&'static str, &'static str, &'static str)],
) -> Case {
    Case {
        name,
        rule,
        chunks,
        events,
        at_once: false,
    }
}

const LINE_ENDS: Words = (
    "a line ends with CR LF, LF or CR",
    "一行以 CR LF、LF 或 CR 结束",
);

const DECODED: Words = (
    "the stream is UTF-8, and a character may be split over chunks: decode what is whole",
    "流是 UTF-8，一个字符可能被切在两块里：凑整了再解码",
);

pub const CASES: &[Case] = &[
    case(
        ("one event", "一个事件"),
        LINE_ENDS,
        &[b"data: hello\n\n"],
        &[("message", "hello", "")],
    ),
    Case {
        at_once: true,
        ..case(
            ("an event at once", "立即派发"),
            LINE_ENDS,
            &[b"data: a\n\n", b"data: b\n\n"],
            &[("message", "a", ""), ("message", "b", "")],
        )
    },
    Case {
        at_once: true,
        ..case(
            ("an event at once that CR ends", "以 CR 结尾的事件，立即派发"),
            (
                "a CR ends the line, whether or not a LF comes behind it",
                "CR 就结束一行，不管后面有没有 LF",
            ),
            &[b"data: a\r\r", b"data: b\r\r"],
            &[("message", "a", ""), ("message", "b", "")],
        )
    },
    case(
        ("lines that end with CR", "行尾为 CR"),
        LINE_ENDS,
        &[b"data: a\rdata: b\r\rdata: c\r\r"],
        &[("message", "a\nb", ""), ("message", "c", "")],
    ),
    case(
        ("lines that end with CR LF", "行尾为 CR LF"),
        LINE_ENDS,
        &[b"data: a\r\n\r\ndata: b\r\n\r\n"],
        &[("message", "a", ""), ("message", "b", "")],
    ),
    case(
        ("CR and LF in two chunks", "CR 与 LF 分在两块"),
        (
            "a LF right behind a CR belongs to the same line end, whichever chunk it comes in",
            "紧跟 CR 的 LF 属于同一个行尾，无论它在哪一块里",
        ),
        &[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"],
        &[("message", "a\nb", "")],
    ),
    case(
        ("half an event a chunk", "一块半个事件"),
        (
            "a chunk is no message: keep what is not ended yet",
            "块不是消息：没结束的先留着",
        ),
        &[b"da", b"ta: he", b"llo\n", b"\nda", b"ta: x\n\n"],
        &[("message", "hello", ""), ("message", "x", "")],
    ),
    case(
        ("ten events in one chunk", "一块十个事件"),
        (
            "a chunk is no message: it may hold many",
            "块不是消息：一块里可以有许多事件",
        ),
        &[b"data:0\n\ndata:1\n\ndata:2\n\ndata:3\n\ndata:4\n\ndata:5\n\ndata:6\n\ndata:7\n\ndata:8\n\ndata:9\n\n"],
        &[
            ("message", "0", ""),
            ("message", "1", ""),
            ("message", "2", ""),
            ("message", "3", ""),
            ("message", "4", ""),
            ("message", "5", ""),
            ("message", "6", ""),
            ("message", "7", ""),
            ("message", "8", ""),
            ("message", "9", ""),
        ],
    ),
    case(
        ("Chinese text", "中文"),
        DECODED,
        &["data: 你好，世界\n\n".as_bytes()],
        &[("message", "你好，世界", "")],
    ),
    case(
        ("a character split over chunks", "一个字符切在两块里"),
        DECODED,
        &[b"data: \xe5\xa5", b"\xbd\n\ndata: \xf0\x9f", b"\x98", b"\x80\n\n"],
        &[("message", "好", ""), ("message", "😀", "")],
    ),
    case(
        ("one byte a chunk", "一块一个字节"),
        DECODED,
        &[
            b"d", b"a", b"t", b"a", b":", b" ", b"\xe5", b"\xa5", b"\xbd", b"\r", b"\n", b"\r", b"\n",
        ],
        &[("message", "好", "")],
    ),
    case(
        ("a byte order mark", "字节序标记（BOM）"),
        (
            "one byte order mark at the stream's start is skipped",
            "流开头的一个 BOM 要跳过",
        ),
        &[b"\xef\xbb\xbfdata: a\n\n"],
        &[("message", "a", "")],
    ),
    case(
        ("a byte order mark in two chunks", "BOM 切在两块里"),
        (
            "one byte order mark at the stream's start is skipped",
            "流开头的一个 BOM 要跳过",
        ),
        &[b"\xef", b"\xbb\xbfdata: a\n\n"],
        &[("message", "a", "")],
    ),
    case(
        ("a comment", "注释"),
        ("a line that begins with a colon is ignored", "以冒号开头的行忽略"),
        &[b": keep-alive\n\ndata: a\n: data: b\n\n"],
        &[("message", "a", "")],
    ),
    case(
        ("several data lines", "多行 data"),
        (
            "data lines are joined by LF, without one at the end",
            "多行 data 以 LF 连接，末尾不带",
        ),
        &[b"data: a\ndata: b\ndata\n\n"],
        &[("message", "a\nb\n", "")],
    ),
    case(
        ("one space is taken off, not two", "只去掉一个空格"),
        (
            "one space behind the colon is removed, and only one",
            "冒号后的一个空格去掉，只去一个",
        ),
        &[b"data:a\n\ndata: a\n\ndata:  a\n\n"],
        &[
            ("message", "a", ""),
            ("message", "a", ""),
            ("message", " a", ""),
        ],
    ),
    case(
        ("nothing to dispatch", "没有可派发的"),
        (
            "without data no event is dispatched, and its type is forgotten; an empty data line is data",
            "没有 data 就不派发事件，类型也作废；空的 data 行也是 data",
        ),
        &[b"event: a\n\ndata: b\n\n\n\ndata\n\n"],
        &[("message", "b", ""), ("message", "", "")],
    ),
    case(
        ("a type for one event", "类型只管一个事件"),
        (
            "`event` names this event; the next is `message` again",
            "`event` 只命名当前事件，下一个仍是 `message`",
        ),
        &[b"event: token\ndata: a\n\ndata: b\n\n"],
        &[("token", "a", ""), ("message", "b", "")],
    ),
    case(
        ("an empty type", "空的类型"),
        (
            "an empty `event` is as none: the type is `message`",
            "空的 `event` 等于没有：类型是 `message`",
        ),
        &[b"event:\ndata: a\n\nevent: x\nevent\ndata: b\n\n"],
        &[("message", "a", ""), ("message", "b", "")],
    ),
    case(
        ("an id that stays", "id 会保留"),
        (
            "the last event id stays until another comes; an empty one clears it",
            "最后的事件 id 一直有效，直到来了新的；空 id 将其清除",
        ),
        &[b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"],
        &[("message", "a", "7"), ("message", "b", "7"), ("message", "c", "")],
    ),
    case(
        ("an id with NUL", "含 NUL 的 id"),
        ("an id that contains NUL is ignored", "含有 NUL 的 id 忽略"),
        &[b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n"],
        &[("message", "a", "1"), ("message", "b", "1")],
    ),
    case(
        ("fields of other names", "其他字段"),
        (
            "names are compared exactly, unknown fields are ignored, `retry` dispatches nothing",
            "字段名精确比较，未知字段忽略，`retry` 不派发任何东西",
        ),
        &[b"Data: x\nretry: 3000\nfoo: bar\n data: y\ndata: a\n\n"],
        &[("message", "a", "")],
    ),
    case(
        ("a colon in the value", "值里有冒号"),
        (
            "only the first colon of a line separates",
            "一行里只有第一个冒号是分隔符",
        ),
        &[b"data: {\"a\": 1}\n\n"],
        &[("message", "{\"a\": 1}", "")],
    ),
    case(
        ("an event that nothing ends", "没有结束的事件"),
        (
            "at the stream's end an event without its blank line is discarded",
            "流结束时，没有空行收尾的事件丢弃",
        ),
        &[b"data: a\n\ndata: b\n"],
        &[("message", "a", "")],
    ),
    case(
        ("\"undefined\" and [DONE] are text", "“undefined” 与 [DONE] 都是文本"),
        (
            "data is whatever it says; what it means is for the application",
            "data 写什么就是什么；含义由应用决定",
        ),
        &[b"data: undefined\n\ndata: [DONE]\n\n"],
        &[("message", "undefined", ""), ("message", "[DONE]", "")],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Parser;

    #[test]
    fn our_own_parser_agrees_on_every_case() {
        for case in CASES {
            let mut parser = Parser::new();
            let mut events = Vec::new();
            for chunk in case.chunks {
                let mut keep = |event: crate::sse::Event<'_>| {
                    events.push([event.event, event.data, event.id].map(str::to_owned));
                };
                parser.push(chunk, &mut keep).unwrap();
            }
            let expected = case.events.iter();
            let expected: Vec<_> = expected
                .map(|&(e, d, i)| [e, d, i].map(str::to_owned))
                .collect();
            assert_eq!(events, expected, "{}", case.name.0);
        }
        assert!(CASES.len() > 20);
    }
}

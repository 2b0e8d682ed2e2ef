//! The claims about memory.

use super::claim::{Ask, Carried, Claim, Expected, Judging, Part, Scale, Side, Unit, Words, words};
use super::sides::{MEMORY_MARGIN, UNRECORDED, of};

const IDLE: &str = "user_bytes_per_idle_connection";

const STREAMING: &str = "user_bytes_per_streaming_connection";

const SSE_AXUM: Side = of("sse-h1", &[("http_stack", "axum")], IDLE);

/// With the read buffer that the library has by itself.
const WS_AXUM: Side = of(
    "ws-h1",
    &[("http_stack", "axum"), ("ws_read_buffer_bytes", "131072")],
    IDLE,
);

const WS_AXUM_TUNED: Side = of("ws-h1", &[("http_stack", "axum")], IDLE);

const WS_AXUM_SMALL: Side = of(
    "ws-h1",
    &[("http_stack", "axum"), ("ws_read_buffer_bytes", "1024")],
    IDLE,
);

const READ_BUFFER: Words = words(
    "`ws_read_buffer_bytes`, the WebSocket library's read buffer",
    "`ws_read_buffer_bytes`（WebSocket 库的读缓冲区）",
);

const REMARK: Words = words(
    "Our figure is user space alone, a slope over counts of live connections, so that neither the kernel's share nor \
     the process is in it; the published one may have both.",
    "我们的数字只含用户态内存，取自连接数递增时的斜率，因此不含内核部分，也不含进程本身的固定开销；公开的数字可能两者都有。",
);

fn ask(of: Side, against: Side, scale: Scale) -> Ask {
    Ask {
        plan: "claims",
        experiment: "memory",
        of,
        against: Some(against),
        scale,
        unit: Unit::Bytes,
        within: &[],
    }
}

/// WebSocket against SSE under `axum::serve`, at the library's read buffer and at the tuned one.
fn at_both_buffers(expected: Expected) -> Judging {
    let part = |what, ws| Part {
        what,
        ask: ask(ws, SSE_AXUM, Scale::Ratio),
        expected,
        decides: true,
        carried: Some(Carried::Connections(100_000.0)),
    };
    Judging::By {
        knob: READ_BUFFER,
        parts: vec![
            part(
                words(
                    "memory of WebSocket against SSE, read buffer of 128 KiB (the library's default)",
                    "WebSocket 与 SSE 的内存之比，读缓冲区 128 KiB（库的默认值）",
                ),
                WS_AXUM,
            ),
            part(
                words(
                    "memory of WebSocket against SSE, read buffer of 4 KiB",
                    "WebSocket 与 SSE 的内存之比，读缓冲区 4 KiB",
                ),
                WS_AXUM_TUNED,
            ),
        ],
    }
}

/// 1: SSE is the lighter one.
pub fn sse_is_lighter() -> Claim {
    Claim {
        number: "1",
        statement: words(
            "A connection takes less memory on SSE than on WebSocket",
            "每条连接的内存，SSE 比 WebSocket 少",
        ),
        source: words(
            "Ark Protocol's benchmark, as rexai.top reports it (“WebSocket vs SSE Benchmark”)",
            "Ark Protocol 的基准测试，转引自 rexai.top（“WebSocket vs SSE Benchmark”）",
        ),
        figure: words(
            "31 KB on SSE, 52 KB on WebSocket: 1.68 times",
            "SSE 31 KB，WebSocket 52 KB，即 1.68 倍",
        ),
        conditions: words("axum, 100,000 connections", "axum，10 万条连接"),
        remark: REMARK,
        judging: at_both_buffers(Expected::Above(MEMORY_MARGIN)),
    }
}

/// 2: WebSocket is.
pub fn websocket_is_lighter() -> Claim {
    Claim {
        number: "2",
        statement: words(
            "A connection takes less memory on WebSocket than on SSE",
            "每条连接的内存，WebSocket 比 SSE 少",
        ),
        source: UNRECORDED,
        figure: words(
            "about 13 KiB on WebSocket, 32 KiB on SSE: 0.41 times",
            "WebSocket 约 13 KiB，SSE 约 32 KiB，即 0.41 倍",
        ),
        conditions: words("Rust, live connections", "Rust，活动连接"),
        remark: REMARK,
        judging: at_both_buffers(Expected::Below(1.0 / MEMORY_MARGIN)),
    }
}

/// 3: it is the buffer.
pub fn it_is_the_read_buffer() -> Claim {
    Claim {
        number: "3",
        statement: words(
            "The memory of a WebSocket connection is its library's read buffer",
            "WebSocket 连接的内存就是库的读缓冲区",
        ),
        source: words(
            "axum, pull request 3178, 2025",
            "axum 的 pull request 3178，2025 年",
        ),
        figure: words(
            "10,000 connections take 1.3 GB with the default of 128 KiB and 40 MB with 1 KiB: 126 KB a connection",
            "1 万条连接，默认 128 KiB 时 1.3 GB，1 KiB 时 40 MB，即每条连接相差 126 KB",
        ),
        conditions: words("axum, 10,000 connections", "axum，1 万条连接"),
        remark: words(
            "The published figures are rounded and do not say whether GB is decimal or binary: the range is from the \
             lowest reading, (1.25 GB − 45 MiB) ÷ 10,000, to the highest, (1.35 GiB − 35 MB) ÷ 10,000.",
            "公开的数字是取整后的，也没有说明 GB 是十进制还是二进制，因此区间取最低读法 (1.25 GB − 45 MiB) ÷ 10,000 到最高读法 \
             (1.35 GiB − 35 MB) ÷ 10,000。",
        ),
        judging: Judging::All(vec![Part {
            what: words(
                "memory of a connection, read buffer of 128 KiB against 1 KiB",
                "每条连接的内存，读缓冲区 128 KiB 减 1 KiB",
            ),
            ask: ask(WS_AXUM, WS_AXUM_SMALL, Scale::Difference),
            expected: Expected::Published {
                low: (1.25e9 - 45.0 * MIB) / 10_000.0,
                high: (1.35 * 1024.0 * MIB - 35e6) / 10_000.0,
                null: Some(0.0),
            },
            decides: true,
            carried: Some(Carried::Connections(10_000.0)),
        }]),
    }
}

const MIB: f64 = 1_048_576.0;

/// 14: it is the compression.
pub fn it_is_the_compression() -> Claim {
    const PYTHON: &[(&str, &str)] = &[("server", "websockets"), ("ws_library", "yawc")];
    const PYTHON_DEFLATE: &[(&str, &str)] = &[
        ("server", "websockets"),
        ("ws_library", "yawc"),
        ("compression", "deflate-12"),
    ];
    const YAWC: &[(&str, &str)] = &[("ws_library", "yawc")];
    const YAWC_DEFLATE: &[(&str, &str)] = &[("ws_library", "yawc"), ("compression", "deflate-12")];
    let part = |what, deflate, off, decides| Part {
        what,
        ask: Ask {
            plan: "claims-outside",
            ..ask(deflate, off, Scale::Ratio)
        },
        // More than half of a connection's memory, then, is compression's.
        expected: Expected::Above(2.0),
        decides,
        carried: None,
    };
    Claim {
        number: "14",
        statement: words(
            "permessage-deflate is most of a WebSocket connection's memory",
            "WebSocket 连接的内存大半是 permessage-deflate 占的",
        ),
        source: words(
            "the documentation of Python's `websockets`, “Memory and buffers”",
            "Python 库 `websockets` 的文档“Memory and buffers”",
        ),
        figure: words(
            "64 KiB a connection with compression, 14 KiB without: 4.6 times",
            "每条连接压缩时 64 KiB，不压缩时 14 KiB，即 4.6 倍",
        ),
        conditions: words(
            "Python's `websockets` as it comes: windows of 12 bits",
            "默认设置的 Python `websockets`：窗口 12 位",
        ),
        remark: words(
            "Most is more than half, so more than twice the memory. Windows have 12 bits here too; the largest are of \
             15, and take more.",
            "“大半”指超过一半，也就是内存超过两倍。这里的窗口也是 12 位；最大为 15 位，占用更多。",
        ),
        judging: Judging::All(vec![
            part(
                words(
                    "memory of an idle connection of Python's `websockets`, with compression against without",
                    "Python `websockets` 每条空闲连接的内存，压缩与不压缩之比",
                ),
                of("ws-h1", PYTHON_DEFLATE, IDLE),
                of("ws-h1", PYTHON, IDLE),
                true,
            ),
            part(
                words(
                    "the same of our own server with the library yawc, connections that stream",
                    "同上，我们自己的服务器，库为 yawc，推送中的连接",
                ),
                of("ws-h1", YAWC_DEFLATE, STREAMING),
                of("ws-h1", YAWC, STREAMING),
                false,
            ),
        ]),
    }
}

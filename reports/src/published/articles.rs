//! The claims of the two articles behind the question.

use super::claim::{Ask, Claim, Expected, Judging, Part, Scale, Side, Unit, Words, words};
use super::sides::{
    COST_MARGIN, FIRST_TOKEN_MARGIN_MS, HALF, MEMORY_MARGIN, TOKEN_MARGIN_MS, of, sse, ws,
};

const SOURCE: Words = words(
    "the articles “ChatGPT对话为什么不用Websocket而使用EventSource？” and “一文读懂即时更新方案：SSE”",
    "《ChatGPT对话为什么不用Websocket而使用EventSource？》与《一文读懂即时更新方案：SSE》",
);

const NONE: Words = words("none", "没有数字");

/// The margin of the reconnect gap, ms.
const GAP_MARGIN_MS: f64 = 50.0;

fn ask(experiment: &'static str, of: Side, against: Side, scale: Scale, unit: Unit) -> Ask {
    Ask {
        plan: "transports",
        experiment,
        of,
        against: Some(against),
        scale,
        unit,
        within: &[],
    }
}

fn part(what: Words, ask: Ask, expected: Expected) -> Part {
    Part {
        what,
        ask,
        expected,
        decides: true,
        carried: None,
    }
}

/// WebSocket minus SSE, both tuned.
fn more(
    what: Words,
    experiment: &'static str,
    metric: &'static str,
    unit: Unit,
    bound: Expected,
) -> Part {
    let ask = ask(experiment, ws(metric), sse(metric), Scale::Difference, unit);
    part(what, ask, bound)
}

/// A1: light.
pub fn lighter() -> Claim {
    const IDLE: &str = "user_bytes_per_idle_connection";
    const CPU: &str = "server_cpu_us_per_message";
    const LIBRARY: &[(&str, &str)] = &[("ws_read_buffer_bytes", "131072")];
    let heavier = |what, plan, ws_levels, experiment, metric, unit, margin| {
        let ask = Ask {
            plan,
            ..ask(
                experiment,
                of("ws-h1", ws_levels, metric),
                sse(metric),
                Scale::Ratio,
                unit,
            )
        };
        part(what, ask, Expected::Above(margin))
    };
    Claim {
        number: "A1",
        statement: words("SSE is lighter than WebSocket", "SSE 比 WebSocket 轻量"),
        source: SOURCE,
        figure: NONE,
        conditions: NONE,
        remark: words(
            "Light is taken as the server's memory a connection and its CPU a message. What a library is to write, or \
             to understand, is not measured.",
            "“轻量”在这里指服务器每条连接的内存和每条消息的 CPU。实现和理解一个库有多难，没有测量。",
        ),
        judging: Judging::By {
            knob: words(
                "`ws_read_buffer_bytes`, the WebSocket library's read buffer",
                "`ws_read_buffer_bytes`（WebSocket 库的读缓冲区）",
            ),
            parts: vec![
                heavier(
                    words(
                        "memory a connection, WebSocket against SSE, read buffer of 4 KiB",
                        "每条连接的内存，WebSocket 与 SSE 之比，读缓冲区 4 KiB",
                    ),
                    "transports",
                    &[],
                    "memory",
                    IDLE,
                    Unit::Bytes,
                    MEMORY_MARGIN,
                ),
                heavier(
                    words(
                        "server CPU per message, WebSocket against SSE, read buffer of 4 KiB",
                        "每条消息的服务器 CPU，WebSocket 与 SSE 之比，读缓冲区 4 KiB",
                    ),
                    "transports",
                    &[],
                    "throughput",
                    CPU,
                    Unit::Micros,
                    COST_MARGIN,
                ),
                heavier(
                    words(
                        "memory a connection, read buffer of 128 KiB (the library's default)",
                        "每条连接的内存，读缓冲区 128 KiB（库的默认值）",
                    ),
                    "full",
                    LIBRARY,
                    "memory",
                    IDLE,
                    Unit::Bytes,
                    MEMORY_MARGIN,
                ),
                heavier(
                    words(
                        "server CPU per message, read buffer of 128 KiB",
                        "每条消息的服务器 CPU，读缓冲区 128 KiB",
                    ),
                    "full",
                    LIBRARY,
                    "throughput",
                    CPU,
                    Unit::Micros,
                    COST_MARGIN,
                ),
            ],
        },
    }
}

/// A2: fast.
pub fn faster() -> Claim {
    Claim {
        number: "A2",
        statement: words(
            "WebSocket has lower latency and is faster",
            "WebSocket 延迟更低、更快",
        ),
        source: SOURCE,
        figure: NONE,
        conditions: NONE,
        remark: words(
            "Faster is what is faster by 1 ms a token or 10 ms to the first one, the least that a reader could notice; \
             an advantage that is smaller contradicts the claim as its opposite does.",
            "每个 token 快 1 ms 以上、首个 token 快 10 ms 以上才算快，这是读者可能察觉的下限；更小的优势与相反的结果一样，都不支持这个说法。",
        ),
        judging: Judging::All(vec![
            more(
                words(
                    "latency of a token, median, WebSocket minus SSE",
                    "token 延迟中位数，WebSocket 减 SSE",
                ),
                "latency",
                "token_latency_ms_p50",
                Unit::Ms,
                Expected::Below(-TOKEN_MARGIN_MS),
            ),
            more(
                words(
                    "time to the first token on a new connection, median, WebSocket minus SSE",
                    "新连接上首个 token 的时间中位数，WebSocket 减 SSE",
                ),
                "latency",
                "ttft_cold_ms_p50",
                Unit::Ms,
                Expected::Below(-FIRST_TOKEN_MARGIN_MS),
            ),
        ]),
    }
}

/// A3: comes back.
pub fn reconnects() -> Claim {
    Claim {
        number: "A3",
        statement: words(
            "SSE reconnects by itself, and so has the shorter outage",
            "SSE 自动重连，因此中断更短",
        ),
        source: SOURCE,
        figure: NONE,
        conditions: words("a browser's `EventSource`", "浏览器的 `EventSource`"),
        remark: words(
            "Both follow the same reconnect policy here, which this project wrote for both: an advantage of the wire \
             would show. That `EventSource` brings a policy along and a WebSocket's client has to write one is so, \
             whatever is measured.",
            "这里双方用的是同一套重连策略，由本项目为双方各写一份：如果协议本身有优势，就会显现出来。`EventSource` 自带策略、WebSocket \
             客户端要自己写，这是事实，与测量无关。",
        ),
        judging: Judging::All(vec![more(
            words(
                "time without messages after a cut, WebSocket minus SSE",
                "断线后收不到消息的时间，WebSocket 减 SSE",
            ),
            "reconnect",
            "reconnect_gap_ms_p50",
            Unit::Ms,
            Expected::Above(GAP_MARGIN_MS),
        )]),
    }
}

/// A4: simple.
pub fn simpler() -> Claim {
    Claim {
        number: "A4",
        statement: words(
            "SSE is simpler: it starts with fewer exchanges",
            "SSE 更简单：开始时来回更少",
        ),
        source: SOURCE,
        figure: NONE,
        conditions: NONE,
        remark: words(
            "Of simplicity only this is measured; how much code and care each takes is not.",
            "“简单”只测了这一点；各需要多少代码和注意，没有测量。",
        ),
        judging: Judging::All(vec![more(
            words(
                "round trips to the first token on a new connection, WebSocket minus SSE",
                "新连接上到首个 token 的往返次数，WebSocket 减 SSE",
            ),
            "latency",
            "round_trips_cold",
            Unit::RoundTrips,
            Expected::Above(HALF),
        )]),
    }
}

/// A5: six connections.
pub fn six_connections() -> Claim {
    Claim {
        number: "A5",
        statement: words(
            "SSE is limited to 6 connections an origin on HTTP/1.1 and about 100 on HTTP/2",
            "SSE 在 HTTP/1.1 下每个源限 6 条连接，HTTP/2 下约 100 条",
        ),
        source: SOURCE,
        figure: words("6; about 100", "6；约 100"),
        conditions: words("a browser", "浏览器"),
        remark: words(
            "The limit on HTTP/1.1 is shared by all tabs and by all requests, not SSE's alone; the one on HTTP/2 is what \
             the server announces as SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, section 6.5.2).",
            "HTTP/1.1 的限制由所有标签页、所有请求共享，不只是 SSE；HTTP/2 的限制由服务器用 SETTINGS_MAX_CONCURRENT_STREAMS 宣告（RFC 9113 \
             第 6.5.2 节）。",
        ),
        judging: Judging::NotHere {
            why: words(
                "It is a browser's rule (MDN, “Using server-sent events”) and no property of the wire: our clients open \
                 10,000. It would take a run in which a browser is the subscriber.",
                "这是浏览器的规定（见 MDN 的“Using server-sent events”），不是传输协议的性质：我们的客户端可以打开 1 万条。要测它，\
                 需要以浏览器为订阅者的运行。",
            ),
        },
    }
}

/// A6: what browsers have as constants.
pub fn browsers_constants() -> Claim {
    Claim {
        number: "A6",
        statement: words(
            "EventSource retries after 30 s, and WebSocket connections are unlimited",
            "EventSource 默认 30 s 后重试，WebSocket 连接数没有限制",
        ),
        source: SOURCE,
        figure: words("30 s; none", "30 s；无"),
        conditions: words("a browser", "浏览器"),
        remark: words(
            "The 30 s are the sample's own `retry: 30000`.",
            "30 s 其实是文章示例自己发送的 `retry: 30000`。",
        ),
        judging: Judging::NotHere {
            why: words(
                "Both are constants in browsers' sources: 3 s in Chromium and 5 s in Firefox, and at most 255 WebSockets \
                 a host in Chromium. It would take a run in which a browser is the subscriber.",
                "两者都是浏览器源码里的常量：Chromium 3 s，Firefox 5 s；Chromium 每个主机最多 255 个 WebSocket。要测它，需要以浏览器为订阅者的运行。",
            ),
        },
    }
}

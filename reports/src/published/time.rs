//! The claims about time: stalls, buffering, warm and cold connections, loss.

use super::claim::{Ask, Carried, Claim, Expected, Judging, Part, Scale, Side, Unit, Words, words};
use super::sides::{FIRST_TOKEN_MARGIN_MS, HALF, TOKEN_MARGIN_MS, UNRECORDED, of, sse, ws};

const COLD: &str = "ttft_cold_ms_p50";
const WARM: &str = "ttft_warm_ms_p50";
const TOKEN: &str = "token_latency_ms_p50";
const WARM_START: &str = "warm_start_ms_p50";
const TRIPS_COLD: &str = "round_trips_cold";
const TRIPS_WARM: &str = "round_trips_warm";
const TLS: &[(&str, &str)] = &[("tls", "true")];

const fn ask(experiment: &'static str, of: Side, against: Side, scale: Scale, unit: Unit) -> Ask {
    Ask {
        plan: "claims",
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

/// 5: without TCP_NODELAY everything stalls.
pub fn nodelay() -> Claim {
    const OFF: &[(&str, &str)] = &[("nodelay", "false")];
    let without = |what, transport: &'static str, metric, margin| {
        part(
            what,
            ask(
                "latency",
                of(transport, OFF, metric),
                of(transport, &[], metric),
                Scale::Difference,
                Unit::Ms,
            ),
            Expected::Above(margin),
        )
    };
    Claim {
        number: "5",
        statement: words(
            "Without TCP_NODELAY tokens and first tokens stall",
            "不设 TCP_NODELAY，首个 token 和后续 token 都会卡顿",
        ),
        source: words(
            "pegainfer, pull request 23, 2026, for the first token; where the p50 was published is not recorded",
            "首个 token 出自 pegainfer 的 pull request 23，2026 年；p50 的出处没有记录",
        ),
        figure: words(
            "p50 45 ms instead of 9, first token 41.9 ms instead of 11.9: 36 and 30 ms more",
            "p50 从 9 ms 变为 45 ms，首个 token 从 11.9 ms 变为 41.9 ms，即多 36 ms 和 30 ms",
        ),
        conditions: words(
            "axum, SSE, answers of one token over a connection that is kept",
            "axum，SSE，连接复用，每个回答一个 token",
        ),
        remark: words(
            "A stall is Nagle's algorithm holding a small segment back until the one before it is acknowledged, which \
             Linux delays by 40 ms and more. What stalls is therefore what is sent behind something that is not \
             acknowledged yet. A first token counts as stalled from 10 ms on, another token from 1 ms on.",
            "卡顿的原因是 Nagle 算法：前一个小报文段没有得到确认时，后一个就被扣住，而 Linux 会把确认推迟 40 ms 以上。所以，\
             只有紧跟在未确认数据之后发送的内容才会卡。首个 token 晚 10 ms 以上、其他 token 晚 1 ms 以上，才算卡顿。",
        ),
        judging: Judging::By {
            knob: words(
                "the transport, and what it has sent just before",
                "传输方式，以及它刚刚发送过什么",
            ),
            parts: vec![
                without(
                    words(
                        "first token on a new connection, SSE, as all of these without TCP_NODELAY minus with it",
                        "新连接上的首个 token，SSE（以下均为不设减去设置 TCP_NODELAY）",
                    ),
                    "sse-h1",
                    COLD,
                    FIRST_TOKEN_MARGIN_MS,
                ),
                without(
                    words(
                        "first token on a new connection, WebSocket",
                        "新连接上的首个 token，WebSocket",
                    ),
                    "ws-h1",
                    COLD,
                    FIRST_TOKEN_MARGIN_MS,
                ),
                without(
                    words(
                        "first token on an open connection, SSE",
                        "已建连接上的首个 token，SSE",
                    ),
                    "sse-h1",
                    WARM,
                    FIRST_TOKEN_MARGIN_MS,
                ),
                without(
                    words(
                        "first token on an open connection, WebSocket",
                        "已建连接上的首个 token，WebSocket",
                    ),
                    "ws-h1",
                    WARM,
                    FIRST_TOKEN_MARGIN_MS,
                ),
                without(
                    words("latency of a token, median, SSE", "token 延迟中位数，SSE"),
                    "sse-h1",
                    TOKEN,
                    TOKEN_MARGIN_MS,
                ),
                without(
                    words(
                        "latency of a token, median, WebSocket",
                        "token 延迟中位数，WebSocket",
                    ),
                    "ws-h1",
                    TOKEN,
                    TOKEN_MARGIN_MS,
                ),
            ],
        },
    }
}

/// 6: a proxy that buffers.
pub fn nginx_buffers() -> Claim {
    const BUFFERING: &[(&str, &str)] = &[("proxy", "nginx-buffering")];
    const UNBUFFERED: &[(&str, &str)] = &[("proxy", "nginx-unbuffered")];
    const AS_IT_COMES: &[(&str, &str)] = &[("proxy", "nginx")];
    let against = |what, levels, metric, expected| {
        let mut own = ask(
            "latency",
            of("sse-h1", levels, metric),
            of("sse-h1", UNBUFFERED, metric),
            Scale::Difference,
            Unit::Ms,
        );
        own.plan = "claims-outside";
        part(what, own, expected)
    };
    Claim {
        number: "6",
        statement: words(
            "A proxy that buffers delays the first token and lets the others come in bursts",
            "会缓冲的代理推迟首个 token，其余 token 则成批到达",
        ),
        source: UNRECORDED,
        figure: words(
            "first token 22 → 287 ms, from one token to the next 5.5 → 1.6 ms",
            "首个 token 22 → 287 ms，token 间隔 5.5 → 1.6 ms",
        ),
        conditions: words(
            "nginx that buffers, in front of an SSE server",
            "SSE 服务器前面放一个会缓冲的 nginx",
        ),
        remark: words(
            "How long the first token is held depends on how long it takes to fill nginx's buffer, so that the answer's \
             pace and length decide the figure and only its direction is judged. Beside stands nginx as it comes, before a server whose answer asks not to be buffered \
             (`X-Accel-Buffering: no`), as ours does.",
            "首个 token 被扣多久取决于填满 nginx 缓冲区要多久，也就是取决于回答的速度和长度，因此只判断方向。旁边列出默认配置的 nginx：我们的服务器在响应里要求不缓冲（`X-Accel-Buffering: no`）。",
        ),
        judging: Judging::All(vec![
            against(
                words(
                    "first token on a new connection behind nginx, buffering minus unbuffered",
                    "nginx 之后新连接上的首个 token，缓冲减不缓冲",
                ),
                BUFFERING,
                COLD,
                Expected::Above(FIRST_TOKEN_MARGIN_MS),
            ),
            against(
                words(
                    "from one token to the next, median, buffering minus unbuffered",
                    "token 间隔的中位数，缓冲减不缓冲",
                ),
                BUFFERING,
                "inter_token_ms_p50",
                Expected::Below(-TOKEN_MARGIN_MS),
            ),
            Part {
                decides: false,
                ..against(
                    words(
                        "first token, nginx as it comes minus unbuffered, where the answer asks not to be buffered",
                        "首个 token，默认配置的 nginx 减不缓冲，响应要求不缓冲",
                    ),
                    AS_IT_COMES,
                    COLD,
                    Expected::Above(FIRST_TOKEN_MARGIN_MS),
                )
            },
        ]),
    }
}

/// WebSocket against SSE over TLS, on connections that are open.
fn warm(unit: Unit, metric: &'static str) -> Ask {
    ask(
        "setup",
        of("ws-h1", TLS, metric),
        of("sse-h1", TLS, metric),
        Scale::Difference,
        unit,
    )
}

/// 9: warm, they are alike.
pub fn warm_is_as_fast() -> Claim {
    Claim {
        number: "9",
        statement: words(
            "A warm WebSocket is no faster than a warm HTTPS stream",
            "已建好的 WebSocket 不比已建好的 HTTPS 流快",
        ),
        source: UNRECORDED,
        figure: words("no difference", "没有差别"),
        conditions: words("TLS, connections kept open", "TLS，连接保持打开"),
        remark: words(
            "Loopback has no distance, so that the round trips are counted beside the time: what they would cost on a \
             network is their number times its round-trip time. Faster is what is faster by 1 ms, the margin of a token.",
            "环回接口没有距离，所以除时间外还数往返次数：在真实网络上的代价等于往返次数乘以往返时间。快 1 ms 以上才算快，这是单个 \
             token 的容许差。",
        ),
        judging: Judging::All(vec![
            part(
                words(
                    "round trips to the first token on an open connection, WebSocket minus SSE",
                    "已建连接上到首个 token 的往返次数，WebSocket 减 SSE",
                ),
                warm(Unit::RoundTrips, TRIPS_WARM),
                Expected::Above(-HALF),
            ),
            part(
                words(
                    "time to the first token on an open connection, WebSocket minus SSE",
                    "已建连接上到首个 token 的时间，WebSocket 减 SSE",
                ),
                warm(Unit::Ms, WARM_START),
                Expected::Above(-TOKEN_MARGIN_MS),
            ),
        ]),
    }
}

/// 10: the penalty was a new connection.
pub fn the_penalty_is_the_connection() -> Claim {
    let own = |unit, cold, warm| {
        ask(
            "setup",
            of("sse-h1", TLS, cold),
            of("sse-h1", TLS, warm),
            Scale::Difference,
            unit,
        )
    };
    Claim {
        number: "10",
        statement: words(
            "A first token that is late on SSE is late by a new connection, not by SSE",
            "SSE 首个 token 偏慢，慢在新建连接，而不在 SSE 本身",
        ),
        source: UNRECORDED,
        figure: words(
            "a penalty of 400 ms, by a client that did not read streams to their end",
            "慢 400 ms，原因是客户端没有把流读到结尾",
        ),
        conditions: words("HTTPS, over the internet", "HTTPS，公网"),
        remark: words(
            "An HTTP/1.1 connection whose response was not read to the end cannot carry another request (RFC 9112, \
             section 9.3), which is the protocol's and is not measured. Measured is what a new connection costs over \
             one that is kept, and whether SSE is late on the latter.",
            "HTTP/1.1 连接上的响应没有读完，就不能再承载下一个请求（RFC 9112 第 9.3 节），这是协议规定，不需测量。测量的是新建连接比复用连接\
             多花多少，以及连接复用时 SSE 是否还慢。",
        ),
        judging: Judging::All(vec![
            Part {
                carried: Some(Carried::PenaltyMs(400.0)),
                ..part(
                    words(
                        "round trips to the first token on SSE over TLS, new connection minus open connection",
                        "SSE（TLS）到首个 token 的往返次数，新连接减已建连接",
                    ),
                    own(Unit::RoundTrips, TRIPS_COLD, TRIPS_WARM),
                    Expected::Above(HALF),
                )
            },
            part(
                words(
                    "time to the first token on an open connection, SSE minus WebSocket",
                    "已建连接上到首个 token 的时间，SSE 减 WebSocket",
                ),
                ask(
                    "setup",
                    of("sse-h1", TLS, WARM_START),
                    of("ws-h1", TLS, WARM_START),
                    Scale::Difference,
                    Unit::Ms,
                ),
                Expected::Below(FIRST_TOKEN_MARGIN_MS),
            ),
            Part {
                decides: false,
                ..part(
                    words(
                        "time to the first token on SSE over TLS here, new connection minus open connection",
                        "SSE（TLS）在本机到首个 token 的时间，新连接减已建连接",
                    ),
                    own(Unit::Ms, "cold_start_ms_p50", WARM_START),
                    Expected::Above(0.0),
                )
            },
        ]),
    }
}

/// 7: a gateway's gains.
pub fn a_gateway() -> Claim {
    let published = |low, high| Expected::Published {
        low,
        high,
        null: Some(1.0),
    };
    let ratio =
        |experiment, metric, unit| ask(experiment, ws(metric), sse(metric), Scale::Ratio, unit);
    Claim {
        number: "7",
        statement: words(
            "A gateway gains by streaming over WebSocket instead of SSE",
            "网关改用 WebSocket 代替 SSE 后全面变好",
        ),
        source: words(
            "smg, pull request 1770, 2026",
            "smg 的 pull request 1770，2026 年",
        ),
        figure: words(
            "first token p50 −28 to −41 %, inter-token p99 −22 to −48 %, CPU −17 to −21 %, throughput ±2 %",
            "首个 token p50 −28% 至 −41%，token 间隔 p99 −22% 至 −48%，CPU −17% 至 −21%，吞吐 ±2%",
        ),
        conditions: words(
            "their gateway before two engines, chains of turns; its SSE gathered tokens into bursts, its WebSocket wrote \
             each",
            "他们自己的网关，后接两种推理引擎，多轮对话；其 SSE 把 token 合成一批发送，WebSocket 则逐个写出",
        ),
        remark: words(
            "The first token is measured without a model's delay, which would hide the transport's share. Where the \
             gateway's SSE opened a connection for each turn, its gain is that of keeping one: that figure stands \
             beside, and any transport has it that keeps its connection. Here both flush alike, where the gateway's SSE did \
             not.",
            "测首个 token 时去掉了模型自身的延迟，否则会盖住传输方式的影响。如果该网关的 SSE 每轮都新建连接，那么收益来自连接复用：这个数字\
             单列在旁，任何复用连接的传输方式都能得到。这里双方的刷新策略相同，而该网关的 SSE 不是。",
        ),
        judging: Judging::All(vec![
            part(
                words(
                    "first token on an open connection, WebSocket against SSE",
                    "已建连接上的首个 token，WebSocket 与 SSE 之比",
                ),
                ratio("setup", WARM_START, Unit::Ms),
                published(0.585, 0.725),
            ),
            part(
                words(
                    "inter-token latency p99, WebSocket against SSE",
                    "token 间隔 p99，WebSocket 与 SSE 之比",
                ),
                ratio("latency", "inter_token_ms_p99", Unit::Ms),
                published(0.515, 0.785),
            ),
            part(
                words(
                    "server CPU per message at a model's pace, WebSocket against SSE",
                    "按模型节奏推送时每条消息的服务器 CPU，WebSocket 与 SSE 之比",
                ),
                Ask {
                    within: super::volume::MODERATE,
                    ..ratio("throughput", "server_cpu_us_per_message", Unit::Micros)
                },
                published(0.785, 0.835),
            ),
            Part {
                decides: false,
                ..part(
                    words(
                        "first token, WebSocket on an open connection against SSE on a new one",
                        "首个 token，WebSocket 用已建连接，SSE 用新连接，两者之比",
                    ),
                    ask(
                        "setup",
                        ws(WARM_START),
                        sse("cold_start_ms_p50"),
                        Scale::Ratio,
                        Unit::Ms,
                    ),
                    published(0.585, 0.725),
                )
            },
            Part {
                decides: false,
                ..part(
                    words(
                        "highest rate sustained, a write for each message, WebSocket against SSE",
                        "可持续的最高速率，每条消息单独写出，WebSocket 与 SSE 之比",
                    ),
                    super::volume::highest(),
                    Expected::Inside {
                        low: 0.975,
                        high: 1.025,
                    },
                )
            },
        ]),
    }
}

//! The claims that this machine cannot decide: why, what it would take, and what arithmetic says.

use super::claim::{Claim, Judging, words};
use super::sides::UNRECORDED;

/// 8: OpenAI's WebSocket.
pub fn openai_websocket() -> Claim {
    Claim {
        number: "8",
        statement: words(
            "OpenAI's WebSocket mode is faster where a turn has many tool calls",
            "一轮对话有很多次工具调用时，OpenAI 的 WebSocket 模式更快",
        ),
        source: words(
            "OpenAI's guide “WebSocket mode” of the Responses API, 2026",
            "OpenAI Responses API 指南“WebSocket mode”，2026 年",
        ),
        figure: words(
            "up to 40 % at 20 tool calls and more",
            "20 次以上工具调用时最多快 40%",
        ),
        conditions: words("OpenAI's service, over the internet", "OpenAI 的服务，公网"),
        remark: words(
            "The gain is said to come from a connection that is kept and from sending only what is new.",
            "据说收益来自保持连接、只发送新增的输入。",
        ),
        judging: Judging::NotHere {
            why: words(
                "It is about one company's service, of which a run would need an account, and about what a server keeps \
                 between two calls, which no transport decides. Arithmetic: with 8 KB of prompt and 2 KB that each of \
                 20 calls adds, sending all of it each time is 21 × 8 + 2 × (1 + … + 20) = 588 KB upstream, sending \
                 what is new 8 + 20 × 2 = 48 KB, 92 % less. The 540 KB are 4.3 s at 1 Mbit/s, 0.43 s at 10, 0.043 s at \
                 100: 40 % of a turn of 11 s, 1.1 s or 0.11 s. It would take a duplex workload with tool calls and a \
                 server that reads the whole input again.",
                "它说的是某一家公司的服务，要测就得有账号；而且取决于服务器在两次调用之间保留什么，这不是传输方式决定的。算术：提示词 8 KB，\
                 20 次调用每次新增 2 KB，每次都发全部内容，上行共 21 × 8 + 2 × (1 + … + 20) = 588 KB；只发新增内容，共 8 + 20 × 2 = \
                 48 KB，少 92%。相差的 540 KB 在 1 Mbit/s 上是 4.3 s，10 Mbit/s 是 0.43 s，100 Mbit/s 是 0.043 s，分别是 11 s、1.1 s、0.11 s \
                 的一轮对话的 40%。要测它，需要带工具调用的双工负载，以及一个每次都重读全部输入的服务器。",
            ),
        },
    }
}

/// 11: loss.
pub fn loss() -> Claim {
    Claim {
        number: "11",
        statement: words(
            "At a model's pace, packet loss hardly moves the first token",
            "按模型的节奏推送时，丢包几乎不影响首个 token",
        ),
        source: UNRECORDED,
        figure: words(
            "at most 1 ms at 5 % loss and about 29 tokens a second",
            "丢包 5%、每秒约 29 个 token 时不超过 1 ms",
        ),
        conditions: words("a link that loses 5 % of its packets", "丢包率 5% 的链路"),
        remark: words(
            "Which quantile of the first token was meant was not published.",
            "没有说明指的是首个 token 的哪个分位数。",
        ),
        judging: Judging::NotHere {
            why: words(
                "There is no lossy link between server and generator here: loopback loses nothing, and the kernel has no \
                 emulator. Arithmetic: the packets of an ask, its answer's head and its first token are about three, of \
                 which none is lost in 0.95³ = 86 % of the turns, so that the median cannot move. In the other 14 % a \
                 packet is sent again after at least 200 ms (TCP's least timeout on Linux), less where others follow \
                 it, so that the mean moves by 28 ms and more. So it would be right of a median and wrong of a mean. \
                 It would take a link with loss, such as a TUN device, and the p90 beside the median.",
                "这里的服务器与负载发生器之间没有会丢包的链路：环回接口不丢包，内核也没有网络模拟模块。算术：一次请求、响应头和首个 token \
                 大约是三个包，三个都不丢的概率是 0.95³ = 86%，所以中位数不会变。其余 14% 的对话里，丢失的包至少过 200 ms 才重传（Linux 上 \
                 TCP 超时的下限；后面还有包时会早一些），平均值因此至少增加 28 ms。也就是说，这个说法对中位数成立，对平均值不成立。要测它，\
                 需要会丢包的链路（例如 TUN 设备），并且除中位数外还看 p90。",
            ),
        },
    }
}

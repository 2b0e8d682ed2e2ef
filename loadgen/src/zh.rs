//! What the built-in plans say, in Chinese: titles, questions, captions, reasons, claims.
//!
//! One translation a term, here, in the report's own sentences and in the book:
//!
//! | English | 中文 | English | 中文 |
//! |---|---|---|---|
//! | transport | 传输方式 | latency | 延迟 |
//! | factor, level | 因子、水平 | service time | 服务时间 |
//! | arm | 试验组 | time to first token | 首个 token 时间 |
//! | experiment | 实验 | margin | 余量 |
//! | trial | 试验 | interval | 区间 |
//! | round | 轮 | noise floor | 噪声底 |
//! | plan | 计划 | better, worse | 更好、更差 |
//! | control | 对照 | equivalent | 等效 |
//! | baseline | 基准组 | inconclusive | 无定论 |
//! | metric | 指标 | subscriber | 订阅者 |

use pushbench_reports::dictionary::Dictionary;

/// Of every text that a built-in plan holds, and of those that committed runs of older builds hold.
pub const CHINESE: Dictionary = Dictionary::new(&[
    (
        "Why does ChatGPT stream its answers over SSE and not over WebSocket?",
        "ChatGPT 为什么用 SSE 而不用 WebSocket 流式输出回答？",
    ),
    // Experiments.
    ("Latency", "延迟"),
    (
        "How long does a token take from the moment it is due until the client has decoded it?",
        "一个 token 从应当发出的时刻到客户端解码完成，要多久？",
    ),
    ("Memory", "内存"),
    (
        "How many bytes does the server need for one more connection?",
        "每多一条连接，服务器多用多少字节？",
    ),
    ("Reconnection", "重连"),
    (
        "What is lost, and how long does it take, when every stream is cut at once and when the server is killed?",
        "所有流同时被切断、以及服务器被杀死时，会丢什么，要多久才恢复？",
    ),
    ("Throughput and CPU", "吞吐与 CPU"),
    (
        "What does a delivered message cost, at a rate that both sustain?",
        "在两者都撑得住的速率下，送达一条消息的代价是多少？",
    ),
    ("Bytes on the wire", "线上的字节"),
    (
        "What does a token weigh on the wire, and what of it is for what?",
        "一个 token 在线上有多重，每一部分各作何用？",
    ),
    ("Setup", "建连"),
    (
        "What does it take from nothing to the first token?",
        "从零到第一个 token，要付出什么？",
    ),
    (
        "What matters more than the transport",
        "什么比传输方式更要紧",
    ),
    (
        "Which of the knobs move cost and latency, and by how much beside the transport?",
        "哪些旋钮会改变成本和延迟，与传输方式相比各有多大？",
    ),
    // Metrics.
    ("token latency max", "token 延迟最大值"),
    ("token latency {}", "token 延迟 {}"),
    ("time to first token {}, {}", "首个 token 时间 {}，{}"),
    ("inter-token latency, mean", "token 间隔平均值"),
    ("inter-token latency {}", "token 间隔 {}"),
    ("service time {}", "服务时间 {}"),
    ("pacer lag {}", "调度器滞后 {}"),
    ("inter-token deviation {}", "token 间隔偏差 {}"),
    (
        "round trips to the first token, {}",
        "到首个 token 的往返次数，{}",
    ),
    ("bytes to the first token, {}", "到首个 token 的字节数，{}"),
    (
        "from nothing to the first token {}, {}",
        "从零到首个 token {}，{}",
    ),
    ("new connection", "新建连接"),
    ("connection reused", "复用连接"),
    ("TLS session resumed", "恢复 TLS 会话"),
    ("server CPU per message", "每条消息的服务器 CPU"),
    ("client CPU per message", "每条消息的客户端 CPU"),
    ("server CPU a message", "每条消息的服务器 CPU"),
    ("client CPU a message", "每条消息的客户端 CPU"),
    ("server CPU per new connection", "每条新连接的服务器 CPU"),
    ("connections set up", "建立连接的速率"),
    ("latency {} in the fan-out", "扇出延迟 {}"),
    ("hand-off {}", "移交时间 {}"),
    ("messages per segment", "每个报文段的消息数"),
    ("messages a segment", "每个报文段的消息数"),
    ("highest rate sustained", "可维持的最高速率"),
    (
        "user memory per idle connection",
        "每条空闲连接的用户态内存",
    ),
    (
        "user memory per streaming connection",
        "每条流式连接的用户态内存",
    ),
    (
        "kernel memory per idle connection",
        "每条空闲连接的内核内存",
    ),
    (
        "kernel memory per streaming connection",
        "每条流式连接的内核内存",
    ),
    ("user memory an idle connection", "每条空闲连接的用户态内存"),
    (
        "user memory a streaming connection",
        "每条流式连接的用户态内存",
    ),
    ("kernel memory an idle connection", "每条空闲连接的内核内存"),
    (
        "kernel memory a streaming connection",
        "每条流式连接的内核内存",
    ),
    ("reconnect gap p50 after a cut", "切断后的重连空档 p50"),
    ("reconnect gap p50 after a kill", "杀死后的重连空档 p50"),
    ("time to notice a cut, p50", "察觉切断的时间 p50"),
    ("time to notice a kill, p50", "察觉杀死的时间 p50"),
    (
        "time until all are back after a cut",
        "切断后全部恢复的时间",
    ),
    (
        "time until all are back after a kill",
        "杀死后全部恢复的时间",
    ),
    (
        "time until {} % are back after a cut",
        "切断后恢复 {} % 的时间",
    ),
    (
        "time until {} % are back after a kill",
        "杀死后恢复 {} % 的时间",
    ),
    (
        "connection attempts per second after a cut",
        "切断后每秒的连接尝试",
    ),
    (
        "connection attempts per second after a kill",
        "杀死后每秒的连接尝试",
    ),
    (
        "connection attempts a second after a cut",
        "切断后每秒的连接尝试",
    ),
    (
        "connection attempts a second after a kill",
        "杀死后每秒的连接尝试",
    ),
    (
        "messages lost per subscriber and cut, {}",
        "每次切断每个订阅者丢失的消息，{}",
    ),
    (
        "messages lost per subscriber and kill, {}",
        "每次杀死每个订阅者丢失的消息，{}",
    ),
    (
        "messages repeated per subscriber and cut, {}",
        "每次切断每个订阅者重复的消息，{}",
    ),
    (
        "messages lost a subscriber and cut, {}",
        "每次切断每个订阅者丢失的消息，{}",
    ),
    (
        "messages lost a subscriber and kill, {}",
        "每次杀死每个订阅者丢失的消息，{}",
    ),
    (
        "messages repeated a subscriber and cut, {}",
        "每次切断每个订阅者重复的消息，{}",
    ),
    ("with resume", "有续传"),
    ("without resume", "无续传"),
    (
        "bytes per message, TCP's payload",
        "每条消息的字节数（TCP 载荷）",
    ),
    (
        "bytes per token, TCP's payload",
        "每个 token 的字节数（TCP 载荷）",
    ),
    ("bytes per token: {}", "每个 token 的字节数：{}"),
    ("payload", "载荷"),
    ("envelope", "信封"),
    ("id", "编号"),
    ("framing", "分帧"),
    ("all of these, compressed", "以上各项压缩后"),
    ("sent by the client", "客户端发出"),
    ("segments sent per token", "每个 token 发出的报文段"),
    ("segments received per token", "每个 token 收到的报文段"),
    // Charts.
    ("Token latency", "token 延迟"),
    (
        "received − scheduled, all valid trials of an arm merged",
        "收到时刻 − 计划时刻，每个试验组的全部有效试验合并",
    ),
    (
        "Each line is one arm; a point says that this share of tokens took at most so long. Lower is better, and lines that lie on each other are arms that do not differ.",
        "每条线是一个试验组；一个点表示：这一比例的 token 至多用了这么久。越低越好；重合的线，就是没有差别的试验组。",
    ),
    ("Inter-token deviation", "token 间隔偏差"),
    (
        "how far the gap between two tokens was from the schedule's",
        "两个 token 的间隔与计划间隔相差多少",
    ),
    (
        "0 would be a stream as even as its schedule. Hold it against the gap between two tokens, 13 to 18 ms here.",
        "0 表示流与计划一样均匀。请与两个 token 的间隔对照，这里是 13 到 18 ms。",
    ),
    ("Time to the first token", "首个 token 时间"),
    (
        "every trial a dot; of it {} ms are the planned delay of the model",
        "每次试验一个点；其中 {} ms 是计划中的模型延迟",
    ),
    (
        "Cold turns open a connection first, warm ones reuse one. On loopback a round trip costs next to nothing; the table below says what it would cost on a network.",
        "冷启动的一轮对话先建连接，热启动的复用连接。在回环上一次往返几乎不花时间；下表说明它在网络上要花多少。",
    ),
    (
        "What the round trips cost on a network",
        "往返在网络上的代价",
    ),
    (
        "arithmetic, not measured: round trips counted here × round-trip time",
        "算出来的，不是测出来的：此处数得的往返次数 × 往返时间",
    ),
    (
        "TCP's handshake counts as one, a WebSocket upgrade as another. TLS would add one to each cold start.",
        "TCP 握手算一次，WebSocket 升级再算一次。若用 TLS，每次冷启动再加一次。",
    ),
    (
        "TCP's handshake counts as one, TLS 1.3's as another whether it resumes or not, a WebSocket's upgrade as a third.",
        "TCP 握手算一次；TLS 1.3 握手无论是否恢复会话，再算一次；WebSocket 升级是第三次。",
    ),
    ("Warm-up, and where it was cut", "预热，以及截断之处"),
    (
        "median latency of every {} ms, from the load's start until the window opened",
        "从负载开始到窗口打开，每 {} ms 的延迟中位数",
    ),
    (
        "A line is one trial. The window opens once the load has been steady for long enough; nothing that was scheduled before is in any figure. The marks stand at their mean over all trials.",
        "每条线是一次试验。负载稳定足够久之后窗口才打开；此前计划的消息不计入任何数字。竖线位于各次试验的平均时刻。",
    ),
    ("median latency, ms", "延迟中位数，ms"),
    ("steady from here", "由此平稳"),
    ("window opens", "窗口打开"),
    (
        "The server's memory against live streams",
        "服务器内存与活动流数",
    ),
    (
        "private memory of the server process; the slope is what a connection costs",
        "服务器进程的私有内存；斜率就是一条连接的代价",
    ),
    (
        "Every point is a count of streams that both ends agreed on. Read the slope, not the height: where a line meets the axis is the process, not the protocol.",
        "每个点是两端都认可的流数。看斜率，不看高度：线与纵轴的交点是进程本身，不是协议。",
    ),
    ("live streams", "活动流数"),
    ("Live streams around the cuts", "切断前后的活动流"),
    (
        "{} subscribers; both transports wait {} ms, as the server tells them",
        "{} 个订阅者；两种传输方式都按服务器的要求等 {} ms",
    ),
    (
        "A line is one trial: streams that the clients hold open. It falls when all are reset, and again when the server is killed; it rises as they come back.",
        "每条线是一次试验：客户端保持打开的流数。全部被重置时下跌，服务器被杀死时再次下跌；客户端回来时上升。",
    ),
    ("all cut", "全部切断"),
    ("server killed", "服务器被杀死"),
    ("server back", "服务器恢复"),
    ("CPU per delivered message", "每条送达消息的 CPU"),
    ("CPU a delivered message", "每条送达消息的 CPU"),
    (
        "{} deliveries a second to {} subscribers, every trial a dot",
        "每秒送达 {} 条，共 {} 个订阅者；每次试验一个点",
    ),
    (
        "Server and generator are separate processes. Compare arms within a panel; the distance between the two panels is that of two programs, not of two protocols.",
        "服务器与负载发生器是两个进程。请在同一面板内比较试验组；两个面板之间的差距是两个程序的差距，不是两种协议的。",
    ),
    (
        "Bytes for a token, and what they are for",
        "一个 token 的字节，各作何用",
    ),
    (
        "mean of {} known texts, each sent alone; both directions, TCP/IP at {} bytes a segment",
        "{} 段已知文本逐一单独发送的平均值；双向合计，TCP/IP 按每报文段 {} 字节计",
    ),
    (
        "Payload, envelope, id and framing are arithmetic and, in clear text, add up to what the kernel counted, to the byte. What is left of the count over TLS is TLS. TCP/IP is headers, of data segments and of what acknowledges them.",
        "载荷、信封、编号和分帧是算出来的；明文下它们之和与内核计数一字节不差。经 TLS 时，计数余下的部分就是 TLS。TCP/IP 是首部，包括数据段和确认段的。",
    ),
    ("From nothing to the first token", "从零到首个 token"),
    (
        "median of each trial, a dot; no model delays the token",
        "每次试验的中位数，一个点；没有模型延迟",
    ),
    (
        "A new connection, one that resumes a TLS session where there is TLS, and one that is open. On loopback this is the work of both ends; the table below says what a network adds.",
        "依次是：新建连接、恢复 TLS 会话的连接（若有 TLS）、已打开的连接。在回环上这是两端的工作量；下表说明网络再加多少。",
    ),
    ("Server CPU per new connection", "每条新连接的服务器 CPU"),
    (
        "connect, ask for one token and close, over and over ({} at once); every trial a dot",
        "反复建连、要一个 token、关闭（并发 {}）；每次试验一个点",
    ),
    (
        "All that the server does for a client that it sees once: accept, shake hands, answer, close. No TLS session is resumed.",
        "服务器为只来一次的客户端所做的一切：接受、握手、应答、关闭。不恢复 TLS 会话。",
    ),
    (
        "What moves the token latency p50",
        "什么左右 token 延迟 p50",
    ),
    ("What moves the {}", "什么左右{}"),
    (
        "each factor from its low level to its high one, all others at both; the transport among them",
        "每个因子从低水平到高水平，其余因子两个水平都取；传输方式也在其中",
    ),
    (
        "A bar is an effect with its interval. Bars longer than the transport's are of what matters more than the transport; what an interval leaves at no effect was not found to matter.",
        "每根条是一个效应及其区间。比传输方式更长的条，就是比传输方式更要紧的因子；区间含零效应的，没有发现它要紧。",
    ),
    // Margins.
    (
        "1 ms is about a fifteenth of the gap between two tokens: nobody sees it",
        "1 ms 约为两个 token 间隔的十五分之一：没人看得出来",
    ),
    (
        "models take 500 to 900 ms to their first token: 10 ms is below its spread",
        "模型要 500 到 900 ms 才出首个 token：10 ms 小于其波动",
    ),
    (
        "10 % is less than one machine differs from the next",
        "10 % 小于两台机器之间的差别",
    ),
    (
        "5 % does not change how many connections a machine is bought for",
        "5 % 改变不了为多少连接买机器的决定",
    ),
    (
        "50 ms is a few tokens, and less than any retry interval in use",
        "50 ms 只是几个 token，比任何实际使用的重试间隔都短",
    ),
    (
        "200 bytes is less than the request headers of two browsers differ by",
        "200 字节小于两种浏览器请求头之间的差别",
    ),
    ("a count: any difference is one", "这是计数：有差就是有差"),
    (
        "one message: where in the feed's period the cut falls",
        "一条消息：取决于切断落在消息周期的何处",
    ),
    // Claims.
    ("SSE is lighter than WebSocket", "SSE 比 WebSocket 更轻"),
    (
        "WebSocket has lower latency and is faster",
        "WebSocket 延迟更低、更快",
    ),
    (
        "Reconnection is an advantage of SSE: it reconnects by itself",
        "重连是 SSE 的优势：它会自动重连",
    ),
    (
        "SSE is simpler: it starts with fewer exchanges",
        "SSE 更简单：起步时的往返更少",
    ),
    (
        "Measured as the server's memory per connection and its CPU per delivered message, both transports tuned alike; another server library may weigh differently.",
        "以服务器每条连接的内存和每条送达消息的 CPU 衡量，两种传输方式调得一样；换一个服务器库，分量可能不同。",
    ),
    (
        "Measured as the server's memory a connection and its CPU a delivered message, both transports tuned alike; another server library may weigh differently.",
        "以服务器每条连接的内存和每条送达消息的 CPU 衡量，两种传输方式调得一样；换一个服务器库，分量可能不同。",
    ),
    (
        "Measured on one machine, where a round trip costs next to nothing: what the round trips counted here cost on a network is arithmetic, in the table of the latency experiment.",
        "在一台机器上测得，往返几乎不花时间：此处数得的往返在网络上要花多少是算出来的，见延迟实验的表。",
    ),
    (
        "Measured as the time without messages when both follow the same reconnect policy, which this project wrote for both: an advantage of the wire would show here. That EventSource brings the policy along and a WebSocket's client has to write it is so, whatever is measured.",
        "以两者按同一重连策略（本项目为两者都写了）时没有消息的时间衡量：若线上协议有优势，会在此显现。EventSource 自带策略，而 WebSocket 客户端要自己写，这一点无论测得什么都成立。",
    ),
    (
        "Of simplicity only the round trips to the first token on a new connection are measured; how much code and care each takes is not.",
        "“简单”之中只测了新建连接到首个 token 的往返次数；各需多少代码和细心没有测。",
    ),
    // Notes.
    (
        "Chat turns are synthetic: Poisson arrivals, answer lengths by the quantiles of published traces. The first token is due {} ms after the prompt, where real models take 500 to 900 ms: shortened, so that a trial holds many turns.",
        "对话是合成的：到达服从泊松过程，回答长度取自公开轨迹的分位数。首个 token 定在提问后 {} ms，真实模型要 500 到 900 ms：缩短是为了让一次试验容纳许多轮对话。",
    ),
    (
        "Chat turns replay arrivals and lengths of {} ({} requests), arrivals {} times as fast as recorded, token gaps as they are. The first token is due {} ms after the prompt, where real models take 500 to 900 ms: shortened, so that a trial holds many turns.",
        "对话按 {}（{} 个请求）的到达时刻与长度重放，到达速度是记录的 {} 倍，token 间隔不变。首个 token 定在提问后 {} ms，真实模型要 500 到 900 ms：缩短是为了让一次试验容纳许多轮对话。",
    ),
    (
        "{} factors at two levels each in {} rows: Plackett and Burman's design of {} runs, folded over, so that no factor's effect is mixed with another's or with an interaction of two. Every row is run on both transports back to back. A factor that one transport does not have is as by default there; `ws_read_buffer_bytes` of a WebSocket and `http_buffer_bytes` of HTTP share a column.",
        "{} 个因子各两个水平，共 {} 行：{} 次的 Plackett–Burman 设计加折叠，因此任一因子的效应不与其他因子、也不与两因子交互混杂。每一行在两种传输方式上紧接着各跑一次。某种传输方式没有的因子，在那里取默认值；WebSocket 的 `ws_read_buffer_bytes` 与 HTTP 的 `http_buffer_bytes` 共用一列。",
    ),
]);

#[cfg(test)]
mod tests {
    use pushbench_reports::record::{Chart, Facts};

    use super::CHINESE;
    use crate::plan::BUILT_IN;

    /// Units and names that are the same in both.
    const ALIKE: [&str; 1] = ["MiB"];

    #[test]
    fn every_text_of_the_built_in_plans_has_an_entry() {
        let (mut seen, mut missing) = (0, std::collections::BTreeSet::new());
        for built_in in BUILT_IN {
            let plan = (built_in.plan)().manifest(String::new(), Facts::new()).plan;
            let mut texts = vec![plan.question];
            texts.extend(plan.notes);
            texts.extend(
                plan.claims
                    .into_iter()
                    .flat_map(|own| [own.statement, own.remark]),
            );
            for experiment in plan.experiments {
                texts.extend([experiment.title, experiment.question]);
                let metrics = experiment.metrics.into_iter();
                texts.extend(metrics.flat_map(|own| [own.title, own.margin_reason]));
                texts.extend(experiment.charts.into_iter().flat_map(said));
            }
            texts.retain(|text| !ALIKE.contains(&text.as_str()));
            seen += texts.len();
            texts.retain(|text| !CHINESE.has(text));
            missing.extend(texts);
        }
        assert!(missing.is_empty(), "no Chinese for {missing:#?}");
        assert!(seen > 100, "{seen}");
    }

    fn said(chart: Chart) -> Vec<String> {
        match chart {
            Chart::Percentiles {
                title,
                subtitle,
                caption,
                ..
            }
            | Chart::Dots {
                title,
                subtitle,
                caption,
                ..
            }
            | Chart::Multiples {
                title,
                subtitle,
                caption,
                ..
            }
            | Chart::Stack {
                title,
                subtitle,
                caption,
                ..
            }
            | Chart::Tornado {
                title,
                subtitle,
                caption,
                ..
            } => vec![title, subtitle, caption],
            Chart::Slope {
                title,
                subtitle,
                caption,
                x_title,
                y_title,
                ..
            } => {
                vec![title, subtitle, caption, x_title, y_title]
            }
            Chart::Timeline {
                title,
                subtitle,
                caption,
                y_title,
                mark_titles,
                ..
            } => [vec![title, subtitle, caption, y_title], mark_titles].concat(),
        }
    }
}

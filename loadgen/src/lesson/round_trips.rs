//! Lesson 8: how many times the network is crossed before the first token.

use pushbench_server::contract::{factors::Factors, transport::Transport};

use super::{
    Call, Lesson, Mark,
    measured::{self, Kind},
    numbers::{self, Expected, Tolerance},
};
use crate::{
    experiment::{Experiment, setup},
    quantity::{count, seconds},
};

pub const LESSON: Lesson = Lesson {
    number: 8,
    title: ("The network between", "中间的网络"),
    question: (
        "How many round trips does it take from nothing to the first token, on a new connection? TCP's handshake counts as one, \
         and so does the last: the ask and the token.\n\
         \x20 sse-h1, fetch-h1, ws-h1              in clear text\n\
         \x20 sse-h1-tls, fetch-h1-tls, ws-h1-tls  over TLS 1.3\n\
         \x20 rtt150                               ms, what ws-h1 over TLS waits for the network alone when a round trip takes 150 ms\n\n\
         Answer:  pushbench lesson 8 sse-h1=… fetch-h1=… ws-h1=… sse-h1-tls=… fetch-h1-tls=… ws-h1-tls=… rtt150=…\n\n\
         The answer is compared with what a client counts on this machine.",
        "在新连接上，从零到首个 token 要几次往返？TCP 握手算一次，最后的提问与 token 也算一次。\n\
         \x20 sse-h1、fetch-h1、ws-h1              明文\n\
         \x20 sse-h1-tls、fetch-h1-tls、ws-h1-tls  TLS 1.3 之上\n\
         \x20 rtt150                               毫秒，一次往返 150 ms 时 ws-h1 在 TLS 上仅为网络等多久\n\n\
         回答：pushbench lesson 8 sse-h1=… fetch-h1=… ws-h1=… sse-h1-tls=… fetch-h1-tls=… ws-h1-tls=… rtt150=…\n\n\
         答案与本机客户端的计数对照。",
    ),
};

/// Transports, and their keys in clear text and over TLS.
const COUNTED: [(Transport, &str, &str); 3] = [
    (Transport::SseH1, "sse-h1", "sse-h1-tls"),
    (Transport::FetchH1, "fetch-h1", "fetch-h1-tls"),
    (Transport::WsH1, "ws-h1", "ws-h1-tls"),
];

/// Of a far network, milliseconds: across an ocean.
const ROUND_TRIP_MS: f64 = 150.0;

/// Against what is counted here.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    let mut keys: Vec<_> = COUNTED.iter().map(|(_, clear, _)| *clear).collect();
    keys.extend(COUNTED.iter().map(|(.., secured)| *secured));
    keys.push("rtt150");
    call.answers.only(&keys)?;
    let experiment = Experiment::Setup(setup::Settings {
        starts: count(10),
        window_s: seconds(0.2),
        ..setup::Settings::default()
    });
    let mut expected = Vec::new();
    for tls in [false, true] {
        for (transport, clear, secured) in COUNTED {
            let factors = Factors {
                tls,
                ..Factors::default()
            };
            let arm = (transport, factors);
            let metric = ("round_trips_cold", Kind::Counted);
            expected.push(Expected {
                key: if tls { secured } else { clear },
                value: measured::figure(&call.site, &experiment, arm, metric).await?,
                unit: call.language.of("round trips", "次往返"),
                tolerance: Tolerance::Exact,
                why: call.language.of(
                    "TCP's handshake, TLS 1.3's (one), a WebSocket's upgrade, and the ask with its first token, each where \
                     there is one",
                    "TCP 握手、TLS 1.3 握手（一次）、WebSocket 升级、提问与首个 token，各在有它的地方算一次",
                ),
            });
        }
    }
    let slowest = expected.iter().find(|own| own.key == "ws-h1-tls");
    let trips = slowest.map_or(0.0, |own| own.value);
    expected.push(Expected {
        key: "rtt150",
        value: trips * ROUND_TRIP_MS,
        unit: "ms",
        tolerance: Tolerance::Exact,
        why: call.language.of(
            "as many as ws-h1-tls has, 150 ms each",
            "ws-h1-tls 的次数，每次 150 ms",
        ),
    });
    numbers::grade(&expected, &call.answers, call.language)
}

//! Lesson 6: what an idle WebSocket costs with its library's buffer, and without.

use std::num::NonZeroU32;

use pushbench_server::contract::{factors::Factors, transport::Transport};

use super::{
    Call, Lesson, Mark,
    measured::{self, Kind},
    numbers::{self, Expected, Tolerance},
};
use crate::{
    experiment::{
        Experiment,
        memory::{self, rungs},
    },
    quantity::{count, seconds},
};

pub const LESSON: Lesson = Lesson {
    number: 6,
    title: ("Memory", "内存"),
    question: (
        "How much user memory does the server need for one more idle WebSocket connection?\n\
         \x20 library       KiB, with a read buffer of 131072 bytes, its library's default\n\
         \x20 tuned         KiB, with one of 4096 bytes\n\
         \x20 ten_thousand  MiB for 10,000 connections with the default, from your own `library`\n\n\
         Answer:  pushbench lesson 6 library=… tuned=… ten_thousand=…\n\n\
         The answer is compared with the slope measured on this machine, within 15 %.",
        "服务器每多一条空闲的 WebSocket 连接，用户态内存要多少？\n\
         \x20 library       KiB，读缓冲 131072 字节，即库的默认值\n\
         \x20 tuned         KiB，读缓冲 4096 字节\n\
         \x20 ten_thousand  MiB，默认值下 10000 条连接，由你的 `library` 算出\n\n\
         回答：pushbench lesson 6 library=… tuned=… ten_thousand=…\n\n\
         答案与本机测得的斜率对照，误差 15 % 以内。",
    ),
};

/// Two machines with the same library differ by less.
const TOLERANCE: Tolerance = Tolerance::Share(0.15);

const CONNECTIONS: f64 = 10_000.0;

const KIB: f64 = 1024.0;

/// Against what is measured here.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    call.answers.only(&["library", "tuned", "ten_thousand"])?;
    let experiment = Experiment::Memory(memory::Settings {
        connections: rungs([100, 200, 300, 400]),
        streaming_s: seconds(0.05),
        warm_up_connections: count(20),
        ..memory::Settings::default()
    });
    let mut kib = Vec::new();
    for buffer_bytes in [131_072, 4_096] {
        let factors = Factors {
            ws_read_buffer_bytes: NonZeroU32::new(buffer_bytes).unwrap_or(NonZeroU32::MIN),
            ..Factors::default()
        };
        let arm = (Transport::WsH1, factors);
        let metric = ("user_bytes_per_idle_connection", Kind::Measured);
        kib.push(measured::figure(&call.site, &experiment, arm, metric).await? / KIB);
    }
    let why = call.language.of(
        "the slope of the server's memory over 100 to 400 connections; nearly all of it is the buffer, and what is left is \
         the connection's task and its other buffers",
        "服务器内存随 100 到 400 条连接的斜率；绝大部分是读缓冲，其余是连接的任务和别的缓冲",
    );
    let expected = |key, value, unit, why| Expected {
        key,
        value,
        unit,
        tolerance: TOLERANCE,
        why,
    };
    let of_own = call.answers.number("library")?.unwrap_or(kib[0]);
    let all = [
        expected("library", kib[0], "KiB", why),
        expected("tuned", kib[1], "KiB", why),
        expected(
            "ten_thousand",
            of_own * CONNECTIONS / KIB,
            "MiB",
            call.language
                .of("10,000 × library ÷ 1024", "10000 × library ÷ 1024"),
        ),
    ];
    numbers::grade(&all, &call.answers, call.language)
}

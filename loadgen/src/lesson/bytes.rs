//! Lesson 1: what a token's framing weighs, read off a capture, predicted, and measured.

use std::{fmt::Write, num::NonZeroU32};

use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        endpoint::Endpoint,
        factors::Factors,
        message::Envelope,
        notice::Notice,
        transport::Transport,
    },
};

use super::{
    Call, Lesson, Mark,
    measured::{self, Kind},
    numbers::{self, Expected, Tolerance},
    relay::{Manner, Recording, Relay},
    stage::{Stage, write_new},
};
use crate::{
    client::{self, Connector, Heard},
    experiment::{Experiment, wire},
    quantity::count,
};

pub const LESSON: Lesson = Lesson {
    number: 1,
    title: ("Bytes on the wire", "线上的字节"),
    question: (
        "A token's text has 20 bytes. How many bytes does each transport add to it on TCP's stream, on the way from the \
         server to the client? Count everything that frames the message, and nothing of TCP, IP or the first response's head.\n\n\
         See what crosses the socket:  pushbench lesson 1 --capture\n\
         Answer:                       pushbench lesson 1 sse-h1=… sse-h2=… ws-h1=… ws-h2=…\n\n\
         The answer is compared with what the kernel counts on this machine.",
        "一个 token 的文本有 20 字节。从服务器到客户端，每种传输方式在 TCP 字节流上给它加上多少字节？\
         请数上给消息分帧的一切，不算 TCP、IP 和第一个响应的头。\n\n\
         看看套接字上流过什么：pushbench lesson 1 --capture\n\
         回答：               pushbench lesson 1 sse-h1=… sse-h2=… ws-h1=… ws-h2=…\n\n\
         答案会与本机内核的计数对照。",
    ),
};

/// What is decoded, in the order of the chapter.
const TRANSPORTS: [Transport; 4] = [
    Transport::SseH1,
    Transport::SseH2,
    Transport::WsH1,
    Transport::WsH2,
];

/// Of a token's text.
const PAYLOAD_BYTES: u32 = 20;

/// Tokens of a captured answer.
const TOKENS: u32 = 3;

/// Bytes of a line of a dump.
const LINE_BYTES: usize = 16;

/// Runs a short answer through a relay on each transport, writes what crossed, and says where.
pub async fn capture(call: &Call) -> anyhow::Result<String> {
    let mut told = String::new();
    for transport in TRANSPORTS {
        let recording = record(transport).await?;
        let dump = format!(
            "{transport}, from the client\n\n{}\n{transport}, from the server\n\n{}",
            dump(&recording.asked),
            dump(&recording.answered)
        );
        let path = call.out.join(format!("capture-{transport}.txt"));
        write_new(&path, &dump)?;
        // Writing to a string cannot fail.
        let _ = writeln!(told, "{}\n\n{dump}", path.display());
    }
    Ok(told)
}

/// An answer of raw texts, and all that crossed for it.
async fn record(transport: Transport) -> anyhow::Result<Recording> {
    let stage = Stage::start(Config::default()).await?;
    let relay = Relay::start(stage.address, Manner::default()).await?;
    let endpoint = Endpoint::from(relay.address);
    let connector = Connector::new(transport, Factors::default(), endpoint);
    let mut wire = connector.connect().await?;
    let ask = Ask::Chat(ChatAsk {
        tokens: TOKENS,
        first_token_us: 5_000,
        token_gap_us: 20_000,
        envelope: Envelope::Raw,
        payload_bytes: NonZeroU32::new(PAYLOAD_BYTES),
        ..ChatAsk::default()
    });
    wire.ask(&ask).await?;
    client::receive_in(Envelope::Raw, &mut *wire, |heard| {
        matches!(heard, Heard::Notice(Notice::End { .. })).then_some(Ok(()))
    })
    .await?;
    drop(wire);
    let recording = relay.recording();
    stage.end().await;
    Ok(recording)
}

/// Offset, bytes in hexadecimal, and what of them is ASCII.
fn dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(LINE_BYTES).zip(0..).map(|(line, at)| {
        let hex: String = line.iter().map(|byte| format!("{byte:02x} ")).collect();
        let text = line.iter().map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        });
        let text: String = text.collect();
        let offset = at * LINE_BYTES;
        format!(
            "{offset:06x}  {hex:<width$} {text}\n",
            width = 3 * LINE_BYTES
        )
    });
    lines.collect()
}

/// Against what the kernel counts here.
pub async fn grade(call: &Call) -> anyhow::Result<Vec<Mark>> {
    let keys = TRANSPORTS.map(Transport::name);
    call.answers.only(&keys)?;
    let experiment = Experiment::Wire(wire::Settings {
        subscribers: count(2),
        messages: count(20),
        ..wire::Settings::default()
    });
    let mut expected = Vec::new();
    for transport in TRANSPORTS {
        let factors = Factors {
            envelope: Envelope::Raw,
            payload_bytes: NonZeroU32::new(PAYLOAD_BYTES),
            ..Factors::default()
        };
        let arm = (transport, factors);
        let metric = ("framing_bytes_per_token", Kind::Counted);
        let value = measured::figure(&call.site, &experiment, arm, metric).await?;
        expected.push(Expected {
            key: transport.name(),
            value,
            unit: call.language.of("bytes", "字节"),
            tolerance: Tolerance::Exact,
            why: why(transport, call),
        });
    }
    numbers::grade(&expected, &call.answers, call.language)
}

fn why(transport: Transport, call: &Call) -> &'static str {
    let words = match transport {
        Transport::SseH1 => (
            "`data: ` is 6, the two line feeds that end line and event 2; they are 28 with the text, which the chunk's head \
             says in two hexadecimal digits, CR and LF, and two more CR and LF end the chunk: 6.",
            "`data: ` 6 字节，结束一行和一个事件的两个换行 2 字节；连文本共 28，分块头用两个十六进制数字加 CR LF 表示，块尾再一个 CR LF：6 字节。",
        ),
        Transport::SseH2 => (
            "`data: ` and two line feeds are 8; the head of the DATA frame is 9 (RFC 9113, 4.1), and there are no chunks.",
            "`data: ` 加两个换行 8 字节；DATA 帧头 9 字节（RFC 9113，4.1），没有分块。",
        ),
        Transport::WsH1 => (
            "One byte says text and last, one says the length up to 125; a server does not mask (RFC 6455, 5.2).",
            "一个字节说明是文本且是最后一帧，一个字节说明长度（至多 125）；服务器不加掩码（RFC 6455，5.2）。",
        ),
        _ => (
            "The WebSocket frame's 2 bytes, in a DATA frame whose head is 9 (RFC 8441).",
            "WebSocket 帧头 2 字节，外面是帧头 9 字节的 DATA 帧（RFC 8441）。",
        ),
    };
    super::said(words, call.language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_offsets_bytes_and_text() {
        let lines = dump(b"data: \xe4\xbd\xa0 and more\n\n");
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("000000  64 61 74 61 3a 20 e4 bd a0 20 61"));
        assert!(lines[0].ends_with(" data: ... and mo"));
        assert!(lines[1].starts_with("000010  72 65 0a 0a"));
    }

    #[tokio::test]
    async fn what_crosses_is_recorded_on_every_transport() {
        for transport in TRANSPORTS {
            let recording = record(transport).await.unwrap();
            let answered = String::from_utf8_lossy(&recording.answered);
            assert!(!recording.asked.is_empty(), "{transport}");
            assert!(answered.contains("\"end\""), "{transport}: {answered}");
        }
    }
}

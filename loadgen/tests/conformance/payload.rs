//! Payload bytes survive every transport and envelope exactly.

use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        factors::Factors,
        message::Envelope,
    },
    control::Command,
    corpus,
};

use super::support::{Client, chat, everywhere, feed, start};

/// Texts that framing, line ends, decoding or trimming could harm.
fn awkward() -> Vec<String> {
    let mib: String = "0123456789abcde\n".repeat(1 << 16);
    assert_eq!(mib.len(), 1 << 20);
    let mut texts = [
        "",
        "\r",
        "\n",
        "\r\n",
        "\n\n",
        "\r\r",
        "\n\ndata: forged\n\n",
        "id: 9\nretry: 1",
        ":",
        ": comment",
        "\0",
        "a\0b",
        "\u{feff}",
        "\u{feff}x\u{feff}",
        " ",
        "  ",
        " x ",
        "\t",
        "𝄞",
        "👩‍👩‍👧‍👦",
        "\u{10ffff}",
        "\u{fffd}",
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\u{b}\u{c}\u{1b}\u{7f}",
        "\"",
        "\\",
        "\\u0000",
        "</script>",
        "好",
        "{\"notice\":\"end\"}",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([
        mib,
        "𝄞".repeat(1 << 18),
        "\0".repeat(1 << 17),
        String::new(),
    ]);
    texts
}

#[tokio::test]
async fn awkward_texts_survive_byte_for_byte() {
    for transport in everywhere() {
        for feed_envelope in [Envelope::Minimal, Envelope::OpenAi] {
            let server = start(Config {
                factors: Factors {
                    envelope: feed_envelope,
                    ..Factors::default()
                },
                ..Config::default()
            })
            .await;
            let mut client = Client::connect(transport, &server).await;
            client.ask(&feed(None)).await;
            let texts = awkward();
            let published = server.command(Command::Publish { texts }).await;
            server.shared.end_streams();
            let (messages, last, _) = client.rest().await;
            assert_eq!(last.seq, published);
            assert_eq!(messages.len(), awkward().len());
            for ((seq, text), expected) in messages.iter().zip(awkward()) {
                // Not assert_eq: a mebibyte of difference helps nobody.
                assert!(
                    *text == expected,
                    "{transport} {feed_envelope:?} message {seq}: {:.40?} became {text:.40?}",
                    expected
                );
            }
        }
    }
}

#[tokio::test]
async fn a_turn_has_the_same_text_in_both_envelopes_on_every_transport() {
    let expected: String = corpus::stream(ChatAsk::default().language, 7)
        .take(200)
        .collect();
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        for envelope in [Envelope::OpenAi, Envelope::Minimal] {
            let ask = ChatAsk {
                envelope,
                seed: 7,
                prompt: "? & = % + \" 好\n\u{2028}".into(),
                ..chat(200)
            };
            client.ask(&Ask::Chat(ask)).await;
            let (messages, ..) = client.rest().await;
            let text: String = messages.into_iter().map(|(_, text)| text).collect();
            assert_eq!(text, expected, "{transport} {envelope:?}");
        }
    }
}

//! Payload bytes survive every transport and envelope exactly.

use std::num::NonZeroU32;

use pushbench::{
    client::{self, Connector, Heard},
    ledger::Ledger,
};
use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        factors::Factors,
        message::Envelope,
        notice::Notice,
    },
    control::Command,
    corpus::{self, Language},
};

use super::support::{Client, books, chat, everywhere, feed, soon, start};

/// Texts that framing, line ends, decoding or trimming could harm.
pub fn awkward() -> Vec<String> {
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

#[tokio::test]
async fn raw_texts_survive_and_are_counted_by_their_place() {
    let factors = Factors {
        envelope: Envelope::Raw,
        ..Factors::default()
    };
    for transport in everywhere() {
        if let Some(misfit) = factors.misfit(transport) {
            eprintln!("does not apply: {misfit}");
            continue;
        }
        let server = start(Config {
            factors: factors.clone(),
            ..Config::default()
        })
        .await;
        let connector = Connector::new(transport, factors.clone(), server.endpoint.clone());
        let mut wire = soon("a connection", connector.connect()).await.unwrap();
        soon("an ask", wire.ask(&feed(None))).await.unwrap();
        let mut ledger = Ledger::default();
        let mut texts = Vec::new();
        let mut hear = |heard: Heard<'_>| match heard {
            Heard::Text(text, _) => {
                texts.push(text.to_owned());
                ledger.next_message();
                None
            }
            Heard::Notice(notice) => {
                ledger.notice(&notice);
                let said = matches!(notice, Notice::Hello { .. } | Notice::End { .. });
                said.then_some(Ok(()))
            }
            Heard::Message(message, _) => panic!("{transport}: {message:?}"),
        };
        let receiving = client::receive_in(Envelope::Raw, wire.as_mut(), &mut hear);
        soon("a hello", receiving).await.unwrap();
        let sent: Vec<_> = awkward()
            .into_iter()
            .filter(|text| Envelope::Raw.fit(text).is_ok())
            .collect();
        assert!(sent.len() > 25);
        server
            .command(Command::Publish {
                texts: sent.clone(),
            })
            .await;
        server.shared.end_streams();
        let receiving = client::receive_in(Envelope::Raw, wire.as_mut(), &mut hear);
        soon("the end", receiving).await.unwrap();
        for (text, expected) in texts.iter().zip(&sent) {
            assert!(
                text == expected,
                "{transport}: {expected:.40?} became {text:.40?}"
            );
        }
        let books = books(&server, 1, [&ledger]);
        assert_eq!(books.received, sent.len() as u64, "{transport}");
        assert!(books.balanced(), "{transport}: {books:?}");
    }
}

#[tokio::test]
async fn a_text_has_exactly_as_many_bytes_as_asked_for() {
    for transport in everywhere() {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        for (bytes, envelope, language) in [
            (1, Envelope::Minimal, Language::Zh),
            (180, Envelope::OpenAi, Language::En),
            (16_384, Envelope::Minimal, Language::Zh),
        ] {
            let ask = ChatAsk {
                payload_bytes: NonZeroU32::new(bytes),
                envelope,
                language,
                ..chat(20)
            };
            client.ask(&Ask::Chat(ask)).await;
            let (messages, ..) = client.rest().await;
            assert_eq!(messages.len(), 20, "{transport}");
            for (_, text) in messages {
                assert_eq!(text.len(), bytes as usize, "{transport}: {text:.40?}");
            }
        }
        let ask = ChatAsk {
            payload_bytes: NonZeroU32::new(16_385),
            ..chat(1)
        };
        let refusal = client.refusal(&Ask::Chat(ask)).await;
        assert!(
            refusal == "422" || refusal.contains("16384"),
            "{transport}: {refusal}"
        );
    }
}

#[tokio::test]
async fn the_feed_has_texts_of_one_size_in_both_languages() {
    for transport in everywhere() {
        let server = start(Config {
            factors: Factors {
                payload_bytes: NonZeroU32::new(20),
                ..Factors::default()
            },
            ..Config::default()
        })
        .await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&feed(None)).await;
        server.command(Command::Feed { rate: 2_000.0 }).await;
        let messages = client.messages(10).await;
        assert!(
            messages.iter().all(|(_, text)| text.len() == 20),
            "{messages:?}"
        );
        let ascii = messages.iter().filter(|(_, text)| text.is_ascii());
        assert!((1..10).contains(&ascii.count()), "{messages:?}");
        assert_eq!(server.shared.meters.text_bytes.to_string(), "20");
    }
}

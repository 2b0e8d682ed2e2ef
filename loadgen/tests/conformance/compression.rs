//! Every kind of compression, and the second WebSocket library, on every transport that can have it: the same
//! promises as without, fewer bytes, and nothing but what was asked for.

use pushbench::client::{Connector, Ended};
use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        factors::{Compression, Factors, WsLibrary},
        transport::{Capabilities, Family, Http, Transport},
    },
    control::Command,
    corpus,
    counters::Counter,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    payload::awkward,
    support::{Client, Heard, Running, books, chat, endless, feed, soon, start},
};

fn level(compression: &str) -> Factors {
    let compression: Compression = compression.parse().unwrap();
    let deflated = matches!(compression, Compression::Deflate { .. });
    Factors {
        compression,
        ws_library: if deflated {
            WsLibrary::Yawc
        } else {
            WsLibrary::default()
        },
        ..Factors::default()
    }
}

/// Each level on each transport that can have it.
fn arms() -> Vec<(Transport, Factors)> {
    let library = Factors {
        ws_library: WsLibrary::Yawc,
        ..Factors::default()
    };
    let levels = [
        "gzip-1",
        "gzip-9",
        "br-2",
        "br-5",
        "zstd-1",
        "zstd-3",
        "deflate-9",
        "deflate-15",
        "deflate-9-no-takeover",
        "deflate-15-no-takeover",
    ];
    let levels = levels.map(level).into_iter().chain([library]);
    let arms: Vec<_> = levels
        .flat_map(|factors| Transport::ALL.map(|transport| (transport, factors.clone())))
        .filter(|(transport, factors)| factors.misfit(*transport).is_none())
        .collect();
    // Six codings on SSE, five arms of the library on WebSocket, and what other transports can.
    assert!(arms.len() >= 11, "{arms:?}");
    arms
}

fn name((transport, factors): &(Transport, Factors)) -> String {
    let (library, compression) = (factors.ws_library.name(), factors.compression);
    format!("{transport} {library} {compression}")
}

async fn serving(factors: &Factors) -> Running {
    start(Config {
        factors: factors.clone(),
        ..Config::default()
    })
    .await
}

#[tokio::test]
async fn awkward_texts_survive_every_coding_byte_for_byte() {
    for arm in arms() {
        let (name, (transport, factors)) = (name(&arm), arm);
        let server = serving(&factors).await;
        let mut client = Client::connect_as(transport, factors, &server).await;
        client.ask(&feed(None)).await;
        let texts = awkward();
        let published = server.command(Command::Publish { texts }).await;
        server.shared.end_streams();
        let (messages, last, _) = client.rest().await;
        assert_eq!((last.seq, messages.len()), (published, awkward().len()));
        for ((seq, text), expected) in messages.iter().zip(awkward()) {
            assert!(
                *text == expected,
                "{name} message {seq}: {expected:.40?} became {text:.40?}"
            );
        }
    }
}

#[tokio::test]
async fn turns_follow_one_another_in_order_and_the_level_is_read_back() {
    for arm in arms() {
        let (name, (transport, factors)) = (name(&arm), arm);
        let server = serving(&factors).await;
        let mut client = Client::connect_as(transport, factors.clone(), &server).await;
        for (turn, tokens) in [3, 0, 1_500, 1].into_iter().enumerate() {
            let seed = turn as u64;
            let ask = ChatAsk {
                seed,
                ..chat(tokens)
            };
            client.ask(&Ask::Chat(ask.clone())).await;
            let (messages, last, cancelled) = client.rest().await;
            let texts = corpus::stream(ask.language, seed).take(tokens as usize);
            let expected: Vec<_> = (1..).zip(texts.map(str::to_owned)).collect();
            assert_eq!(messages, expected, "{name} turn {turn}");
            assert_eq!((last.seq, cancelled), (u64::from(tokens), false), "{name}");
        }
        let settings = server.settings().await;
        assert_eq!(
            settings["compression"],
            factors.compression.to_string(),
            "{name}"
        );
        let library = settings.get("ws_library").map(String::as_str);
        let speaks = (transport == Transport::WsH1).then_some(factors.ws_library.name());
        assert_eq!(library, speaks, "{name}");
        let says = match factors.compression {
            Compression::Off => "websocket".into(),
            Compression::Coding(coding, _) => coding.name().to_owned(),
            Compression::Deflate { window_bits, .. } => {
                format!("; server_max_window_bits={window_bits}")
            }
        };
        assert!(client.path().contains(&says), "{name}: {}", client.path());
        assert_eq!(server.count(Counter::Accepted), 1, "{name}");
        assert!(books(&server, 1, [&client.ledger]).balanced(), "{name}");
        client.close().await;
    }
}

#[tokio::test]
async fn the_tuned_levels_are_read_back_too() {
    for transport in Transport::ALL {
        let server = start(Config::default()).await;
        let mut client = Client::connect(transport, &server).await;
        client.ask(&feed(None)).await;
        let settings = server.settings().await;
        let read = |name| settings.get(name).map(String::as_str);
        let Capabilities { family, http, .. } = transport.capabilities();
        let (compression, library) = match (family, http) {
            // Nothing could be compressed there.
            (_, Http::Bare) | (Family::Poll, _) => (None, None),
            (Family::WebSocket, _) => (Some("off"), Some("tungstenite")),
            _ => (Some("off"), None),
        };
        assert_eq!(read("compression"), compression, "{transport}");
        assert_eq!(read("ws_library"), library, "{transport}");
    }
}

/// A token must not wait in an encoder for the one after it: nothing follows it here.
#[tokio::test]
async fn every_message_arrives_before_the_next_is_published() {
    for arm in arms() {
        let (name, (transport, factors)) = (name(&arm), arm);
        let server = serving(&factors).await;
        let mut client = Client::connect_as(transport, factors, &server).await;
        client.ask(&feed(None)).await;
        for n in 1..=20 {
            server.publish(n..=n).await;
            let heard = client.messages(1).await;
            assert_eq!(heard, [(u64::from(n), n.to_string())], "{name}");
        }
    }
}

#[tokio::test]
async fn a_feed_goes_on_after_cuts_without_loss_or_repeat() {
    for arm in arms() {
        let (name, (transport, factors)) = (name(&arm), arm);
        let server = serving(&factors).await;
        let mut client = Client::connect_as(transport, factors.clone(), &server).await;
        client.ask(&feed(None)).await;
        server.publish(1..=4).await;
        let mut heard = client.messages(4).await;
        for cut in 1..=2 {
            for connection in server.shared.register.all() {
                connection.reset().unwrap();
            }
            assert_eq!(client.hear().await, Heard::Ended(Ended::Reset), "{name}");
            server.publish(cut * 10..=cut * 10 + 4).await;
            let ledger = std::mem::take(&mut client.ledger);
            client = Client::connect_as(transport, factors.clone(), &server).await;
            client.ledger = ledger;
            let after = client.ledger.position();
            assert_eq!(client.ask(&feed(after)).await, (after.unwrap(), 0));
            heard.extend(client.messages(5).await);
        }
        let seqs: Vec<_> = heard.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (1..=14).collect::<Vec<_>>(), "{name}");
        let books = books(&server, 1, [&client.ledger]);
        assert!(books.balanced(), "{name}: {books:?}");
        assert_eq!((books.lost, books.duplicated), (0, 0), "{name}");
    }
}

#[tokio::test]
async fn a_stopping_server_ends_the_coding_and_nothing_is_lost() {
    for arm in arms() {
        let (name, (transport, factors)) = (name(&arm), arm);
        let server = serving(&factors).await;
        let mut turn = Client::connect_as(transport, factors.clone(), &server).await;
        turn.ask(&Ask::Chat(endless(true))).await;
        let mut reader = Client::connect_as(transport, factors, &server).await;
        reader.ask(&feed(None)).await;
        server.publish(1..=9).await;
        let shared = server.shared.clone();
        let stopped = tokio::spawn(server.stop());
        let (messages, last, cancelled) = reader.rest().await;
        assert_eq!(
            (messages.len(), last.seq, cancelled),
            (9, 9, true),
            "{name}"
        );
        let (messages, last, _) = turn.rest().await;
        assert_eq!(messages.len() as u64, last.seq, "{name}");
        for mut client in [reader, turn] {
            // A body whose coding broke off would be another end.
            assert_eq!(client.hear().await, Heard::Ended(Ended::Closed), "{name}");
        }
        stopped.await.unwrap();
        assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
    }
}

/// A relay that counts what the server sends on one connection.
async fn relay(server: &Running) -> (std::net::SocketAddr, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let to = server.address;
    let relaying = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        let copied = copy_bidirectional(&mut client, &mut server).await;
        copied.map(|(_, from_server)| from_server).unwrap()
    });
    (address, relaying)
}

/// Bytes that the server sends for a turn, on all layers above TCP.
async fn bytes_of_a_turn((transport, factors): (Transport, Factors)) -> u64 {
    let server = serving(&factors).await;
    let (address, relaying) = relay(&server).await;
    let connector = Connector::new(transport, factors, address.into());
    let mut wire = soon("a connection", connector.connect()).await.unwrap();
    soon("the ask", wire.ask(&Ask::Chat(chat(500))))
        .await
        .unwrap();
    let goodbye = pushbench::client::receive(wire.as_mut(), |heard| match heard {
        pushbench::client::Heard::Notice(notice) => {
            let ended = matches!(
                notice,
                pushbench_server::contract::notice::Notice::End { .. }
            );
            ended.then_some(Ok(()))
        }
        pushbench::client::Heard::Message(..) | pushbench::client::Heard::Text(..) => None,
    });
    soon("the end", goodbye).await.unwrap();
    soon("the close", wire.close()).await;
    soon("the relay's end", relaying).await.unwrap()
}

#[tokio::test]
async fn fewer_bytes_cross_the_wire_and_a_window_or_its_takeover_matters() {
    let mut bytes = std::collections::BTreeMap::new();
    for arm in arms() {
        let name = name(&arm);
        let plain = bytes_of_a_turn((
            arm.0,
            Factors {
                compression: Compression::Off,
                ..arm.1.clone()
            },
        ));
        let (compression, plain) = (arm.1.compression, plain.await);
        let sent = bytes_of_a_turn(arm).await;
        // Each token alone has little to refer to: what a window that outlives it is for.
        let enough = match compression {
            Compression::Deflate {
                takeover: false, ..
            } => plain,
            _ => plain * 4 / 5,
        };
        if compression == Compression::Off {
            // The library is its own control: frames are frames.
            assert!(sent.abs_diff(plain) < plain / 50, "{name}: {sent}, {plain}");
        } else {
            assert!(sent < enough, "{name}: {sent} of {plain}");
        }
        bytes.insert(name, sent);
    }
    let of = |level: &str| bytes[&format!("ws-h1 yawc {level}")];
    assert!(
        of("deflate-15") < of("deflate-15-no-takeover") * 3 / 4,
        "{bytes:?}"
    );
}

#[tokio::test]
async fn another_coding_than_the_arms_is_another_path() {
    let refusal = async |transport, asked: &Factors, served: &Factors| {
        let server = serving(served).await;
        let connector = Connector::new(transport, asked.clone(), server.endpoint.clone());
        let asked = async { connector.connect().await?.ask(&feed(None)).await };
        match soon("an answer", asked).await {
            Err(Ended::WrongPath(sentence)) => sentence,
            other => panic!("{transport}: {other:?}"),
        }
    };
    let off = Factors::default();
    let yawc = Factors {
        ws_library: WsLibrary::Yawc,
        ..Factors::default()
    };
    for (transport, asked, served, says) in [
        (
            Transport::SseH1,
            level("gzip-6"),
            &off,
            "text/event-stream gzip` was asked for, and `HTTP/1.1 200 text/event-stream` came",
        ),
        (
            Transport::SseH1,
            level("gzip-6"),
            &level("br-2"),
            "and `HTTP/1.1 200 text/event-stream` came",
        ),
        (
            Transport::WsH1,
            level("deflate-12"),
            &yawc,
            "client_max_window_bits=12` was asked for, and `HTTP/1.1 101 websocket` came",
        ),
        (
            Transport::WsH1,
            level("deflate-12"),
            &level("deflate-10"),
            "with permessage-deflate; server_max_window_bits=10; client_max_window_bits=10` came",
        ),
        (
            Transport::WsH1,
            level("deflate-12"),
            &level("deflate-12-no-takeover"),
            "server_no_context_takeover; client_no_context_takeover` came",
        ),
        (
            Transport::WsH1,
            level("deflate-12"),
            &off,
            "and `HTTP/1.1 101 websocket` came",
        ),
    ] {
        let sentence = refusal(transport, &asked, served).await;
        assert!(sentence.contains(says), "{sentence}");
    }
}

#[tokio::test]
async fn who_does_not_ask_for_a_coding_gets_none_and_is_told_that_it_could() {
    let server = serving(&level("gzip-6")).await;
    for (asks, coded) in [
        ("", false),
        ("accept-encoding: br, gzip;q=0\r\n", false),
        ("accept-encoding: br, *;q=0.1\r\n", true),
    ] {
        for (target, varies) in [("/sse/chat?tokens=1", true), ("/sse/nothing", false)] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let request = format!(
                "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{asks}\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            soon("an answer", stream.read_to_end(&mut answer))
                .await
                .unwrap();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let head = answer.split("\r\n\r\n").next().unwrap();
            let says = |line: &str| head.lines().any(|said| said == line);
            assert_eq!(says("vary: accept-encoding"), varies, "{head}");
            assert_eq!(says("content-encoding: gzip"), varies && coded, "{head}");
            assert_eq!(answer.contains("data: {"), varies && !coded, "{head}");
        }
    }
}

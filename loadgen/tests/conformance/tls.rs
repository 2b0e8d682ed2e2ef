//! TLS below every transport that can have it: who is trusted, what is resumed, and what is refused.

use std::time::Duration;

use pushbench::client::{Connector, Ended, Opened};
use pushbench_server::{
    config::Config,
    contract::{
        ask::Ask,
        factors::Factors,
        transport::{Http, Transport},
    },
    control::{self, Command, Reply},
    counters::Counter,
    limits::Limits,
    tls::Identity,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{Running, chat, endless, soon, start, until};

fn secured() -> Factors {
    Factors {
        tls: true,
        ..Factors::default()
    }
}

/// The transports that TLS fits below.
fn below() -> impl Iterator<Item = Transport> {
    let all = Transport::ALL.into_iter();
    all.filter(|transport| secured().misfit(*transport).is_none())
}

async fn secure_server() -> Running {
    start(Config {
        factors: secured(),
        ..Config::default()
    })
    .await
}

fn connector(transport: Transport, server: &Running) -> Connector {
    Connector::new(transport, secured(), server.endpoint.clone())
}

/// Opens a connection and reads a turn on it, and with it whatever the server sends after the handshake;
/// whether its session was resumed.
async fn resumed(connector: &Connector) -> bool {
    let opened = soon("a connection", connector.open()).await;
    let Opened {
        mut wire, session, ..
    } = opened.unwrap();
    wire.ask(&Ask::Chat(chat(1))).await.unwrap();
    let goodbye = pushbench::client::receive(wire.as_mut(), |heard| match heard {
        pushbench::client::Heard::Notice(pushbench_server::contract::notice::Notice::End {
            ..
        }) => Some(Ok(())),
        _ => None,
    });
    soon("the turn", goodbye).await.unwrap();
    wire.close().await;
    session.unwrap().resumed()
}

#[tokio::test]
async fn a_client_resumes_its_session_unless_it_is_told_not_to() {
    for transport in below() {
        let server = secure_server().await;
        let client = connector(transport, &server);
        assert!(!resumed(&client).await, "{transport}: the first");
        for _ in 0..3 {
            assert!(resumed(&client).await, "{transport}: one that was here");
        }
        let stranger = client.without_resumption();
        assert!(!resumed(&stranger).await && !resumed(&stranger).await);
        let other = client.of_another_client();
        assert!(!resumed(&other).await, "{transport}: what others remember");
        assert!(resumed(&other).await, "{transport}");
        assert_eq!(server.count(Counter::RefusedHandshakes), 0, "{transport}");
    }
}

#[tokio::test]
async fn what_was_negotiated_is_read_back_from_the_live_session_at_both_ends() {
    for transport in below() {
        let server = secure_server().await;
        let opened = soon("a connection", connector(transport, &server).open()).await;
        let mut opened = opened.unwrap();
        // An answer means that the server, too, is done with the handshake.
        let ask = Ask::Chat(endless(false));
        soon("an answer", opened.wire.ask(&ask)).await.unwrap();
        let theirs = setting(&server, "tls").await;
        assert!(theirs.starts_with("TLSv1_3 TLS13_"), "{theirs}");
        let ours = opened.session.as_ref().unwrap().to_string();
        assert_eq!(ours, theirs, "{transport}");
        // The certificate is among what came.
        let (sent, received) = (opened.traffic.sent_bytes(), opened.traffic.received_bytes());
        let certificate = server.endpoint.certificate.as_ref().unwrap().der().len() as u64;
        assert!(
            sent > 0 && received > certificate,
            "{transport}: {sent}, {received}"
        );

        let server = start(Config::default()).await;
        let clear = Connector::new(transport, Factors::default(), server.endpoint.clone());
        let opened = soon("a connection", clear.open()).await.unwrap();
        until("it is accepted", || server.count(Counter::Accepted) == 1).await;
        assert_eq!(setting(&server, "tls").await, "false", "{transport}");
        assert_eq!(opened.session, None, "{transport}");
    }
}

#[tokio::test]
async fn the_floors_beside_it_stay_in_clear_text() {
    let server = start(Config {
        factors: secured(),
        bare: Some(([127, 0, 0, 1], 0).into()),
        ..Config::default()
    })
    .await;
    let mut transports = Transport::ALL.into_iter();
    let floor = transports.find(|transport| transport.capabilities().http == Http::Bare);
    let client = Connector::new(floor.unwrap(), Factors::default(), server.endpoint.clone());
    let mut opened = soon("a connection", client.open()).await.unwrap();
    assert_eq!(opened.session, None);
    let ask = Ask::Chat(chat(1));
    soon("an answer", opened.wire.ask(&ask)).await.unwrap();
}

/// As a parent process reads it.
async fn setting(server: &Running, name: &str) -> String {
    let line = serde_json::to_vec(&Command::Stats).unwrap();
    let mut reply = Vec::new();
    control::attend(server.shared.clone(), line.as_slice(), &mut reply)
        .await
        .unwrap();
    match serde_json::from_slice(&reply).unwrap() {
        Reply::Stats(stats) => stats.settings[name].clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_with_another_certificate_is_not_trusted() {
    for transport in below() {
        let server = secure_server().await;
        let mut endpoint = server.endpoint.clone();
        let other = Identity::throwaway(&[]).unwrap();
        endpoint.certificate = Some(other.certificate().clone());
        let client = Connector::new(transport, secured(), endpoint);
        let refusal = soon("a refusal", client.connect()).await;
        let reason = refusal.err().unwrap().to_string();
        assert!(reason.contains("another certificate"), "{reason}");
        until("the server hears of it", || {
            server.count(Counter::RefusedHandshakes) == 1
        })
        .await;
        // One that is none, and none where there should be one.
        let mut endpoint = server.endpoint.clone();
        endpoint.certificate = serde_json::from_str("\"AAAA\"").unwrap();
        let client = Connector::new(transport, secured(), endpoint);
        let reason = client.connect().await.err().unwrap().to_string();
        assert!(reason.contains("cannot be used"), "{reason}");
        let client = Connector::new(transport, secured(), server.address.into());
        let reason = client.connect().await.err().unwrap().to_string();
        assert!(reason.contains("has no certificate"), "{reason}");
        assert_eq!(server.count(Counter::Accepted), 1, "{transport}");
    }
}

#[tokio::test]
async fn clear_text_where_tls_is_spoken_is_told_so_and_counted() {
    let server = secure_server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // More than the answer waits for.
    let request = format!("POST / HTTP/1.1\r\nhost: x\r\n\r\n{}", "x".repeat(1 << 16));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = soon("an answer", stream.read_to_string(&mut answer)).await;
    read.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(body["error"].as_str().unwrap().contains("https://"));
    drop(stream);
    until("it is counted", || {
        server.count(Counter::RefusedHandshakes) == 1
    })
    .await;
    for transport in below() {
        let refused = server.count(Counter::RefusedHandshakes);
        let client = Connector::new(transport, Factors::default(), server.address.into());
        let asked = soon("a refusal", async {
            client.connect().await?.ask(&Ask::Chat(chat(1))).await
        });
        let ended = asked.await.unwrap_err();
        eprintln!("{transport}: {ended}");
        until("it is counted", || {
            server.count(Counter::RefusedHandshakes) == refused + 1
        })
        .await;
    }
}

#[tokio::test]
async fn tls_where_clear_text_is_spoken_is_noticed_and_counted() {
    for transport in below() {
        let server = start(Config::default()).await;
        let mut endpoint = server.endpoint.clone();
        let identity = Identity::throwaway(&[]).unwrap();
        endpoint.certificate = Some(identity.certificate().clone());
        let client = Connector::new(transport, secured(), endpoint);
        let ended = soon("a refusal", client.connect()).await.err().unwrap();
        assert!(matches!(ended, Ended::WrongPath(_)), "{ended:?}");
        until("it is counted", || {
            server.count(Counter::RefusedHeaders) == 1
        })
        .await;
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_is_ended_and_counted_and_one_that_never_began_is_neither() {
    let limits = Limits {
        header_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = start(Config {
        factors: secured(),
        limits,
        ..Config::default()
    })
    .await;
    // Nothing at all, a byte of a handshake, and a record that is none.
    for sent in [&b""[..], &[22], &[22, 3, 1, 0, 1, 0]] {
        let refused = server.count(Counter::RefusedHandshakes);
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        // However it ends.
        let _ = soon("an end", stream.read_to_end(&mut rest)).await;
        assert_eq!(server.count(Counter::RefusedHandshakes), refused + 1);
    }
    let stream = TcpStream::connect(server.address).await.unwrap();
    drop(stream);
    until("all are gone", || server.count(Counter::Closed) == 4).await;
    assert_eq!(server.count(Counter::RefusedHandshakes), 3);
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_a_handshake() {
    let server = secure_server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    until("it is accepted", || server.count(Counter::Accepted) == 1).await;
    let shared = server.shared.clone();
    server.stop().await;
    assert_eq!(shared.meters.counters.read(Counter::ClosedLate), 0);
    let mut rest = Vec::new();
    let _ = soon("an end", stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}

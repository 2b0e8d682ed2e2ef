//! `ws://`: messages, closes, refusals.

use std::net::SocketAddr;
use std::num::NonZeroU64;

use futures_util::{SinkExt as _, StreamExt as _};
use pushbench::command::tail::{Tail, run_to};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::server::{serve, whole};
use crate::{events, run, tail};

/// Sends `messages` over one WebSocket after having read as many as `awaited`, then reads to the end;
/// returns what it read.
async fn serve_websocket(
    awaited: usize,
    messages: Vec<Message>,
) -> (SocketAddr, JoinHandle<Vec<Message>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut read = Vec::new();
        for _ in 0..awaited {
            read.push(socket.next().await.unwrap().unwrap());
        }
        for message in messages {
            socket.send(message).await.unwrap();
        }
        while let Some(Ok(message)) = socket.next().await {
            read.push(message);
        }
        read
    });
    (address, server)
}

fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }))
}

#[tokio::test]
async fn messages_are_printed_until_the_close() {
    for closing in [close(1000, "done"), close(1001, ""), Message::Close(None)] {
        let messages = vec![
            Message::text("a"),
            Message::Ping("x".into()),
            Message::text("好"),
            closing,
        ];
        let (address, server) = serve_websocket(1, messages).await;
        let args = Tail {
            send: Some("first".to_owned()),
            ..tail(format!("ws://{address}/ws?a=b"))
        };
        let printed = run(args).await;
        assert_eq!(
            printed,
            (events([["message", "a", ""], ["message", "好", ""]]), None)
        );
        assert_eq!(server.await.unwrap()[0], Message::text("first"));
    }
}

#[tokio::test]
async fn a_close_for_a_reason_is_a_refusal() {
    let messages = vec![Message::text("a"), close(1013, "too\u{7} slow")];
    let (address, _server) = serve_websocket(0, messages).await;
    let (printed, refusal) = run(tail(format!("ws://{address}/ws"))).await;
    assert_eq!(printed, events([["message", "a", ""]]));
    assert!(refusal.unwrap().contains("code 1013 (too  slow)"));
}

#[tokio::test]
async fn a_cut_without_a_close_is_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::text("a")).await.unwrap();
    });
    let (printed, refusal) = run(tail(format!("ws://{address}/ws"))).await;
    assert_eq!(printed, events([["message", "a", ""]]));
    assert!(refusal.unwrap().contains("broke off"));
}

#[tokio::test]
async fn a_binary_message_is_printed_as_base64() {
    let messages = vec![Message::binary(vec![0, 255]), close(1000, "")];
    let (address, _server) = serve_websocket(0, messages).await;
    let mut out = Vec::new();
    run_to(&tail(format!("ws://{address}/ws")), &mut out)
        .await
        .unwrap();
    let line: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&line["data_base64"], line.get("data")),
        (&Value::from("AP8="), None)
    );
}

#[tokio::test]
async fn max_events_closes_the_websocket() {
    let (address, server) = serve_websocket(0, vec![Message::text("a"), Message::text("b")]).await;
    let args = Tail {
        max_events: NonZeroU64::new(1),
        ..tail(format!("ws://{address}/ws"))
    };
    assert_eq!(run(args).await, (events([["message", "a", ""]]), None));
    assert!(server.await.unwrap().last().is_some_and(Message::is_close));
}

#[tokio::test]
async fn what_is_no_websocket_is_refused_with_a_remedy() {
    for (answer, part) in [
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "403 Forbidden",
        ),
        (
            "SSH-2.0-OpenSSH\r\n\r\n",
            "did not complete the WebSocket handshake",
        ),
        ("", "did not complete the WebSocket handshake"),
    ] {
        let (address, _server) = serve(vec![whole(answer)]).await;
        let refusal = run(tail(format!("ws://{address}/ws"))).await.1.unwrap();
        assert!(
            refusal.contains(part) && refusal.contains("check that"),
            "{refusal}"
        );
    }
}

//! `http://`: requests, events, refusals, reconnects.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use pushbench::command::tail::Tail;
use tokio::net::TcpListener;

use crate::server::{NO_CONTENT, OK, answer_all, bound, serve, whole};
use crate::{events, run, tail};

#[tokio::test]
async fn prints_events_and_ends_with_the_stream() {
    let body =
        "\u{FEFF}: hi\n\ndata: a\n\nevent: named\nid: 7\ndata: 好\ndata: \n\ndata: b\n\ndata: c\n";
    let (address, server) = serve(vec![whole(&format!("{OK}{body}"))]).await;
    let (printed, refusal) = run(tail(format!("http://{address}/sse?content=x#fragment"))).await;
    assert_eq!(
        printed,
        events([
            ["message", "a", ""],
            ["named", "好\n", "7"],
            ["message", "b", "7"]
        ])
    );
    assert_eq!(refusal, None);

    let request = server.await.unwrap().remove(0).to_ascii_lowercase();
    assert!(
        request.starts_with("get /sse?content=x http/1.1\r\n"),
        "{request}"
    );
    let host = format!("host: {address}");
    for header in [
        &host,
        "accept: text/event-stream",
        "cache-control: no-cache",
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{request}");
    }
    assert!(!request.contains("last-event-id"), "{request}");
}

#[tokio::test]
async fn events_cut_anywhere_are_whole() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let body = "event: named\r\nid: 好\r\ndata: 😀\r\n\r\ndata: b\r\n\r\n";
    let mut answer = whole(head);
    answer.extend(
        body.bytes()
            .map(|byte| [b"1\r\n".as_slice(), &[byte], b"\r\n"].concat()),
    );
    answer.push(b"0\r\n\r\n".to_vec());
    let (address, _server) = serve(vec![answer]).await;
    let (printed, refusal) = run(tail(format!("http://{address}/"))).await;
    assert_eq!(
        printed,
        events([["named", "😀", "好"], ["message", "b", "好"]])
    );
    assert_eq!(refusal, None);
}

#[tokio::test]
async fn what_is_no_stream_is_refused_with_a_remedy() {
    let cases: [(&str, &[&str]); 11] = [
        (
            "200 OK\r\ncontent-type: text/html\r\n",
            &["text/html", "not text/event-stream"],
        ),
        ("200 OK\r\n", &["content type nothing"]),
        (
            "200 OK\r\ncontent-type: text/event-streams\r\n",
            &["not text/event-stream"],
        ),
        (
            "404 Not Found\r\n",
            &["404 Not Found, not 200 OK (no  [31mhere)", "check the path"],
        ),
        (
            "302 Found\r\nlocation: http://a/b\r\n",
            &["302 Found", "tail http://a/b"],
        ),
        ("405 Method Not Allowed\r\n", &["405", "--post BODY"]),
        ("400 Bad Request\r\n", &["400", "what is sent"]),
        ("500 Internal Server Error\r\n", &["500", "server's log"]),
        (
            "201 Created\r\ncontent-type: text/event-stream\r\n",
            &["201 Created, not 200 OK"],
        ),
        ("204 No Content\r\n", &["204 No Content"]),
        ("SSH\r\n", &["broke off"]),
    ];
    for (head, expected) in cases {
        let answer = format!("HTTP/1.1 {head}connection: close\r\n\r\nno \x1b[31mhere");
        let (address, _server) = serve(vec![whole(&answer)]).await;
        let (printed, refusal) = run(tail(format!("http://{address}/"))).await;
        let refusal = refusal.unwrap();
        assert!(
            expected.iter().all(|part| refusal.contains(part)),
            "{head:?}: {refusal:?}"
        );
        assert!(!refusal.contains('\x1b'), "{refusal:?}");
        assert_eq!(printed, events([]));
    }
}

#[tokio::test]
async fn a_stream_broken_off_is_not_an_end() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\n";
    for (answer, printed) in [
        (
            format!("{cut}data: a\n\n"),
            events([["message", "a", ""]]).as_slice(),
        ),
        (String::new(), &[]),
    ] {
        let (address, _server) = serve(vec![whole(&answer)]).await;
        let (lines, refusal) = run(tail(format!("http://{address}/"))).await;
        assert_eq!(lines, printed);
        assert!(refusal.unwrap().contains("broke off"));
    }
}

#[tokio::test]
async fn reconnects_with_the_last_event_id_until_204() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n99\r\n";
    let (address, server) = serve(vec![
        whole(&format!(
            "{OK}retry: 1\nid: 1\ndata: a\n\nid: 2\ndata: unfinished\n"
        )),
        // A network error, tried again as well. No id: the one before stays.
        whole(&format!("{cut}data: b\n\n")),
        whole(&format!("{OK}id: …\ndata: c\n\n")),
        whole(&format!("{OK}id\ndata: d\n\n")),
        whole(NO_CONTENT),
    ])
    .await;
    let (printed, refusal) = run(Tail {
        reconnect: true,
        ..tail(format!("http://{address}/"))
    })
    .await;
    assert_eq!(
        printed,
        events([
            ["message", "a", "1"],
            ["message", "b", "1"],
            ["message", "c", "…"],
            ["message", "d", ""]
        ])
    );
    assert_eq!(refusal, None);
    let ids: Vec<_> = server
        .await
        .unwrap()
        .iter()
        .map(|request| last_event_id(request))
        .collect();
    assert_eq!(
        ids,
        [None, Some("1"), Some("1"), Some("…"), None].map(|id| id.map(str::to_owned))
    );
}

fn last_event_id(request: &str) -> Option<String> {
    request
        .lines()
        .find_map(|line| line.strip_prefix("last-event-id: "))
        .map(str::to_owned)
}

#[tokio::test]
async fn retry_says_how_long_to_wait() {
    // Longer than the 3 s without `retry:`, so that a lower bound is proof.
    let first = whole(&format!("{OK}retry: 3200\n\n"));
    let (address, _server) = serve(vec![first, whole(NO_CONTENT)]).await;
    let start = Instant::now();
    let args = Tail {
        reconnect: true,
        ..tail(format!("http://{address}/"))
    };
    assert_eq!(run(args).await, (events([]), None));
    assert!(start.elapsed() >= Duration::from_millis(3200));
}

#[tokio::test]
async fn reconnecting_ends_at_a_wrong_status_or_content_type() {
    for (answer, part) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "503",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n",
            "text/plain",
        ),
    ] {
        let first = format!("{OK}retry: 0\ndata: a\n\n");
        let (address, _server) = serve(vec![whole(&first), whole(answer)]).await;
        let args = Tail {
            reconnect: true,
            ..tail(format!("http://{address}/"))
        };
        let (printed, refusal) = run(args).await;
        assert_eq!(printed, events([["message", "a", ""]]));
        assert!(refusal.unwrap().contains(part));
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    let socket = bound();
    let address = socket.local_addr().unwrap();
    let args = Tail {
        reconnect: true,
        ..tail(format!("http://{address}/"))
    };
    let tailing = tokio::spawn(run(args));
    // Long enough for the first attempt; were it not, there would be nothing to try again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!tailing.is_finished());
    let requests = answer_all(socket.listen(1).unwrap(), vec![whole(NO_CONTENT)]).await;
    assert_eq!(requests.len(), 1);
    assert_eq!(tailing.await.unwrap(), (events([]), None));
}

#[tokio::test]
async fn last_event_id_can_be_given_for_the_first_request() {
    let (address, server) = serve(vec![whole(&format!("{OK}data: a\n\n"))]).await;
    let with = |id: &str| Tail {
        last_event_id: Some(id.to_owned()),
        ..tail(format!("http://{address}/"))
    };
    assert_eq!(
        run(with("41")).await,
        (events([["message", "a", "41"]]), None)
    );
    assert_eq!(
        last_event_id(&server.await.unwrap()[0]).as_deref(),
        Some("41")
    );
    assert!(
        run(with("\u{1}"))
            .await
            .1
            .unwrap()
            .contains("does not fit a header")
    );
}

#[tokio::test]
async fn max_events_counts_over_reconnects() {
    let two = whole(&format!("{OK}retry: 0\ndata: a\n\ndata: b\n\n"));
    let (address, _server) = serve(vec![two.clone(), two]).await;
    let (printed, refusal) = run(Tail {
        reconnect: true,
        max_events: NonZeroU64::new(3),
        ..tail(format!("http://{address}/"))
    })
    .await;
    assert_eq!(
        printed,
        events([
            ["message", "a", ""],
            ["message", "b", ""],
            ["message", "a", ""]
        ])
    );
    assert_eq!(refusal, None);
}

#[tokio::test]
async fn post_sends_its_body() {
    let (address, server) = serve(vec![whole(&format!("{OK}data: a\n\n"))]).await;
    let body = r#"{"message":"好"}"#;
    let args = Tail {
        post: Some(body.to_owned()),
        ..tail(format!("http://{address}/api"))
    };
    assert_eq!(run(args).await, (events([["message", "a", ""]]), None));
    let request = server.await.unwrap().remove(0);
    assert!(request.starts_with("POST /api HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("\r\ncontent-type: application/json\r\n"),
        "{request}"
    );
    assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
}

#[tokio::test]
async fn ipv6_addresses_work() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        eprintln!("no IPv6 on this machine: nothing to test");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(answer_all(
        listener,
        vec![whole(&format!("{OK}data: a\n\n"))],
    ));
    let printed = run(tail(format!("http://[::1]:{port}/"))).await;
    assert_eq!(printed, (events([["message", "a", ""]]), None));
    assert!(server.await.unwrap()[0].contains(&format!("\r\nhost: [::1]:{port}\r\n")));
}

#[tokio::test]
async fn an_endless_event_is_refused() {
    let endless = vec![OK.as_bytes().to_vec(), vec![b'x'; 17 * 1024 * 1024]];
    let (address, _server) = serve(vec![endless]).await;
    let args = Tail {
        reconnect: true,
        ..tail(format!("http://{address}/"))
    };
    assert!(
        run(args)
            .await
            .1
            .unwrap()
            .contains("larger than 16777216 bytes")
    );
}

//! `pushbench serve`: what it says, where it refuses to listen, how it ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Stdio},
};

use pushbench::client::Connector;
use pushbench_server::contract::{
    ask::{Ask, FeedAsk},
    endpoint::Endpoint,
    factors::Factors,
    transport::Transport,
};
use rustix::process::{Pid, Signal, kill_process};

use super::{finish, pushbench, refusal};

/// A running server and the URL it printed first.
fn serve(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let temp = tempfile::tempdir().unwrap();
    let mut command = pushbench(temp.path(), &[&["serve"], args].concat());
    let mut server = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut url = String::new();
    out.read_line(&mut url).unwrap();
    (server, out, url.trim().to_owned())
}

#[test]
fn says_what_it_offers_and_ends_streams_properly_at_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut server, mut out, url) = serve(&["--listen", "127.0.0.1:0"]);
        let address = url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request =
            format!("GET /sse/feed HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        kill_process(Pid::from_child(&server), signal).unwrap();
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        assert!(body.ends_with(b"0\r\n\r\n"), "the body has its end");
        assert_eq!(server.wait().unwrap().code(), Some(0));
        let mut offers = String::new();
        out.read_to_string(&mut offers).unwrap();
        for offer in [
            "/sse?content=",
            "/fetch-sse",
            "/api/gpt/get",
            "/sse/chat",
            "/ws",
            "Ctrl-C",
        ] {
            assert!(offers.contains(offer), "{offers}");
        }
    }
}

#[test]
fn speaks_tls_by_a_certificate_in_a_file_that_goes_with_it() {
    let (mut server, mut out, url) = serve(&["--listen", "127.0.0.1:0", "--tls"]);
    let address: SocketAddr = url.strip_prefix("https://").unwrap().parse().unwrap();
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let file = Path::new(line.strip_prefix("certificate: ").unwrap().trim());
    let pem = fs::read_to_string(file).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let endpoint = Endpoint {
        certificate: serde_json::from_value(base64.into()).unwrap(),
        ..Endpoint::from(address)
    };
    let connector = Connector::new(Transport::SseH1, Factors::default(), endpoint);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ask = Ask::Feed(FeedAsk::default());
        connector.connect().await.unwrap().ask(&ask).await.unwrap();
    });
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
    assert!(!file.exists(), "{}", file.display());
}

#[test]
fn a_port_in_use_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sentence = refusal(temp.path(), &["serve", "--listen", &address]);
    assert!(
        sentence.contains(&address) && sentence.contains("choose another port"),
        "{sentence}"
    );
}

#[test]
fn what_others_can_reach_needs_a_flag_and_then_a_warning() {
    let temp = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let sentence = refusal(
            temp.path(),
            &["serve", "--listen", "127.0.0.1:0", "--listen", address],
        );
        assert!(
            sentence.contains(address) && sentence.contains("--public"),
            "{sentence}"
        );
    }
    let (mut server, _out, _) = serve(&["--listen", "0.0.0.0:0", "--public"]);
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let mut said = String::new();
    server
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(
        said.starts_with("warning: 0.0.0.0:0 can be reached"),
        "{said}"
    );
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn more_connections_than_open_files_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let sentence = refusal(temp.path(), &["serve", "--max-connections", "4294967295"]);
    assert!(sentence.contains("enough for"), "{sentence}");
}

#[test]
fn a_trial_s_server_wants_its_parent() {
    let temp = tempfile::tempdir().unwrap();
    assert!(refusal(temp.path(), &["serve", "--child"]).contains("for `pushbench run`"));
}

#[test]
fn refuses_an_origin_that_no_browser_sends() {
    let temp = tempfile::tempdir().unwrap();
    for (given, remedy) in [
        ("https://example.org/", "use that"),
        ("https://example.org:443", "`https://example.org`"),
        ("example.org", "https://example.org:8443"),
        ("file:///tmp/page.html", "https://example.org:8443"),
    ] {
        let (code, out, err) = finish(temp.path(), &["serve", "--allow-origin", given]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{given}: {err}");
        assert!(err.contains(remedy), "{given}: {err}");
    }
}

//! Newline-delimited JSON in place of server-sent events: the same stream, told apart another way.

use pushbench::client::{Connector, Ended};
use pushbench_server::{
    config::Config,
    contract::{
        ask::{Ask, ChatAsk},
        factors::{Factors, Framing},
        transport::{Family, Transport},
    },
    control::Command,
    counters::Counter,
};

use super::support::{Client, Heard, Running, chat, feed, start};

fn connectors(server: &Running) -> impl Iterator<Item = Connector> {
    let fetch = Transport::ALL
        .into_iter()
        .filter(|transport| transport.capabilities().family == Family::Fetch);
    let factors = Factors {
        framing: Framing::Ndjson,
        ..Factors::default()
    };
    let endpoint = server.endpoint.clone();
    fetch.map(move |transport| {
        assert_eq!(factors.misfit(transport), None);
        Connector::new(transport, factors.clone(), endpoint.clone())
    })
}

#[tokio::test]
async fn a_turn_and_its_refusals_come_as_lines() {
    let server = start(Config::default()).await;
    for connector in connectors(&server) {
        let mut client = Client::over(&connector).await;
        for tokens in [0, 3, 1_500] {
            client.ask(&Ask::Chat(chat(tokens))).await;
            let (messages, _, cancelled) = client.rest().await;
            assert_eq!((messages.len(), cancelled), (tokens as usize, false));
            let path = client.path();
            assert!(path.ends_with(" 200 application/x-ndjson"), "{path}");
        }
        assert_eq!(client.refusal(&Ask::Chat(chat(9_000))).await, "422");
    }
}

#[tokio::test]
async fn texts_with_line_ends_stay_in_their_line_and_a_cut_stream_is_resumed() {
    let server = start(Config::default()).await;
    for connector in connectors(&server) {
        let mut client = Client::over(&connector).await;
        client.ask(&feed(None)).await;
        let texts = ["\n", "a\r\nb", "\u{2028}", ""].map(str::to_owned);
        let publish = || Command::Publish {
            texts: texts.to_vec(),
        };
        server.command(publish()).await;
        let heard = client.messages(texts.len()).await;
        assert!(heard.iter().map(|(_, text)| text).eq(&texts), "{heard:?}");
        server.command(Command::Cut).await;
        assert_eq!(client.hear().await, Heard::Ended(Ended::Reset));
        server.command(publish()).await;
        let position = client.ledger.position();
        let mut client = Client::over(&connector).await;
        let (after, missing) = client.ask(&feed(position)).await;
        assert_eq!((Some(after), missing), (position, 0));
        assert_eq!(client.messages(texts.len()).await.len(), texts.len());
    }
    assert_eq!(server.count(Counter::Dropped), 0);
}

#[tokio::test]
async fn a_complete_turn_has_nothing_to_resume() {
    let server = start(Config::default()).await;
    for connector in connectors(&server) {
        let mut client = Client::over(&connector).await;
        let ask = ChatAsk {
            resume: true,
            ..chat(3)
        };
        client.ask(&Ask::Chat(ask.clone())).await;
        let (_, last, _) = client.rest().await;
        let again = ChatAsk {
            after: Some(last),
            ..ask
        };
        assert_eq!(client.refusal(&Ask::Chat(again)).await, "204");
    }
}

//! Memory of a server that others wrote: idle connections alone, since it has no feed of ours to stream.

use std::time::Duration;

use pushbench_server::contract::deflate;

use super::{IDLE, Rung, SETTLE, Settings, report};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    outside::Websockets,
};

/// How long it may take to let go of connections that were closed: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Said in the record of every such trial.
const NOTE: &str = "idle connections only: a server that others wrote publishes nothing of ours, so nothing is said \
                    of streaming ones, and no books are kept of messages";

impl Settings {
    /// What the other experiment does with idle streams, at the same counts.
    pub(super) async fn measure_outside(&self, bench: &mut Bench) -> Result<(), Broken> {
        let (mut server, connector) = bench.start_websockets().await?;
        let warm_up = self.warm_up_connections.get();
        let mut passing = Audience::of(bench, connector.clone(), false);
        passing.join(warm_up, |_| false).await;
        hold(bench, &passing, &mut server, warm_up)?;
        drop(passing);
        until_alone(&mut server).await?;

        let mut audience = Audience::of(bench, connector, false);
        let mut rungs = Vec::new();
        for count in self.connections.iter() {
            audience.join(count.get(), |_| false).await;
            // A pause for the server, not a measured time.
            tokio::time::sleep(SETTLE).await;
            hold(bench, &audience, &mut server, count.get())?;
            rungs.push(Rung::read(count, server.pid())?);
        }
        report(bench, &IDLE, &rungs);
        if let Some(path) = audience.crowd().path() {
            bench.setting("compression", compression(path));
        }
        bench.note(NOTE);
        Ok(())
    }
}

/// Its sockets, as the kernel has them, are its account of live streams.
fn hold(
    bench: &mut Bench,
    audience: &Audience,
    server: &mut Websockets,
    count: u32,
) -> Result<(), Broken> {
    let live = server.live_connections()?;
    audience.hold_against(bench, live, count);
    Ok(())
}

async fn until_alone(server: &mut Websockets) -> Result<(), Broken> {
    const LOOK: Duration = Duration::from_millis(5);
    let alone = async {
        while server.live_connections()? > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    let waited = |_| Broken::Waited("the server let go of connections that were closed".into());
    tokio::time::timeout(PATIENCE, alone)
        .await
        .map_err(waited)?
}

/// What was agreed on in the handshake, as the client read it.
fn compression(path: &str) -> String {
    let extension = path.split_once(" with ").map(|(_, extension)| extension);
    match extension {
        None => "off".to_owned(),
        Some(extension) => {
            let agreed = deflate::agreed(extension);
            agreed.map_or_else(|| extension.to_owned(), |agreed| agreed.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_what_the_handshake_says() {
        let path = |level: &str| format!("HTTP/1.1 101 websocket with {level}");
        assert_eq!(compression("HTTP/1.1 101 websocket"), "off");
        let agreed = deflate::extension(12, false);
        assert_eq!(compression(&path(&agreed)), "deflate-12-no-takeover");
        assert_eq!(compression(&path("x-other")), "x-other");
    }
}

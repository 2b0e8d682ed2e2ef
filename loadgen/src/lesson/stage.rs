//! What a lesson needs beside the answer: a server in this process, on loopback, at a port of its own, and
//! files.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, bail};
use pushbench_server::{
    config::Config,
    counters::{Counter, Counters},
    server::Server,
    shared::Shared,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// A server that runs.
pub struct Stage {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped, it ends the server.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Stage {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let config = Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            ..config
        };
        let counters = Counters::private().context("cannot count")?;
        let server = Server::bind(config, counters).await?;
        let address = *server.addresses().first().context("no address")?;
        let shared = server.shared();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async { drop(stopped.await) }));
        Ok(Self {
            address,
            shared,
            stop,
            task,
        })
    }

    /// What it has counted.
    pub fn count(&self, counter: Counter) -> u64 {
        self.shared.meters.counters.read(counter)
    }

    /// Ends it properly.
    pub async fn end(self) {
        drop(self.stop);
        // It was not aborted, and what it panicked of was said.
        let _ = self.task.await;
    }
}

/// Writes a file for the learner. One that says the same may be there, another is not touched.
///
/// # Errors
/// When it is another, or cannot be written.
pub fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    if fs::exists(path).unwrap_or(true) {
        let same = fs::read_to_string(path).is_ok_and(|there| there == text);
        match same {
            true => return Ok(()),
            false => {
                bail!("{shown} is there already: move it away, or name a directory with --out")
            }
        }
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_learners_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write_new(&path, "ours").unwrap();
        write_new(&path, "ours").unwrap();
        assert!(write_new(&path, "new").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
    }
}

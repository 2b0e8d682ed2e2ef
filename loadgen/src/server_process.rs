//! The server under measurement: a process of its own, started from our own binary, driven through a
//! pipe and ended with it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use pushbench_server::{
    contract::{endpoint::Endpoint, factors::Allocator},
    control::{Command, Launch, Ready, Reply, Stats},
    counters::Counters,
    faults::Truth,
    sys,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    time::timeout,
};

use crate::{last_words::last_words_in, outside::Nginx, tethered::Tethered};

/// How long a server may take to start or to answer a command: far above what either needs, so that
/// only a server that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
#[derive(Debug)]
pub struct ServerProcess {
    child: Tethered,
    commands: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
    /// Shared with the child; stays when it is killed.
    counters: Counters,
    pid: u32,
    ready: Ready,
    log: PathBuf,
    /// What its clients connect to instead.
    front: Option<Nginx>,
}

/// The server could not be started, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No process, no files.
    #[error("cannot {attempt}: {source}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended or hung.
    #[error("the server {what}{said}")]
    Silent {
        /// What it did instead of answering.
        what: &'static str,
        /// Its last words.
        said: String,
    },
    /// It refused a command.
    #[error("the server refused {command}: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// Why.
        reason: String,
    },
}

fn attempt(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    move |source| ServerError::Io {
        attempt: attempt.into(),
        source,
    }
}

impl ServerProcess {
    /// Starts `binary serve --child` and waits until it listens. `directory` takes its log.
    ///
    /// # Errors
    /// When it does not come up; its last words are in the error.
    pub async fn start(
        binary: &Path,
        launch: &Launch,
        directory: &Path,
    ) -> Result<Self, ServerError> {
        let counters =
            Counters::create(&launch.counters).map_err(attempt("create the counter file"))?;
        let log = directory.join("server.log");
        let stderr = File::create(&log).map_err(attempt("create the server's log"))?;
        let mut child = tokio::process::Command::new(binary)
            .args(["serve", "--child"])
            .env(Allocator::VARIABLE, launch.factors.allocator.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map(Tethered)
            .map_err(attempt(format!("start {}", binary.display())))?;
        let (Some(mut commands), Some(replies), Some(pid)) =
            (child.0.stdin.take(), child.0.stdout.take(), child.0.id())
        else {
            return Err(ServerError::Silent {
                what: "ended at once",
                said: last_words_in(&log),
            });
        };
        send(&mut commands, launch).await?;
        let mut replies = BufReader::new(replies).lines();
        let ready = receive(&mut replies, &log).await?;
        Ok(Self {
            child,
            commands,
            replies,
            counters,
            pid,
            ready,
            log,
            front: None,
        })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.ready.endpoint
    }

    /// Where its clients connect: to what stands in front of it, if something does.
    pub fn entrance(&self) -> Endpoint {
        match &self.front {
            Some(front) => Endpoint::from(front.address()),
            None => self.ready.endpoint.clone(),
        }
    }

    /// Puts it behind a proxy, which ends with it.
    pub fn put_behind(&mut self, front: Nginx) {
        self.front = Some(front);
    }

    /// The proxy that shares its cores, if there is one.
    pub fn front(&self) -> Option<&Nginx> {
        self.front.as_ref()
    }

    /// Cores it may run on, as it read them back.
    pub fn cores(&self) -> &[usize] {
        &self.ready.cores
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its counters, readable whether it lives or not.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// CPU time it has used, nanoseconds.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_ns(&self) -> Result<u64, ServerError> {
        sys::process_cpu_ns(self.pid).map_err(attempt("read the server's CPU time"))
    }

    /// Has a command followed; the number it answers.
    ///
    /// # Errors
    /// When it is refused, or the server is gone.
    pub async fn command(&mut self, command: Command) -> Result<u64, ServerError> {
        match self.ask(&command).await? {
            Reply::Done(count) => Ok(count),
            Reply::Stats(_) | Reply::Truth(_) => Ok(0),
            Reply::Refused(reason) => Err(ServerError::Refused {
                command: format!("{command:?}"),
                reason,
            }),
        }
    }

    /// Its account of itself; `mark` empties the histograms for the window that begins.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn stats(&mut self, mark: bool) -> Result<Stats, ServerError> {
        let command = if mark { Command::Mark } else { Command::Stats };
        match self.ask(&command).await? {
            Reply::Stats(stats) => Ok(*stats),
            other => Err(ServerError::Refused {
                command: format!("{command:?}"),
                reason: format!("{other:?}"),
            }),
        }
    }

    /// What it did wrong on purpose. To be asked when the measurement is closed.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn disclose(&mut self) -> Result<Truth, ServerError> {
        match self.ask(&Command::Disclose).await? {
            Reply::Truth(truth) => Ok(*truth),
            other => Err(ServerError::Refused {
                command: format!("{:?}", Command::Disclose),
                reason: format!("{other:?}"),
            }),
        }
    }

    /// Waits until no connection is live.
    ///
    /// # Errors
    /// When that takes too long, or the server is gone.
    pub async fn until_alone(&mut self) -> Result<(), ServerError> {
        const LOOK: Duration = Duration::from_millis(5);
        let waited = std::time::Instant::now();
        while self.stats(false).await?.live_connections > 0 {
            if waited.elapsed() > PATIENCE {
                return Err(ServerError::Silent {
                    what: "keeps connections that were closed",
                    said: String::new(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Kills it without a goodbye.
    ///
    /// # Errors
    /// When the system does not let us.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        self.child
            .0
            .kill()
            .await
            .map_err(attempt("kill the server"))
    }

    /// Closes the pipe and waits for a proper end; kills it when it takes too long.
    ///
    /// # Errors
    /// When it does not end properly.
    pub async fn stop(self) -> Result<(), ServerError> {
        let Self {
            mut child,
            commands,
            replies,
            log,
            ..
        } = self;
        drop((commands, replies));
        match timeout(PATIENCE, child.0.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(_)) => Err(ServerError::Silent {
                what: "ended with an error",
                said: last_words_in(&log),
            }),
            Ok(Err(error)) => Err(attempt("wait for the server's end")(error)),
            Err(_) => {
                child
                    .0
                    .kill()
                    .await
                    .map_err(attempt("kill a server that did not end"))?;
                Err(ServerError::Silent {
                    what: "did not end when its pipe was closed",
                    said: last_words_in(&log),
                })
            }
        }
    }

    async fn ask(&mut self, command: &Command) -> Result<Reply, ServerError> {
        send(&mut self.commands, command).await?;
        receive(&mut self.replies, &self.log).await
    }
}

async fn send(pipe: &mut ChildStdin, message: &impl serde::Serialize) -> Result<(), ServerError> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    pipe.write_all(&line)
        .await
        .map_err(attempt("send the server a command"))
}

async fn receive<T: serde::de::DeserializeOwned>(
    replies: &mut Lines<BufReader<ChildStdout>>,
    log: &Path,
) -> Result<T, ServerError> {
    let silent = |what| ServerError::Silent {
        what,
        said: last_words_in(log),
    };
    let line = timeout(PATIENCE, replies.next_line())
        .await
        .map_err(|_| silent("does not answer"))?;
    let line = line
        .map_err(attempt("read the server's answer"))?
        .ok_or_else(|| silent("ended"))?;
    serde_json::from_str(&line)
        .map_err(|error| attempt(format!("understand the server's answer `{line}`"))(error.into()))
}

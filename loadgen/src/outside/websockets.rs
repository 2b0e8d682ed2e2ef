//! The server of the Python package `websockets`, in place of ours: it greets as ours does and publishes nothing.

use std::{
    collections::HashSet,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use procfs::{
    net::TcpState,
    process::{FDTarget, Process},
};
use pushbench_server::{
    affinity,
    contract::{event_id::EventId, factors::Compression, notice::Notice},
    hub::FEED,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdin,
    time::timeout,
};

use super::{OutsideError, cannot, failed};
use crate::tethered::Tethered;

const NAME: &str = "python3";

/// Handed to the interpreter as it is, so that one installed file is enough.
const SCRIPT: &str = include_str!("websockets_server.py");

/// How long it may take to start: a hundred times what it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it ends when this is dropped, since its standard input does.
#[derive(Debug)]
pub struct Websockets {
    child: Tethered,
    /// Held for what its end says.
    _tether: ChildStdin,
    pid: u32,
    said: Said,
    cores: Vec<usize>,
    log: PathBuf,
}

/// Its first line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Said {
    port: u16,
    websockets: String,
    python: String,
}

/// Whether interpreter and package are installed.
pub(super) fn present() -> Result<(), OutsideError> {
    let missing = |found: String| OutsideError::Missing {
        program: "Python 3 with the package websockets",
        level: "server = \"websockets\"".into(),
        found,
        remedy: "install both, as with `python3 -m pip install websockets`, on Debian as the package \
                 python3-websockets, or leave the factor out",
    };
    let import = Command::new(NAME)
        .args(["-c", "import websockets.extensions.permessage_deflate"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match import {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(missing("python3 cannot import it".into())),
        Err(error) => Err(missing(format!("python3: {error}"))),
    }
}

impl Websockets {
    /// Starts it and waits until it listens. `cores` are those to run on, empty leaves the choice to the kernel;
    /// `directory` takes its log.
    ///
    /// # Errors
    /// When it does not come up; its last words are in the error.
    pub async fn start(
        compression: Compression,
        cores: &[usize],
        directory: &Path,
    ) -> Result<Self, OutsideError> {
        let log = directory.join("websockets.log");
        let cannot = |attempt| cannot(NAME, attempt, log.clone());
        let stderr = File::create(&log).map_err(cannot("create its log"))?;
        let child = tokio::process::Command::new(NAME)
            .args(["-c", SCRIPT, &task(compression)])
            // Where nothing can be imported by mistake.
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn();
        let mut child = Tethered(child.map_err(cannot("start it"))?);
        let pid = child.pid().map_err(cannot("start it"))?;
        let cores = affinity::pin_other(pid, cores).map_err(cannot("keep it on its cores"))?;
        let (Some(tether), Some(stdout)) = (child.0.stdin.take(), child.0.stdout.take()) else {
            return Err(failed(NAME, "ended at once", &log));
        };
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.map_err(|_| failed(NAME, "does not start", &log))?;
        let line = line
            .map_err(cannot("read what it says"))?
            .ok_or_else(|| failed(NAME, "ended", &log))?;
        let said = serde_json::from_str(&line)
            .map_err(|error| failed(NAME, format!("said `{line}`: {error}"), &log))?;
        Ok(Self {
            child,
            _tether: tether,
            pid,
            said,
            cores,
            log,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.said.port))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it is, for the record.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        let Said {
            websockets, python, ..
        } = &self.said;
        [
            ("server", "websockets".to_owned()),
            (
                "server_version",
                format!("websockets {websockets}, Python {python}"),
            ),
            ("server_cores", format!("{:?}", self.cores)),
        ]
    }

    /// Connections that it has open, as the kernel sees its sockets: it counts none itself.
    ///
    /// # Errors
    /// When it has ended.
    pub fn live_connections(&mut self) -> Result<u64, OutsideError> {
        if let Ok(Some(status)) = self.child.0.try_wait() {
            return Err(failed(NAME, format!("ended with {status}"), &self.log));
        }
        established(self.pid, self.said.port).map_err(|error| {
            failed(
                NAME,
                format!("has sockets that cannot be counted: {error}"),
                &self.log,
            )
        })
    }
}

/// What the script is to do: permessage-deflate as the arm asks for, or none; and the greeting, of a feed that
/// nothing was ever published on.
fn task(compression: Compression) -> String {
    let deflate = match compression {
        Compression::Deflate {
            window_bits,
            takeover,
        } => Some(serde_json::json!({ "window_bits": window_bits, "takeover": takeover })),
        Compression::Off | Compression::Coding(..) => None,
    };
    let hello = Notice::Hello {
        after: EventId {
            epoch: 1,
            stream: FEED,
            seq: 0,
        },
        missing: 0,
        previous: None,
        retry_ms: 0,
    };
    serde_json::json!({ "deflate": deflate, "hello": hello.encode() }).to_string()
}

/// Established connections on this port that the process holds a descriptor of.
fn established(pid: u32, port: u16) -> Result<u64, procfs::ProcError> {
    let pid = i32::try_from(pid).map_err(|error| io::Error::other(error.to_string()))?;
    let process = Process::new(pid)?;
    let mut sockets = HashSet::new();
    for descriptor in process.fd()? {
        // One may be closed between the listing and the reading; it is no connection any more.
        if let Ok(FDTarget::Socket(inode)) = descriptor.map(|descriptor| descriptor.target) {
            sockets.insert(inode);
        }
    }
    let all = process.tcp()?;
    let live = all.iter().filter(|entry| {
        entry.state == TcpState::Established
            && entry.local_address.port() == port
            && sockets.contains(&entry.inode)
    });
    // The kernel's table is read piece by piece, and one whose neighbours come and go meanwhile may be listed twice.
    let live: HashSet<u64> = live.map(|entry| entry.inode).collect();
    Ok(live.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_those_of_the_process_on_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let own = std::process::id();
        assert_eq!(established(own, address.port()).unwrap(), 0, "it listens");
        let mut open: Vec<_> = (0..3)
            .map(|_| {
                (
                    TcpStream::connect(address).unwrap(),
                    listener.accept().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            established(own, address.port()).unwrap(),
            3,
            "not both ends"
        );
        open.pop();
        assert_eq!(established(own, address.port()).unwrap(), 2);
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(established(other.id(), address.port()).unwrap(), 0);
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn the_script_is_told_what_the_arm_asks_for() {
        let told = |level: &str| -> serde_json::Value {
            serde_json::from_str(&task(level.parse().unwrap())).unwrap()
        };
        assert_eq!(told("off")["deflate"], serde_json::Value::Null);
        let deflate = &told("deflate-12-no-takeover")["deflate"];
        assert_eq!(deflate["window_bits"], 12);
        assert_eq!(deflate["takeover"], false);
        let hello = told("off")["hello"].as_str().unwrap().to_owned();
        assert!(matches!(Notice::decode(&hello), Ok(Notice::Hello { .. })));
    }
}

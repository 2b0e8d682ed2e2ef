//! Other programs that crowd the generator's core: a process of its own, which draws when they come.
//!
//! The parent writes an [`Order`], a JSON line, and closes the pipe when they are to leave; the child
//! answers with a JSON line of what it did. It leaves by itself when the parent is gone.

use std::{
    io::{self, BufRead, Read, Write},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use pushbench_server::affinity;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::bench::Broken;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where; nowhere in particular if empty.
    pub cores: Vec<usize>,
    /// How many programs want the core, at most [`MOST`].
    pub programs: u32,
    /// They come at a moment from the first to the second of these, milliseconds from now.
    pub between_ms: [u64; 2],
}

/// What it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Came {
    /// When the programs came, milliseconds from the order.
    pub after_ms: u64,
}

/// Far more than crowd a core.
pub const MOST: u32 = 32;

/// They stop by themselves, whatever becomes of who ordered them: several times a trial with its search.
const LONGEST: Duration = Duration::from_secs(60);

/// How long the child may take to say what it did: it shares a core with nobody then.
const PATIENCE: Duration = Duration::from_secs(10);

/// The child's side, on its standard input and output.
///
/// # Errors
/// An order that cannot be followed, or a core that is not allowed.
pub fn serve() -> anyhow::Result<()> {
    /// Far more than an order takes.
    const LONGEST_LINE: u64 = 1 << 12;
    let mut input = io::BufReader::new(io::stdin());
    let mut line = String::new();
    input.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line).map_err(|error| {
        anyhow::anyhow!("calibrate --crowd is for `pushbench calibrate`: {error}")
    })?;
    let came = come(&order, rand::rng().random())?;
    // Until the parent closes its end, or is gone.
    io::copy(&mut input, &mut io::sink())?;
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, &came)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// Starts the programs, which are threads: to the kernel's scheduler it is the same. `drawn` is a share of
/// the time between the two moments.
fn come(order: &Order, drawn: f64) -> io::Result<Came> {
    let [from, to] = order.between_ms;
    let longest_ms = LONGEST.as_millis() as u64;
    if !(1..=MOST).contains(&order.programs) || from > to || to > longest_ms {
        return Err(io::Error::other("the order is for nobody, or for too long"));
    }
    if !order.cores.is_empty() {
        affinity::pin(&order.cores)?;
    }
    let after_ms = from + ((to - from) as f64 * drawn) as u64;
    let comes = Instant::now() + Duration::from_millis(after_ms);
    for _ in 0..order.programs {
        // It is pinned as the thread that starts it.
        thread::spawn(move || {
            thread::sleep(comes.saturating_duration_since(Instant::now()));
            while comes.elapsed() < LONGEST {
                std::hint::spin_loop();
            }
        });
    }
    Ok(Came { after_ms })
}

/// The child; killed when dropped.
#[derive(Debug)]
pub struct Crowd {
    child: Child,
    input: ChildStdin,
}

impl Crowd {
    /// Starts `binary` and tells it what to do.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn order(binary: &Path, order: &Order) -> Result<Self, Broken> {
        let failed = || "have the generator's core crowded by another process";
        let mut child = Command::new(binary)
            .args(["calibrate", "--crowd"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Broken::io(failed()))?;
        let input = child.stdin.take();
        let mut input = input.ok_or_else(|| Broken::Waited("a child had its pipes".into()))?;
        let line = serde_json::to_string(order).unwrap_or_default() + "\n";
        let sent = input.write_all(line.as_bytes()).await;
        sent.map_err(Broken::io(failed()))?;
        Ok(Self { child, input })
    }

    /// Has it leave, and say what it did; one that did nothing has broken the check.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn leave(self) -> Result<Came, Broken> {
        let Self { mut child, input } = self;
        drop(input);
        let told = async {
            let mut told = String::new();
            if let Some(output) = &mut child.stdout {
                output.read_to_string(&mut told).await?;
            }
            child.wait().await?;
            serde_json::from_str(&told).map_err(io::Error::from)
        };
        let told = timeout(PATIENCE, told).await;
        let told = told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        told.map_err(Broken::io("hear when the generator's core was crowded"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crowd_comes_when_it_drew_and_refuses_what_it_cannot_follow() {
        let order = |programs, between_ms| Order {
            cores: Vec::new(),
            programs,
            between_ms,
        };
        // Not to come before the test is over.
        let came = |drawn| come(&order(1, [30_000, 40_000]), drawn).unwrap();
        assert_eq!(came(0.0).after_ms, 30_000);
        assert_eq!(came(0.5).after_ms, 35_000);
        for bad in [
            order(0, [0, 1]),
            order(MOST + 1, [0, 1]),
            order(1, [2, 1]),
            order(1, [0, 60_001]),
        ] {
            assert!(come(&bad, 0.5).is_err(), "{bad:?}");
        }
    }
}

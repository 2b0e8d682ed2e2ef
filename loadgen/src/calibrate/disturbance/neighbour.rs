//! Another process keeps a core busy that a trial needs, and what the rules of validity say of the trial.

use std::{
    io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use pushbench_server::{affinity, contract::transport::Transport};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    arm::{Arm, Build, Factors},
    bench::Broken,
    calibrate::Lab,
    experiment::{Experiment, throughput},
    quantity::seconds,
    trial::{self, Trial},
};

/// What the neighbour may choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// It chooses one of them.
    pub cores: Vec<usize>,
    /// From now until the measurement begins, milliseconds.
    pub after_ms: u64,
    /// Length of the measurement, milliseconds; at most [`LONGEST_MS`].
    pub window_ms: u64,
}

/// A neighbour leaves by itself, whatever becomes of who ordered it.
pub const LONGEST_MS: u64 = 10_000;

/// What it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disturbed {
    /// Where.
    pub core: usize,
    /// From the order, milliseconds.
    pub from_ms: u64,
    /// For so long, milliseconds.
    pub for_ms: u64,
}

/// Keeps one of the cores busy for 40 to 60 % of the window, from the second or third tenth of it on: not
/// before it opens, where the warm-up would wait until it is over.
///
/// # Errors
/// An order that cannot be followed, or a core that is not allowed.
pub fn disturb(order: &Order, random: &mut impl Rng) -> io::Result<Disturbed> {
    let &Order {
        ref cores,
        after_ms,
        window_ms,
    } = order;
    if cores.is_empty() || after_ms > LONGEST_MS || window_ms > LONGEST_MS {
        return Err(io::Error::other(
            "the order names no core, or lasts for too long",
        ));
    }
    let started = Instant::now();
    let share = |range, random: &mut _| -> u64 {
        let share: f64 = RngExt::random_range(random, range);
        (window_ms as f64 * share) as u64
    };
    let disturbed = Disturbed {
        core: cores[random.random_range(0..cores.len())],
        from_ms: after_ms + share(0.1..0.3, random),
        for_ms: share(0.4..0.6, random),
    };
    affinity::pin(&[disturbed.core])?;
    std::thread::sleep(Duration::from_millis(disturbed.from_ms));
    let until = Duration::from_millis(disturbed.from_ms + disturbed.for_ms);
    while started.elapsed() < until {
        std::hint::spin_loop();
    }
    Ok(disturbed)
}

/// A trial, and what the rules said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried {
    /// Whether the neighbour was there.
    pub disturbed: bool,
    /// Whether the trial is invalid.
    pub flagged: bool,
}

const WARM_UP_S: f64 = 0.2;
const WINDOW_S: f64 = 1.2;

/// From a trial's start until its feed begins, with room for a warm-up that takes a few slices more: a
/// server is started and a hundred subscribers join. A neighbour that comes earlier is waited for, as
/// part of the warm-up.
const JOINING_MS: u64 = 400;

/// Runs trials, some of them with the neighbour.
pub(super) async fn measure(lab: &Lab) -> Result<Vec<Tried>, Broken> {
    let count = lab.effort.pick(10, 60);
    let mut tried = Vec::new();
    for number in 1..=count {
        // Two of five are left alone: four even when quick, since three that are all invalid by chance would
        // not yet show that too many are.
        let disturbed = !matches!(number % 5, 0 | 2);
        let neighbour = match disturbed {
            true => Some(Neighbour::order(&lab.site.server_binary, &order(lab)).await?),
            false => None,
        };
        let record = trial::run(&trial(number), &lab.site).await?;
        if let Some(neighbour) = neighbour {
            neighbour.leave().await?;
        }
        tried.push(Tried {
            disturbed,
            flagged: !record.invalid.is_empty(),
        });
    }
    Ok(tried)
}

fn order(lab: &Lab) -> Order {
    let cores = [&lab.site.server_cores[..], &lab.site.generator_cores].concat();
    Order {
        // Where nobody is pinned there is one core, and everybody is on it.
        cores: match cores.is_empty() {
            true => affinity::cores().unwrap_or_default(),
            false => cores,
        },
        after_ms: JOINING_MS + (WARM_UP_S * 1e3) as u64,
        window_ms: (WINDOW_S * 1e3) as u64,
    }
}

fn trial(number: u32) -> Trial {
    Trial {
        number,
        experiment: Experiment::Throughput(throughput::Settings {
            warm_up_s: seconds(WARM_UP_S),
            // On a machine that never settles the check ends in time all the same, and says so.
            warm_up_max_s: seconds(1.0),
            window_s: seconds(WINDOW_S),
            ..Default::default()
        }),
        arm: Arm {
            label: "sse-h1".to_owned(),
            transport: Transport::SseH1,
            control_of: None,
            factors: Factors::default(),
            build: Build::Own,
        },
        round: number,
        seed: u64::from(number),
        trace: None,
    }
}

/// The process; killed when dropped.
struct Neighbour(Child);

impl Neighbour {
    async fn order(binary: &Path, order: &Order) -> Result<Self, Broken> {
        let failed = || "start the noisy neighbour";
        // It is pinned like this process until it pins itself.
        let mut child = Command::new(binary)
            .arg("neighbour")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Broken::io(failed()))?;
        let line = serde_json::to_string(order).unwrap_or_default() + "\n";
        if let Some(mut input) = child.stdin.take() {
            let sent = input.write_all(line.as_bytes()).await;
            sent.map_err(Broken::io(failed()))?;
        }
        Ok(Self(child))
    }

    /// Waits for what it did; one that did nothing has broken the check.
    async fn leave(mut self) -> Result<Disturbed, Broken> {
        let told = async {
            let mut told = String::new();
            if let Some(output) = &mut self.0.stdout {
                output.read_to_string(&mut told).await?;
            }
            self.0.wait().await?;
            serde_json::from_str(&told).map_err(io::Error::from)
        };
        let told = timeout(Duration::from_millis(2 * LONGEST_MS), told).await;
        let told = told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        told.map_err(Broken::io("hear what the noisy neighbour did"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_stays_within_its_order_and_refuses_what_it_cannot_follow() {
        let cores = affinity::cores().unwrap();
        let order = |cores: &[usize], window_ms| Order {
            cores: cores.to_vec(),
            after_ms: 1,
            window_ms,
        };
        std::thread::spawn(move || {
            let did = disturb(&order(&cores, 20), &mut rand::rng()).unwrap();
            assert!(cores.contains(&did.core));
            assert!(
                (3..=7).contains(&did.from_ms) && (8..12).contains(&did.for_ms),
                "{did:?}"
            );
            assert!(disturb(&order(&[], 20), &mut rand::rng()).is_err());
            assert!(disturb(&order(&cores, LONGEST_MS + 1), &mut rand::rng()).is_err());
        })
        .join()
        .unwrap();
    }
}

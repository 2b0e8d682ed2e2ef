//! Known samples, drawn by another process from a seed that the system gives it: what they are is told
//! with the samples, what their quantiles are only when asked afterwards.
//!
//! The parent writes an [`Order`], a JSON line. The child answers with the samples of each shape in
//! [`Shape::ALL`], trial by trial, as little-endian `u64` nanoseconds; then it waits for a second line, a
//! JSON list of quantiles, and answers with a JSON line of their exact values for each shape.

use std::{
    io::{self, BufRead, Read, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::bench::Broken;

/// A distribution of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As waiting times mostly are: a long tail to one side.
    Lognormal,
    /// Most are fast, and a few wait for something a hundred times as long.
    Bimodal,
}

impl Shape {
    /// In the order of the answer.
    pub const ALL: [Self; 2] = [Self::Lognormal, Self::Bimodal];

    /// In rows and legends.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lognormal => "lognormal",
            Self::Bimodal => "bimodal",
        }
    }

    /// One time, nanoseconds.
    pub fn draw(self, random: &mut impl Rng) -> u64 {
        let (median_ns, sigma) = match self {
            Self::Lognormal => (100_000.0, 1.0),
            // One in twenty, so that no quantile that is checked falls between the two humps.
            Self::Bimodal if random.random_range(0..20) == 0 => (10_000_000.0, 0.2),
            Self::Bimodal => (100_000.0, 0.2),
        };
        (median_ns * f64::exp(sigma * normal(random))) as u64
    }
}

/// A standard normal number (Box and Muller 1958, Annals of Mathematical Statistics 29:610).
pub(super) fn normal(random: &mut impl Rng) -> f64 {
    let (one, other): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

/// How much is to be drawn of each shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Trials.
    pub trials: u32,
    /// Samples of each.
    pub samples: u32,
}

/// The most that is drawn: what fits into a gigabyte of memory.
const MOST_SAMPLES: u64 = 64_000_000;

/// How long one answer of the child may take: some ten times what it takes to draw and sort the most that
/// is ordered on two busy cores.
const PATIENCE: Duration = Duration::from_secs(30);

/// The exact value at a quantile: the smallest that at least this share of the samples do not exceed.
///
/// `sorted` is not empty, and in rising order.
pub fn exact(sorted: &[u64], quantile: f64) -> u64 {
    // 0.999 × 1,000 is a little more than 999.
    let rank = (quantile * sorted.len() as f64 - 1e-6).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The child's side, on its standard input and output.
///
/// # Errors
/// When the parent says something else than it should, or is gone.
pub fn serve() -> anyhow::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let order: Order = line(&mut input)?;
    let count = u64::from(order.trials) * u64::from(order.samples);
    anyhow::ensure!(
        (1..=MOST_SAMPLES).contains(&count),
        "cannot draw {count} samples"
    );
    let mut random = rand::rng();
    let mut drawn = Vec::new();
    for shape in Shape::ALL {
        let samples: Vec<u64> = (0..count).map(|_| shape.draw(&mut random)).collect();
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        output.write_all(&bytes)?;
        drawn.push(samples);
    }
    output.flush()?;
    let quantiles: Vec<f64> = line(&mut input)?;
    let told: Vec<Vec<u64>> = drawn
        .iter_mut()
        .map(|samples| {
            samples.sort_unstable();
            quantiles
                .iter()
                .map(|quantile| exact(samples, *quantile))
                .collect()
        })
        .collect();
    serde_json::to_writer(&mut output, &told)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

fn line<T: for<'a> Deserialize<'a>>(input: &mut impl BufRead) -> anyhow::Result<T> {
    /// Far more than an order or a list of quantiles takes.
    const LONGEST: u64 = 1 << 16;
    let mut line = String::new();
    input.take(LONGEST).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(|error| {
        anyhow::anyhow!("calibrate --injector is for `pushbench calibrate`: {error}")
    })
}

/// A child that has drawn samples, and has not told more of them yet. Ends with it.
#[derive(Debug)]
pub struct Injector {
    /// Killed when dropped; waited for at the end.
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Samples by shape, as in [`Shape::ALL`], and trial.
pub type Samples = Vec<Vec<Vec<u64>>>;

impl Injector {
    /// Starts `binary` and takes the samples.
    ///
    /// # Errors
    /// When it does not start or does not answer as it should.
    pub async fn draw(binary: &Path, order: Order) -> Result<(Self, Samples), Broken> {
        let failed = || "have samples drawn by another process";
        let mut child = Command::new(binary)
            .args(["calibrate", "--injector"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Broken::io(failed()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) =
            pipes.ok_or_else(|| Broken::Waited("a child had its pipes".into()))?;
        let mut injector = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        let said = within(PATIENCE, injector.say(&order)).await;
        said.map_err(Broken::io(failed()))?;
        let mut samples = Vec::new();
        for _ in Shape::ALL {
            let mut trials = Vec::new();
            for _ in 0..order.trials {
                let trial = within(PATIENCE, injector.samples(order.samples as usize)).await;
                trials.push(trial.map_err(Broken::io(failed()))?);
            }
            samples.push(trials);
        }
        Ok((injector, samples))
    }

    /// The exact values at these quantiles, by shape; the measurement is closed.
    ///
    /// # Errors
    /// When the child is gone.
    pub async fn disclose(mut self, quantiles: &[f64]) -> Result<Vec<Vec<u64>>, Broken> {
        let told = async {
            self.say(&quantiles).await?;
            let mut line = String::new();
            self.output.read_line(&mut line).await?;
            self.child.wait().await?;
            Ok(serde_json::from_str(&line)?)
        };
        within(PATIENCE, told).await.map_err(Broken::io(
            "have the truth disclosed by the process that drew it",
        ))
    }

    async fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.input.write_all(&line).await
    }

    async fn samples(&mut self, count: usize) -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; 8 * count];
        self.output.read_exact(&mut bytes).await?;
        let (samples, _) = bytes.as_chunks::<8>();
        Ok(samples
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect())
    }
}

/// A child that is stopped, or hangs, does not answer, and does not end.
async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let answer = timeout(patience, answer).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[tokio::test]
    async fn a_child_that_does_not_answer_is_not_waited_for_for_ever() {
        let silent = within(Duration::ZERO, std::future::pending::<io::Result<()>>()).await;
        assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(within(PATIENCE, async { Ok(7) }).await.unwrap(), 7);
    }

    #[test]
    fn an_exact_quantile_is_a_sample_that_so_many_do_not_exceed() {
        let sorted: Vec<u64> = (1..=1_000).collect();
        for (quantile, value) in [
            (0.5, 500),
            (0.9, 900),
            (0.999, 999),
            (0.9999, 1_000),
            (0.0, 1),
        ] {
            assert_eq!(exact(&sorted, quantile), value, "{quantile}");
        }
    }

    #[test]
    fn the_shapes_are_what_their_names_say() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut sorted = |shape: Shape| {
            let mut samples: Vec<u64> = (0..100_000).map(|_| shape.draw(&mut random)).collect();
            samples.sort_unstable();
            samples
        };
        let close = |value: u64, told: f64| (value as f64 / told - 1.0).abs() < 0.05;
        let lognormal = sorted(Shape::Lognormal);
        assert!(close(exact(&lognormal, 0.5), 100_000.0));
        // One standard deviation above the median: e times as much.
        assert!(close(exact(&lognormal, 0.841_34), 271_828.0));
        let bimodal = sorted(Shape::Bimodal);
        assert!(
            close(exact(&bimodal, 0.475), 100_000.0) && close(exact(&bimodal, 0.975), 10_000_000.0)
        );
    }
}

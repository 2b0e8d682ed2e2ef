//! A screening run made up from known truth: Plackett and Burman's 12 runs of 11 factors folded over,
//! on two transports, three times each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pushbench_reports::record::{
    Arm, Better, Chart, Experiment, FORMAT, Facts, Manifest, MarginKind, Metric, Plan, Record,
    Screen, ScreenRow, ScreenedFactor,
};
use pushbench_reports::statistics::{Half, Layout, Place};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};

pub const SSE: &str = "sse-h1";
pub const WS: &str = "ws-h1";
pub const REPLICATES: u32 = 3;

pub const CPU: &str = "server_cpu_us_per_message";
pub const MEMORY: &str = "user_bytes_per_connection";
pub const FIRST: &str = "ttft_ms_p50";
pub const TOKEN: &str = "token_latency_ms_p50";
pub const BYTES: &str = "wire_bytes_per_message";

/// Name, low, high, and the transport on which alone it exists.
const FACTORS: [(&str, &str, &str, Option<&str>); 11] = [
    ("tls", "off", "on", None),
    ("nodelay", "on", "off", None),
    ("ws_read_buffer", "4 KiB", "128 KiB", Some(WS)),
    ("http_buffer", "8 KiB", "400 KiB", Some(SSE)),
    ("flush", "ready", "each", None),
    ("compression", "off", "gzip-6 or deflate-15", None),
    ("envelope", "minimal", "openai", None),
    ("payload_bytes", "16", "256", None),
    ("allocator", "glibc", "jemalloc", None),
    ("resume", "off", "on", None),
    ("congestion_control", "bbr", "cubic", None),
];

/// What a factor does to a metric on either transport: a factor's logarithm, or milliseconds.
fn truth(metric: &str, factor: &str) -> [f64; 2] {
    let log = |on: [f64; 2]| on.map(f64::ln);
    match (metric, factor) {
        (CPU, "tls") => log([1.15, 1.5]),
        (CPU, "ws_read_buffer") => log([1.0, 3.1]),
        (CPU, "compression") => log([1.4, 1.4]),
        (CPU, "payload_bytes") => log([1.12, 1.12]),
        (CPU, "transport") => log([1.0, 1.05]),
        (MEMORY, "tls") => log([1.7, 1.9]),
        (MEMORY, "ws_read_buffer") => log([1.0, 40.0]),
        (MEMORY, "http_buffer") => log([2.5, 1.0]),
        (MEMORY, "transport") => log([1.0, 0.6]),
        (BYTES, "tls") => log([1.22, 1.22]),
        (BYTES, "compression") => log([0.6, 0.6]),
        (BYTES, "envelope") => log([2.6, 2.6]),
        (BYTES, "payload_bytes") => log([4.0, 4.0]),
        (BYTES, "transport") => log([1.0, 0.75]),
        (FIRST, "tls") => [4.0, 4.0],
        (FIRST, "nodelay") => [38.0, 44.0],
        (FIRST, "transport") => [0.0, 12.0],
        (TOKEN, "nodelay") => [0.08, 0.08],
        _ => [0.0, 0.0],
    }
}

/// At the middle of all factors.
fn center(metric: &str) -> f64 {
    match metric {
        CPU => 6.0,
        MEMORY => 20_000.0,
        BYTES => 140.0,
        FIRST => 60.0,
        _ => 0.4,
    }
}

/// Of one trial, and of both trials of a pair alike.
fn noise(metric: &str) -> [f64; 2] {
    match metric {
        CPU => [0.06, 0.05],
        MEMORY => [0.01, 0.005],
        BYTES => [0.0, 0.0],
        FIRST => [3.0, 2.0],
        _ => [0.04, 0.03],
    }
}

/// −1 and +1, row by row, all of it folded over, so that main effects are clear of two-factor
/// interactions.
pub fn design() -> Vec<Vec<i8>> {
    const FIRST_ROW: [i8; 11] = [1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1];
    let cyclic = (0..11).map(|shift| (0..11).map(|at| FIRST_ROW[(at + shift) % 11]).collect());
    let mut rows: Vec<Vec<i8>> = cyclic.collect();
    rows.push(vec![-1; 11]);
    let folded = rows
        .clone()
        .into_iter()
        .map(|row| row.into_iter().map(|level| -level).collect());
    rows.extend(folded.collect::<Vec<_>>());
    rows
}

/// The same for the statistics alone: nested factors where the names above are.
pub fn layout() -> Layout {
    let half = |only: Option<&str>| {
        only.map(|only| {
            if only == SSE {
                Half::First
            } else {
                Half::Second
            }
        })
    };
    Layout {
        levels: design(),
        only: FACTORS.iter().map(|(.., only)| half(*only)).collect(),
    }
}

/// Every place of it, in the order of the trials.
pub fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for block in 1..=REPLICATES {
        for row in 0..design().len() {
            for half in [Half::First, Half::Second] {
                places.push(Place { row, block, half });
            }
        }
    }
    places
}

/// Standard normal numbers from a seed.
pub struct Noise(ChaCha8Rng, Normal);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed), Normal::standard())
    }

    pub fn draw(&mut self) -> f64 {
        self.1.inverse_cdf(self.0.random_range(1e-9..1.0))
    }
}

fn facts(pairs: &[(&str, &str)]) -> Facts {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn label(transport: &str, row: usize) -> String {
    format!("{transport}-{:02}", row + 1)
}

pub fn manifest() -> Manifest {
    let rows = design();
    let arm = |transport: &str, row: usize| {
        let levels = FACTORS.iter().zip(&rows[row]);
        let levels = levels.map(|((name, low, high, _), level)| {
            (
                (*name).to_owned(),
                (*if *level > 0 { high } else { low }).to_owned(),
            )
        });
        Arm {
            label: label(transport, row),
            transport: transport.to_owned(),
            control_of: None,
            held_against: None,
            factors: levels.collect(),
        }
    };
    let pairs = (0..rows.len()).flat_map(|row| [arm(SSE, row), arm(WS, row)]);
    let arms: Vec<Arm> = pairs.collect();
    Manifest {
        format: FORMAT,
        started_at: "2026-03-01T10:00:00Z".into(),
        environment: facts(&[("pushbench", "0.1.0"), ("kernel", "Linux 6.12")]),
        calibration: None,
        plan: Plan {
            name: "screen".into(),
            seed: 7,
            question: "What matters more than the transport?".into(),
            experiments: vec![experiment(&arms, &rows)],
            arms,
            claims: Vec::new(),
            looks: Vec::new(),
            notes: Vec::new(),
        },
    }
}

fn experiment(arms: &[Arm], rows: &[Vec<i8>]) -> Experiment {
    use MarginKind::{Absolute, Relative};
    let metric = |name: &str, title: &str, unit: &str, margin, margin_kind, primary| Metric {
        name: name.into(),
        title: title.into(),
        unit: unit.into(),
        better: Better::Lower,
        margin,
        margin_kind,
        margin_reason: "made up".into(),
        primary,
        ms_per_unit: (unit == "ms").then_some(1.0),
        client_messages: 0,
    };
    let metrics = vec![
        metric(CPU, "server CPU per message", "µs", 0.1, Relative, true),
        metric(
            MEMORY,
            "user memory per connection",
            "bytes",
            0.05,
            Relative,
            false,
        ),
        metric(
            FIRST,
            "time to first token p50",
            "ms",
            10.0,
            Absolute,
            false,
        ),
        metric(TOKEN, "token latency p50", "ms", 1.0, Absolute, false),
        metric(
            BYTES,
            "bytes on the wire per message",
            "bytes",
            0.05,
            Relative,
            false,
        ),
    ];
    let chart = |metric: &Metric| Chart::Tornado {
        file: format!("screen-{}", metric.name.replace('_', "-")),
        title: format!("What moves {}", metric.title),
        subtitle:
            "24 rows of a folded-over Plackett–Burman design on both transports, three times each"
                .into(),
        caption: "The longer the bar, the more it matters.".into(),
        metric: metric.name.clone(),
    };
    let factor = |(name, low, high, only): &(&str, &str, &str, Option<&str>)| ScreenedFactor {
        name: (*name).into(),
        low: (*low).into(),
        high: (*high).into(),
        only: only.map(Into::into),
    };
    let row = |(row, levels): (usize, &Vec<i8>)| ScreenRow {
        arms: [label(SSE, row), label(WS, row)],
        levels: levels.clone(),
    };
    Experiment {
        name: "screen".into(),
        title: "Screening".into(),
        question: "What matters more than the transport?".into(),
        rounds: REPLICATES,
        baseline: label(SSE, 0),
        arms: arms.iter().map(|arm| arm.label.clone()).collect(),
        settings: facts(&[("subscribers", "100")]),
        charts: metrics.iter().map(chart).collect(),
        metrics,
        screen: Some(Screen {
            transports: [SSE.into(), WS.into()],
            factors: FACTORS.iter().map(factor).collect(),
            rows: rows.iter().enumerate().map(row).collect(),
        }),
    }
}

/// Every trial, in plan order.
pub fn records(manifest: &Manifest) -> Vec<Record> {
    let mut noise = Noise::new(manifest.plan.seed);
    let experiment = &manifest.plan.experiments[0];
    let screen = experiment.screen.as_ref().unwrap();
    let mut records = Vec::new();
    for round in 1..=REPLICATES {
        for row in &screen.rows {
            let shared: Vec<f64> = experiment.metrics.iter().map(|_| noise.draw()).collect();
            for side in 0..2 {
                let figures = experiment
                    .metrics
                    .iter()
                    .zip(&shared)
                    .map(|(metric, shared)| {
                        let value =
                            figure(metric, &row.levels, side, [noise.draw(), *shared], round);
                        (metric.name.clone(), Some(value))
                    });
                let metrics = figures.collect();
                records.push(record(
                    records.len() as u32 + 1,
                    &row.arms[side],
                    round,
                    metrics,
                ));
            }
        }
    }
    records
}

fn figure(metric: &Metric, levels: &[i8], side: usize, drawn: [f64; 2], round: u32) -> f64 {
    let name = metric.name.as_str();
    let mut sum = 0.0;
    for ((factor, ..), level) in FACTORS.iter().zip(levels) {
        sum += truth(name, factor)[side] * f64::from(*level) / 2.0;
    }
    sum += truth(name, "transport")[side];
    let [own, shared] = noise(name);
    // A day that gets slower: the blocks take it out.
    let block = f64::from(round) * own;
    sum += own * drawn[0] + shared * drawn[1] + block;
    match metric.margin_kind {
        MarginKind::Relative => center(name) * sum.exp(),
        MarginKind::Absolute => center(name) + sum,
    }
}

fn record(trial: u32, arm: &str, round: u32, metrics: BTreeMap<String, Option<f64>>) -> Record {
    Record {
        format: FORMAT,
        trial,
        experiment: "screen".into(),
        arm: arm.into(),
        round,
        attempt: 1,
        started_at: "2026-03-01T10:00:00Z".into(),
        duration_ms: 3_600,
        settings: facts(&[("transport", &arm[..arm.len() - 3]), ("nodelay", "on")]),
        metrics,
        points: BTreeMap::new(),
        counters: BTreeMap::new(),
        books: Vec::new(),
        histograms: BTreeMap::new(),
        invalid: Vec::new(),
        notes: Vec::new(),
    }
}

/// A run's directory.
pub fn write(dir: &Path, manifest: &Manifest, records: &[Record]) {
    fs::create_dir_all(dir.join("records")).unwrap();
    let json = serde_json::to_string_pretty(manifest).unwrap();
    fs::write(dir.join("run.json"), json).unwrap();
    for record in records {
        let json = serde_json::to_string_pretty(record).unwrap();
        let file = format!("{:04}-screen.json", record.trial);
        fs::write(dir.join("records").join(file), json).unwrap();
    }
}

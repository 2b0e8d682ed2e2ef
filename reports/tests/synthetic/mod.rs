//! A run's directory made up from figures like those of a real one: two arms and the control, every
//! chart, histograms as HdrHistogram interval logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use pushbench_reports::effect::Verdict;
use pushbench_reports::record::{
    Arm, Better, Books, Chart, Claim, Evidence, Experiment, FORMAT, Facts, Manifest, MarginKind,
    Metric, Plan, Record,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

pub const BASELINE: &str = "sse-h1";
pub const ARM: &str = "ws-h1";
pub const CONTROL: &str = "sse-h1-again";

/// Writes `manifest` and `records`, and a histogram for each that a record names.
pub fn write(dir: &Path, manifest: &Manifest, records: &[Record]) {
    fs::create_dir_all(dir.join("records")).unwrap();
    fs::create_dir_all(dir.join("histograms")).unwrap();
    let json = serde_json::to_string_pretty(manifest).unwrap();
    fs::write(dir.join("run.json"), json).unwrap();
    for record in records {
        let json = serde_json::to_string_pretty(record).unwrap();
        fs::write(dir.join("records").join(record_file(record)), json).unwrap();
        for path in record.histograms.values() {
            let mean_ns = if record.arm == ARM {
                70_000.0
            } else {
                80_000.0
            };
            write_histogram(&dir.join(path), &mut seeded(record), mean_ns);
        }
    }
}

pub fn record_file(record: &Record) -> String {
    let again = match record.attempt {
        1 => String::new(),
        attempt => format!("-attempt-{attempt}"),
    };
    format!("{:04}-{}{again}.json", record.trial, record.experiment)
}

fn seeded(record: &Record) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(u64::from(record.trial))
}

fn write_histogram(path: &Path, random: &mut ChaCha8Rng, mean_ns: f64) {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for _ in 0..4_000 {
        // Most near the middle, one in a hundred far out, as a busy scheduler makes them.
        let tail = if random.random_bool(0.01) { 8.0 } else { 1.0 };
        let spread: f64 = -random.random_range(0.001..1.0_f64).ln() * 0.35 + 0.65;
        histogram.record((mean_ns * spread * tail) as u64).unwrap();
    }
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    IntervalLogWriterBuilder::new()
        .begin_log_with(&mut log, &mut serializer)
        .unwrap()
        .write_histogram(
            &histogram,
            Duration::from_secs(1),
            Duration::from_secs(3),
            None,
        )
        .unwrap();
    fs::write(path, log).unwrap();
}

/// Six rounds of four experiments, in plan order.
pub fn records(manifest: &Manifest) -> Vec<Record> {
    let mut records = Vec::new();
    for experiment in &manifest.plan.experiments {
        for round in 1..=experiment.rounds {
            for arm in &experiment.arms {
                let trial = records.len() as u32 + 1;
                records.push(record(trial, experiment, arm, round));
            }
        }
    }
    records
}

fn record(trial: u32, experiment: &Experiment, arm: &str, round: u32) -> Record {
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(trial) + 1_000);
    let mut around = |mean: f64, share: f64| mean * (1.0 + random.random_range(-share..share));
    let ws = arm == ARM;
    let mut metrics: BTreeMap<String, Option<f64>> = BTreeMap::new();
    let mut points: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    let mut histograms = BTreeMap::new();
    let mut put = |name: &str, value: f64| metrics.insert(name.to_owned(), Some(value));
    match experiment.name.as_str() {
        "latency" => {
            put(
                "token_latency_ms_p50",
                around(if ws { 0.071 } else { 0.08 }, 0.12),
            );
            put(
                "token_latency_ms_p99",
                around(if ws { 0.21 } else { 0.23 }, 0.4),
            );
            put(
                "ttft_cold_ms_p50",
                around(if ws { 12.4 } else { 11.3 }, 0.04),
            );
            put("round_trips_cold", if ws { 3.0 } else { 2.0 });
            put("round_trips_warm", 1.0);
            for name in ["token_latency", "itl_deviation"] {
                let path = format!("histograms/{trial:04}-{name}.hlog");
                histograms.insert(name.to_owned(), path);
            }
        }
        "throughput" => {
            put(
                "server_cpu_us_per_message",
                around(if ws { 5.4 } else { 6.1 }, 0.07),
            );
            put(
                "generator_cpu_us_per_message",
                around(if ws { 7.9 } else { 6.6 }, 0.07),
            );
        }
        "memory" => {
            let kib = if ws { 6.3 } else { 10.8 };
            put("user_bytes_per_stream", around(kib * 1024.0, 0.02));
            put("kernel_bytes_per_stream", around(3.7 * 1024.0, 0.01));
            let mut rungs = |kib: f64| -> Vec<[f64; 2]> {
                let rungs = [100.0, 250.0, 500.0, 750.0, 1000.0];
                rungs
                    .map(|n| [n, around((4096.0 + kib * n) * 1024.0, 0.01)])
                    .to_vec()
            };
            points.insert("user_memory_idle".into(), rungs(kib));
            points.insert("user_memory_streaming".into(), rungs(kib * 1.08));
        }
        _ => {
            let gap = around(if ws { 268.0 } else { 262.0 }, 0.05);
            put("reconnect_gap_ms_p50", gap);
            put("lost_with_resume", 0.0);
            points.insert("live".into(), live(gap));
            points.insert(
                "faults".into(),
                vec![[500.0, 0.0], [1_300.0, 1.0], [1_520.0, 2.0]],
            );
        }
    }
    Record {
        format: FORMAT,
        trial,
        experiment: experiment.name.clone(),
        arm: arm.to_owned(),
        round,
        attempt: 1,
        started_at: "2026-03-01T10:00:00Z".into(),
        duration_ms: 3_600,
        settings: facts(&[
            ("transport", if ws { "ws-h1" } else { "sse-h1" }),
            ("congestion_control", "bbr"),
            ("nodelay", "on"),
            ("read_buffer_bytes", if ws { "4096" } else { "8192" }),
        ]),
        metrics,
        points,
        counters: BTreeMap::new(),
        books: vec![Books {
            owed: 4_000,
            received: 3_998,
            lost: 2,
            duplicated: 1,
            dropped: 0,
            reordered: 0,
        }],
        histograms,
        invalid: Vec::new(),
        notes: Vec::new(),
    }
}

/// 100 streams, cut at 500 ms, their server killed at 1300 ms and back at 1520 ms.
fn live(gap_ms: f64) -> Vec<[f64; 2]> {
    let mut points = vec![[0.0, 100.0]];
    for (cut, back) in [(500.0, 500.0), (1_300.0, 1_520.0)] {
        points.push([cut, 100.0]);
        points.push([cut + 4.0, 0.0]);
        for step in 0..=10 {
            let share = f64::from(step) / 10.0;
            points.push([back + gap_ms * (0.8 + 0.4 * share), 100.0 * share]);
        }
    }
    points.push([2_500.0, 100.0]);
    points
}

pub fn facts(pairs: &[(&str, &str)]) -> Facts {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        started_at: "2026-03-01T10:00:00Z".into(),
        environment: facts(&[
            ("pushbench", "0.1.0 (1234567)"),
            ("kernel", "Linux 6.12"),
            ("cpu", "2 × a processor"),
            ("clock_source", "tsc"),
            ("congestion_control", "bbr"),
            ("open_files", "20000"),
        ]),
        calibration: None,
        plan: plan(),
    }
}

fn plan() -> Plan {
    let arm = |label: &str, transport: &str, control_of: Option<&str>| Arm {
        label: label.into(),
        transport: transport.into(),
        control_of: control_of.map(Into::into),
        held_against: None,
        factors: facts(&[("tuning", "tuned")]),
    };
    Plan {
        name: "quick".into(),
        seed: 7,
        question: "Why does ChatGPT stream its answers over SSE and not over WebSocket?".into(),
        arms: vec![
            arm(BASELINE, "sse-h1", None),
            arm(ARM, "ws-h1", None),
            arm(CONTROL, "sse-h1", Some(BASELINE)),
        ],
        experiments: vec![latency(), throughput(), memory(), reconnect()],
        claims: claims(),
        looks: Vec::new(),
        notes: vec!["The delay before the first token is shortened to 10 ms.".into()],
    }
}

fn claims() -> Vec<Claim> {
    use Verdict::{Better, Equivalent, Worse};
    let evidence =
        |experiment: &str, metric: &str, supports: &[Verdict], contradicts: &[Verdict]| Evidence {
            experiment: experiment.into(),
            metric: metric.into(),
            arm: ARM.into(),
            supported_by: supports.to_vec(),
            contradicted_by: contradicts.to_vec(),
        };
    let claim = |name: &str, statement: &str, evidence: Vec<Evidence>, remark: &str| Claim {
        name: name.into(),
        statement: statement.into(),
        evidence,
        remark: remark.into(),
    };
    vec![
        claim(
            "lighter",
            "SSE is lighter than WebSocket.",
            vec![
                evidence(
                    "memory",
                    "user_bytes_per_stream",
                    &[Worse],
                    &[Better, Equivalent],
                ),
                evidence(
                    "throughput",
                    "server_cpu_us_per_message",
                    &[Worse],
                    &[Better, Equivalent],
                ),
            ],
            "Weighed on the server, in memory and CPU.",
        ),
        claim(
            "lower-latency",
            "WebSocket has lower latency than SSE.",
            vec![evidence(
                "latency",
                "token_latency_ms_p50",
                &[Better],
                &[Worse, Equivalent],
            )],
            "Loopback: what the protocol adds, not the network.",
        ),
        claim(
            "reconnects",
            "SSE reconnects by itself.",
            vec![evidence(
                "reconnect",
                "reconnect_gap_ms_p50",
                &[Worse],
                &[Better],
            )],
            "Both clients follow the same policy here.",
        ),
        claim(
            "simpler",
            "SSE is simpler.",
            vec![],
            "A matter of judgement, which no run measures.",
        ),
    ]
}

fn metric(
    name: &str,
    title: &str,
    unit: &str,
    margin: f64,
    kind: MarginKind,
    primary: bool,
) -> Metric {
    Metric {
        name: name.into(),
        title: title.into(),
        unit: unit.into(),
        better: Better::Lower,
        margin,
        margin_kind: kind,
        margin_reason: "made up".into(),
        primary,
        ms_per_unit: (unit == "ms").then_some(1.0),
        client_messages: 0,
    }
}

fn experiment(
    name: &str,
    title: &str,
    question: &str,
    metrics: Vec<Metric>,
    charts: Vec<Chart>,
) -> Experiment {
    Experiment {
        name: name.into(),
        title: title.into(),
        question: question.into(),
        rounds: 6,
        baseline: BASELINE.into(),
        arms: vec![BASELINE.into(), ARM.into(), CONTROL.into()],
        settings: facts(&[("streams", "100"), ("tokens_per_second", "60")]),
        metrics,
        charts,
        screen: None,
    }
}

fn latency() -> Experiment {
    use MarginKind::Absolute;
    let percentiles = |file: &str, title: &str, histogram: &str| Chart::Percentiles {
        file: file.into(),
        title: title.into(),
        subtitle: "Received − scheduled, all valid trials of an arm together".into(),
        caption: "Lower is sooner. Each step to the right looks at rarer, slower tokens.".into(),
        histogram: histogram.into(),
        scale: 1e-6,
        unit: "ms".into(),
    };
    experiment(
        "latency",
        "Latency",
        "How long does a token take from its due time to the client?",
        vec![
            metric(
                "token_latency_ms_p50",
                "Token latency, median",
                "ms",
                1.0,
                Absolute,
                true,
            ),
            metric(
                "token_latency_ms_p99",
                "Token latency, p99",
                "ms",
                1.0,
                Absolute,
                false,
            ),
            metric(
                "ttft_cold_ms_p50",
                "First token, cold, median",
                "ms",
                10.0,
                Absolute,
                false,
            ),
        ],
        vec![
            percentiles(
                "latency-percentiles",
                "Token latency at each percentile",
                "token_latency",
            ),
            percentiles(
                "itl-deviation",
                "How far the gaps between tokens stray from the schedule",
                "itl_deviation",
            ),
            Chart::Multiples {
                file: "round-trips".into(),
                title: "What the round trips to the first token would cost".into(),
                subtitle: "Arithmetic, not measured: round trips counted × round-trip time".into(),
                caption: "A cold WebSocket needs one round trip more.".into(),
                metrics: vec!["round_trips_cold".into(), "round_trips_warm".into()],
                factors: vec![1.0, 20.0, 50.0, 150.0],
                unit: "ms".into(),
            },
        ],
    )
}

fn throughput() -> Experiment {
    use MarginKind::Relative;
    experiment(
        "throughput",
        "Throughput",
        "What does a delivered message cost at a rate both sustain?",
        vec![
            metric(
                "server_cpu_us_per_message",
                "Server CPU a message",
                "µs",
                0.1,
                Relative,
                true,
            ),
            metric(
                "generator_cpu_us_per_message",
                "Generator CPU a message",
                "µs",
                0.1,
                Relative,
                false,
            ),
        ],
        vec![Chart::Dots {
            file: "cpu-per-message".into(),
            title: "CPU for a delivered message".into(),
            subtitle: "100 streams, every trial a dot".into(),
            caption: "Columns that overlap do not differ by more than chance.".into(),
            metrics: vec![
                "server_cpu_us_per_message".into(),
                "generator_cpu_us_per_message".into(),
            ],
        }],
    )
}

fn memory() -> Experiment {
    use MarginKind::Relative;
    experiment(
        "memory",
        "Memory",
        "How much memory does a further stream cost?",
        vec![
            metric(
                "user_bytes_per_stream",
                "User space a stream",
                "bytes",
                0.05,
                Relative,
                true,
            ),
            metric(
                "kernel_bytes_per_stream",
                "Kernel a stream",
                "bytes",
                0.05,
                Relative,
                false,
            ),
        ],
        vec![Chart::Slope {
            file: "memory-slope".into(),
            title: "Memory grows by a fixed amount for each stream".into(),
            subtitle: "Server's private memory at rising counts of verified live streams".into(),
            caption: "The steepness is the cost of a stream; the height at 0 is the process."
                .into(),
            points: vec!["user_memory_idle".into(), "user_memory_streaming".into()],
            x_title: "streams".into(),
            y_title: "memory, MiB".into(),
            scale: 1.0 / 1_048_576.0,
        }],
    )
}

fn reconnect() -> Experiment {
    use MarginKind::Absolute;
    experiment(
        "reconnect",
        "Reconnection",
        "How long is a reader without tokens when every stream is cut?",
        vec![
            metric(
                "reconnect_gap_ms_p50",
                "Reconnect gap, median",
                "ms",
                50.0,
                Absolute,
                true,
            ),
            metric(
                "lost_with_resume",
                "Messages lost with resume",
                "messages",
                0.0,
                Absolute,
                false,
            ),
        ],
        vec![Chart::Timeline {
            file: "live-streams".into(),
            title: "Live streams around each cut".into(),
            subtitle: "retry 250 ms, the same policy for both".into(),
            caption: "Each line is a trial; the narrower the hole, the sooner readers are back."
                .into(),
            points: "live".into(),
            y_title: "live streams".into(),
            marks: "faults".into(),
            mark_titles: vec![
                "all streams reset".into(),
                "server killed".into(),
                "server back".into(),
            ],
        }],
    )
}

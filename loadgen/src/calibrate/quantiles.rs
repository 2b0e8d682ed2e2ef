//! Check 9: known samples come back from the recorder, the logs and their merge as they went in.

use std::path::Path;

use hdrhistogram::Histogram;
use pushbench_reports::{
    calibration::{Check, Look, Picture, Row, Series},
    histograms::{Histograms, read_log},
    quantity::quantity,
};
use pushbench_server::contract::message::Stamps;

use super::{
    Lab, blank_record, grouped,
    injector::{Injector, Order, Shape},
};
use crate::{
    bench::{Broken, write_log},
    recorder::{Previous, Recorder, quantile},
};

const TITLE: &str = "Percentiles of known samples";

/// What is judged.
const JUDGED: [(f64, &str); 5] = [
    (0.5, "p50"),
    (0.9, "p90"),
    (0.99, "p99"),
    (0.999, "p99.9"),
    (0.9999, "p99.99"),
];

/// How far a percentile may lie from the exact one. The histograms hold three digits, which is at most
/// 0.1 %; the rest is room for nothing but a defect.
const TOLERANCE: f64 = 0.01;

/// Recorded value of a message that was due at once; any time will do.
const SCHEDULED_AT: u64 = 1_000_000_000;

/// Draws, records, writes, reads, merges, and asks only then.
///
/// # Errors
/// When the other process or a file cannot be used.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    // A p99.99 needs 10 samples beyond it: 100,000. Three times as many even when quick.
    let order = lab.effort.pick(
        Order {
            trials: 3,
            samples: 100_000,
        },
        Order {
            trials: 10,
            samples: 200_000,
        },
    );
    let (injector, samples) = Injector::draw(&lab.site.server_binary, order).await?;
    let mut merged = Vec::new();
    for (shape, trials) in Shape::ALL.into_iter().zip(&samples) {
        let recorded: Vec<_> = trials.iter().map(|trial| recorded(trial)).collect();
        merged.push(through_logs(&lab.site.directory, shape, &recorded)?);
    }
    let curve = curve();
    let mut asked: Vec<f64> = JUDGED.map(|(quantile, _)| quantile).to_vec();
    asked.extend(&curve);
    let told = injector.disclose(&asked).await?;
    let total = u64::from(order.trials) * u64::from(order.samples);
    let (mut rows, mut series) = (Vec::new(), Vec::new());
    for ((shape, histogram), told) in Shape::ALL.into_iter().zip(&merged).zip(&told) {
        let (exact, line) = told.split_at(JUDGED.len().min(told.len()));
        rows.extend(judge(shape, histogram, exact, total));
        series.extend(drawn(shape, histogram, &curve, line));
    }
    let counts = |order: Order| {
        let Order { trials, samples } = order;
        format!(
            "{trials} trials of {} samples for each distribution",
            grouped(samples.into())
        )
    };
    Ok(Check {
        number: 9,
        name: "quantiles".to_owned(),
        title: TITLE.to_owned(),
        method: "Another process draws times from two known distributions, seeded by the system, and hands them \
                 over. They go as stamps of messages through the recorder, are written as interval logs, read \
                 back and merged over the trials, all with the code of a run; then the other process says what \
                 the exact percentiles were. A failure would mean that no percentile of a report can be trusted."
            .to_owned(),
        counts: lab.effort.told(&counts(order), "10 trials of 200,000 samples for each distribution"),
        rows,
        picture: Some(picture(series)),
        note: String::new(),
    })
}

/// As a trial records the messages of its window.
fn recorded(samples: &[u64]) -> Histogram<u64> {
    let mut recorder = Recorder::new(0..u64::MAX);
    let mut previous = Previous::default();
    for (sample, seq) in samples.iter().zip(1..) {
        let stamps = Stamps {
            stream: 1,
            seq,
            scheduled_at: SCHEDULED_AT,
            sent_at: SCHEDULED_AT,
        };
        recorder.record(&stamps, SCHEDULED_AT + sample, &mut previous);
    }
    recorder.latency
}

/// Written and read back, and merged over the trials.
fn through_logs(
    directory: &Path,
    shape: Shape,
    trials: &[Histogram<u64>],
) -> Result<Histogram<u64>, Broken> {
    let unreadable = |said: String| Broken::io("read back a log")(std::io::Error::other(said));
    let (mut merged, name) = (Histograms::default(), shape.name());
    for (histogram, round) in trials.iter().zip(1..) {
        let file = format!("{round}-{name}.hlog");
        write_log(&directory.join(&file), name, histogram)?;
        let read = read_log(directory, &file).map_err(unreadable)?;
        let record = blank_record("quantiles", name, round);
        merged.merge(&record, name, &read).map_err(unreadable)?;
    }
    let merged = merged.find("quantiles", name, name).cloned();
    merged.ok_or_else(|| unreadable("there is none".to_owned()))
}

fn judge(shape: Shape, histogram: &Histogram<u64>, exact: &[u64], total: u64) -> Vec<Row> {
    let name = shape.name();
    let mut rows = vec![Row {
        subject: format!("{name}, samples"),
        truth: grouped(total),
        measured: grouped(histogram.len()),
        tolerance: "none".to_owned(),
        pass: histogram.len() == total,
    }];
    for ((q, called), exact) in JUDGED.into_iter().zip(exact) {
        let truth = *exact as f64;
        let measured = quantile(histogram, q);
        let off = measured.map(|measured| measured / truth - 1.0);
        let shown = measured
            .zip(off)
            .map(|(measured, off)| format!("{} ({:+.2} %)", quantity(measured, "ns"), 100.0 * off));
        rows.push(Row {
            subject: format!("{name}, {called}"),
            truth: quantity(truth, "ns"),
            measured: shown.unwrap_or_else(|| "too few samples".to_owned()),
            tolerance: format!("± {:.0} %", 100.0 * TOLERANCE),
            pass: off.is_some_and(|off| off.abs() <= TOLERANCE),
        });
    }
    rows
}

/// From one in 1.2 to one in 10,000, evenly on the picture's axis.
fn curve() -> Vec<f64> {
    const STEPS: i32 = 60;
    let slower = |step| 1.2 * f64::powf(10_000.0 / 1.2, f64::from(step) / f64::from(STEPS));
    (0..=STEPS).map(|step| 1.0 - 1.0 / slower(step)).collect()
}

fn drawn(shape: Shape, histogram: &Histogram<u64>, curve: &[f64], line: &[u64]) -> [Series; 2] {
    let slower = |q: f64| 1.0 / (1.0 - q);
    let truth = curve
        .iter()
        .zip(line)
        .map(|(q, ns)| [slower(*q), *ns as f64 / 1e6]);
    let judged = JUDGED.into_iter().filter_map(|(q, _)| {
        let ns = quantile(histogram, q)?;
        Some([slower(q), ns / 1e6])
    });
    [
        Series {
            name: format!("{}, exact", shape.name()),
            look: Look::Truth,
            points: truth.collect(),
        },
        Series {
            name: format!("{}, measured", shape.name()),
            look: Look::Dots,
            points: judged.collect(),
        },
    ]
}

fn picture(series: Vec<Series>) -> Picture {
    Picture {
        title: "Percentiles of known samples".to_owned(),
        subtitle: "p50, p90, p99, p99.9 and p99.99 after recorder, logs and merge, beside the exact ones"
            .to_owned(),
        caption: "The dashed lines are the samples' own percentiles, told when the measurement was closed; the dots \
                  are what a report would show. They should lie on the lines."
            .to_owned(),
        x_title: "one in so many is slower".to_owned(),
        y_title: "ms".to_owned(),
        x_logarithmic: true,
        y_logarithmic: true,
        series,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::injector::exact;
    use super::*;

    /// Through the logs, after `broken` had its way with what the recorder holds.
    fn rows(shape: Shape, broken: impl Fn(&mut Vec<Histogram<u64>>)) -> Vec<Row> {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let mut draw = || (0..50_000).map(|_| shape.draw(&mut random)).collect();
        let trials: [Vec<u64>; 4] = std::array::from_fn(|_| draw());
        let mut histograms: Vec<_> = trials.iter().map(|trial| recorded(trial)).collect();
        broken(&mut histograms);
        let temp = tempfile::tempdir().unwrap();
        let merged = through_logs(temp.path(), shape, &histograms).unwrap();
        let mut all = trials.concat();
        all.sort_unstable();
        let told = JUDGED.map(|(quantile, _)| exact(&all, quantile));
        judge(shape, &merged, &told, all.len() as u64)
    }

    fn failed(rows: &[Row]) -> Vec<&str> {
        let failed = rows.iter().filter(|row| !row.pass);
        failed.map(|row| row.subject.as_str()).collect()
    }

    #[test]
    fn what_went_in_comes_out() {
        for shape in Shape::ALL {
            let rows = rows(shape, |_| {});
            assert_eq!(
                (rows.len(), failed(&rows)),
                (1 + JUDGED.len(), vec![]),
                "{rows:?}"
            );
        }
    }

    #[test]
    fn a_recorder_of_one_digit_is_found_out() {
        for shape in Shape::ALL {
            let rows = rows(shape, |histograms| {
                for histogram in histograms {
                    let mut coarse = Histogram::new(1).unwrap();
                    coarse.add(&*histogram).unwrap();
                    *histogram = coarse;
                }
            });
            assert!(
                failed(&rows).iter().any(|row| row.contains(", p")),
                "{rows:?}"
            );
        }
    }

    #[test]
    fn a_merge_that_forgets_a_log_or_takes_it_twice_is_found_out() {
        let forgets = rows(Shape::Lognormal, |histograms| {
            histograms.pop();
        });
        let twice = rows(Shape::Lognormal, |histograms| {
            histograms.push(histograms[0].clone());
        });
        for rows in [forgets, twice] {
            assert!(failed(&rows).contains(&"lognormal, samples"), "{rows:?}");
        }
    }

    #[test]
    fn a_recorder_that_charges_only_the_service_time_is_found_out() {
        let rows = rows(Shape::Bimodal, |histograms| {
            for histogram in histograms {
                let count = histogram.len();
                histogram.clear();
                histogram.record_n(100_000, count).unwrap();
            }
        });
        assert!(failed(&rows).contains(&"bimodal, p99"), "{rows:?}");
    }
}

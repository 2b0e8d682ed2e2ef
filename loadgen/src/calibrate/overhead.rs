//! Check 8, self-overhead: what the generator's own code adds to what it measures, and whether it adds
//! the same to every transport.

mod shown;

use std::collections::BTreeMap;

use pushbench_reports::calibration::{Check, Look, Picture, Row, Series};
use pushbench_server::contract::transport::Transport;

use super::{Effort, Lab, TRANSPORTS};
use crate::{
    arm::{Arm, Build, Factors},
    bench::{Broken, Site},
    experiment::{Experiment, throughput},
    floor::{self, Floor, Repetition},
    quantity::{count, rate, seconds},
    trial::{self, Trial},
};
use shown::{Report, beside_every_latency_effect};

/// Share of a token's median latency that recording it may take.
const RECORDER_SHARE: f64 = 0.02;

/// How far the clients of two transports may lie apart unseen, as a share of the cheaper one.
const APART: f64 = 0.05;

/// Measures; also what each transport's client adds to a message, microseconds, for reports to show
/// beside every latency effect.
///
/// # Errors
/// When no server can be started, or a client does not take what its transport's server sends.
pub async fn check(lab: &Lab) -> Result<(Check, BTreeMap<String, f64>), Broken> {
    let floor = floor::measure(lab.effort).map_err(|unmeasured| {
        Broken::io("measure what the clients cost")(std::io::Error::other(unmeasured))
    })?;
    let trials = lab.effort.pick(2, 4);
    let window_s = lab.effort.pick(1.0, 3.0);
    let p50 = median_latencies(lab, trials, window_s).await?;
    let client_us = floor.by_transport.clone();
    let reduced = match lab.effort {
        Effort::Quick => "; reduced for a quick calibration",
        Effort::Whole => "",
    };
    let check = Check {
        number: 8,
        name: "overhead".into(),
        title: "What the generator itself adds".into(),
        method: "Each transport's client is fed the bytes of its server from memory, one message at a time, and \
                 the CPU time of a message is read from its thread's clock: receiving, decoding, keeping books \
                 and recording, without the kernel. The null transport has no framing: what it costs, every \
                 client costs. Recording is the difference between the null transport with the recorder and \
                 without. A token's median latency is that of a real feed with one subscriber. If recording \
                 failed, latencies would be the recorder's in part; if two clients lay apart unseen, an effect \
                 between their transports would be the generator's in part."
            .into(),
        counts: format!(
            "{} readings of {} messages of each, in turn; {trials} feed trials of {window_s} s on each \
             transport{reduced}",
            floor.repetitions.len(),
            floor.messages
        ),
        rows: judge(&floor, &p50, shown::report),
        picture: Some(picture(&floor)),
        note: "The null floor has no truth to be held against. Its row passes if the figures are in order: above 0, \
               and above no client's, which does the same and more. A client also works after it has dated a message, \
               so the difference of two clients is the most that a latency effect between them can hold."
            .into(),
    };
    Ok((check, client_us))
}

/// Median latency of a token of the feed, microseconds by transport: the median of the trials. Where no
/// trial was valid, why.
async fn median_latencies(
    lab: &Lab,
    trials: u32,
    window_s: f64,
) -> Result<BTreeMap<String, Result<f64, String>>, Broken> {
    let scratch = tempfile::tempdir_in(&lab.site.directory)
        .map_err(Broken::io("create a folder for the calibration's trials"))?;
    let site = Site {
        directory: scratch.path().to_owned(),
        ..lab.site.clone()
    };
    let mut latencies: BTreeMap<String, (Vec<f64>, String)> = BTreeMap::new();
    for number in 1..=trials {
        for transport in TRANSPORTS {
            let record = trial::run(&feed(transport, number, window_s), &site).await?;
            let (valid, why_not) = latencies.entry(transport.name().to_owned()).or_default();
            let p50_ms = record.metrics.get("fan_out_latency_ms_p50");
            match p50_ms.copied().flatten() {
                Some(p50_ms) if record.invalid.is_empty() => valid.push(p50_ms * 1e3),
                _ => *why_not = record.invalid.join("; "),
            }
        }
    }
    let latencies = latencies.into_iter().map(|(transport, (valid, why_not))| {
        let latency = (!valid.is_empty()).then(|| floor::median(valid.into_iter()));
        (transport, latency.ok_or(why_not))
    });
    Ok(latencies.collect())
}

/// One subscriber: with more, latency would be the position in the fan-out.
fn feed(transport: Transport, number: u32, window_s: f64) -> Trial {
    Trial {
        number,
        experiment: Experiment::Throughput(throughput::Settings {
            subscribers: count(1),
            messages_per_second: rate(200.0),
            warm_up_s: seconds(0.3),
            window_s: seconds(window_s),
            ..throughput::Settings::default()
        }),
        arm: Arm {
            label: transport.name().to_owned(),
            transport,
            control_of: None,
            factors: Factors::default(),
            build: Build::Own,
        },
        round: number,
        seed: 0,
        trace: None,
    }
}

/// `report` is asked whether it shows what is apart.
fn judge(
    floor: &Floor,
    p50_us: &BTreeMap<String, Result<f64, String>>,
    report: Report,
) -> Vec<Row> {
    let recorder = p50_us
        .iter()
        .map(|(transport, p50_us)| recorder_row(floor.recorder_us, transport, p50_us));
    // Each is held against the one that a plan's baseline uses.
    let baseline = TRANSPORTS[0].name();
    let pairs = floor
        .by_transport
        .get_key_value(baseline)
        .into_iter()
        .flat_map(|one| {
            let others = floor
                .by_transport
                .iter()
                .filter(move |(name, _)| *name != one.0);
            others.map(move |other| pair_row(one, other, floor, report))
        });
    std::iter::once(null_row(floor))
        .chain(recorder)
        .chain(pairs)
        .collect()
}

fn null_row(floor: &Floor) -> Row {
    let null_us = floor.null_us;
    let lowest = floor
        .by_transport
        .values()
        .fold(f64::INFINITY, |a, b| a.min(*b));
    Row {
        subject: "null transport".into(),
        truth: "none".into(),
        measured: format!("{null_us:.2} µs a message"),
        tolerance: format!("above 0, at most the cheapest client's {lowest:.2} µs"),
        pass: null_us > 0.0 && null_us <= lowest,
    }
}

fn recorder_row(recorder_us: f64, transport: &str, p50_us: &Result<f64, String>) -> Row {
    let (measured, pass) = match p50_us {
        Ok(p50_us) => {
            let share = recorder_us / p50_us;
            let measured = format!(
                "{recorder_us:.2} µs: {:.2} % of {p50_us:.1} µs",
                share * 100.0
            );
            (measured, share <= RECORDER_SHARE)
        }
        Err(why_not) => (format!("no valid trial: {why_not}"), false),
    };
    Row {
        subject: format!("recording, {transport}"),
        truth: "nothing".into(),
        measured,
        tolerance: format!(
            "{:.0} % of a token's median latency",
            RECORDER_SHARE * 100.0
        ),
        pass,
    }
}

fn pair_row(
    (one, one_us): (&String, &f64),
    (other, other_us): (&String, &f64),
    floor: &Floor,
    report: Report,
) -> Row {
    let apart = (one_us - other_us).abs() / one_us.min(*other_us);
    let is_shown = || beside_every_latency_effect(report, [one, other], &floor.by_transport);
    // Of NaN nothing is known, whatever a report shows.
    let (how, pass) = if !apart.is_finite() {
        ("not measured", false)
    } else if apart <= APART {
        ("alike", true)
    } else if is_shown() {
        ("apart, and shown beside every latency effect", true)
    } else {
        ("apart, and shown nowhere", false)
    };
    Row {
        subject: format!("clients of {one} and {other}"),
        truth: "the same".into(),
        measured: format!(
            "{one_us:.2} and {other_us:.2} µs a message, {:.0} % apart: {how}",
            apart * 100.0
        ),
        tolerance: format!(
            "{:.0} %, or shown beside every latency effect",
            APART * 100.0
        ),
        pass,
    }
}

fn picture(floor: &Floor) -> Picture {
    let series = |name: &str, figure: &dyn Fn(&Repetition) -> f64| Series {
        name: name.to_owned(),
        look: Look::Dots,
        points: floor
            .repetitions
            .iter()
            .zip(1..)
            .map(|(repetition, number)| [f64::from(number), figure(repetition)])
            .collect(),
    };
    // A line for every transport there is would be a thicket; the table has them all.
    let clients = TRANSPORTS
        .map(Transport::name)
        .map(|name| series(name, &|one| one.by_transport[name]));
    let null = [
        series("null", &|one: &Repetition| one.null_us),
        series("null, not recorded", &|one: &Repetition| one.unrecorded_us),
    ];
    Picture {
        title: "What the generator adds to a message".into(),
        subtitle: format!(
            "CPU time of the client without the kernel, {} messages a dot",
            floor.messages
        ),
        caption: "The distance between two clients is in every effect between their transports; the distance between \
                  the null transport's two series is the recorder."
            .into(),
        x_title: "reading".into(),
        y_title: "CPU time a message, µs".into(),
        x_logarithmic: false,
        y_logarithmic: false,
        series: clients.into_iter().chain(null).collect(),
    }
}

#[cfg(test)]
mod tests {
    use pushbench_reports::{histograms::Histograms, read::Run, record::Manifest};

    use super::*;

    /// A floor as a good machine has it.
    fn floor(null_us: f64, recorder_us: f64, clients: [f64; 2]) -> Floor {
        let by_transport: BTreeMap<_, _> = TRANSPORTS
            .map(|transport| transport.name().to_owned())
            .into_iter()
            .zip(clients)
            .collect();
        Floor {
            null_us,
            recorder_us,
            repetitions: vec![Repetition {
                null_us,
                unrecorded_us: null_us - recorder_us,
                by_transport: by_transport.clone(),
            }],
            by_transport,
            messages: 1_000,
        }
    }

    fn p50(us: f64) -> BTreeMap<String, Result<f64, String>> {
        TRANSPORTS
            .map(|transport| (transport.name().to_owned(), Ok(us)))
            .into()
    }

    /// Whether the null floor, the recorder on each transport and the pair of clients pass.
    fn passes(rows: &[Row]) -> Vec<bool> {
        rows.iter().map(|row| row.pass).collect()
    }

    #[test]
    fn a_light_generator_with_clients_alike_passes_and_says_so() {
        let floor = floor(0.5, 0.1, [0.60, 0.62]);
        let rows = judge(&floor, &p50(60.0), shown::report);
        assert_eq!(passes(&rows), [true; 4], "{rows:?}");
        assert!(rows[3].measured.ends_with("3 % apart: alike"), "{rows:?}");
    }

    #[test]
    fn clients_apart_pass_only_where_the_difference_is_shown() {
        let floor = floor(0.5, 0.1, [0.60, 0.78]);
        // Reports that say nothing of the clients, that leave one effect out, and that have none.
        let silent: Report = |mut run| {
            run.manifest.calibration = None;
            shown::report(run)
        };
        let once: Report = |run| {
            let bare = Run {
                manifest: run.manifest.clone(),
                records: run.records.clone(),
                record_files: Vec::new(),
                histograms: Histograms::default(),
            };
            let without = shown::report(Run {
                manifest: Manifest {
                    calibration: None,
                    ..bare.manifest
                },
                ..bare
            });
            let mut effects = shown::report(run);
            let mut latencies = effects
                .iter_mut()
                .zip(without)
                .filter(|(effect, _)| effect.metric.contains("latency_ms"));
            if let Some((effect, bare)) = latencies.next() {
                effect.sentence = bare.sentence;
            }
            effects
        };
        let nothing: Report = |_| Vec::new();
        for hidden in [silent, once, nothing] {
            let hidden = judge(&floor, &p50(60.0), hidden);
            assert_eq!(passes(&hidden), [true, true, true, false]);
            assert!(hidden[3].measured.contains("30 % apart"), "{hidden:?}");
        }
        let shown = judge(&floor, &p50(60.0), shown::report);
        assert_eq!(passes(&shown), [true; 4], "{shown:?}");
        assert!(
            shown[3]
                .measured
                .ends_with("shown beside every latency effect")
        );
    }

    #[test]
    fn a_slow_recorder_fails_on_every_transport() {
        let slow = floor::measure_with(1, |_, _, _| floor::burn(10)).unwrap();
        let rows = judge(&slow, &p50(60.0), shown::report);
        assert_eq!(passes(&rows)[1..3], [false, false], "{rows:?}");
        let edge = judge(&floor(2.0, 1.2, [3.0, 3.0]), &p50(60.0), shown::report);
        assert_eq!(passes(&edge), [true; 4], "2 % is allowed: {edge:?}");
    }

    #[test]
    fn figures_out_of_order_and_trials_that_were_not_valid_fail() {
        for null_us in [0.0, -0.1, 0.7, f64::NAN] {
            let rows = judge(&floor(null_us, 0.1, [0.6, 0.6]), &p50(60.0), shown::report);
            assert!(!rows[0].pass, "{null_us}");
        }
        let nan = judge(
            &floor(0.5, f64::NAN, [f64::NAN, 0.6]),
            &p50(60.0),
            shown::report,
        );
        assert_eq!(passes(&nan)[1..], [false; 3], "{nan:?}");
        let mut some = p50(60.0);
        some.insert("sse-h1".into(), Err("the machine slept".into()));
        let rows = judge(&floor(0.5, 0.1, [0.6, 0.6]), &some, shown::report);
        assert_eq!(passes(&rows), [true, false, true, true]);
        assert!(rows[1].measured.contains("the machine slept"), "{rows:?}");
    }

    #[test]
    fn every_client_and_the_null_transport_are_drawn() {
        let drawn = picture(&floor(0.5, 0.1, [0.6, 0.7]));
        let last: Vec<_> = drawn
            .series
            .iter()
            .map(|series| (series.name.as_str(), series.points[0]))
            .collect();
        let expected = [
            ("sse-h1", [1.0, 0.6]),
            ("ws-h1", [1.0, 0.7]),
            ("null", [1.0, 0.5]),
            ("null, not recorded", [1.0, 0.4]),
        ];
        assert_eq!(last, expected);
    }
}

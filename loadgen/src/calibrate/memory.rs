//! Check 4: 64 KiB held for each connection.

use pushbench_reports::{
    calibration::{Check, Look, Picture, Row},
    statistics::{Level, slope},
};
use pushbench_server::{contract::transport::Transport, faults::Faults};

use super::{
    Effort, Lab, TRANSPORTS,
    probe::{Sound, bench, row, series},
};
use crate::{
    bench::Broken,
    experiment::memory::{Settings, rungs},
    quantity::count,
};

/// Nominal; the server draws within a tenth of it.
const HOARD_BYTES: u64 = 65_536;

/// Share by which the slope's difference may be off.
const TOLERANCE: f64 = 0.05;

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer, or its memory cannot be read.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    let settings = Settings {
        connections: match lab.effort {
            Effort::Quick => rungs([100, 200, 300, 400]),
            Effort::Whole => rungs([200, 400, 600, 800, 1_000]),
        },
        warm_up_connections: count(50),
        ..Settings::default()
    };
    let rounds = lab.effort.pick(1, 3);
    let (mut rows, mut sound, mut ladders) = (Vec::new(), Sound::default(), Vec::new());
    for transport in TRANSPORTS {
        for round in 1..=rounds {
            let mut climb = async |hoard_bytes| {
                let once = async || {
                    let faults = Faults {
                        hoard_bytes,
                        ..Faults::default()
                    };
                    let mut bench = bench(lab, transport, faults)?;
                    let climbed = settings.idle(&mut bench).await?;
                    // A rung is drawn where it was asked for: a live count that is short is among these.
                    Ok((climbed, bench.record.invalid))
                };
                let (climbed, _) = sound.measure(once, |(_, invalid)| invalid).await?;
                Ok::<_, Broken>(climbed)
            };
            let (plain, _) = climb(None).await?;
            let (laden, truth) = climb(Some(HOARD_BYTES)).await?;
            let ladders_of = Ladders {
                plain,
                laden,
                hoarded_bytes: truth.hoarded_bytes.unwrap_or(0) as f64,
            };
            let subject = match rounds {
                1 => transport.name().to_owned(),
                _ => format!("{transport}, round {round}"),
            };
            rows.push(judge(subject, &ladders_of));
            if round == rounds {
                ladders.push((transport, ladders_of));
            }
        }
    }
    rows.push(sound.row());
    Ok(Check {
        number: 4,
        name: "memory".into(),
        title: "Memory of known size".into(),
        method: "For each connection the server allocates and touches a block, of a size that it draws within 10 % of \
                 64 KiB, and says afterwards how large it was. The memory experiment's ladder is climbed without and \
                 with it: the difference of the two slopes must be the block. A failure would mean that bytes a \
                 connection are not what the report says."
            .into(),
        counts: format!(
            "{rounds} {} of two ladders up to {} streams for each transport{}{}",
            lab.effort.pick("pair", "pairs"),
            settings.connections.highest(),
            sound.told(),
            lab.effort.pick(", a reduced count", "")
        ),
        rows,
        picture: Some(picture(&ladders)),
        note: String::new(),
    })
}

/// Points of two ladders, `[streams, bytes]`, and the block of the second.
#[derive(Debug)]
struct Ladders {
    plain: Vec<[f64; 2]>,
    laden: Vec<[f64; 2]>,
    hoarded_bytes: f64,
}

/// Holds the slopes' difference against the block.
fn judge(subject: String, ladders: &Ladders) -> Row {
    let Ladders {
        plain,
        laden,
        hoarded_bytes,
    } = ladders;
    let kib = |bytes: f64| format!("{:.2} KiB", bytes / 1_024.0);
    let tolerance = format!("± 5 % ({})", kib(TOLERANCE * hoarded_bytes));
    let subject = format!("{subject}, memory a connection");
    let (Some(plain), Some(laden)) = (
        slope(plain, Level::CONVENTION),
        slope(laden, Level::CONVENTION),
    ) else {
        return row(subject, kib(*hoarded_bytes), "no slope", tolerance, false);
    };
    let difference = laden.slope - plain.slope;
    row(
        subject,
        kib(*hoarded_bytes),
        format!(
            "{} ({} − {})",
            kib(difference),
            kib(laden.slope),
            kib(plain.slope)
        ),
        tolerance,
        (difference / hoarded_bytes - 1.0).abs() <= TOLERANCE,
    )
}

fn picture(ladders: &[(Transport, Ladders)]) -> Picture {
    const MIB: f64 = 1_048_576.0;
    let mut all = Vec::new();
    for (transport, ladders) in ladders {
        let rise = |points: &[[f64; 2]]| -> Vec<[f64; 2]> {
            let first = points.first().map_or(0.0, |point| point[1]);
            let risen = points.iter().map(|[x, y]| [*x, (y - first) / MIB]);
            risen.collect()
        };
        let name = transport.name();
        all.push(series(
            format!("{name} as it is"),
            Look::Dots,
            rise(&ladders.plain),
        ));
        all.push(series(
            format!("{name} with the block"),
            Look::Dots,
            rise(&ladders.laden),
        ));
        let plain = slope(&ladders.plain, Level::CONVENTION).map_or(0.0, |fit| fit.slope);
        let first = ladders.laden.first().map_or(0.0, |point| point[0]);
        let true_rise = ladders
            .laden
            .iter()
            .map(|[x, _]| [*x, (x - first) * (plain + ladders.hoarded_bytes) / MIB]);
        all.push(series(
            format!("{name} + the block disclosed"),
            Look::Truth,
            true_rise.collect(),
        ));
    }
    Picture {
        title: "The server's memory with and without a block for each connection".into(),
        subtitle: "rise above the first count of live streams".into(),
        caption: "The dashed line is the transport's own slope plus the block that the server says it held. Dots on \
                  it are memory found as it was taken."
            .into(),
        x_title: "live streams".into(),
        y_title: "rise, MiB".into(),
        x_logarithmic: false,
        y_logarithmic: false,
        series: all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ladders of exact memory, read by a meter that is told `streams` of the true number.
    fn ladders(streams: impl Fn(f64) -> f64, bytes: impl Fn(f64) -> f64) -> Ladders {
        let climb = |each: f64| {
            [200.0, 400.0, 600.0, 800.0]
                .map(|n| [streams(n), bytes(3e6 + n * each)])
                .to_vec()
        };
        Ladders {
            plain: climb(6_400.0),
            laden: climb(6_400.0 + 61_000.0),
            hoarded_bytes: 61_000.0,
        }
    }

    #[test]
    fn a_true_slope_passes() {
        assert!(judge("ws-h1".into(), &ladders(|n| n, |bytes| bytes)).pass);
    }

    #[test]
    fn a_slope_over_wrong_counts_fails() {
        let row = judge("ws-h1".into(), &ladders(|n| n * 1.06, |bytes| bytes));
        assert!(!row.pass, "{row:?}");
    }

    #[test]
    fn a_meter_that_sees_part_of_the_memory_or_none_fails() {
        for share in [0.9, 0.0] {
            assert!(!judge("ws-h1".into(), &ladders(|n| n, |bytes| share * bytes)).pass);
        }
        let none = Ladders {
            plain: Vec::new(),
            ..ladders(|n| n, |bytes| bytes)
        };
        assert!(!judge("ws-h1".into(), &none).pass);
    }

    #[test]
    fn a_server_that_held_nothing_shows_nothing() {
        let idle = Ladders {
            hoarded_bytes: 0.0,
            ..ladders(|n| n, |bytes| bytes)
        };
        assert!(!judge("ws-h1".into(), &idle).pass);
    }
}

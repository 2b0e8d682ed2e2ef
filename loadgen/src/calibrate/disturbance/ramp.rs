//! Servers that warm up, and where their warm-up was cut.

use std::time::Duration;

use futures_util::future::try_join_all;
use pushbench_reports::calibration::{Look, Picture, Series};
use pushbench_server::{
    contract::{
        ask::{Ask, FeedAsk},
        clock::now_ns,
        notice::Notice,
        transport::Transport,
    },
    control::Command,
    faults::{Fall, Faults, Ramp as Asked},
};
use tokio::{sync::oneshot, time::timeout};

use super::Detector;
use crate::{
    arm::{Arm, Build, Factors},
    bench::Broken,
    calibrate::Lab,
    client::{self, Ended, Heard},
    experiment::{Experiment, throughput},
    settle::STEADY,
    trial::{self, Trial},
};

/// As long as a slice of a trial's warm-up.
const SLICE_NS: u64 = 50_000_000;

/// Five messages a slice: their median is as noisy as those of trials, or more.
const MESSAGES_PER_SECOND: f64 = 100.0;

/// Servers at once, each with a ramp of its own: holding their messages takes a third of a core.
const TOGETHER: u32 = 16;

/// The delay at first: some twenty times the latency of a quiet machine.
const FROM_US: u64 = 3_000;

/// What a ramp of a steady server needs beyond its own length and the steady slices: the detector's delay,
/// and room.
const ROOM: Duration = Duration::from_millis(2_500);

/// How early a cut may be, as a share of the ramp's length: what it leaves is a fifth of the delay at
/// first, and none of it once the steady slices have passed.
const EARLY: f64 = 0.2;

/// One server's warm-up.
#[derive(Debug, Clone)]
pub(super) struct Ramp {
    /// Median latency of each slice since the first message, microseconds.
    pub medians_us: Vec<f64>,
    /// Its length as disclosed, in slices.
    pub slices: f64,
    /// Its end as disclosed, in slices since the first message.
    pub end: f64,
}

impl Ramp {
    /// Whether the first cut that the detector gives, asked after each slice, lies where it may.
    pub(super) fn cut_right(&self, detector: Detector) -> bool {
        self.cut(detector).is_some_and(|cut| {
            let cut = cut as f64;
            self.end - EARLY * self.slices <= cut && cut <= self.end + STEADY as f64 / 2.0
        })
    }

    fn cut(&self, detector: Detector) -> Option<usize> {
        let mut ends = 1..=self.medians_us.len();
        ends.find_map(|end| detector(&self.medians_us[..end], STEADY))
    }

    /// Latencies in the order of their schedule, as `(scheduled_at, nanoseconds)`; none without a ramp or a
    /// message. A slice without a message has that of the slice before.
    fn of(heard: &[(u64, u64)], fall: Fall) -> Option<Self> {
        let (first, began) = (heard.first()?.0, fall.began_at?);
        let slice = |at: u64| at.saturating_sub(first) / SLICE_NS;
        let mut medians_us: Vec<f64> = Vec::new();
        // The last slice is not whole.
        for number in 0..slice(heard.last()?.0) {
            let of = heard.iter().filter(|(at, _)| slice(*at) == number);
            let mut latencies: Vec<u64> = of.map(|(_, latency)| *latency).collect();
            latencies.sort_unstable();
            let median = latencies
                .get(latencies.len() / 2)
                .map(|ns| *ns as f64 / 1e3);
            medians_us.extend(median.or_else(|| medians_us.last().copied()));
        }
        let in_slices = |ns: u64| ns as f64 / SLICE_NS as f64;
        Some(Self {
            medians_us,
            slices: in_slices(fall.over_ns),
            end: in_slices((began + fall.over_ns).saturating_sub(first)),
        })
    }
}

/// Starts servers that warm up, and hears them until they are long steady.
pub(super) async fn measure(lab: &Lab) -> Result<Vec<Ramp>, Broken> {
    let (seconds, batches) = lab.effort.pick((2.0, 1), (10.0, 4));
    let mut ramps = Vec::new();
    for batch in 0..batches {
        let together = (0..TOGETHER).map(|place| one(lab, batch * TOGETHER + place + 1, seconds));
        ramps.extend(try_join_all(together).await?);
    }
    Ok(ramps)
}

async fn one(lab: &Lab, number: u32, seconds: f64) -> Result<Ramp, Broken> {
    let mut bench = trial::bench(&trial(number), 1, &lab.site)?;
    bench.faults = Faults {
        ramp: Some(Asked {
            seconds,
            from_us: FROM_US,
        }),
        ..Faults::default()
    };
    let mut server = bench.start_server(1, Duration::from_secs(3)).await?;
    let (greeted, hello) = oneshot::channel();
    let listening = tokio::spawn(listen(bench.arm.transport, server.address(), greeted));
    let patience = Duration::from_secs(10);
    let live = timeout(patience, hello)
        .await
        .is_ok_and(|hello| hello.is_ok());
    if !live {
        return Err(Broken::Waited(
            "a server that warms up had its listener".into(),
        ));
    }
    server
        .command(Command::Feed {
            rate: MESSAGES_PER_SECOND,
        })
        .await?;
    // The drawn length is at most a tenth above the nominal one.
    let steady = Duration::from_nanos(SLICE_NS * STEADY as u64) + ROOM;
    let length = Duration::from_secs_f64(1.1 * seconds) + steady;
    bench
        .pacer
        .sleep_until(now_ns() + length.as_nanos() as u64)
        .await;
    server.command(Command::End).await?;
    let heard = timeout(patience, listening).await;
    let fall = server.disclose().await?.ramp;
    server.stop().await?;
    let heard = heard.ok().and_then(Result::ok).and_then(Result::ok);
    heard
        .zip(fall)
        .and_then(|(heard, fall)| Ramp::of(&heard, fall))
        .ok_or_else(|| Broken::Waited("a server that warms up was heard to its end".into()))
}

fn trial(number: u32) -> Trial {
    Trial {
        number,
        experiment: Experiment::Throughput(throughput::Settings::default()),
        arm: Arm {
            label: "a server that warms up".to_owned(),
            transport: Transport::SseH1,
            control_of: None,
            factors: Factors::default(),
            build: Build::Own,
        },
        round: 1,
        seed: 0,
        trace: None,
    }
}

/// Latencies of all messages until the stream's end, in the order of their schedule.
async fn listen(
    transport: Transport,
    server: std::net::SocketAddr,
    greeted: oneshot::Sender<()>,
) -> Result<Vec<(u64, u64)>, Ended> {
    let (mut heard, mut greeted) = (Vec::new(), Some(greeted));
    let mut wire = client::connect(transport, server).await?;
    wire.ask(&Ask::Feed(FeedAsk {
        subscriber: None,
        resume: false,
        after: None,
    }))
    .await?;
    client::receive(wire.as_mut(), |said| match said {
        Heard::Message(message, received_at) => {
            let scheduled_at = message.stamps.scheduled_at;
            heard.push((scheduled_at, received_at.saturating_sub(scheduled_at)));
            None
        }
        Heard::Notice(Notice::Hello { .. }) => {
            // Who waits for it may have given up.
            let _ = greeted.take().map(|greeted| greeted.send(()));
            None
        }
        Heard::Notice(Notice::End { .. }) => Some(Ok(())),
        Heard::Notice(Notice::Refused { reason }) => Some(Err(Ended::Failed(reason))),
        Heard::Notice(Notice::Dropped { .. }) => None,
    })
    .await?;
    wire.close().await;
    heard.sort_unstable();
    Ok(heard)
}

/// The first ramp with its cut and its end.
pub(super) fn picture(ramps: &[Ramp]) -> Option<Picture> {
    let ramp = ramps.first()?;
    let seconds = |slice: f64| slice * SLICE_NS as f64 / 1e9;
    let points = ramp.medians_us.iter().enumerate();
    let points = points.map(|(slice, median)| [seconds(slice as f64), *median]);
    let highest = ramp.medians_us.iter().copied().fold(0.0, f64::max);
    let upright = |slice: f64| vec![[seconds(slice), 0.0], [seconds(slice), highest]];
    let mut series = vec![
        Series {
            name: "median latency of a slice".to_owned(),
            look: Look::Dots,
            points: points.collect(),
        },
        Series {
            name: "end of the ramp".to_owned(),
            look: Look::Truth,
            points: upright(ramp.end),
        },
    ];
    series.extend(ramp.cut(crate::settle::settled).map(|cut| Series {
        name: "cut".to_owned(),
        look: Look::Line,
        points: upright(cut as f64),
    }));
    Some(Picture {
        title: "The cut lies where the ramp ends".to_owned(),
        subtitle: "the first of the ramps".to_owned(),
        caption: "Dots are what the detector saw. The dashed line is where the server said afterwards that its delay \
                  was over, the drawn one where the detector had cut."
            .to_owned(),
        x_title: "seconds since the first message".to_owned(),
        y_title: "latency, µs".to_owned(),
        x_logarithmic: false,
        y_logarithmic: false,
        series,
    })
}

#[cfg(test)]
impl Ramp {
    /// A ramp from `from` times the level, over so many slices, with noise of 5 %.
    pub(super) fn synthetic(slices: f64, from: f64, seed: u64) -> Self {
        use rand::{RngExt, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut noise = || 1.0 + 0.1 * (random.random::<f64>() - 0.5);
        let at = |slice: u32| from * (1.0 - f64::from(slice) / slices).max(0.0);
        Self {
            medians_us: (0..400)
                .map(|slice| 100.0 * (1.0 + at(slice)) * noise())
                .collect(),
            slices,
            end: slices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_count_from_the_first_message_and_the_end_is_where_the_server_says() {
        let ms = |ms: u64| ms * 1_000_000;
        let heard = [
            (10, 900),
            (20, 700),
            (30, 800),
            (130, 100),
            (131, 100),
            (190, 1),
        ]
        .map(|(at, us)| (ms(at), us * 1_000));
        let fall = Fall {
            from_ns: 1,
            over_ns: ms(100),
            began_at: Some(ms(5)),
        };
        let ramp = Ramp::of(&heard, fall).unwrap();
        assert_eq!(
            ramp.medians_us,
            [800.0, 800.0, 100.0],
            "an empty slice repeats the one before"
        );
        assert_eq!((ramp.slices, ramp.end), (2.0, 1.9));
        assert!(Ramp::of(&[], fall).is_none());
    }
}

//! Servers that warm up, and where the warm-up of a trial cuts them.

use std::time::Duration;

use pushbench_reports::calibration::{Look, Picture, Series};
use pushbench_server::{
    contract::{clock::now_ns, transport::Transport},
    control::Command,
    faults::{Fall, Faults, Ramp as Asked},
};

use crate::{
    audience::Audience,
    bench::Broken,
    calibrate::{
        Lab,
        probe::{self, Sound},
    },
    experiment::Experiment,
    plan::{self, Plan},
    quantity::{Count, Rate},
    recorder::Recorder,
    settle::STEADY,
    warm_up::{WarmUp, take_median_ns},
    window::Hindrance,
};

/// What is left of the delay for good. The latency left to itself keeps no level on a shared machine: it was
/// seen to move between 0.65 and 0.85 ms, for seconds at a time, and then nobody knows when it had settled.
/// Beside this one, which the server keeps, and beside its scatter, that is little.
const LEVEL_US: u64 = 40_000;

/// The delay above the level at first: between 2 and 20 times the level, for which the detector states its
/// tolerance.
const FROM_US: u64 = 100_000;

/// How early a cut may be, as a share of the ramp's length: as the detector states.
const EARLY: f64 = 0.2;

/// How long before the end a warm-up may be given up at the earliest, beyond ramp and steady slices: the
/// detector's delay, and room.
const ROOM_S: f64 = 2.0;

/// Warm-ups of one setting, and the servers that they watch.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// The plan whose warm-up it is.
    pub name: &'static str,
    warm_up: WarmUp,
    /// Nominal length of the ramps, seconds.
    pub ramp_s: f64,
    /// The plan's own load: how much a slice's median scatters depends on how much is in it.
    messages_per_second: Rate,
    subscribers: Count,
    /// One after the other: servers whose ramps end at different times are each other's noisy neighbours,
    /// and after its own ramp a server would not be steady yet.
    ramps: u32,
}

impl Setting {
    /// How many ramps there are.
    pub(super) fn ramps(&self) -> u32 {
        self.ramps
    }

    /// Of a slice, nanoseconds.
    fn slice_ns(&self) -> f64 {
        self.warm_up.slice_ns() as f64
    }
}

/// The settings of the built-in plans; the longest ramp is over as many slices as the detector's tolerance is
/// stated for.
pub(super) fn settings(lab: &Lab) -> [Setting; 2] {
    [
        Setting {
            ramp_s: lab.effort.pick(1.0, 2.0),
            ramps: lab.effort.pick(4, 24),
            ..of_plan("quick", &plan::quick(), 2.0)
        },
        Setting {
            ramp_s: lab.effort.pick(3.0, 10.0),
            ramps: lab.effort.pick(2, 14),
            ..of_plan("full", &plan::full(), 10.0)
        },
    ]
}

/// The warm-up and the load of a plan's throughput; given up no sooner than a ramp of this length needs.
fn of_plan(name: &'static str, plan: &Plan, longest_s: f64) -> Setting {
    let throughput = |experiment: &Experiment| match experiment {
        Experiment::Throughput(settings) => Some(settings.clone()),
        _ => None,
    };
    let mut experiments = plan.experiments.iter().map(|entry| &entry.experiment);
    let settings = experiments.find_map(throughput).unwrap_or_default();
    let warm_up = settings.warm_up();
    let needed_s = 1.1 * longest_s + warm_up.least.get() + ROOM_S;
    Setting {
        name,
        warm_up: WarmUp {
            most: crate::quantity::seconds(warm_up.most.get().max(needed_s)),
            ..warm_up
        },
        ramp_s: longest_s,
        messages_per_second: settings.messages_per_second,
        subscribers: settings.subscribers,
        ramps: 0,
    }
}

/// One server's warm-up; times are seconds since the load began.
#[derive(Debug, Clone)]
pub(super) struct Ramp {
    /// Median latency of each slice, `[seconds, milliseconds]`.
    pub medians: Vec<[f64; 2]>,
    /// Its length as disclosed.
    pub length_s: f64,
    /// Its end as disclosed.
    pub end_s: f64,
    /// Where the warm-up found it steady, if it did.
    pub cut_s: Option<f64>,
    /// When the window was to open.
    pub opens_s: f64,
    /// Why the machine did not let the load be what it was to be.
    pub spoilt: Vec<String>,
}

impl Ramp {
    /// Whether the cut lies where the detector states it may, with slices of this length, and the window
    /// opens after the steady slices.
    pub(super) fn cut_right(&self, slice_s: f64) -> bool {
        let late_s = slice_s * STEADY as f64 / 2.0;
        let may = self.end_s - EARLY * self.length_s..=self.end_s + late_s;
        self.cut_s
            .is_some_and(|cut_s| may.contains(&cut_s) && self.opens_s > cut_s)
    }
}

/// Starts servers that warm up, and watches each as a trial does; again where the machine was busy with
/// something else, as a trial would be run again.
pub(super) async fn measure(
    lab: &Lab,
    sound: &mut Sound,
) -> Result<[(Setting, Vec<Ramp>); 2], Broken> {
    let [quick, full] = settings(lab);
    let of_quick = all(lab, &quick, sound).await?;
    let of_full = all(lab, &full, sound).await?;
    Ok([(quick, of_quick), (full, of_full)])
}

async fn all(lab: &Lab, setting: &Setting, sound: &mut Sound) -> Result<Vec<Ramp>, Broken> {
    let mut ramps = Vec::new();
    for _ in 0..setting.ramps {
        let measured = sound.measure(async || one(lab, setting).await, |ramp| &ramp.spoilt);
        ramps.push(measured.await?);
    }
    Ok(ramps)
}

async fn one(lab: &Lab, setting: &Setting) -> Result<Ramp, Broken> {
    let faults = Faults {
        ramp: Some(Asked {
            seconds: setting.ramp_s,
            from_us: FROM_US,
            level_us: LEVEL_US,
        }),
        ..Faults::default()
    };
    let mut bench = probe::bench(lab, Transport::SseH1, faults)?;
    let retry = Duration::from_secs(3);
    let subscribers = setting.subscribers.get();
    let mut server = bench.start_server(subscribers, retry).await?;
    let mut audience = Audience::new(&bench, &server, false);
    audience
        .grow(&mut bench, &server, subscribers, |_| false)
        .await;
    let rate = setting.messages_per_second.per_second();
    server.command(Command::Feed { rate }).await?;
    let begun_ns = now_ns();
    *audience.recorder() = Recorder::new(begun_ns..u64::MAX);
    let pacer = bench.pacer.clone();
    let median_ns = || take_median_ns(&mut audience.recorder());
    let mut hindrance = Hindrance::default();
    hindrance.begin(&server)?;
    let warmed = setting.warm_up.watch(&pacer, begun_ns, median_ns).await;
    hindrance.end(&server)?;
    warmed.report(&mut bench);
    // What is invalid so far shows nothing: too few streams, or a load that never settled.
    let settled = bench.record.invalid.is_empty();
    bench.record.invalid.clear();
    hindrance.report(&mut bench);
    let spoilt = std::mem::take(&mut bench.record.invalid);
    server.command(Command::End).await?;
    audience.leave().await?;
    // The cut is made: now the truth may be asked for.
    let fall = server.disclose().await?.ramp;
    server.stop().await?;
    let seconds = |name: &str| {
        let ms = bench.record.metrics.get(name).copied().flatten();
        ms.map(|ms| ms / 1e3)
    };
    let points = bench.record.points.get("warm_up");
    let medians = points.into_iter().flatten();
    let medians = medians.map(|[ms, median_ms]| [ms / 1e3, *median_ms]);
    ended(fall, begun_ns)
        .map(|(length_s, end_s)| Ramp {
            medians: medians.collect(),
            length_s,
            end_s,
            cut_s: seconds("steady_from_ms").filter(|_| settled),
            opens_s: seconds("warm_up_ms").unwrap_or(0.0),
            spoilt,
        })
        .ok_or_else(|| Broken::Waited("a server that warms up published something".into()))
}

/// Length and end of a ramp that has begun, seconds; the end since the load began.
fn ended(fall: Option<Fall>, begun_ns: u64) -> Option<(f64, f64)> {
    let fall = fall?;
    let end_ns = (fall.began_at? + fall.over_ns) as f64;
    Some((fall.over_ns as f64 / 1e9, (end_ns - begun_ns as f64) / 1e9))
}

/// The share of ramps that were cut right: how many, of how many.
pub(super) fn cut_right((setting, ramps): &(Setting, Vec<Ramp>)) -> (usize, usize) {
    let right = ramps
        .iter()
        .filter(|ramp| ramp.cut_right(setting.slice_ns() / 1e9));
    (right.count(), ramps.len())
}

/// Where the cuts that were not right lay, in words.
pub(super) fn wrong((setting, ramps): &(Setting, Vec<Ramp>)) -> Vec<String> {
    let wrong = ramps
        .iter()
        .filter(|ramp| !ramp.cut_right(setting.slice_ns() / 1e9));
    let told = wrong.map(|ramp| {
        let Ramp {
            length_s,
            end_s,
            cut_s,
            ..
        } = ramp;
        let cut = cut_s.map_or("never".to_owned(), |cut_s| format!("at {cut_s:.2} s"));
        let name = setting.name;
        format!("{name}: a ramp over {length_s:.2} s that ended at {end_s:.2} s was cut {cut}")
    });
    told.collect()
}

/// One ramp with its cut and its end: one that was cut wrong, if there is one.
pub(super) fn picture(all: &[(Setting, Vec<Ramp>)]) -> Option<Picture> {
    let (setting, ramps) = all.last()?;
    let slice_s = setting.slice_ns() / 1e9;
    let wrong = ramps.iter().find(|ramp| !ramp.cut_right(slice_s));
    let ramp = wrong.or(ramps.first())?;
    let highest = ramp.medians.iter().map(|[_, ms]| *ms).fold(0.0, f64::max);
    let upright = |at: f64| vec![[at, 0.0], [at, highest]];
    let mut series = vec![
        Series {
            name: "median latency of a slice".to_owned(),
            look: Look::Dots,
            points: ramp.medians.clone(),
        },
        Series {
            name: "end of the ramp".to_owned(),
            look: Look::Truth,
            points: upright(ramp.end_s),
        },
    ];
    series.extend(ramp.cut_s.map(|cut_s| Series {
        name: "cut".to_owned(),
        look: Look::Line,
        points: upright(cut_s),
    }));
    Some(Picture {
        title: "A ramp, where it ended and where it was cut".to_owned(),
        subtitle: format!("the warm-up of the {} plan; one that was cut wrong, if there is one", setting.name),
        caption: "Dots are what the detector saw. The dashed line is where the server said afterwards that its delay \
                  was over, the drawn one where the warm-up had cut."
            .to_owned(),
        x_title: "seconds since the load began".to_owned(),
        y_title: "latency, ms".to_owned(),
        x_logarithmic: false,
        y_logarithmic: false,
        series,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::calibrate::Effort;

    /// Ramps of the quick plan from four times the level, over eighty slices, with noise of 5 %; each cut
    /// by a detector that is asked after each slice.
    pub fn made_up(detector: fn(&[f64], usize) -> Option<usize>) -> (Setting, Vec<Ramp>) {
        let lab = Lab {
            site: crate::bench::Site {
                server_binary: Default::default(),
                directory: Default::default(),
                server_cores: Vec::new(),
                generator_cores: Vec::new(),
            },
            effort: Effort::Quick,
        };
        let [setting, _] = settings(&lab);
        let slice_s = setting.slice_ns() / 1e9;
        let ramp = |seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut noise = || 1.0 + 0.1 * (random.random::<f64>() - 0.5);
            let at = |slice: u32| 3.0 * (1.0 - f64::from(slice) / 80.0).max(0.0);
            let medians: Vec<f64> = (0..300)
                .map(|slice| 0.1 * (1.0 + at(slice)) * noise())
                .collect();
            let asked = |end: usize| Some((end, detector(&medians[..end], STEADY)?));
            let found = (1..=medians.len()).find_map(asked);
            Ramp {
                length_s: 80.0 * slice_s,
                end_s: 80.0 * slice_s,
                cut_s: found.map(|(_, cut)| cut as f64 * slice_s),
                opens_s: found.map_or(0.0, |(end, _)| end as f64 * slice_s),
                medians: Vec::new(),
                spoilt: Vec::new(),
            }
        };
        (setting, (0..20).map(ramp).collect())
    }

    #[test]
    fn a_cut_is_right_within_what_the_detector_states() {
        let cut = |cut_s: f64| Ramp {
            medians: Vec::new(),
            length_s: 2.0,
            end_s: 2.1,
            cut_s: Some(cut_s),
            opens_s: cut_s + 0.6,
            spoilt: Vec::new(),
        };
        for (cut_s, right) in [(1.69, false), (1.71, true), (2.39, true), (2.41, false)] {
            assert_eq!(cut(cut_s).cut_right(0.01), right, "{cut_s}");
        }
        let never = Ramp {
            cut_s: None,
            ..cut(2.0)
        };
        assert!(!never.cut_right(0.01));
        let unused = Ramp {
            opens_s: 1.0,
            ..cut(2.0)
        };
        assert!(!unused.cut_right(0.01), "the window did not wait for it");
    }

    #[test]
    fn a_ramp_ends_as_the_server_says() {
        let fall = Fall {
            from_ns: 1,
            over_ns: 2_000_000_000,
            level_ns: 0,
            began_at: Some(5_000_000_000),
        };
        let (length_s, end_s) = ended(Some(fall), 5_500_000_000).unwrap();
        assert_eq!((length_s, end_s), (2.0, 1.5));
        let never = Fall {
            began_at: None,
            ..fall
        };
        assert!(ended(Some(never), 0).is_none() && ended(None, 0).is_none());
    }
}

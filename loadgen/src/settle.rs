//! When warm-up is over, found in the measurements themselves and not guessed: pure.
//!
//! **The cut.** A process that starts is slow at first: caches are cold, allocators grow, cores wake.
//! MSER, the marginal standard error rule, discards as many of the first slices as makes the standard
//! error of the mean of the others smallest (White, "An effective truncation heuristic for bias
//! reduction in simulation output", Simulation 69, 1997; White, Cobb and Spratt, "A comparison of five
//! steady-state truncation heuristics for simulation", Winter Simulation Conference 2000, where it did
//! best). A slice of the ramp is further from the others than chance would have it, so keeping it
//! costs more than its one more measurement gains. There is nothing to tune, and no level to know
//! beforehand.
//!
//! **Online.** The rule was made for series that are complete. Here it is asked again as each slice
//! ends, and believed once it keeps enough slices: while a ramp lasts, the best cut moves along with it
//! and stays close to the end.
//!
//! **Two additions.** A slice that the machine disturbed would look like a level of its own, so the
//! cut is sought in running medians of five, which neither one nor two such slices in a row can move.
//! And of a ramp so gentle that its fall over the wanted slices is little more than their noise, MSER
//! keeps a part; so what is kept must also show no trend by the test of Mann and Kendall (Mann,
//! Econometrica 13, 1945), which counts the pairs that rise against those that fall and is not moved by
//! single slices either. While it shows one, its first eighth is given up too.
//!
//! **What is left behind.** Simulated ([`STEADY`] slices; linear and exponential ramps over 20 to 200
//! slices, 2 to 20 times the level; noise of 3 and 10 % with spikes; this module's tests repeat it), the
//! cut of a linear ramp lies at most a fifth of the ramp before its end and at most [`STEADY`] / 2 slices
//! behind it, and the slices that follow upon settling are off by less than one standard deviation of a
//! slice, in at least 95 % of series. Too early a cut is harmless within this: measured is what follows
//! upon settling, and one standard deviation is at most the 10 % that margins call no difference; a
//! window is as long as [`STEADY`] slices or longer, and what is left of a ramp shrinks. Too late a cut
//! costs time only. Not seen is a ramp that falls by less than three standard deviations over [`STEADY`]
//! slices.
//!
//! **In time.** 20 to 200 slices are ramps of 0.2 to 2 s in the quick plan, whose slices last 10 ms, and of
//! 1 to 10 s in the full plan, whose slices last 50 ms. On two cores the medians of steady slices of the
//! quick plan scattered by 9 to 12 % in latency and by 2 to 7 % in throughput, within what is simulated. A
//! ramp of 10 s may pass for noise in the quick plan: it falls by 6 % of its height in the 0.6 s in which
//! nothing must change, and by a quarter of it at most in a window. With fewer slices than [`STEADY`], of a
//! plan whose warm-up is shorter than 0.6 s, less is seen than is stated here.

/// Slices that show a steady state: what the warm-ups of the built-in plans are cut into, 0.6 s of 10 ms
/// (quick) and 3 s of 50 ms (full). With half as many, a ramp over 200 slices hides in noise of 10 %.
pub const STEADY: usize = 60;

/// Slices on either side of one that its running median takes in.
const NEIGHBOURS: usize = 2;

/// A trend is one if the normal deviate of Mann and Kendall's statistic is beyond this. A steady series
/// is beyond it one look in three, which costs it a few slices; the usual 1.96 would let half of the
/// ramps pass that fall by as much as can be told from noise.
const TREND_DEVIATE: f64 = 1.0;

/// The share of what is kept that is given up while it shows a trend, as a divisor.
const GIVEN_UP: usize = 8;

/// The index of the first slice of the steady part, once at least `steady` slices belong to it; `None`
/// while it has not settled.
///
/// `slices` are medians of successive slices of time of the same length, all finite. To be asked after
/// each slice: the first answer is the one that counts, and measuring begins there.
pub fn settled(slices: &[f64], steady: usize) -> Option<usize> {
    let steady = steady.max(1);
    if slices.len() < steady {
        return None;
    }
    let mut cut = mser_cut(&running_medians(slices), steady.div_ceil(2))?;
    while slices.len() - cut >= steady {
        if mann_kendall_deviate(&slices[cut..]).abs() <= TREND_DEVIATE {
            return Some(cut);
        }
        cut += ((slices.len() - cut) / GIVEN_UP).max(1);
    }
    None
}

/// The median of each slice and its neighbours; at the ends, of as many as there are on both sides.
fn running_medians(slices: &[f64]) -> Vec<f64> {
    (0..slices.len())
        .map(|at| {
            let reach = NEIGHBOURS.min(at).min(slices.len() - 1 - at);
            let mut near = slices[at - reach..=at + reach].to_vec();
            near.sort_by(f64::total_cmp);
            near[reach]
        })
        .collect()
}

/// The cut at which the squared standard error of the mean of what remains, Σ(x − mean)² / m², is
/// smallest; the first of equals. At least `least` slices remain: the spread of a few is small by
/// chance.
fn mser_cut(slices: &[f64], least: usize) -> Option<usize> {
    // From the back, by Welford's update, so that a constant series has a spread of exactly 0.
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut best: Option<(f64, usize)> = None;
    for (cut, &slice) in slices.iter().enumerate().rev() {
        let remain = (slices.len() - cut) as f64;
        let deviation = slice - mean;
        mean += deviation / remain;
        squares += deviation * (slice - mean);
        let error = squares / (remain * remain);
        if slices.len() - cut >= least && best.is_none_or(|(smallest, _)| error <= smallest) {
            best = Some((error, cut));
        }
    }
    best.map(|(_, cut)| cut)
}

/// Rising pairs less falling ones, in standard deviations of a series without a trend and without ties.
fn mann_kendall_deviate(slices: &[f64]) -> f64 {
    let mut rising_less_falling = 0i64;
    for (at, earlier) in slices.iter().enumerate() {
        for later in &slices[at + 1..] {
            rising_less_falling += i64::from(later > earlier) - i64::from(later < earlier);
        }
    }
    let count = slices.len() as f64;
    let deviation = (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    if deviation > 0.0 {
        rising_less_falling as f64 / deviation
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SERIES: u64 = 200;
    const RIGHT: usize = 190;
    /// Enough for the longest tail; what has not settled by then has not settled.
    const LONGEST: usize = 800;

    /// How much slower than steady, as a multiple of the level, at each slice.
    #[derive(Debug, Clone, Copy)]
    enum Ramp {
        Linear { from: f64, slices: f64 },
        Exponential { from: f64, slices: f64 },
    }

    impl Ramp {
        fn at(self, slice: usize) -> f64 {
            match self {
                Self::Linear { from, slices } => from * (1.0 - slice as f64 / slices).max(0.0),
                // A twentieth is left after `slices`.
                Self::Exponential { from, slices } => from * (-3.0 * slice as f64 / slices).exp(),
            }
        }

        fn mean(self, slices: std::ops::Range<usize>) -> f64 {
            let count = slices.len() as f64;
            slices.map(|slice| self.at(slice)).sum::<f64>() / count
        }
    }

    fn normal(random: &mut ChaCha8Rng) -> f64 {
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
    }

    /// As medians of slices are: noise in proportion to the level, and one slice in thirty disturbed.
    fn noisy(level: f64, noise: f64, random: &mut ChaCha8Rng) -> f64 {
        let disturbed = if random.random::<f64>() < 1.0 / 30.0 {
            1.0 + 3.0 * random.random::<f64>()
        } else {
            1.0
        };
        level * (1.0 + noise * normal(random)) * disturbed
    }

    /// The cut and the number of slices when it was first given, asked as a trial asks.
    fn online(mut slice: impl FnMut(usize) -> f64) -> Option<(usize, usize)> {
        let mut slices = Vec::new();
        (0..LONGEST).find_map(|at| {
            slices.push(slice(at));
            // Every sixth is enough here, and saves the test's time.
            let asked = at % 6 == 0;
            let cut = asked.then(|| settled(&slices, STEADY)).flatten()?;
            Some((cut, slices.len()))
        })
    }

    fn shapes(random: &mut ChaCha8Rng) -> [Ramp; 2] {
        let from = 2.0 * 10f64.powf(random.random());
        let slices = f64::from(random.random_range(20..=200u32));
        [
            Ramp::Linear { from, slices },
            Ramp::Exponential { from, slices },
        ]
    }

    #[test]
    fn ramps_are_cut_within_the_stated_tolerance() {
        for noise in [0.03, 0.1] {
            let (mut linear, mut exponential) = (0, 0);
            for seed in 0..SERIES {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                for ramp in shapes(&mut random) {
                    let settled = online(|slice| noisy(1.0 + ramp.at(slice), noise, &mut random));
                    let Some((cut, from)) = settled else { continue };
                    let harmless = ramp.mean(from..from + STEADY) <= noise;
                    match ramp {
                        Ramp::Linear { slices, .. } => {
                            let early = cut as f64 >= 0.8 * slices;
                            let late = cut as f64 <= slices + STEADY as f64 / 2.0;
                            linear += usize::from(harmless && early && late);
                        }
                        Ramp::Exponential { .. } => exponential += usize::from(harmless),
                    }
                }
            }
            assert!(linear >= RIGHT, "{linear} of {SERIES}, noise {noise}");
            assert!(
                exponential >= RIGHT,
                "{exponential} of {SERIES}, noise {noise}"
            );
        }
    }

    #[test]
    fn flat_series_settle_at_once() {
        for noise in [0.0, 0.03, 0.1] {
            let mut at_once = 0;
            for seed in 0..SERIES {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                if let Some((cut, from)) = online(|_| noisy(60.0, noise, &mut random)) {
                    at_once += usize::from(cut <= STEADY / 2 && from <= STEADY * 2);
                }
            }
            assert!(at_once >= RIGHT, "{at_once} of {SERIES}, noise {noise}");
        }
        assert_eq!(settled(&[7.0; STEADY], STEADY), Some(0));
        assert_eq!(settled(&[7.0; STEADY - 1], STEADY), None);
        assert_eq!(settled(&[], 0), None);
    }

    #[test]
    fn what_never_settles_is_never_called_settled() {
        for seed in 0..SERIES / 10 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let rising = online(|slice| noisy(1.0 + 0.02 * slice as f64, 0.03, &mut random));
            assert_eq!(rising, None, "rising, seed {seed}");
            let falling =
                online(|slice| noisy(1.0 - 0.9 * slice as f64 / LONGEST as f64, 0.01, &mut random));
            assert_eq!(falling, None, "falling, seed {seed}");
        }
    }

    #[test]
    fn disturbed_slices_do_not_move_the_cut() {
        let quiet: Vec<f64> = (0..150)
            .map(|slice| {
                if slice < 40 {
                    5.0
                } else {
                    1.0 + 0.01 * f64::from(slice % 7)
                }
            })
            .collect();
        let mut disturbed = quiet.clone();
        for slice in [50, 51, 90, 120, 121, 149] {
            disturbed[slice] = 50.0;
        }
        for slices in [quiet, disturbed] {
            let cut = settled(&slices, STEADY).unwrap();
            assert!((40..=40 + STEADY / 2).contains(&cut), "{cut}");
        }
    }
}

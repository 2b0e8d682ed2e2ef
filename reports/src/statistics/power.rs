//! How many rounds a verdict needs: the chance that a run of given length finds a difference, or shows
//! that there is none that matters.
//!
//! The mean of the rounds and their standard deviation are independent, the one normal and the other
//! chi distributed, so the chance of any verdict is one integral over the standard deviation that a run
//! may happen to see. With no margin it is the power of the noncentral t test (Student's t in G*Power or
//! R's `power.t.test`); the verdicts' order and the margin come in exactly. A normal approximation
//! would promise too much at the 4 to 10 rounds of a run.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

use super::{Level, Spread, student::critical_at};

/// The chance that is aimed at. One wasted run in ten costs less than the half again as many rounds
/// that one in fifty would need; 0.9 is also what pushbench's calibration holds the advice against.
pub const POWER: f64 = 0.9;

/// Fewest rounds of a verdict (`verdict::MIN_ROUNDS`), and even, as rounds come in mirrored pairs.
const FEWEST: u32 = 4;

/// More are never advised: at the quick plan's pace that is a day and a half, over which a machine's
/// state is another source of noise.
pub const MOST: u32 = 1_000;

/// A run of one effect, before it is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prospect {
    /// Below 4 every verdict is `inconclusive`, so every chance is 0.
    pub rounds: u32,
    /// What the rounds will scatter by. Where they do not, the interval is a point, and a verdict certain.
    pub spread: Spread,
    /// The largest effect that does not matter, on the spread's scale: ln(1 + share) for a relative
    /// margin. At least 0.
    pub margin: f64,
    /// Of the interval.
    pub level: Level,
    /// Of the test; the interval's, or stricter where Holm's correction spans several effects.
    pub test: Level,
}

impl Prospect {
    /// The chance of `better` or `worse`, whichever is true of this effect (on the spread's scale, its
    /// sign of no account); an interval wholly inside the margin is `equivalent` and does not count.
    pub fn found(&self, effect: f64) -> f64 {
        if self.spread.0 == 0.0 {
            return self.certain(effect.abs() > self.margin);
        }
        let test = self.critical(self.test);
        self.over_errors(|error, interval| {
            let least = (test * error).max(self.margin - interval * error);
            normal_above(least - effect.abs(), self.true_error())
        })
    }

    /// The chance of `equivalent` at this true effect.
    pub fn equivalent(&self, effect: f64) -> f64 {
        if self.spread.0 == 0.0 {
            return self.certain(effect.abs() <= self.margin);
        }
        self.over_errors(|error, interval| {
            let room = self.margin - interval * error;
            if room < 0.0 {
                return 0.0;
            }
            let true_error = self.true_error();
            normal_above(-room - effect.abs(), true_error)
                - normal_above(room - effect.abs(), true_error)
        })
    }

    /// The chance of any verdict but `inconclusive` (one that says the wrong way apart).
    pub fn decided(&self, effect: f64) -> f64 {
        self.found(effect) + self.equivalent(effect)
    }

    /// The chance of a verdict that no scatter can change.
    fn certain(&self, so: bool) -> f64 {
        f64::from(u8::from(so && self.rounds >= FEWEST))
    }

    /// Standard error of the mean, in truth.
    fn true_error(&self) -> f64 {
        self.spread.0 / f64::from(self.rounds).sqrt()
    }

    fn critical(&self, level: Level) -> f64 {
        critical_at(f64::from(self.rounds) - 1.0, level).unwrap_or(f64::INFINITY)
    }

    /// The mean of a chance over the standard errors that the rounds may happen to show, given with the
    /// interval's critical value: Simpson's rule over s ÷ σ, which is chi ÷ √freedom.
    fn over_errors(&self, chance: impl Fn(f64, f64) -> f64) -> f64 {
        // Even; ten times as many move no chance by 2e-5.
        const STEPS: u32 = 400;
        if self.rounds < FEWEST {
            return 0.0;
        }
        let (interval, freedom) = (self.critical(self.level), f64::from(self.rounds) - 1.0);
        // Eight of chi's standard deviations (at most √½) to either side.
        let reach = 8.0 / freedom.sqrt();
        let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
        let step = (high - low) / f64::from(STEPS);
        let (mut sum, mut mass) = (0.0, 0.0);
        for position in 0..=STEPS {
            let scatter = low + step * f64::from(position);
            let weight = match position {
                0 | STEPS => 1.0,
                odd if odd % 2 == 1 => 4.0,
                _ => 2.0,
            };
            let mass_here = weight * chi_density(scatter, freedom);
            mass += mass_here;
            sum += mass_here * chance(scatter * self.true_error(), interval);
        }
        sum / mass
    }
}

/// The smallest even number of rounds, at least 4, at which a true effect as large as `margin` is found
/// and no effect at all is shown `equivalent`, each with at least the chance `power`; nothing above
/// [`MOST`], where no number would do (a margin of 0 with rounds that scatter), or for a power that even
/// endless rounds miss (1 − half the significance: an interval may always lie on the inner side).
///
/// `margin` is on the scale of `spread`, as in [`Prospect::margin`]; `power` is at least a half. One effect is judged for itself: in
/// a family of several, Holm's correction may ask for more.
pub fn rounds_needed(spread: Spread, margin: f64, power: f64, level: Level) -> Option<u32> {
    let enough = |rounds| {
        let prospect = Prospect {
            rounds,
            spread,
            margin,
            level,
            test: level,
        };
        prospect.found(margin) >= power && prospect.equivalent(0.0) >= power
    };
    if spread.0 == 0.0 {
        return Some(FEWEST);
    }
    fewest(FEWEST, enough)
}

/// The smallest even number of rounds, above those `seen`, that would bring a verdict with the chance
/// [`POWER`], were `estimate` and `spread` the truth: `better` or `worse` where the estimate lies
/// outside the margin, mostly `equivalent` where it lies well inside, either of them between. Nothing
/// above [`MOST`].
///
/// `estimate` and `margin` are on the scale of `spread`; `test` as in [`Prospect::test`]. Both inputs
/// are estimates of a run that did not decide, so the number is a guide and no promise.
pub fn rounds_to_decide(
    estimate: f64,
    spread: Spread,
    margin: f64,
    (level, test): (Level, Level),
    seen: u32,
) -> Option<u32> {
    let start = FEWEST.max(seen + 1).next_multiple_of(2);
    if spread.0 == 0.0 {
        return Some(start);
    }
    fewest(start, |rounds| {
        let prospect = Prospect {
            rounds,
            spread,
            margin,
            level,
            test,
        };
        prospect.decided(estimate) >= POWER
    })
}

/// The smallest even number from `start` to [`MOST`] that is enough, given that more never is less.
fn fewest(start: u32, enough: impl Fn(u32) -> bool) -> Option<u32> {
    let (mut low, mut high) = (start / 2, MOST / 2);
    if low > high || !enough(2 * high) {
        return None;
    }
    while low < high {
        let middle = low.midpoint(high);
        if enough(2 * middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(2 * low)
}

/// P(x > `distance`) of a normal x about 0.
fn normal_above(distance: f64, standard_deviation: f64) -> f64 {
    Normal::standard().sf(distance / standard_deviation)
}

/// Density of s ÷ σ at `scatter`, up to rounding: chi over the root of its freedom, which is above 1, so
/// that there is none at 0.
fn chi_density(scatter: f64, freedom: f64) -> f64 {
    if scatter <= 0.0 {
        return 0.0;
    }
    let half = freedom / 2.0;
    let log = half * half.ln() - ln_gamma(half) + (freedom - 1.0) * scatter.ln()
        - half * scatter * scatter;
    2.0 * log.exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::effect::Verdict;
    use crate::record::{Better, MarginKind};
    use crate::statistics::{Pair, mean_difference};
    use crate::verdict::{Case, Scale, harmless};

    const ALPHA: Level = Level::CONVENTION;

    fn unit(rounds: u32, margin: f64) -> Prospect {
        Prospect {
            rounds,
            spread: Spread(1.0),
            margin,
            level: ALPHA,
            test: ALPHA,
        }
    }

    /// Paired t tests, two-sided, α 0.05, as R's `power.t.test(type = "paired")` and G*Power print them:
    /// the fewest pairs for an effect of so many standard deviations.
    #[test]
    fn without_a_margin_it_is_the_power_of_the_t_test() {
        for (effect, power, pairs) in [
            (1.0, 0.9, 13),
            (1.0, 0.8, 10),
            (0.8, 0.8, 15),
            (0.5, 0.8, 34),
            (0.5, 0.9, 44),
            (0.2, 0.8, 199),
        ] {
            assert!(unit(pairs, 0.0).found(effect) >= power, "{pairs}");
            assert!(unit(pairs - 1, 0.0).found(effect) < power, "{pairs}");
        }
        // Without an effect a two-sided test at 5 % finds either way in half of that.
        for rounds in [4, 6, 10, 100] {
            assert!((unit(rounds, 0.0).found(0.0) - 0.025).abs() < 1e-5);
        }
    }

    /// Against whole runs through estimate and verdict: 6,000 each, the bound four standard errors.
    #[test]
    fn chances_are_those_of_simulated_verdicts() {
        const RUNS: u32 = 6_000;
        let mut random = ChaCha8Rng::seed_from_u64(11);
        for (rounds, margin, effect, level) in [
            (4, 2.0, 2.0, ALPHA),
            (6, 1.5, 0.0, ALPHA),
            (6, 1.5, 1.5, ALPHA),
            (10, 1.0, 0.4, ALPHA),
            (12, 0.9, 1.35, ALPHA.shared(4)),
            (40, 0.5, 0.3, ALPHA.shared(4)),
        ] {
            let prospect = Prospect {
                level,
                test: level,
                ..unit(rounds, margin)
            };
            let mut counts = [0_u32; 2];
            for _ in 0..RUNS {
                match simulated(&mut random, &prospect, effect) {
                    Verdict::Equivalent => counts[0] += 1,
                    Verdict::Worse => counts[1] += 1,
                    Verdict::Better | Verdict::Inconclusive => {}
                }
            }
            let chances = [prospect.equivalent(effect), prospect.found(effect)];
            for (count, chance) in counts.into_iter().zip(chances) {
                let share = f64::from(count) / f64::from(RUNS);
                let error = (chance * (1.0 - chance) / f64::from(RUNS)).sqrt();
                assert!(
                    (share - chance).abs() < 4.0 * error + 1e-4,
                    "{rounds} rounds, effect {effect}: {share} seen, {chance} promised"
                );
            }
        }
    }

    fn simulated(random: &mut ChaCha8Rng, prospect: &Prospect, effect: f64) -> Verdict {
        let normal = Normal::standard();
        let pairs: Vec<Pair> = (0..prospect.rounds)
            .map(|_| Pair {
                baseline: 0.0,
                arm: effect + normal.inverse_cdf(random.random_range(1e-12..1.0)),
            })
            .collect();
        let estimate = mean_difference(&pairs, prospect.level).unwrap();
        let case = Case {
            rounds: prospect.rounds,
            scale: Scale::Difference,
            interval: estimate.interval,
            harmless: harmless(
                Scale::Difference,
                prospect.margin,
                MarginKind::Absolute,
                0.0,
            ),
            p: estimate.p,
            level: prospect.level,
            better: Better::Lower,
        };
        case.verdict()
    }

    #[test]
    fn the_rounds_advised_keep_both_promises_and_two_fewer_do_not() {
        let mut seen = Vec::new();
        for margin in [0.1, 0.2, 0.5, 0.8, 1.0, 2.0, 5.0] {
            for level in [ALPHA, ALPHA.shared(4)] {
                let rounds = rounds_needed(Spread(1.0), margin, POWER, level);
                let Some(rounds) = rounds else {
                    assert_eq!(margin, 0.1);
                    continue;
                };
                let keeps = |rounds| {
                    let prospect = Prospect {
                        level,
                        test: level,
                        ..unit(rounds, margin)
                    };
                    prospect.found(margin) >= POWER && prospect.equivalent(0.0) >= POWER
                };
                assert!(rounds.is_multiple_of(2) && keeps(rounds));
                assert!(rounds == FEWEST || !keeps(rounds - 2), "{rounds}");
                seen.push(rounds);
            }
        }
        assert!(seen.contains(&FEWEST) && seen.iter().any(|rounds| *rounds > 100));
    }

    #[test]
    fn fewer_rounds_than_a_verdict_needs_bring_none() {
        for rounds in 0..FEWEST {
            for spread in [0.0, 1.0] {
                let prospect = Prospect {
                    spread: Spread(spread),
                    ..unit(rounds, 5.0)
                };
                assert_eq!((prospect.found(9.0), prospect.equivalent(0.0)), (0.0, 0.0));
            }
        }
        assert!(unit(FEWEST, 5.0).equivalent(0.0) > 0.9 && unit(FEWEST, 5.0).found(90.0) > 0.9);
    }

    /// As the verdict has it of an interval that is a point: the margin itself is inside.
    #[test]
    fn rounds_that_do_not_scatter_decide_with_certainty() {
        for (margin, effect, found, equivalent) in [
            (1.0, 0.0, 0.0, 1.0),
            (1.0, -1.0, 0.0, 1.0),
            (1.0, 1.1, 1.0, 0.0),
            (0.0, 0.0, 0.0, 1.0),
            (0.0, -0.1, 1.0, 0.0),
        ] {
            let prospect = Prospect {
                spread: Spread(0.0),
                ..unit(6, margin)
            };
            let chances = (prospect.found(effect), prospect.equivalent(effect));
            assert_eq!(chances, (found, equivalent), "{effect} against {margin}");
        }
    }

    #[test]
    fn what_no_number_of_rounds_can_do_has_none() {
        let needed = |sd, margin, power| rounds_needed(Spread(sd), margin, power, ALPHA);
        assert_eq!(needed(1.0, 0.0, POWER), None);
        assert_eq!(needed(1.0, 0.01, POWER), None);
        assert_eq!(needed(1.0, 10.0, 0.98), None, "one in forty lies inside");
        assert_eq!(needed(0.0, 0.0, POWER), Some(FEWEST));
        assert_eq!(needed(0.0, 1.0, POWER), Some(FEWEST));
    }

    #[test]
    fn what_would_decide_depends_on_where_the_estimate_lies() {
        let decide = |estimate, margin, test| {
            rounds_to_decide(estimate, Spread(1.0), margin, (ALPHA, test), 6)
        };
        // Outside: as many as find it; inside: as many as show it does not matter.
        assert_eq!(decide(1.0, 0.0, ALPHA), Some(14));
        assert_eq!(decide(-1.0, 0.0, ALPHA), decide(1.0, 0.0, ALPHA));
        assert!(unit(decide(0.0, 0.5, ALPHA).unwrap(), 0.5).equivalent(0.0) >= POWER - 0.025);
        assert!(decide(1.0, 0.1, ALPHA.shared(8)) > decide(1.0, 0.1, ALPHA));
        assert_eq!(decide(0.02, 0.0, ALPHA), None);
        // Always more than those that did not decide.
        assert_eq!(decide(9.0, 0.1, ALPHA), Some(8));
        assert_eq!(
            rounds_to_decide(0.0, Spread(0.0), 0.0, (ALPHA, ALPHA), 3),
            Some(4)
        );
        assert_eq!(
            rounds_to_decide(1.0, Spread(1.0), 0.1, (ALPHA, ALPHA), MOST),
            None
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn chances_are_probabilities_that_grow_with_the_rounds(
            rounds in 4_u32..60,
            margin in 0.0_f64..3.0,
            share in 0.0_f64..2.0,
        ) {
            let [few, many] = [rounds, rounds + 2].map(|rounds| unit(rounds, margin));
            for prospect in [few, many] {
                let (found, equivalent) = (prospect.found(share), prospect.equivalent(share));
                prop_assert!((0.0..=1.0).contains(&found) && (0.0..=1.0).contains(&equivalent));
                prop_assert!(found + equivalent <= 1.0 + 1e-9);
            }
            // What the search relies on; below a half, luck with a small deviation comes first.
            let grows = |few: f64, many: f64| few < 0.5 || many >= few - 1e-4;
            prop_assert!(grows(few.found(margin), many.found(margin)));
            prop_assert!(grows(few.equivalent(0.0), many.equivalent(0.0)));
            prop_assert!(grows(few.decided(share), many.decided(share)));
        }
    }
}

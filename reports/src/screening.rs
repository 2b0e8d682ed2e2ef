//! What a screen found: each factor's effect on each metric, the transport as one among them, judged as
//! every other effect is.

mod asked;
mod design;
pub mod table;
mod words;

use serde::Serialize;

use self::asked::Asked;
use crate::effect::{Effect, Verdict};
use crate::estimate::level;
use crate::record::{Experiment, Plan, Record};
use crate::trials::Trials;
use crate::verdict::{MIN_ROUNDS, Scale};

pub(crate) use self::design::flaw;
pub use self::words::size;

/// Fewest degrees of freedom that a verdict may rest on: those of the fewest rounds.
pub const MIN_FREEDOM: usize = MIN_ROUNDS as usize - 1;

/// One experiment's screen, in `screens` of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Screening {
    /// Experiment's name.
    pub experiment: String,
    /// The two transports; effects of the transport are the second's against the first.
    pub transports: [String; 2],
    /// In the experiment's order, the primary one first.
    pub metrics: Vec<ScreenedMetric>,
}

/// What matters to one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScreenedMetric {
    /// Metric's name.
    pub metric: String,
    /// What its effects and its interactions are judged on: `ratio` or `difference`.
    pub scale: Scale,
    /// Trials that yielded it.
    pub trials: usize,
    /// What the replicates leave for the error; below 3 there is no interval and no verdict.
    pub degrees_of_freedom: usize,
    /// What outranks the transport, in a sentence.
    pub ranking: String,
    /// The transport and every factor, the largest first; those that cannot be estimated last.
    pub effects: Vec<ScreenedEffect>,
}

/// What one factor does, or the transport.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScreenedEffect {
    /// Factor's name; null for the transport.
    pub factor: Option<String>,
    /// The level from which the effect counts, or the first transport.
    pub low: String,
    /// The other.
    pub high: String,
    /// The one transport on which the factor exists; null where on both.
    pub only: Option<String>,
    /// High against low, mean of both transports or that of `only`. Holm's family is the effects of this
    /// metric; `rounds` is the smaller number of trials at either level.
    pub effect: Effect,
    /// By how much the effect differs between the transports; null for the transport, for a factor of one
    /// alone, and where it cannot be estimated.
    pub interaction: Option<Interaction>,
    /// Why there is no estimate; null where there is one.
    pub not_estimable: Option<String>,
}

/// An effect on the second transport against the same on the first: a ratio of ratios, or a difference of
/// differences.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interaction {
    /// On the metric's scale.
    pub value: f64,
    /// Low end of its interval.
    pub low: Option<f64>,
    /// High end of its interval.
    pub high: Option<f64>,
    /// Two-sided, of no interaction.
    pub p: Option<f64>,
    /// Holm's over the interactions of this metric.
    pub p_holm: Option<f64>,
    /// Whether the effect differs by more than chance, and not surely by less than the margin.
    pub differs: bool,
    /// The effect on either transport.
    pub on: [f64; 2],
}

impl ScreenedEffect {
    /// On the scale that decides.
    pub fn value(&self, scale: Scale) -> Option<f64> {
        match scale {
            Scale::Ratio => self.effect.ratio,
            Scale::Difference => self.effect.difference,
        }
    }

    /// Its interval, likewise.
    pub fn interval(&self, scale: Scale) -> Option<[f64; 2]> {
        let Effect {
            ratio_low,
            ratio_high,
            difference_low,
            difference_high,
            ..
        } = self.effect;
        match scale {
            Scale::Ratio => Some([ratio_low?, ratio_high?]),
            Scale::Difference => Some([difference_low?, difference_high?]),
        }
    }

    /// Whether a difference was found.
    pub fn is_decided(&self) -> bool {
        matches!(self.effect.verdict, Verdict::Better | Verdict::Worse)
    }
}

/// How far an effect is from none, whichever way: a factor's logarithm, a difference without its sign.
pub fn reach(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Ratio => value.ln().abs(),
        Scale::Difference => value.abs(),
    }
}

/// The screens of a plan, in its order; each has its rows also without a valid trial.
pub fn screenings(plan: &Plan, records: &[Record]) -> Vec<Screening> {
    let (level, trials) = (level(plan), Trials::new(records));
    let screening = |experiment: &Experiment| {
        let screen = experiment.screen.as_ref()?;
        let metric = |metric| Asked::new(experiment, screen, metric, &trials).answer(level);
        Some(Screening {
            experiment: experiment.name.clone(),
            transports: screen.transports.clone(),
            metrics: experiment.metrics.iter().map(metric).collect(),
        })
    };
    plan.experiments.iter().filter_map(screening).collect()
}

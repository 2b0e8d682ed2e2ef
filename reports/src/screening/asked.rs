//! One metric of a screen: from its trials to judged effects.

use super::design::layout;
use super::{Interaction, MIN_FREEDOM, ScreenedEffect, ScreenedMetric, reach, words};
use crate::effect::{Effect, Verdict};
use crate::judge::{Estimated, judge};
use crate::record::{Better, Experiment, Metric, Screen, ScreenedFactor};
use crate::sentence::screened_sentence;
use crate::statistics::{Design, Estimate, Half, Layout, Level, Place, Term, holm};
use crate::trials::Trials;
use crate::verdict::{Case, Scale, harmless};

/// Every term's estimate, none where the readings cannot tell it apart.
type Fitted = [(Term, Option<Estimate>)];

/// One metric of a screen with its readings.
pub(super) struct Asked<'a> {
    experiment: &'a Experiment,
    screen: &'a Screen,
    layout: Layout,
    /// Of this screen each metric is a family of its own, whichever is the experiment's primary one.
    metric: Metric,
    places: Vec<Place>,
    readings: Vec<f64>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        experiment: &'a Experiment,
        screen: &'a Screen,
        metric: &Metric,
        trials: &Trials<'_>,
    ) -> Self {
        let (mut places, mut readings) = (Vec::new(), Vec::new());
        for (row, own) in screen.rows.iter().enumerate() {
            for (arm, half) in own.arms.iter().zip([Half::First, Half::Second]) {
                for (block, reading) in trials.readings(&experiment.name, &metric.name, arm) {
                    places.push(Place { row, block, half });
                    readings.push(reading);
                }
            }
        }
        Self {
            experiment,
            screen,
            layout: layout(screen),
            metric: Metric {
                primary: true,
                ..metric.clone()
            },
            places,
            readings,
        }
    }

    pub(super) fn answer(&self, level: Level) -> ScreenedMetric {
        let design = Design::new(&self.layout, &self.places);
        let differences = fitted(&design, &self.readings, level);
        let logarithm = |reading: &f64| (*reading > 0.0).then(|| reading.ln());
        let logarithms: Option<Vec<f64>> = self.readings.iter().map(logarithm).collect();
        let ratios = logarithms.map(|logarithms| fitted(&design, &logarithms, level));
        let scale = Scale::of(self.metric.margin_kind, ratios.is_some());
        let on_scale = match (scale, &ratios) {
            (Scale::Ratio, Some(ratios)) => ratios,
            _ => &differences,
        };
        let mut effects = self.effects(&differences, ratios.as_deref(), level);
        self.add_interactions(&mut effects, on_scale, (scale, level));
        for (term, own) in &mut effects {
            own.effect.sentence = self.sentence(*term, own, design.freedom());
        }
        let mut effects: Vec<ScreenedEffect> = effects.into_iter().map(|(_, own)| own).collect();
        let size =
            |own: &ScreenedEffect| own.value(scale).map_or(-1.0, |value| reach(scale, value));
        effects.sort_by(|a, b| size(b).total_cmp(&size(a)));
        let screened = ScreenedMetric {
            metric: self.metric.name.clone(),
            scale,
            trials: self.readings.len(),
            degrees_of_freedom: design.freedom(),
            ranking: String::new(),
            effects,
        };
        ScreenedMetric {
            ranking: words::ranking(&screened, &self.metric, &self.screen.transports),
            ..screened
        }
    }

    /// The transport and every factor, in the design's order, judged as one family.
    fn effects(
        &self,
        differences: &Fitted,
        ratios: Option<&Fitted>,
        level: Level,
    ) -> Vec<(Term, ScreenedEffect)> {
        let main = |term: &Term| !matches!(term, Term::Interaction(_));
        let terms: Vec<Term> = differences
            .iter()
            .map(|(term, _)| *term)
            .filter(main)
            .collect();
        let labels: Vec<[String; 2]> = terms.iter().map(|term| self.labels(*term)).collect();
        let estimated: Vec<Estimated<'_>> = terms
            .iter()
            .zip(&labels)
            .map(|(term, [low, high])| {
                let [of_baseline, of_arm] = [-1, 1].map(|level| self.at(*term, level));
                Estimated {
                    experiment: &self.experiment.name,
                    metric: &self.metric,
                    baseline: low,
                    arm: high,
                    rounds: u32::try_from(of_baseline.len().min(of_arm.len())).unwrap_or(u32::MAX),
                    of_baseline,
                    of_arm,
                    ratio: ratios.and_then(|all| find(all, *term)).map(exponential),
                    difference: find(differences, *term),
                    rank: None,
                    // How many rounds would decide is a question of pairs in rounds.
                    spread: None,
                    level,
                }
            })
            .collect();
        let judged = judge(&estimated);
        let screened = |(term, effect)| (term, self.screened(term, effect));
        terms.into_iter().zip(judged).map(screened).collect()
    }

    fn screened(&self, term: Term, effect: Effect) -> ScreenedEffect {
        let not_estimable = effect.difference.is_none().then(|| self.why_not(term));
        let (factor, [low, high], only) = match self.factor(term) {
            None => (None, self.screen.transports.clone(), None),
            Some(own) => (
                Some(own.name.clone()),
                [own.low.clone(), own.high.clone()],
                own.only.clone(),
            ),
        };
        ScreenedEffect {
            factor,
            low,
            high,
            only,
            effect,
            interaction: None,
            not_estimable,
        }
    }

    fn factor(&self, term: Term) -> Option<&'a ScreenedFactor> {
        match term {
            Term::Transport => None,
            Term::Factor(index) | Term::Interaction(index) => self.screen.factors.get(index),
        }
    }

    /// What is compared, as sentences name it.
    fn labels(&self, term: Term) -> [String; 2] {
        let Some(factor) = self.factor(term) else {
            return self.screen.transports.clone();
        };
        let only = factor.only.as_ref().map(|only| format!(" on {only}"));
        let only = only.unwrap_or_default();
        [&factor.low, &factor.high].map(|level| format!("{} {level}{only}", factor.name))
    }

    /// The readings at the low (−1) or high (+1) level; of a nested factor, on its own transport.
    fn at(&self, term: Term, level: i8) -> Vec<f64> {
        let both = self.places.iter().zip(&self.readings);
        let own = both.filter(|(place, _)| self.level_at(term, place) == Some(level));
        own.map(|(_, reading)| *reading).collect()
    }

    fn level_at(&self, term: Term, place: &Place) -> Option<i8> {
        match term {
            Term::Transport if place.half == Half::First => Some(-1),
            Term::Transport => Some(1),
            Term::Factor(index) | Term::Interaction(index) => {
                let exists = self.layout.only[index].is_none_or(|half| half == place.half);
                exists.then_some(self.layout.levels[place.row][index])
            }
        }
    }

    /// Why the trials at hand have no estimate of it.
    fn why_not(&self, term: Term) -> String {
        let [low, high] = self.labels(term);
        let missing: Vec<String> = [(-1, low), (1, high)]
            .into_iter()
            .filter(|(level, _)| self.at(term, *level).is_empty())
            .map(|(_, label)| format!("`{label}`"))
            .collect();
        match &missing[..] {
            [] => "the valid trials do not tell it from other effects".to_owned(),
            missing => format!(
                "no valid trial at {} yielded the metric",
                missing.join(" or at ")
            ),
        }
    }

    /// A family of their own, since they answer a question of their own.
    fn add_interactions(
        &self,
        effects: &mut [(Term, ScreenedEffect)],
        fitted: &Fitted,
        (scale, level): (Scale, Level),
    ) {
        let of = |(term, own): &(Term, Option<Estimate>)| match term {
            Term::Interaction(factor) => Some((Term::Factor(*factor), (*own)?)),
            Term::Transport | Term::Factor(_) => None,
        };
        let estimates: Vec<(Term, Estimate)> = fitted.iter().filter_map(of).collect();
        let family: Vec<f64> = estimates
            .iter()
            .map(|(_, own)| own.p.unwrap_or(1.0))
            .collect();
        for ((of_factor, own), p_holm) in estimates.into_iter().zip(holm(&family)) {
            let effect = effects.iter_mut().find(|(term, _)| *term == of_factor);
            if let Some((_, effect)) = effect {
                effect.interaction = self.interaction(effect, own, p_holm, (scale, level));
            }
        }
    }

    fn interaction(
        &self,
        effect: &ScreenedEffect,
        estimate: Estimate,
        p_holm: f64,
        (scale, level): (Scale, Level),
    ) -> Option<Interaction> {
        let main = effect.value(scale)?;
        let Metric {
            margin,
            margin_kind,
            ..
        } = self.metric;
        let shown = match scale {
            Scale::Ratio => exponential(estimate),
            Scale::Difference => estimate,
        };
        let baseline = effect.effect.baseline_value.unwrap_or(0.0);
        let verdict = Case {
            rounds: effect.effect.rounds,
            scale,
            interval: shown.interval,
            harmless: harmless(scale, margin, margin_kind, baseline),
            p: shown.p.and(Some(p_holm)),
            level,
            // Which way does not matter: it only differs or not.
            better: Better::Lower,
        }
        .verdict();
        let half = estimate.value / 2.0;
        Some(Interaction {
            value: shown.value,
            low: shown.interval.map(|interval| interval.low),
            high: shown.interval.map(|interval| interval.high),
            p: shown.p,
            p_holm: shown.p.and(Some(p_holm)),
            differs: matches!(verdict, Verdict::Better | Verdict::Worse),
            on: [-half, half].map(|step| match scale {
                Scale::Ratio => main * step.exp(),
                Scale::Difference => main + step,
            }),
        })
    }

    fn sentence(&self, term: Term, own: &ScreenedEffect, freedom: usize) -> String {
        let Effect { baseline, arm, .. } = &own.effect;
        match &own.not_estimable {
            Some(why) => format!("`{arm}` against `{baseline}` cannot be estimated: {why}."),
            None if freedom < MIN_FREEDOM => words::too_few(&own.effect, freedom),
            None => {
                let trials = [-1, 1].map(|level| self.at(term, level).len());
                screened_sentence(&own.effect, &self.metric, trials)
            }
        }
    }
}

/// Without intervals where the repeats are too few for a verdict.
fn fitted(design: &Design, readings: &[f64], level: Level) -> Vec<(Term, Option<Estimate>)> {
    let enough = design.freedom() >= MIN_FREEDOM;
    let trusted = |estimate: Estimate| Estimate {
        interval: estimate.interval.filter(|_| enough),
        p: estimate.p.filter(|_| enough),
        ..estimate
    };
    let estimates = design.estimates(readings, level).into_iter();
    estimates
        .map(|(term, own)| (term, own.map(trusted)))
        .collect()
}

fn find(all: &Fitted, term: Term) -> Option<Estimate> {
    all.iter().find(|(own, _)| *own == term)?.1
}

/// From logarithms to factors.
fn exponential(estimate: Estimate) -> Estimate {
    Estimate {
        value: estimate.value.exp(),
        interval: estimate.interval.map(|interval| interval.map(f64::exp)),
        p: estimate.p,
    }
}

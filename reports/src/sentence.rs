//! A verdict in plain English, said of the arm against the baseline.

use crate::effect::{Effect, Verdict};
use crate::quantity::{number, percent, quantity, ratios, rough, signed_span};
use crate::record::{MarginKind, Metric};
use crate::statistics::{Interval, MOST};
use crate::verdict::{MIN_ROUNDS, Scale, harmless};

/// The time between two tokens that a reader of a chat sees: hosted 70B models in public leaderboard
/// data have mean inter-token latencies of 13 to 18 ms.
pub const TOKEN_GAP_MS: f64 = 15.0;

/// The effect in words. `noise_floor` holds the run's controls; the one of the same experiment and
/// metric is set beside the effect.
pub fn sentence(effect: &Effect, metric: &Metric, noise_floor: &[Effect]) -> String {
    said(&Judged::new(effect), metric, noise_floor)
}

/// The same of two arms that share no rounds, given the trials of the baseline and of the arm that
/// yielded a figure.
pub fn unpaired_sentence(effect: &Effect, metric: &Metric, trials: [usize; 2]) -> String {
    let judged = Judged {
        unpaired: Some(trials),
        ..Judged::new(effect)
    };
    said(&judged, metric, &[])
}

/// The same of two levels in a screen, given the trials at either.
pub fn screened_sentence(effect: &Effect, metric: &Metric, trials: [usize; 2]) -> String {
    let judged = Judged {
        unpaired: Some(trials),
        family: "the screen's other effects",
        ..Judged::new(effect)
    };
    said(&judged, metric, &[])
}

fn said(judged: &Judged<'_>, metric: &Metric, noise_floor: &[Effect]) -> String {
    let effect = judged.effect;
    let label = if effect.primary { "" } else { "Exploratory: " };
    let finding = match effect.verdict {
        Verdict::Inconclusive => judged.inconclusive(metric),
        Verdict::Equivalent => judged.equivalent(metric),
        Verdict::Better => judged.found(metric) + &judged.decided("better"),
        Verdict::Worse => judged.found(metric) + &judged.decided("worse"),
    };
    let gap = judged.beside_token_gap(metric);
    let floor = judged.beside_floor(noise_floor);
    let flag = judged.disagreement();
    format!("{label}{finding}{gap}.{floor}{flag}")
}

/// A control's row in words: how far the same arm, measured twice, lies from itself.
pub fn control_sentence(effect: &Effect, metric: &Metric) -> String {
    let judged = Judged::new(effect);
    let Effect { arm, baseline, .. } = effect;
    let title = in_text(&metric.title);
    let Some(floor) = far_end(effect, judged.scale) else {
        return format!(
            "`{arm}` repeats `{baseline}`, but {} gave no interval in {title}, so its noise floor is \
             unknown; more rounds are needed.",
            rounds(effect.rounds),
        );
    };
    let amount = judged.amount(floor);
    let alarm = match effect.verdict {
        Verdict::Better | Verdict::Worse => {
            " The two should be alike and are not, so an effect of this size may be the testbed's own."
        }
        Verdict::Equivalent | Verdict::Inconclusive => "",
    };
    format!(
        "`{arm}` repeats `{baseline}` and may differ from it by up to {amount} in {title}{}: the noise \
         floor.{alarm}",
        judged.in_brackets(),
    )
}

/// The far end of a control's interval: on the difference, how far from 0; on the ratio, the
/// factor, at least 1. Nothing without an interval.
pub fn far_end(control: &Effect, scale: Scale) -> Option<f64> {
    let interval = interval(control, scale)?;
    Some(match scale {
        Scale::Difference => interval.low.abs().max(interval.high.abs()),
        Scale::Ratio => interval.high.max(1.0 / interval.low),
    })
}

/// The interval of one scale.
fn interval(effect: &Effect, scale: Scale) -> Option<Interval> {
    let (low, high) = match scale {
        Scale::Ratio => (effect.ratio_low, effect.ratio_high),
        Scale::Difference => (effect.difference_low, effect.difference_high),
    };
    Some(Interval {
        low: low?,
        high: high?,
    })
}

/// An effect seen on the scale that decided it.
struct Judged<'a> {
    effect: &'a Effect,
    scale: Scale,
    value: Option<f64>,
    interval: Option<Interval>,
    /// The trials of either side, where they are not paired in rounds.
    unpaired: Option<[usize; 2]>,
    /// What else was asked, as Holm's correction counts it.
    family: &'static str,
}

impl<'a> Judged<'a> {
    fn new(effect: &'a Effect) -> Self {
        let scale = Scale::of(effect.margin_kind, effect.ratio.is_some());
        let value = match scale {
            Scale::Ratio => effect.ratio,
            Scale::Difference => effect.difference,
        };
        Self {
            effect,
            scale,
            value,
            interval: interval(effect, scale),
            unpaired: None,
            family: "the run's other primary metrics",
        }
    }

    /// What the effect was found from: "6 rounds", "6 and 48 trials".
    fn counted(&self) -> String {
        match self.unpaired {
            None => rounds(self.effect.rounds),
            Some([of_baseline, of_arm]) => format!("{of_baseline} and {of_arm} trials"),
        }
    }

    /// "`ws-h1` takes 31 µs less than `sse-h1` in token latency (95 % −45 to −17 µs; ratio 0.94)"
    fn found(&self, metric: &Metric) -> String {
        let Effect { arm, baseline, .. } = self.effect;
        let (far, title) = (self.how_far(metric), in_text(&metric.title));
        format!(
            "`{arm}` {far} `{baseline}` in {title}{}",
            self.in_brackets()
        )
    }

    /// "takes 31 µs less than", "is 12 % higher than", "takes 3.4 times as long as".
    fn how_far(&self, metric: &Metric) -> String {
        let [verb, less, more, times] = match (metric.ms_per_unit, self.scale) {
            (Some(_), _) => ["takes", "less", "more", "long"],
            (None, Scale::Ratio) => ["is", "lower", "higher", "high"],
            (None, Scale::Difference) => ["has", "less", "more", "much"],
        };
        let value = self.value.unwrap_or(self.scale.no_effect());
        let direction = if value < self.scale.no_effect() {
            less
        } else {
            more
        };
        match self.scale {
            Scale::Difference => {
                let size = quantity(value.abs(), &self.effect.unit);
                format!("{verb} {size} {direction} than")
            }
            // From here on "240 % higher" is harder to picture than "3.4 times".
            Scale::Ratio if value >= 2.0 => format!("{verb} {} times as {times} as", number(value)),
            Scale::Ratio => format!("{verb} {} {direction} than", percent((value - 1.0).abs())),
        }
    }

    /// The interval that decides, and the ratio where it is not that.
    fn in_brackets(&self) -> String {
        let Effect { ratio, unit, .. } = self.effect;
        let sure = self.effect.significance.words();
        let Some(interval) = self.interval else {
            return String::new();
        };
        match (self.scale, ratio) {
            (Scale::Ratio, Some(ratio)) => {
                let [ratio, low, high] = ratios([*ratio, interval.low, interval.high]);
                format!(" (ratio {ratio}, {sure} {low}–{high})")
            }
            (_, ratio) => {
                let span = signed_span(interval.low, interval.high, unit);
                let beside = ratio.map(|ratio| format!("; ratio {}", ratios([ratio])[0]));
                format!(" ({sure} {span}{})", beside.unwrap_or_default())
            }
        }
    }

    /// Whether every round found exactly no effect.
    fn is_the_same(&self) -> bool {
        let none = self.scale.no_effect();
        self.interval
            .is_some_and(|i| i.low == none && i.high == none)
    }

    fn excludes_no_effect(&self) -> bool {
        self.interval
            .is_some_and(|interval| interval.excludes(self.scale.no_effect()))
    }

    /// Says which way only where the interval does.
    fn equivalent(&self, metric: &Metric) -> String {
        let Effect { arm, baseline, .. } = self.effect;
        let (margin, title) = (self.margin(), in_text(&metric.title));
        if self.is_the_same() {
            let count = self.counted();
            format!("`{arm}` is the same as `{baseline}` in {title} in all {count}: equivalent")
        } else if self.excludes_no_effect() {
            let found = self.found(metric);
            format!("{found}: different, but too small to matter against a margin of {margin}")
        } else {
            let interval = self.in_brackets();
            format!("`{arm}` is within {margin} of `{baseline}` in {title}{interval}: equivalent")
        }
    }

    /// ": better beyond the margin of 10 % (p 0.003 after Holm's correction)"
    fn decided(&self, verdict: &str) -> String {
        let Effect {
            margin,
            margin_kind,
            ..
        } = *self.effect;
        let baseline = self.effect.baseline_value.unwrap_or(0.0);
        let harmless = harmless(self.scale, margin, margin_kind, baseline);
        let beyond = self
            .interval
            .is_some_and(|i| i.high < harmless.low || harmless.high < i.low);
        let by = if margin == 0.0 {
            String::new()
        } else if beyond {
            format!(" beyond the margin of {}", self.margin())
        } else {
            format!(", though perhaps within the margin of {}", self.margin())
        };
        let p = match (self.effect.p_holm, self.effect.p) {
            (Some(p), _) => format!(" ({} after Holm's correction)", p_value(p)),
            (None, Some(p)) => format!(" ({}, not corrected)", p_value(p)),
            (None, None) => String::new(),
        };
        format!(": {verdict}{by}{p}")
    }

    fn inconclusive(&self, metric: &Metric) -> String {
        let Effect { arm, baseline, .. } = self.effect;
        let title = in_text(&metric.title);
        let count = self.counted();
        let few = self.effect.rounds < MIN_ROUNDS;
        let span = self.interval.map(|interval| match self.scale {
            Scale::Ratio => {
                let [low, high] = ratios([interval.low, interval.high]);
                format!("the ratio anywhere from {low} to {high}")
            }
            Scale::Difference => {
                let span = signed_span(interval.low, interval.high, &self.effect.unit);
                format!("the difference anywhere from {span}")
            }
        });
        let needed = match self.unpaired {
            None => format!("{count} of the {MIN_ROUNDS} that a verdict needs"),
            Some(_) => format!("{count}, where a verdict needs {MIN_ROUNDS} of each"),
        };
        let why = match (span, self.effect.p_holm) {
            (None, _) if self.effect.rounds == 0 && self.unpaired.is_none() => {
                "no round in which both yielded a figure".to_owned()
            }
            (None, _) => needed,
            (Some(span), _) if few => format!("{needed}, which put {span}"),
            (Some(span), Some(p))
                if self.excludes_no_effect() && p > self.effect.significance.significance() =>
            {
                format!(
                    "{count} put {span}, but beside {} that may be chance ({} after Holm's correction)",
                    self.family,
                    p_value(p)
                )
            }
            (Some(span), _) => format!("{count} put {span}"),
        };
        format!(
            "`{arm}` against `{baseline}` in {title} is inconclusive: {why}, {}",
            self.what_would_decide()
        )
    }

    /// "so about 14 rounds would decide it, from the spread just seen"
    fn what_would_decide(&self) -> String {
        if self.unpaired.is_some() {
            return "so more trials are needed".to_owned();
        }
        match (self.effect.rounds_to_decide, self.interval) {
            (Some(rounds), _) => {
                format!("so about {rounds} rounds would decide it, from the spread just seen")
            }
            (None, Some(_)) if self.effect.rounds < MOST => format!(
                "and not even {} rounds would decide it, from the spread just seen",
                number(f64::from(MOST))
            ),
            (None, _) => "so more rounds are needed".to_owned(),
        }
    }

    /// What the difference is beside the gap between two tokens; where it is not sure that there is
    /// one, the far end of its interval.
    fn beside_token_gap(&self, metric: &Metric) -> String {
        let open = self.effect.verdict == Verdict::Inconclusive || !self.excludes_no_effect();
        let size = if open {
            far_end(self.effect, Scale::Difference)
        } else {
            self.effect.difference.map(f64::abs)
        };
        let ms = size
            .zip(metric.ms_per_unit)
            .map_or(0.0, |(size, ms)| size * ms);
        if ms == 0.0 {
            return String::new();
        }
        let what = if open { "the far end" } else { "that" };
        if ms >= TOKEN_GAP_MS {
            return match rough(ms / TOKEN_GAP_MS).as_str() {
                "1" => format!("; {what} is about one {TOKEN_GAP_MS} ms token gap"),
                gaps => format!("; {what} is {gaps} times a {TOKEN_GAP_MS} ms token gap"),
            };
        }
        let than = if open { " as the far end" } else { "" };
        match rough(TOKEN_GAP_MS / ms).as_str() {
            "1" => format!("; a {TOKEN_GAP_MS} ms token gap is about as long{than}"),
            times => format!("; a {TOKEN_GAP_MS} ms token gap is {times} times as long{than}"),
        }
    }

    /// " The A/A floor is 40 µs, not smaller than this effect."
    fn beside_floor(&self, noise_floor: &[Effect]) -> String {
        let floor = noise_floor
            .iter()
            .filter(|control| {
                control.experiment == self.effect.experiment && control.metric == self.effect.metric
            })
            .filter_map(|control| far_end(control, self.scale))
            .reduce(f64::max);
        let Some((floor, value)) = floor.zip(self.value) else {
            return String::new();
        };
        let size = match self.scale {
            Scale::Ratio => value.max(1.0 / value),
            Scale::Difference => value.abs(),
        };
        let than = match self.effect.verdict {
            Verdict::Inconclusive => "",
            // Two exact counts: neither can be smaller.
            _ if size == floor => "",
            _ if size > floor => ", smaller than this effect",
            _ => ", not smaller than this effect",
        };
        format!(" The A/A floor is {}{than}.", self.amount(floor))
    }

    /// A size on the scale: a share for a factor, else with the metric's unit.
    fn amount(&self, size: f64) -> String {
        match self.scale {
            Scale::Ratio => percent(size - 1.0),
            Scale::Difference => quantity(size, &self.effect.unit),
        }
    }

    fn margin(&self) -> String {
        match self.effect.margin_kind {
            MarginKind::Absolute => quantity(self.effect.margin, &self.effect.unit),
            MarginKind::Relative => percent(self.effect.margin),
        }
    }

    fn disagreement(&self) -> String {
        let Some([_, low, high]) = self
            .effect
            .hodges_lehmann
            .filter(|_| self.effect.disagreement)
        else {
            return String::new();
        };
        let span = match self.scale {
            Scale::Ratio => ratios([low, high]).join("–"),
            Scale::Difference => signed_span(low, high, &self.effect.unit),
        };
        let which = if self.excludes_no_effect() {
            "includes"
        } else {
            "excludes"
        };
        format!(
            " Hodges–Lehmann's interval, {span}, disagrees: it {which} no effect where Student's does not."
        )
    }
}

/// "1 round", "6 rounds".
fn rounds(count: u32) -> String {
    match count {
        0 => "no round".to_owned(),
        1 => "1 round".to_owned(),
        _ => format!("{count} rounds"),
    }
}

/// "p 0.012"; below a thousandth the digits say nothing that a few rounds can back.
fn p_value(p: f64) -> String {
    if p < 0.001 {
        "p below 0.001".to_owned()
    } else {
        format!("p {}", rough(p))
    }
}

/// A title inside a sentence: its capital goes unless it begins an abbreviation.
pub(crate) fn in_text(title: &str) -> String {
    let mut letters = title.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => title.to_owned(),
    }
}

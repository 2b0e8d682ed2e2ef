//! What a screen found, in words: what outranks the transport, and how large an effect is.

use super::{MIN_FREEDOM, ScreenedEffect, ScreenedMetric, reach};
use crate::answer::listed;
use crate::effect::{Effect, Verdict};
use crate::quantity::{ratios, signed_span};
use crate::record::Metric;
use crate::verdict::Scale;

/// An effect's size: `×1.4`, `+12 ms`.
pub fn size(scale: Scale, value: f64, unit: &str) -> String {
    match scale {
        Scale::Ratio => {
            let [ratio] = ratios([value]);
            let short = match ratio.contains('.') {
                true => ratio.trim_end_matches('0').trim_end_matches('.'),
                false => &ratio,
            };
            format!("×{short}")
        }
        Scale::Difference => signed_span(value, value, unit),
    }
}

/// Where an effect has an estimate and the replicates are too few for more.
pub(super) fn too_few(effect: &Effect, freedom: usize) -> String {
    let Effect { baseline, arm, .. } = effect;
    format!(
        "`{arm}` against `{baseline}` is inconclusive: the replicates leave {}, where a verdict needs \
         {MIN_FREEDOM}, so more replicates are needed.",
        degrees(freedom)
    )
}

fn degrees(freedom: usize) -> String {
    match freedom {
        0 => "no degree of freedom".to_owned(),
        1 => "1 degree of freedom".to_owned(),
        _ => format!("{freedom} degrees of freedom"),
    }
}

/// What mattered more than the transport to this metric. Only effects that were decided count, and one
/// outranks another only where their intervals, whichever way they point, do not overlap in size.
pub(super) fn ranking(
    screened: &ScreenedMetric,
    metric: &Metric,
    transports: &[String; 2],
) -> String {
    let (title, scale) = (capitalized(&metric.title), screened.scale);
    if screened.degrees_of_freedom < MIN_FREEDOM {
        let left = degrees(screened.degrees_of_freedom);
        return format!(
            "{title}: nothing is decided, since the replicates leave {left} of the {MIN_FREEDOM} that a \
             verdict needs."
        );
    }
    let names = Names {
        scale,
        unit: &metric.unit,
        transports,
    };
    let (transport, factors): (Vec<&ScreenedEffect>, Vec<&ScreenedEffect>) = screened
        .effects
        .iter()
        .partition(|own| own.factor.is_none());
    let (decided, open): (Vec<&ScreenedEffect>, Vec<&ScreenedEffect>) =
        factors.into_iter().partition(|own| own.is_decided());
    let depends = open.into_iter().filter(|own| differs(own).is_some());
    let depends = match names.listed(&depends.collect::<Vec<_>>()) {
        Some(all) => format!("; undecided on the whole but different by transport: {all}"),
        None => String::new(),
    };
    let spanned = |own: &&'_ ScreenedEffect| Some(reaches(own.interval(scale)?, scale));
    let found = match transport.first().map(|own| (own, spanned(own))) {
        Some((transport, Some(span))) => {
            let ranked = ranks(decided, span, scale).map(|rank| names.listed(&rank));
            let of_transport = format!(
                "the transport ({}{})",
                names.size(transport),
                standing(transport)
            );
            against_transport(ranked, &of_transport, transport.effect.verdict)
        }
        _ => {
            let decided = names.listed(&decided);
            let made = decided.map(|all| format!("; {all} made a difference"));
            let made = made.unwrap_or_default();
            format!("what the transport does cannot be estimated{made}")
        }
    };
    format!("{title}: {found}{depends}.")
}

/// What mattered more than the transport, about as much, and less.
fn against_transport(
    [more, alike, less]: [Option<String>; 3],
    transport: &str,
    verdict: Verdict,
) -> String {
    let decided = matches!(verdict, Verdict::Better | Verdict::Worse);
    let rest = |words: &str, all: Option<String>| match all {
        Some(all) => format!("; {words} {all}"),
        None => String::new(),
    };
    match (more, alike) {
        (Some(more), alike) => {
            let alike = rest("about as much as it", alike);
            format!("{more} mattered more than {transport}{alike}")
        }
        (None, Some(alike)) if decided => {
            let less = rest("less than it", less);
            format!("{alike} mattered about as much as {transport}{less}")
        }
        (None, Some(alike)) => {
            format!("{alike} made a difference, but whether more than {transport} is open")
        }
        (None, None) if decided => match less {
            Some(less) => format!("{transport} mattered most, before {less}"),
            None => format!("only {transport} made a difference"),
        },
        (None, None) if verdict == Verdict::Equivalent => {
            format!("no factor made a decided difference, nor did {transport}")
        }
        (None, None) => format!("neither a factor nor {transport} made a decided difference"),
    }
}

/// A title where a sentence begins.
fn capitalized(title: &str) -> String {
    let mut letters = title.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// How a transport that is not better or worse stands.
fn standing(transport: &ScreenedEffect) -> &'static str {
    match transport.effect.verdict {
        Verdict::Better | Verdict::Worse => "",
        Verdict::Equivalent => ", within its margin",
        Verdict::Inconclusive => ", undecided",
    }
}

/// Those surely larger than a span of sizes, those that overlap it, those surely smaller.
fn ranks(
    factors: Vec<&ScreenedEffect>,
    [least, most]: [f64; 2],
    scale: Scale,
) -> [Vec<&ScreenedEffect>; 3] {
    let mut ranks = [Vec::new(), Vec::new(), Vec::new()];
    for own in factors {
        let rank = match own.interval(scale).map(|interval| reaches(interval, scale)) {
            Some([near, _]) if near > most => 0,
            Some([_, far]) if far < least => 2,
            _ => 1,
        };
        ranks[rank].push(own);
    }
    ranks
}

/// The least and the greatest distance from no effect within an interval.
fn reaches([low, high]: [f64; 2], scale: Scale) -> [f64; 2] {
    let (of_low, of_high) = (reach(scale, low), reach(scale, high));
    let none = scale.no_effect();
    let least = if low <= none && none <= high {
        0.0
    } else {
        of_low.min(of_high)
    };
    [least, of_low.max(of_high)]
}

/// The effect on either transport, where it differs.
fn differs(own: &ScreenedEffect) -> Option<[f64; 2]> {
    let interaction = own.interaction.as_ref()?;
    interaction.differs.then_some(interaction.on)
}

/// How effects of one metric are named.
struct Names<'a> {
    scale: Scale,
    unit: &'a str,
    transports: &'a [String; 2],
}

impl Names<'_> {
    /// `×1.4`; where it differs, `×1.9; ×1.1 on sse-h1 and ×3.1 on ws-h1`.
    fn size(&self, own: &ScreenedEffect) -> String {
        let size = |value| size(self.scale, value, self.unit);
        let both = own.value(self.scale).map(size).unwrap_or_default();
        let Some(on) = differs(own) else {
            return both;
        };
        let ([first, second], [on_first, on_second]) = (on.map(size), self.transports);
        format!("{both}; {first} on {on_first} and {second} on {on_second}")
    }

    /// `library buffers (×3.1), tls (×1.4) and flush on ws-h1 (×1.2)`; nothing of nothing.
    fn listed(&self, effects: &[&ScreenedEffect]) -> Option<String> {
        let named = effects.iter().map(|own| {
            let only = own.only.as_ref().map(|only| format!(" on {only}"));
            let name = own.factor.as_deref().unwrap_or_default().replace('_', " ");
            format!("{name}{} ({})", only.unwrap_or_default(), self.size(own))
        });
        listed(&named.collect::<Vec<_>>())
    }
}

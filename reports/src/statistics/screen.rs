//! A screening design: what each factor does on two transports and how it differs between them, by least
//! squares over all readings, with the error from their repeats.
//!
//! The readings of one row and block, one on either transport, were taken back to back. They share the
//! machine's mood of that minute, so they are not independent: what is common to both is noise in a
//! factor's effect and cancels in the transport's, as between whole plots and subplots (Yates 1935,
//! Supplement to the Journal of the Royal Statistical Society 2:181). Nor need both transports be equally
//! noisy. So the error is not one variance but three figures: each transport's variance and their
//! covariance, from repeats alone. For a whole design the t of every effect is then exact.

use std::collections::{BTreeMap, BTreeSet};

use statrs::distribution::ContinuousCDF as _;

use super::least_squares::{Span, dot, weights};
use super::student::{critical, student};
use super::{Estimate, Interval, Level};

/// Values closer than this share of their range are the same but for rounding: figures of doubles have 16
/// digits, and a few hundred sums cost two or three of them.
const ROUNDING: f64 = 1e-12;

/// Either transport of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// The one that effects of the transport count from.
    First,
    /// The other.
    Second,
}

impl Half {
    fn sign(self) -> f64 {
        match self {
            Self::First => -1.0,
            Self::Second => 1.0,
        }
    }
}

/// Which factors a screen has, and the rows in which their levels are combined.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// −1 or +1, one a factor, of every row.
    pub levels: Vec<Vec<i8>>,
    /// The one transport on which a factor exists, where it is nested; one a factor.
    pub only: Vec<Option<Half>>,
}

/// Where a reading was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Layout::levels`].
    pub row: usize,
    /// The replicate.
    pub block: u32,
    /// The transport.
    pub half: Half,
}

/// What is asked of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Second transport less the first, every factor halfway between its levels.
    Transport,
    /// High less low of the factor of this index, mean of both transports; of a nested factor on its own.
    Factor(usize),
    /// By how much that differs: on the second transport less on the first. Of no nested factor.
    Interaction(usize),
}

/// Which places have a reading, and what follows from that alone.
#[derive(Debug, Clone)]
pub struct Design {
    /// The weight of each reading in each term's estimate; none where the readings cannot tell it apart.
    terms: Vec<(Term, Option<Vec<f64>>)>,
    repeats: Repeats,
}

impl Design {
    /// The model is an intercept, a constant a block, the transport, the factors, and factor × transport;
    /// a nested factor has one column, which is 0 on the other transport. A factor of which only one level
    /// has readings is not in it: the rest is then what holds at that level. `places` holds none twice.
    pub fn new(layout: &Layout, places: &[Place]) -> Self {
        let mut nuisance = vec![vec![1.0; places.len()]];
        nuisance.extend(indicators(places, |place| place.block));
        let column = |term| (term, column(layout, term, places));
        let columns: Vec<(Term, Option<Vec<f64>>)> =
            terms(layout).into_iter().map(column).collect();
        let of = |(term, own): &(Term, Option<Vec<f64>>)| {
            let beside = columns.iter().filter(|(other, _)| other != term);
            let beside = beside.filter_map(|(_, column)| column.as_ref());
            let others = nuisance.iter().chain(beside).map(Vec::as_slice);
            let weights = weights(own.as_ref()?, others)?;
            Some(weights.iter().map(|weight| weight * steps(*term)).collect())
        };
        Self {
            terms: columns.iter().map(|own| (own.0, of(own))).collect(),
            repeats: Repeats::new(places),
        }
    }

    /// How many degrees of freedom the repeats leave; no interval where none.
    pub fn freedom(&self) -> usize {
        self.repeats.freedom
    }

    /// Every term's estimate from the readings in the order of the places: the transport, then each
    /// factor with its interaction behind it. Nothing where the readings cannot tell it apart.
    pub fn estimates(&self, readings: &[f64], level: Level) -> Vec<(Term, Option<Estimate>)> {
        // Differences to the first: the intercept takes a constant, and equal readings are exactly equal.
        let first = readings.first().copied().unwrap_or(0.0);
        let values: Vec<f64> = readings.iter().map(|value| value - first).collect();
        let exact = ROUNDING * values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let scatter = self.repeats.scatter(&values, exact);
        let estimate = |weights: &Vec<f64>| {
            let value = dot(weights, &values);
            let value = if value.abs() <= exact { 0.0 } else { value };
            let error = scatter.map(|own| self.repeats.variance(weights, own).max(0.0).sqrt());
            tested(value, error, self.freedom(), level)
        };
        let each =
            |(term, weights): &(Term, Option<Vec<f64>>)| (*term, weights.as_ref().map(estimate));
        self.terms.iter().map(each).collect()
    }
}

/// Student's interval and p; as elsewhere, repeats that all agree leave a point.
fn tested(value: f64, error: Option<f64>, freedom: usize, level: Level) -> Estimate {
    let around = |half: f64, p: f64| Estimate {
        value,
        interval: Some(Interval {
            low: value - half,
            high: value + half,
        }),
        p: Some(p),
    };
    match (error, student(freedom as f64)) {
        (Some(error), Some(student)) if error > 0.0 => around(
            critical(&student, level) * error,
            (2.0 * student.sf((value / error).abs())).min(1.0),
        ),
        (Some(_), Some(_)) => around(0.0, if value == 0.0 { 1.0 } else { 0.0 }),
        _ => Estimate {
            value,
            interval: None,
            p: None,
        },
    }
}

fn terms(layout: &Layout) -> Vec<Term> {
    let factor = |(index, only): (usize, &Option<Half>)| match only {
        None => vec![Term::Factor(index), Term::Interaction(index)],
        Some(_) => vec![Term::Factor(index)],
    };
    let factors = layout.only.iter().enumerate().flat_map(factor);
    [Term::Transport].into_iter().chain(factors).collect()
}

/// Nothing of a factor whose readings are all at one level.
fn column(layout: &Layout, term: Term, places: &[Place]) -> Option<Vec<f64>> {
    if let Term::Factor(factor) | Term::Interaction(factor) = term {
        let exists = |place: &&Place| layout.only[factor].is_none_or(|half| half == place.half);
        let own = places.iter().filter(exists);
        let levels: BTreeSet<i8> = own.map(|place| layout.levels[place.row][factor]).collect();
        if levels.len() < 2 {
            return None;
        }
    }
    let level = |factor: usize, place: &Place| f64::from(layout.levels[place.row][factor]);
    let entry = |place: &Place| match term {
        Term::Transport => place.half.sign(),
        Term::Interaction(factor) => level(factor, place) * place.half.sign(),
        Term::Factor(factor) => match layout.only[factor] {
            Some(half) if half != place.half => 0.0,
            _ => level(factor, place),
        },
    };
    Some(places.iter().map(entry).collect())
}

/// How many coefficients an effect is: from −1 to +1 are two, and so twice for a difference of two.
fn steps(term: Term) -> f64 {
    match term {
        Term::Transport | Term::Factor(_) => 2.0,
        Term::Interaction(_) => 4.0,
    }
}

/// A column for each value of `of`, 1 where a place has it.
fn indicators<K: Ord>(places: &[Place], of: impl Fn(&Place) -> K) -> Vec<Vec<f64>> {
    let values: BTreeSet<K> = places.iter().map(&of).collect();
    let column = |value: &K| {
        let has = |place: &Place| if of(place) == *value { 1.0 } else { 0.0 };
        places.iter().map(has).collect()
    };
    values.iter().map(column).collect()
}

/// Rows measured on both transports in the same block, as often as they were.
#[derive(Debug, Clone)]
struct Repeats {
    /// Of each reading: its transport, and the reading on the other one.
    partners: Vec<(Half, Option<usize>)>,
    /// Readings on the first and on the second transport, of whole pairs.
    pairs: Vec<[usize; 2]>,
    /// What is no noise within one transport's readings of the pairs: the rows and the blocks.
    explained: Span,
    freedom: usize,
}

/// The readings' variances on either transport, and the covariance of those taken back to back.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scatter {
    first: f64,
    second: f64,
    both: f64,
}

impl Repeats {
    fn new(places: &[Place]) -> Self {
        let at: BTreeMap<Place, usize> = places.iter().copied().zip(0..).collect();
        let partner = |place: &Place| {
            let half = match place.half {
                Half::First => Half::Second,
                Half::Second => Half::First,
            };
            (place.half, at.get(&Place { half, ..*place }).copied())
        };
        let partners: Vec<(Half, Option<usize>)> = places.iter().map(partner).collect();
        let pair = |(own, (half, other)): (usize, &(Half, Option<usize>))| {
            let other = other.filter(|_| *half == Half::First)?;
            Some([own, other])
        };
        let pairs: Vec<[usize; 2]> = partners.iter().enumerate().filter_map(pair).collect();
        let of_pairs: Vec<Place> = pairs.iter().map(|[first, _]| places[*first]).collect();
        let mut columns = indicators(&of_pairs, |place| place.row);
        columns.extend(indicators(&of_pairs, |place| place.block));
        let explained = Span::of(columns.iter().map(Vec::as_slice));
        Self {
            partners,
            freedom: pairs.len() - explained.rank(),
            pairs,
            explained,
        }
    }

    /// From what differs between repeats, once each block's mean is taken out; a residual of no more than
    /// `exact` is none. Nothing where there are no repeats.
    fn scatter(&self, values: &[f64], exact: f64) -> Option<Scatter> {
        if self.freedom == 0 {
            return None;
        }
        let residuals = |side: usize| {
            let own: Vec<f64> = self.pairs.iter().map(|pair| values[pair[side]]).collect();
            let mut rest = self.explained.residual(&own);
            rest.iter_mut()
                .filter(|x| x.abs() <= exact)
                .for_each(|x| *x = 0.0);
            rest
        };
        let (first, second) = (residuals(0), residuals(1));
        let mean = |a: &[f64], b: &[f64]| dot(a, b) / self.freedom as f64;
        Some(Scatter {
            first: mean(&first, &first),
            second: mean(&second, &second),
            both: mean(&first, &second),
        })
    }

    /// Of a weighted sum of readings.
    fn variance(&self, weights: &[f64], scatter: Scatter) -> f64 {
        let reading = |(weight, (half, partner)): (&f64, &(Half, Option<usize>))| {
            let own = match half {
                Half::First => scatter.first,
                Half::Second => scatter.second,
            };
            // Either of a pair brings one of the two equal products.
            let beside = partner.map_or(0.0, |other| weights[other] * scatter.both);
            weight * (weight * own + beside)
        };
        weights.iter().zip(&self.partners).map(reading).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level::CONVENTION;

    /// One factor, two rows, two blocks, every place once: row, block, half in this order.
    fn small() -> (Layout, Vec<Place>) {
        let layout = Layout {
            levels: vec![vec![-1], vec![1]],
            only: vec![None],
        };
        let mut places = Vec::new();
        for row in 0..2 {
            for block in 1..=2 {
                for half in [Half::First, Half::Second] {
                    places.push(Place { row, block, half });
                }
            }
        }
        (layout, places)
    }

    fn close(got: f64, told: f64) {
        assert!(
            (got - told).abs() < 1e-4 * told.abs().max(1.0),
            "{got} for {told}"
        );
    }

    /// By hand. Means of low and high on the first transport 11 and 16, on the second 22 and 31. From
    /// block 1 to 2 the first rose by 2 and 4, the second by 2 and 8: residuals ±½ and ±1½, so with one
    /// degree of freedom the variances are 1 and 9 and the covariance 3. A factor's or the transport's
    /// effect is four quarters of a pair: 4 · (1 + 9 ± 6) ÷ 16; an interaction four halves.
    #[test]
    fn agrees_with_a_small_example_by_hand() {
        let (layout, places) = small();
        let readings = [10.0, 21.0, 12.0, 23.0, 14.0, 27.0, 18.0, 35.0];
        let design = Design::new(&layout, &places);
        assert_eq!(design.freedom(), 1);
        let told = [
            (Term::Transport, 13.0, 1.0),
            (Term::Factor(0), 7.0, 2.0),
            (Term::Interaction(0), 4.0, 2.0),
        ];
        for ((term, estimate), (asked, value, error)) in
            design.estimates(&readings, LEVEL).into_iter().zip(told)
        {
            let (estimate, t) = (estimate.unwrap(), value / error);
            let interval = estimate.interval.unwrap();
            assert_eq!(term, asked);
            close(estimate.value, value);
            close(interval.high - value, 12.7062 * error);
            close(value - interval.low, 12.7062 * error);
            // With one degree of freedom t is Cauchy's.
            close(
                estimate.p.unwrap(),
                1.0 - 2.0 * f64::atan(t) / std::f64::consts::PI,
            );
        }
    }

    #[test]
    fn a_nested_factor_is_of_its_own_transport_alone() {
        let (layout, places) = small();
        let layout = Layout {
            only: vec![Some(Half::Second)],
            ..layout
        };
        // On the first transport the rows differ by 100, for which the factor cannot be the reason.
        let readings = [10.0, 21.0, 12.0, 23.0, 110.0, 27.0, 112.0, 35.0];
        let estimates = Design::new(&layout, &places).estimates(&readings, LEVEL);
        let [(Term::Transport, _), (Term::Factor(0), Some(own))] = estimates[..] else {
            panic!("{estimates:?}")
        };
        close(own.value, 9.0);
    }

    #[test]
    fn repeats_that_agree_leave_a_point_and_none_at_all_no_interval() {
        let (layout, places) = small();
        let readings = [5.0, 5.0, 5.0, 5.0, 0.3, 0.3, 0.3, 0.3].map(|x: f64| x * 0.1);
        let estimates = Design::new(&layout, &places).estimates(&readings, LEVEL);
        let [_, (_, Some(factor)), (_, Some(interaction))] = estimates[..] else {
            panic!("{estimates:?}")
        };
        assert_eq!((factor.p, interaction.p), (Some(0.0), Some(1.0)));
        assert_eq!(
            (interaction.value, interaction.interval.unwrap().high),
            (0.0, 0.0)
        );

        let once: Vec<Place> = places
            .iter()
            .copied()
            .filter(|place| place.block == 1)
            .collect();
        let design = Design::new(&layout, &once);
        assert_eq!(design.freedom(), 0);
        for (_, estimate) in design.estimates(&[1.0, 2.0, 4.0, 8.0], LEVEL) {
            let estimate = estimate.unwrap();
            assert_eq!((estimate.interval, estimate.p), (None, None));
        }
        assert_eq!(
            Design::new(&layout, &[]).estimates(&[], LEVEL)[0],
            (Term::Transport, None)
        );
    }

    #[test]
    fn what_the_readings_cannot_tell_apart_is_not_estimated() {
        let (layout, places) = small();
        // Without the high level on the second transport a factor and its interaction are one.
        let left = |place: &&Place| place.row == 0 || place.half == Half::First;
        let left: Vec<Place> = places.iter().filter(left).copied().collect();
        let readings = [10.0, 21.0, 12.0, 23.0, 14.0, 18.0];
        let estimates = Design::new(&layout, &left).estimates(&readings, LEVEL);
        assert!(
            estimates.iter().all(|(_, estimate)| estimate.is_none()),
            "{estimates:?}"
        );
        // Where only the low level is left, the transport is what it is there.
        let low: Vec<Place> = left.into_iter().filter(|place| place.row == 0).collect();
        let estimates = Design::new(&layout, &low).estimates(&readings[..4], LEVEL);
        let [(_, Some(transport)), (_, None), (_, None)] = estimates[..] else {
            panic!("{estimates:?}")
        };
        close(transport.value, 11.0);
    }
}

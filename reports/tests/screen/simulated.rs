//! Designs with planted effects and noise, as often as it takes to count how often an interval is right.

use pushbench_reports::statistics::{Design, Half, Level, Place, Side, Term, binomial, holm};

use crate::made_up::{self, Noise};

const LEVEL: Level = Level::CONVENTION;

/// A sound rate fails one such test in a thousand; the seeds are fixed.
const ALARM: f64 = 0.001;

/// Readings of the places with `planted` effects, by term; noise of the pair, and of either transport.
fn readings(places: &[Place], planted: &[(Term, f64)], noise: Option<&mut Noise>) -> Vec<f64> {
    let layout = made_up::layout();
    let mut still = Noise::new(0);
    let (scale, noise) = match noise {
        Some(noise) => (1.0, noise),
        None => (0.0, &mut still),
    };
    let mut shared = (None, 0.0);
    let reading = |place: &Place| {
        let half = if place.half == Half::First { -1.0 } else { 1.0 };
        let level = |factor: usize| f64::from(layout.levels[place.row][factor]);
        let effect = |(term, size): &(Term, f64)| match term {
            Term::Transport => size * half / 2.0,
            Term::Interaction(factor) => size * half * level(*factor) / 4.0,
            Term::Factor(factor) => match layout.only[*factor] {
                Some(only) if only != place.half => 0.0,
                _ => size * level(*factor) / 2.0,
            },
        };
        let pair = (place.row, place.block);
        if shared.0 != Some(pair) {
            shared = (Some(pair), 0.1 * noise.draw());
        }
        let own = if place.half == Half::First {
            0.03
        } else {
            0.08
        };
        let block = 0.2 * f64::from(place.block);
        let noise = scale * (shared.1 + own * noise.draw());
        5.0 + block + planted.iter().map(effect).sum::<f64>() + noise
    };
    places.iter().map(reading).collect()
}

const PLANTED: [(Term, f64); 4] = [
    (Term::Transport, 0.3),
    (Term::Factor(0), -0.5),
    (Term::Interaction(0), 0.25),
    (Term::Factor(2), 1.1),
];

/// All but a seventh of the places, whole pairs and halves of them.
fn unbalanced() -> Vec<Place> {
    let kept = |(at, _): &(usize, Place)| at % 13 != 4 && at % 17 != 3;
    let places = made_up::places().into_iter().enumerate().filter(kept);
    places.map(|(_, place)| place).collect()
}

/// How often, in so many runs, the interval of each planted term holds what was planted.
fn covered(places: &[Place], runs: u64, seed: u64) -> Vec<u64> {
    let design = Design::new(&made_up::layout(), places);
    let mut noise = Noise::new(seed);
    let mut covered = vec![0; PLANTED.len()];
    for _ in 0..runs {
        let estimates = design.estimates(&readings(places, &PLANTED, Some(&mut noise)), LEVEL);
        for ((term, planted), count) in PLANTED.iter().zip(&mut covered) {
            let (_, estimate) = estimates.iter().find(|(own, _)| own == term).unwrap();
            *count += u64::from(!estimate.unwrap().interval.unwrap().excludes(*planted));
        }
    }
    covered
}

#[test]
fn planted_effects_lie_in_their_intervals_as_often_as_promised() {
    const RUNS: u64 = 1000;
    for (places, seed) in [(made_up::places(), 1), (unbalanced(), 2)] {
        for ((term, _), covered) in PLANTED.iter().zip(covered(&places, RUNS, seed)) {
            let p = binomial(covered, RUNS, LEVEL.coverage(), Side::Both).unwrap();
            assert!(
                p > ALARM,
                "{term:?} in {covered} of {RUNS} with {} readings",
                places.len()
            );
        }
    }
}

#[test]
fn without_an_effect_alarms_are_as_rare_as_promised() {
    const RUNS: u64 = 1000;
    let places = made_up::places();
    let design = Design::new(&made_up::layout(), &places);
    assert_eq!(design.freedom(), 72 - 24 - 2);
    let mut noise = Noise::new(3);
    let (mut of_one, mut of_family) = (0, 0);
    for _ in 0..RUNS {
        let estimates = design.estimates(&readings(&places, &[], Some(&mut noise)), LEVEL);
        let main = estimates
            .iter()
            .filter(|(term, _)| !matches!(term, Term::Interaction(_)));
        let p: Vec<f64> = main.map(|(_, own)| own.unwrap().p.unwrap()).collect();
        assert_eq!(p.len(), 12);
        of_one += u64::from(p[1] <= LEVEL.significance());
        of_family += u64::from(holm(&p).iter().any(|p| *p <= LEVEL.significance()));
    }
    let one = binomial(of_one, RUNS, LEVEL.significance(), Side::Both).unwrap();
    assert!(one > ALARM, "{of_one} of {RUNS}");
    let family = binomial(of_family, RUNS, LEVEL.significance(), Side::Above).unwrap();
    assert!(family > ALARM, "{of_family} of {RUNS}");
}

#[test]
fn missing_trials_do_not_bias_what_is_left() {
    for places in [made_up::places(), unbalanced()] {
        let design = Design::new(&made_up::layout(), &places);
        for (term, estimate) in design.estimates(&readings(&places, &PLANTED, None), LEVEL) {
            let planted = PLANTED
                .iter()
                .find(|(own, _)| *own == term)
                .map_or(0.0, |own| own.1);
            let value = estimate.unwrap().value;
            assert!(
                (value - planted).abs() < 1e-9,
                "{term:?}: {value} for {planted}"
            );
        }
    }
    // What means of trials would have made of it: where the missing ones are, other factors' effects are.
    let places = unbalanced();
    let readings = readings(&places, &PLANTED, None);
    let mean = |level: i8| {
        let own = places.iter().zip(&readings);
        let own = own.filter(|(place, _)| made_up::design()[place.row][4] == level);
        let own: Vec<f64> = own.map(|(_, reading)| *reading).collect();
        own.iter().sum::<f64>() / own.len() as f64
    };
    assert!((mean(1) - mean(-1)).abs() > 0.01);
}

//! The order of trials: every round has each arm once, shuffled from the plan's seed in odd rounds and
//! mirrored in the even round that follows, so that a drift of the machine favours no arm.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Every arm once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round<T> {
    /// From 1.
    pub number: u32,
    /// In the order of their trials.
    pub arms: Vec<T>,
    /// Of the load, the same for all arms of the round.
    pub seed: u64,
}

/// The rounds of one experiment. `experiment` is its place among all experiments there are, not in the
/// plan: what a seed means must not depend on which experiments are run beside this one.
pub fn rounds<T: Clone>(
    plan_seed: u64,
    experiment: u32,
    arms: &[T],
    rounds: u32,
) -> impl Iterator<Item = Round<T>> {
    (1..=rounds).map(move |number| {
        let mirrored = number.is_multiple_of(2);
        let shuffled_in = if mirrored { number - 1 } else { number };
        let mut arms = arms.to_vec();
        arms.shuffle(&mut random(
            plan_seed,
            experiment,
            shuffled_in,
            Purpose::Order,
        ));
        if mirrored {
            arms.reverse();
        }
        let seed = random(plan_seed, experiment, number, Purpose::Load).next_u64();
        Round { number, arms, seed }
    })
}

/// The replicates of a screening design: every row once, shuffled from the plan's seed. The two arms of a row
/// run back to back, so that nothing but the transport lies between them, and which of them is first
/// alternates, so that a drift favours neither.
pub fn replicates<T: Clone>(
    plan_seed: u64,
    experiment: u32,
    rows: &[[T; 2]],
    replicates: u32,
) -> impl Iterator<Item = Round<T>> {
    (1..=replicates).map(move |number| {
        let mut rows = rows.to_vec();
        rows.shuffle(&mut random(plan_seed, experiment, number, Purpose::Order));
        for (row, place) in rows.iter_mut().zip(number..) {
            if place.is_multiple_of(2) {
                row.reverse();
            }
        }
        let seed = random(plan_seed, experiment, number, Purpose::Load).next_u64();
        Round {
            number,
            arms: rows.into_iter().flatten().collect(),
            seed,
        }
    })
}

/// What a random stream is drawn for; each has its own.
#[derive(Clone, Copy)]
enum Purpose {
    Order,
    Load,
}

fn random(plan_seed: u64, experiment: u32, round: u32, purpose: Purpose) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(plan_seed);
    // 31 bits of round: more than a plan may have.
    random.set_stream(u64::from(experiment) << 32 | u64::from(round) << 1 | purpose as u64);
    random
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_arm_once_a_round_and_mirrored_in_the_next(
            seed: u64, experiment in 0..4_u32, arms in 1..6_usize, pairs in 1..20_u32,
        ) {
            let arms: Vec<_> = (0..arms).collect();
            let order: Vec<_> = rounds(seed, experiment, &arms, 2 * pairs).collect();
            prop_assert_eq!(&order, &rounds(seed, experiment, &arms, 2 * pairs).collect::<Vec<_>>());
            prop_assert_eq!(order.len(), 2 * pairs as usize);
            for round in &order {
                let mut sorted = round.arms.clone();
                sorted.sort_unstable();
                prop_assert_eq!(&sorted, &arms);
            }
            for pair in order.chunks(2) {
                let mut mirror = pair[1].arms.clone();
                mirror.reverse();
                prop_assert_eq!(&pair[0].arms, &mirror);
            }
            // A longer run of the same plan starts with this one.
            let longer = rounds(seed, experiment, &arms, 2 * pairs + 2);
            prop_assert_eq!(order.clone(), longer.take(order.len()).collect::<Vec<_>>());
            let seeds: BTreeSet<_> = order.iter().map(|round| round.seed).collect();
            prop_assert_eq!(seeds.len(), order.len());
        }
    }

    #[test]
    fn a_replicate_has_each_row_once_its_arms_together_and_either_of_them_first() {
        let rows: Vec<_> = (0..24).map(|row| [(row, 's'), (row, 'w')]).collect();
        let order: Vec<_> = replicates(1, 5, &rows, 3).collect();
        for round in &order {
            let (pairs, rest) = round.arms.as_chunks::<2>();
            assert!(rest.is_empty());
            let mut seen: Vec<_> = pairs.iter().map(|pair| pair[0].0).collect();
            assert!(!seen.is_sorted(), "shuffled");
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..24));
            assert!(pairs.iter().all(|[one, other]| one.0 == other.0));
            for neighbours in pairs.windows(2) {
                assert_ne!(neighbours[0][0].1, neighbours[1][0].1, "by turns");
            }
        }
        assert_ne!(order[0].arms, order[1].arms);
        assert_ne!(order[0].arms[0].1, order[1].arms[0].1, "in replicates too");
        assert_ne!(order[0].seed, order[1].seed);
        // A replicate is the same however many there are, and another for another seed.
        assert_eq!(replicates(1, 5, &rows, 1).collect::<Vec<_>>(), order[..1]);
        assert_ne!(replicates(2, 5, &rows, 3).collect::<Vec<_>>(), order);
    }

    #[test]
    fn seeds_and_experiments_have_orders_of_their_own() {
        let first = |seed, experiment| {
            let orders = rounds(seed, experiment, &[1, 2, 3], 20).map(|round| round.arms);
            orders.collect::<Vec<_>>()
        };
        assert_ne!(first(1, 0), first(2, 0));
        assert_ne!(first(1, 0), first(1, 1));
        let starts: BTreeSet<_> = first(1, 0).iter().map(|arms| arms[0]).collect();
        assert_eq!(starts.len(), 3, "each arm comes first at times");
    }
}

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

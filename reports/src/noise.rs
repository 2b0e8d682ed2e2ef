//! Whether too many trials were invalid, and what was mostly the reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Record;

/// Share of invalid trials above which the machine is called too noisy.
pub const NOISY: f64 = 0.25;

/// How reasons begin that other programs on the machine bring about: they took a core, made the
/// generator late, or kept the load from settling. `loadgen` states them; a test there holds them alike.
const OF_THE_MACHINE: [&str; 4] = [
    "the machine was busy",
    "the load generator started what was due late",
    "the load generator read what was ready late",
    "the load had not settled",
];

/// Said where more than [`NOISY`] of the trials have an invalid attempt. A trial counts once, however
/// often it was run again: it is run again only where it is invalid, so the share is that of first
/// attempts.
pub fn warning(records: &[Record]) -> Option<String> {
    let mut made = BTreeSet::new();
    let mut spoilt: BTreeMap<Place<'_>, BTreeMap<String, &str>> = BTreeMap::new();
    for record in records {
        let place = (&*record.experiment, &*record.arm, record.round);
        made.insert(place);
        for reason in &record.invalid {
            let kinds = spoilt.entry(place).or_default();
            kinds.entry(kind(reason)).or_insert(reason);
        }
    }
    if spoilt.len() as f64 <= NOISY * made.len() as f64 {
        return None;
    }
    let mut frequent: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (kind, reason) in spoilt.values().flatten() {
        frequent.entry(kind).or_insert((0, reason)).0 += 1;
    }
    let (_, reason) = frequent.into_values().rev().max_by_key(|(of, _)| *of)?;
    let advice = if is_of_the_machine(reason) {
        " Close other programs or use a quieter machine, then run again."
    } else {
        ""
    };
    Some(format!(
        "This machine is too noisy for this plan: {} of {} trials were invalid at the first attempt, mostly \
         for this reason: {}.{advice}",
        spoilt.len(),
        made.len(),
        head(reason)
    ))
}

/// A trial in the plan: experiment, arm, round.
type Place<'a> = (&'a str, &'a str, u32);

/// Whether a quieter machine would likely have spared the trial.
pub fn is_of_the_machine(reason: &str) -> bool {
    OF_THE_MACHINE.iter().any(|own| reason.starts_with(own))
}

/// A reason without its figures, so that the same reason of two trials is one.
fn kind(reason: &str) -> String {
    let figure = |c: char| c.is_ascii_digit() || c == '.';
    head(reason).replace(figure, "")
}

/// What it was, without how much.
fn head(reason: &str) -> &str {
    let head = reason.split(':').next().unwrap_or(reason);
    head.strip_suffix(", the first").unwrap_or(head)
}

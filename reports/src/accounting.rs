//! What became of every message owed, an arm a line, summed over the run.

use serde::Serialize;

use crate::record::{Books, Plan, Record};

/// An arm's books over the whole run: `owed = received + lost + dropped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The arm's label.
    pub arm: String,
    /// The sums; duplicates are counted apart.
    #[serde(flatten)]
    pub books: Books,
}

/// One account for each arm of the plan, over the books of all its valid trials.
pub fn accounting(plan: &Plan, records: &[Record]) -> Vec<Account> {
    let account = |label: &str| {
        let mut books = Books::default();
        records
            .iter()
            .filter(|record| record.arm == label && record.invalid.is_empty())
            .flat_map(|record| &record.books)
            .for_each(|epoch| books += *epoch);
        Account {
            arm: label.to_owned(),
            books,
        }
    };
    plan.arms.iter().map(|arm| account(&arm.label)).collect()
}

//! How long each part of a calibration may take.

use std::time::Duration;

use super::Effort;

/// The longest that something may take, seconds. What takes longer has failed, so that a calibration on a
/// slow or busy machine ends all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub quick_s: u64,
    pub whole_s: u64,
}

/// The longest that all checks may take together, seconds: what is promised, three minutes and half an hour.
/// Each has room beyond what it needs, so that one that is late takes from what others leave.
pub(super) const ALL_BUDGET: Budget = Budget {
    quick_s: 180,
    whole_s: 1_800,
};

/// The longest that the rounds may take to record, seconds.
pub(super) const ROUNDS_BUDGET: Budget = Budget {
    quick_s: 45,
    whole_s: 580,
};

impl Budget {
    pub fn of(self, effort: Effort) -> Duration {
        Duration::from_secs(effort.pick(self.quick_s, self.whole_s))
    }
}

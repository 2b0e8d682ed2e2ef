//! What this machine is fit for, before anything is measured on it: findings, each with a grade and a
//! remedy.
//!
//! What was read is judged by pure functions beside each other; the reading is in [`crate::meter`] and, where it
//! takes time, in [`measured`]. Nothing here changes the machine.

mod machine;
pub mod measured;
mod permitted;
pub mod spread;

use pushbench_server::affinity;
use serde::Serialize;

use crate::{
    bench::Site,
    meter::{limits, machine as kernel},
};

/// One thing that bears on how far figures of this machine can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Always the same for the same thing: `cores`, `clock`, …
    pub name: &'static str,
    /// Whether it matters.
    pub grade: Grade,
    /// What is so.
    pub found: String,
    /// What to do about it, one sentence.
    pub remedy: String,
}

/// Whether a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Fine,
    /// A run works, and its reader should know.
    WorthKnowing,
    /// It would spoil a run.
    Bad,
}

impl Grade {
    /// As people say it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::WorthKnowing => "worth knowing",
            Self::Bad => "bad",
        }
    }
}

/// The remedy of what is fine.
const NOTHING: &str = "Nothing to do.";

impl Finding {
    fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Grade::Fine, found, NOTHING)
    }

    /// What a person should know before trusting figures, and what to do about it, in one sentence without
    /// its full stop; nothing of what is fine.
    pub fn warning(&self) -> Option<String> {
        let Self { found, remedy, .. } = self;
        let mut remedy = remedy.trim_end_matches('.').to_owned();
        if let Some(first) = remedy.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        (self.grade != Grade::Fine).then(|| format!("{found}: {remedy}"))
    }

    fn new(
        name: &'static str,
        grade: Grade,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name,
            grade,
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// Everything found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diagnosis {
    /// In the order in which they are told.
    pub findings: Vec<Finding>,
    /// How many rounds would resolve how much; empty where nothing was measured.
    pub rounds_needed: Vec<spread::Needed>,
}

impl Diagnosis {
    /// Whether something would spoil a run.
    pub fn bad(&self) -> bool {
        let mut grades = self.findings.iter().map(|finding| finding.grade);
        grades.any(|grade| grade == Grade::Bad)
    }
}

/// What costs next to no time and bears on every run.
pub fn cheap(site: &Site) -> Vec<Finding> {
    let allowed = affinity::cores().unwrap_or_default();
    let mates = site.server_cores.first().and_then(|server| {
        Some(kernel::threads_of_core(*server)?.contains(site.generator_cores.first()?))
    });
    let ours = [&site.server_cores[..], &site.generator_cores].concat();
    let governors: Vec<_> = ours
        .iter()
        .filter_map(|core| kernel::governor(*core))
        .collect();
    let load = procfs::Current::current()
        .ok()
        .map(|load: procfs::LoadAverage| load.one);
    vec![
        machine::cores(&allowed, site, mates.unwrap_or(false)),
        machine::clock(kernel::clock_source().as_deref(), &kernel::clock_sources()),
        machine::open_files(limits::possible_connections()),
        machine::frequency(&governors, kernel::turbo()),
        machine::load(load),
    ]
}

/// All that can be said without measuring.
pub fn brief(site: &Site) -> Vec<Finding> {
    let mut findings = cheap(site);
    findings.extend([
        machine::pinning(&machine::pin_and_read_back(site)),
        machine::ports(kernel::ephemeral_ports()),
        machine::congestion(kernel::congestion_control().as_deref()),
        permitted::namespaces(permitted::try_namespace()),
        permitted::tun(permitted::open_tun()),
        permitted::netem(kernel::netem()),
    ]);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fine_warns_of_nothing_and_the_rest_in_a_sentence() {
        assert_eq!(Finding::fine("x", "y").warning(), None);
        let busy = Finding::new("x", Grade::WorthKnowing, "busy", "End it.");
        assert_eq!(busy.warning().as_deref(), Some("busy: end it"));
    }

    #[test]
    fn one_bad_finding_is_enough_and_others_are_not() {
        let diagnosis = |grades: &[Grade]| Diagnosis {
            findings: grades
                .iter()
                .map(|grade| Finding::new("x", *grade, "y", "z"))
                .collect(),
            rounds_needed: Vec::new(),
        };
        assert!(!diagnosis(&[Grade::Fine, Grade::WorthKnowing]).bad());
        assert!(diagnosis(&[Grade::Fine, Grade::Bad, Grade::Fine]).bad());
    }
}

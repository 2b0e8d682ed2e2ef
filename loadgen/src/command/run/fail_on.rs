//! `--fail-on`: whether verdicts decide the exit code.

use std::process::ExitCode;

use pushbench_reports::{
    effect::{Effect, Verdict},
    record::Plan,
};

/// Which verdicts end a finished run with [`FAILED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// A primary verdict is `worse`: of another build's arms where there are any, else of any arm
    Worse,
    /// None
    Never,
}

/// The exit code of a run that was done as asked and found what `--fail-on` names: neither success nor
/// bad input.
pub const FAILED: u8 = 1;

impl FailOn {
    /// The effects to fail on. Where there is another build it is that which is judged: one transport
    /// may be worse than the other without a build being so.
    pub fn found<'a>(self, plan: &Plan, effects: &'a [Effect]) -> Vec<&'a Effect> {
        if self == Self::Never {
            return Vec::new();
        }
        let of_another_build = |label: &str| {
            let mut arms = plan.arms.iter();
            arms.any(|arm| arm.label == label && arm.held_against.is_some())
        };
        let builds = plan.arms.iter().any(|arm| arm.held_against.is_some());
        let worse = effects.iter().filter(|effect| {
            effect.primary
                && effect.verdict == Verdict::Worse
                && (!builds || of_another_build(&effect.arm))
        });
        worse.collect()
    }

    /// The exit code of a finished run with these effects to fail on.
    pub fn exit(found: &[&Effect]) -> ExitCode {
        if found.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use pushbench_reports::{estimate::effects, record::Facts};

    use super::*;
    use crate::plan::{self, quick};

    fn of(plan: &plan::Plan) -> Plan {
        plan.manifest(String::new(), Facts::new()).plan
    }

    /// All effects of the plan, these arms' latency worse and everything else undecided.
    fn worse(plan: &Plan, arms: &[&str], primary: bool) -> Vec<Effect> {
        let mut effects = effects(plan, &[]).effects;
        let chosen = effects.iter_mut().filter(|effect| {
            effect.experiment == "latency"
                && effect.primary == primary
                && arms.contains(&effect.arm.as_str())
        });
        chosen.for_each(|effect| effect.verdict = Verdict::Worse);
        effects
    }

    #[test]
    fn a_build_is_judged_and_not_the_transport_it_serves() {
        let mut plan = quick();
        let alone = of(&plan);
        plan.against("/other".as_ref()).unwrap();
        let against = of(&plan);
        let found = |plan, arms: &[&str], primary| {
            let effects = worse(plan, arms, primary);
            let found = FailOn::Worse.found(plan, &effects);
            assert!(FailOn::Never.found(plan, &effects).is_empty());
            found
                .iter()
                .map(|effect| effect.arm.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&alone, &["ws-h1"], true), ["ws-h1"]);
        assert!(found(&alone, &["ws-h1"], false).is_empty(), "exploratory");
        assert!(found(&against, &["ws-h1"], true).is_empty());
        let all = ["ws-h1", "ws-h1 (against)"];
        assert_eq!(found(&against, &all, true), ["ws-h1 (against)"]);
    }
}

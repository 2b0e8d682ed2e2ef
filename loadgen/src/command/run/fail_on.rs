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
    use pushbench_reports::record::{Facts, MarginKind};

    use super::*;
    use crate::plan::quick;

    fn effect(arm: &str, primary: bool, verdict: Verdict) -> Effect {
        Effect {
            experiment: "latency".into(),
            metric: "m".into(),
            unit: "ms".into(),
            baseline: "sse-h1".into(),
            arm: arm.into(),
            baseline_value: None,
            arm_value: None,
            rounds: 6,
            ratio: None,
            ratio_low: None,
            ratio_high: None,
            difference: None,
            difference_low: None,
            difference_high: None,
            margin: 1.0,
            margin_kind: MarginKind::Absolute,
            primary,
            p: None,
            p_holm: None,
            hodges_lehmann: None,
            disagreement: false,
            verdict,
            sentence: String::new(),
        }
    }

    #[test]
    fn a_build_is_judged_and_not_the_transport_it_serves() {
        let mut plan = quick();
        let manifest = |plan: &crate::plan::Plan| plan.manifest(String::new(), Facts::new()).plan;
        let alone = manifest(&plan);
        plan.against("/other".as_ref()).unwrap();
        let against = manifest(&plan);
        let effects = [
            effect("ws-h1", true, Verdict::Worse),
            effect("ws-h1 (against)", true, Verdict::Inconclusive),
            effect("sse-h1 (against)", true, Verdict::Worse),
            effect("sse-h1 (against)", false, Verdict::Worse),
        ];
        let found = |plan, of: &[Effect]| FailOn::Worse.found(plan, of).len();
        assert_eq!(found(&alone, &effects[..1]), 1);
        assert_eq!(found(&against, &effects), 1);
        assert_eq!(found(&against, &effects[..2]), 0);
        assert!(FailOn::Never.found(&against, &effects).is_empty());
    }
}

//! Which of a run's verdicts `--fail-on` looks at.

use pushbench_reports::{effect::Effect, record::Plan, verdict::MIN_ROUNDS};

/// Where there is another build it is that which is judged, in its own arms: one transport may be worse
/// than the other without a build being so. Elsewhere, every arm.
pub fn judged(plan: &Plan, mut effects: Vec<Effect>) -> Vec<Effect> {
    let of_another_build = |label: &str| {
        let mut arms = plan.arms.iter();
        arms.any(|arm| arm.label == label && arm.held_against.is_some())
    };
    if plan.arms.iter().any(|arm| arm.held_against.is_some()) {
        effects.retain(|effect| of_another_build(&effect.arm));
    }
    effects
}

/// Why a run that was to fail on a verdict cannot be passed, in a sentence each: trials failed, and without
/// them there was no verdict to be had. Where the plan has too few rounds for one, none was asked for; still
/// some of them must have been measured.
pub fn unmeasured(plan: &Plan, judged: &[Effect]) -> Vec<String> {
    let planned = |experiment: &str| {
        let mut experiments = plan.experiments.iter();
        experiments.find_map(|own| (own.name == experiment).then_some(own.rounds))
    };
    let short = judged.iter().filter(|effect| {
        let needed =
            planned(&effect.experiment).map_or(MIN_ROUNDS, |planned| planned.min(MIN_ROUNDS));
        effect.primary && effect.rounds < needed
    });
    let said = short.map(
        |Effect { experiment, arm, baseline, rounds, .. }| {
            format!(
                "{experiment}: `{arm}` was not judged: {rounds} rounds measured it and `{baseline}`, a verdict needs \
                 {MIN_ROUNDS}, and the other trials failed; their records say why"
            )
        },
    );
    said.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pushbench_reports::{estimate::effects, record::Facts};

    use super::*;
    use crate::plan::quick;

    #[test]
    fn a_build_is_judged_and_not_the_transport_it_serves() {
        let mut plan = quick();
        let arms = |plan: &crate::plan::Plan| {
            let plan = plan.manifest(String::new(), Facts::new()).plan;
            let judged = judged(&plan, effects(&plan, &[]).effects);
            let arms = judged.into_iter().map(|effect| effect.arm);
            arms.collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(arms(&plan), ["ws-h1"]);
        plan.against("/other".as_ref()).unwrap();
        assert_eq!(arms(&plan), ["sse-h1 (against)", "ws-h1 (against)"]);
    }

    #[test]
    fn a_build_that_was_not_measured_is_not_passed() {
        let mut plan = quick();
        plan.against("/other".as_ref()).unwrap();
        let sentences = |plan: &crate::plan::Plan, rounds| {
            let plan = plan.manifest(String::new(), Facts::new()).plan;
            let mut judged = judged(&plan, effects(&plan, &[]).effects);
            judged.iter_mut().for_each(|effect| effect.rounds = rounds);
            unmeasured(&plan, &judged)
        };
        // Two builds' arms in four experiments, whose exploratory metrics have no say.
        assert_eq!(sentences(&plan, 3).len(), 8);
        assert_eq!(sentences(&plan, 4).len(), 0);
        let first = sentences(&plan, 0).remove(0);
        assert!(
            first.starts_with("latency: `sse-h1 (against)` was not judged: 0 rounds"),
            "{first}"
        );
        plan.set_rounds(crate::quantity::rounds(2));
        assert_eq!(sentences(&plan, 2).len(), 0, "no verdict was asked for");
        assert_eq!(sentences(&plan, 1).len(), 8);
    }
}

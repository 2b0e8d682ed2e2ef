//! Which of a run's verdicts `--fail-on` looks at.

use pushbench_reports::{effect::Effect, record::Plan};

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
}

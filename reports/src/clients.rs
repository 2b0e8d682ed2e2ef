//! What of an effect is the generator's own: its clients do not all take equally long.

use crate::calibration::Digest;
use crate::effect::Effect;
use crate::quantity::signed_span;
use crate::record::Plan;

/// Share by which two clients may differ before every time beside them says so: what the calibration
/// calls alike (its check of the generator's own overhead).
pub const ALIKE: f64 = 0.05;

/// Adds to the sentence of each effect on a time what of it the calibration found in the clients.
pub fn remark(effects: &mut [Effect], plan: &Plan, calibration: Option<&Digest>) {
    let Some(digest) = calibration else {
        return;
    };
    for effect in effects.iter_mut().filter(|effect| is_time(plan, effect)) {
        if let Some(own_us) = difference_us(plan, digest, effect) {
            let own = signed_span(own_us, own_us, "µs");
            let said = format!(" Of the difference {own} are the generator's own client.");
            effect.sentence.push_str(&said);
        }
    }
}

/// The arm's client less the baseline's, microseconds a message; nothing where the two are alike or one
/// was not calibrated.
fn difference_us(plan: &Plan, digest: &Digest, effect: &Effect) -> Option<f64> {
    let client_us = |label: &str| {
        let arm = plan.arms.iter().find(|arm| arm.label == label)?;
        digest.client_us.get(&arm.transport).copied()
    };
    let (baseline, arm) = (client_us(&effect.baseline)?, client_us(&effect.arm)?);
    let difference = arm - baseline;
    (difference.abs() > ALIKE * arm.min(baseline)).then_some(difference)
}

/// Whether the metric is a time that a reader waits.
fn is_time(plan: &Plan, effect: &Effect) -> bool {
    plan.experiments
        .iter()
        .filter(|experiment| experiment.name == effect.experiment)
        .flat_map(|experiment| &experiment.metrics)
        .any(|metric| metric.name == effect.metric && metric.ms_per_unit.is_some())
}

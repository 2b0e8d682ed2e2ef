//! What of an effect may be the generator's own: its clients do not all take equally long.

use crate::calibration::Digest;
use crate::effect::Effect;
use crate::quantity::quantity;
use crate::record::Plan;

/// Share by which two clients may differ before every time that holds them says so: what the calibration
/// calls alike (its check of the generator's own overhead).
pub const ALIKE: f64 = 0.05;

/// Adds to the sentence of each effect on a time that the clients are within what of it may be theirs.
pub fn remark<'a>(
    effects: impl IntoIterator<Item = &'a mut Effect>,
    plan: &Plan,
    calibration: Option<&Digest>,
) {
    let Some(digest) = calibration else {
        return;
    };
    for effect in effects {
        let messages = client_messages(plan, effect);
        if let Some(own_us) = difference_us(plan, digest, effect).filter(|_| messages > 0) {
            effect.sentence.push_str(&said(own_us, messages, effect));
        }
    }
}

/// A client also works after it has dated a message, so what was calibrated is the most that a time can
/// hold of it; and it may as well stand against what was found.
fn said(own_us: f64, messages: u32, effect: &Effect) -> String {
    let most = quantity(own_us.abs() * f64::from(messages), "µs");
    let adds = effect.difference.is_some_and(|found| found * own_us > 0.0);
    let what = match messages {
        1 => "a message".to_owned(),
        _ => format!("{messages} messages in turn"),
    };
    if adds {
        format!(
            " Up to {most} of the difference may be how the generator's own clients read {what}."
        )
    } else {
        format!(
            " How the generator's own clients read {what} may hide up to {most} of a difference."
        )
    }
}

/// The arm's client less the baseline's, microseconds a message; nothing where the two are alike or one
/// was not calibrated.
fn difference_us(plan: &Plan, digest: &Digest, effect: &Effect) -> Option<f64> {
    let client_us = |label: &str| {
        let arm = plan.arms.iter().find(|arm| arm.label == label);
        // A screen's effect of the transport is between transports.
        let transport = arm.map_or(label, |arm| &arm.transport);
        digest.client_us.get(transport).copied()
    };
    let (baseline, arm) = (client_us(&effect.baseline)?, client_us(&effect.arm)?);
    let difference = arm - baseline;
    (difference.abs() > ALIKE * arm.min(baseline)).then_some(difference)
}

fn client_messages(plan: &Plan, effect: &Effect) -> u32 {
    plan.experiments
        .iter()
        .filter(|experiment| experiment.name == effect.experiment)
        .flat_map(|experiment| &experiment.metrics)
        .find(|metric| metric.name == effect.metric)
        .map_or(0, |metric| metric.client_messages)
}

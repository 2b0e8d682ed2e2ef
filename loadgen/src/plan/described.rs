//! The plan as the record has it, for readers who do not know the program.

use pushbench_reports::record::{self, Screen};

use super::{Entry, Plan, claims::claims};
use crate::experiment::Experiment;

/// What the report answers.
const QUESTION: &str = "Why does ChatGPT stream its answers over SSE and not over WebSocket?";

/// Everything a reader needs to know of the plan.
pub fn plan(plan: &Plan) -> record::Plan {
    let takes_part = |label: &str| {
        plan.experiments
            .iter()
            .any(|entry| entry.arms.iter().any(|arm| arm == label))
    };
    record::Plan {
        name: plan.name.clone(),
        seed: plan.seed,
        question: QUESTION.to_owned(),
        arms: plan
            .arms
            .iter()
            .filter(|arm| takes_part(&arm.label))
            .map(record::Arm::from)
            .collect(),
        experiments: plan
            .experiments
            .iter()
            .map(|entry| experiment(plan, entry))
            .collect(),
        claims: claims(plan),
        looks: plan.looks.clone(),
        notes: plan
            .experiments
            .iter()
            .filter_map(|entry| match &entry.design {
                Some(design) => Some(of_design(design)),
                None => note(plan, &entry.experiment),
            })
            .collect(),
    }
}

fn experiment(plan: &Plan, entry: &Entry) -> record::Experiment {
    let mut described = entry.experiment.describe();
    for metric in &mut described.metrics {
        if let Some(&margin) = entry.margins.get(&metric.name) {
            metric.margin = margin;
            metric.margin_reason = "set in the plan".to_owned();
        }
    }
    record::Experiment {
        rounds: entry.experiment.rounds(),
        baseline: plan.baseline.clone(),
        arms: entry.arms.clone(),
        screen: entry.design.clone(),
        ..described
    }
}

/// Where the load comes from, and what of it is not as in life.
fn note(plan: &Plan, experiment: &Experiment) -> Option<String> {
    let Experiment::Latency(settings) = experiment else {
        return None;
    };
    let delay_ms = settings.first_token_s.get() * 1e3;
    let arrivals = match &plan.replay {
        Some(replay) => format!(
            "Chat turns replay arrivals and lengths of {} ({} requests), arrivals {} times as fast as recorded, token \
             gaps as they are.",
            replay.name,
            replay.trace.requests().len(),
            settings.speed_up.per_second(),
        ),
        None => "Chat turns are synthetic: Poisson arrivals, answer lengths by the quantiles of published traces."
            .to_owned(),
    };
    Some(format!(
        "{arrivals} The first token is due {delay_ms:.0} ms after the prompt, where real models take 500 to 900 ms: \
         shortened, so that a trial holds many turns."
    ))
}

/// What the rows are, and what stands behind names that are not a plan file's.
fn of_design(design: &Screen) -> String {
    format!(
        "{} factors at two levels each in {} rows: Plackett and Burman's design of 12 runs, folded over, so that no \
         factor's effect is mixed with another's or with an interaction of two. Every row is run on both \
         transports back to back. A factor that one transport does not have is as by default there; \
         `ws_read_buffer_bytes` of a WebSocket and `http_buffer_bytes` of HTTP share a column.",
        design.factors.len(),
        design.rows.len()
    )
}

//! The articles' reasons for SSE, as data: which effects of a run support or contradict each.

use pushbench_reports::{
    effect::Verdict,
    record::{Claim, Evidence},
};

use super::{Entry, Plan};
use crate::arm::Arm;

/// A statement, and the metrics that bear on it.
struct Reason {
    name: &'static str,
    statement: &'static str,
    /// Of whom the statement says that it is better.
    praised: Mechanism,
    /// Experiment and metric.
    evidence: &'static [(&'static str, &'static str)],
    remark: &'static str,
}

/// The family of a transport, as the articles speak of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Sse,
    WebSocket,
}

const REASONS: [Reason; 4] = [
    Reason {
        name: "lighter",
        statement: "SSE is lighter than WebSocket",
        praised: Mechanism::Sse,
        evidence: &[
            ("memory", "user_bytes_per_idle_connection"),
            ("throughput", "server_cpu_us_per_message"),
        ],
        remark: "Measured as the server's memory per connection and its CPU per delivered message, both transports tuned \
                 alike; another server library may weigh differently.",
    },
    Reason {
        name: "faster",
        statement: "WebSocket has lower latency and is faster",
        praised: Mechanism::WebSocket,
        evidence: &[
            ("latency", "token_latency_ms_p50"),
            ("latency", "ttft_cold_ms_p50"),
        ],
        remark: "Measured on one machine, where a round trip costs next to nothing: what the round trips counted here \
                 cost on a network is arithmetic, in the table of the latency experiment.",
    },
    Reason {
        name: "reconnects",
        statement: "Reconnection is an advantage of SSE: it reconnects by itself",
        praised: Mechanism::Sse,
        evidence: &[("reconnect", "reconnect_gap_ms_p50")],
        remark: "Measured as the time without messages when both follow the same reconnect policy, which this project \
                 wrote for both: an advantage of the wire would show here. That EventSource brings the policy along \
                 and a WebSocket's client has to write it is so, whatever is measured.",
    },
    Reason {
        name: "simpler",
        statement: "SSE is simpler: it starts with fewer exchanges",
        praised: Mechanism::Sse,
        evidence: &[("latency", "round_trips_cold")],
        remark: "Of simplicity only the round trips to the first token on a new connection are measured; how much \
                 code and care each takes is not.",
    },
];

/// What the plan's effects can say about each reason. The arm that speaks for the other family than the
/// baseline's is the first of it in an experiment.
pub fn claims(plan: &Plan) -> Vec<Claim> {
    // Its arms are rows of a design, none of which speaks for a family.
    if plan.is_screen() {
        return Vec::new();
    }
    REASONS
        .iter()
        .map(|reason| Claim {
            name: reason.name.to_owned(),
            statement: reason.statement.to_owned(),
            evidence: reason
                .evidence
                .iter()
                .filter_map(|names| evidence(plan, reason.praised, *names))
                .collect(),
            remark: reason.remark.to_owned(),
        })
        .collect()
}

fn evidence(
    plan: &Plan,
    praised: Mechanism,
    (experiment, metric): (&str, &str),
) -> Option<Evidence> {
    let entry = plan
        .experiments
        .iter()
        .find(|entry| entry.experiment.name() == experiment)?;
    let baseline = plan.arms.iter().find(|arm| arm.label == plan.baseline)?;
    let arm = opponent(plan, entry, baseline)?;
    // The articles claim an advantage: one too small to matter contradicts them as its opposite does.
    let (supported_by, opposite) = if mechanism(arm) == Some(praised) {
        (Verdict::Better, Verdict::Worse)
    } else {
        (Verdict::Worse, Verdict::Better)
    };
    Some(Evidence {
        experiment: experiment.to_owned(),
        metric: metric.to_owned(),
        arm: arm.label.clone(),
        supported_by: vec![supported_by],
        contradicted_by: vec![opposite, Verdict::Equivalent],
    })
}

fn opponent<'a>(plan: &'a Plan, entry: &Entry, baseline: &Arm) -> Option<&'a Arm> {
    plan.arms.iter().find(|arm| {
        let other = mechanism(arm).is_some() && mechanism(arm) != mechanism(baseline);
        // A control or another build's arm says nothing of the transports that the arm itself does not.
        let itself = arm.control_of.is_none() && arm.held_against().is_none();
        other && itself && entry.arms.contains(&arm.label)
    })
}

/// By the first part of the transport's name, so that a new transport of either family needs no line here.
fn mechanism(arm: &Arm) -> Option<Mechanism> {
    match arm.transport.name().split('-').next() {
        Some("sse") => Some(Mechanism::Sse),
        Some("ws") => Some(Mechanism::WebSocket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{full, quick};

    #[test]
    fn every_claim_rests_on_metrics_that_the_experiments_yield() {
        for plan in [quick(), full()] {
            let evidence: Vec<_> = claims(&plan)
                .into_iter()
                .flat_map(|claim| claim.evidence)
                .collect();
            assert_eq!(evidence.len(), 6);
            for Evidence {
                experiment,
                metric,
                arm,
                ..
            } in evidence
            {
                let entry = plan
                    .experiments
                    .iter()
                    .find(|entry| entry.experiment.name() == experiment)
                    .unwrap();
                let metrics = entry.experiment.describe().metrics;
                assert!(
                    metrics.iter().any(|known| known.name == metric),
                    "{experiment} has no {metric}"
                );
                assert!(entry.arms.contains(&arm));
                assert_eq!(arm, "ws-h1", "the tuned one speaks for WebSocket");
            }
        }
    }

    #[test]
    fn with_the_arms_changed_over_the_verdicts_change_over() {
        let mut plan = quick();
        let before = claims(&plan);
        plan.baseline = "ws-h1".to_owned();
        for (before, after) in before.iter().zip(claims(&plan)) {
            for (before, after) in before.evidence.iter().zip(after.evidence) {
                assert_eq!(after.arm, "sse-h1");
                assert_eq!(after.contradicted_by[0], before.supported_by[0]);
                assert_eq!(after.supported_by[0], before.contradicted_by[0]);
            }
        }
    }

    #[test]
    fn a_screen_rules_on_no_claim() {
        assert_eq!(claims(&crate::plan::screen()), []);
    }

    #[test]
    fn what_was_not_run_decides_nothing() {
        let mut plan = quick();
        plan.only(&["latency".to_owned()]).unwrap();
        let without: Vec<_> = claims(&plan)
            .into_iter()
            .filter(|claim| claim.evidence.is_empty())
            .collect();
        assert_eq!(
            without
                .iter()
                .map(|claim| claim.name.as_str())
                .collect::<Vec<_>>(),
            ["lighter", "reconnects"]
        );
    }
}

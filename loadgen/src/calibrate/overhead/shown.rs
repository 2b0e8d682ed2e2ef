//! Whether a report shows what the clients may hold of a latency effect: asked of a report.

use std::collections::BTreeMap;

use pushbench_reports::{
    calibration::Digest, effect::Effect, histograms::Histograms, read::Run, summary::Summary,
};

use crate::{
    calibrate::blank_record,
    plan::{self, Plan},
};

/// A report on a run, as pairs are judged by it; another one in tests.
pub(super) type Report = fn(Run) -> Vec<Effect>;

/// What the summary and every page say.
pub(super) fn report(run: Run) -> Vec<Effect> {
    Summary::new(&run).effects
}

/// Whether every latency effect between these transports says something of the clients that follows
/// their difference: in a made-up run in which one of them is a fifth slower.
pub(super) fn beside_every_latency_effect(
    report: Report,
    [one, other]: [&str; 2],
    client_us: &BTreeMap<String, f64>,
) -> bool {
    let plan = between(one, other);
    let of = |client_us: BTreeMap<String, f64>| report(made_up(&plan, client_us));
    let with = of(client_us.clone());
    let without = of(BTreeMap::new());
    // The figure, and not just words: with clients further apart it is another one.
    let mut further = client_us.clone();
    if let Some(other_us) = further.get_mut(other) {
        *other_us *= 3.0;
    }
    let further = of(further);
    let latencies = without
        .iter()
        .filter(|effect| effect.metric.contains("latency_ms"));
    let mut shown = latencies.map(|bare| {
        let added = |effects: &[Effect]| {
            let same = |of: &&Effect| of.experiment == bare.experiment && of.metric == bare.metric;
            let said = effects
                .iter()
                .find(same)?
                .sentence
                .strip_prefix(&bare.sentence)?;
            said.contains(|c: char| c.is_ascii_digit())
                .then(|| said.to_owned())
        };
        let (said, of_further) = (added(&with), added(&further));
        said.is_some() && of_further.is_some() && said != of_further
    });
    // No effect at all shows nothing.
    shown.next() == Some(true) && shown.all(|shown| shown)
}

/// The quick plan with an arm for each of two transports.
fn between(one: &str, other: &str) -> Plan {
    let mut plan = plan::quick();
    plan.arms.retain(|arm| {
        let name = arm.transport.name();
        arm.control_of.is_none() && (name == one || name == other)
    });
    for arm in &mut plan.arms {
        arm.label = arm.transport.name().to_owned();
    }
    one.clone_into(&mut plan.baseline);
    for entry in &mut plan.experiments {
        entry.arms = vec![one.to_owned(), other.to_owned()];
    }
    plan
}

fn made_up(plan: &Plan, client_us: BTreeMap<String, f64>) -> Run {
    let mut manifest = plan.manifest(String::new(), BTreeMap::new());
    manifest.calibration = Some(Digest {
        started_at: String::new(),
        quick: true,
        passed: 0,
        of: 0,
        client_us,
    });
    let mut records = Vec::new();
    for experiment in &manifest.plan.experiments {
        for round in 1..=experiment.rounds {
            for (nth, arm) in (0_u32..).zip(&manifest.plan.arms) {
                let mut record = blank_record(&experiment.name, &arm.label, round);
                // No two rounds alike, or their spread would be none.
                let figure = (1.0 + 0.2 * f64::from(nth)) * (1.0 + 0.001 * f64::from(round));
                let names = experiment.metrics.iter().map(|metric| metric.name.clone());
                record.metrics = names.map(|name| (name, Some(figure))).collect();
                records.push(record);
            }
        }
    }
    Run {
        manifest,
        records,
        record_files: Vec::new(),
        histograms: Histograms::default(),
    }
}

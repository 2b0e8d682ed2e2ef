//! Runs made up for a claim: a run of one experiment for each figure that it asks for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pushbench_reports::histograms::Histograms;
use pushbench_reports::published::claim::{Ask, Claim, Expected, Part, Scale, Side, Within};
use pushbench_reports::published::evidence::Placed;
use pushbench_reports::read::Run;
use pushbench_reports::record::{Arm, Experiment, FORMAT, Manifest, Plan, Record};

/// What a made-up figure is to say of its claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    Hold,
    Fail,
}

/// A figure that holds or fails, far from where the rule turns.
fn target(part: &Part, wish: Wish) -> f64 {
    let ratio = part.ask.scale == Scale::Ratio;
    let (above, below) = match part.expected {
        Expected::Above(bound) | Expected::Below(bound) if ratio => (bound * 1.5, bound * 0.5),
        Expected::Above(bound) | Expected::Below(bound) => {
            (bound + 1.0 + bound.abs(), bound - 1.0 - bound.abs())
        }
        Expected::Published { low, high, .. } => ((low + high) / 2.0, high * 3.0),
        Expected::Inside { low, high } => ((low + high) / 2.0, high * 3.0),
    };
    match (part.expected, wish) {
        (Expected::Below(_), Wish::Hold) => below,
        (Expected::Below(_), Wish::Fail) => above,
        (_, Wish::Hold) => above,
        (_, Wish::Fail) => below,
    }
}

/// Every round's two figures; they scatter by a thousandth.
fn figures(scale: Scale, target: f64, round: u32) -> (f64, f64) {
    let around = 1.0 + (f64::from(round) - 2.5) / 1_000.0;
    match scale {
        Scale::Ratio => (100.0 * target * around, 100.0),
        Scale::Difference => (1_000_000.0 + target * around, 1_000_000.0),
        Scale::Times(factor) => (target / factor * around, 0.0),
        Scale::Per(whole) => (whole / target * around, 0.0),
    }
}

fn arm(label: &str, side: &Side) -> Arm {
    let levels = side.factors.iter();
    Arm {
        label: label.into(),
        transport: side.transport.into(),
        control_of: None,
        held_against: None,
        factors: levels
            .map(|(name, level)| ((*name).into(), (*level).into()))
            .collect(),
    }
}

fn same_arm(a: &Side, b: &Side) -> bool {
    (a.transport, a.factors) == (b.transport, b.factors)
}

/// A run of one experiment that has what one part asks for.
pub fn run(part: &Part, wish: Wish, started_at: &str, rounds: u32) -> Run {
    let ask = &part.ask;
    let mut arms = vec![arm("of", &ask.of)];
    let mut other = "of";
    if let Some(against) = &ask.against
        && !same_arm(&ask.of, against)
    {
        other = "against";
        arms.push(arm(other, against));
    }
    let record = |round: u32, label: &str| {
        let (of, against) = figures(ask.scale, target(part, wish), round);
        let mut metrics = BTreeMap::new();
        if label == "of" {
            metrics.insert(ask.of.metric.to_owned(), Some(of));
        }
        if let Some(side) = &ask.against
            && label == other
        {
            metrics.insert(side.metric.to_owned(), Some(against));
        }
        Record {
            format: FORMAT,
            trial: round,
            experiment: ask.experiment.into(),
            arm: label.into(),
            round,
            attempt: 1,
            started_at: started_at.into(),
            duration_ms: 1,
            settings: BTreeMap::new(),
            metrics,
            points: BTreeMap::new(),
            counters: BTreeMap::new(),
            books: Vec::new(),
            histograms: BTreeMap::new(),
            invalid: Vec::new(),
            notes: Vec::new(),
        }
    };
    let labels: Vec<String> = arms.iter().map(|arm| arm.label.clone()).collect();
    let records: Vec<Record> = (1..=rounds)
        .flat_map(|round| labels.iter().map(move |label| (round, label)))
        .map(|(round, label)| record(round, label))
        .collect();
    let files = records.iter().enumerate();
    Run {
        record_files: files.map(|(place, _)| format!("{place:04}.json")).collect(),
        records,
        histograms: Histograms::default(),
        manifest: manifest(ask, arms, labels, started_at, rounds),
    }
}

fn manifest(
    ask: &Ask,
    arms: Vec<Arm>,
    labels: Vec<String>,
    started_at: &str,
    rounds: u32,
) -> Manifest {
    let setting = |bound: &Within| {
        let between = (bound.least + bound.most) / 2.0;
        (bound.setting.to_owned(), between.to_string())
    };
    let facts = [
        ("commit", "abc1234"),
        ("cpu", "a <cpu> | `x`"),
        ("cores", "2"),
    ];
    Manifest {
        format: FORMAT,
        started_at: started_at.into(),
        environment: facts.map(|(name, fact)| (name.into(), fact.into())).into(),
        calibration: None,
        plan: Plan {
            name: ask.plan.into(),
            seed: 1,
            question: "Which?".into(),
            experiments: vec![Experiment {
                name: ask.experiment.into(),
                title: "T".into(),
                question: "Q?".into(),
                rounds,
                baseline: labels[0].clone(),
                arms: labels,
                settings: ask.within.iter().map(setting).collect(),
                metrics: Vec::new(),
                charts: Vec::new(),
                screen: None,
            }],
            arms,
            claims: Vec::new(),
            looks: Vec::new(),
            notes: Vec::new(),
        },
    }
}

/// A run each for the parts of a claim, with what each is to say.
pub fn runs(claim: &Claim, wish: impl Fn(usize) -> Wish) -> Vec<Placed> {
    let parts = claim.judging.parts().iter().enumerate();
    let placed = parts.map(|(place, part)| Placed {
        place: format!("run-{place}"),
        run: run(part, wish(place), "2026-11-25T08:00:00Z", 4),
    });
    placed.collect()
}

/// Writes a run's files, all that `publish` reads of one.
pub fn write(dir: &Path, run: &Run) {
    fs::create_dir_all(dir.join("records")).unwrap();
    let json = serde_json::to_string(&run.manifest).unwrap();
    fs::write(dir.join("run.json"), json).unwrap();
    for (record, file) in run.records.iter().zip(&run.record_files) {
        let json = serde_json::to_string(record).unwrap();
        fs::write(dir.join("records").join(file), json).unwrap();
    }
}

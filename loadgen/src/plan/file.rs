//! Reads a plan file (TOML). What cannot be run is refused with file, line and remedy.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use pushbench_server::contract::transport::Transport;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::{
    Entry, Plan, SEED,
    table::{Flaw, Table},
};
use crate::{
    arm::{Arm, Build, Factors},
    experiment::Experiment,
    warm_up::WarmUp,
};

/// A plan file that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}, line {line} (`{text}`): {message}; `pushbench plan --example` prints a plan that is valid"
)]
pub struct Fault {
    file: String,
    line: usize,
    text: String,
    message: String,
}

/// Reads the text of a plan file. `file` names it in faults, and `name` is the plan's where the text
/// has none.
///
/// # Errors
/// [`Fault`].
pub fn parse(text: &str, file: &str, name: &str) -> Result<Plan, Fault> {
    read(text, name).map_err(|flaw| {
        let before = text.get(..flaw.span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let source = text.lines().nth(line - 1).unwrap_or_default();
        Fault {
            file: file.to_owned(),
            line,
            text: source.trim().to_owned(),
            message: flaw.message,
        }
    })
}

fn read(text: &str, name: &str) -> Result<Plan, Flaw> {
    let mut file = Table::parse(text)?;
    let name = file
        .take("name")?
        .map_or(name.to_owned(), Spanned::into_inner);
    let seed = file.take("seed")?.map_or(SEED, Spanned::into_inner);
    let baseline: Option<Spanned<String>> = file.take("baseline")?;
    let arms = arms(file.tables("arm")?)?;
    let Some(first) = arms.first() else {
        return Err(Flaw::at(
            0..0,
            "the plan has no arm: name what is to be compared in [[arm]] tables",
        ));
    };
    let (at, baseline) = match baseline {
        Some(baseline) => (baseline.span(), baseline.into_inner()),
        None => (0..0, first.label.clone()),
    };
    known(&arms, &baseline, at)?;
    let experiments = [
        experiment(&mut file, "latency", Experiment::Latency, &arms, &baseline)?,
        experiment(
            &mut file,
            "throughput",
            Experiment::Throughput,
            &arms,
            &baseline,
        )?,
        experiment(&mut file, "memory", Experiment::Memory, &arms, &baseline)?,
        experiment(
            &mut file,
            "reconnect",
            Experiment::Reconnect,
            &arms,
            &baseline,
        )?,
        experiment(&mut file, "wire", Experiment::Wire, &arms, &baseline)?,
        experiment(&mut file, "setup", Experiment::Setup, &arms, &baseline)?,
    ];
    let experiments: Vec<_> = experiments.into_iter().flatten().collect();
    file.end(
        "name, seed, baseline, [[arm]], [latency], [throughput], [memory], [reconnect], [wire], [setup]",
    )?;
    if experiments.is_empty() {
        // A screen's arms are rows of a design, which no file has.
        let names: Vec<_> = Experiment::NAMES
            .iter()
            .filter(|name| **name != "screen")
            .map(|name| format!("[{name}]"))
            .collect();
        let names = names.join(", ");
        return Err(Flaw::at(
            0..0,
            format!("the plan has no experiment: add one or more of {names}"),
        ));
    }
    Ok(Plan {
        name,
        seed,
        arms,
        baseline,
        experiments,
        replay: None,
        looks: Vec::new(),
    })
}

fn arms(tables: Vec<Table>) -> Result<Vec<Arm>, Flaw> {
    let mut labels = BTreeSet::new();
    let mut controls = Vec::new();
    let mut arms: Vec<Arm> = Vec::new();
    for mut table in tables {
        let span = table.span();
        let transport: Option<Spanned<Transport>> = table.take("transport")?;
        let Some(transport) = transport.map(Spanned::into_inner) else {
            let names = Transport::ALL.map(Transport::name).join(", ");
            return Err(Flaw::at(
                span,
                format!("the arm has no `transport`: give it one of {names}"),
            ));
        };
        let label = table.take("label")?;
        let at = label.as_ref().map_or(span, Spanned::span);
        let label = label.map_or(transport.name().to_owned(), Spanned::into_inner);
        let control_of: Option<Spanned<String>> = table.take("control_of")?;
        if label.is_empty() || !labels.insert(label.clone()) {
            let message = format!(
                "the label `{label}` is empty or taken: give each arm a `label` of its own"
            );
            return Err(Flaw::at(at, message));
        }
        if let Some(original) = &control_of {
            controls.push((arms.len(), original.span()));
        }
        let control_of = control_of.map(Spanned::into_inner);
        let span = table.span();
        let factors: Factors = table.rest()?;
        if let Some(misfit) = factors.misfit(transport) {
            return Err(Flaw::at(span, misfit.to_string()));
        }
        arms.push(Arm {
            label,
            transport,
            control_of,
            factors,
            build: Build::Own,
        });
    }
    for (control, at) in controls {
        check_control(&arms, &arms[control], at)?;
    }
    Ok(arms)
}

/// A control is an arm once more: anything else would be no measure of noise.
fn check_control(arms: &[Arm], control: &Arm, at: Range<usize>) -> Result<(), Flaw> {
    let original = control.control_of.as_deref().unwrap_or_default();
    if original == control.label {
        return Err(Flaw::at(
            at,
            "an arm cannot control itself: name another arm's label",
        ));
    }
    let original = known(arms, original, at.clone())?;
    if original.control_of.is_some() {
        return Err(Flaw::at(
            at,
            "a control of a control: name the label of the arm that both repeat",
        ));
    }
    if (original.transport, &original.factors) != (control.transport, &control.factors) {
        return Err(Flaw::at(
            at,
            "a control repeats its arm: give both the same transport and factors",
        ));
    }
    Ok(())
}

fn experiment<S: DeserializeOwned>(
    file: &mut Table,
    name: &str,
    with: impl FnOnce(S) -> Experiment,
    arms: &[Arm],
    baseline: &str,
) -> Result<Option<Entry>, Flaw> {
    let Some(mut table) = file.table(name)? else {
        return Ok(None);
    };
    let (at, part) = match table.take::<Vec<String>>("arms")? {
        Some(part) => (part.span(), part.into_inner()),
        None => (
            table.span(),
            arms.iter().map(|arm| arm.label.clone()).collect(),
        ),
    };
    for label in &part {
        known(arms, label, at.clone())?;
    }
    if part.iter().collect::<BTreeSet<_>>().len() < part.len() {
        return Err(Flaw::at(at, "`arms` names an arm twice: name each once"));
    }
    if !part.iter().any(|label| label == baseline) {
        let message = format!(
            "`arms` leaves out the baseline `{baseline}`, that the others are held against: add it"
        );
        return Err(Flaw::at(at, message));
    }
    let mut taking_part = arms.iter().filter(|arm| part.contains(&arm.label));
    if !taking_part.any(|arm| {
        arm.control_of
            .as_ref()
            .is_some_and(|original| part.contains(original))
    }) {
        let message = format!(
            "{name} has no A/A control, and without one nobody knows its noise: add an [[arm]] with `control_of` and \
             the same transport and factors as the arm it names"
        );
        return Err(Flaw::at(at, message));
    }
    let margins = table.take("margins")?;
    let span = table.span();
    let experiment = with(table.rest()?);
    let taking_part = arms.iter().filter(|arm| part.contains(&arm.label));
    for arm in taking_part {
        if let Some(reason) = experiment.misfit(&arm.factors) {
            let message = format!("{name} cannot measure the arm `{}`: {reason}", arm.label);
            return Err(Flaw::at(at, message));
        }
    }
    if let Some(WarmUp { least, most }) = experiment.warm_up()
        && most < least
    {
        let (least, most) = (least.get(), most.get());
        let message = format!(
            "the longest warm-up, `warm_up_max_s`, is {most} s, and the least, `warm_up_s`, is {least} s: turn them \
             around"
        );
        return Err(Flaw::at(span, message));
    }
    Ok(Some(Entry {
        margins: margins.map_or(Ok(BTreeMap::new()), |margins| {
            check_margins(&experiment, margins.span(), margins.into_inner())
        })?,
        experiment,
        arms: part,
        design: None,
    }))
}

fn check_margins(
    experiment: &Experiment,
    at: Range<usize>,
    margins: BTreeMap<String, f64>,
) -> Result<BTreeMap<String, f64>, Flaw> {
    let metrics = experiment.describe().metrics;
    for (name, margin) in &margins {
        if !metrics.iter().any(|metric| metric.name == *name) {
            let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
            let choice = names.join(", ");
            return Err(Flaw::at(
                at,
                format!("no metric `{name}` to set a margin for: use one of {choice}"),
            ));
        }
        if !(margin.is_finite() && *margin >= 0.0) {
            return Err(Flaw::at(
                at,
                format!("a margin of {margin} for `{name}`: use 0 or more"),
            ));
        }
    }
    Ok(margins)
}

fn known<'a>(arms: &'a [Arm], label: &str, at: Range<usize>) -> Result<&'a Arm, Flaw> {
    arms.iter().find(|arm| arm.label == label).ok_or_else(|| {
        let labels: Vec<_> = arms.iter().map(|arm| arm.label.as_str()).collect();
        Flaw::at(
            at,
            format!(
                "no arm has the label `{label}`: use one of {}",
                labels.join(", ")
            ),
        )
    })
}

#[cfg(test)]
mod tests;

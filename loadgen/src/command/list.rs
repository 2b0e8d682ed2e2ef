//! `pushbench list`: what there is to choose from, printed from what the program itself goes by.

use std::{fmt::Write, process::ExitCode};

use clap::ValueEnum;
use pushbench_server::contract::{factors::FACTORS, transport::Transport};

use super::say;
use crate::{experiment::Experiment, plan, quantity::spoken};

/// Print the transports, factors, experiments or plans that there are
#[derive(Debug, clap::Args)]
pub struct List {
    /// What to list
    #[arg(value_name = "WHAT")]
    what: What,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// How messages travel
    Transports,
    /// The knobs that are not the transport, and their levels, the first of them the default
    Factors,
    /// The questions
    Experiments,
    /// The plans that come with the program
    Plans,
}

/// Prints a list.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &List) -> anyhow::Result<ExitCode> {
    let rows = match args.what {
        What::Transports => transports(),
        What::Factors => factors(),
        What::Experiments => experiments(),
        What::Plans => plans(),
    };
    say(&columns(&rows))?;
    Ok(ExitCode::SUCCESS)
}

/// A name, and what is said of it.
type Row = [String; 2];

fn transports() -> Vec<Row> {
    let row = |transport: Transport| [transport.name(), transport.what()].map(str::to_owned);
    Transport::ALL.map(row).to_vec()
}

fn factors() -> Vec<Row> {
    let row = |factor: &pushbench_server::contract::factors::Factor| {
        let said = format!("{}: {}", factor.what, factor.levels);
        [factor.name.to_owned(), said]
    };
    FACTORS.iter().map(row).collect()
}

fn experiments() -> Vec<Row> {
    let row =
        |experiment: Experiment| [experiment.name().to_owned(), experiment.describe().question];
    Experiment::all().map(row).to_vec()
}

fn plans() -> Vec<Row> {
    let row = |built_in: &plan::BuiltIn| {
        let plan = (built_in.plan)();
        let (trials, takes) = (plan.trials().len(), spoken(plan.seconds()));
        let said = format!("{} ({trials} trials, about {takes})", built_in.what);
        [built_in.name.to_owned(), said]
    };
    plan::BUILT_IN.iter().map(row).collect()
}

fn columns(rows: &[Row]) -> String {
    let width = rows.iter().map(|[name, _]| name.len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, [name, said]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<width$}  {said}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_names_what_can_be_asked_for() {
        for [name, _] in transports() {
            assert!(name.parse::<Transport>().is_ok(), "{name}");
        }
        for [name, _] in plans() {
            assert!(crate::command::plan::load(&name).is_ok(), "{name}");
        }
        let names: Vec<_> = experiments().into_iter().map(|[name, _]| name).collect();
        assert_eq!(names, Experiment::NAMES);
        assert_eq!(factors().len(), FACTORS.len());
    }

    #[test]
    fn names_stand_in_a_column() {
        let rows = [["a", "one"], ["long", "two"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "a     one\nlong  two\n");
    }
}

//! `pushbench doctor`: what this machine is fit for, and how many rounds it needs.

use std::{fmt::Write, process::ExitCode};

use anyhow::Context;
use pushbench_server::affinity;

use super::{
    note,
    run::{outcome::INTERRUPTED, site},
    say, single_threaded, stop_signal,
};
use crate::{
    bench::Site,
    doctor::{Diagnosis, Finding, brief, measured, spread},
    meter::limits::raise_open_files,
};

/// Look at this machine, half a minute: what would spoil a run, and how many rounds one needs
///
/// Changes nothing. Exits with 1 if something was found that would spoil a run.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Leave out all that takes measuring
    #[arg(long)]
    brief: bool,

    /// Print the findings as JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Examines and tells.
///
/// # Errors
/// When it cannot even begin.
pub fn run(args: &Doctor) -> anyhow::Result<ExitCode> {
    raise_open_files();
    let site = site()?;
    let mut diagnosis = Diagnosis {
        findings: brief(&site),
        ..Diagnosis::default()
    };
    if !args.brief && !measure(site, &mut diagnosis)? {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    say(&match args.json {
        true => serde_json::to_string_pretty(&diagnosis)? + "\n",
        false => text(&diagnosis),
    })?;
    Ok(ExitCode::from(u8::from(diagnosis.bad())))
}

/// Adds what takes time; whether it was let finish.
fn measure(mut site: Site, diagnosis: &mut Diagnosis) -> anyhow::Result<bool> {
    note("measuring the clock, others' work and loopback, then short trials: half a minute");
    let allowed = affinity::cores().context("cannot read which cores there are")?;
    let findings = &mut diagnosis.findings;
    findings.push(measured::clock_cost(measured::read_clock()));
    findings.extend(measured::others(
        measured::watch_others(&site, &allowed),
        allowed.len(),
    ));
    findings.push(measured::loopback(&measured::ping_pong(&site)));

    let scratch = tempfile::tempdir().context("cannot create a temporary directory")?;
    site.directory = scratch.path().to_owned();
    if !site.generator_cores.is_empty() {
        affinity::pin(&site.generator_cores).context("cannot pin the generator to its core")?;
    }
    let records = single_threaded()?.block_on(async {
        let stop = stop_signal()?;
        let rounds = spread::measure(&site, |round| {
            note(&format!("round {round} of identical arms"))
        });
        anyhow::Ok(tokio::select! {
            // Dropping a trial ends its server.
            () = stop => None,
            records = rounds => Some(records),
        })
    })?;
    let Some(records) = records else {
        return Ok(false);
    };
    // What broke is told; the place of a temporary file is nobody's business.
    let place = site.directory.display().to_string();
    let records =
        records.map_err(|broken| broken.to_string().replace(&place, "a temporary directory"));
    diagnosis.findings.push(spread::finding(&records));
    diagnosis.rounds_needed = spread::needed(&records.unwrap_or_default());
    Ok(true)
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text: String = diagnosis.findings.iter().map(lines).collect();
    if !diagnosis.rounds_needed.is_empty() {
        text += &rounds(&diagnosis.rounds_needed);
    }
    text + match diagnosis.bad() {
        true => "\nSomething here would spoil a run.\n",
        false => "\nNothing here would spoil a run.\n",
    }
}

/// What was found, and below it what to do.
fn lines(finding: &Finding) -> String {
    let Finding {
        name,
        grade,
        found,
        remedy,
    } = finding;
    let name = name.replace('_', " ");
    let indent = "";
    format!(
        "{name:<19} {:<14} {found}\n{indent:<34} {remedy}\n",
        grade.words()
    )
}

fn rounds(needed: &[spread::Needed]) -> String {
    // Writing to a string cannot fail.
    let mut text =
        "\nRounds needed to find a difference of this size, and to show that there is none:\n"
            .to_owned();
    let _ = write!(text, "{:<26}{:>8}", "", "spread");
    for share in spread::SHARES {
        let _ = write!(text, "{:>7.0} %", 100.0 * share);
    }
    for metric in needed {
        let spread = metric
            .spread
            .map(|spread| format!("{:.1} %", 100.0 * spread));
        let _ = write!(
            text,
            "\n{:<26}{:>8}",
            metric.title,
            spread.as_deref().unwrap_or("?")
        );
        for at in &metric.rounds {
            let rounds = at
                .rounds
                .map_or("> 1000".to_owned(), |rounds| rounds.to_string());
            let _ = write!(text, "{rounds:>9}");
        }
        if metric.rounds.is_empty() {
            text += "  too few valid rounds to say";
        }
    }
    text + "\nFrom few and short trials: a guide. docs/reference/doctor.md says how far it can be off.\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Grade;

    #[test]
    fn what_was_found_its_grade_its_remedy_and_the_rounds_are_all_there() {
        let finding = Finding {
            name: "open_files",
            grade: Grade::Bad,
            found: "few".into(),
            remedy: "Raise it.".into(),
        };
        let resolved = |difference_percent, rounds| spread::Resolved {
            difference_percent,
            rounds,
        };
        let needed = spread::Needed {
            experiment: "latency",
            metric: "token_latency_ms_p50",
            title: "token latency p50",
            measured: 3,
            spread: Some(0.123),
            rounds: vec![
                resolved(5.0, None),
                resolved(10.0, Some(34)),
                resolved(20.0, Some(10)),
            ],
        };
        let text = text(&Diagnosis {
            findings: vec![finding],
            rounds_needed: vec![needed],
        });
        for part in [
            "open files",
            "bad",
            "few",
            "Raise it.",
            "12.3 %",
            "> 1000",
            "34",
            "would spoil",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

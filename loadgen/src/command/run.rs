//! `pushbench run`: every trial of a plan, then the report.

mod outcome;
mod place;
mod progress;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use pushbench_reports::record::Facts;
use pushbench_server::affinity;

use super::{note, plan::load, report::summary, say, single_threaded, stop_signal};
use crate::{
    bench::Site,
    meter::{
        environment::environment,
        limits::{enough_open_files, raise_open_files},
    },
    plan::{Plan, Replay},
    quantity::{Rate, Rounds},
    trace::Trace,
    trial::{self, Trial},
};
use outcome::{Outcome, Patience};
use progress::Progress;

/// Measure: run a plan's trials and write a report with charts and a verdict
#[derive(Debug, clap::Args)]
pub struct Run {
    /// quick (three minutes), full (about half an hour) or a plan file (.toml)
    #[arg(long, default_value = "quick", value_name = "PLAN")]
    plan: String,

    /// Directory of the report, new or empty [default: reports/runs/TIME-PLAN, the time in UTC]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Run only these experiments of the plan: latency, throughput, memory, reconnect
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// Run every experiment in this many rounds, an even number
    #[arg(long, value_name = "N", value_parser = rounds)]
    rounds: Option<Rounds>,

    /// Seed of trial order, arrivals and turn lengths, in place of the plan's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Replay arrivals and lengths of real requests: a CSV file with the columns TIMESTAMP,
    /// ContextTokens, GeneratedTokens
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// How much faster than in the trace requests arrive; token gaps stay as they are
    #[arg(long, value_name = "N", value_parser = rate, requires = "trace")]
    speed_up: Option<Rate>,

    /// Print the summary as JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Runs and reports.
///
/// # Errors
/// Bad input, before anything is written; or an experiment that cannot be run.
pub fn run(args: Run) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    raise_open_files();
    enough_open_files(plan.connections().into())?;
    let started_at = jiff::Timestamp::now();
    let directory = place::create(
        args.out
            .clone()
            .unwrap_or_else(|| place::default(&started_at, &plan.name)),
    )?;
    let site = site(directory)?;
    let environment = warned(environment(), &site);
    place::write_manifest(
        &site.directory,
        &plan.manifest(format!("{started_at:.0}"), environment),
    )?;
    let outcome = measure(&plan.trials(), &site)?;
    let rendered = pushbench_reports::render(&site.directory)?;
    say(&if args.json {
        rendered.summary_json.clone()
    } else {
        summary(&rendered)
    })?;
    outcome.exit(&site.directory)
}

impl Run {
    fn plan(&self) -> anyhow::Result<Plan> {
        let mut plan = load(&self.plan)?;
        if !self.only.is_empty() {
            plan.only(&self.only)?;
        }
        if let Some(rounds) = self.rounds {
            plan.set_rounds(rounds);
        }
        plan.seed = self.seed.unwrap_or(plan.seed);
        if let Some(path) = &self.trace {
            let trace = Arc::new(Trace::read(path)?);
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            plan.replay = Some(Replay { name, trace });
        }
        if let Some(speed_up) = self.speed_up {
            plan.set_speed_up(speed_up);
        }
        Ok(plan)
    }
}

/// The server on the first core and the generator on the last, where there are two.
fn site(directory: PathBuf) -> anyhow::Result<Site> {
    let cores = affinity::cores().context("cannot read which cores there are")?;
    let (server_cores, generator_cores) = match cores[..] {
        [first, .., last] => (vec![first], vec![last]),
        _ => (Vec::new(), Vec::new()),
    };
    Ok(Site {
        server_binary: PathBuf::from("/proc/self/exe"),
        directory,
        server_cores,
        generator_cores,
    })
}

/// What a person should know before trusting the figures; kept with them too.
fn warned(mut environment: Facts, site: &Site) -> Facts {
    // Half of a core at work for others is as much as the effects that are looked for.
    const BUSY: f32 = 0.5;
    let mut warnings = Vec::new();
    if site.server_cores.is_empty() {
        warnings.push(
            "one core only: server and generator take turns on it, and latency is what they wait"
                .to_owned(),
        );
    }
    if let Some(load) = procfs::Current::current()
        .ok()
        .map(|load: procfs::LoadAverage| load.one)
        && load > BUSY
    {
        warnings.push(format!(
            "other programs are busy (load average {load:.1}): end them, or expect a high noise floor"
        ));
    }
    for warning in &warnings {
        note(&format!("warning: {warning}"));
    }
    if !warnings.is_empty() {
        environment.insert("warnings".to_owned(), warnings.join("; "));
    }
    environment
}

/// Runs the trials in order until the end or a signal; finished ones stay.
fn measure(trials: &[Trial], site: &Site) -> anyhow::Result<Outcome> {
    if !site.generator_cores.is_empty() {
        affinity::pin(&site.generator_cores).context("cannot pin the generator to its core")?;
    }
    let runtime = single_threaded()?;
    runtime.block_on(async {
        let mut stop = std::pin::pin!(stop_signal()?);
        let mut progress = Progress::new(trials);
        let mut patience = Patience::default();
        for trial in trials {
            progress.begin(trial);
            let result = tokio::select! {
                // Dropping the trial ends its server.
                () = &mut stop => return Ok(Outcome::Interrupted { finished: trial.number - 1, of: trials.len() }),
                result = trial::run(trial, site) => result,
            };
            if let Err(broken) = &result {
                trial::record_broken(trial, site, broken)?;
                progress.say(&format!("trial {} is broken: {broken}", trial.number));
            }
            if let Err(broken) = patience.judge(result) {
                return Ok(Outcome::Broken(broken));
            }
            progress.end(trial);
        }
        Ok(Outcome::Finished)
    })
}

fn rounds(text: &str) -> Result<Rounds, String> {
    let rounds: u32 = text
        .parse()
        .map_err(|_| "use an even number, such as 6".to_owned())?;
    Rounds::try_from(rounds)
}

fn rate(text: &str) -> Result<Rate, String> {
    let rate: f64 = text
        .parse()
        .map_err(|_| "use a number, such as 10".to_owned())?;
    if rate > 0.0 {
        Rate::try_from(rate)
    } else {
        Err("use a number above 0, such as 10".to_owned())
    }
}

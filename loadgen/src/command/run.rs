//! `pushbench run`: every trial of a plan, then the report.

mod against;
mod judged;
mod measure;
pub(super) mod outcome;
pub(super) mod place;
mod progress;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use pushbench_reports::{
    effect::Effect,
    record::{self, Facts},
};
use pushbench_server::affinity;

use super::{
    fail_on::FailOn,
    note,
    plan::{equipped, load},
    report::summary,
    say, single_threaded, stop_signal,
};
use crate::{
    bench::Site,
    calibrate::store,
    doctor::{self, Finding},
    meter::{
        environment::environment,
        limits::{enough_open_files, raise_open_files},
    },
    plan::{Plan, Replay, looks},
    quantity::{Rate, Rounds, Span, spoken},
    trace::Trace,
    zh::CHINESE,
};
use judged::{judged, unmeasured};
use measure::Measurement;
use outcome::Outcome;

/// Measure: run a plan's trials and write a report with charts and a verdict
#[derive(Debug, clap::Args)]
pub struct Run {
    /// quick (three minutes), another that `pushbench list plans` names, or a plan file (.toml)
    #[arg(long, default_value = "quick", value_name = "PLAN")]
    plan: String,

    /// Directory of the report, new or empty [default: reports/runs/TIME-PLAN, the time in UTC]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Run only these experiments of the plan: latency, throughput, memory, reconnect, wire, setup,
    /// screen
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

    /// Add rounds, in place of the plan's, until every primary verdict is decided or time is up: looks
    /// after 6, 12, 24 and 48 rounds, each at a quarter of the significance
    #[arg(long, conflicts_with = "rounds")]
    until_decided: bool,

    /// With --until-decided: no rounds are begun that would end later than this, such as 90s, 30m or 1h
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30m",
        requires = "until_decided"
    )]
    max_time: Span,

    /// Measure the server of another build of pushbench too, in the same rounds: each arm once more,
    /// labelled `(against)` and held against its own arm of this build
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,

    /// Exit with code 1 if a primary verdict is `worse`, with --against one of the other build's, or if too
    /// many trials failed for there to be one
    /// [default: worse with --against, else never]
    #[arg(long, value_name = "WHEN")]
    fail_on: Option<FailOn>,

    /// Print the summary as JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Runs and reports.
///
/// # Errors
/// Bad input, before anything is written; or an experiment that cannot be run.
pub fn run(args: Run) -> anyhow::Result<ExitCode> {
    let mut plan = args.plan()?;
    raise_open_files();
    enough_open_files(plan.connections().into())?;
    let mut site = site()?;
    let other_build = match &args.against {
        Some(binary) => Some(against::join(&mut plan, binary, &site)?),
        None => None,
    };
    args.enough_time(&plan)?;
    let started_at = jiff::Timestamp::now();
    site.directory = place::create(
        args.out
            .clone()
            .unwrap_or_else(|| place::default(&started_at, &plan.name)),
    )?;
    let mut environment = warned(environment(), &site);
    environment.extend(other_build.map(|fact| ("against".to_owned(), fact)));
    let mut manifest = plan.manifest(format!("{started_at:.0}"), environment);
    manifest.calibration = store::newest_here();
    place::write_manifest(&site.directory, &manifest)?;
    let outcome = measure(&plan, &site, args.until_decided.then_some(args.max_time))?;
    let rendered = pushbench_reports::render(&site.directory, &CHINESE)?;
    say(&if args.json {
        rendered.summary_json.clone()
    } else {
        summary(&rendered)
    })?;
    match outcome {
        Outcome::Finished => Ok(judge(args.fail_on(), &manifest.plan, rendered.effects)),
        unfinished => unfinished.exit(&site.directory),
    }
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
        if self.until_decided {
            plan.look_after(&looks::LOOKS);
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
        self.fits(&plan)?;
        equipped(&plan)?;
        Ok(plan)
    }

    /// That nothing is asked of a screen that it does not have: its arms are rows of a design.
    fn fits(&self, plan: &Plan) -> anyhow::Result<()> {
        let asked = [
            ("--until-decided", self.until_decided),
            ("--against", self.against.is_some()),
            ("--fail-on", self.fail_on.is_some()),
            ("--trace", self.trace.is_some()),
        ];
        let option = asked
            .into_iter()
            .find_map(|(name, asked)| asked.then_some(name));
        match option.filter(|_| plan.is_screen()) {
            Some(option) => bail!(
                "{option} means nothing to a screen, whose trials are rows of a design, alike in load and without a \
                 verdict each: leave it out, or choose another plan"
            ),
            None => Ok(()),
        }
    }

    /// That there is time for the rounds before the first look: without them nothing is decided.
    fn enough_time(&self, plan: &Plan) -> anyhow::Result<()> {
        let (needed, max) = (plan.seconds(), self.max_time.duration().as_secs_f64());
        if self.until_decided && needed > max {
            bail!(
                "the rounds before the first look take about {}, and --max-time is {}: give it more, or fewer \
                 experiments with --only",
                spoken(needed),
                spoken(max)
            );
        }
        Ok(())
    }

    fn fail_on(&self) -> FailOn {
        let default = match self.against {
            Some(_) => FailOn::Worse,
            None => FailOn::Never,
        };
        self.fail_on.unwrap_or(default)
    }
}

/// The exit code of a finished run, by what its report says; what it fails on is said.
fn judge(fail_on: FailOn, plan: &record::Plan, effects: Vec<Effect>) -> ExitCode {
    if fail_on == FailOn::Never {
        return ExitCode::SUCCESS;
    }
    let judged = judged(plan, effects);
    for effect in fail_on.failing(&judged) {
        note(&format!("{}: {}", effect.experiment, effect.sentence));
    }
    let unmeasured = unmeasured(plan, &judged);
    for sentence in &unmeasured {
        note(sentence);
    }
    match unmeasured.is_empty() {
        true => fail_on.exit(&judged),
        false => ExitCode::from(1),
    }
}

/// The server on the first core and the generator on the last, where there are two; no directory yet.
pub(super) fn site() -> anyhow::Result<Site> {
    let cores = affinity::cores().context("cannot read which cores there are")?;
    let (server_cores, generator_cores) = match cores[..] {
        [first, .., last] => (vec![first], vec![last]),
        _ => (Vec::new(), Vec::new()),
    };
    Ok(Site {
        server_binary: PathBuf::from("/proc/self/exe"),
        directory: PathBuf::new(),
        server_cores,
        generator_cores,
    })
}

/// Keeps the generator on its core.
pub(super) fn pin(site: &Site) -> anyhow::Result<()> {
    site.pin_generator()
        .context("cannot pin the generator to its core")
}

/// What a person should know before trusting the figures; kept with them too.
pub(super) fn warned(mut environment: Facts, site: &Site) -> Facts {
    let warnings: Vec<_> = doctor::cheap(site)
        .iter()
        .filter_map(Finding::warning)
        .collect();
    for warning in &warnings {
        note(&format!("warning: {warning}"));
    }
    if !warnings.is_empty() {
        environment.insert("warnings".to_owned(), warnings.join("; "));
    }
    environment
}

/// Runs the trials, more of them until all is decided where a time is given for that.
fn measure(plan: &Plan, site: &Site, until_decided: Option<Span>) -> anyhow::Result<Outcome> {
    pin(site)?;
    single_threaded()?.block_on(async {
        let stop = std::pin::pin!(stop_signal()?);
        let mut measurement = Measurement::new(plan, site, stop);
        match until_decided {
            Some(max_time) => measurement.until_decided(max_time).await,
            None => measurement.all().await,
        }
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

//! One trial: start, warm up, measure, drain, record.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use pushbench_reports::record::{FORMAT, Record};

use crate::{
    arm::Arm,
    bench::{Bench, Broken, Site},
    experiment::Experiment,
    trace::Trace,
};

/// One arm, once, on a fresh server process: the unit of replication.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Position in the plan's order, from 1.
    pub number: u32,
    /// What is asked, with its settings.
    pub experiment: Experiment,
    /// Of what.
    pub arm: Arm,
    /// From 1.
    pub round: u32,
    /// The same for all arms of a round, so that they meet the same arrivals.
    pub seed: u64,
    /// Real traffic to replay.
    pub trace: Option<Arc<Trace>>,
}

/// Attempts at a trial at most. What happens by chance to one trial in four, which is when the report
/// calls the machine too noisy, happens to three in a row once in 64; what happens three times has a
/// cause that a fourth attempt would meet too.
pub const ATTEMPTS: u32 = 3;

/// Runs a trial on the current runtime, for the first time; see [`attempt`].
///
/// # Errors
/// As [`attempt`].
pub async fn run(trial: &Trial, site: &Site) -> Result<Record, Broken> {
    attempt(trial, 1, site).await
}

/// Runs a trial on the current runtime for the `attempt`-th time, counted from 1; its record and
/// histograms are in the run's directory when it returns, beside those of earlier attempts. Dropping the
/// future ends the server with it.
///
/// # Errors
/// When the experiment is broken. A trial that ran but did not measure what it claims is recorded,
/// with the reason.
pub async fn attempt(trial: &Trial, attempt: u32, site: &Site) -> Result<Record, Broken> {
    for folder in ["records", "histograms"] {
        fs::create_dir_all(site.directory.join(folder))
            .map_err(Broken::io(format!("create the folder {folder}")))?;
    }
    let started = Instant::now();
    let mut bench = bench(trial, attempt, site)?;
    if let Err(broken) = trial.experiment.measure(&mut bench).await {
        // Something ran, only not what was asked for: a trial that is invalid, not an experiment that is
        // broken.
        let wrong = broken.wrong_path().ok_or(broken)?;
        bench.invalid(wrong);
    }
    let mut record = bench.record;
    record.duration_ms = started.elapsed().as_millis() as u64;
    write(&record, site)?;
    Ok(record)
}

/// Starts a trial's server and ends it again: whether that build serves at all, before a run rests on
/// it. Leaves nothing behind.
///
/// # Errors
/// Why it does not.
pub async fn rehearse(trial: &Trial, site: &Site) -> Result<(), Broken> {
    // Nobody connects.
    const RETRY: Duration = Duration::from_secs(1);
    let mut bench = bench(trial, 1, site)?;
    let server = bench
        .start_server(trial.experiment.connections(), RETRY)
        .await?;
    Ok(server.stop().await?)
}

/// Records that an attempt at a trial was broken, as an invalid one.
///
/// # Errors
/// When the record cannot be written.
pub fn record_broken(
    trial: &Trial,
    attempt: u32,
    site: &Site,
    broken: &Broken,
) -> Result<Record, Broken> {
    let mut record = empty_record(trial, attempt);
    record.invalid.push(broken.to_string());
    write(&record, site)?;
    Ok(record)
}

/// What the files of an attempt are named after, without its experiment's own part.
pub fn attempt_suffix(attempt: u32) -> String {
    match attempt {
        1 => String::new(),
        attempt => format!("-attempt-{attempt}"),
    }
}

/// The bench of an attempt at a trial.
pub(crate) fn bench(trial: &Trial, attempt: u32, site: &Site) -> Result<Bench, Broken> {
    Bench::new(
        trial.arm.clone(),
        trial.seed,
        trial.trace.clone(),
        empty_record(trial, attempt),
        site.clone(),
    )
}

fn empty_record(trial: &Trial, attempt: u32) -> Record {
    Record {
        trial: trial.number,
        attempt,
        started_at: format!("{:.3}", jiff::Timestamp::now()),
        ..blank_record(trial.experiment.name(), &trial.arm.label, trial.round)
    }
}

/// A record in which nothing is entered yet, of the trial of this round.
pub(crate) fn blank_record(experiment: &str, arm: &str, round: u32) -> Record {
    Record {
        format: FORMAT,
        trial: round,
        experiment: experiment.to_owned(),
        arm: arm.to_owned(),
        round,
        attempt: 1,
        started_at: String::new(),
        duration_ms: 0,
        settings: Default::default(),
        metrics: Default::default(),
        points: Default::default(),
        counters: Default::default(),
        books: Vec::new(),
        histograms: Default::default(),
        invalid: Vec::new(),
        notes: Vec::new(),
    }
}

/// Written aside and renamed: a run that is interrupted leaves whole records only.
fn write(record: &Record, site: &Site) -> Result<(), Broken> {
    let name = format!(
        "{:04}-{}-round-{}{}",
        record.trial,
        record.experiment,
        record.round,
        attempt_suffix(record.attempt)
    );
    let path = site.directory.join("records").join(format!("{name}.json"));
    let aside: PathBuf = path.with_extension("json.tmp");
    let mut json = serde_json::to_vec_pretty(record)
        .map_err(|error| Broken::io("write the record as JSON")(error.into()))?;
    json.push(b'\n');
    fs::write(&aside, json)
        .and_then(|()| fs::rename(&aside, &path))
        .map_err(Broken::io(format!("write {}", path.display())))
}

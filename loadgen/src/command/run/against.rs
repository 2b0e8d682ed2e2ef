//! `--against`: another build of the program, whose server is measured in the same rounds as ours.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{process::Command, time::timeout};

use crate::{
    bench::Site,
    calibrate::store,
    command::single_threaded,
    plan::Plan,
    trial::{self, Trial},
};

/// Adds the other build's arms to the plan, once its server has answered; what the run's environment
/// says of it, without a path.
///
/// # Errors
/// When there is no such program, or it does not serve as ours is asked to.
pub fn join(plan: &mut Plan, binary: &Path, site: &Site) -> anyhow::Result<String> {
    let shown = binary.display();
    // Absolute, so that it is neither looked for in PATH nor lost with the working directory.
    let path = fs::canonicalize(binary).with_context(|| {
        format!("cannot find {shown}: give --against the program of another build of pushbench")
    })?;
    plan.against(&path)?;
    let trials = plan.trials();
    let twin = trials
        .iter()
        .find(|trial| trial.arm.held_against().is_some());
    if let Some(twin) = twin {
        rehearse(twin, site).with_context(|| {
            format!(
                "{shown} does not serve as this pushbench asks, as a build that is older or newer by too much may not: \
                 give --against a build nearer to this one"
            )
        })?;
    }
    fact(&path).with_context(|| format!("cannot tell which build {shown} is"))
}

fn rehearse(twin: &Trial, site: &Site) -> anyhow::Result<()> {
    Ok(single_threaded()?.block_on(trial::rehearse(twin, site))?)
}

/// Version, size and checksum: enough to tell whether two runs were held against the same build.
fn fact(path: &Path) -> anyhow::Result<String> {
    let said = single_threaded()?.block_on(version(path))?;
    let line = said.lines().next().map(str::trim);
    let version = line
        .filter(|line| !line.is_empty())
        .ok_or_else(|| anyhow!("it says nothing to --version"))?;
    let unreadable = "its file cannot be read";
    let bytes = fs::metadata(path).context(unreadable)?.len();
    let sum = store::build_of(path).context(unreadable)?;
    Ok(format!("{version}, {bytes} bytes, SHA-1 {sum}"))
}

/// For its version a program neither computes nor waits.
const VERSION_TIME: Duration = Duration::from_secs(5);

async fn version(path: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(path);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = timeout(VERSION_TIME, command.output())
        .await
        .map_err(|_| {
            anyhow!(
                "it does not answer --version within {} s",
                VERSION_TIME.as_secs()
            )
        })?
        .context("it does not start with --version")?;
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

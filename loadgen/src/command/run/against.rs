//! `--against`: another build of the program, whose server is measured in the same rounds as ours.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};

use crate::{
    bench::Site,
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
fn fact(path: &PathBuf) -> anyhow::Result<String> {
    let said = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .context("it does not start with --version")?;
    let said = String::from_utf8_lossy(&said.stdout);
    let version = said.lines().next().map(str::trim);
    let version = version
        .filter(|version| !version.is_empty())
        .ok_or_else(|| anyhow!("it says nothing to --version"))?;
    let program = fs::read(path).context("its file cannot be read")?;
    let (bytes, sum) = (program.len(), fnv_1a(&program));
    Ok(format!("{version}, {bytes} bytes, FNV-1a {sum:016x}"))
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv): tells files apart that are not made to
/// deceive, which is all that is asked here.
fn fnv_1a(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(BASIS, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        // Test vectors of the draft, appendix C.
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}

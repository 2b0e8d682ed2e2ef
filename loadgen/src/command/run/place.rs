//! The run's directory: never one that holds something already.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use pushbench_reports::record::Manifest;

/// `reports/runs/<UTC time>-<plan>`, below the current directory.
pub fn default(started_at: &Timestamp, plan: &str) -> PathBuf {
    let plan = plan.replace(|c: char| !c.is_alphanumeric() && !"-_.".contains(c), "-");
    // Without colons, which some file systems and `scp` take amiss.
    PathBuf::from(format!(
        "reports/runs/{}-{plan}",
        started_at.strftime("%Y-%m-%dT%H-%M-%SZ")
    ))
}

/// Creates it, or takes an empty one.
///
/// # Errors
/// When it holds something, is a file, or cannot be created.
pub fn create(directory: PathBuf) -> anyhow::Result<PathBuf> {
    let shown = directory.display();
    match fs::read_dir(&directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!(
                    "{shown} is not empty: give --out a directory that is new or empty, nothing is overwritten"
                );
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(&directory).with_context(|| {
                format!("cannot create {shown}: give --out a place that can be written")
            })?;
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{shown} is not a directory: give --out one that is new or empty");
        }
        Err(error) => return Err(error).with_context(|| format!("cannot look into {shown}")),
    }
    Ok(directory)
}

/// Writes `run.json`.
///
/// # Errors
/// When it cannot be written.
pub fn write_manifest(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let path = directory.join("run.json");
    let mut json = serde_json::to_vec_pretty(manifest).context("cannot write the plan as JSON")?;
    json.push(b'\n');
    fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_named_after_time_and_plan() {
        let at: Timestamp = "2026-11-23T22:04:46.123Z".parse().unwrap();
        assert_eq!(
            default(&at, "my/../plan 1"),
            Path::new("reports/runs/2026-11-23T22-04-46Z-my-..-plan-1")
        );
    }

    #[test]
    fn takes_what_is_new_or_empty_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let new = temp.path().join("a/b");
        create(new.clone()).unwrap();
        create(new.clone()).unwrap();
        fs::write(new.join("x"), "kept").unwrap();
        assert!(
            create(new.clone())
                .unwrap_err()
                .to_string()
                .contains("not empty")
        );
        assert!(
            create(new.join("x"))
                .unwrap_err()
                .to_string()
                .contains("not a directory")
        );
        assert_eq!(fs::read_to_string(new.join("x")).unwrap(), "kept");
    }
}

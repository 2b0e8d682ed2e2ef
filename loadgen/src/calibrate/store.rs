//! Where calibrations are kept: one directory each, below those of the same machine and build.
//!
//! Both are known by a hash. What it is taken of does not matter, only that it changes when machine or
//! build do; of the machine it says nothing.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use pushbench_reports::{
    calibration::{Calibration, Digest, FILE, FORMAT},
    record::Facts,
};
use sha1::{Digest as _, Sha1};

use super::ALL;
use crate::{meter::environment::environment, refusal::Refusal};

/// Digits of a key: 48 bits, so that a thousand builds collide with a chance of one in a billion.
const DIGITS: usize = 12;

/// Facts that change what is measured. They do not say whose machine it is; what tells it from the next
/// of its kind is its id, which is hashed with them.
const MACHINE: [&str; 5] = ["cpu", "cores", "memory_gib", "kernel", "clock_source"];

/// What a calibration holds for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of the machine and its kernel.
    pub machine: String,
    /// Of the running program, to the byte.
    pub build: String,
}

impl Keys {
    /// Those of here and now.
    ///
    /// # Errors
    /// When the program cannot read itself.
    pub fn read() -> io::Result<Self> {
        // Made when the system was installed; a machine without one is told by the facts alone.
        let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        Ok(Self {
            machine: machine(&environment(), &id),
            build: build_of("/proc/self/exe".as_ref())?,
        })
    }

    /// `<machine>-<build>` below `data`.
    fn folder(&self, data: &Path) -> PathBuf {
        data.join(format!("{}-{}", self.machine, self.build))
    }
}

/// What tells a program's build from others: the first digits of its file's SHA-1.
///
/// # Errors
/// When the file cannot be read.
pub fn build_of(program: &Path) -> io::Result<String> {
    let mut hash = Sha1::new();
    io::copy(&mut File::open(program)?, &mut hash)?;
    Ok(key(hash))
}

fn machine(facts: &Facts, id: &str) -> String {
    let mut hash = Sha1::new();
    for name in MACHINE {
        hash.update(facts.get(name).map_or("", String::as_str));
        hash.update("\n");
    }
    hash.update(id.trim());
    key(hash)
}

fn key(hash: Sha1) -> String {
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex[..DIGITS].to_owned()
}

/// `$XDG_DATA_HOME/pushbench/calibrations`, or below `~/.local/share` (XDG Base Directory
/// Specification 0.8, which has relative paths ignored); none without a home.
pub fn data_folder() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let data =
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("pushbench/calibrations"))
}

/// The directory of a calibration that names none.
///
/// # Errors
/// Where there is no data folder.
pub fn default_directory(keys: &Keys, started_at: &Timestamp) -> Result<PathBuf, Refusal> {
    let data = data_folder().ok_or_else(|| {
        Refusal("neither XDG_DATA_HOME nor HOME is set: say with --out where the calibration is to be kept".into())
    })?;
    // Without colons, which some file systems take amiss; in the order of time.
    let time = started_at.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    Ok(keys.folder(&data).join(time))
}

/// Keeps the file of a calibration that was made elsewhere, so that runs find it.
///
/// # Errors
/// Where there is no data folder, or it cannot be written to.
pub fn remember(keys: &Keys, started_at: &Timestamp, made: &Path) -> anyhow::Result<()> {
    let directory = default_directory(keys, started_at)?;
    fs::create_dir_all(&directory)?;
    fs::copy(made.join(FILE), directory.join(FILE))?;
    Ok(())
}

/// The calibration of this machine and build in the data folder that a run names.
pub fn newest_here() -> Option<Digest> {
    let data = data_folder()?;
    // The program is read and hashed only where there is something to look for.
    data.is_dir()
        .then(|| newest(&data, &Keys::read().ok()?))
        .flatten()
}

/// The newest calibration below `data` for these keys, of those that made every check; but where a newer
/// one found a check to fail that none has passed since, that one: nobody is to overlook it. Where none
/// made every check, the newest. The digest is of all the checks there are, so a part never passes for the
/// whole.
pub fn newest(data: &Path, keys: &Keys) -> Option<Digest> {
    let directories = fs::read_dir(keys.folder(data)).ok()?;
    let mut found: Vec<Calibration> = directories
        .flatten()
        .filter_map(|directory| read(&directory.path().join(FILE), keys))
        .collect();
    found.sort_by(|one, next| next.started_at.cmp(&one.started_at));
    let whole = found
        .iter()
        .position(|calibration| calibration.checks.len() >= ALL.len());
    let newer = &found[..whole.unwrap_or(0)];
    let failed = (0..newer.len()).find(|place| fails_still(&newer[*place], &newer[..*place]));
    let named = found.get(failed.or(whole).unwrap_or(0))?;
    Some(named.digest(u32::try_from(ALL.len()).unwrap_or(u32::MAX)))
}

/// Whether it found a check to fail that no later one has passed.
fn fails_still(calibration: &Calibration, later: &[Calibration]) -> bool {
    let mut failed = calibration.checks.iter().filter(|check| !check.passed());
    let passed_later = |name: &str| {
        let mut checks = later.iter().flat_map(|later| &later.checks);
        checks.any(|check| check.name == name && check.passed())
    };
    failed.any(|check| !passed_later(&check.name))
}

/// A calibration for these keys; one that cannot be read is said to be so, and is none.
fn read(path: &Path, keys: &Keys) -> Option<Calibration> {
    let bytes = fs::read(path).ok()?;
    match serde_json::from_slice::<Calibration>(&bytes) {
        Ok(read) => {
            let fits =
                read.format == FORMAT && read.machine == keys.machine && read.build == keys.build;
            fits.then_some(read)
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "this calibration cannot be read and is passed over");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use pushbench_reports::calibration::{Check, Row};

    use super::*;

    fn keys() -> Keys {
        Keys {
            machine: "m".into(),
            build: "b".into(),
        }
    }

    fn keep(data: &Path, started_at: &str, checks: usize, keys: &Keys) {
        keep_of(data, started_at, (checks, true), keys);
    }

    fn keep_of(data: &Path, started_at: &str, (checks, pass): (usize, bool), keys: &Keys) {
        let check = |number| Check {
            number,
            name: "x".into(),
            title: "X".into(),
            method: String::new(),
            counts: String::new(),
            rows: vec![Row {
                subject: "s".into(),
                truth: "1".into(),
                measured: "1".into(),
                tolerance: "none".into(),
                pass,
            }],
            picture: None,
            note: String::new(),
        };
        let calibration = Calibration {
            format: FORMAT,
            started_at: started_at.into(),
            duration_s: 1.0,
            quick: false,
            machine: keys.machine.clone(),
            build: keys.build.clone(),
            environment: Facts::new(),
            client_us: Default::default(),
            checks: (1..=checks as u32).map(check).collect(),
        };
        let directory = keys.folder(data).join(started_at);
        fs::create_dir_all(&directory).unwrap();
        fs::write(
            directory.join(FILE),
            serde_json::to_vec(&calibration).unwrap(),
        )
        .unwrap();
    }

    #[test]
    fn the_newest_whole_calibration_of_machine_and_build_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path();
        assert_eq!(newest(data, &keys()), None);
        let other = Keys {
            build: "other".into(),
            ..keys()
        };
        keep(data, "2026-05-01T00:00:00Z", ALL.len(), &other);
        assert_eq!(newest(data, &keys()), None, "of another build");
        keep(data, "2026-04-01T00:00:00Z", 1, &keys());
        let part = newest(data, &keys()).unwrap();
        assert_eq!(
            (part.passed, part.of),
            (1, ALL.len() as u32),
            "a part is told as one"
        );
        for time in ["2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"] {
            keep(data, time, ALL.len(), &keys());
        }
        let whole = newest(data, &keys()).unwrap();
        assert_eq!(
            whole.started_at, "2026-02-01T00:00:00Z",
            "a whole one before a newer part that passed"
        );
        let broken = keys().folder(data).join("2026-09-01");
        fs::create_dir_all(&broken).unwrap();
        fs::write(broken.join(FILE), "{").unwrap();
        assert_eq!(
            newest(data, &keys()),
            Some(whole),
            "what cannot be read is passed over"
        );
    }

    #[test]
    fn a_check_that_failed_since_is_not_hidden_by_an_older_whole_calibration() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path();
        let named = || newest(data, &keys()).unwrap();
        keep(data, "2026-02-01T00:00:00Z", ALL.len(), &keys());
        keep_of(data, "2026-03-01T00:00:00Z", (1, false), &keys());
        keep(data, "2026-01-01T00:00:00Z", 1, &keys());
        assert_eq!(named().started_at, "2026-03-01T00:00:00Z");
        assert_eq!((named().passed, named().of), (0, ALL.len() as u32));
        keep(data, "2026-04-01T00:00:00Z", 1, &keys());
        assert_eq!(
            named().started_at,
            "2026-02-01T00:00:00Z",
            "it passed again"
        );
        keep_of(data, "2026-05-01T00:00:00Z", (1, false), &keys());
        keep(data, "2026-06-01T00:00:00Z", ALL.len(), &keys());
        assert_eq!(named().started_at, "2026-06-01T00:00:00Z", "and all did");
    }

    #[test]
    fn keys_change_with_what_they_are_of_and_with_nothing_else() {
        let here = Keys::read().unwrap();
        assert_eq!(here, Keys::read().unwrap());
        assert!(
            [&here.machine, &here.build]
                .iter()
                .all(|key| key.len() == DIGITS)
        );
        let mut facts = environment();
        let before = machine(&facts, "id");
        facts.insert("load_1min_before".into(), "9".into());
        assert_eq!(before, machine(&facts, "id\n"));
        assert_ne!(before, machine(&facts, "another"));
        facts.insert("cores".into(), "999".into());
        assert_ne!(before, machine(&facts, "id"));
    }
}

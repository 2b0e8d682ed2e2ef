//! Which cores a process runs on.

use std::io;

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Cores this thread may run on, ascending.
///
/// # Errors
/// When the kernel does not say.
pub fn cores() -> io::Result<Vec<usize>> {
    cores_of(None)
}

fn cores_of(pid: Option<Pid>) -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(pid)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// Keeps this thread, and those it starts from now on, on these cores; call it before the runtime
/// starts.
///
/// # Errors
/// When one of them does not exist or is not allowed; the kernel alone would quietly leave it out.
pub fn pin(wanted: &[usize]) -> io::Result<()> {
    pin_process(None, wanted)
}

/// Keeps another process of one thread, and what it starts from now on, on these cores; none leaves it where it
/// is. The cores that it may run on, as read back.
///
/// # Errors
/// As [`pin`], or when there is no such process.
pub fn pin_other(pid: u32, wanted: &[usize]) -> io::Result<Vec<usize>> {
    let gone = || io::Error::other(format!("no process has the id {pid}"));
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = Some(process.ok_or_else(gone)?);
    if !wanted.is_empty() {
        pin_process(process, wanted)?;
    }
    cores_of(process)
}

fn pin_process(pid: Option<Pid>, wanted: &[usize]) -> io::Result<()> {
    let cannot = |reason: &dyn std::fmt::Display| {
        io::Error::other(format!("cannot pin to cores {wanted:?}: {reason}"))
    };
    let mut set = CpuSet::new();
    for &core in wanted {
        if core >= CpuSet::MAX_CPU {
            return Err(cannot(&format!("there is no core {core}")));
        }
        set.set(core);
    }
    sched_setaffinity(pid, &set).map_err(|error| cannot(&error))?;
    let effective = cores_of(pid)?;
    if effective.len() as u32 == set.count() {
        Ok(())
    } else {
        Err(cannot(&format!("only {effective:?} are available")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_and_reads_back() {
        // In a thread of its own: the test runner's threads keep their cores.
        std::thread::spawn(|| {
            let last = *cores().unwrap().last().unwrap();
            pin(&[last]).unwrap();
            assert_eq!(cores().unwrap(), [last]);
            assert!(pin(&[]).is_err());
            for missing in [CpuSet::MAX_CPU - 1, CpuSet::MAX_CPU] {
                let error = pin(&[last, missing]).unwrap_err().to_string();
                assert!(error.contains("cannot pin"), "{error}");
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn another_process_is_pinned_and_read_back() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let last = *cores().unwrap().last().unwrap();
        assert_eq!(pin_other(child.id(), &[]).unwrap(), cores().unwrap());
        assert_eq!(pin_other(child.id(), &[last]).unwrap(), [last]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(pin_other(child.id(), &[last]).is_err());
    }
}

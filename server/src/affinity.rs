//! Which cores a process runs on.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores this thread may run on, ascending.
///
/// # Errors
/// When the kernel does not say.
pub fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
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
    sched_setaffinity(None, &set).map_err(|error| cannot(&error))?;
    let effective = cores()?;
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
}

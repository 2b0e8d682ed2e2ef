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
/// When none of them exists or is allowed.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores
        .iter()
        .filter(|&&core| core < CpuSet::MAX_CPU)
        .for_each(|&core| set.set(core));
    Ok(sched_setaffinity(None, &set)?)
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
        })
        .join()
        .unwrap();
    }
}

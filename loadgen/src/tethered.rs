//! A child that does not outlive whoever holds it.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::process::Child;

/// How long a child that was killed may take to be gone: far above what the kernel needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that has ended once this is dropped: a trial that is given up leaves nobody behind.
#[derive(Debug)]
pub(crate) struct Tethered(pub(crate) Child);

impl Drop for Tethered {
    fn drop(&mut self) {
        const LOOK: Duration = Duration::from_millis(1);
        // Refused when it has ended already and been waited for.
        if self.0.start_kill().is_err() {
            return;
        }
        let killed = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && killed.elapsed() < PATIENCE {
            std::thread::sleep(LOOK);
        }
    }
}

impl Tethered {
    /// Its process id.
    ///
    /// # Errors
    /// When it has ended and been waited for.
    pub(crate) fn pid(&self) -> io::Result<u32> {
        let ended = || io::Error::other("it ended at once");
        self.0.id().ok_or_else(ended)
    }
}

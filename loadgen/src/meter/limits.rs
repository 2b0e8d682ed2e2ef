//! Open files: each connection is one, so their limit is the limit of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a process has open beside its connections, generously: the runtime's, the pipes between
/// generator and server, listeners, timers, and the records being written.
const RESERVED: u64 = 128;

/// The limit of open files of this process, and of those it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// In force now.
    pub soft: u64,
    /// The most that `soft` can be raised to without being root.
    pub hard: u64,
}

/// Fewer open files than the asked connections need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{connections} connections need {needed} open files a process, and at most {limit} are allowed, enough \
     for {possible} connections: ask for fewer, or raise the limit before the start with \
     `ulimit -Hn {needed} && ulimit -Sn {needed}` as root (in a service `LimitNOFILE={needed}`, \
     in a container `--ulimit nofile={needed}`)"
)]
pub struct TooFewOpenFiles {
    /// As asked.
    pub connections: u64,
    /// Open files that they need.
    pub needed: u64,
    /// Open files allowed.
    pub limit: u64,
    /// Connections that fit.
    pub possible: u64,
}

/// Raises the soft limit to the hard one, and returns both as read back. Where that is refused the soft
/// limit stays, and [`enough_open_files`] decides by it.
pub fn raise_open_files() -> OpenFiles {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised to its hard limit");
    }
    open_files()
}

/// The limits as they are.
pub fn open_files() -> OpenFiles {
    // The kernel says "unlimited" by leaving the number out.
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    OpenFiles {
        soft: current.unwrap_or(u64::MAX),
        hard: maximum.unwrap_or(u64::MAX),
    }
}

/// Whether the generator, and the server that inherits its limit, can hold this many connections each.
///
/// # Errors
///
/// [`TooFewOpenFiles`], which says how many are possible and how to raise the limit.
pub fn enough_open_files(connections: u64) -> Result<(), TooFewOpenFiles> {
    within(open_files().soft, connections)
}

/// How many connections this process can hold, and the server that inherits its limit.
pub fn possible_connections() -> u64 {
    open_files().soft.saturating_sub(RESERVED)
}

fn within(limit: u64, connections: u64) -> Result<(), TooFewOpenFiles> {
    let needed = connections.saturating_add(RESERVED);
    if needed <= limit {
        return Ok(());
    }
    Err(TooFewOpenFiles {
        connections,
        needed,
        limit,
        possible: limit.saturating_sub(RESERVED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_makes_the_soft_limit_the_hard_one() {
        let raised = raise_open_files();
        assert_eq!(raised.soft, raised.hard);
        assert_eq!(open_files(), raised);
        enough_open_files(10).unwrap();
    }

    #[test]
    fn what_is_possible_is_possible_and_one_more_is_not() {
        let refused = within(1_024, 20_000).unwrap_err();
        within(1_024, refused.possible).unwrap();
        within(1_024, refused.possible + 1).unwrap_err();
        within(refused.needed, 20_000).unwrap();
        assert_eq!(within(1, 1).unwrap_err().possible, 0);
        within(u64::MAX, u64::MAX).unwrap();
    }

    #[test]
    fn the_sentence_says_how_many_are_possible_and_what_to_do() {
        let sentence = within(1_024, 20_000).unwrap_err().to_string();
        for part in ["20000 connections", "896 connections", "ulimit -Hn 20128"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}

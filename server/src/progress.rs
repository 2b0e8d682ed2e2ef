//! Whether the reader of a stream keeps up that shares its connection with others: the socket goes on
//! taking bytes for them, and says nothing of the one whose window is full.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use slab::Slab;

use crate::connection::Connection;

/// Every stream that shares a connection.
#[derive(Debug, Default)]
pub struct Streams {
    live: Mutex<Slab<Watched>>,
}

/// A stream as it was last looked at.
#[derive(Debug)]
struct Watched {
    connection: Arc<Connection>,
    /// Odd while what it was given waits to be taken; one more at each change.
    changes: Arc<AtomicU64>,
    seen: u64,
    since_ns: u64,
}

/// A stream's own end. It reads no clock: that is for whoever looks, as rarely as he looks. A pointer, so
/// that a stream that has none keeps no room for it.
#[derive(Debug)]
pub struct Progress(Box<Entered>);

#[derive(Debug)]
struct Entered {
    changes: Arc<AtomicU64>,
    slot: usize,
    streams: Arc<Streams>,
}

impl Streams {
    /// Enters a stream of a connection that carries several; it leaves when the [`Progress`] is dropped. None
    /// where the stream has the connection for its own, since the socket tells there.
    pub fn enter(self: &Arc<Self>, connection: &Arc<Connection>) -> Option<Progress> {
        if !connection.carries_streams() {
            return None;
        }
        let changes = Arc::<AtomicU64>::default();
        let slot = self.lock().insert(Watched {
            connection: connection.clone(),
            changes: changes.clone(),
            seen: 0,
            since_ns: 0,
        });
        Some(Progress(Box::new(Entered {
            changes,
            slot,
            streams: self.clone(),
        })))
    }

    /// The connections of streams that wait for their reader, and since how many nanoseconds at least: as
    /// long as looks found them at the same wait. `now_ns` is when this look is.
    pub fn waiting(&self, now_ns: u64) -> Vec<(Arc<Connection>, u64)> {
        let mut waiting = Vec::new();
        for (_, stream) in self.lock().iter_mut() {
            let changes = stream.changes.load(Ordering::Relaxed);
            if changes != stream.seen {
                (stream.seen, stream.since_ns) = (changes, now_ns);
            } else if changes % 2 == 1 {
                let waited_ns = now_ns.saturating_sub(stream.since_ns);
                waiting.push((stream.connection.clone(), waited_ns));
            }
        }
        waiting
    }

    /// How many streams there are, and on how many connections.
    pub fn count(&self) -> (usize, usize) {
        let live = self.lock();
        let connections: HashSet<_> = live
            .iter()
            .map(|(_, stream)| Arc::as_ptr(&stream.connection))
            .collect();
        (live.len(), connections.len())
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Watched>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Something was given to the connection.
    pub fn given(&self) {
        self.note(1);
    }

    /// The connection took it, and could take more.
    pub fn taken(&self) {
        self.note(0);
    }

    fn note(&self, parity: u64) {
        // One task alone writes it.
        let changes = self.0.changes.load(Ordering::Relaxed);
        if changes % 2 != parity {
            self.0.changes.store(changes + 1, Ordering::Relaxed);
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.streams.lock().remove(self.slot);
    }
}

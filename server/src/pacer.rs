//! One pacer a process: absolute deadlines in a heap behind a single `timerfd`.
//!
//! Tokio's own timer is a wheel of 1 ms; pacing tokens with it would measure the wheel.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    io,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::{contract::clock::now_ns, sys};

/// Wakes futures at absolute times of [`now_ns`]. Cheap to clone; ends with the runtime it was started
/// on.
#[derive(Debug, Clone)]
pub struct Pacer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    timer: AsyncFd<OwnedFd>,
    heap: Mutex<BinaryHeap<Reverse<Entry>>>,
}

/// Ordered by deadline alone.
#[derive(Debug)]
struct Entry {
    deadline_ns: u64,
    alarm: Weak<Alarm>,
}

#[derive(Debug, Default)]
struct Alarm {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Pacer {
    /// Starts the pacer on the current runtime.
    ///
    /// # Errors
    /// When the kernel gives no timer (out of open files).
    pub fn start() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let timer = sys::watch_readable(timer)?;
        let shared = Arc::new(Shared {
            timer,
            heap: Mutex::default(),
        });
        tokio::spawn(ring(shared.clone()));
        Ok(Self { shared })
    }

    /// Completes at `deadline_ns`, or at once when that has passed.
    pub fn sleep_until(&self, deadline_ns: u64) -> Sleep {
        if deadline_ns <= now_ns() {
            return Sleep { alarm: None };
        }
        let alarm = Arc::new(Alarm::default());
        let mut heap = self.shared.lock();
        let earliest = heap
            .peek()
            .is_none_or(|Reverse(first)| deadline_ns < first.deadline_ns);
        heap.push(Reverse(Entry {
            deadline_ns,
            alarm: Arc::downgrade(&alarm),
        }));
        if earliest {
            self.shared.arm(deadline_ns);
        }
        Sleep { alarm: Some(alarm) }
    }
}

/// Waits for the timer and rings what is due; ends with the runtime.
async fn ring(shared: Arc<Shared>) {
    let mut due = Vec::new();
    while let Ok(mut ready) = shared.timer.readable().await {
        let mut expirations = [0; 8];
        // The count is of no interest; reading it re-arms the readiness.
        let _ = rustix::io::read(shared.timer.get_ref(), &mut expirations);
        ready.clear_ready();
        {
            let mut heap = shared.lock();
            let now = now_ns();
            while heap
                .peek()
                .is_some_and(|Reverse(first)| first.deadline_ns <= now)
            {
                due.extend(heap.pop().and_then(|Reverse(entry)| entry.alarm.upgrade()));
            }
            if let Some(Reverse(next)) = heap.peek() {
                shared.arm(next.deadline_ns);
            }
        }
        for alarm in due.drain(..) {
            alarm.rung.store(true, Ordering::Release);
            alarm.waker.wake();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Entry>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self, deadline_ns: u64) {
        let at = Timespec {
            tv_sec: (deadline_ns / 1_000_000_000) as i64,
            tv_nsec: (deadline_ns % 1_000_000_000) as i64,
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: at,
        };
        let armed = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once);
        debug_assert!(armed.is_ok(), "a valid descriptor and a time in range");
    }
}

/// A wait for a deadline; see [`Pacer::sleep_until`].
#[derive(Debug)]
#[must_use = "does nothing until awaited"]
pub struct Sleep {
    alarm: Option<Arc<Alarm>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(alarm) = &self.alarm else {
            return Poll::Ready(());
        };
        alarm.waker.register(cx.waker());
        if alarm.rung.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.deadline_ns == other.deadline_ns
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.deadline_ns.cmp(&other.deadline_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_in_the_order_of_deadlines_and_never_early() {
        let pacer = Pacer::start().unwrap();
        let start = now_ns();
        let order = Arc::new(Mutex::new(Vec::new()));
        let sleepers: Vec<_> = [30_u64, 10, 20, 0, 10]
            .into_iter()
            .map(|ms| {
                let deadline = start + ms * 1_000_000;
                let (sleep, order) = (pacer.sleep_until(deadline), order.clone());
                tokio::spawn(async move {
                    sleep.await;
                    assert!(now_ns() >= deadline);
                    order.lock().unwrap().push(ms);
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 10, 10, 20, 30]);
    }

    #[tokio::test]
    async fn a_sleep_given_up_does_not_hold_others_up() {
        let pacer = Pacer::start().unwrap();
        drop(pacer.sleep_until(now_ns() + 1_000_000));
        pacer.sleep_until(now_ns() + 5_000_000).await;
    }
}

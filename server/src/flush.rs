//! When a subscription gives out what is ready: the `flush` factor, in one place for every transport.
//!
//! A transport takes items until there is none, then writes them in one go. So a policy is nothing but
//! when there is none: after each message, until a time has passed, or until enough are there. Absent with
//! `flush=ready`, which costs nothing then.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    contract::{clock::now_ns, factors::Flush},
    hub::Item,
    pacer::{Pacer, Sleep},
};

/// A policy that holds something back, and the pacer to wait by: tokio's timer would be late by up to
/// its wheel of 1 ms.
#[derive(Debug, Clone)]
pub struct Hold {
    policy: Flush,
    pacer: Pacer,
}

impl Hold {
    /// None where nothing is held back.
    pub fn new(policy: Flush, pacer: &Pacer) -> Option<Self> {
        (policy != Flush::Ready).then(|| Self {
            policy,
            pacer: pacer.clone(),
        })
    }

    /// Which one.
    pub fn policy(&self) -> Flush {
        self.policy
    }
}

/// Stands between one subscription and its transport.
#[derive(Debug)]
pub(crate) struct Gate {
    hold: Hold,
    /// Ready, and held back; at most [`Flush::HELD_MOST`] and one.
    held: VecDeque<Item>,
    /// When the first of them is to go, where that is a matter of time.
    due_ns: u64,
    sleep: Option<Sleep>,
    /// Whether all that is ready goes, until nothing is.
    open: bool,
    /// Whether a message has gone that nothing may follow before it is written.
    parted: bool,
}

impl Gate {
    pub(crate) fn new(hold: &Hold) -> Self {
        Self {
            hold: hold.clone(),
            held: VecDeque::new(),
            due_ns: 0,
            sleep: None,
            open: false,
            parted: false,
        }
    }

    /// Lets out all that is there.
    pub(crate) fn open(&mut self) {
        self.open = true;
        self.parted = false;
    }

    /// The next item that is to be written with the one before it, of those that `ready` yields; without
    /// a context, nothing is waited for.
    pub(crate) fn next(
        &mut self,
        mut cx: Option<&mut Context<'_>>,
        mut ready: impl FnMut(Option<&mut Context<'_>>) -> Option<Item>,
    ) -> Option<Item> {
        if self.parted {
            // Asked without a context, the transport writes now, and then asks with one. It gets the next
            // at its task's next turn: what it has written may be for another task to send, as on HTTP/2.
            cx?.waker().wake_by_ref();
            self.parted = false;
            return None;
        }
        if self.hold.policy == Flush::Each {
            let item = ready(cx);
            self.parted = matches!(item, Some(Item::Message(_)));
            return item;
        }
        if !self.open {
            self.fill(cx.as_deref_mut(), &mut ready);
            self.open = self.full() || self.late(cx.as_deref_mut());
        }
        if !self.open {
            return None;
        }
        self.sleep = None;
        let item = self.held.pop_front().or_else(|| ready(cx));
        self.open = item.is_some();
        item
    }

    /// Takes what is ready, until it is enough.
    fn fill(
        &mut self,
        mut cx: Option<&mut Context<'_>>,
        ready: &mut impl FnMut(Option<&mut Context<'_>>) -> Option<Item>,
    ) {
        while !self.full()
            && let Some(item) = ready(cx.as_deref_mut())
        {
            if let (Item::Message(message), Flush::Millis(ms), true) =
                (&item, self.hold.policy, self.held.is_empty())
            {
                // From when it was encoded, which is the same for all subscribers: one wake of the pacer
                // serves them all.
                self.due_ns = message.sent_at + u64::from(ms.get()) * 1_000_000;
            }
            self.held.push_back(item);
        }
    }

    /// Whether nothing more is waited for: as many as there should be, or the server has something to
    /// say, which is never held back.
    fn full(&self) -> bool {
        let enough = match self.hold.policy {
            Flush::Count(count) => count.get(),
            Flush::Ready | Flush::Each | Flush::Millis(_) => Flush::HELD_MOST,
        };
        self.held.len() >= enough as usize
            || matches!(self.held.back(), Some(Item::Dropped(_) | Item::End { .. }))
    }

    /// Whether the first has been held for as long as it should be; if not, the task is woken then.
    fn late(&mut self, cx: Option<&mut Context<'_>>) -> bool {
        if self.held.is_empty() || !matches!(self.hold.policy, Flush::Millis(_)) {
            return false;
        }
        let Some(cx) = cx.filter(|_| now_ns() < self.due_ns) else {
            return now_ns() >= self.due_ns;
        };
        let (pacer, due_ns) = (&self.hold.pacer, self.due_ns);
        let sleep = self.sleep.get_or_insert_with(|| pacer.sleep_until(due_ns));
        Pin::new(sleep).poll(cx) == Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;

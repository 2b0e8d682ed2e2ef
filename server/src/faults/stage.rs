//! Between a stream's log and a transport: where messages are held, lost and worked for, on every
//! transport alike.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Injector, lock,
    losses::{Delivery, Fate},
};
use crate::{
    contract::clock::now_ns,
    hub::{Item, Message},
    pacer::Sleep,
};

/// The pacer wakes a message so much before it is due, and from then on it looks at the clock at each turn
/// of the runtime: a timer's lag, some 50 µs and more on a busy core, would be a second delay that nobody
/// asked for.
const SPIN_NS: u64 = 200_000;

/// Stands before one subscription.
#[derive(Debug)]
pub(crate) struct Stage {
    injector: Arc<Injector>,
    subscriber: Option<u64>,
    /// Taken from the log and not due yet.
    waiting: Option<Item>,
    sleep: Option<Sleep>,
    /// Waits for the one behind it, to follow it.
    swapped: Option<Arc<Message>>,
    /// Due: three at most.
    ready: VecDeque<Item>,
    /// The latest loss in this stream.
    latest: Option<u64>,
}

impl Stage {
    pub(crate) fn new(injector: Arc<Injector>, subscriber: Option<u64>) -> Self {
        Self {
            injector,
            subscriber,
            waiting: None,
            sleep: None,
            swapped: None,
            ready: VecDeque::new(),
            latest: None,
        }
    }

    /// The next item that is due, of those that `log` yields; without a context, nothing is waited for.
    pub(crate) fn next(
        &mut self,
        mut cx: Option<&mut Context<'_>>,
        mut log: impl FnMut(Option<&mut Context<'_>>) -> Option<Item>,
    ) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                if let Item::Message(message) = &item {
                    self.injector.release(message.sent_at);
                }
                return Some(item);
            }
            if self.waiting.is_none() {
                self.waiting = log(cx.as_deref_mut());
            }
            let due_ns = match self.waiting.as_ref()? {
                Item::Message(message) => message.sent_at + self.injector.hold_ns(message.sent_at),
                Item::Dropped(_) | Item::End { .. } => 0,
            };
            if !self.reached(due_ns, cx.as_deref_mut()) {
                return None;
            }
            let item = self.waiting.take()?;
            self.lose(item);
        }
    }

    /// Whether a moment is here; if not, the task is woken: for one that is near again and again, with
    /// everybody else served in between, for another by the pacer.
    fn reached(&mut self, due_ns: u64, cx: Option<&mut Context<'_>>) -> bool {
        let now = now_ns();
        if now >= due_ns {
            self.sleep = None;
            return true;
        }
        let Some(cx) = cx else { return false };
        if due_ns - now > SPIN_NS {
            let pacer = &self.injector.pacer;
            let sleep = self
                .sleep
                .get_or_insert_with(|| pacer.sleep_until(due_ns - SPIN_NS));
            if Pin::new(sleep).poll(cx) == Poll::Pending {
                return false;
            }
        }
        self.sleep = None;
        cx.waker().wake_by_ref();
        false
    }

    fn lose(&mut self, item: Item) {
        let Item::Message(message) = item else {
            // Nothing comes behind it that could overtake it.
            self.ready.extend(self.swapped.take().map(Item::Message));
            return self.ready.push_back(item);
        };
        let Some(losses) = &self.injector.losses else {
            return self.ready.push_back(Item::Message(message));
        };
        let mut losses = lock(losses);
        let fate = losses.fate(message.id.seq, self.latest);
        let delivery = |message: &Message| Delivery {
            subscriber: self.subscriber,
            seq: message.id.seq,
        };
        if fate != Fate::Sent {
            self.latest = Some(message.id.seq);
        }
        match fate {
            Fate::Swapped => {
                self.swapped = Some(message);
                return;
            }
            Fate::Dropped => {}
            Fate::Twice => self
                .ready
                .extend([message.clone(), message.clone()].map(Item::Message)),
            Fate::Sent => self.ready.push_back(Item::Message(message.clone())),
        }
        losses.note(fate, delivery(&message));
        if let Some(late) = self.swapped.take() {
            losses.note(Fate::Swapped, delivery(&late));
            self.ready.push_back(Item::Message(late));
        }
    }
}

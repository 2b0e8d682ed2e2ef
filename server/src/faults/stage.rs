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

/// Messages that are held at once by one subscription: a second at the highest rate that a check runs.
/// What is beyond stays in the log and is held from when there is room.
const AHEAD: usize = 1_024;

/// Stands before one subscription.
#[derive(Debug)]
pub(crate) struct Stage {
    injector: Arc<Injector>,
    subscriber: Option<u64>,
    /// Taken from the log and not due yet, at most [`AHEAD`].
    waiting: VecDeque<Waiting>,
    sleep: Option<Sleep>,
    /// Waits for the one behind it, to follow it.
    swapped: Option<Arc<Message>>,
    /// Due: three at most.
    ready: VecDeque<Item>,
    /// The latest loss in this stream.
    latest: Option<u64>,
    /// Whether the log has said so.
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    taken_at: u64,
    due_ns: u64,
    item: Item,
}

impl Stage {
    pub(crate) fn new(injector: Arc<Injector>, subscriber: Option<u64>) -> Self {
        Self {
            injector,
            subscriber,
            waiting: VecDeque::new(),
            sleep: None,
            swapped: None,
            ready: VecDeque::new(),
            latest: None,
            ended: false,
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
                if matches!(item, Item::Message(_)) {
                    self.injector.work();
                }
                return Some(item);
            }
            self.take(cx.as_deref_mut(), &mut log);
            let due_ns = self.waiting.front()?.due_ns;
            if !self.reached(due_ns, cx.as_deref_mut()) {
                return None;
            }
            let Waiting { taken_at, item, .. } = self.waiting.pop_front()?;
            self.injector.note_held(taken_at);
            self.lose(item);
        }
    }

    /// Takes what the log has, when it has it: a message is held from the moment at which the transport
    /// would have got it, so that the delay is added to all that happens without it.
    fn take(
        &mut self,
        mut cx: Option<&mut Context<'_>>,
        log: &mut impl FnMut(Option<&mut Context<'_>>) -> Option<Item>,
    ) {
        let most = if self.injector.holds() { AHEAD } else { 1 };
        while !self.ended && self.waiting.len() < most {
            let Some(item) = log(cx.as_deref_mut()) else {
                return;
            };
            let taken_at = now_ns();
            let hold_ns = match &item {
                Item::Message(message) => self.injector.hold_ns(message.sent_at),
                Item::Dropped(_) | Item::End { .. } => 0,
            };
            self.ended = matches!(item, Item::End { .. });
            self.waiting.push_back(Waiting {
                taken_at,
                due_ns: taken_at + hold_ns,
                item,
            });
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
        let early_ns = if self.injector.exact() { SPIN_NS } else { 0 };
        if due_ns - now > early_ns {
            let pacer = &self.injector.pacer;
            let sleep = self
                .sleep
                .get_or_insert_with(|| pacer.sleep_until(due_ns - early_ns));
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

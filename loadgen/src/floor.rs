//! What the generator itself adds to a message: the real clients, the ledger and the recorder, fed from
//! memory, without a network.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use pushbench_server::{
    contract::{
        ask::{Ask, FeedAsk},
        clock::now_ns,
        event_id::EventId,
        message::{Envelope, Stamps, encode},
        notice::Notice,
        transport::Transport,
    },
    corpus::{self, Language},
    hub::FEED,
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    calibrate::Effort,
    client::{self, Ended, Memory, Pending, Wire},
    recorder::Recorder,
    subscriber::{Crowd, Life, Record},
};

/// Messages of one reading: they fit a core's cache, as a message does that the kernel has just copied,
/// and take a millisecond, beside which reading the clock is nothing.
const MESSAGES: u64 = 2_000;

/// CPU time that the generator takes for a message, without the kernel's part. Medians over repetitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Floor {
    /// Of a transport without framing: decoding, books and recording alone, microseconds.
    pub null_us: f64,
    /// Of recording alone, microseconds: the null transport with the recorder and without it.
    pub recorder_us: f64,
    /// Of each transport's client, decoding, books and recording included, microseconds.
    pub by_transport: BTreeMap<String, f64>,
    /// The same of each repetition, in order: what the medians are of.
    pub repetitions: Vec<Repetition>,
    /// Messages of one reading.
    pub messages: u64,
}

/// One reading of each, made right after one another, microseconds a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Repetition {
    /// The null transport.
    pub null_us: f64,
    /// The null transport with nothing recorded.
    pub unrecorded_us: f64,
    /// Each transport.
    pub by_transport: BTreeMap<String, f64>,
}

/// The floor could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Unmeasured {
    /// A client did not do with the bytes from memory what it does with a socket's.
    #[error("{subject} took {received} of {MESSAGES} messages from memory{said}")]
    Deaf {
        /// Whose client.
        subject: String,
        /// Messages that reached the books.
        received: u64,
        /// Why it stopped.
        said: String,
    },
    /// No connection, or no answer to the ask.
    #[error("the client of {transport} does not talk to memory: {source}")]
    Connect {
        /// Which.
        transport: Transport,
        /// Why.
        source: Ended,
    },
}

/// Measures on this thread, for a second or a few.
///
/// # Errors
/// When a client does not take what its transport's server sends.
pub fn measure(effort: Effort) -> Result<Floor, Unmeasured> {
    let recorder = Mutex::new(Recorder::new(0..u64::MAX));
    measure_with(effort.pick(51, 201), |stamps, received_at, previous| {
        // As a subscriber does: they share one.
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        recorder.record(stamps, received_at, previous);
    })
}

/// The same with so many repetitions and another recorder.
pub(crate) fn measure_with(
    repetitions: usize,
    mut record: impl Record,
) -> Result<Floor, Unmeasured> {
    let payloads = payloads();
    let frames = Transport::ALL.map(|transport| {
        let frame = client::script(transport).frame;
        let frames: Arc<[Vec<u8>]> = payloads
            .iter()
            .enumerate()
            .map(|(number, payload)| frame(number, payload))
            .collect();
        (transport, frames)
    });
    let mut once = |turn: usize| -> Result<Repetition, Unmeasured> {
        let mut null = |recorded: bool| {
            let mut wire = Null {
                payloads: payloads.iter(),
            };
            if recorded {
                read("the null transport", &mut wire, &mut record)
            } else {
                read("the null transport", &mut wire, |_: &_, _, _: &mut _| ())
            }
        };
        // Now one first, now the other: what a drift does to them cancels.
        let first = null(turn.is_multiple_of(2))?;
        let second = null(!turn.is_multiple_of(2))?;
        let (null_us, unrecorded_us) = if turn.is_multiple_of(2) {
            (first, second)
        } else {
            (second, first)
        };
        let mut by_transport = BTreeMap::new();
        for k in 0..frames.len() {
            let (transport, frames) = &frames[(k + turn) % frames.len()];
            let us = of_transport(*transport, frames.clone(), &mut record)?;
            by_transport.insert(transport.name().to_owned(), us);
        }
        Ok(Repetition {
            null_us,
            unrecorded_us,
            by_transport,
        })
    };
    // The first fills caches and is left out.
    once(0)?;
    let repetitions = (0..repetitions)
        .map(once)
        .collect::<Result<Vec<_>, Unmeasured>>()?;
    Ok(Floor::of(repetitions))
}

impl Floor {
    /// The medians.
    fn of(repetitions: Vec<Repetition>) -> Self {
        let over = |figure: &dyn Fn(&Repetition) -> f64| median(repetitions.iter().map(figure));
        let by_transport = Transport::ALL.map(|transport| {
            let name = transport.name();
            (name.to_owned(), over(&|one| one.by_transport[name]))
        });
        Self {
            null_us: over(&|one| one.null_us),
            recorder_us: over(&|one| one.null_us - one.unrecorded_us),
            by_transport: by_transport.into(),
            repetitions,
            messages: MESSAGES,
        }
    }
}

/// A greeting, then tokens of the corpus in the smallest envelope, as a server stamps them.
fn payloads() -> Vec<String> {
    let after = EventId {
        epoch: 1,
        stream: FEED,
        seq: 0,
    };
    let hello = Notice::Hello {
        after,
        missing: 0,
        previous: None,
        retry_ms: 3_000,
    };
    let tokens = corpus::stream(Language::En, 0).zip(1..=MESSAGES);
    let messages = tokens.map(|(token, seq)| {
        let now = now_ns();
        let stamps = Stamps {
            stream: FEED,
            seq,
            scheduled_at: now,
            sent_at: now,
        };
        encode(Envelope::Minimal, &stamps, token)
    });
    std::iter::once(hello.encode()).chain(messages).collect()
}

/// Microseconds a message of a transport's client.
fn of_transport(
    transport: Transport,
    frames: Arc<[Vec<u8>]>,
    record: impl Record,
) -> Result<f64, Unmeasured> {
    let memory = Memory::new(client::script(transport), frames);
    let refused = |source| Unmeasured::Connect { transport, source };
    let asked = at_once(async {
        let mut wire = client::connect_memory(transport, memory).await?;
        wire.ask(&Ask::Feed(FeedAsk::default())).await?;
        Ok(wire)
    });
    let mut wire = asked
        .unwrap_or_else(|| Err(Ended::Failed("it waits for what never comes".into())))
        .map_err(refused)?;
    read(transport.name(), wire.as_mut(), record)
}

/// Has a subscriber receive all messages of a wire, one a poll, as a paced stream wakes it.
fn read(subject: &str, wire: &mut dyn Wire, record: impl Record) -> Result<f64, Unmeasured> {
    let crowd = Crowd::default();
    let mut life = Life::new(&crowd, record);
    let mut ended = None;
    let taken_ns = {
        let mut receiving = pin!(life.receive(Envelope::Minimal, wire));
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = || match receiving.as_mut().poll(&mut cx) {
            Poll::Ready(end) if ended.is_none() => ended = Some(end),
            _ => {}
        };
        (0..PATIENCE)
            .take_while(|_| crowd.live() == 0)
            .for_each(|_| poll());
        let started_ns = thread_cpu_ns();
        for _ in 0..MESSAGES {
            poll();
        }
        thread_cpu_ns() - started_ns
    };
    let received = life.ledger().total().received;
    if received == MESSAGES {
        return Ok(taken_ns as f64 / 1e3 / MESSAGES as f64);
    }
    Err(Unmeasured::Deaf {
        subject: subject.to_owned(),
        received,
        said: match ended {
            Some(Err(ended)) => format!(": {ended}"),
            _ => String::new(),
        },
    })
}

/// Polls before something that memory has ready must have come.
const PATIENCE: usize = 16;

/// Completes a future that waits for nothing but memory.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..PATIENCE).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// CPU time of this thread, nanoseconds: what others do on its core is not in it.
fn thread_cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The middle value, or the mean of the two in the middle; not a number of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// A transport without framing: the payloads as they are.
struct Null<'a> {
    payloads: std::slice::Iter<'a, String>,
}

impl Wire for Null<'_> {
    fn ask<'a>(&'a mut self, _: &'a Ask) -> Pending<'a, Result<(), Ended>> {
        Box::pin(async { Ok(()) })
    }

    fn poll_receive(&mut self, _: &mut Context<'_>, deliver: &mut dyn FnMut(&str)) -> Poll<Ended> {
        if let Some(payload) = self.payloads.next() {
            deliver(payload);
        }
        Poll::Pending
    }

    fn close(self: Box<Self>) -> Pending<'static, ()> {
        Box::pin(async {})
    }

    fn round_trips(&self) -> u32 {
        0
    }

    fn path(&self) -> Option<&'static str> {
        None
    }
}

/// Burns CPU time of this thread.
#[cfg(test)]
pub(crate) fn burn(us: u64) {
    let until_ns = thread_cpu_ns() + us * 1_000;
    while thread_cpu_ns() < until_ns {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Script, recorder::Previous};

    #[test]
    fn every_transport_has_a_floor_and_every_message_is_taken() {
        let mut recorded = 0_u64;
        let floor = measure_with(2, |_, _, _| recorded += 1).unwrap();
        let names: Vec<_> = floor.by_transport.keys().map(String::as_str).collect();
        let mut all = Transport::ALL.map(Transport::name);
        all.sort_unstable();
        assert_eq!(names, all);
        assert_eq!(floor.repetitions.len(), 2);
        // The null transport and each other, in two repetitions and the one before them.
        let readings = 3 * (1 + Transport::ALL.len() as u64);
        assert_eq!(recorded, readings * MESSAGES);
        assert!(floor.by_transport.values().all(|us| *us > 0.0), "{floor:?}");
    }

    #[test]
    fn a_slow_recorder_is_found_by_its_cost() {
        let floor = measure_with(1, |_, _, _| burn(20)).unwrap();
        // Whatever the machine does meanwhile: it is burnt on this thread's clock.
        assert!(floor.recorder_us > 10.0, "{floor:?}");
        assert!(floor.null_us >= 20.0, "{floor:?}");
    }

    #[test]
    fn a_client_that_misses_a_message_gives_no_floor() {
        let payloads = payloads();
        let short = &payloads[..payloads.len() - 1];
        let mut null = Null {
            payloads: short.iter(),
        };
        let deaf = read("null", &mut null, |_: &Stamps, _, _: &mut Previous| ());
        let said = deaf.unwrap_err().to_string();
        assert!(said.contains("took 1999 of 2000"), "{said}");
    }

    #[test]
    fn a_script_that_is_not_the_transports_is_refused_in_words() {
        for transport in Transport::ALL {
            let script = Script {
                answer: |_| b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n".to_vec(),
                ..client::script(transport)
            };
            let memory = Memory::new(script, Arc::new([]));
            let connected = at_once(async {
                let mut wire = client::connect_memory(transport, memory).await?;
                wire.ask(&Ask::Feed(FeedAsk::default())).await
            });
            let ended = connected.unwrap().unwrap_err();
            assert!(
                matches!(ended, Ended::WrongPath(_)),
                "{transport}: {ended:?}"
            );
        }
    }

    #[test]
    fn medians_are_medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}

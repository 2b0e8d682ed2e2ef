use std::{
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    contract::message::Envelope,
    counters::Counters,
    hub::{FEED, Subscription, Topic},
    meters::Meters,
};

const NOTHING: [u64; 0] = [];

fn count(count: u32) -> Flush {
    Flush::Count(NonZeroU32::new(count).unwrap())
}

fn millis(ms: u32) -> Flush {
    Flush::Millis(NonZeroU32::new(ms).unwrap())
}

fn reader(policy: Flush, history: usize) -> (Arc<Topic>, Subscription) {
    let pacer = Pacer::start().unwrap();
    let meters = Arc::new(Meters::new(Counters::private().unwrap()));
    let hold = Hold::new(policy, &pacer);
    let topic = Topic::new((1, FEED), Envelope::Minimal, history, 9, meters, None, hold);
    let reader = topic.subscribe(Some(1), None).unwrap().subscription;
    (topic, reader)
}

fn publish(topic: &Topic, count: u64) {
    (0..count).for_each(|_| topic.publish(now_ns(), "x"));
}

/// What a transport that asks until there is none writes in one go: numbers of messages, 0 for a notice.
fn one_write(reader: &mut Subscription) -> Vec<u64> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut write = Vec::new();
    while write.last() != Some(&0)
        && let Poll::Ready(item) = reader.poll_next(&mut cx)
    {
        write.push(number(item));
    }
    write
}

/// A message's; 0 of a notice.
fn number(item: Item) -> u64 {
    match item {
        Item::Message(message) => message.id.seq,
        Item::Dropped(_) | Item::End { .. } => 0,
    }
}

/// The same of a transport that waits for one and then takes what goes with it.
async fn one_go(reader: &mut Subscription) -> Vec<u64> {
    let mut write = vec![number(reader.next().await)];
    while write.last() != Some(&0)
        && let Some(item) = reader.try_next()
    {
        write.push(number(item));
    }
    write
}

#[tokio::test]
async fn nothing_stands_in_the_way_of_what_is_ready() {
    let pacer = Pacer::start().unwrap();
    assert!(Hold::new(Flush::Ready, &pacer).is_none());
    let (topic, mut reader) = reader(Flush::Ready, 99);
    assert_eq!(topic.flush(), Flush::Ready);
    publish(&topic, 3);
    assert_eq!(one_write(&mut reader), [1, 2, 3]);
}

#[tokio::test]
async fn each_message_is_a_write_of_its_own_and_the_task_is_woken_for_the_next() {
    let (topic, mut reader) = reader(Flush::Each, 99);
    publish(&topic, 4);
    topic.end(false);
    assert_eq!(one_write(&mut reader), [1]);
    assert_eq!(one_write(&mut reader), [2]);
    assert_eq!(one_go(&mut reader).await, [3]);
    // Would hang if nobody woke it.
    assert_eq!(one_go(&mut reader).await, [4]);
    assert_eq!(one_write(&mut reader), NOTHING, "a turn of its own");
    assert_eq!(one_write(&mut reader), [0]);
}

#[tokio::test]
async fn a_number_is_waited_for_and_a_backlog_goes_with_it() {
    let (topic, mut reader) = reader(count(3), 99);
    publish(&topic, 2);
    assert_eq!(one_write(&mut reader), NOTHING);
    assert!(reader.try_next().is_none());
    publish(&topic, 1);
    assert_eq!(one_write(&mut reader), [1, 2, 3]);
    publish(&topic, 2);
    assert_eq!(one_write(&mut reader), NOTHING);
    publish(&topic, 5);
    assert_eq!(one_go(&mut reader).await, [4, 5, 6, 7, 8, 9, 10]);
    publish(&topic, 1);
    assert_eq!(one_write(&mut reader), NOTHING);
    topic.end(false);
    assert_eq!(one_write(&mut reader), [11, 0]);
}

#[tokio::test]
async fn a_time_is_waited_for_from_the_first_on() {
    // Long, so that a busy machine does not come too late to see it held.
    let (topic, mut reader) = reader(millis(300), 99);
    let earliest = now_ns() + 300_000_000;
    publish(&topic, 1);
    assert_eq!(one_write(&mut reader), NOTHING);
    publish(&topic, 1);
    assert_eq!(one_go(&mut reader).await, [1, 2]);
    assert!(now_ns() >= earliest, "released early");
    // The next begins anew.
    publish(&topic, 1);
    assert_eq!(one_write(&mut reader), NOTHING);
    assert_eq!(one_go(&mut reader).await, [3]);
}

#[tokio::test]
async fn what_the_server_says_is_never_held_back() {
    for policy in [count(1_000), millis(3_600_000)] {
        let (topic, mut reader) = reader(policy, 2);
        publish(&topic, 5);
        assert_eq!(one_write(&mut reader), [0], "three were dropped: {policy}");
        assert_eq!(
            one_write(&mut reader),
            [4, 5],
            "what was ready then goes with it"
        );
        publish(&topic, 1);
        assert_eq!(one_write(&mut reader), NOTHING, "{policy}");
        reader.stop();
        assert_eq!(one_write(&mut reader), [6, 0], "{policy}");
    }
}

#[tokio::test]
async fn as_many_as_may_be_held_are_not_waited_with() {
    let most = u64::from(Flush::HELD_MOST);
    let (topic, mut reader) = reader(millis(3_600_000), 9_999);
    publish(&topic, most - 1);
    assert_eq!(one_write(&mut reader), NOTHING);
    publish(&topic, 1);
    assert_eq!(one_write(&mut reader).len() as u64, most);
}

#[tokio::test]
async fn a_connection_that_ends_takes_what_is_held() {
    for policy in [Flush::Each, count(10), millis(3_600_000)] {
        let (topic, mut reader) = reader(policy, 99);
        publish(&topic, 3);
        // One goes where each goes by itself, none elsewhere.
        let first = one_write(&mut reader).len();
        let rest = std::iter::from_fn(|| reader.try_rest());
        assert_eq!(first + rest.count(), 3, "{policy}");
    }
}

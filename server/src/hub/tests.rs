use super::*;
use crate::counters::Counters;

fn topic(history: usize) -> (Arc<Topic>, Arc<Meters>) {
    let meters = Arc::new(Meters::new(Counters::private().unwrap()));
    (
        Topic::new(
            (1, 0),
            Envelope::Minimal,
            history,
            2,
            meters.clone(),
            None,
            None,
        ),
        meters,
    )
}

fn seqs(subscription: &mut Subscription) -> Vec<u64> {
    std::iter::from_fn(|| match subscription.try_next() {
        Some(Item::Message(message)) => Some(message.id.seq),
        _ => None,
    })
    .collect()
}

#[test]
fn a_message_is_encoded_once_for_all() {
    let (topic, _) = topic(4);
    let [mut a, mut b] = [1, 2].map(|n| topic.subscribe(Some(n), None).unwrap().subscription);
    topic.publish(1, "x");
    let (Some(Item::Message(a)), Some(Item::Message(b))) = (a.try_next(), b.try_next()) else {
        panic!()
    };
    assert!(Arc::ptr_eq(&a, &b));
    assert_eq!(a.event(true).as_ptr(), b.event(true).as_ptr());
}

#[test]
fn resumes_after_an_id_and_says_what_history_no_longer_holds() {
    let (topic, _) = topic(3);
    (0..5).for_each(|n| topic.publish(n, "x"));
    let mut joined = topic.subscribe(None, Some(3)).unwrap();
    assert_eq!((joined.after.seq, joined.missing), (3, 0));
    assert_eq!(seqs(&mut joined.subscription), [4, 5]);
    let mut joined = topic.subscribe(None, Some(0)).unwrap();
    assert_eq!((joined.after.seq, joined.missing), (2, 2));
    assert_eq!(seqs(&mut joined.subscription), [3, 4, 5]);
    let joined = topic.subscribe(None, Some(99)).unwrap();
    assert_eq!(
        (joined.after.seq, joined.missing),
        (5, 0),
        "an id from the future joins live"
    );
}

#[test]
fn a_slow_reader_is_told_what_it_lost_and_the_books_balance() {
    let (topic, meters) = topic(3);
    let mut slow = topic.subscribe(Some(1), None).unwrap().subscription;
    (0..5).for_each(|n| topic.publish(n, "x"));
    topic.end(false);
    assert!(matches!(slow.try_next(), Some(Item::Dropped(2))));
    assert_eq!(seqs(&mut slow), [3, 4, 5]);
    assert!(matches!(slow.try_next(), Some(Item::End { last, cancelled: false }) if last.seq == 5));
    let read = |counter| meters.counters.read(counter);
    assert_eq!(read(Counter::Owed), 5);
    assert_eq!(read(Counter::Dropped), 2);
    drop(slow);
    assert_eq!(
        (read(Counter::Subscribed), read(Counter::Unsubscribed)),
        (1, 1)
    );
}

#[test]
fn a_known_subscriber_is_owed_what_it_misses_between_connections_and_a_stranger_is_not() {
    let (topic, meters) = topic(8);
    let known = topic.subscribe(Some(1), None).unwrap();
    let stranger = topic.subscribe(None, None).unwrap();
    topic.publish(0, "x");
    drop((known, stranger));
    topic.publish(0, "x");
    let again = topic.subscribe(Some(1), None).unwrap();
    topic.publish(0, "x");
    assert_eq!(meters.counters.read(Counter::Owed), 4);
    drop(again);
}

#[test]
fn knows_only_so_many() {
    let (topic, _) = topic(1);
    let _kept: Vec<_> = (0..2)
        .map(|n| topic.subscribe(Some(n), None).unwrap())
        .collect();
    assert_eq!(topic.subscribe(Some(9), None).unwrap_err(), TooManyKnown(2));
    assert!(topic.subscribe(Some(1), None).is_ok());
}

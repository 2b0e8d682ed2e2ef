use std::{collections::BTreeMap, sync::Arc};

use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::{
    contract::{
        factors::Factors,
        message::{Envelope, decode},
    },
    control::Launch,
    counters::{Counter, Counters},
    hub::{FEED, Item, Topic},
    meters::Meters,
    source::Source,
};

/// A feed with faults, and who did what to it.
struct Scene {
    topic: Arc<Topic>,
    meters: Arc<Meters>,
    injector: Arc<Injector>,
    pacer: Pacer,
}

fn scene(faults: &Faults, seed: u64) -> Scene {
    let pacer = Pacer::start().unwrap();
    let injector = Injector::draw(faults, pacer.clone(), &mut StdRng::seed_from_u64(seed));
    let injector = Arc::new(injector.unwrap());
    let meters = Arc::new(Meters::new(Counters::private().unwrap()));
    let topic = Topic::new(
        (1, FEED),
        Envelope::Minimal,
        100_000,
        9,
        meters.clone(),
        Some(injector.clone()),
        None,
    );
    Scene {
        topic,
        meters,
        injector,
        pacer,
    }
}

fn within_a_tenth(drawn: u64, nominal: u64) -> bool {
    (nominal * 9 / 10..=nominal * 11 / 10).contains(&drawn)
}

#[tokio::test]
async fn a_delayed_message_is_held_for_what_is_disclosed_and_order_stays() {
    // Long, so that a busy machine cannot make up for a delay that is too short.
    let faults = Faults {
        delay_us: Some(100_000),
        ..Faults::default()
    };
    let Scene {
        topic, injector, ..
    } = scene(&faults, 1);
    let mut reader = topic.subscribe(Some(1), None).unwrap().subscription;
    (0..20).for_each(|_| topic.publish(now_ns(), "x"));
    assert!(reader.try_next().is_none(), "nothing is due yet");
    topic.end(false);
    let drawn_ns = injector.truth().delay.unwrap().drawn_ns;
    assert!(within_a_tenth(drawn_ns, 100_000_000), "{drawn_ns}");
    for seq in 1..=20 {
        let Item::Message(message) = reader.next().await else {
            panic!("the end overtook message {seq}")
        };
        assert_eq!(message.id.seq, seq);
        assert!(now_ns() >= message.sent_at + drawn_ns, "released early");
    }
    assert!(matches!(reader.next().await, Item::End { .. }));
    let Delay {
        held_p50_ns,
        held_p99_ns,
        ..
    } = injector.truth().delay.unwrap();
    assert!(drawn_ns <= held_p50_ns && held_p50_ns <= held_p99_ns);
}

#[tokio::test]
async fn a_ramp_falls_in_a_line_from_what_is_disclosed_to_nothing() {
    let ramp = Some(Ramp {
        seconds: 10.0,
        from_us: 8_000,
        level_us: 0,
    });
    let faults = Faults {
        ramp,
        ..Faults::default()
    };
    let injector = scene(&faults, 2).injector;
    assert_eq!(injector.hold_ns(5), 0, "nothing has begun");
    injector.begin(1_000);
    injector.begin(9_999);
    let Fall {
        from_ns,
        over_ns,
        began_at,
        ..
    } = injector.truth().ramp.unwrap();
    assert!(within_a_tenth(from_ns, 8_000_000) && within_a_tenth(over_ns, 10_000_000_000));
    assert_eq!(began_at, Some(1_000), "the first call counts");
    assert_eq!(injector.hold_ns(1_000), from_ns);
    assert!(injector.hold_ns(1_000 + over_ns / 2).abs_diff(from_ns / 2) <= 1);
    assert_eq!(injector.hold_ns(1_000 + over_ns), 0);
    assert_eq!(injector.hold_ns(u64::MAX), 0);
}

#[tokio::test]
async fn what_a_ramp_leaves_scatters_around_its_level_alike_for_all_subscribers() {
    let ramp = Some(Ramp {
        seconds: 1.0,
        from_us: 8_000,
        level_us: 40_000,
    });
    let faults = Faults {
        ramp,
        ..Faults::default()
    };
    let injector = scene(&faults, 2).injector;
    injector.begin(0);
    let after = 2_000_000_000u64;
    let held: Vec<u64> = (after..after + 1_000)
        .map(|at| injector.hold_ns(at))
        .collect();
    let again = (after..after + 1_000).map(|at| injector.hold_ns(at));
    assert!(again.eq(held.iter().copied()));
    let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
    assert!((36_000_000..36_500_000).contains(least), "{least}");
    assert!((43_500_000..44_000_000).contains(most), "{most}");
    let mean = held.iter().sum::<u64>() / 1_000;
    assert!(mean.abs_diff(40_000_000) < 400_000, "{mean}");
}

#[tokio::test]
async fn a_stall_holds_the_feed_up_once_and_says_when() {
    let faults = Faults {
        stall_ms: Some(100),
        ..Faults::default()
    };
    let Scene {
        topic,
        injector,
        pacer,
        meters,
    } = scene(&faults, 3);
    let mut reader = topic.subscribe(Some(1), None).unwrap().subscription;
    let source = Source {
        pacer,
        meters,
        faults: Some(injector.clone()),
        feed_payload_bytes: None,
    };
    let start_ns = now_ns();
    let feed = tokio::spawn(source.feed(topic.clone(), 200.0));
    while injector.truth().stall.is_none() {
        reader.next().await;
    }
    let Span { begin_ns, end_ns } = injector.truth().stall.unwrap();
    assert!(STALL_AFTER_NS.start <= begin_ns - start_ns);
    assert!(
        end_ns - begin_ns >= 90_000_000,
        "a sleep is never shorter than asked"
    );
    injector.stall(start_ns);
    assert_eq!(
        injector.truth().stall,
        Some(Span { begin_ns, end_ns }),
        "once"
    );
    // What was due meanwhile is stamped after it.
    loop {
        let Item::Message(message) = reader.next().await else {
            panic!()
        };
        let stamps = decode(&message.payload).unwrap().stamps;
        if stamps.scheduled_at > begin_ns {
            assert!(stamps.sent_at >= end_ns && stamps.scheduled_at < end_ns);
            break;
        }
    }
    topic.end(true);
    feed.await.unwrap();
}

#[tokio::test]
async fn losses_are_exactly_those_disclosed_and_the_servers_books_do_not_show_them() {
    const MESSAGES: u64 = 8_000;
    let lose = Lose {
        dropped: 40,
        duplicated: 50,
        reordered: 60,
        of: 2 * MESSAGES as u32,
    };
    let faults = Faults {
        lose: Some(lose),
        ..Faults::default()
    };
    let Scene {
        topic,
        injector,
        meters,
        ..
    } = scene(&faults, 4);
    let mut readers = [7, 8].map(|n| topic.subscribe(Some(n), None).unwrap().subscription);
    (0..MESSAGES).for_each(|n| topic.publish(n, "x"));
    topic.end(false);
    let [a, b] = readers.each_mut().map(|reader| {
        std::iter::from_fn(|| match reader.try_next() {
            Some(Item::Message(message)) => Some(message.id.seq),
            _ => None,
        })
        .collect::<Vec<_>>()
    });
    let truth = injector.truth();
    assert_eq!(
        [&truth.dropped, &truth.duplicated, &truth.reordered].map(Vec::len),
        [40, 50, 60]
    );
    for (subscriber, seqs) in [(7, a), (8, b)] {
        let of = |list: &[Delivery]| -> Vec<u64> {
            let own = list.iter().filter(|of| of.subscriber == Some(subscriber));
            own.map(|of| of.seq).collect()
        };
        let mut times = BTreeMap::<u64, u32>::new();
        seqs.iter()
            .for_each(|seq| *times.entry(*seq).or_default() += 1);
        let missing: Vec<_> = (1..=MESSAGES)
            .filter(|seq| !times.contains_key(seq))
            .collect();
        let twice: Vec<_> = times
            .iter()
            .filter(|(_, n)| **n == 2)
            .map(|(seq, _)| *seq)
            .collect();
        let late = seqs.windows(2).filter(|pair| pair[1] < pair[0]);
        let late: Vec<_> = late.map(|pair| pair[1]).collect();
        assert_eq!(missing, of(&truth.dropped));
        assert_eq!(twice, of(&truth.duplicated));
        assert_eq!(late, of(&truth.reordered));
        let all = [missing, twice, late].concat();
        assert!(!all.is_empty());
        let mut sorted = all.clone();
        sorted.sort_unstable();
        assert!(
            sorted.windows(2).all(|pair| pair[1] - pair[0] >= 3),
            "each stands for itself"
        );
    }
    assert_eq!(meters.counters.read(Counter::Owed), 2 * MESSAGES);
    assert_eq!(meters.counters.read(Counter::Dropped), 0);
}

#[tokio::test]
async fn a_message_that_waits_for_one_behind_it_is_sent_before_the_end_and_not_called_reordered() {
    let lose = Lose {
        dropped: 0,
        duplicated: 0,
        reordered: 1,
        of: 8,
    };
    let faults = Faults {
        lose: Some(lose),
        ..Faults::default()
    };
    let Scene {
        topic, injector, ..
    } = scene(&faults, 5);
    let mut reader = topic.subscribe(Some(1), None).unwrap().subscription;
    let mut seqs = Vec::new();
    // Until the one that waits is the last.
    while injector.truth().reordered.is_empty() {
        topic.publish(0, "x");
        let Some(Item::Message(message)) = reader.try_next() else {
            break;
        };
        seqs.push(message.id.seq);
    }
    topic.end(false);
    let next = reader.try_next();
    assert!(
        matches!(next, Some(Item::Message(message)) if message.id.seq == seqs.len() as u64 + 1)
    );
    assert!(matches!(reader.try_next(), Some(Item::End { .. })));
    assert_eq!(injector.truth().reordered, []);
}

#[tokio::test]
async fn losses_that_could_hide_each_other_are_refused() {
    let lose = Lose {
        dropped: 1,
        duplicated: 1,
        reordered: 0,
        of: 15,
    };
    let refused = Losses::draw(lose, &mut rand::rng()).unwrap_err();
    assert!(refused.to_string().contains("one in 8"), "{refused}");
    assert!(Losses::draw(Lose { of: 16, ..lose }, &mut rand::rng()).is_ok());
}

#[tokio::test]
async fn what_is_hoarded_has_the_size_disclosed() {
    let faults = Faults {
        hoard_bytes: Some(65_536),
        ..Faults::default()
    };
    let injector = scene(&faults, 6).injector;
    let bytes = injector.truth().hoarded_bytes.unwrap();
    assert!(within_a_tenth(bytes, 65_536));
    assert_eq!(injector.hoard().unwrap().len() as u64, bytes);
    assert!(scene(&Faults::default(), 6).injector.hoard().is_none());
}

#[tokio::test]
async fn skewed_stamps_are_off_by_what_is_disclosed_and_hand_off_is_not() {
    let faults = Faults {
        skew_us: Some(1_000),
        ..Faults::default()
    };
    let mut signs = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let Scene {
            topic, injector, ..
        } = scene(&faults, seed);
        let mut reader = topic.subscribe(None, None).unwrap().subscription;
        let scheduled_at = now_ns();
        topic.publish(scheduled_at, "x");
        let Some(Item::Message(message)) = reader.try_next() else {
            panic!()
        };
        let skew_ns = injector.truth().skew_ns.unwrap();
        assert!(within_a_tenth(skew_ns.unsigned_abs(), 1_000_000));
        signs.insert(skew_ns.signum());
        let stamps = decode(&message.payload).unwrap().stamps;
        assert_eq!(
            stamps.scheduled_at,
            scheduled_at.saturating_add_signed(skew_ns)
        );
        assert_eq!(
            stamps.sent_at,
            message.sent_at.saturating_add_signed(skew_ns)
        );
    }
    assert_eq!(signs.len(), 2, "either way");
}

#[tokio::test]
async fn work_is_cpu_of_the_thread_for_each_message() {
    // Owed twice, and paid with the third.
    const WORK_NS: u64 = PAYMENT_NS * 2 / 5;
    let faults = Faults {
        work_ns: Some(WORK_NS),
        ..Faults::default()
    };
    let Scene {
        topic, injector, ..
    } = scene(&faults, 7);
    let mut reader = topic.subscribe(None, None).unwrap().subscription;
    (0..12).for_each(|n| topic.publish(n, "x"));
    let used_ns = || {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
    };
    let before = used_ns();
    while reader.try_next().is_some() {}
    let used_ns = used_ns() - before;
    assert!(used_ns >= 12 * WORK_NS, "{used_ns}");
    assert_eq!(injector.truth().work_ns, Some(WORK_NS));
}

#[tokio::test]
async fn some_are_cut_and_some_are_left_where_there_are_several() {
    let injector = scene(&Faults::default(), 8).injector;
    let mut random = StdRng::seed_from_u64(9);
    let drawn: std::collections::BTreeSet<_> = (0..200)
        .map(|_| injector.draw_cut(5, &mut random))
        .collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!([0, 1].map(|n| injector.draw_cut(n, &mut random)), [0, 1]);
    injector.note_cut(3);
    assert_eq!(injector.truth().cuts, [3]);
}

#[tokio::test]
async fn draws_differ_from_seed_to_seed() {
    let faults = Faults {
        delay_us: Some(500),
        ..Faults::default()
    };
    let drawn = [1, 2].map(|seed| scene(&faults, seed).injector.truth().delay);
    assert_ne!(drawn[0], drawn[1]);
}

#[test]
fn a_launch_without_faults_is_one_that_an_older_build_reads() {
    let launch = |faults| Launch {
        listen: ([127, 0, 0, 1], 0).into(),
        bare: None,
        epoch: 1,
        previous: None,
        connections: 1,
        retry_ms: 1,
        factors: Factors::default(),
        identity: None,
        cores: Vec::new(),
        counters: "counters".into(),
        faults,
    };
    let none = launch(Faults::default());
    let json = serde_json::to_string(&none).unwrap();
    assert!(!json.contains("faults"), "{json}");
    assert_eq!(serde_json::from_str::<Launch>(&json).unwrap(), none);
    let some = launch(Faults {
        ramp: Some(Ramp {
            seconds: 1.5,
            from_us: 9,
            level_us: 4,
        }),
        ..Faults::default()
    });
    let json = serde_json::to_string(&some).unwrap();
    assert_eq!(serde_json::from_str::<Launch>(&json).unwrap(), some);
    assert_eq!(some.config().faults, some.faults);
    assert!(serde_json::from_str::<Faults>("{\"delay_ms\":1}").is_err());
}

//! Check 3: messages that are dropped, sent twice and swapped.

use std::collections::BTreeSet;

use pushbench_reports::{
    calibration::{Check, Look, Picture, Row},
    record::Books,
};
use pushbench_server::{
    contract::{clock::now_ns, transport::Transport},
    control::Command,
    counters::Counter,
    faults::{Delivery, Faults, Lose, Truth},
};

use super::{
    Lab, TRANSPORTS,
    probe::{RETRY, Sound, bench, row, series},
};
use crate::{
    audience::Audience,
    bench::{Bench, Broken},
    ledger::Ledger,
    recorder::Recorder,
    server_process::ServerProcess,
};

/// Subscribers that share the deliveries.
const SUBSCRIBERS: u32 = 16;

/// Messages published at once: well below what the feed's log holds for a reader that is slow.
const BATCH: u64 = 250;

/// How long a batch may take to reach everyone: a thousand times what it takes.
const PATIENCE_NS: u64 = 20_000_000_000;

/// Runs the check.
///
/// # Errors
/// When a server does not start or answer.
pub async fn check(lab: &Lab) -> Result<Check, Broken> {
    of(lab, lab.effort.pick(100_000, 1_000_000)).await
}

/// The same of any number of deliveries, a multiple of 16.
///
/// # Errors
/// As [`check`].
pub async fn of(lab: &Lab, of: u32) -> Result<Check, Broken> {
    // One in a thousand of each kind.
    let losses = of / 1_000;
    let lose = Lose {
        dropped: losses,
        duplicated: losses,
        reordered: losses,
        of,
    };
    let (mut rows, mut counts, mut sound) = (Vec::new(), Vec::new(), Sound::default());
    for transport in TRANSPORTS {
        let once = async || measure(lab, transport, lose).await;
        let (found, truth, _) = sound.measure(once, |(.., invalid)| invalid).await?;
        rows.extend(judge(transport.name(), lose, &found, &truth));
        counts.push((transport, found, truth));
    }
    rows.push(sound.row());
    Ok(Check {
        number: 3,
        name: "accounting".into(),
        title: "Messages lost, repeated and reordered".into(),
        method: "Of the first deliveries, the server leaves out, repeats and swaps as many as it is told to, and draws \
                 which; its own books count as if nothing had happened. The subscribers' ledgers must find every one, \
                 by subscriber and number, and nothing else; then the server says which they were. A failure would \
                 mean that what the report says of lost messages cannot be relied on."
            .into(),
        counts: format!(
            "{of} deliveries to {SUBSCRIBERS} subscribers for each transport, {losses} of each kind{}{}",
            sound.told(),
            lab.effort.pick(", a reduced count", "")
        ),
        rows,
        picture: Some(picture(&counts)),
        note: String::new(),
    })
}

/// Has everything delivered, as fast as it is taken, and then asks what was done.
async fn measure(
    lab: &Lab,
    transport: Transport,
    lose: Lose,
) -> Result<(Found, Truth, Vec<String>), Broken> {
    let faults = Faults {
        lose: Some(lose),
        ..Faults::default()
    };
    let mut bench = bench(lab, transport, faults)?;
    let mut server = bench.start_server(SUBSCRIBERS, RETRY).await?;
    let mut audience = Audience::new(&bench, &server, false);
    audience
        .grow(&mut bench, &server, SUBSCRIBERS, |_| false)
        .await;
    *audience.recorder() = Recorder::new(0..0);
    let messages = u64::from(lose.of.div_ceil(SUBSCRIBERS));
    let mut published = 0;
    while published < messages {
        let batch = BATCH.min(messages - published);
        let texts = vec!["x".to_owned(); batch as usize];
        published += server.command(Command::Publish { texts }).await?;
        until_taken(&bench, &server, lose, published).await?;
    }
    server.command(Command::End).await?;
    let outcomes = audience.leave().await?;
    let owed = server.counters().read(Counter::Owed);
    let ledgers = outcomes
        .iter()
        .map(|outcome| (outcome.number, &outcome.ledger));
    let found = Found::of(ledgers, owed);
    let truth = server.disclose().await?;
    server.stop().await?;
    Ok((found, truth, bench.record.invalid))
}

/// Waits until nearly all that was published is on its way: what was left out is not, and one message
/// of each subscriber may wait for the one behind it.
async fn until_taken(
    bench: &Bench,
    server: &ServerProcess,
    lose: Lose,
    published: u64,
) -> Result<(), Broken> {
    const LOOK_NS: u64 = 500_000;
    let all = published * u64::from(SUBSCRIBERS);
    let nearly = all.saturating_sub(u64::from(lose.dropped + SUBSCRIBERS));
    let since = now_ns();
    while server.counters().read(Counter::HandedOver) < nearly {
        if now_ns() - since > PATIENCE_NS {
            let what = format!("{published} messages were handed to {SUBSCRIBERS} subscribers");
            return Err(Broken::Waited(what));
        }
        bench.pacer.sleep_until(now_ns() + LOOK_NS).await;
    }
    Ok(())
}

/// What the ledgers say.
#[derive(Debug, Default)]
struct Found {
    dropped: Vec<Delivery>,
    duplicated: Vec<Delivery>,
    reordered: Vec<Delivery>,
    books: Books,
    unlisted: u64,
}

impl Found {
    fn of<'a>(ledgers: impl Iterator<Item = (Option<u64>, &'a Ledger)>, owed: u64) -> Self {
        let mut found = Self::default();
        for (subscriber, ledger) in ledgers {
            let delivery = |seq| Delivery { subscriber, seq };
            found
                .dropped
                .extend(ledger.lost().map(|id| delivery(id.seq)));
            found
                .duplicated
                .extend(ledger.repeats().iter().map(|id| delivery(id.seq)));
            found
                .reordered
                .extend(ledger.late().iter().map(|id| delivery(id.seq)));
            found.books += ledger.total();
            found.unlisted += ledger.unlisted();
        }
        found.books.owed = owed;
        found
    }
}

/// Holds counts and ids against the truth: all or nothing.
fn judge(transport: &str, asked: Lose, found: &Found, truth: &Truth) -> Vec<Row> {
    let books = &found.books;
    let kinds = [
        (
            "dropped",
            asked.dropped,
            books.lost,
            &found.dropped,
            &truth.dropped,
        ),
        (
            "duplicated",
            asked.duplicated,
            books.duplicated,
            &found.duplicated,
            &truth.duplicated,
        ),
        (
            "reordered",
            asked.reordered,
            books.reordered,
            &found.reordered,
            &truth.reordered,
        ),
    ];
    let mut rows: Vec<Row> = kinds
        .map(|(kind, asked, counted, found, truth)| {
            let of = |list: &[Delivery]| list.iter().copied().collect::<BTreeSet<_>>();
            let (ids, true_ids) = (of(found), of(truth));
            let missed = true_ids.difference(&ids).count();
            let invented = ids.difference(&true_ids).count();
            let pass = missed == 0
                && invented == 0
                && counted == truth.len() as u64
                && found.len() == truth.len()
                && truth.len() == asked as usize;
            row(
                format!("{transport}, {kind}"),
                format!("{}", truth.len()),
                format!("{counted}; ids: {missed} missed, {invented} wrong"),
                "exact, ids too",
                pass,
            )
        })
        .into();
    rows.push(row(
        format!("{transport}, books"),
        format!("{} owed", books.owed),
        format!(
            "{} received + {} lost + {} dropped by a bound",
            books.received, books.lost, books.dropped
        ),
        "exact",
        books.owed == u64::from(asked.of.div_ceil(SUBSCRIBERS) * SUBSCRIBERS)
            && books.balanced()
            && books.dropped == 0
            && found.unlisted == 0,
    ));
    rows
}

fn picture(counts: &[(Transport, Found, Truth)]) -> Picture {
    let mut all = Vec::new();
    let mut highest = 0.0_f64;
    for (transport, found, truth) in counts {
        // By subscriber, so that a meter which is right only in sum would show.
        let points: Vec<[f64; 2]> = (0..u64::from(SUBSCRIBERS))
            .map(|subscriber| {
                let of = |lists: [&Vec<Delivery>; 3]| {
                    let all = lists.into_iter().flatten();
                    all.filter(|of| of.subscriber == Some(subscriber)).count() as f64
                };
                [
                    of([&truth.dropped, &truth.duplicated, &truth.reordered]),
                    of([&found.dropped, &found.duplicated, &found.reordered]),
                ]
            })
            .collect();
        highest = points
            .iter()
            .flatten()
            .fold(highest, |high, &n| high.max(n));
        all.push(series(transport.name(), Look::Dots, points));
    }
    let line = vec![[0.0, 0.0], [highest, highest]];
    all.push(series("found = done", Look::Truth, line));
    Picture {
        title: "Losses, repeats and swaps found against those that were done".into(),
        subtitle: "a dot a subscriber, all three kinds together".into(),
        caption: "Every dot must lie on the dashed line: below it a ledger has missed something, above it it has \
                  made something up."
            .into(),
        x_title: "done by the server".into(),
        y_title: "found by the subscriber".into(),
        x_logarithmic: false,
        y_logarithmic: false,
        series: all,
    }
}

#[cfg(test)]
mod tests {
    use pushbench_server::contract::{event_id::EventId, notice::Notice};

    use super::*;

    const MESSAGES: u64 = 100;
    const ASKED: Lose = Lose {
        dropped: 2,
        duplicated: 2,
        reordered: 2,
        of: SUBSCRIBERS * MESSAGES as u32,
    };

    fn truth() -> Truth {
        let list = |seqs: [(u64, u64); 2]| {
            seqs.map(|(subscriber, seq)| Delivery {
                subscriber: Some(subscriber),
                seq,
            })
            .to_vec()
        };
        Truth {
            dropped: list([(0, 5), (7, 100)]),
            duplicated: list([(0, 10), (3, 1)]),
            reordered: list([(0, 20), (9, 99)]),
            ..Truth::default()
        }
    }

    /// What one subscriber gets of a server that does what the truth says.
    fn arrivals(truth: &Truth, subscriber: u64) -> Vec<u64> {
        let is = |list: &[Delivery], seq| {
            list.contains(&Delivery {
                subscriber: Some(subscriber),
                seq,
            })
        };
        let mut seqs = Vec::new();
        for seq in 1..=MESSAGES {
            let times =
                usize::from(!is(&truth.dropped, seq)) + usize::from(is(&truth.duplicated, seq));
            seqs.extend(std::iter::repeat_n(seq, times));
            if is(&truth.reordered, seq.saturating_sub(1)) {
                let last = seqs.len();
                seqs.swap(last - 2, last - 1);
            }
        }
        seqs
    }

    /// Through a ledger whose every arrival is first altered by `tamper`, the fault of the meter.
    fn found(truth: &Truth, tamper: impl Fn(Vec<u64>) -> Vec<u64>) -> Found {
        let id = |seq| EventId {
            epoch: 1,
            stream: 0,
            seq,
        };
        let ledgers: Vec<_> = (0..u64::from(SUBSCRIBERS))
            .map(|subscriber| {
                let mut ledger = Ledger::default();
                ledger.notice(&Notice::Hello {
                    after: id(0),
                    missing: 0,
                    previous: None,
                    retry_ms: 1,
                });
                for seq in tamper(arrivals(truth, subscriber)) {
                    ledger.message(seq);
                }
                ledger.notice(&Notice::End {
                    last: id(MESSAGES),
                    cancelled: true,
                });
                (Some(subscriber), ledger)
            })
            .collect();
        let ledgers = ledgers.iter().map(|(number, ledger)| (*number, ledger));
        Found::of(ledgers, u64::from(ASKED.of))
    }

    fn passes(found: &Found, truth: &Truth) -> Vec<bool> {
        let rows = judge("ws-h1", ASKED, found, truth);
        rows.iter().map(|row| row.pass).collect()
    }

    #[test]
    fn the_ledger_finds_every_one_and_nothing_else() {
        let truth = truth();
        assert_eq!(passes(&found(&truth, |seqs| seqs), &truth), [true; 4]);
    }

    #[test]
    fn a_meter_that_takes_a_gap_for_nothing_fails() {
        let truth = truth();
        // It numbers what comes, whatever it is called.
        let blind = found(&truth, |seqs| (1..=seqs.len() as u64).collect());
        assert!(!passes(&blind, &truth)[0]);
    }

    #[test]
    fn a_meter_that_sorts_or_thins_what_comes_fails() {
        let truth = truth();
        let sorted = found(&truth, |mut seqs| {
            seqs.sort_unstable();
            seqs
        });
        assert_eq!(passes(&sorted, &truth), [true, true, false, true]);
        let thinned = found(&truth, |mut seqs| {
            seqs.dedup();
            seqs
        });
        assert_eq!(passes(&thinned, &truth), [true, false, true, true]);
    }

    #[test]
    fn the_right_count_of_wrong_messages_fails() {
        let (done, mut told) = (truth(), truth());
        told.dropped[0].seq += 1;
        let rows = judge("ws-h1", ASKED, &found(&done, |seqs| seqs), &told);
        assert!(!rows[0].pass && rows[1].pass, "{rows:?}");
    }

    #[test]
    fn a_server_that_did_less_than_asked_and_lists_that_overflow_show_nothing() {
        let mut truth = truth();
        truth.reordered.pop();
        let whole = found(&truth, |seqs| seqs);
        assert_eq!(passes(&whole, &truth), [true, true, false, true]);
        let overflown = Found {
            unlisted: 1,
            ..found(&truth, |seqs| seqs)
        };
        assert!(!passes(&overflown, &truth)[3]);
    }
}

//! A meter that counts and dates what happened, and ones that do not.

use super::*;

const MS: u64 = 1_000_000;

fn back(noticed_ms: u64, greeted_ms: u64, attempts: u64) -> Return {
    Return {
        noticed_at: noticed_ms * MS,
        greeted_at: Some(greeted_ms * MS),
        attempts,
    }
}

fn measured() -> Measured {
    Measured {
        subscribers: 3,
        ended: 2,
        cut: 2,
        after_cut: vec![back(500, 651, 1), back(501, 660, 1)],
        killed_at: 1_000 * MS,
        started_at: 1_500 * MS,
        listening_at: 1_508 * MS,
        after_kill: vec![
            back(1_001, 1_602, 4),
            back(1_002, 1_603, 4),
            back(1_003, 1_677, 4),
        ],
        live: Vec::new(),
        invalid: Vec::new(),
    }
}

fn passes(measured: &Measured) -> [bool; 3] {
    let rows = judge("ws-h1", measured);
    [rows[0].pass, rows[1].pass, rows[2].pass]
}

#[test]
fn a_true_count_and_everyone_within_the_policy_pass() {
    assert_eq!(passes(&measured()), [true; 3]);
}

#[test]
fn a_meter_that_misses_a_cut_or_counts_it_twice_fails() {
    for ended in [0, 1, 3] {
        let wrong = Measured {
            ended,
            ..measured()
        };
        assert_eq!(passes(&wrong), [false, true, true]);
    }
    let none = Measured {
        ended: 0,
        cut: 0,
        after_cut: Vec::new(),
        ..measured()
    };
    assert_eq!(passes(&none)[..2], [false, false], "nothing was shown");
}

#[test]
fn someone_cut_who_is_early_late_or_never_back_fails() {
    let never = Return {
        greeted_at: None,
        ..back(501, 0, 3)
    };
    for wrong in [
        vec![back(500, 651, 1), back(501, 650, 1)],
        vec![back(500, 651, 1), back(501, 672, 1)],
        vec![back(500, 651, 1), never],
        vec![back(500, 651, 1)],
        vec![back(500, 651, 1); 3],
    ] {
        let after_cut = Measured {
            after_cut: wrong,
            ..measured()
        };
        assert_eq!(passes(&after_cut), [true, false, true], "{after_cut:?}");
    }
}

#[test]
fn someone_late_early_or_never_back_after_a_restart_fails() {
    for (place, wrong) in [
        (2, back(1_003, 1_679, 4)),
        // Greeted by a server that was not there yet, and after no wait before the last attempt.
        (0, back(1_001, 1_499, 3)),
        (0, back(1_001, 1_602, 5)),
        (0, back(1_001, 1_602, 0)),
    ] {
        let mut measured = measured();
        measured.after_kill[place] = wrong;
        assert_eq!(passes(&measured), [true, true, false], "{measured:?}");
    }
    let mut few = measured();
    few.after_kill.pop();
    assert!(!passes(&few)[2]);
}

#[test]
fn a_client_that_dates_its_return_by_the_second_attempt_fails() {
    let mut late = measured();
    let all = late.after_cut.iter_mut().chain(&mut late.after_kill);
    for greeted_at in all.filter_map(|of| of.greeted_at.as_mut()) {
        *greeted_at += POLICY.as_nanos() as u64;
    }
    assert_eq!(passes(&late), [true, false, false]);
}

#[test]
fn it_is_over_when_somebody_left_and_everybody_is_back_for_a_while() {
    let log = |live: &[(u64, usize)]| Log {
        live: live.to_vec(),
        attempts: Vec::new(),
    };
    let late = 100 + QUIET_NS;
    assert!(over(&log(&[(1, 2), (50, 1), (100, 2)]), 2, 10, late));
    assert!(!over(&log(&[(1, 2), (50, 1), (100, 2)]), 2, 10, late - 1));
    assert!(!over(&log(&[(1, 2), (50, 1)]), 2, 10, late));
    assert!(!over(&log(&[(1, 1), (2, 2)]), 2, 10, late), "nobody left");
}

#[test]
fn each_fall_of_the_live_streams_is_one_end_and_what_was_before_is_not_counted() {
    let live = vec![
        (1, 1),
        (2, 2),
        (3, 1),
        (10, 2),
        (11, 1),
        (12, 0),
        (13, 1),
        (14, 2),
    ];
    let log = Log {
        live,
        attempts: Vec::new(),
    };
    assert_eq!(ended_since(&log, 10), 2);
    assert_eq!(ended_since(&log, 0), 3);
}

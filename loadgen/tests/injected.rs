//! Checks of a calibration whose truth is exact, in miniature against the real program; and, ignored
//! because a busy machine may fail them, those of times and memory as they are run.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::path::Path;

use pushbench::{
    bench::{Broken, Site},
    calibrate::{Effort, Lab, TRANSPORTS, accounting, clock, delay, memory, reconnect, stall},
};
use pushbench_reports::calibration::Check;
use pushbench_server::affinity;

fn lab(directory: &Path, effort: Effort, cores: (Vec<usize>, Vec<usize>)) -> Lab {
    Lab {
        site: Site {
            server_binary: env!("CARGO_BIN_EXE_pushbench").into(),
            directory: directory.to_owned(),
            server_cores: cores.0,
            generator_cores: cores.1,
        },
        effort,
    }
}

#[tokio::test]
async fn what_was_lost_repeated_and_swapped_is_found_message_by_message() {
    let directory = tempfile::tempdir().unwrap();
    let lab = lab(directory.path(), Effort::Quick, Default::default());
    let check = accounting::of(&lab, 16_000).await.unwrap();
    assert_eq!(check.rows.len(), 4 * TRANSPORTS.len() + 1);
    assert!(check.passed(), "{:#?}", check.rows);
    assert!(check.rows.iter().any(|row| row.truth == "16"));
}

#[tokio::test]
async fn connections_cut_are_counted_without_being_told() {
    let directory = tempfile::tempdir().unwrap();
    let lab = lab(directory.path(), Effort::Quick, Default::default());
    let check = reconnect::check(&lab).await.unwrap();
    let cuts = check
        .rows
        .iter()
        .filter(|row| row.subject.contains("connections cut"));
    assert_eq!(cuts.clone().count(), TRANSPORTS.len());
    for row in cuts {
        assert!(row.pass, "{row:?}");
        assert!((1..20).contains(&row.truth.parse().unwrap()), "{row:?}");
    }
}

/// Prints a check as it is run, reduced or, with `WHOLE` set, whole.
#[expect(clippy::print_stdout, reason = "what it is for")]
fn print(check: impl AsyncFn(&Lab) -> Result<Check, Broken>) {
    let cores = affinity::cores().unwrap();
    let (of_server, of_generator) = (vec![cores[0]], vec![*cores.last().unwrap()]);
    affinity::pin(&of_generator).unwrap();
    let effort = match std::env::var("WHOLE") {
        Ok(_) => Effort::Whole,
        Err(_) => Effort::Quick,
    };
    let directory = tempfile::tempdir().unwrap();
    let lab = lab(directory.path(), effort, (of_server, of_generator));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let began = std::time::Instant::now();
    let check = runtime.block_on(check(&lab)).unwrap();
    println!(
        "{} {} in {:.1} s: {}",
        check.number,
        check.name,
        began.elapsed().as_secs_f64(),
        check.counts
    );
    for row in &check.rows {
        println!(
            "  {} | {} | {} | {} | {}",
            if row.pass { "pass" } else { "FAIL" },
            row.subject,
            row.truth,
            row.measured,
            row.tolerance
        );
    }
    println!("  note: {}", check.note);
    assert!(check.passed(), "a row failed: on a busy machine some may");
}

macro_rules! as_run {
    ($($name:ident: $check:path,)+) => {
        $(
            #[test]
            #[ignore = "times and memory of a machine that should be quiet"]
            fn $name() {
                print($check);
            }
        )+
    };
}

as_run! {
    check_1: delay::check,
    check_2: stall::check,
    check_3: accounting::check,
    check_4: memory::check,
    check_5: reconnect::check,
    check_7: clock::check,
}

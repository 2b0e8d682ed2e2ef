//! The rules of validity, provoked: real trials that are spoilt on purpose, each in one way, and must say
//! so. What else a busy machine does to them is not looked at.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use pushbench::{
    arm::Arm,
    audience::Audience,
    bench::{Bench, Site},
    experiment::Experiment,
    plan,
    trial::{self, Trial},
};
use pushbench_server::{affinity, faults::Faults};
use serde_json::{Value, json};

fn site(directory: &Path) -> Site {
    Site {
        server_binary: env!("CARGO_BIN_EXE_pushbench").into(),
        directory: directory.to_owned(),
        server_cores: Vec::new(),
        generator_cores: Vec::new(),
    }
}

fn arm() -> Arm {
    plan::quick().arms[0].clone()
}

fn throughput(settings: Value) -> Experiment {
    Experiment::Throughput(serde_json::from_value(settings).unwrap())
}

/// A few messages, briefly.
fn short() -> Experiment {
    throughput(json!({
        "subscribers": 5, "messages_per_second": 100.0, "warm_up_s": 0.05, "warm_up_max_s": 0.1, "window_s": 0.3,
    }))
}

fn trial(experiment: Experiment) -> Trial {
    Trial {
        number: 1,
        experiment,
        arm: arm(),
        round: 1,
        seed: 3,
        trace: None,
    }
}

/// A bench as a trial has it, whose record takes what is looked at.
async fn bench(site: &Site) -> Bench {
    let mut record = trial::run(&trial(short()), site).await.unwrap();
    record.invalid.clear();
    Bench::new(arm(), 3, None, record, site.clone()).unwrap()
}

fn says(reasons: &[String], says: &str) -> bool {
    reasons.iter().any(|reason| reason.contains(says))
}

/// Keeps the generator's loop from going round, 5 ms of every 6 or so.
async fn obstruct() {
    loop {
        std::thread::sleep(Duration::from_millis(5));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What a trial says whose server misbehaves as `spoilt.sh` does by that name.
async fn served_by(name: &str, experiment: Experiment) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spoilt.sh");
    symlink(script, directory.path().join(name)).unwrap();
    let program = directory.path().join("pushbench");
    symlink(env!("CARGO_BIN_EXE_pushbench"), program).unwrap();
    let site = Site {
        server_binary: directory.path().join(name),
        ..site(directory.path())
    };
    trial::run(&trial(experiment), &site).await.unwrap().invalid
}

#[tokio::test]
async fn turns_that_the_server_refuses_spoil_a_trial() {
    let latency = json!({
        "warm_up_s": 0.05, "warm_up_max_s": 0.1, "window_s": 0.3, "turns_per_second": 100.0, "first_token_s": 0.01,
        "warm_connections": 1,
    });
    let latency = Experiment::Latency(serde_json::from_value(latency).unwrap());
    let reasons = served_by("capped", latency).await;
    assert!(says(&reasons, "turns failed, the first: "), "{reasons:?}");
}

#[tokio::test]
async fn a_subscriber_that_is_cut_off_spoils_a_trial() {
    let reasons = served_by("abrupt", short()).await;
    assert!(says(&reasons, "a subscriber was cut off: "), "{reasons:?}");
}

#[tokio::test]
async fn an_outage_that_is_not_everybodys_spoils_a_trial() {
    let reconnect = json!({
        "subscribers": 20, "messages_per_second": 50.0, "retry_s": 0.05, "phase_s": 0.2, "down_s": 0.05,
    });
    let reconnect = Experiment::Reconnect(serde_json::from_value(reconnect).unwrap());
    let reasons = served_by("lenient", reconnect).await;
    let cut = says(&reasons, "connections were cut, 20 are subscribed");
    // Whoever was not cut at first knows of one outage only, the server's death.
    let noticed = says(&reasons, "of 20 subscribers noticed outage 2");
    assert!(cut && noticed, "{reasons:?}");
}

#[tokio::test]
async fn a_generator_that_reads_late_while_all_come_back_spoils_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let reconnect = json!({
        "subscribers": 3, "messages_per_second": 50.0, "retry_s": 0.05, "phase_s": 0.2, "down_s": 0.05,
    });
    let reconnect = Experiment::Reconnect(serde_json::from_value(reconnect).unwrap());
    let hog = tokio::spawn(async {
        loop {
            std::thread::sleep(Duration::from_millis(60));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let record = trial::run(&trial(reconnect), &site(directory.path()))
        .await
        .unwrap();
    hog.abort();
    let reasons = &record.invalid;
    assert!(says(reasons, "more than 25 ms"), "{reasons:?}");
    assert!(record.histograms.contains_key("read_lag"));
}

#[tokio::test]
async fn a_generator_that_is_busy_spoils_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    // Threads of the generator; more of them than cores, so that others' work leaves them enough.
    let stop = Arc::new(AtomicBool::new(false));
    let burners = [(); 8].map(|()| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            while !stop.load(Relaxed) {
                std::hint::spin_loop();
            }
        })
    });
    let record = trial::run(&trial(short()), &site(directory.path())).await;
    stop.store(true, Relaxed);
    for burner in burners {
        burner.join().unwrap();
    }
    let reasons = record.unwrap().invalid;
    assert!(
        says(&reasons, "of its core: it may be the limit"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_generator_that_reads_late_spoils_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let hog = tokio::spawn(obstruct());
    let record = trial::run(&trial(short()), &site(directory.path()))
        .await
        .unwrap();
    hog.abort();
    assert!(
        says(
            &record.invalid,
            "the load generator read what was ready late"
        ),
        "{:?}",
        record.invalid
    );
    assert!(record.histograms.contains_key("read_lag"));
}

#[tokio::test]
async fn a_generator_that_starts_turns_late_spoils_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let latency = json!({
        "warm_up_s": 0.05, "warm_up_max_s": 0.1, "window_s": 0.5, "turns_per_second": 200.0, "first_token_s": 0.01,
        "warm_connections": 150,
    });
    let latency = Experiment::Latency(serde_json::from_value(latency).unwrap());
    let hog = tokio::spawn(obstruct());
    let record = trial::run(&trial(latency), &site(directory.path()))
        .await
        .unwrap();
    hog.abort();
    for late in ["started what was due late", "read what was ready late"] {
        assert!(says(&record.invalid, late), "{:?}", record.invalid);
    }
}

#[tokio::test]
async fn programs_on_the_servers_core_spoil_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let core = *affinity::cores().unwrap().first().unwrap();
    let site = Site {
        server_cores: vec![core],
        ..site(directory.path())
    };
    // Enough to do that the server wants its core much of the time.
    let busy = throughput(json!({
        "subscribers": 20, "messages_per_second": 500.0, "warm_up_s": 0.05, "warm_up_max_s": 0.1, "window_s": 0.5,
    }));
    let stop = Arc::new(AtomicBool::new(false));
    let hogs = [stop.clone(), stop.clone()].map(|stop| {
        std::thread::spawn(move || {
            affinity::pin(&[core]).unwrap();
            while !stop.load(Relaxed) {
                std::hint::spin_loop();
            }
        })
    });
    let record = trial::run(&trial(busy), &site).await.unwrap();
    stop.store(true, Relaxed);
    for hog in hogs {
        hog.join().unwrap();
    }
    assert!(
        says(&record.invalid, "the machine was busy: the server waited"),
        "{:?}",
        record.invalid
    );
}

#[tokio::test]
async fn fewer_or_more_streams_than_asked_at_either_end_spoil_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = bench(&site(directory.path())).await;
    let mut server = bench
        .start_server(10, Duration::from_secs(3))
        .await
        .unwrap();
    let mut audience = Audience::new(&bench, &server, false);
    audience.grow(&mut bench, &server, 2, |_| false).await;
    assert_eq!(bench.record.invalid, [""; 0]);
    audience.verify(&mut bench, &server, 3);
    assert!(says(
        &bench.record.invalid,
        "3 live streams were asked for, the clients have 2, the server 2"
    ));
    bench.record.invalid.clear();
    // Somebody whom the clients do not count.
    let mut others = Audience::of_strangers(&bench, &server);
    others
        .grow(&mut Bench::aside(&bench).unwrap(), &server, 1, |_| false)
        .await;
    audience.verify(&mut bench, &server, 2);
    assert!(says(
        &bench.record.invalid,
        "the clients have 2, the server 3"
    ));
    server
        .command(pushbench_server::control::Command::End)
        .await
        .unwrap();
    audience.leave().await.unwrap();
    others.leave().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_disagrees_spoils_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let site = site(directory.path());
    let mut bench = bench(&site).await;
    // A tenth of a second either way, as the server draws, within a window of three: it takes a clock that
    // is ahead.
    bench.faults = Faults {
        skew_us: Some(100_000),
        ..Faults::default()
    };
    let backwards = "messages were received before they were sent";
    for _ in 0..30 {
        let mut bench = bench.aside().unwrap();
        short().measure(&mut bench).await.unwrap();
        if says(&bench.record.invalid, backwards) {
            return;
        }
    }
    panic!("thirty clocks, and none ahead");
}

#[tokio::test]
async fn a_load_that_has_not_settled_spoils_a_trial() {
    let directory = tempfile::tempdir().unwrap();
    let mut bench = bench(&site(directory.path())).await;
    let ramp = json!({ "ramp": { "seconds": 5.0, "from_us": 500_000 } });
    bench.faults = serde_json::from_value(ramp).unwrap();
    let long = throughput(json!({
        "subscribers": 3, "messages_per_second": 100.0, "warm_up_s": 0.5, "warm_up_max_s": 1.5, "window_s": 0.1,
    }));
    long.measure(&mut bench).await.unwrap();
    assert!(
        says(&bench.record.invalid, "the load had not settled after "),
        "{:?}",
        bench.record.invalid
    );
    let series = &bench.record.points["warm_up"];
    assert!(
        series.len() > 5 && series.is_sorted_by(|a, b| a[0] < b[0]),
        "{series:?}"
    );
    assert_eq!(
        bench.record.points["warm_up_marks"].len(),
        1,
        "the window's opening alone"
    );
    assert_eq!(bench.record.metrics["steady_from_ms"], None);
    assert!(bench.record.metrics["warm_up_ms"].unwrap() >= 1_500.0);
}

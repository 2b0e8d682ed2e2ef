//! Findings that take a moment to measure: what a reading of the clock costs, who else is at work, and
//! the floor of loopback.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use pushbench_server::{affinity, contract::clock::now_ns, meters::histogram};

use super::{Finding, Grade, machine::BUSY_CORES};
use crate::{bench::Site, meter::machine::Times, validity::FOREIGN_LOAD};

/// What a reading of the clock costs, and the smallest step it shows, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReading {
    cost_ns: f64,
    step_ns: u64,
}

/// Reads the clock as often as takes some milliseconds.
pub fn read_clock() -> ClockReading {
    const READINGS: u32 = 100_000;
    let start = now_ns();
    let (mut before, mut step_ns) = (start, u64::MAX);
    for _ in 0..READINGS {
        let now = now_ns();
        if now > before {
            step_ns = step_ns.min(now - before);
        }
        before = now;
    }
    ClockReading {
        cost_ns: (before - start) as f64 / f64::from(READINGS),
        step_ns,
    }
}

/// A message is stamped and dated with three readings; at a microsecond each they would cost about as
/// much as the message itself.
const DEAR_NS: f64 = 1_000.0;

/// Figures are printed to the microsecond.
const COARSE_NS: u64 = 1_000;

/// Judges the clock's readings.
pub fn clock_cost(reading: ClockReading) -> Finding {
    const NAME: &str = "clock_cost";
    let ClockReading { cost_ns, step_ns } = reading;
    let found = format!("a reading takes {cost_ns:.0} ns, its smallest step is {step_ns} ns");
    if cost_ns <= DEAR_NS && step_ns <= COARSE_NS {
        return Finding::fine(NAME, found);
    }
    Finding::new(
        NAME,
        Grade::Bad,
        found,
        "Use a machine, or a clock source, whose time is read in user space, such as tsc.",
    )
}

/// What others did over a while in which this process sleeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Others {
    /// Cores that they kept busy, of those that we may use.
    busy_cores: f64,
    /// Share that the hypervisor withheld: of the server's cores or of the generator's, whichever lost
    /// more, as a trial takes it.
    stolen: f64,
}

/// Watches the cores that may be used, and of them those of server and generator. None where the kernel
/// does not say.
pub fn watch_others(site: &Site, allowed: &[usize]) -> Option<Others> {
    // The kernel counts ticks of 10 ms at worst: 150 of them on each core.
    const WATCHED: Duration = Duration::from_millis(1_500);
    // What is not pinned may run on all.
    let placed = [&site.server_cores, &site.generator_cores]
        .map(|cores| if cores.is_empty() { allowed } else { cores });
    let [server, generator] = placed;
    let read = || -> Option<_> {
        let mut times = Vec::new();
        for cores in [allowed, server, generator] {
            times.push(Times::of(cores).ok()?);
        }
        Some(times)
    };
    let before = read()?;
    thread::sleep(WATCHED);
    let passed: Vec<_> = read()?
        .into_iter()
        .zip(before)
        .map(|(now, before)| now.since(before))
        .collect();
    let (all, ours) = passed.split_first()?;
    let stolen = ours.iter().map(|times| times.stolen_share());
    Some(Others {
        busy_cores: all.busy_share() * allowed.len() as f64,
        stolen: stolen.fold(0.0, f64::max),
    })
}

/// Judges what was watched, on so many cores.
pub fn others(seen: Option<Others>, cores: usize) -> Vec<Finding> {
    const LOAD: &str = "foreign_load";
    const STEAL: &str = "steal";
    let Some(Others { busy_cores, stolen }) = seen else {
        return vec![Finding::new(
            LOAD,
            Grade::WorthKnowing,
            "the kernel does not say how busy it is",
            "Make sure that nothing else runs.",
        )];
    };
    let found = format!("others keep {busy_cores:.2} of {cores} cores busy");
    let load = match busy_cores {
        busy if busy > BUSY_CORES => Finding::new(
            LOAD,
            Grade::Bad,
            found,
            "End them before a run, or most trials are invalid.",
        ),
        busy if busy > BUSY_CORES / 5.0 => Finding::new(
            LOAD,
            Grade::WorthKnowing,
            found,
            "End them, or expect a higher noise floor.",
        ),
        _ => Finding::fine(LOAD, found),
    };
    let found = format!(
        "the hypervisor withholds {:.1} % of the time of cores that a run would use",
        100.0 * stolen
    );
    let remedy = "Ask for dedicated cores, or run when the host is quiet.";
    let steal = match stolen {
        stolen if stolen > FOREIGN_LOAD => Finding::new(STEAL, Grade::Bad, found, remedy),
        stolen if stolen > FOREIGN_LOAD / 5.0 => {
            Finding::new(STEAL, Grade::WorthKnowing, found, remedy)
        }
        _ => Finding::fine(STEAL, found),
    };
    vec![load, steal]
}

/// Round trips of a byte each way over a raw TCP connection, nanoseconds, between threads pinned as
/// server and generator are.
///
/// # Errors
/// When there is no connection, or it hangs.
pub fn ping_pong(site: &Site) -> io::Result<Histogram<u64>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (server_cores, generator_cores) = (site.server_cores.clone(), site.generator_cores.clone());
    let ping = thread::spawn(move || -> io::Result<_> {
        keep_to(&generator_cores)?;
        ping(TcpStream::connect(address)?)
    });
    // Pings wait in the listener's backlog meanwhile.
    let pong = thread::spawn(move || -> io::Result<()> {
        keep_to(&server_cores)?;
        pong(listener.accept()?.0)
    });
    let died = || io::Error::other("a thread died");
    let round_trips = ping.join().map_err(|_| died())?;
    pong.join().map_err(|_| died())??;
    round_trips
}

fn keep_to(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    affinity::pin(cores)
}

/// Longer than any machine that is not broken holds up a byte.
const HANGS: Duration = Duration::from_secs(2);

fn ping(mut stream: TcpStream) -> io::Result<Histogram<u64>> {
    /// Enough for a p99 many times over.
    const MOST: u32 = 20_000;
    const WARM_UP: u32 = 500;
    const LONGEST: Duration = Duration::from_millis(1_500);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANGS))?;
    let (started, mut round_trips) = (Instant::now(), histogram());
    for trip in 0..MOST + WARM_UP {
        let sent_at = now_ns();
        stream.write_all(&[0])?;
        stream.read_exact(&mut [0])?;
        if trip >= WARM_UP {
            round_trips.saturating_record(now_ns() - sent_at);
        }
        if started.elapsed() > LONGEST {
            break;
        }
    }
    Ok(round_trips)
}

/// Until the other end closes.
fn pong(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANGS))?;
    let mut byte = [0];
    while stream.read(&mut byte)? > 0 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// The margin of a token's latency: a floor whose tail is beyond it hides what matters.
const MARGIN_NS: u64 = 1_000_000;

/// Judges the round trips.
pub fn loopback(round_trips: &io::Result<Histogram<u64>>) -> Finding {
    const NAME: &str = "loopback";
    let round_trips = match round_trips {
        Ok(round_trips) if !round_trips.is_empty() => round_trips,
        Ok(_) => return broken(NAME, "no byte came back in time"),
        Err(error) => return broken(NAME, &format!("a byte cannot be sent over TCP: {error}")),
    };
    let [p50, p99] = [0.5, 0.99].map(|q| round_trips.value_at_quantile(q));
    let us = |ns: u64| ns as f64 / 1e3;
    let found = format!(
        "a byte there and back over raw TCP takes {:.0} µs at the p50, {:.0} µs at the p99",
        us(p50),
        us(p99)
    );
    if p99 <= MARGIN_NS {
        return Finding::fine(NAME, found);
    }
    Finding::new(
        NAME,
        Grade::WorthKnowing,
        format!("{found}: its tail alone is more than the margin of a token's latency"),
        "Trust medians more than tails here, and look for what else is on these cores.",
    )
}

fn broken(name: &'static str, found: &str) -> Finding {
    let remedy = "Look at firewall rules for the loopback interface, and whether it is up.";
    Finding::new(name, Grade::Bad, found, remedy)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_clock_that_is_dear_or_coarse_is_bad() {
        let grade = |cost_ns, step_ns| clock_cost(ClockReading { cost_ns, step_ns }).grade;
        assert_eq!(grade(30.0, 20), Grade::Fine);
        assert_eq!(grade(1_500.0, 20), Grade::Bad);
        assert_eq!(grade(30.0, 4_000_000), Grade::Bad);
        let reading = read_clock();
        assert!(reading.cost_ns > 0.0 && reading.step_ns < u64::MAX);
    }

    #[test]
    fn others_at_work_and_stolen_time_are_told_apart() {
        let grades = |busy_cores, stolen| {
            let seen = Others { busy_cores, stolen };
            let findings = others(Some(seen), 2);
            [findings[0].grade, findings[1].grade]
        };
        assert_eq!(grades(0.04, 0.0), [Grade::Fine, Grade::Fine]);
        assert_eq!(
            grades(0.2, 0.02),
            [Grade::WorthKnowing, Grade::WorthKnowing]
        );
        assert_eq!(grades(0.6, 0.0), [Grade::Bad, Grade::Fine]);
        assert_eq!(grades(0.0, 0.06), [Grade::Fine, Grade::Bad]);
        assert_eq!(others(None, 2).len(), 1);
    }

    #[test]
    fn no_more_cores_are_busy_than_were_watched() {
        let allowed = affinity::cores().unwrap();
        let site = Site {
            server_binary: PathBuf::new(),
            directory: PathBuf::new(),
            server_cores: allowed[..1].to_vec(),
            generator_cores: Vec::new(),
        };
        let seen = watch_others(&site, &allowed).unwrap();
        let cores = 0.0..=allowed.len() as f64;
        assert!(cores.contains(&seen.busy_cores), "{seen:?}");
        assert!((0.0..=1.0).contains(&seen.stolen), "{seen:?}");
        assert_eq!(watch_others(&site, &[100_000]), None);
    }

    #[test]
    fn bytes_come_back_and_are_timed() {
        let site = Site {
            server_binary: PathBuf::new(),
            directory: PathBuf::new(),
            server_cores: Vec::new(),
            generator_cores: Vec::new(),
        };
        let round_trips = ping_pong(&site);
        let finding = loopback(&round_trips);
        assert!(finding.found.contains("µs at the p99"), "{finding:?}");
        assert_eq!(loopback(&Ok(histogram())).grade, Grade::Bad);
        assert_eq!(
            loopback(&Err(io::ErrorKind::TimedOut.into())).grade,
            Grade::Bad
        );
        let mut slow = histogram();
        slow.saturating_record(5_000_000);
        assert_eq!(loopback(&Ok(slow)).grade, Grade::WorthKnowing);
    }
}

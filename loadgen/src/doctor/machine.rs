//! Cores, clock, limits and settings of the machine, judged.

use std::io;

use pushbench_server::affinity;

use super::{Finding, Grade};
use crate::{bench::Site, plan};

/// Whether server and generator each have a core.
pub(super) fn cores(allowed: &[usize], site: &Site, one_physical_core: bool) -> Finding {
    const NAME: &str = "cores";
    let count = allowed.len();
    let ([server, ..], [generator, ..]) = (&site.server_cores[..], &site.generator_cores[..])
    else {
        return Finding::new(
            NAME,
            Grade::Bad,
            "one core only: server and generator take turns on it, latency is what they wait, and trials in \
             which they wait for long are invalid",
            "Use a machine, or an allowance, of two cores or more.",
        );
    };
    let found = format!("{count} allowed; server on core {server}, generator on core {generator}");
    if one_physical_core {
        return Finding::new(
            NAME,
            Grade::WorthKnowing,
            format!("{found}, which are two threads of one physical core and share its units"),
            "Allow threads of two physical cores, with `taskset` or the container's cpuset, or turn SMT off.",
        );
    }
    Finding::fine(NAME, found)
}

/// Pins a thread of its own to each of the site's sets of cores; what is read back must be what was asked.
pub(super) fn pin_and_read_back(site: &Site) -> io::Result<()> {
    let sets = [site.server_cores.clone(), site.generator_cores.clone()];
    for set in sets.into_iter().filter(|set| !set.is_empty()) {
        // The thread ends with it, and this one keeps its cores.
        let pinned = std::thread::spawn(move || affinity::pin(&set)).join();
        pinned
            .unwrap_or_else(|_| Err(io::Error::other("the thread that was to be pinned died")))?;
    }
    Ok(())
}

pub(super) fn pinning(read_back: &io::Result<()>) -> Finding {
    const NAME: &str = "pinning";
    match read_back {
        Ok(()) => Finding::fine(
            NAME,
            "threads stay on the cores they are given, as read back",
        ),
        Err(error) => Finding::new(
            NAME,
            Grade::Bad,
            error.to_string(),
            "Let this process choose among its cores: look at the container's cpuset and seccomp rules for \
             sched_setaffinity.",
        ),
    }
}

pub(super) fn clock(source: Option<&str>, available: &[String]) -> Finding {
    const NAME: &str = "clock";
    let Some(source) = source else {
        return Finding::new(
            NAME,
            Grade::WorthKnowing,
            "the kernel does not say which clock it reads",
            "Look at what a reading costs, below; more than 1 µs would add to every message.",
        );
    };
    let found = format!("the time is read from {source}");
    match source {
        // Read in user space, in tens of nanoseconds.
        "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => {
            Finding::fine(NAME, found)
        }
        // Read over a bus, in a microsecond or several, by a system call.
        "hpet" | "acpi_pm" | "jiffies" => {
            let better = ["tsc", "kvm-clock"]
                .into_iter()
                .find(|better| available.iter().any(|source| source == better));
            let remedy = match better {
                Some(better) => format!("As root, write `{better}` to the clock source's current_clocksource in /sys."),
                None => "Find in the kernel's log why it distrusts the processor's counter, or use another machine.".to_owned(),
            };
            Finding::new(
                NAME,
                Grade::Bad,
                format!("{found}, which is slow to read"),
                remedy,
            )
        }
        _ => Finding::new(
            NAME,
            Grade::WorthKnowing,
            format!("{found}, which is not known here"),
            "Look at what a reading costs, below; more than 1 µs would add to every message.",
        ),
    }
}

pub(super) fn open_files(connections: u64) -> Finding {
    const NAME: &str = "open_files";
    let of = |plan: plan::Plan| u64::from(plan.connections());
    let found = format!("enough for {connections} connections");
    let remedy = "Raise the limit before the start, with `ulimit -Hn` and `ulimit -Sn` as root or LimitNOFILE in a service.";
    if connections < of(plan::quick()) {
        let found = format!("{found}, fewer than the quick plan holds");
        return Finding::new(NAME, Grade::Bad, found, remedy);
    }
    if connections < of(plan::full()) {
        let found = format!("{found}, fewer than the full plan holds");
        return Finding::new(NAME, Grade::WorthKnowing, found, remedy);
    }
    Finding::fine(NAME, found)
}

/// All connections of a run go from one address to one address and port, so each takes a port.
pub(super) fn ports(range: Option<(u16, u16)>) -> Finding {
    const NAME: &str = "ports";
    let Some((first, last)) = range else {
        return Finding::new(
            NAME,
            Grade::WorthKnowing,
            "the kernel does not say which ports it gives out",
            "Expect failures to connect where a plan holds more than 28,000 connections, Linux's default.",
        );
    };
    let count = u32::from(last.saturating_sub(first)) + 1;
    let found = format!("{first} to {last}, enough for {count} connections to a server");
    if count < plan::full().connections() {
        let remedy = "Widen net.ipv4.ip_local_port_range, as root with `sysctl`.";
        return Finding::new(NAME, Grade::WorthKnowing, found, remedy);
    }
    Finding::fine(NAME, found)
}

/// Loopback loses nothing, so congestion control hardly matters there; on a link it does.
pub(super) fn congestion(control: Option<&str>) -> Finding {
    const NAME: &str = "congestion_control";
    match control {
        Some(control @ ("cubic" | "reno")) => Finding::fine(NAME, control),
        Some(control) => Finding::new(
            NAME,
            Grade::WorthKnowing,
            format!("{control}, not Linux's own default, cubic; it may pace what it sends"),
            "Hold absolute figures only against those of machines with the same congestion control, or set \
             net.ipv4.tcp_congestion_control.",
        ),
        None => Finding::new(
            NAME,
            Grade::WorthKnowing,
            "the kernel does not say which",
            "Note it beside the figures if you know it.",
        ),
    }
}

pub(super) fn frequency(governors: &[String], turbo: Option<bool>) -> Finding {
    const NAME: &str = "frequency";
    let turbo = match turbo {
        Some(true) => ", turbo on",
        Some(false) => ", turbo off",
        None => "",
    };
    if governors.is_empty() {
        let found = format!("the kernel does not set it, as in most virtual machines{turbo}");
        return Finding::fine(NAME, found);
    }
    let mut distinct = governors.to_vec();
    distinct.sort();
    distinct.dedup();
    let found = format!("governor {}{turbo}", distinct.join(" and "));
    if distinct == ["performance"] {
        return Finding::fine(NAME, found);
    }
    Finding::new(
        NAME,
        Grade::WorthKnowing,
        format!("{found}: the cores' speed follows their load, and so do times"),
        "As root, set the governor to performance, for example with `cpupower frequency-set -g performance`.",
    )
}

/// Half of a core at work for others is as much as the effects that are looked for.
pub(super) const BUSY_CORES: f64 = 0.5;

pub(super) fn load(one_minute: Option<f32>) -> Finding {
    const NAME: &str = "load";
    match one_minute {
        Some(load) if f64::from(load) > BUSY_CORES => Finding::new(
            NAME,
            Grade::WorthKnowing,
            format!("other programs are busy (load average {load:.1})"),
            "End them, or expect a high noise floor.",
        ),
        Some(load) => Finding::fine(NAME, format!("load average {load:.1}")),
        None => Finding::new(
            NAME,
            Grade::WorthKnowing,
            "the kernel does not say how busy it is",
            "Make sure that nothing else runs.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn site(server: &[usize], generator: &[usize]) -> Site {
        Site {
            server_binary: PathBuf::new(),
            directory: PathBuf::new(),
            server_cores: server.to_vec(),
            generator_cores: generator.to_vec(),
        }
    }

    #[test]
    fn each_needs_a_core_of_its_own() {
        let grade = |site: &Site, mates| cores(&[0, 1], site, mates).grade;
        assert_eq!(grade(&site(&[0], &[1]), false), Grade::Fine);
        assert_eq!(grade(&site(&[0], &[1]), true), Grade::WorthKnowing);
        assert_eq!(grade(&site(&[], &[]), false), Grade::Bad);
    }

    #[test]
    fn pinning_is_what_is_read_back() {
        let allowed = affinity::cores().unwrap();
        let (first, last) = (allowed[0], *allowed.last().unwrap());
        let works = pin_and_read_back(&site(&[first], &[last]));
        assert_eq!(pinning(&works).grade, Grade::Fine);
        assert_eq!(
            affinity::cores().unwrap(),
            allowed,
            "this thread is not moved"
        );
        let fails = pin_and_read_back(&site(&[usize::MAX], &[last]));
        assert_eq!(pinning(&fails).grade, Grade::Bad);
    }

    #[test]
    fn a_clock_behind_a_bus_is_bad_and_the_remedy_names_a_better_one() {
        let available = ["hpet".to_owned(), "tsc".to_owned()];
        for good in ["tsc", "kvm-clock"] {
            assert_eq!(clock(Some(good), &available).grade, Grade::Fine);
        }
        let slow = clock(Some("hpet"), &available);
        assert!(
            slow.grade == Grade::Bad && slow.remedy.contains("`tsc`"),
            "{slow:?}"
        );
        assert!(!clock(Some("acpi_pm"), &[]).remedy.contains('`'));
        assert_eq!(clock(Some("sundial"), &[]).grade, Grade::WorthKnowing);
        assert_eq!(clock(None, &[]).grade, Grade::WorthKnowing);
    }

    #[test]
    fn limits_are_held_against_what_the_plans_open() {
        let full = u64::from(plan::full().connections());
        assert_eq!(open_files(full).grade, Grade::Fine);
        assert_eq!(open_files(full - 1).grade, Grade::WorthKnowing);
        assert_eq!(open_files(100).grade, Grade::Bad);
        assert_eq!(ports(Some((32_768, 60_999))).grade, Grade::Fine);
        assert!(
            ports(Some((32_768, 60_999)))
                .found
                .contains("28232 connections")
        );
        assert_eq!(ports(Some((60_000, 60_999))).grade, Grade::WorthKnowing);
    }

    #[test]
    fn settings_that_move_figures_are_said() {
        assert_eq!(congestion(Some("cubic")).grade, Grade::Fine);
        assert_eq!(congestion(Some("bbr")).grade, Grade::WorthKnowing);
        let governors = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert_eq!(frequency(&[], None).grade, Grade::Fine);
        assert_eq!(
            frequency(&governors(&["performance"; 2]), None).grade,
            Grade::Fine
        );
        let mixed = frequency(&governors(&["powersave", "performance"]), Some(true));
        assert!(mixed.grade == Grade::WorthKnowing && mixed.found.contains("turbo on"));
        assert_eq!(load(Some(0.4)).grade, Grade::Fine);
        assert_eq!(load(Some(0.6)).grade, Grade::WorthKnowing);
    }
}

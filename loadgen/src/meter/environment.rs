//! The machine and the program a run was made with: what a reader needs to judge its figures, and nothing
//! that says whose machine it was (no host, user or path).

use std::fs;

use procfs::{CpuInfo, Current, CurrentSI, KernelStats, LoadAverage, Meminfo};
use pushbench_reports::record::Facts;
use pushbench_server::affinity;

use super::limits::open_files;

/// Facts of program and machine. Those that say `before` are of the moment of the call: call it before
/// the first trial. What cannot be read says `unknown`.
pub fn environment() -> Facts {
    let mut facts = Facts::new();
    program(&mut facts);
    machine(&mut facts);
    settings(&mut facts);
    busyness(&mut facts);
    facts
}

/// From the build script: it knows, and the source cannot.
fn program(facts: &mut Facts) {
    insert(facts, "pushbench", Some(env!("CARGO_PKG_VERSION")));
    insert(facts, "commit", option_env!("PUSHBENCH_COMMIT"));
    insert(facts, "build_profile", option_env!("PUSHBENCH_PROFILE"));
    insert(facts, "rustc", option_env!("PUSHBENCH_RUSTC"));
    for library in option_env!("PUSHBENCH_LIBRARIES")
        .unwrap_or_default()
        .split(' ')
    {
        if let Some((name, version)) = library.split_once('=') {
            insert(facts, name, Some(version));
        }
    }
}

fn machine(facts: &mut Facts) {
    let kernel = rustix::system::uname();
    let kernel = [kernel.sysname(), kernel.release(), kernel.machine()]
        .map(|part| part.to_string_lossy().into_owned())
        .join(" ");
    insert(facts, "kernel", Some(kernel));
    let cpus = CpuInfo::current().ok();
    let model = cpus.as_ref().and_then(|cpus| cpus.model_name(0));
    insert(facts, "cpu", model);
    insert(facts, "cores", cpus.as_ref().map(CpuInfo::num_cores));
    let allowed = affinity::cores().ok().map(|cores| cores.len());
    insert(facts, "cores_allowed", allowed);
    let memory = Meminfo::current()
        .ok()
        .map(|meminfo| gib(meminfo.mem_total));
    insert(facts, "memory_gib", memory);
}

fn settings(facts: &mut Facts) {
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    insert(facts, "clock_source", line_of(clock));
    let congestion = "/proc/sys/net/ipv4/tcp_congestion_control";
    insert(facts, "congestion_control", line_of(congestion));
    let limits = open_files();
    insert(facts, "open_files_soft", Some(limits.soft));
    insert(facts, "open_files_hard", Some(limits.hard));
}

/// A machine that is busy before a run starts, or shared with others, is measured along.
fn busyness(facts: &mut Facts) {
    let load = LoadAverage::current()
        .ok()
        .map(|load| format!("{:.2}", load.one));
    insert(facts, "load_1min_before", load);
    let total = KernelStats::current().ok().map(|stats| stats.total);
    let steal = total.and_then(|cpu| {
        let steal = cpu.steal?;
        // Guest time is counted in user and nice already (proc_stat(5)).
        let all = cpu.user
            + cpu.nice
            + cpu.system
            + cpu.idle
            + cpu.iowait?
            + cpu.irq?
            + cpu.softirq?
            + steal;
        Some(format!("{:.2}", 100.0 * steal as f64 / all.max(1) as f64))
    });
    insert(facts, "steal_since_boot_before_percent", steal);
}

fn insert(facts: &mut Facts, name: &str, value: Option<impl ToString>) {
    let value = value
        .map(|value| value.to_string().trim().to_owned())
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| "unknown".to_owned());
    facts.insert(name.to_owned(), value);
}

fn line_of(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_program_machine_and_settings() {
        let facts = environment();
        let known = |name: &str| {
            let value = facts
                .get(name)
                .unwrap_or_else(|| panic!("no {name}: {facts:?}"));
            assert_ne!(value, "unknown", "{name}");
            value
        };
        assert_eq!(known("pushbench"), env!("CARGO_PKG_VERSION"));
        for library in ["axum", "hyper", "tokio", "tokio-tungstenite"] {
            assert!(known(library).starts_with(|first: char| first.is_ascii_digit()));
        }
        assert!(known("rustc").starts_with("rustc "));
        assert!(known("kernel").starts_with("Linux "));
        assert!(known("cores").parse::<usize>().unwrap() > 0);
        assert!(known("memory_gib").parse::<f64>().unwrap() > 0.0);
        for name in [
            "build_profile",
            "open_files_soft",
            "open_files_hard",
            "load_1min_before",
        ] {
            known(name);
        }
        for name in ["commit", "cpu", "clock_source", "congestion_control"] {
            assert!(facts.contains_key(name), "{name}");
        }
    }

    #[test]
    fn does_not_say_whose_machine_it_is() {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        for (name, value) in environment() {
            assert!(
                !value.contains("/home/") && !value.starts_with('/'),
                "{name}: {value}"
            );
            assert!(
                !value.split_whitespace().any(|word| word == host),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let mut facts = Facts::new();
        insert(&mut facts, "missing", line_of("/proc/no-such-file"));
        insert(&mut facts, "line", Some("tsc\n"));
        assert_eq!(facts["missing"], "unknown");
        assert_eq!(facts["line"], "tsc");
    }
}

//! What the kernel says of the machine's cores, clock, ports and frequency, and how busy it is as a whole.

use std::fs;

use procfs::{CurrentSI, KernelStats};

/// The clock that the kernel reads the time from, such as `tsc`.
pub fn clock_source() -> Option<String> {
    line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
}

/// Those it could be told to read instead.
pub fn clock_sources() -> Vec<String> {
    words("/sys/devices/system/clocksource/clocksource0/available_clocksource")
}

/// Hardware threads of the physical core that this one is a thread of, itself among them.
pub fn threads_of_core(core: usize) -> Option<Vec<usize>> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    listed(&line(&path)?)
}

/// The frequency governor of a core; none where the kernel does not set its frequency.
pub fn governor(core: usize) -> Option<String> {
    line(&format!(
        "/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"
    ))
}

/// Whether cores may run above their nominal frequency; none where the kernel does not tell.
pub fn turbo() -> Option<bool> {
    let intel = line("/sys/devices/system/cpu/intel_pstate/no_turbo").map(|off| off == "0");
    intel.or_else(|| line("/sys/devices/system/cpu/cpufreq/boost").map(|on| on == "1"))
}

/// First and last port that a connection may be given at its client's end.
pub fn ephemeral_ports() -> Option<(u16, u16)> {
    match words("/proc/sys/net/ipv4/ip_local_port_range").as_slice() {
        [first, last] => Some((first.parse().ok()?, last.parse().ok()?)),
        _ => None,
    }
}

/// The default congestion control of TCP, such as `cubic`.
pub fn congestion_control() -> Option<String> {
    line("/proc/sys/net/ipv4/tcp_congestion_control")
}

/// Whether the kernel can delay and lose packets on request: its module `sch_netem` is loaded, built in, or
/// there to be loaded.
pub fn netem() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let lists = ["modules.dep", "modules.builtin"];
    fs::metadata("/sys/module/sch_netem").is_ok()
        || lists.into_iter().any(|list| {
            fs::read_to_string(format!("/lib/modules/{release}/{list}"))
                .is_ok_and(|modules| modules.contains("/sch_netem.ko"))
        })
}

/// Time of the whole machine since its start, over all its cores, in ticks; only the difference of two
/// moments means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// At work, for whomever.
    pub busy: u64,
    /// Idle, or waiting for a disk.
    pub idle: u64,
    /// Withheld by the hypervisor.
    pub stolen: u64,
}

impl Times {
    /// Reads them; none where the kernel does not say.
    pub fn now() -> Option<Self> {
        let total = KernelStats::current().ok()?.total;
        Some(Self {
            // Guest time is counted in user and nice already (proc_stat(5)).
            busy: total.user
                + total.nice
                + total.system
                + total.irq.unwrap_or(0)
                + total.softirq.unwrap_or(0),
            idle: total.idle + total.iowait.unwrap_or(0),
            stolen: total.steal.unwrap_or(0),
        })
    }

    /// Shares of all cores' time since an earlier reading: at work, and withheld. None where no tick
    /// passed.
    pub fn since(self, earlier: Self) -> Option<(f64, f64)> {
        let busy = self.busy.saturating_sub(earlier.busy);
        let idle = self.idle.saturating_sub(earlier.idle);
        let stolen = self.stolen.saturating_sub(earlier.stolen);
        let all = busy + idle + stolen;
        let share = |ticks: u64| ticks as f64 / all as f64;
        (all > 0).then(|| (share(busy), share(stolen)))
    }
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn words(path: &str) -> Vec<String> {
    let line = line(path).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

/// A list as the kernel writes it: `0-3,8`.
fn listed(text: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(listed("3"), Some(vec![3]));
        assert_eq!(listed("0-2,8,10-11"), Some(vec![0, 1, 2, 8, 10, 11]));
        assert_eq!(listed("none"), None);
    }

    #[test]
    fn shares_are_of_all_that_passed() {
        let times = |busy, idle, stolen| Times { busy, idle, stolen };
        let shares = times(130, 160, 10).since(times(100, 100, 0));
        assert_eq!(shares, Some((0.3, 0.1)));
        assert_eq!(times(1, 1, 1).since(times(1, 1, 1)), None);
    }

    #[test]
    fn what_every_linux_tells_is_read() {
        assert!(Times::now().is_some());
        let (first, last) = ephemeral_ports().unwrap();
        assert!(first < last);
    }
}

//! What the kernel says of the machine's cores, clock, ports and frequency, and how busy it is as a whole.

use std::fs;

use super::Unreadable;

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

/// The default congestion control, and another that any process may choose; none where there is but one.
pub fn congestion_controls() -> Option<[String; 2]> {
    let own = congestion_control()?;
    let other = other_of(
        &own,
        words("/proc/sys/net/ipv4/tcp_allowed_congestion_control"),
    )?;
    Some([own, other])
}

/// Cubic, which most servers have, where it is another; else the first that is.
fn other_of(own: &str, offered: Vec<String>) -> Option<String> {
    let mut others: Vec<_> = offered.into_iter().filter(|name| name != own).collect();
    // Stable: what comes first otherwise stays first.
    others.sort_by_key(|name| name != "cubic");
    others.into_iter().next()
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

/// How some of the machine's cores spent their time, in the kernel's ticks of usually 10 ms, over all of
/// them; only the difference of two moments means something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    busy: u64,
    idle: u64,
    stolen: u64,
}

impl Times {
    /// Since the machine's start. The other cores of a large machine are of no interest: what the
    /// hypervisor withholds of them is nothing that we would have used.
    ///
    /// # Errors
    /// When the kernel does not say, or not of one of them.
    pub fn of(cores: &[usize]) -> Result<Self, Unreadable> {
        let text = fs::read_to_string(STAT).map_err(|error| Unreadable::new(STAT, error))?;
        let mut all = Self::default();
        for core in cores {
            let missing = || Unreadable::new(STAT, format!("it says nothing of core {core}"));
            all += parsed(&text, *core).ok_or_else(missing)?;
        }
        Ok(all)
    }

    /// What passed since an earlier reading of the same cores.
    pub fn since(self, earlier: Self) -> Self {
        // The kernel's guess may go back a tick.
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            idle: self.idle.saturating_sub(earlier.idle),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }

    /// Share of the cores' time at work, for whomever; 0 of no time.
    pub fn busy_share(self) -> f64 {
        self.share(self.busy)
    }

    /// Share of `elapsed_ns` on that many cores in which they were neither idle nor at work for those who
    /// used `own_ns` of it. Idle time is what the kernel measures as a core goes to sleep and wakes; who
    /// was at work it samples at its ticks, which a load with a period of its own may always meet, or never.
    pub fn others_share(self, cores: usize, elapsed_ns: u64, own_ns: u64) -> f64 {
        let all_ns = elapsed_ns * cores as u64;
        let known_ns = (self.idle + self.stolen) * TICK_NS + own_ns;
        all_ns.saturating_sub(known_ns) as f64 / all_ns.max(1) as f64
    }

    /// Share of the cores' time that the hypervisor withheld; 0 of no time, and where there is no
    /// hypervisor that tells.
    pub fn stolen_share(self) -> f64 {
        self.share(self.stolen)
    }

    /// Made up, for tests of what is made of it.
    #[cfg(test)]
    pub(crate) fn passed(idle: u64, stolen: u64) -> Self {
        Self {
            idle,
            stolen,
            ..Self::default()
        }
    }

    fn share(self, ticks: u64) -> f64 {
        ticks as f64 / (self.busy + self.idle + self.stolen).max(1) as f64
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.busy += other.busy;
        self.idle += other.idle;
        self.stolen += other.stolen;
    }
}

const STAT: &str = "/proc/stat";

/// `/proc/stat` counts in hundredths of a second whatever the kernel's own ticks are (proc(5), `USER_HZ`).
const TICK_NS: u64 = 10_000_000;

/// A core's line of `/proc/stat` (proc_stat(5)), found by its name: a core that is offline has none.
fn parsed(text: &str, core: usize) -> Option<Times> {
    let name = format!("cpu{core}");
    let mut lines = text.lines().map(str::split_whitespace);
    let words = lines.find_map(|mut words| (words.next() == Some(&name)).then_some(words))?;
    let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    // Guest time, which follows, is counted in user and nice already.
    let [user, nice, system, idle, iowait, irq, softirq, stolen, ..] = ticks[..] else {
        return None;
    };
    Some(Times {
        busy: user + nice + system + irq + softirq,
        idle: idle + iowait,
        stolen,
    })
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
    fn a_cores_line_is_found_by_its_name() {
        let text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 3 40 5 6 7 8 1 2\ncpu10 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
        let times = |busy, idle, stolen| Times { busy, idle, stolen };
        assert_eq!(parsed(text, 1), Some(times(19, 45, 8)));
        assert_eq!(parsed(text, 10), Some(times(5, 2, 1)));
        assert_eq!(parsed(text, 0), None, "offline");
        assert_eq!(parsed("cpu0 1 2 3\n", 0), None, "a kernel that tells less");
    }

    #[test]
    fn another_congestion_control_is_one_that_most_servers_have_or_else_the_first() {
        let other = |own, offered: &[&str]| {
            other_of(own, offered.iter().map(|&name| name.to_owned()).collect())
        };
        assert_eq!(
            other("bbr", &["reno", "bbr", "cubic"]).as_deref(),
            Some("cubic")
        );
        assert_eq!(
            other("cubic", &["cubic", "bbr", "reno"]).as_deref(),
            Some("bbr")
        );
        assert_eq!(other("reno", &["reno"]), None);
    }

    #[test]
    fn shares_are_of_all_that_passed() {
        let times = |busy, idle, stolen| Times { busy, idle, stolen };
        let passed = times(130, 160, 10).since(times(100, 100, 0));
        assert_eq!((passed.busy_share(), passed.stolen_share()), (0.3, 0.1));
        let none = times(1, 1, 1).since(times(1, 1, 2));
        assert_eq!((none.busy_share(), none.stolen_share()), (0.0, 0.0));
    }

    #[test]
    fn what_every_linux_tells_is_read() {
        let cores = pushbench_server::affinity::cores().unwrap();
        assert!(Times::of(&cores).is_ok());
        let error = Times::of(&[100_000]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /proc/stat");
        let (first, last) = ephemeral_ports().unwrap();
        assert!(first < last);
    }
}

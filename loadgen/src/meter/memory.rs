//! Memory: what a process holds in user space, and what the kernel holds for connections.
//!
//! Both are absolute readings; bytes a connection is the slope over several counts of verified live
//! connections, so that whatever else runs on the machine falls into the intercept.

use std::fs;

use procfs::{Current, Meminfo, process::Process};

use super::Unreadable;

/// Memory of one process, in bytes (`/proc/PID/smaps_rollup`, proc_pid_smaps(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserMemory {
    /// Pages that belong to no file: heap and stacks. The figure for the slope, since a connection's
    /// buffers are here and code, read from the file as it is first run, is not.
    pub anonymous_bytes: u64,
    /// Pages written to and shared with nobody: the above, and the program's variables.
    pub private_dirty_bytes: u64,
    /// All resident pages, shared ones divided among those who share them.
    pub pss_bytes: u64,
    /// All resident pages, shared ones in full.
    pub rss_bytes: u64,
}

impl UserMemory {
    /// Reads the memory of a process.
    ///
    /// # Errors
    ///
    /// When there is no such process, it belongs to somebody else, or the kernel is older than Linux
    /// 4.14.
    pub fn of(pid: u32) -> Result<Self, Unreadable> {
        let what = || format!("memory of process {pid}");
        let process = i32::try_from(pid).map_err(|error| Unreadable::new(what(), error))?;
        let rollup = Process::new(process)
            .and_then(|process| process.smaps_rollup())
            .map_err(|error| Unreadable::new(what(), error))?;
        let figure = |name: &str| {
            rollup
                .memory_map_rollup
                .iter()
                .find_map(|map| map.extension.map.get(name).copied())
                .ok_or_else(|| Unreadable::new(what(), format!("smaps_rollup has no {name}")))
        };
        Ok(Self {
            anonymous_bytes: figure("Anonymous")?,
            private_dirty_bytes: figure("Private_Dirty")?,
            pss_bytes: figure("Pss")?,
            rss_bytes: figure("Rss")?,
        })
    }
}

/// Kernel memory of the whole machine that grows with its TCP connections.
///
/// Both ends of a connection are on one machine here and each has a socket: half of the slope is one
/// end's. Measured on Linux 6.18: 7.6 KiB a connection, 3.8 an end. The client's end takes up to 256 bytes
/// more than the server's (its port's bind buckets), which halving spreads over both; that is the same
/// for every transport. Bytes in socket queues are apart: `pushbench_server::sys::socket_memory_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelMemory {
    /// Bytes in use now.
    pub bytes: u64,
    /// Where they were read, to be named in the record.
    pub source: KernelMemorySource,
}

/// How precise a [`KernelMemory`] is. Readings of different sources cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelMemorySource {
    /// The objects that a connection is made of (`/proc/slabinfo`, root only).
    ConnectionObjects,
    /// All slab memory (`/proc/meminfo`): also file caches of whatever else runs.
    AllSlab,
}

impl KernelMemorySource {
    /// The word in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectionObjects => "connection objects in /proc/slabinfo",
            Self::AllSlab => "all slab memory in /proc/meminfo",
        }
    }
}

/// Reads the kernel's memory for connections: by objects where we may, else all slab memory; `None`
/// where the kernel shows neither.
pub fn kernel_memory() -> Option<KernelMemory> {
    let objects = || {
        let slabinfo = fs::read_to_string("/proc/slabinfo").ok()?;
        let dentry_state = fs::read_to_string("/proc/sys/fs/dentry-state").ok()?;
        connection_objects_bytes(&slabinfo, &dentry_state)
    };
    let all_slab = || Some(Meminfo::current().ok()?.slab);
    let reading = |source| move |bytes| KernelMemory { bytes, source };
    objects()
        .map(reading(KernelMemorySource::ConnectionObjects))
        .or_else(|| all_slab().map(reading(KernelMemorySource::AllSlab)))
}

/// Slab caches of which each end of a connection takes objects. The kernel merges caches of the same
/// size, so some of these may go by the name of another and are missed (`eventpoll_pwq`, 64 bytes, on
/// Linux 6.18). Not here: `kmalloc-*` and `lsm_inode_cache`, which everything uses, and request and
/// TIME_WAIT sockets, which are not live connections.
const CONNECTION_CACHES: [&str; 8] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "filp",
    "lsm_file_cache",
    "eventpoll_epi",
    "eventpoll_pwq",
    "ep_head",
];

/// Objects in use × their size. What SLUB keeps in per-core lists counts as in use, which is a constant of
/// a few dozen objects and not of the slope; the padding of slabs, some 6 %, does not count.
fn connection_objects_bytes(slabinfo: &str, dentry_state: &str) -> Option<u64> {
    let mut lines = slabinfo.lines();
    // The columns below are those of this version (slabinfo(5)).
    if !lines.next()?.contains("version: 2.1") {
        return None;
    }
    let caches: Vec<Cache<'_>> = lines.filter_map(Cache::parse).collect();
    let bytes_of = |name: &str| {
        caches
            .iter()
            .find(|cache| cache.name == name)
            .map(|cache| cache.active_objects * cache.object_bytes)
    };
    // Without the sockets themselves it is no measure of connections.
    bytes_of("TCP")?;
    bytes_of("sock_inode_cache")?;
    let dentry_bytes = caches
        .iter()
        .find(|cache| cache.name == "dentry")?
        .object_bytes;

    let named: u64 = CONNECTION_CACHES
        .iter()
        .filter_map(|name| bytes_of(name))
        .sum();
    Some(named + dentries_in_use(dentry_state)? * dentry_bytes)
}

/// Each socket has a dentry, but most dentries are cached names of files: one `find` on the machine would
/// add thousands to the slab. So only those in use count: all minus unused (proc_sys_fs(5)).
fn dentries_in_use(dentry_state: &str) -> Option<u64> {
    let mut numbers = dentry_state.split_whitespace().map(str::parse::<u64>);
    let all = numbers.next()?.ok()?;
    let unused = numbers.next()?.ok()?;
    Some(all.saturating_sub(unused))
}

struct Cache<'a> {
    name: &'a str,
    active_objects: u64,
    object_bytes: u64,
}

impl<'a> Cache<'a> {
    /// `name active_objs num_objs objsize …`; `None` for the line of column titles.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let name = fields.next()?;
        let active_objects = fields.next()?.parse().ok()?;
        let object_bytes = fields.nth(1)?.parse().ok()?;
        Some(Self {
            name,
            active_objects,
            object_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpListener, TcpStream},
        process::Command,
    };

    use super::*;

    #[test]
    fn memory_that_is_touched_is_anonymous_and_dirty() {
        const BYTES: usize = 32 << 20;
        let before = UserMemory::of(std::process::id()).unwrap();
        let touched = std::hint::black_box(vec![1u8; BYTES]);
        let after = UserMemory::of(std::process::id()).unwrap();
        // Other tests allocate and free beside this one, but not megabytes.
        let least = (BYTES / 2) as u64;
        assert!(after.anonymous_bytes >= before.anonymous_bytes + least);
        assert!(after.private_dirty_bytes >= before.private_dirty_bytes + least);
        assert!(after.rss_bytes >= after.pss_bytes);
        assert!(after.pss_bytes >= after.anonymous_bytes);
        drop(touched);
    }

    #[test]
    fn a_process_that_ended_is_an_error_that_names_it() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let error = UserMemory::of(child.id()).unwrap_err().to_string();
        assert!(error.contains(&child.id().to_string()), "{error}");
    }

    const SLABINFO: &str = "\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit>
TCPv6                 13     13   2496   13    8 : tunables    0    0    0 : slabdata      1      1      0
TCP                   26     39   2368   13    8 : tunables    0    0    0 : slabdata      3      3      0
sock_inode_cache      95     95    832   19    4 : tunables    0    0    0 : slabdata      5      5      0
dentry             95860  95928    192   21    1 : tunables    0    0    0 : slabdata   4568   4568      0
kmalloc-512         4314   6624    512   16    2 : tunables    0    0    0 : slabdata    414    414      0
";

    #[test]
    fn objects_of_connections_are_summed_and_cached_names_are_not() {
        let bytes = connection_objects_bytes(SLABINFO, "95928\t95828\t45\t0\t1\t0\n");
        assert_eq!(bytes, Some(13 * 2496 + 26 * 2368 + 95 * 832 + 100 * 192));
    }

    #[test]
    fn another_format_is_not_guessed_at() {
        let later = SLABINFO.replace("2.1", "3.0");
        let no_sockets = SLABINFO.replace("TCP  ", "XTCP ");
        for slabinfo in ["", &later, &no_sockets] {
            assert_eq!(connection_objects_bytes(slabinfo, "2 1 45 0 1 0"), None);
        }
        assert_eq!(connection_objects_bytes(SLABINFO, ""), None);
    }

    #[test]
    fn sockets_show_in_the_kernels_memory() {
        const CONNECTIONS: u64 = 400;
        let Some(before) = kernel_memory() else {
            return;
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let open: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                (
                    TcpStream::connect(address).unwrap(),
                    listener.accept().unwrap(),
                )
            })
            .collect();
        let after = kernel_memory().unwrap();
        assert_eq!(after.source, before.source);
        if after.source == KernelMemorySource::ConnectionObjects {
            // Less than one socket of the two: some objects may come from lists of free ones.
            assert!(after.bytes >= before.bytes + CONNECTIONS * 2_048);
        }
        drop(open);
    }
}

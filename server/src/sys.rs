//! What the safe libraries do not offer: a few kernel calls, one registration, one shared mapping and a
//! global allocator.
//!
//! The one module of the project that may be unsafe. `rustix` wraps neither `TCP_INFO`, `SO_MEMINFO` nor
//! another process's CPU clock; and a file mapping is unsafe by nature, since another process may write
//! to it. Tokio's safe registration of a descriptor is deprecated. An allocator's trait is unsafe, and so is
//! what a child does before it becomes another program.
#![allow(unsafe_code)]

pub mod allocator;

use std::{
    fs::{File, OpenOptions},
    io,
    mem::{self, MaybeUninit},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::Command,
    sync::atomic::AtomicU64,
};

use memmap2::MmapRaw;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::io::{Interest, unix::AsyncFd};

/// What `TCP_INFO` says of a connection (`struct tcp_info`, linux/tcp.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// Segments with data sent (RFC 4898 tcpEStatsPerfDataSegsOut).
    pub segments_out: u32,
    /// Segments with data received.
    pub segments_in: u32,
    /// Payload bytes that the peer has acknowledged.
    pub bytes_acked: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Payload bytes sent, each once however often it was.
    pub bytes_sent: u64,
    /// Segments received, those without data, acknowledgements above all, included.
    pub all_segments_in: u32,
    /// Segments retransmitted.
    pub retransmits: u32,
    /// Smoothed round trip, microseconds.
    pub rtt_us: u32,
}

/// Reads `TCP_INFO`.
///
/// # Errors
/// When it is not a TCP socket, or the kernel is older than Linux 4.19 and does not count bytes sent.
pub fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    let info: RawTcpInfo = socket_option(socket, libc::IPPROTO_TCP, libc::TCP_INFO)
        .map_err(|error| context("read TCP_INFO", error))?;
    Ok(TcpInfo {
        segments_out: info.data_segs_out,
        segments_in: info.data_segs_in,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        bytes_sent: info.bytes_sent.saturating_sub(info.bytes_retrans),
        all_segments_in: info.segs_in,
        retransmits: info.total_retrans,
        rtt_us: info.rtt,
    })
}

/// Bytes of kernel memory that a socket's queues take now (`SO_MEMINFO`): received and not yet read, sent
/// or waiting to be sent until acknowledged, options, and the backlog; with the kernel's overhead.
///
/// Left out are `wmem_alloc`, clones on their way down of what the send queue counts already, and
/// `fwd_alloc`, a reserve in the kernel's books with no memory behind it. The socket itself is slab
/// memory and not in here either.
///
/// # Errors
/// When it is not a socket, or the kernel is older than Linux 4.12.
pub fn socket_memory_bytes(socket: BorrowedFd<'_>) -> io::Result<u64> {
    // Indices of linux/sock_diag.h.
    const RMEM_ALLOC: usize = 0;
    const WMEM_QUEUED: usize = 5;
    const OPTMEM: usize = 6;
    const BACKLOG: usize = 7;
    let values: [u32; 9] = socket_option(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)
        .map_err(|error| context("read SO_MEMINFO", error))?;
    Ok([RMEM_ALLOC, WMEM_QUEUED, OPTMEM, BACKLOG]
        .map(|index| u64::from(values[index]))
        .iter()
        .sum())
}

/// Aborts a TCP connection: the peer gets a reset, and our side `ECONNRESET`.
///
/// A `connect` to `AF_UNSPEC` is Linux's way to dissolve an association (connect(2)); on an established
/// connection it sends RST. It works from any task that can borrow the socket, while closing with a
/// zero linger would need the last owner.
///
/// # Errors
/// When it is not a socket that can be connected.
pub fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    rustix::net::connect_unspec(socket).map_err(|error| context("reset a connection", error.into()))
}

/// Has the kernel kill the child when the thread that starts it ends, however it ends: a program that others
/// wrote does not watch a pipe of ours (PR_SET_PDEATHSIG, prctl(2)).
pub fn end_with_parent(command: &mut Command) {
    let ask = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec only what is async-signal-safe may be called; this is one system call,
    // and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// CPU time that all threads of a process have used, user and system, in nanoseconds.
///
/// # Errors
/// When there is no such process: once its parent has waited for it, there is none.
pub fn process_cpu_ns(pid: u32) -> io::Result<u64> {
    cpu_clock_ns(pid)
        .map_err(|error| context(&format!("read the CPU time of process {pid}"), error))
}

/// Registers a descriptor with the runtime, to learn when it can be read.
///
/// # Errors
/// When the runtime cannot watch it.
pub fn watch_readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, which the `AsyncFd`
    // does only after it has deregistered.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Counters in memory that several processes may share and that outlives each of them.
#[derive(Debug)]
pub struct SharedCounters {
    mapping: MmapRaw,
}

impl SharedCounters {
    /// How many there are.
    pub const CELLS: usize = 128;

    const BYTES: usize = Self::CELLS * mem::size_of::<AtomicU64>();

    /// Creates the file, which must not exist yet, and maps it, all zero.
    ///
    /// An old file is not emptied: whoever still maps it would die of `SIGBUS`.
    ///
    /// # Errors
    /// When the file exists, or cannot be made or mapped.
    pub fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|file| {
                file.set_len(Self::BYTES as u64)?;
                Self::map(&file)
            })
            .map_err(|error| context(&format!("make the counter file {}", path.display()), error))
    }

    /// Maps a file that [`SharedCounters::create`] made.
    ///
    /// # Errors
    /// When the file is missing or has another size.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .and_then(|file| Self::map(&file))
            .map_err(|error| context(&format!("open the counter file {}", path.display()), error))
    }

    fn map(file: &File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        if bytes != Self::BYTES as u64 {
            let reason = format!("it has {bytes} bytes where counters have {}", Self::BYTES);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Self {
            mapping: MmapRaw::map_raw(file)?,
        })
    }

    /// Counters of this process alone.
    ///
    /// # Errors
    /// When the kernel gives no memory.
    pub fn private() -> io::Result<Self> {
        let mapping = memmap2::MmapMut::map_anon(Self::BYTES)
            .map_err(|error| context("map memory for counters", error))?;
        Ok(Self {
            mapping: mapping.into(),
        })
    }

    /// One of them.
    ///
    /// # Panics
    /// When `index` is not below [`SharedCounters::CELLS`].
    pub fn cell(&self, index: usize) -> &AtomicU64 {
        assert!(
            index < Self::CELLS,
            "a counter file has {} cells",
            Self::CELLS
        );
        // SAFETY: the mapping is page-aligned, as long as `BYTES` (checked by `map`), and lives as long
        // as `self`; every process touches the cells only through atomics. The files are temporary
        // ones of a parent and its child, and neither changes their length once they are made.
        unsafe { &*self.mapping.as_ptr().cast::<AtomicU64>().add(index) }
    }
}

fn cpu_clock_ns(pid: u32) -> io::Result<u64> {
    let pid = libc::pid_t::try_from(pid)
        .ok()
        // The kernel takes 0 for the caller.
        .filter(|&pid| pid > 0)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: `clock` is valid for writes.
    let code = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Types for which any bytes are a valid value.
///
/// # Safety
/// Only for integers and structures of them without padding.
unsafe trait PlainData: Copy {}

// SAFETY: integers, and the fields' sizes add up to the structure's (asserted below it).
unsafe impl PlainData for RawTcpInfo {}
// SAFETY: integers.
unsafe impl PlainData for [u32; 9] {}

fn socket_option<T: PlainData>(socket: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, `value` is valid for writes of `length` bytes.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    // An older kernel knows fewer fields; zeros in their place would pass for measurements.
    if (length as usize) < mem::size_of::<T>() {
        let reason = "this kernel is too old to know all that is asked";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    // SAFETY: all bytes are initialised, and by `PlainData` any bytes are a value.
    Ok(unsafe { value.assume_init() })
}

/// Says what was attempted; the kind stays.
fn context(attempt: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {attempt}: {error}"))
}

fn check(code: i32) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `struct tcp_info` up to `tcpi_bytes_retrans`; libc's copy ends earlier.
#[derive(Clone, Copy)]
#[repr(C)]
struct RawTcpInfo {
    /// States, options and window scales.
    head: [u8; 8],
    /// rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets, the four times, pmtu,
    /// rcv_ssthresh.
    before_rtt: [u32; 15],
    rtt: u32,
    /// rttvar, snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt, rcv_space.
    after_rtt: [u32; 7],
    total_retrans: u32,
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
    segs_out: u32,
    segs_in: u32,
    notsent_bytes: u32,
    min_rtt: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    /// busy_time, rwnd_limited, sndbuf_limited.
    limits: [u64; 3],
    /// delivered, delivered_ce.
    delivered: [u32; 2],
    bytes_sent: u64,
    bytes_retrans: u64,
}

const _: () = {
    assert!(mem::offset_of!(RawTcpInfo, total_retrans) == 100);
    assert!(
        mem::size_of::<RawTcpInfo>() == 216,
        "the sum of its fields: no padding"
    );
};

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
        sync::atomic::Ordering,
    };

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn tcp_info_counts_bytes_and_segments() {
        let (mut client, mut server) = pair();
        for _ in 0..3 {
            server.write_all(b"12345").unwrap();
            client.read_exact(&mut [0; 5]).unwrap();
        }
        let sent = tcp_info(server.as_fd()).unwrap();
        assert_eq!((sent.segments_out, sent.bytes_sent), (3, 15));
        let before = sent.all_segments_in;
        client.write_all(b"1").unwrap();
        server.read_exact(&mut [0]).unwrap();
        let heard = tcp_info(server.as_fd()).unwrap();
        assert!(heard.all_segments_in > before, "{heard:?}");
        assert_eq!((heard.segments_in, heard.bytes_received), (1, 1));
        let received = tcp_info(client.as_fd()).unwrap();
        assert_eq!((received.segments_in, received.bytes_received), (3, 15));

        let no_socket = tempfile::tempfile().unwrap();
        let error = tcp_info(no_socket.as_fd()).unwrap_err().to_string();
        assert!(error.contains("cannot read TCP_INFO"), "{error}");
    }

    #[test]
    fn socket_memory_grows_with_what_is_unread() {
        let (client, mut server) = pair();
        assert_eq!(socket_memory_bytes(client.as_fd()).unwrap(), 0);
        server.write_all(&[0; 4_096]).unwrap();
        client.peek(&mut [0]).unwrap();
        assert!(socket_memory_bytes(client.as_fd()).unwrap() >= 4_096);
    }

    #[test]
    fn socket_memory_counts_what_a_peer_that_does_not_read_leaves_queued() {
        let (_client, mut server) = pair();
        server.set_nonblocking(true).unwrap();
        let mut queued = 0;
        while let Ok(bytes) = server.write(&[0; 65_536]) {
            queued += bytes;
        }
        let window = socket_memory_bytes(server.as_fd()).unwrap();
        assert!(window >= 65_536, "{window} of {queued}");
    }

    #[test]
    fn disconnect_resets_both_ends() {
        let (mut client, mut server) = pair();
        disconnect(server.as_fd()).unwrap();
        assert_eq!(
            client.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        assert!(server.read(&mut [0]).is_err());
        assert!(server.write(b"x").is_err());
    }

    #[tokio::test]
    async fn disconnect_wakes_a_task_that_waits_to_read() {
        use tokio::io::AsyncReadExt;

        let (_client, server) = pair();
        let other = server.try_clone().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut server = tokio::net::TcpStream::from_std(server).unwrap();
        let reader = tokio::spawn(async move { server.read_u8().await });
        tokio::task::yield_now().await;
        disconnect(other.as_fd()).unwrap();
        assert!(reader.await.unwrap().is_err());
    }

    #[test]
    fn a_process_uses_cpu_and_a_missing_one_is_an_error() {
        assert!(process_cpu_ns(std::process::id()).unwrap() > 0);
        // One more than the largest pid that Linux gives.
        let error = process_cpu_ns(4_194_305).unwrap_err().to_string();
        assert!(error.contains("CPU time of process 4194305"), "{error}");
        assert!(process_cpu_ns(0).is_err() && process_cpu_ns(u32::MAX).is_err());
    }

    #[test]
    fn counters_are_shared_through_the_file_and_survive_their_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters");
        let parent = SharedCounters::create(&path).unwrap();
        let child = SharedCounters::open(&path).unwrap();
        child.cell(127).fetch_add(7, Ordering::Relaxed);
        drop(child);
        assert_eq!(parent.cell(127).load(Ordering::Relaxed), 7);
        let again = SharedCounters::create(&path).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(parent.cell(127).load(Ordering::Relaxed), 7);

        let short = folder.path().join("short");
        std::fs::write(&short, b"short").unwrap();
        let error = SharedCounters::open(&short).unwrap_err().to_string();
        assert!(error.contains("5 bytes"), "{error}");
    }
}

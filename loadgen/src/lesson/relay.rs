//! A relay of TCP connections between a client and a server: records what crosses it, cuts, and splits.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Bytes that are kept of a direction at most: a lesson's stream is a few thousand.
const RECORDED_BYTES_MAX: usize = 1 << 20;

/// Both directions of everything that crossed.
#[derive(Debug, Default, Clone)]
pub struct Recording {
    /// From the client.
    pub asked: Vec<u8>,
    /// From the server.
    pub answered: Vec<u8>,
}

/// What it does to the connections.
#[derive(Debug, Default, Clone)]
pub struct Manner {
    /// The first of them are cut, each after so many bytes from the server.
    pub cuts: Vec<usize>,
    /// What comes from the server goes on in pieces of so many bytes, with a pause between them.
    pub piece_bytes: Option<usize>,
}

/// Between two pieces: long enough for the first to be read alone.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct State {
    recording: Mutex<Recording>,
    /// Not made yet, the next one last.
    cuts: Mutex<Vec<usize>>,
    cut: AtomicUsize,
    piece_bytes: Option<usize>,
}

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where clients connect.
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Relays to a server.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(server: SocketAddr, manner: Manner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
            .await
            .context("cannot listen on loopback")?;
        let address = listener.local_addr().context("cannot read a port")?;
        let state = Arc::new(State {
            cuts: Mutex::new(manner.cuts.into_iter().rev().collect()),
            piece_bytes: manner.piece_bytes,
            ..State::default()
        });
        let task = tokio::spawn(accept(listener, server, state.clone()));
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// What crossed so far.
    pub fn recording(&self) -> Recording {
        lock(&self.state.recording).clone()
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.state.cut.load(Ordering::Relaxed)
    }
}

/// Ends its connections when it is dropped.
async fn accept(listener: TcpListener, server: SocketAddr, state: Arc<State>) {
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // What has ended need not be kept.
        while open.try_join_next().is_some() {}
        open.spawn(relay(client, server, state.clone()));
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut left = lock(&state.cuts).pop();
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                keep(&mut lock(&state.recording).asked, &up[..count]);
                if server.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                let passes = left.map_or(count, |left| left.min(count));
                keep(&mut lock(&state.recording).answered, &down[..passes]);
                if pass(&mut client, &down[..passes], state.piece_bytes).await.is_err() {
                    return;
                }
                if let Some(left) = &mut left {
                    *left -= passes;
                    if *left == 0 {
                        state.cut.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
    }
}

async fn pass(client: &mut TcpStream, bytes: &[u8], piece: Option<usize>) -> io::Result<()> {
    let Some(piece) = piece else {
        return client.write_all(bytes).await;
    };
    for piece in bytes.chunks(piece.max(1)) {
        client.write_all(piece).await?;
        // Not a measured time.
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = RECORDED_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each connection with the same ten bytes.
    async fn digits() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"0123456789").await;
                let _ = stream.read(&mut [0; 16]).await;
            }
        });
        address
    }

    async fn read(relay: &Relay, want: usize) -> Vec<u8> {
        let mut stream = TcpStream::connect(relay.address).await.unwrap();
        let mut got = Vec::new();
        let mut buffer = [0; 16];
        while got.len() < want {
            match stream.read(&mut buffer).await {
                Ok(count @ 1..) => got.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        // Refused where it was cut.
        let _ = stream.write_all(b"bye").await;
        got
    }

    #[tokio::test]
    async fn connections_are_cut_where_it_was_said_and_the_next_are_whole() {
        let manner = Manner {
            cuts: vec![3, 5],
            piece_bytes: Some(4),
        };
        let relay = Relay::start(digits().await, manner).await.unwrap();
        assert_eq!(read(&relay, 10).await, b"012");
        assert_eq!(read(&relay, 10).await, b"01234");
        assert_eq!(read(&relay, 10).await, b"0123456789");
        assert_eq!(relay.cuts(), 2);
        let answered = relay.recording().answered;
        assert_eq!(answered, b"012012340123456789");
    }
}

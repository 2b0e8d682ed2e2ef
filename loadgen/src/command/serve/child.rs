//! The server of a trial: a process of its own, driven by its parent through a pipe, and gone with it.

use std::{
    io::{self, BufRead},
    os::fd::AsFd,
    process::ExitCode,
};

use anyhow::{Context, ensure};
use pushbench_server::{
    affinity,
    control::{Launch, Ready, attend},
    counters::Counters,
    server::Server,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::unix::pipe::{Receiver, Sender},
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// Serves one trial, or one epoch of it.
///
/// # Errors
/// When the first line is no [`Launch`], or it cannot be followed.
pub fn run() -> anyhow::Result<ExitCode> {
    let launch = launch()?;
    if !launch.cores.is_empty() {
        // Before the runtime: its threads inherit where they may run.
        affinity::pin(&launch.cores)
            .with_context(|| format!("cannot pin to cores {:?}", launch.cores))?;
    }
    let cores = affinity::cores().context("cannot read the cores back")?;
    runtime(cores.len())?.block_on(serve(&launch, cores))?;
    Ok(ExitCode::SUCCESS)
}

/// The parent sends nothing after this line until it is answered, so nothing else is in the buffer.
fn launch() -> anyhow::Result<Launch> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read standard input")?;
    serde_json::from_str(&line)
        .context("serve --child is for `pushbench run`, which says in a first line what to start")
}

/// One worker a core; a thread more than cores would measure the scheduler.
fn runtime(cores: usize) -> anyhow::Result<Runtime> {
    let mut builder = match cores {
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(cores.max(1))
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

async fn serve(launch: &Launch, cores: Vec<usize>) -> anyhow::Result<()> {
    // Ctrl-C in a terminal goes to the children too; this one ends when its parent closes the pipe.
    let _ignored = signal(SignalKind::interrupt()).context("cannot handle signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle signals")?;
    let (commands, mut replies) = pipes()?;
    let counters = Counters::open(&launch.counters).context("cannot open the counters")?;
    let server = Server::bind(launch.config(), counters).await?;
    let ready = Ready {
        endpoint: server.endpoint().context("the server has no address")?,
        cores,
    };
    let mut line = serde_json::to_vec(&ready)?;
    line.push(b'\n');
    replies
        .write_all(&line)
        .await
        .context("cannot answer the parent")?;
    let shared = server.shared();
    server
        .run(async {
            tokio::select! {
                // However the pipe ends, the parent is gone or wants the end.
                _ = attend(shared, BufReader::new(commands), replies) => {}
                _ = terminate.recv() => {}
            }
        })
        .await;
    Ok(())
}

/// Standard input and output as what they are: read through the runtime's own poll, no thread waits for
/// them beside the measured ones.
fn pipes() -> anyhow::Result<(Receiver, Sender)> {
    let input = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot use standard input")?;
    let output = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot use standard output")?;
    let commands = Receiver::from_owned_fd(input);
    let replies = Sender::from_owned_fd(output);
    ensure!(
        commands.is_ok() && replies.is_ok(),
        "serve --child is for `pushbench run`: both ends must be pipes"
    );
    Ok((commands?, replies?))
}

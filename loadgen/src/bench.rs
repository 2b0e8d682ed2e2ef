//! What an experiment works at: the arm's server, a pacer, and the record that fills up.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, V2DeflateSerializer, interval_log::IntervalLogWriterBuilder},
};
use pushbench_reports::record::{Books, Record};
use pushbench_server::{
    affinity,
    contract::{
        endpoint::Endpoint,
        event_id::EventId,
        factors::Proxy,
        transport::{Http, Transport},
    },
    control::{Launch, Stats},
    counters::Counter,
    faults::Faults,
    hub::FEED,
    pacer::Pacer,
    sys,
    tls::Identity,
};

use crate::{
    arm::{Arm, Build},
    client::{Connector, Ended},
    ledger::Ledger,
    outside::{Nginx, OutsideError, Task, Websockets},
    recorder::Recorder,
    server_process::{ServerError, ServerProcess},
    trace::Trace,
    trial::attempt_suffix,
    validity::Evidence,
};

/// Where a trial runs.
#[derive(Debug, Clone)]
pub struct Site {
    /// The program that serves; normally ourselves, another build or a stand-in in tests.
    pub server_binary: PathBuf,
    /// The run's directory.
    pub directory: PathBuf,
    /// Cores of the server; empty leaves the choice to the kernel.
    pub server_cores: Vec<usize>,
    /// Cores of the generator, for the record; the caller has pinned it.
    pub generator_cores: Vec<usize>,
}

impl Site {
    /// Keeps this process, the generator, on its core; what it starts from now on too.
    ///
    /// # Errors
    /// When the kernel does not let it.
    pub fn pin_generator(&self) -> io::Result<()> {
        if self.generator_cores.is_empty() {
            return Ok(());
        }
        affinity::pin(&self.generator_cores)
    }
}

/// One trial's bench.
#[derive(Debug)]
pub struct Bench {
    /// Whose trial it is.
    pub arm: Arm,
    /// The same for all arms of a round.
    pub seed: u64,
    /// Real traffic, if it is replayed.
    pub trace: Option<Arc<Trace>>,
    /// What the server is to do wrong on purpose; nothing but in a calibration.
    pub faults: Faults,
    /// The generator's one pacer.
    pub pacer: Pacer,
    /// Fills up.
    pub record: Record,
    site: Site,
    scratch: tempfile::TempDir,
    epoch: u32,
    /// Of all its servers, if they speak TLS: who trusts the first trusts those that follow.
    identity: Option<Identity>,
}

/// The experiment itself is broken; nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The server does not start or answer.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A program that others wrote is missing, or does not start or answer.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// A connection that every trial needs could not be had.
    #[error("cannot connect {transport} to {server}: {source}")]
    Connect {
        /// Which transport.
        transport: Transport,
        /// Where.
        server: SocketAddr,
        /// Why not.
        source: Ended,
    },
    /// Files, timers.
    #[error("cannot {attempt}: {source}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something that should have happened did not in a very long time.
    #[error("gave up waiting until {0}")]
    Waited(String),
}

impl Broken {
    /// Wraps a system error with what was attempted.
    pub fn io(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            attempt: attempt.into(),
            source,
        }
    }

    /// What ran on the wire instead of the transport, if that is what went wrong.
    pub fn wrong_path(&self) -> Option<String> {
        match self {
            Self::Connect {
                source: wrong @ Ended::WrongPath(_),
                ..
            } => Some(wrong.to_string()),
            _ => None,
        }
    }
}

impl Bench {
    /// A bench for one trial; `record` holds what is known before it.
    ///
    /// # Errors
    /// When there is no place for temporary files or no timer.
    pub fn new(
        arm: Arm,
        seed: u64,
        trace: Option<Arc<Trace>>,
        record: Record,
        site: Site,
    ) -> Result<Self, Broken> {
        let scratch = tempfile::tempdir().map_err(Broken::io("create a temporary directory"))?;
        let pacer = Pacer::start().map_err(Broken::io("start the generator's pacer"))?;
        let identity = arm.factors.tls.then(|| Identity::throwaway(&[]));
        let identity = identity.transpose().map_err(|unusable| {
            Broken::io("give the server an identity")(io::Error::other(unusable))
        })?;
        Ok(Self {
            arm,
            seed,
            trace,
            faults: Faults::default(),
            pacer,
            record,
            site,
            scratch,
            epoch: 0,
            identity,
        })
    }

    /// A second bench for the same arm, with a record of its own that nobody keeps.
    ///
    /// # Errors
    /// As [`Bench::new`].
    pub fn aside(&self) -> Result<Self, Broken> {
        let record = Record {
            metrics: BTreeMap::new(),
            counters: BTreeMap::new(),
            invalid: Vec::new(),
            ..self.record.clone()
        };
        let mut aside = Self::new(
            self.arm.clone(),
            self.seed,
            self.trace.clone(),
            record,
            self.site.clone(),
        )?;
        aside.faults = self.faults.clone();
        Ok(aside)
    }

    /// Starts the arm's server, the next epoch of this trial.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_server(
        &mut self,
        connections: u32,
        retry: Duration,
    ) -> Result<ServerProcess, Broken> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bare = self.arm.transport.capabilities().http == Http::Bare;
        let anywhere = Endpoint {
            http: any,
            bare: bare.then_some(any),
            certificate: None,
        };
        self.start_server_at(&anywhere, connections, retry, None)
            .await
    }

    /// The same at known addresses, after the epoch whose last feed message was `previous`.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_server_at(
        &mut self,
        at: &Endpoint,
        connections: u32,
        retry: Duration,
        previous: Option<EventId>,
    ) -> Result<ServerProcess, Broken> {
        self.epoch += 1;
        let launch = Launch {
            listen: at.http,
            bare: at.bare,
            epoch: self.epoch,
            previous,
            connections: connections as usize,
            retry_ms: retry.as_millis() as u64,
            factors: self.arm.factors.clone(),
            identity: self.identity.clone(),
            cores: self.site.server_cores.clone(),
            counters: self.scratch.path().join(format!("counters-{}", self.epoch)),
            faults: self.faults.clone(),
        };
        let binary = match &self.arm.build {
            Build::Own => &self.site.server_binary,
            Build::Other { binary, .. } => binary,
        };
        let mut server = ServerProcess::start(binary, &launch, self.scratch.path()).await?;
        self.put_between(&mut server, connections).await?;
        self.setting("transport", self.arm.transport.name());
        self.setting("server_cores", format!("{:?}", server.cores()));
        self.setting(
            "generator_cores",
            format!("{:?}", self.site.generator_cores),
        );
        Ok(server)
    }

    /// What the arm's clients connect to this server with.
    pub fn connector(&self, server: &ServerProcess) -> Connector {
        let factors = self.arm.factors.clone();
        Connector::new(self.arm.transport, factors, server.entrance())
    }

    /// Starts the proxy that the arm has in front of its server, if it has one, on the server's cores.
    async fn put_between(
        &mut self,
        server: &mut ServerProcess,
        connections: u32,
    ) -> Result<(), Broken> {
        let level = self.arm.factors.proxy;
        if level == Proxy::None {
            return Ok(());
        }
        let task = Task {
            level,
            server: server.endpoint().http,
            connections,
            cores: &self.site.server_cores,
            directory: self.scratch.path(),
        };
        let front = Nginx::start(&task).await?;
        for (name, value) in front.settings() {
            self.setting(name, value);
        }
        server.put_behind(front);
        Ok(())
    }

    /// Starts the server of the Python package `websockets` in place of ours, and what the arm's clients connect
    /// to it with.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_websockets(&mut self) -> Result<(Websockets, Connector), Broken> {
        let factors = self.arm.factors.clone();
        let (cores, directory) = (&self.site.server_cores, self.scratch.path());
        let server = Websockets::start(factors.compression, cores, directory).await?;
        self.setting("transport", self.arm.transport.name());
        for (name, value) in server.settings() {
            self.setting(name, value);
        }
        let endpoint = Endpoint::from(server.address());
        let connector = Connector::new(self.arm.transport, factors, endpoint);
        Ok((server, connector))
    }

    /// Says something of the trial that figures do not.
    pub fn note(&mut self, note: impl Into<String>) {
        self.record.notes.push(note.into());
    }

    /// The last feed message of a server, dead or alive.
    pub fn last_of_feed(&self, server: &ServerProcess) -> EventId {
        EventId {
            epoch: self.epoch,
            stream: FEED,
            seq: server.counters().read(Counter::FeedSeq),
        }
    }

    /// Notes a figure.
    pub fn metric(&mut self, name: &str, value: impl Into<Option<f64>>) {
        self.record.metrics.insert(name.to_owned(), value.into());
    }

    /// Notes an effective setting.
    pub fn setting(&mut self, name: &str, value: impl Into<String>) {
        self.record.settings.insert(name.to_owned(), value.into());
    }

    /// Says why the trial does not measure what it claims.
    pub fn invalid(&mut self, reason: impl Into<String>) {
        self.record.invalid.push(reason.into());
    }

    /// Has a rule of validity look at a piece of evidence.
    pub fn weigh(&mut self, evidence: &Evidence) {
        self.record.invalid.extend(evidence.reason());
    }

    /// Says so if messages arrived before they were sent: a clock, or a stamp, is wrong.
    pub fn check_clock(&mut self, recorder: &Recorder) {
        self.weigh(&Evidence::Backwards(recorder.backwards));
    }

    /// Counts something of the generator's.
    pub fn count(&mut self, name: &str, count: u64) {
        *self.record.counters.entry(name.to_owned()).or_default() += count;
    }

    /// Writes a histogram as an interval log and notes where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn histogram(&mut self, name: &str, histogram: &Histogram<u64>) -> Result<(), Broken> {
        let Record {
            trial, experiment, ..
        } = &self.record;
        let suffix = attempt_suffix(self.record.attempt);
        let path = format!("histograms/{trial:04}-{experiment}{suffix}-{name}.hlog");
        write_log(&self.site.directory.join(&path), name, histogram)?;
        self.record.histograms.insert(name.to_owned(), path);
        Ok(())
    }

    /// Takes over the server's own account: counters, effective settings, and its histograms since the
    /// last mark, which it returns decoded.
    ///
    /// # Errors
    /// When a histogram cannot be written.
    pub fn take_stats(
        &mut self,
        stats: &Stats,
    ) -> Result<BTreeMap<String, Histogram<u64>>, Broken> {
        for (name, count) in &stats.counters {
            self.count(&format!("server_{name}"), *count);
        }
        self.record.settings.extend(stats.settings.clone());
        let mut histograms = BTreeMap::new();
        for (name, encoded) in &stats.histograms {
            if let Some(histogram) = decode_histogram(encoded) {
                self.histogram(name, &histogram)?;
                histograms.insert(name.clone(), histogram);
            }
        }
        Ok(histograms)
    }

    /// Closes the books: the server's `owed` of each epoch beside what the subscribers saw. A trial
    /// whose books do not balance is invalid.
    pub fn balance<'a>(&mut self, owed: &[u64], ledgers: impl Iterator<Item = &'a Ledger>) {
        let mut books = vec![Books::default(); owed.len()];
        for (epoch, counted) in ledgers.flat_map(Ledger::books) {
            // Epochs count from 1.
            let index = (*epoch as usize).wrapping_sub(1);
            match books.get_mut(index) {
                Some(books) => *books += *counted,
                None => self.weigh(&Evidence::BooksOfNone { epoch: *epoch }),
            }
        }
        for ((books, owed), epoch) in books.iter_mut().zip(owed).zip(1..) {
            books.owed = *owed;
            self.weigh(&Evidence::Books {
                epoch,
                books: *books,
            });
        }
        self.record.books = books;
    }

    /// CPU time that the generator, this process, has used so far, nanoseconds.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn own_cpu_ns() -> Result<u64, Broken> {
        sys::process_cpu_ns(std::process::id()).map_err(Broken::io("read the generator's CPU time"))
    }
}

/// Writes a histogram as an interval log of one interval.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_log(path: &Path, tag: &str, histogram: &Histogram<u64>) -> Result<(), Broken> {
    let failed = || format!("write {}", path.display());
    let mut file = io::BufWriter::new(File::create(path).map_err(Broken::io(failed()))?);
    let mut serializer = V2DeflateSerializer::new();
    let tag = hdrhistogram::serialization::interval_log::Tag::new(tag);
    // A trial is one interval: it starts at 0 and its length is that of the window, in the record.
    let log = IntervalLogWriterBuilder::new().begin_log_with(&mut file, &mut serializer);
    let written = log.and_then(|mut log| {
        log.write_histogram(histogram, Duration::ZERO, Duration::from_secs(1), tag)
            .map_err(|error| io::Error::other(format!("{error:?}")))
    });
    written.map_err(Broken::io(failed()))?;
    io::Write::flush(&mut file).map_err(Broken::io(failed()))
}

fn decode_histogram(encoded: &str) -> Option<Histogram<u64>> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

//! All subscribers of the feed in one trial, and the proof that they are there: a count of live streams
//! that both ends agree on.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pushbench_server::contract::clock::now_ns;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    bench::{Bench, Broken},
    client::Connector,
    recorder::Recorder,
    server_process::ServerProcess,
    subscriber::{Crowd, Outcome, Subscriber},
    validity::Evidence,
    warm_up::{WarmUp, take_median_ns},
};

/// How long all subscribers may take to join or to leave: hundreds of times what they need.
const PATIENCE: Duration = Duration::from_secs(20);

/// Subscribers and what they share.
#[derive(Debug)]
pub struct Audience {
    template: Subscriber,
    subscribers: JoinSet<Outcome>,
    joined: u64,
    strangers: bool,
}

impl Audience {
    /// Nobody yet. `reconnect` makes members come back after a cut.
    pub fn new(bench: &Bench, server: &ServerProcess, reconnect: bool) -> Self {
        Self::of(bench, bench.connector(server), reconnect)
    }

    /// Nobody yet, of whatever server the connector leads to.
    pub fn of(bench: &Bench, connector: Connector, reconnect: bool) -> Self {
        let template = Subscriber {
            connector,
            number: None,
            resume: false,
            reconnect,
            pacer: bench.pacer.clone(),
            recorder: Arc::new(Mutex::new(Recorder::new(0..0))),
            crowd: Arc::new(Crowd::default()),
        };
        Self {
            template,
            subscribers: JoinSet::new(),
            joined: 0,
            strangers: false,
        }
    }

    /// Nobody yet, and those who join will be strangers: the server's books forget them when they
    /// leave, where subscribers with a number would be owed what is published from then on.
    pub fn of_strangers(bench: &Bench, server: &ServerProcess) -> Self {
        Self {
            strangers: true,
            ..Self::new(bench, server, false)
        }
    }

    /// Adds members until there are `count`; `resume` says of a member's number whether it asks for
    /// what it missed. Returns when all are live at both ends; fewer make the trial invalid.
    pub async fn grow(
        &mut self,
        bench: &mut Bench,
        server: &ServerProcess,
        count: u32,
        resume: impl Fn(u64) -> bool,
    ) {
        self.join(count, resume).await;
        self.verify(bench, server, count);
    }

    /// The same without asking whether they are live.
    pub async fn join(&mut self, count: u32, resume: impl Fn(u64) -> bool) {
        while self.joined < u64::from(count) {
            let number = self.joined;
            self.joined += 1;
            let subscriber = Subscriber {
                number: (!self.strangers).then_some(number),
                resume: resume(number),
                connector: self.template.connector.of_another_client(),
                ..self.template.clone()
            };
            self.subscribers.spawn(subscriber.run());
            // Below the listener's backlog, so that nobody's SYN is dropped and retried a second later.
            if self.joined.is_multiple_of(64) {
                let _ = timeout(PATIENCE, self.crowd().reaches(self.joined as usize)).await;
            }
        }
        // Whether it was reached is asked of both ends next.
        let _ = timeout(PATIENCE, self.crowd().reaches(count as usize)).await;
    }

    /// Opens connections and closes them again before the first reading of memory, so that what is allocated
    /// once is. The books forget them.
    ///
    /// # Errors
    /// When the server does not let go of them.
    pub async fn come_and_go(
        bench: &mut Bench,
        server: &mut ServerProcess,
        count: u32,
    ) -> Result<(), Broken> {
        let mut audience = Self::of_strangers(bench, server);
        audience.grow(bench, server, count, |_| false).await;
        drop(audience);
        Ok(server.until_alone().await?)
    }

    /// Watches the feed, which has just begun, until it has settled; when the window opens.
    pub async fn settle(&self, bench: &mut Bench, warm_up: WarmUp) -> u64 {
        let begun_ns = now_ns();
        *self.recorder() = Recorder::new(begun_ns..u64::MAX);
        let median_ns = || take_median_ns(&mut self.recorder());
        let pacer = bench.pacer.clone();
        let warmed = warm_up.watch(&pacer, begun_ns, median_ns).await;
        warmed.report(bench);
        warmed.opens_ns
    }

    /// Holds the client's and the server's count of live streams against what was asked. The server's
    /// is read from the counters it shares: asking for its whole account would have it encode
    /// histograms between the streams and the memory that they are held to cost.
    pub fn verify(&self, bench: &mut Bench, server: &ServerProcess, count: u32) {
        self.hold_against(bench, server.counters().live_streams(), count);
    }

    /// The same against another count of the server's.
    pub fn hold_against(&self, bench: &mut Bench, server: u64, count: u32) {
        if let Some(path) = self.crowd().path() {
            bench.setting("path", path);
        }
        if let Some(streams) = self.template.connector.streams_per_connection() {
            bench.setting("client_streams_per_connection", streams.to_string());
        }
        if let Some(wrong) = self.crowd().wrong_path() {
            // Whatever the counts are, they are not of this transport.
            return bench.invalid(wrong.to_string());
        }
        bench.weigh(&Evidence::Live {
            asked: count.into(),
            clients: self.crowd().live() as u64,
            server,
        });
    }

    /// Who is live, and when that changed.
    pub fn crowd(&self) -> &Arc<Crowd> {
        &self.template.crowd
    }

    /// What was recorded; hold it briefly.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.template
            .recorder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everyone has had the stream's goodbye; what each saw, in no order.
    ///
    /// # Errors
    /// When somebody hangs.
    pub async fn leave(&mut self) -> Result<Vec<Outcome>, Broken> {
        let mut outcomes = Vec::new();
        let all = async {
            while let Some(outcome) = self.subscribers.join_next().await {
                outcomes.extend(outcome.ok());
            }
        };
        let left = timeout(PATIENCE, all).await;
        left.map_err(|_| Broken::Waited("every subscriber had the feed's goodbye".into()))?;
        Ok(outcomes)
    }
}

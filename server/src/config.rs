//! Everything about a server that can be set.

use std::{net::SocketAddr, time::Duration};

use crate::{
    contract::{event_id::EventId, factors::Factors},
    faults::Faults,
    limits::Limits,
    tls::Identity,
};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on; port 0 lets the kernel choose.
    pub listen: Vec<SocketAddr>,
    /// Address of the floors, if they are served: for trials, on loopback.
    pub bare: Option<SocketAddr>,
    /// Bounds.
    pub limits: Limits,
    /// `Origin`s beside our own whose pages may open a WebSocket (`https://example.org`).
    pub allow_origins: Vec<String>,
    /// Names beside `localhost` by which clients may call us in `Host`.
    pub allow_hosts: Vec<String>,
    /// What clients are told to wait before a reconnect.
    pub retry: Duration,
    /// Which start of the server this is, from 1.
    pub epoch: u32,
    /// Last message of the feed in the epoch before.
    pub previous: Option<EventId>,
    /// Messages a second that the feed publishes from the start on; none leaves it silent.
    pub feed_rate: Option<f64>,
    /// The knobs that are compared; the envelope is the feed's.
    pub factors: Factors,
    /// What proves who the server is where `factors.tls` is on; none has it make its own.
    pub identity: Option<Identity>,
    /// From one event of the articles' demo to the next: a second, as published.
    pub articles_period: Duration,
    /// What is done wrong on purpose, for a calibration; none otherwise.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 3000))],
            bare: None,
            limits: Limits::default(),
            allow_origins: Vec::new(),
            allow_hosts: Vec::new(),
            retry: Duration::from_secs(3),
            epoch: 1,
            previous: None,
            feed_rate: None,
            factors: Factors::default(),
            identity: None,
            articles_period: Duration::from_secs(1),
            faults: Faults::default(),
        }
    }
}

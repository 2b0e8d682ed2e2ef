//! What is measured: a server that streams the same messages over server-sent events and WebSocket.

pub mod affinity;
pub mod compat;
pub mod config;
pub mod connection;
pub mod contract;
pub mod control;
pub mod corpus;
pub mod counters;
pub mod faults;
pub mod guard;
pub mod history;
pub mod hub;
pub mod leases;
pub mod limits;
pub mod meters;
pub mod pacer;
pub mod problem;
pub mod progress;
pub mod routes;
pub mod server;
mod serving;
pub mod shared;
pub mod source;
pub mod sys;
pub mod tls;
pub mod transport;
pub mod turns;

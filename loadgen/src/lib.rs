//! How it is measured: plans, trials, clients and meters.

pub mod arm;
pub mod audience;
pub mod bench;
pub mod calibrate;
pub mod chat;
pub mod client;
pub mod command;
pub mod experiment;
pub mod floor;
pub mod ledger;
pub mod meter;
pub mod plan;
pub mod quantity;
pub mod read_lag;
pub mod recorder;
pub mod refusal;
pub mod server_process;
pub mod settle;
pub mod sse;
pub mod subscriber;
pub mod trace;
pub mod trial;
pub mod validity;
pub mod warm_up;
pub mod window;
pub mod workload;

//! Published claims on trial: what somebody said, held against the records that are there.
//!
//! Not to be taken for the reasons of a plan ([`crate::record::Claim`]), on which one run's verdicts bear.
//! Here each claim asks for figures of any run, and a rule over their intervals decides; no text does.

mod articles;
mod book;
pub mod claim;
mod elsewhere;
pub mod evidence;
pub mod judged;
mod memory;
mod page;
pub mod phrase;
pub mod rule;
mod sides;
mod time;
mod volume;
mod write;

use serde::Serialize;

use self::claim::Claim;
use self::evidence::{Placed, newest_first};
use self::judged::{Judged, judge};
use self::rule::Verdict;

pub use self::book::verdict as in_words;
pub use self::write::{PublishError, Published, publish};

/// Version of `claims.json`.
pub const FORMAT: u32 = 1;

/// All claims with their verdicts: `claims.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdicts {
    /// [`FORMAT`].
    pub format: u32,
    /// The runs that were looked at, the newest first.
    pub runs: Vec<Seen>,
    /// In the project's order.
    pub claims: Vec<Judged>,
}

/// A run that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Folder below the directory; empty for that itself.
    pub run: String,
    /// Its plan.
    pub plan: String,
    /// Its start, UTC.
    pub started_at: String,
}

/// Judges every claim by these runs.
pub fn verdicts(mut runs: Vec<Placed>) -> Verdicts {
    newest_first(&mut runs);
    let claims = claims()
        .into_iter()
        .map(|claim| judge(claim, &runs))
        .collect();
    let seen = runs.iter().map(|placed| Seen {
        run: placed.place.clone(),
        plan: placed.run.manifest.plan.name.clone(),
        started_at: placed.run.manifest.started_at.clone(),
    });
    Verdicts {
        format: FORMAT,
        runs: seen.collect(),
        claims,
    }
}

impl Verdicts {
    /// How many claims have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let claims = self.claims.iter();
        claims.filter(|claim| claim.verdict == verdict).count()
    }
}

/// Every claim: the fifteen that were collected, then the articles' own.
pub fn claims() -> Vec<Claim> {
    vec![
        memory::sse_is_lighter(),
        memory::websocket_is_lighter(),
        memory::it_is_the_read_buffer(),
        volume::batches(),
        time::nodelay(),
        time::nginx_buffers(),
        time::a_gateway(),
        elsewhere::openai_websocket(),
        time::warm_is_as_fast(),
        time::the_penalty_is_the_connection(),
        elsewhere::loss(),
        volume::coalescing(),
        volume::brotli(),
        memory::it_is_the_compression(),
        volume::the_order_changes(),
        articles::lighter(),
        articles::faster(),
        articles::reconnects(),
        articles::simpler(),
        articles::six_connections(),
        articles::browsers_constants(),
    ]
}

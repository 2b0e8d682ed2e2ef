//! What a run means: reads the records, estimates effects, decides verdicts, draws charts and writes
//! the page. Knows neither the server nor the load generator.

pub mod accounting;
pub mod effect;
pub mod estimate;
pub mod quantity;
pub mod record;
pub mod sentence;
pub mod statistics;
pub mod verdict;

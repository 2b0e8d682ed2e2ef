//! What a run means: reads the records, estimates effects, decides verdicts, draws charts and writes
//! the page. Knows neither the server nor the load generator.

pub mod effect;
pub mod record;

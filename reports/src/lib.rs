//! What a run means: reads the records, estimates effects, decides verdicts, draws charts and writes
//! the page. Knows neither the server nor the load generator.

pub mod accounting;
pub mod answer;
pub mod attendance;
pub mod calibration;
pub mod chart;
pub mod clients;
pub mod compare;
pub mod dictionary;
pub mod effect;
pub mod estimate;
pub mod histograms;
pub mod judge;
pub mod language;
mod link;
pub mod markdown;
pub mod noise;
pub mod page;
pub mod preface;
pub mod published;
pub mod quantity;
pub mod read;
pub mod record;
mod render;
pub mod screening;
pub mod section;
pub mod sentence;
pub mod settings;
pub mod statistics;
pub mod summary;
pub mod table;
mod trials;
pub mod trials_csv;
pub mod verdict;

pub use calibration::render_calibration;
pub use render::{RenderError, Rendered, render};

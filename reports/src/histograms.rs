//! HdrHistogram interval logs, read and merged by arm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use crate::record::Record;

/// Recorded values, merged over the valid trials of an arm in an experiment; in nanoseconds.
#[derive(Debug, Default)]
pub struct Histograms(BTreeMap<(String, String, String), Histogram<u64>>);

impl Histograms {
    /// The merged histogram; `None` without a valid trial that has it.
    pub fn find(&self, experiment: &str, arm: &str, name: &str) -> Option<&Histogram<u64>> {
        let key = (experiment.to_owned(), arm.to_owned(), name.to_owned());
        self.0.get(&key)
    }

    /// Adds one trial's histogram to its arm's.
    ///
    /// # Errors
    /// A histogram whose range cannot be held by one of this crate.
    pub fn merge(
        &mut self,
        record: &Record,
        name: &str,
        own: &Histogram<u64>,
    ) -> Result<(), String> {
        let key = (
            record.experiment.clone(),
            record.arm.clone(),
            name.to_owned(),
        );
        match self.0.get_mut(&key) {
            Some(sum) => sum.add(own).map_err(|error| error.to_string()),
            None => {
                let mut first = own.clone();
                first.auto(true);
                self.0.insert(key, first);
                Ok(())
            }
        }
    }
}

/// All intervals of one log below `dir`, merged.
///
/// # Errors
/// A path that leaves `dir`, and a log that cannot be read, does not parse or holds no interval.
pub fn read_log(dir: &Path, relative: &str) -> Result<Histogram<u64>, String> {
    let inside = Path::new(relative)
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    if !inside {
        return Err("its path leaves the run's directory".to_owned());
    }
    let log = fs::read(dir.join(relative)).map_err(|error| error.to_string())?;
    let mut sum: Option<Histogram<u64>> = None;
    for entry in IntervalLogIterator::new(&log) {
        let entry = entry.map_err(|error| format!("{error:?}"))?;
        let LogEntry::Interval(interval) = entry else {
            continue;
        };
        let bytes = STANDARD
            .decode(interval.encoded_histogram())
            .map_err(|error| error.to_string())?;
        let own: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| error.to_string())?;
        match &mut sum {
            Some(sum) => sum.add(own).map_err(|error| error.to_string())?,
            None => {
                let mut first = own;
                first.auto(true);
                sum = Some(first);
            }
        }
    }
    sum.ok_or_else(|| "it holds no interval".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        for value in values {
            histogram.record(*value).unwrap();
        }
        histogram
    }

    proptest! {
        #[test]
        fn intervals_of_a_log_add_up(
            first in proptest::collection::vec(0..10_000_000_000_u64, 0..50),
            second in proptest::collection::vec(0..10_000_000_000_u64, 0..50),
        ) {
            let dir = tempfile::TempDir::new().unwrap();
            let mut log = Vec::new();
            let mut serializer = V2DeflateSerializer::new();
            let builder = IntervalLogWriterBuilder::new();
            let mut writer = builder.begin_log_with(&mut log, &mut serializer).unwrap();
            let second_long = Duration::from_secs(1);
            writer.write_histogram(&of(&first), Duration::ZERO, second_long, None).unwrap();
            writer.write_histogram(&of(&second), second_long, second_long, None).unwrap();
            fs::write(dir.path().join("a.hlog"), log).unwrap();
            let all: Vec<u64> = first.into_iter().chain(second).collect();
            prop_assert_eq!(recorded(&read_log(dir.path(), "a.hlog").unwrap()), recorded(&of(&all)));
        }
    }

    fn recorded(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
        let values = histogram.iter_recorded();
        values
            .map(|value| (value.value_iterated_to(), value.count_at_value()))
            .collect()
    }

    proptest! {
        /// However the messages are spread over trials, and whatever range each histogram has.
        #[test]
        fn trials_merged_are_as_one_that_saw_all(
            trials in proptest::collection::vec(
                (proptest::collection::vec(0..60_000_000_000_u64, 0..40), any::<bool>()), 1..6,
            ),
        ) {
            let record = record();
            let mut merged = Histograms::default();
            for (values, fixed) in &trials {
                let mut own = if *fixed {
                    Histogram::new_with_max(60_000_000_000, 3).unwrap()
                } else {
                    Histogram::new(3).unwrap()
                };
                values.iter().for_each(|value| own.record(*value).unwrap());
                merged.merge(&record, "x", &own).unwrap();
            }
            let all: Vec<u64> = trials.into_iter().flat_map(|(values, _)| values).collect();
            // What they recorded: how far each could count is its own.
            prop_assert_eq!(recorded(merged.find("e", "a", "x").unwrap()), recorded(&of(&all)));
            prop_assert!(merged.find("e", "b", "x").is_none());
        }
    }

    fn record() -> Record {
        Record {
            format: crate::record::FORMAT,
            trial: 1,
            experiment: "e".into(),
            arm: "a".into(),
            round: 1,
            attempt: 1,
            started_at: String::new(),
            duration_ms: 0,
            settings: BTreeMap::new(),
            metrics: BTreeMap::new(),
            points: BTreeMap::new(),
            counters: BTreeMap::new(),
            books: Vec::new(),
            histograms: BTreeMap::new(),
            invalid: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_cut_log_is_refused() {
        let dir = tempfile::TempDir::new().unwrap();
        fs::write(dir.path().join("a.hlog"), "0.0,1.0,5.0,HISTFAAAAB4").unwrap();
        assert!(read_log(dir.path(), "a.hlog").is_err());
        assert!(
            read_log(dir.path(), "../a.hlog")
                .unwrap_err()
                .contains("leaves")
        );
    }
}

//! A run's charts as SVG, one file a kind; each draws what the valid trials hold, or nothing.

pub mod axis;
pub mod canvas;
mod dots;
pub(crate) mod frame;
mod percentiles;
mod slope;
mod stack;
pub mod style;
mod timeline;
mod tornado;

use self::canvas::ChartError;
use self::style::{ArmStyle, arm_styles};
use crate::histograms::Histograms;
use crate::language::Language;
use crate::record::{Chart, Experiment, Metric, Plan, Record};
use crate::screening::Screening;

/// What an experiment's charts are drawn from.
pub struct Material<'a> {
    experiment: &'a Experiment,
    arms: Vec<ArmStyle>,
    valid: Vec<&'a Record>,
    histograms: &'a Histograms,
    screening: Option<&'a Screening>,
    pub(crate) language: Language,
}

impl<'a> Material<'a> {
    /// The valid trials of `experiment`, its arms in their colours, and of `screens` its own.
    pub fn new(
        (plan, experiment): (&Plan, &'a Experiment),
        records: &'a [Record],
        histograms: &'a Histograms,
        screens: &'a [Screening],
        language: Language,
    ) -> Self {
        let own =
            |record: &&Record| record.experiment == experiment.name && record.invalid.is_empty();
        Self {
            experiment,
            arms: arm_styles(plan, experiment, language),
            valid: records.iter().filter(own).collect(),
            histograms,
            screening: screens.iter().find(|own| own.experiment == experiment.name),
            language,
        }
    }

    fn of_arm<'b>(&'b self, label: &'b str) -> impl Iterator<Item = &'a Record> + 'b {
        self.valid
            .iter()
            .copied()
            .filter(move |record| record.arm == label)
    }

    fn metric(&self, name: &str) -> Option<&'a Metric> {
        self.experiment
            .metrics
            .iter()
            .find(|metric| metric.name == name)
    }

    /// Finite figures of an arm's trials in the order of the trials.
    fn figures(&self, label: &str, metric: &str) -> Vec<f64> {
        self.of_arm(label)
            .filter_map(|record| record.metrics.get(metric).copied().flatten())
            .filter(|value| value.is_finite())
            .collect()
    }
}

/// The chart as a whole SVG document, or `None` where no valid trial has data for it or it is a table.
///
/// # Errors
/// Whatever plotters reports.
pub fn draw(chart: &Chart, material: &Material<'_>) -> Result<Option<String>, ChartError> {
    match chart {
        Chart::Percentiles {
            title,
            subtitle,
            histogram,
            scale,
            unit,
            ..
        } => percentiles::draw(material, (title, subtitle), histogram, *scale, unit),
        Chart::Dots {
            title,
            subtitle,
            metrics,
            ..
        } => dots::draw(material, (title, subtitle), metrics),
        Chart::Slope {
            title,
            subtitle,
            points,
            x_title,
            y_title,
            scale,
            ..
        } => slope::draw(
            material,
            (title, subtitle),
            points,
            (x_title, y_title),
            *scale,
        ),
        Chart::Timeline {
            title,
            subtitle,
            points,
            y_title,
            marks,
            mark_titles,
            ..
        } => timeline::draw(
            material,
            (title, subtitle),
            (points, y_title),
            (marks, mark_titles),
        ),
        Chart::Tornado {
            title,
            subtitle,
            metric,
            ..
        } => tornado::draw(material, (title, subtitle), metric),
        Chart::Stack {
            title,
            subtitle,
            parts,
            ..
        } => stack::draw(material, (title, subtitle), parts),
        Chart::Multiples { .. } => Ok(None),
    }
}

/// `user_bytes_idle` as `user bytes idle`: a key where no title is given.
fn spaced(key: &str) -> String {
    key.replace('_', " ")
}

//! An experiment's figures: drawn charts, tables of products, and what had no data.

use crate::chart::canvas::ChartError;
use crate::chart::{Material, draw};
use crate::language::Language;
use crate::quantity::{number, quantity};
use crate::read::{Run, file_name};
use crate::record::{Arm, Chart, Experiment, Plan, Record};
use crate::screening::Screening;

/// What stands in a chart's place.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A drawn chart.
    Drawn {
        /// Below the run's directory.
        path: String,
        /// Said in the chart; here for text.
        title: String,
        /// How to read it.
        caption: String,
        /// The whole SVG document.
        svg: String,
    },
    /// Products of figures and factors.
    Products(Products),
    /// No valid trial has data for it.
    Absent {
        /// Of the chart left out.
        title: String,
    },
}

/// A table of products: arithmetic, not measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Products {
    /// Heading.
    pub title: String,
    /// Says that it is arithmetic.
    pub subtitle: String,
    /// How to read it.
    pub caption: String,
    /// Each factor with its unit.
    pub factors: Vec<String>,
    /// One an arm and metric.
    pub rows: Vec<ProductRow>,
}

/// One arm's figure and its products.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductRow {
    /// Arm's label.
    pub arm: String,
    /// Metric's title.
    pub metric: String,
    /// Mean over the valid trials.
    pub value: String,
    /// In the order of the factors.
    pub products: Vec<String>,
}

/// The figures of each experiment in the order of `plan`, the run's own or its translation; `screens` holds
/// what was found of its screens. Charts in another language than English have it in their names.
///
/// # Errors
/// Whatever the drawing library reports.
pub fn figures(
    run: &Run,
    plan: &Plan,
    screens: &[Screening],
    language: Language,
) -> Result<Vec<Vec<Figure>>, ChartError> {
    let of_one = |experiment: &Experiment| {
        let material = Material::new(
            (plan, experiment),
            &run.records,
            &run.histograms,
            screens,
            language,
        );
        let figure = |chart| figure(chart, experiment, &plan.arms, &run.records, &material);
        experiment.charts.iter().map(figure).collect()
    };
    plan.experiments.iter().map(of_one).collect()
}

fn figure(
    chart: &Chart,
    experiment: &Experiment,
    arms: &[Arm],
    records: &[Record],
    material: &Material<'_>,
) -> Result<Figure, ChartError> {
    if let Chart::Multiples {
        title,
        subtitle,
        caption,
        metrics,
        factors,
        unit,
        ..
    } = chart
    {
        let products = Products {
            title: title.clone(),
            subtitle: subtitle.clone(),
            caption: caption.clone(),
            factors: factors
                .iter()
                .map(|factor| quantity(*factor, unit))
                .collect(),
            rows: product_rows(experiment, arms, records, metrics, (factors, unit)),
        };
        return Ok(match products.rows.is_empty() {
            true => Figure::Absent {
                title: title.clone(),
            },
            false => Figure::Products(products),
        });
    }
    let (title, caption) = words(chart);
    let svg = draw(chart, material)?;
    Ok(match svg {
        None => Figure::Absent {
            title: title.to_owned(),
        },
        Some(svg) => Figure::Drawn {
            path: format!(
                "charts/{}{}.svg",
                file_name(chart),
                material.language.of("", ".zh")
            ),
            title: title.to_owned(),
            caption: caption.to_owned(),
            svg,
        },
    })
}

fn words(chart: &Chart) -> (&str, &str) {
    match chart {
        Chart::Percentiles { title, caption, .. }
        | Chart::Dots { title, caption, .. }
        | Chart::Slope { title, caption, .. }
        | Chart::Timeline { title, caption, .. }
        | Chart::Multiples { title, caption, .. }
        | Chart::Stack { title, caption, .. }
        | Chart::Tornado { title, caption, .. } => (title, caption),
    }
}

/// A row for each contender that has the figure; the control repeats one of them.
fn product_rows(
    experiment: &Experiment,
    arms: &[Arm],
    records: &[Record],
    metrics: &[String],
    (factors, unit): (&[f64], &str),
) -> Vec<ProductRow> {
    let contenders = arms.iter().filter(|arm| arm.control_of.is_none());
    let contenders = contenders.filter(|arm| experiment.arms.contains(&arm.label));
    let mut rows = Vec::new();
    for arm in contenders {
        for metric in metrics {
            let figures: Vec<f64> = records
                .iter()
                .filter(|record| record.experiment == experiment.name && record.arm == arm.label)
                .filter(|record| record.invalid.is_empty())
                .filter_map(|record| record.metrics.get(metric).copied().flatten())
                .filter(|figure| figure.is_finite())
                .collect();
            if figures.is_empty() {
                continue;
            }
            let mean = figures.iter().sum::<f64>() / figures.len() as f64;
            let title = experiment.metrics.iter().find(|own| own.name == *metric);
            rows.push(ProductRow {
                arm: arm.label.clone(),
                metric: title.map_or_else(|| metric.replace('_', " "), |own| own.title.clone()),
                value: number(mean),
                products: factors
                    .iter()
                    .map(|factor| quantity(mean * factor, unit))
                    .collect(),
            });
        }
    }
    rows
}

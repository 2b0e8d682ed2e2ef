//! Every trial a dot, an arm a column, the mean a bar; one panel a metric.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, ChartError, Drawn, Pen, sheet};
use super::frame::{EDGE, Heading, Sample, WIDTH, draw_y, tick_room};
use super::style::{AXIS, ArmStyle, INK, LABEL, TICK, Type, fitted, width};
use super::{Material, spaced};
use crate::quantity::number;

const PLOT_HEIGHT: f64 = 230.0;

/// Panels side by side; more start a second row.
const PANELS_A_ROW: usize = 3;

const PANEL_GAP: f64 = 26.0;

/// Room for the panel's title above and the arms' names below the plot.
const PANEL_HEAD: f64 = 24.0;
const PANEL_FOOT: f64 = 44.0;

/// Sideways steps of successive dots, as shares of half a column: neighbours never share one.
const JITTER: [f64; 6] = [-0.25, 0.15, -0.05, 0.3, -0.15, 0.05];

/// One metric.
struct Panel<'a> {
    title: String,
    columns: Vec<(&'a ArmStyle, Vec<f64>)>,
}

pub(super) fn draw(
    material: &Material<'_>,
    (title, subtitle): (&str, &str),
    metrics: &[String],
) -> Result<Option<String>, ChartError> {
    let panels: Vec<Panel<'_>> = metrics
        .iter()
        .filter_map(|name| panel(material, name))
        .collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let across = panels.len().min(PANELS_A_ROW);
    let room = (WIDTH - 2.0 * EDGE - PANEL_GAP * (across - 1) as f64) / across as f64;
    let named = panels.iter().all(|panel| names_fit(panel, room));
    let in_use = |arm: &&ArmStyle| {
        let mut columns = panels.iter().flat_map(|panel| &panel.columns);
        columns.any(|(own, figures)| own.label == arm.label && !figures.is_empty())
    };
    let legend = material.arms.iter().filter(in_use).filter(|_| !named);
    let legend = legend.map(|arm| (arm, arm.legend.clone())).collect();
    let mean = material.language.of("the bar is the mean", "横条是均值");
    let subtitle = format!("{subtitle} · {mean}");
    let heading = Heading::new(title, &subtitle, legend, Sample::Point);

    let row_height = PANEL_HEAD + PLOT_HEIGHT + PANEL_FOOT;
    let rows = panels.len().div_ceil(PANELS_A_ROW);
    let size = (WIDTH, heading.height() + row_height * rows as f64 + 4.0);
    let svg = sheet(size, &format!("{title}. {subtitle}"), |canvas| {
        heading.draw(canvas)?;
        for (position, panel) in panels.iter().enumerate() {
            let column = (position % PANELS_A_ROW) as f64;
            let row = (position / PANELS_A_ROW) as f64;
            let left = EDGE + column * (room + PANEL_GAP);
            let top = heading.height() + row * row_height + PANEL_HEAD + 8.0;
            draw_panel(canvas, panel, (left, left + room), top, named)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

/// A metric's panel; `None` where no trial has a figure.
fn panel<'a>(material: &'a Material<'_>, name: &str) -> Option<Panel<'a>> {
    let columns: Vec<_> = material
        .arms
        .iter()
        .map(|arm| (arm, material.figures(&arm.label, name)))
        .collect();
    if columns.iter().all(|(_, figures)| figures.is_empty()) {
        return None;
    }
    let title = match material.metric(name) {
        Some(metric) => format!("{}, {}", metric.title, metric.unit),
        None => spaced(name),
    };
    Some(Panel { title, columns })
}

/// Whether each column is wide enough for its arm's name.
fn names_fit(panel: &Panel<'_>, room: f64) -> bool {
    let column = (room - 50.0) / panel.columns.len().max(1) as f64;
    let fits = |(arm, _): &(&ArmStyle, _)| width(&arm.label, TICK) < column;
    panel.columns.iter().all(fits)
}

fn draw_panel(
    canvas: &Canvas<'_>,
    panel: &Panel<'_>,
    (left, right): (f64, f64),
    top: f64,
    named: bool,
) -> Drawn {
    let bottom = top + PLOT_HEIGHT;
    let all = panel
        .columns
        .iter()
        .flat_map(|(_, figures)| figures.iter().copied());
    let y = Axis::linear(all, 5, (bottom, top));
    let title = fitted(
        &panel.title,
        Type {
            bold: true,
            ..LABEL
        },
        right - left,
    );
    canvas.text(
        &title,
        (left, top - 20.0),
        Anchor::Left,
        Type {
            bold: true,
            ..LABEL
        },
    )?;
    let plot_left = left + tick_room(&y);
    draw_y(canvas, &y, (plot_left, right), "")?;
    canvas.line(
        &[(plot_left, y.at(0.0)), (right, y.at(0.0))],
        Pen::solid(AXIS, 1.2),
    )?;

    let column = (right - plot_left) / panel.columns.len() as f64;
    for (position, (arm, figures)) in panel.columns.iter().enumerate() {
        let middle = plot_left + column * (position as f64 + 0.5);
        if named {
            canvas.text(&arm.label, (middle, bottom + 16.0), Anchor::Center, TICK)?;
        }
        draw_column(canvas, arm, figures, (middle, column / 2.0), &y)?;
    }
    Ok(())
}

fn draw_column(
    canvas: &Canvas<'_>,
    arm: &ArmStyle,
    figures: &[f64],
    (middle, half): (f64, f64),
    y: &Axis,
) -> Drawn {
    if figures.is_empty() {
        return Ok(());
    }
    for (position, figure) in figures.iter().enumerate() {
        let x = middle + JITTER[position % JITTER.len()] * half;
        canvas.marker((x, y.at(*figure)), arm.marker, 4.0, arm.color, 0.75)?;
    }
    let mean = figures.iter().sum::<f64>() / figures.len() as f64;
    let at = y.at(mean);
    let reach = (half * 0.5).min(34.0);
    canvas.line(
        &[(middle - reach, at), (middle + reach, at)],
        Pen::solid(INK, 2.0),
    )?;
    // Above the highest dot, where nothing else is drawn.
    let highest = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let above = (y.at(highest) - 15.0).max(y.ends().1 - 8.0);
    let face = Type { color: INK, ..TICK };
    canvas.text(&number(mean), (middle, above), Anchor::Center, face)
}

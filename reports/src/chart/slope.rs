//! Points of all valid trials with a fitted line an arm; the slope stands in the panel.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, ChartError, Drawn, Pen, sheet};
use super::frame::{EDGE, Heading, Sample, WIDTH, draw_x, draw_y, tick_room};
use super::style::{ArmStyle, LABEL, Type, fitted};
use super::{Material, spaced};
use crate::quantity::quantity;
use crate::statistics::{Level, Slope, slope};

const PLOT_HEIGHT: f64 = 270.0;
const PANELS_A_ROW: usize = 2;
const PANEL_GAP: f64 = 30.0;
const SLOPE_LINE: f64 = 18.0;
const PANEL_FOOT: f64 = 52.0;

/// One series of points.
struct Panel<'a> {
    title: String,
    series: Vec<Series<'a>>,
}

/// An arm's points, y as shown.
struct Series<'a> {
    arm: &'a ArmStyle,
    points: Vec<[f64; 2]>,
    fit: Option<Slope>,
}

pub(super) fn draw(
    material: &Material<'_>,
    (title, subtitle): (&str, &str),
    keys: &[String],
    (x_title, y_title): (&str, &str),
    scale: f64,
) -> Result<Option<String>, ChartError> {
    let panels: Vec<Panel<'_>> = keys
        .iter()
        .filter_map(|key| panel(material, key, scale))
        .collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let across = panels.len().min(PANELS_A_ROW);
    let room = (WIDTH - 2.0 * EDGE - PANEL_GAP * (across - 1) as f64) / across as f64;
    let in_use = |arm: &&ArmStyle| {
        let mut series = panels.iter().flat_map(|panel| &panel.series);
        series.any(|series| series.arm.label == arm.label)
    };
    let legend = material.arms.iter().filter(in_use);
    let legend = legend.map(|arm| (arm, arm.legend.clone())).collect();
    let heading = Heading::new(title, subtitle, legend, Sample::Line);

    let most = panels
        .iter()
        .map(|panel| panel.series.len())
        .max()
        .unwrap_or(0);
    let panel_head = 26.0 + SLOPE_LINE * most as f64 + 30.0;
    let row_height = panel_head + PLOT_HEIGHT + PANEL_FOOT;
    let rows = panels.len().div_ceil(PANELS_A_ROW);
    let size = (WIDTH, heading.height() + row_height * rows as f64);
    let svg = sheet(size, &format!("{title}. {subtitle}"), |canvas| {
        heading.draw(canvas)?;
        for (position, panel) in panels.iter().enumerate() {
            let left = EDGE + (position % PANELS_A_ROW) as f64 * (room + PANEL_GAP);
            let top = heading.height() + (position / PANELS_A_ROW) as f64 * row_height;
            draw_head(canvas, panel, (left, left + room), top, (x_title, y_title))?;
            let plot_top = top + panel_head;
            draw_plot(
                canvas,
                panel,
                (left, left + room),
                plot_top,
                (x_title, y_title),
            )?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

fn panel<'a>(material: &'a Material<'_>, key: &str, scale: f64) -> Option<Panel<'a>> {
    let series: Vec<Series<'_>> = material
        .arms
        .iter()
        .filter_map(|arm| series(material, arm, key, scale))
        .collect();
    if series.is_empty() {
        return None;
    }
    Some(Panel {
        title: spaced(key),
        series,
    })
}

fn series<'a>(
    material: &Material<'_>,
    arm: &'a ArmStyle,
    key: &str,
    scale: f64,
) -> Option<Series<'a>> {
    let points: Vec<[f64; 2]> = material
        .of_arm(&arm.label)
        .filter_map(|record| record.points.get(key))
        .flatten()
        .map(|[x, y]| [*x, y * scale])
        .filter(|point| point.iter().all(|value| value.is_finite()))
        .collect();
    if points.is_empty() {
        return None;
    }
    let fit = slope(&points, Level::CONVENTION);
    Some(Series { arm, points, fit })
}

/// The panel's title and each arm's slope in words.
fn draw_head(
    canvas: &Canvas<'_>,
    panel: &Panel<'_>,
    (left, right): (f64, f64),
    top: f64,
    (x_title, y_title): (&str, &str),
) -> Drawn {
    let face = Type {
        bold: true,
        ..LABEL
    };
    let title = fitted(&panel.title, face, right - left);
    canvas.text(&title, (left, top + 12.0), Anchor::Left, face)?;
    for (line, series) in panel.series.iter().enumerate() {
        let y = top + 26.0 + SLOPE_LINE * (line as f64 + 0.5);
        canvas.marker(
            (left + 5.0, y),
            series.arm.marker,
            4.0,
            series.arm.color,
            1.0,
        )?;
        let text = match series.fit {
            Some(fit) => format!(
                "{}: {}",
                series.arm.label,
                slope_words(fit.slope, x_title, y_title)
            ),
            None => format!("{}: too few points for a slope", series.arm.label),
        };
        let text = fitted(&text, LABEL, right - left - 18.0);
        canvas.text(&text, (left + 16.0, y), Anchor::Left, LABEL)?;
    }
    Ok(())
}

/// `10.8 KiB per connection` from the axes' titles `connections` and `memory, MiB`.
fn slope_words(slope: f64, x_title: &str, y_title: &str) -> String {
    let unit = y_title.rsplit([' ', ',']).next().unwrap_or(y_title);
    let unit = unit.trim_matches(['(', ')']);
    let one = x_title.split([',', '(']).next().unwrap_or(x_title).trim();
    let one = one.strip_suffix('s').unwrap_or(one);
    format!("{} per {one}", quantity(slope, unit))
}

fn draw_plot(
    canvas: &Canvas<'_>,
    panel: &Panel<'_>,
    (left, right): (f64, f64),
    top: f64,
    (x_title, y_title): (&str, &str),
) -> Drawn {
    let bottom = top + PLOT_HEIGHT;
    let all = || {
        panel
            .series
            .iter()
            .flat_map(|series| series.points.iter().copied())
    };
    let y = Axis::linear(all().map(|[_, y]| y), 6, (bottom, top));
    let plot_left = left + tick_room(&y);
    let x = Axis::linear(all().map(|[x, _]| x), 5, (plot_left, right - 14.0));
    draw_y(canvas, &y, (plot_left, right - 14.0), y_title)?;
    draw_x(canvas, &x, (bottom, top), x_title)?;
    for series in panel.series.iter().rev() {
        draw_series(canvas, series, &x, &y)?;
    }
    Ok(())
}

/// The line only where there are points: nothing was measured beyond.
fn draw_series(canvas: &Canvas<'_>, series: &Series<'_>, x: &Axis, y: &Axis) -> Drawn {
    let arm = series.arm;
    if let Some(Slope {
        intercept, slope, ..
    }) = series.fit
    {
        let xs = || series.points.iter().map(|[x, _]| *x);
        let ends = [
            xs().fold(f64::INFINITY, f64::min),
            xs().fold(f64::NEG_INFINITY, f64::max),
        ];
        let line = ends.map(|end| (x.at(end), y.at(intercept + slope * end)));
        let pen = Pen {
            dash: arm.dash,
            ..Pen::solid(arm.color, 2.0)
        };
        canvas.line(&line, pen)?;
    }
    for [x_value, y_value] in &series.points {
        canvas.marker(
            (x.at(*x_value), y.at(*y_value)),
            arm.marker,
            4.0,
            arm.color,
            0.7,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_slope_is_said_in_the_smaller_unit() {
        assert_eq!(
            slope_words(10.8 / 1024.0, "connections", "user memory, MiB"),
            "10.8 KiB per connection"
        );
    }
}

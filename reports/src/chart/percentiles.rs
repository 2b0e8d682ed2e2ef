//! The value at each percentile, a line an arm, both axes logarithmic.

use hdrhistogram::Histogram;

use super::Material;
use super::axis::{Axis, FIRST_QUANTILE, last_quantile};
use super::canvas::{Canvas, ChartError, Drawn, Pen, sheet};
use super::frame::{EDGE, Heading, Sample, WIDTH, draw_x, draw_y, tick_room};
use super::style::ArmStyle;

const PLOT_HEIGHT: f64 = 300.0;

/// Points of a line; enough that each is a few pixels from the next.
const STEPS: u32 = 240;

/// Quantile and shown value along one arm's line.
struct Line<'a> {
    arm: &'a ArmStyle,
    points: Vec<(f64, f64)>,
    marked: Vec<(f64, f64)>,
}

pub(super) fn draw(
    material: &Material<'_>,
    (title, subtitle): (&str, &str),
    histogram: &str,
    scale: f64,
    unit: &str,
) -> Result<Option<String>, ChartError> {
    let find = |arm: &str| {
        material
            .histograms
            .find(&material.experiment.name, arm, histogram)
    };
    let found: Vec<_> = material
        .arms
        .iter()
        .filter_map(|arm| Some((arm, find(&arm.label)?)))
        .collect();
    let samples = found.iter().map(|(_, histogram)| histogram.len()).max();
    let legend = found
        .iter()
        .map(|(arm, _)| (*arm, arm.legend.clone()))
        .collect();
    let heading = Heading::new(title, subtitle, legend, Sample::Line);
    let top = heading.height() + 22.0;
    let bottom = top + PLOT_HEIGHT;
    let right = WIDTH - EDGE - 26.0;

    let Some(x) = Axis::quantile(samples.unwrap_or(0), (0.0, 1.0)) else {
        return Ok(None);
    };
    let quantiles: Vec<f64> = x.ticks.iter().map(|tick| tick.value).collect();
    let lines: Vec<Line<'_>> = found
        .iter()
        .map(|(arm, histogram)| line(arm, histogram, scale, &quantiles))
        .collect();
    let values = lines
        .iter()
        .flat_map(|line| line.points.iter().map(|(_, value)| *value));
    let Some(y) = Axis::log(values, (bottom, top)) else {
        return Ok(None);
    };
    let left = EDGE + tick_room(&y);
    let Some(x) = Axis::quantile(samples.unwrap_or(0), (left, right)) else {
        return Ok(None);
    };

    let size = (WIDTH, bottom + 32.0 + EDGE);
    let svg = sheet(size, &format!("{title}. {subtitle}"), |canvas| {
        heading.draw(canvas)?;
        draw_y(canvas, &y, (left, right), unit)?;
        draw_x(
            canvas,
            &x,
            (bottom, top),
            material.language.of(
                "percentile (each further nine takes the same room)",
                "百分位（每多一个 9，占同样的宽度）",
            ),
        )?;
        // The baseline last, so that the control never hides what it repeats.
        for line in lines.iter().rev() {
            draw_line(canvas, line, &x, &y)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

fn draw_line(canvas: &Canvas<'_>, line: &Line<'_>, x: &Axis, y: &Axis) -> Drawn {
    let place = |(quantile, value): &(f64, f64)| (x.at(*quantile), y.at(*value));
    let points: Vec<_> = line.points.iter().map(place).collect();
    let pen = Pen {
        dash: line.arm.dash,
        ..Pen::solid(line.arm.color, 2.2)
    };
    canvas.line(&points, pen)?;
    for point in &line.marked {
        canvas.marker(place(point), line.arm.marker, 4.5, line.arm.color, 1.0)?;
    }
    Ok(())
}

/// One arm's line up to where ten samples lie beyond, with markers at the axis' ticks. Values of 0 have
/// no place on a logarithmic axis.
fn line<'a>(arm: &'a ArmStyle, histogram: &Histogram<u64>, scale: f64, ticks: &[f64]) -> Line<'a> {
    let last = last_quantile(histogram.len());
    let nines = |quantile: f64| -(1.0 - quantile).log10();
    let value = |quantile: f64| {
        (
            quantile,
            histogram.value_at_quantile(quantile) as f64 * scale,
        )
    };
    let shown = |(_, value): &(f64, f64)| *value > 0.0 && value.is_finite();
    let (from, to) = (nines(FIRST_QUANTILE), nines(last));
    let quantile_at = |step: u32| {
        let nines = from + (to - from) * f64::from(step) / f64::from(STEPS);
        1.0 - 10_f64.powf(-nines)
    };
    let reaches = last > FIRST_QUANTILE;
    let within = || ticks.iter().copied().filter(|quantile| *quantile <= last);
    let steps = (0..=STEPS).filter(|_| reaches).map(quantile_at);
    // With the ticks among them, so that the line meets its markers.
    let mut quantiles: Vec<f64> = steps.chain(within()).collect();
    quantiles.sort_by(f64::total_cmp);
    let points = quantiles.into_iter().map(value);
    Line {
        arm,
        points: points.filter(shown).collect(),
        marked: within().map(value).filter(shown).collect(),
    }
}

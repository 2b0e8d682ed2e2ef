//! A bar an arm, made of parts: the means of figures that add up, one after the other.

use plotters::style::RGBColor;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, ChartError, Drawn, sheet};
use super::frame::{EDGE, Heading, Sample, WIDTH, draw_x};
use super::style::{ArmStyle, CONTROL, Dash, LABEL, Marker, PALETTE, TICK, Type, fitted, width};
use super::{Material, spaced};
use crate::quantity::number;

/// From one bar to the next, and of it the bar.
const ROW: f64 = 32.0;
const BAR: f64 = 20.0;

/// Ticks and title below the bars.
const FOOT: f64 = 46.0;

/// Most of the sheet's width that arms' names take; the rest is for what is compared.
const NAMES: f64 = 240.0;

/// Right of the longest bar, for its sum.
const SUM: f64 = 64.0;

/// A part that is smaller than its own edge is not seen.
const SEAM: f64 = 1.0;

/// The colours of parts: those of arms, then two more, as an area is seen where a line would be too pale.
const COLORS: [RGBColor; 8] = [
    PALETTE[0],
    PALETTE[1],
    PALETTE[2],
    PALETTE[3],
    PALETTE[4],
    PALETTE[5],
    CONTROL,
    RGBColor(0xF0, 0xE4, 0x42),
];

/// On every one of these colours, in light and in dark mode: not the ink, which turns pale there.
const ON_COLOR: Type = Type {
    size: 11.5,
    bold: false,
    color: RGBColor(0x11, 0x11, 0x11),
};

/// An arm and the mean of each part in use.
struct Bar<'a> {
    label: &'a str,
    parts: Vec<f64>,
}

impl Bar<'_> {
    fn sum(&self) -> f64 {
        self.parts.iter().sum()
    }
}

pub(super) fn draw(
    material: &Material<'_>,
    (title, subtitle): (&str, &str),
    parts: &[String],
) -> Result<Option<String>, ChartError> {
    let in_use: Vec<&String> = parts
        .iter()
        .filter(|part| is_seen(material, part))
        .collect();
    let bars: Vec<_> = material
        .arms
        .iter()
        .filter_map(|arm| bar(material, arm, &in_use))
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let styles: Vec<_> = in_use
        .iter()
        .zip(COLORS.into_iter().cycle())
        .map(|(part, color)| style(material, part, color))
        .collect();
    let legend = styles.iter().map(|part| (part, part.legend.clone()));
    let heading = Heading::new(title, subtitle, legend.collect(), Sample::Point);
    let top = heading.height() + 4.0;
    let bottom = top + ROW * bars.len() as f64;
    let svg = sheet(
        (WIDTH, bottom + FOOT),
        &format!("{title}. {subtitle}"),
        |canvas| {
            heading.draw(canvas)?;
            let unit = in_use.first().and_then(|part| material.metric(part));
            let unit = unit.map_or("", |metric| metric.unit.as_str());
            draw_bars(canvas, &bars, &styles, (top, bottom), unit)
        },
    )?;
    Ok(Some(svg))
}

/// Whether any arm has some of it: a part that nobody has takes no place in the legend.
fn is_seen(material: &Material<'_>, part: &str) -> bool {
    let mut arms = material.arms.iter();
    arms.any(|arm| mean(material, arm, part).is_some_and(|mean| mean > 0.0))
}

fn bar<'a>(material: &'a Material<'_>, arm: &'a ArmStyle, in_use: &[&String]) -> Option<Bar<'a>> {
    let parts: Vec<_> = in_use
        .iter()
        .map(|part| mean(material, arm, part))
        .collect();
    parts.iter().any(Option::is_some).then(|| Bar {
        label: &arm.label,
        // What is negative has no length.
        parts: parts
            .into_iter()
            .map(|part| part.unwrap_or(0.0).max(0.0))
            .collect(),
    })
}

fn mean(material: &Material<'_>, arm: &ArmStyle, part: &str) -> Option<f64> {
    let figures = material.figures(&arm.label, part);
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

/// A part looks in the legend as an arm does elsewhere.
fn style(material: &Material<'_>, part: &str, color: RGBColor) -> ArmStyle {
    let title = match material.metric(part) {
        // What all titles begin with is said by the chart's.
        Some(metric) => match metric.title.split_once(": ") {
            Some((_, own)) => own.to_owned(),
            None => metric.title.clone(),
        },
        None => spaced(part),
    };
    ArmStyle {
        label: part.to_owned(),
        legend: title,
        color,
        dash: Dash::Solid,
        marker: Marker::Square,
    }
}

fn draw_bars(
    canvas: &Canvas<'_>,
    bars: &[Bar<'_>],
    styles: &[ArmStyle],
    (top, bottom): (f64, f64),
    unit: &str,
) -> Drawn {
    let widest = bars.iter().map(|bar| width(bar.label, LABEL));
    let names = widest.fold(0.0, f64::max).min(NAMES);
    let left = EDGE + names + 12.0;
    let x = Axis::linear(bars.iter().map(Bar::sum), 6, (left, WIDTH - EDGE - SUM));
    draw_x(canvas, &x, (bottom, top), unit)?;
    for (position, bar) in bars.iter().enumerate() {
        let middle = top + ROW * (position as f64 + 0.5);
        let name = fitted(bar.label, LABEL, names);
        canvas.text(&name, (left - 10.0, middle), Anchor::Right, LABEL)?;
        draw_bar(canvas, bar, styles, middle, &x)?;
    }
    Ok(())
}

fn draw_bar(
    canvas: &Canvas<'_>,
    bar: &Bar<'_>,
    styles: &[ArmStyle],
    middle: f64,
    x: &Axis,
) -> Drawn {
    let mut sum = 0.0;
    for (part, style) in bar.parts.iter().zip(styles) {
        let (from, to) = (x.at(sum), x.at(sum + part));
        sum += part;
        if to - from < SEAM {
            continue;
        }
        // A seam of the sheet tells neighbours apart without their colours.
        let corners = (
            (from, middle - BAR / 2.0),
            (to - SEAM / 2.0, middle + BAR / 2.0),
        );
        canvas.fill(corners.0, corners.1, style.color, 1.0)?;
        let figure = number(*part);
        if width(&figure, ON_COLOR) + 6.0 < to - from {
            let at = ((from + to) / 2.0, middle);
            canvas.text(&figure, at, Anchor::Center, ON_COLOR)?;
        }
    }
    let face = Type {
        bold: true,
        color: LABEL.color,
        ..TICK
    };
    canvas.text(&number(sum), (x.at(sum) + 7.0, middle), Anchor::Left, face)
}

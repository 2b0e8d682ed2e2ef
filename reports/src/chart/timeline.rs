//! A step line a trial over time, one strip an arm, with vertical marks where something was done.

use std::collections::BTreeMap;

use super::Material;
use super::axis::Axis;
use super::canvas::{Anchor, Canvas, ChartError, Drawn, Pen, sheet};
use super::frame::{EDGE, Heading, Sample, WIDTH, draw_x, draw_y, tick_room};
use super::style::{ArmStyle, Dash, INK, LABEL, MUTED, SHEET, TICK, Type, fitted, width};
use crate::language::Language;
use crate::record::Record;

const STRIP_HEIGHT: f64 = 120.0;
const STRIP_HEAD: f64 = 46.0;
const MARK_LINE: f64 = 17.0;

/// One arm's trials.
struct Strip<'a> {
    arm: &'a ArmStyle,
    trials: Vec<&'a [[f64; 2]]>,
}

/// Something done to the trials, at its mean time over them.
#[derive(Debug, PartialEq)]
struct Mark {
    at_ms: f64,
    title: String,
}

pub(super) fn draw(
    material: &Material<'_>,
    (title, subtitle): (&str, &str),
    (points, y_title): (&str, &str),
    (marks_key, mark_titles): (&str, &[String]),
) -> Result<Option<String>, ChartError> {
    let strips: Vec<Strip<'_>> = material
        .arms
        .iter()
        .filter_map(|arm| strip(material, arm, points))
        .collect();
    if strips.is_empty() {
        return Ok(None);
    }
    let all = || {
        strips
            .iter()
            .flat_map(|strip| strip.trials.iter().copied().flatten())
    };
    let marks = marks(&material.valid, marks_key, mark_titles);
    let times = all()
        .map(|[x, _]| *x)
        .chain(marks.iter().map(|mark| mark.at_ms));
    let values: Vec<f64> = all().map(|[_, y]| *y).collect();

    let heading = Heading::new(title, subtitle, Vec::new(), Sample::Plain);
    let left = EDGE + tick_room(&Axis::linear(values.iter().copied(), 3, (1.0, 0.0)));
    let x = Axis::linear(times, 8, (left, WIDTH - EDGE - 20.0));
    let rows = mark_rows(&marks, &x);
    let deepest = rows.iter().max().map_or(0, |deepest| deepest + 1);
    let first = heading.height() + MARK_LINE * deepest as f64;
    let strip_room = STRIP_HEAD + STRIP_HEIGHT;
    let bottom = first + strip_room * strips.len() as f64;

    let size = (WIDTH, bottom + 32.0 + EDGE);
    let svg = sheet(size, &format!("{title}. {subtitle}"), |canvas| {
        heading.draw(canvas)?;
        for (mark, row) in marks.iter().zip(&rows) {
            let y = heading.height() + MARK_LINE * (*row as f64 + 0.5);
            draw_mark(canvas, mark, &x, (y, bottom))?;
        }
        for (position, strip) in strips.iter().enumerate() {
            let top = first + strip_room * position as f64 + STRIP_HEAD;
            let y = Axis::linear(values.iter().copied(), 3, (top + STRIP_HEIGHT, top));
            let last = position + 1 == strips.len();
            draw_strip(canvas, strip, (&x, &y), (y_title, last), material.language)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

fn strip<'a>(material: &'a Material<'_>, arm: &'a ArmStyle, key: &str) -> Option<Strip<'a>> {
    let trials: Vec<&[[f64; 2]]> = material
        .of_arm(&arm.label)
        .filter_map(|record| record.points.get(key))
        .filter(|points| !points.is_empty() && points.iter().flatten().all(|v| v.is_finite()))
        .map(Vec::as_slice)
        .collect();
    (!trials.is_empty()).then_some(Strip { arm, trials })
}

/// The n-th mark of each trial is one mark of the chart, at its mean time.
fn marks(records: &[&Record], key: &str, titles: &[String]) -> Vec<Mark> {
    let mut times: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for record in records {
        for (position, [at, index]) in record.points.get(key).into_iter().flatten().enumerate() {
            if at.is_finite() && index.is_finite() {
                times
                    .entry((position, *index as usize))
                    .or_default()
                    .push(*at);
            }
        }
    }
    let mark = |((_, index), times): (&(usize, usize), &Vec<f64>)| Mark {
        at_ms: times.iter().sum::<f64>() / times.len() as f64,
        title: titles.get(*index).cloned().unwrap_or_default(),
    };
    times.iter().map(mark).collect()
}

/// The row of each mark's title, so that no two overlap.
fn mark_rows(marks: &[Mark], x: &Axis) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = Vec::new();
    for mark in marks {
        let (start, end) = title_span(mark, x);
        let row = ends
            .iter()
            .position(|taken| *taken < start)
            .unwrap_or(ends.len());
        match ends.get_mut(row) {
            Some(taken) => *taken = end + 12.0,
            None => ends.push(end + 12.0),
        }
        rows.push(row);
    }
    rows
}

/// A title stands right of its mark, or ends at the sheet's edge where it would leave it.
fn title_span(mark: &Mark, x: &Axis) -> (f64, f64) {
    let room = width(&fitted(&mark.title, TICK, WIDTH / 2.0), TICK);
    let start = (x.at(mark.at_ms) + 4.0).min(WIDTH - EDGE - room);
    (start, start + room)
}

fn draw_mark(canvas: &Canvas<'_>, mark: &Mark, x: &Axis, (y, bottom): (f64, f64)) -> Drawn {
    let at = x.at(mark.at_ms);
    let pen = Pen {
        dash: Dash::Pattern { on: 3.0, off: 3.0 },
        ..Pen::solid(MUTED, 1.2)
    };
    canvas.line(&[(at, y - 7.0), (at, bottom)], pen)?;
    let title = fitted(&mark.title, TICK, WIDTH / 2.0);
    let (start, _) = title_span(mark, x);
    canvas.text(
        &title,
        (start, y),
        Anchor::Left,
        Type { color: INK, ..TICK },
    )
}

fn draw_strip(
    canvas: &Canvas<'_>,
    strip: &Strip<'_>,
    (x, y): (&Axis, &Axis),
    (y_title, last): (&str, bool),
    language: Language,
) -> Drawn {
    let (left, right) = x.ends();
    let (bottom, top) = y.ends();
    let count = strip.trials.len();
    let trials = match (language, count) {
        (Language::English, 1) => "1 trial".to_owned(),
        (Language::English, _) => format!("{count} trials"),
        (Language::Chinese, _) => format!("{count} 次试验"),
    };
    let face = Type {
        bold: true,
        ..LABEL
    };
    let name = format!("{} · {y_title} · {trials}", strip.arm.legend);
    let name = fitted(&name, face, right - left);
    draw_y(canvas, y, (left, right), "")?;
    let x_title = if last {
        language.of(
            "milliseconds since the start of the trial",
            "自试验开始的毫秒数",
        )
    } else {
        ""
    };
    draw_x(
        canvas,
        &if last { x.clone() } else { x.without_labels() },
        (bottom, top),
        x_title,
    )?;
    // Over the marks' lines, which run down behind it.
    let (from, to) = (
        (left - 2.0, top - 27.0),
        (left + 4.0 + width(&name, face), top - 9.0),
    );
    canvas.fill(from, to, SHEET, 1.0)?;
    canvas.text(&name, (left, top - 18.0), Anchor::Left, face)?;
    for points in &strip.trials {
        let mut path: Vec<(f64, f64)> = Vec::new();
        for [at, value] in *points {
            let (px, py) = (x.at(*at), y.at(*value));
            if let Some((_, before)) = path.last().copied() {
                path.push((px, before));
            }
            path.push((px, py));
        }
        let pen = Pen {
            opacity: 0.7,
            ..Pen::solid(strip.arm.color, 1.6)
        };
        canvas.line(&path, pen)?;
    }
    Ok(())
}

//! What stands around the data: title, subtitle, legend, grid and axes.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Drawn, Pen};
use super::style::{AXIS, ArmStyle, GRID, LABEL, SUBTITLE, TICK, TITLE, fitted, width, wrapped};

/// Width of every chart, CSS pixels: as wide as the page's column.
pub const WIDTH: f64 = 820.0;

/// Empty room at the sheet's edge.
pub const EDGE: f64 = 16.0;

/// Length of a legend's sample of line.
const SAMPLE: f64 = 30.0;

/// Room from one legend entry to the next.
const ENTRY_GAP: f64 = 22.0;

const TITLE_LINE: f64 = 23.0;
const SUBTITLE_LINE: f64 = 18.0;
const LEGEND_LINE: f64 = 21.0;

/// What a legend shows before an arm's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Line and marker.
    Line,
    /// Line without marker.
    Plain,
    /// Marker alone.
    Point,
}

/// Title, subtitle and legend, laid out before the sheet's height is known.
pub struct Heading<'a> {
    title: Vec<String>,
    subtitle: Vec<String>,
    rows: Vec<Vec<Entry<'a>>>,
}

/// One line of a legend, at its place from the left.
struct Entry<'a> {
    style: &'a ArmStyle,
    text: String,
    sample: Sample,
    x: f64,
}

impl<'a> Heading<'a> {
    /// `legend` holds an arm and its text each; an empty one takes no room.
    pub fn new(
        title: &str,
        subtitle: &str,
        legend: Vec<(&'a ArmStyle, String)>,
        sample: Sample,
    ) -> Self {
        let entries = legend.into_iter().map(|(arm, text)| (arm, text, sample));
        Self::mixed(title, subtitle, entries.collect())
    }

    /// The same where entries are drawn in different ways.
    pub fn mixed(title: &str, subtitle: &str, legend: Vec<(&'a ArmStyle, String, Sample)>) -> Self {
        let limit = WIDTH - 2.0 * EDGE;
        let mut rows: Vec<Vec<Entry<'_>>> = Vec::new();
        let mut x = f64::INFINITY;
        for (style, text, sample) in legend {
            let text = fitted(&text, LABEL, limit - SAMPLE - 8.0);
            let room = SAMPLE + 8.0 + width(&text, LABEL);
            if x + room > WIDTH - EDGE {
                rows.push(Vec::new());
                x = EDGE;
            }
            if let Some(row) = rows.last_mut() {
                row.push(Entry {
                    style,
                    text,
                    sample,
                    x,
                });
            }
            x += room + ENTRY_GAP;
        }
        Self {
            title: wrapped(title, TITLE, limit),
            subtitle: wrapped(subtitle, SUBTITLE, limit),
            rows,
        }
    }

    /// Height taken, CSS pixels.
    pub fn height(&self) -> f64 {
        EDGE + TITLE_LINE * self.title.len() as f64
            + SUBTITLE_LINE * self.subtitle.len() as f64
            + LEGEND_LINE * self.rows.len() as f64
            + if self.rows.is_empty() { 6.0 } else { 16.0 }
    }

    /// Draws it at the top of the sheet.
    pub fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let mut y = EDGE;
        for (lines, face, height) in [
            (&self.title, TITLE, TITLE_LINE),
            (&self.subtitle, SUBTITLE, SUBTITLE_LINE),
        ] {
            for line in lines {
                canvas.text(line, (EDGE, y + height / 2.0), Anchor::Left, face)?;
                y += height;
            }
        }
        y += 8.0;
        for row in &self.rows {
            let middle = y + LEGEND_LINE / 2.0;
            for entry in row {
                entry.sample(canvas, middle)?;
                let at = (entry.x + SAMPLE + 8.0, middle);
                canvas.text(&entry.text, at, Anchor::Left, LABEL)?;
            }
            y += LEGEND_LINE;
        }
        Ok(())
    }
}

impl Entry<'_> {
    fn sample(&self, canvas: &Canvas<'_>, y: f64) -> Drawn {
        let (arm, x) = (self.style, self.x);
        if self.sample != Sample::Point {
            let pen = Pen {
                dash: arm.dash,
                ..Pen::solid(arm.color, 2.2)
            };
            canvas.line(&[(x, y), (x + SAMPLE, y)], pen)?;
        }
        if self.sample != Sample::Plain {
            canvas.marker((x + SAMPLE / 2.0, y), arm.marker, 4.5, arm.color, 1.0)?;
        }
        Ok(())
    }
}

/// Room that an axis' tick labels need to its left, CSS pixels.
pub fn tick_room(axis: &Axis) -> f64 {
    let widest = axis.ticks.iter().map(|tick| width(&tick.label, TICK));
    widest.fold(0.0, f64::max) + 10.0
}

/// Grid lines and tick labels of the vertical axis, its title above its upper end.
pub fn draw_y(canvas: &Canvas<'_>, y: &Axis, (left, right): (f64, f64), title: &str) -> Drawn {
    for tick in &y.ticks {
        let at = y.at(tick.value);
        canvas.line(&[(left, at), (right, at)], Pen::solid(GRID, 1.0))?;
        if !tick.label.is_empty() {
            canvas.text(&tick.label, (left - 7.0, at), Anchor::Right, TICK)?;
        }
    }
    let (_, top) = y.ends();
    let start = left - tick_room(y) + 3.0;
    let title = fitted(title, TICK, right - start);
    canvas.text(&title, (start, top - 15.0), Anchor::Left, TICK)
}

/// The horizontal axis at `bottom`, with grid lines up to `top`; labels that would touch the one before
/// are left out. Its title stands below, flush right.
pub fn draw_x(canvas: &Canvas<'_>, x: &Axis, (bottom, top): (f64, f64), title: &str) -> Drawn {
    let (left, right) = x.ends();
    let mut free_from = f64::NEG_INFINITY;
    for tick in &x.ticks {
        let at = x.at(tick.value);
        canvas.line(&[(at, bottom), (at, top)], Pen::solid(GRID, 1.0))?;
        let half = width(&tick.label, TICK) / 2.0;
        if tick.label.is_empty() || at - half < free_from {
            continue;
        }
        canvas.line(&[(at, bottom), (at, bottom + 4.0)], Pen::solid(AXIS, 1.0))?;
        canvas.text(&tick.label, (at, bottom + 14.0), Anchor::Center, TICK)?;
        free_from = at + half + 8.0;
    }
    canvas.line(&[(left, bottom), (right, bottom)], Pen::solid(AXIS, 1.2))?;
    let title = fitted(title, TICK, right - left);
    canvas.text(&title, (right, bottom + 32.0), Anchor::Right, TICK)
}

//! A sheet of a fixed size in CSS pixels, drawn by plotters into an SVG that needs no system font.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, IntoFont as _, RGBColor, ShapeStyle, TextStyle};

use super::style::{Dash, FONT, Marker, SHEET, Type};

/// Drawn units a CSS pixel: plotters rounds to whole units, and curves want finer ones.
const DENSITY: f64 = 4.0;

/// plotters divides a font's size by this when it writes the SVG.
const FONT_DIVISOR: f64 = 1.24;

/// What a drawing step returns; into memory it cannot fail, but plotters does not know that.
pub type Drawn = Result<(), ChartError>;

/// plotters refused to draw.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a chart: {0}; please report this as a defect")]
pub struct ChartError(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for ChartError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(error.to_string())
    }
}

/// A line's looks.
#[derive(Debug, Clone, Copy)]
pub struct Pen {
    /// Of the line.
    pub color: RGBColor,
    /// CSS pixels.
    pub width: f64,
    /// 1 is opaque.
    pub opacity: f64,
    /// Solid, or a pattern that tells arms apart without colour.
    pub dash: Dash,
}

impl Pen {
    /// An opaque, solid line.
    pub fn solid(color: RGBColor, width: f64) -> Self {
        Self {
            color,
            width,
            opacity: 1.0,
            dash: Dash::Solid,
        }
    }
}

/// Which point of the text its position names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Left end, middle of the height.
    Left,
    /// Middle, middle of the height.
    Center,
    /// Right end, middle of the height.
    Right,
}

/// The sheet; coordinates are CSS pixels from the top left.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws a sheet of `width` × `height` CSS pixels; `title` names it for those who cannot see it.
///
/// # Errors
/// Whatever plotters reports.
pub fn sheet(
    (width, height): (f64, f64),
    title: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Drawn,
) -> Result<String, ChartError> {
    let mut svg = String::new();
    let size = (units(width).unsigned_abs(), units(height).unsigned_abs());
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&SHEET)?;
        draw(&Canvas { area: area.clone() })?;
        area.present()?;
    }
    Ok(with_own_root(&svg, (width, height), size, title))
}

/// Replaces plotters' opening tag by one with the size in CSS pixels and a name.
fn with_own_root(svg: &str, css: (f64, f64), drawn: (u32, u32), title: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" \
         role=\"img\" aria-label=\"{}\">{body}",
        css.0,
        css.1,
        drawn.0,
        drawn.1,
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

fn units(css: f64) -> i32 {
    (css * DENSITY).round() as i32
}

fn point((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}

impl Canvas<'_> {
    /// A line through all points; fewer than two draw nothing.
    pub fn line(&self, points: &[(f64, f64)], pen: Pen) -> Drawn {
        let mut drawn: Vec<(i32, i32)> = points.iter().copied().map(point).collect();
        drawn.dedup();
        if drawn.len() < 2 {
            return Ok(());
        }
        let style = ShapeStyle {
            color: pen.color.mix(pen.opacity),
            filled: false,
            stroke_width: units(pen.width).unsigned_abs(),
        };
        match pen.dash {
            Dash::Solid => self.area.draw(&PathElement::new(drawn, style))?,
            Dash::Pattern { on, off } => {
                self.area
                    .draw(&DashedPathElement::new(drawn, units(on), units(off), style))?;
            }
        }
        Ok(())
    }

    /// A filled rectangle between two corners.
    pub fn fill(&self, from: (f64, f64), to: (f64, f64), color: RGBColor, opacity: f64) -> Drawn {
        let corners = [point(from), point(to)];
        let style = color.mix(opacity).filled();
        Ok(self.area.draw(&Rectangle::new(corners, style))?)
    }

    /// A marker of about `radius` around a point.
    pub fn marker(
        &self,
        (x, y): (f64, f64),
        shape: Marker,
        radius: f64,
        color: RGBColor,
        opacity: f64,
    ) -> Drawn {
        let style = color.mix(opacity).filled();
        let polygon = |corners: &[(f64, f64)]| {
            let corners: Vec<_> = corners
                .iter()
                .map(|(dx, dy)| point((x + dx * radius, y + dy * radius)))
                .collect();
            self.area.draw(&Polygon::new(corners, style))
        };
        match shape {
            Marker::Circle => self
                .area
                .draw(&Circle::new(point((x, y)), units(radius), style)),
            Marker::Triangle => polygon(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]),
            Marker::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
            Marker::Diamond => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
            Marker::Drop => polygon(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]),
        }?;
        Ok(())
    }

    /// One line of text.
    pub fn text(&self, text: &str, at: (f64, f64), anchor: Anchor, face: Type) -> Drawn {
        let h_pos = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Center => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let style = if face.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let font = (FONT, face.size * DENSITY * FONT_DIVISOR).into_font();
        let style = TextStyle::from(font.style(style))
            .color(&face.color)
            .pos(Pos::new(h_pos, VPos::Center));
        Ok(self
            .area
            .draw(&Text::new(text.to_owned(), point(at), style))?)
    }
}

//! A check's picture in the look of a run's charts: what was measured in colour, the truth dashed in grey.

use super::{Look, Picture, Series};
use crate::chart::axis::Axis;
use crate::chart::canvas::{Canvas, ChartError, Drawn, Pen, sheet};
use crate::chart::frame::{EDGE, Heading, Sample, WIDTH, draw_x, draw_y, tick_room};
use crate::chart::style::{ArmStyle, Dash, MUTED, Marker, PALETTE};

const PLOT_HEIGHT: f64 = 300.0;

/// From this many points on, dots are small and pale: where they lie thickest is what is seen.
const MANY: usize = 200;

/// One for each truth of a picture, in turn.
const TRUTH_DASHES: [Dash; 3] = [
    Dash::Pattern { on: 8.0, off: 5.0 },
    Dash::Pattern { on: 2.5, off: 3.5 },
    Dash::Pattern { on: 16.0, off: 5.0 },
];

/// One for each measured series, in turn: they can be told apart without their colours.
const MARKERS: [Marker; 5] = [
    Marker::Circle,
    Marker::Triangle,
    Marker::Square,
    Marker::Diamond,
    Marker::Drop,
];
const LINE_DASHES: [Dash; 3] = [
    Dash::Solid,
    Dash::Pattern { on: 9.0, off: 4.0 },
    Dash::Pattern { on: 5.0, off: 3.0 },
];

/// The picture as a whole SVG document; nothing where no point can be placed on its axes.
///
/// # Errors
/// Whatever the drawing library reports.
pub fn draw(picture: &Picture) -> Result<Option<String>, ChartError> {
    let series: Vec<Series> = picture.series.iter().map(|s| placed(picture, s)).collect();
    let styles = styles(&series);
    let legend = series.iter().zip(&styles);
    let legend = legend
        .filter(|(series, _)| !series.points.is_empty())
        .map(|(series, style)| (style, series.name.clone(), sample(series.look)));
    let heading = Heading::mixed(&picture.title, &picture.subtitle, legend.collect());
    let top = heading.height() + 22.0;
    let bottom = top + PLOT_HEIGHT;
    let right = WIDTH - EDGE - 26.0;

    let all = |axis: usize| series.iter().flat_map(|s| &s.points).map(move |p| p[axis]);
    let Some(y) = axis(picture.y_logarithmic, all(1), (bottom, top)) else {
        return Ok(None);
    };
    let left = EDGE + tick_room(&y);
    let Some(x) = axis(picture.x_logarithmic, all(0), (left, right)) else {
        return Ok(None);
    };
    let name = format!("{}. {}", picture.title, picture.subtitle);
    let svg = sheet((WIDTH, bottom + 50.0), &name, |canvas| {
        heading.draw(canvas)?;
        draw_y(canvas, &y, (left, right), &picture.y_title)?;
        draw_x(canvas, &x, (bottom, top), &picture.x_title)?;
        let drawn = || series.iter().zip(&styles);
        // The truth below what was measured.
        let (truths, measured) = (
            drawn().filter(|(series, _)| series.look == Look::Truth),
            drawn().filter(|(series, _)| series.look != Look::Truth),
        );
        for (series, style) in truths.chain(measured) {
            draw_series(canvas, series, style, (&x, &y))?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

/// The series without points that its axes have no place for.
fn placed(picture: &Picture, series: &Series) -> Series {
    let shown = |value: f64, logarithmic: bool| value.is_finite() && (!logarithmic || value > 0.0);
    let points = series
        .points
        .iter()
        .copied()
        .filter(|[x, y]| shown(*x, picture.x_logarithmic) && shown(*y, picture.y_logarithmic));
    Series {
        points: points.collect(),
        ..series.clone()
    }
}

fn axis(logarithmic: bool, values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Option<Axis> {
    if logarithmic {
        return Axis::log(values, ends);
    }
    let mut values = values.peekable();
    values.peek()?;
    Some(Axis::linear(values, 6, ends))
}

fn sample(look: Look) -> Sample {
    match look {
        Look::Dots => Sample::Point,
        Look::Line | Look::Truth => Sample::Plain,
    }
}

/// Colours go by a series' place among the measured ones.
fn styles(series: &[Series]) -> Vec<ArmStyle> {
    let (mut truths, mut measured) = (0, 0);
    let style = |series: &Series| {
        let (color, dash, marker) = match series.look {
            Look::Truth => {
                truths += 1;
                let dash = TRUTH_DASHES[(truths - 1) % TRUTH_DASHES.len()];
                (MUTED, dash, Marker::Circle)
            }
            Look::Dots | Look::Line => {
                measured += 1;
                let place: usize = measured - 1;
                (
                    PALETTE[place % PALETTE.len()],
                    LINE_DASHES[place % LINE_DASHES.len()],
                    MARKERS[place % MARKERS.len()],
                )
            }
        };
        ArmStyle {
            label: series.name.clone(),
            legend: series.name.clone(),
            color,
            dash,
            marker,
        }
    };
    series.iter().map(style).collect()
}

fn draw_series(
    canvas: &Canvas<'_>,
    series: &Series,
    style: &ArmStyle,
    (x, y): (&Axis, &Axis),
) -> Drawn {
    let points: Vec<_> = series
        .points
        .iter()
        .map(|p| (x.at(p[0]), y.at(p[1])))
        .collect();
    match (series.look, points.as_slice()) {
        (Look::Dots, dots) => {
            let (radius, opacity) = match dots.len() {
                0..MANY => (4.5, 0.85),
                _ => (2.6, 0.45),
            };
            dots.iter()
                .try_for_each(|at| canvas.marker(*at, style.marker, radius, style.color, opacity))
        }
        // A truth of one point holds wherever the picture reaches.
        (Look::Truth, [(_, level)]) => {
            let (from, to) = x.ends();
            canvas.line(&[(from, *level), (to, *level)], pen(style, 1.6))
        }
        (Look::Truth, line) => canvas.line(line, pen(style, 1.6)),
        (Look::Line, line) => canvas.line(line, pen(style, 2.2)),
    }
}

fn pen(style: &ArmStyle, width: f64) -> Pen {
    Pen {
        dash: style.dash,
        ..Pen::solid(style.color, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(logarithmic: bool, series: Vec<Series>) -> Picture {
        Picture {
            title: "Found & told".into(),
            subtitle: "of a test".into(),
            caption: String::new(),
            x_title: "x".into(),
            y_title: "y, ms".into(),
            x_logarithmic: logarithmic,
            y_logarithmic: logarithmic,
            series,
        }
    }

    fn series(look: Look, points: &[[f64; 2]]) -> Series {
        Series {
            name: format!("{look:?}"),
            look,
            points: points.to_vec(),
        }
    }

    #[test]
    fn each_look_is_drawn_its_own_way_on_both_kinds_of_axis() {
        for logarithmic in [false, true] {
            let all = vec![
                series(Look::Dots, &[[1.0, 2.0], [10.0, 30.0]]),
                series(Look::Line, &[[1.0, 2.0], [10.0, 30.0]]),
                series(Look::Truth, &[[1.0, 5.0]]),
            ];
            let svg = draw(&picture(logarithmic, all)).unwrap().unwrap();
            // Two dots and one in the legend.
            assert_eq!(svg.matches("<circle").count(), 3);
            assert!(svg.contains("#D55E00"), "the line's colour");
            assert!(svg.contains("Found &amp; told. of a test"));
            // A truth of one point crosses the picture, in more than one dash.
            assert!(svg.matches("stroke=\"#59636E\"").count() > 10, "{svg}");
        }
    }

    #[test]
    fn what_has_no_place_is_left_out_and_nothing_is_drawn_of_nothing() {
        assert_eq!(draw(&picture(false, Vec::new())).unwrap(), None);
        let bad = series(Look::Dots, &[[0.0, 1.0], [f64::NAN, 1.0], [1.0, -1.0]]);
        assert_eq!(draw(&picture(true, vec![bad.clone()])).unwrap(), None);
        let svg = draw(&picture(false, vec![bad])).unwrap().unwrap();
        assert_eq!(svg.matches("<circle").count(), 3, "two, and the legend's");
        let many = vec![[1.0, 1.0]; 2 * MANY];
        let svg = draw(&picture(true, vec![series(Look::Dots, &many)])).unwrap();
        assert!(svg.is_some_and(|svg| svg.contains("opacity=\"0.45\"")));
    }
}

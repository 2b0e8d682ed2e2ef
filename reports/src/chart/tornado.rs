//! What matters more than the transport: a bar for each factor's effect, the largest on top, the
//! transport's in a colour of its own.

use super::Material;
use super::axis::Axis;
use super::canvas::{Anchor, Canvas, ChartError, Drawn, Pen, sheet};
use super::frame::{EDGE, Heading, Sample, WIDTH, draw_x};
use super::style::{
    AXIS, ArmStyle, Dash, INK, LABEL, MUTED, Marker, PALETTE, TICK, Type, fitted, wrapped,
};
use crate::effect::Effect;
use crate::language::Language;
use crate::record::Metric;
use crate::screening::{ScreenedEffect, ScreenedMetric, size};
use crate::statistics::Interval;
use crate::table::word;
use crate::verdict::{Scale, harmless};

/// Room for the factors' names to the left, and for the effects in figures to the right.
const NAMES: f64 = 222.0;
const FIGURES: f64 = 172.0;

const LINE: f64 = 16.0;
const BAR: f64 = 15.0;
/// Between one factor and the next.
const GAP: f64 = 11.0;

const TRANSPORT: plotters::style::RGBColor = PALETTE[1];
const FACTOR: plotters::style::RGBColor = PALETTE[0];

/// Of a bar whose effect is not decided, or too small to matter.
const PALE: f64 = 0.45;

/// Where an effect differs by transport: on the first, on the second.
const ON: [Marker; 2] = [Marker::Circle, Marker::Diamond];

/// One effect, laid out.
struct Bar<'a> {
    own: &'a ScreenedEffect,
    value: f64,
    name: Vec<String>,
    only: Option<String>,
}

impl<'a> Bar<'a> {
    fn new(own: &'a ScreenedEffect, scale: Scale, language: Language) -> Option<Self> {
        let name = name(own, language);
        let name = format!("{name}: {} → {}", own.low, own.high);
        Some(Self {
            own,
            value: own.value(scale)?,
            name: wrapped(&name, LABEL, NAMES - 14.0),
            only: own.only.as_ref().map(|only| match language {
                Language::English => format!("on {only} only"),
                Language::Chinese => format!("仅 {only}"),
            }),
        })
    }

    fn differs(&self) -> Option<[f64; 2]> {
        let interaction = self.own.interaction.as_ref()?;
        interaction.differs.then_some(interaction.on)
    }

    /// Lines of text, of which one is that of the bar.
    fn lines(&self) -> usize {
        self.name.len() + usize::from(self.only.is_some()) + usize::from(self.differs().is_some())
    }

    fn height(&self) -> f64 {
        LINE * self.lines() as f64 + GAP
    }
}

/// Where everything is laid out.
struct Plot<'a> {
    scale: Scale,
    unit: &'a str,
    x: Axis,
    none: f64,
    language: Language,
}

pub(super) fn draw(
    material: &Material<'_>,
    (title, subtitle): (&str, &str),
    name: &str,
) -> Result<Option<String>, ChartError> {
    let screened = material.screening.and_then(|own| {
        Some((
            own.metrics.iter().find(|own| own.metric == name)?,
            &own.transports,
        ))
    });
    let Some(((screened, transports), metric)) = screened.zip(material.metric(name)) else {
        return Ok(None);
    };
    let (scale, language) = (screened.scale, material.language);
    let bars: Vec<Bar<'_>> = screened
        .effects
        .iter()
        .filter_map(|own| Bar::new(own, scale, language))
        .collect();
    let band = band(screened, metric);
    let Some(plot) = plot(&bars, band, (scale, language), &metric.unit) else {
        return Ok(None);
    };
    let legend = legend(
        transports,
        bars.iter().any(|bar| bar.differs().is_some()),
        language,
    );
    let entries = legend.iter().map(|style| (style, style.legend.clone()));
    let subtitle = match language {
        Language::English => format!(
            "{subtitle} · whiskers are intervals, the band is the margin, pale bars are not decided or within it"
        ),
        Language::Chinese => {
            format!("{subtitle} · 须线是区间，灰带是余量，浅色条无定论或在余量之内")
        }
    };
    let heading = Heading::new(title, &subtitle, entries.collect(), Sample::Point);

    let missing = missing(screened, language);
    let top = heading.height() + 6.0;
    let bottom = top + bars.iter().map(Bar::height).sum::<f64>();
    let foot = if missing.is_some() { LINE } else { 0.0 };
    let size = (WIDTH, bottom + 34.0 + foot + EDGE);
    let svg = sheet(size, &format!("{title}. {subtitle}"), |canvas| {
        heading.draw(canvas)?;
        draw_frame(canvas, &plot, (bottom, top), band)?;
        let mut y = top;
        for bar in &bars {
            draw_bar(canvas, bar, &plot, y)?;
            y += bar.height();
        }
        match &missing {
            Some(said) => canvas.text(said, (EDGE, bottom + 50.0), Anchor::Left, TICK),
            None => Ok(()),
        }
    })?;
    Ok(Some(svg))
}

/// The effects that do not matter.
fn band(screened: &ScreenedMetric, metric: &Metric) -> Interval {
    let transport = screened.effects.iter().find(|own| own.factor.is_none());
    let baseline = transport
        .and_then(|own| own.effect.baseline_value)
        .unwrap_or(0.0);
    harmless(screened.scale, metric.margin, metric.margin_kind, baseline)
}

/// `None` where there is nothing to show.
fn plot<'a>(
    bars: &[Bar<'_>],
    band: Interval,
    (scale, language): (Scale, Language),
    unit: &'a str,
) -> Option<Plot<'a>> {
    if bars.is_empty() {
        return None;
    }
    let ends = (EDGE + NAMES, WIDTH - EDGE - FIGURES);
    let of_bar = |bar: &Bar<'_>| {
        let interval = bar.own.interval(scale).into_iter().flatten();
        let on = bar.differs().into_iter().flatten();
        [bar.value]
            .into_iter()
            .chain(interval)
            .chain(on)
            .collect::<Vec<f64>>()
    };
    let values = bars.iter().flat_map(of_bar).chain([band.low, band.high]);
    let x = match scale {
        Scale::Ratio => Axis::factors(values, ends)?,
        Scale::Difference => Axis::linear(values, 5, ends),
    };
    let none = x.at(scale.no_effect());
    Some(Plot {
        scale,
        unit,
        x,
        none,
        language,
    })
}

/// The transport's bar, a factor's, and where effects differ, the markers of either transport.
fn legend([first, second]: &[String; 2], differ: bool, language: Language) -> Vec<ArmStyle> {
    let entry = |legend: String, color, marker| ArmStyle {
        label: String::new(),
        legend,
        color,
        dash: Dash::Solid,
        marker,
    };
    let mut legend = vec![
        entry(
            language.of("the transport", "传输方式").to_owned(),
            TRANSPORT,
            Marker::Square,
        ),
        entry(
            language.of("a factor", "因子").to_owned(),
            FACTOR,
            Marker::Square,
        ),
    ];
    if differ {
        legend.push(entry(alone(first, language), INK, ON[0]));
        legend.push(entry(alone(second, language), INK, ON[1]));
    }
    legend
}

fn alone(transport: &str, language: Language) -> String {
    match language {
        Language::English => format!("on {transport} alone"),
        Language::Chinese => format!("单看 {transport}"),
    }
}

/// A factor's name, or that it is the transport.
fn name(own: &ScreenedEffect, language: Language) -> String {
    let transport = language.of("transport", "传输方式");
    own.factor.as_deref().unwrap_or(transport).replace('_', " ")
}

fn missing(screened: &ScreenedMetric, language: Language) -> Option<String> {
    let missing = screened
        .effects
        .iter()
        .filter(|own| own.not_estimable.is_some());
    let named: Vec<String> = missing.map(|own| name(own, language)).collect();
    let said = match language {
        Language::English => format!("Not estimable from the valid trials: {}", named.join(", ")),
        Language::Chinese => format!("有效试验无法估计：{}", named.join("、")),
    };
    (!named.is_empty()).then(|| fitted(&said, TICK, WIDTH - 2.0 * EDGE))
}

fn draw_frame(
    canvas: &Canvas<'_>,
    plot: &Plot<'_>,
    (bottom, top): (f64, f64),
    band: Interval,
) -> Drawn {
    let x_title = match (plot.scale, plot.language) {
        (Scale::Ratio, Language::English) => {
            "the level after the arrow ÷ the one before".to_owned()
        }
        (Scale::Ratio, Language::Chinese) => "箭头后的水平 ÷ 箭头前的水平".to_owned(),
        (Scale::Difference, Language::English) => {
            format!("the level after the arrow − the one before, {}", plot.unit)
        }
        (Scale::Difference, Language::Chinese) => {
            format!("箭头后的水平 − 箭头前的水平，{}", plot.unit)
        }
    };
    let ends = [band.low, band.high].map(|end| plot.x.at(end));
    canvas.fill((ends[0], top), (ends[1], bottom), MUTED, 0.13)?;
    draw_x(canvas, &plot.x, (bottom, top), &x_title)?;
    let none = [(plot.none, top), (plot.none, bottom)];
    canvas.line(&none, Pen::solid(AXIS, 1.6))
}

fn draw_bar(canvas: &Canvas<'_>, bar: &Bar<'_>, plot: &Plot<'_>, top: f64) -> Drawn {
    let middle = top + GAP / 2.0 + LINE / 2.0;
    let bold = bar.own.factor.is_none();
    let right = WIDTH - EDGE - FIGURES;
    let mut y = middle;
    for line in &bar.name {
        canvas.text(line, (EDGE, y), Anchor::Left, Type { bold, ..LABEL })?;
        y += LINE;
    }
    if let Some(only) = &bar.only {
        canvas.text(only, (EDGE, y), Anchor::Left, TICK)?;
        y += LINE;
    }
    let (color, opacity) = (
        if bold { TRANSPORT } else { FACTOR },
        if bar.own.is_decided() { 1.0 } else { PALE },
    );
    let end = plot.x.at(bar.value);
    let (from, to) = (plot.none.min(end), plot.none.max(end));
    canvas.fill(
        (from, middle - BAR / 2.0),
        (to, middle + BAR / 2.0),
        color,
        opacity,
    )?;
    if let Some(interval) = bar.own.interval(plot.scale) {
        draw_whisker(canvas, interval.map(|end| plot.x.at(end)), middle)?;
    }
    draw_figures(canvas, bar, plot, (right + 12.0, middle))?;
    match bar.differs() {
        Some(on) => draw_differing(canvas, on, plot, y),
        None => Ok(()),
    }
}

fn draw_whisker(canvas: &Canvas<'_>, [low, high]: [f64; 2], y: f64) -> Drawn {
    let pen = Pen::solid(INK, 1.4);
    canvas.line(&[(low, y), (high, y)], pen)?;
    for end in [low, high] {
        canvas.line(&[(end, y - 4.0), (end, y + 4.0)], pen)?;
    }
    Ok(())
}

/// The effect and its verdict, right of the plot.
fn draw_figures(canvas: &Canvas<'_>, bar: &Bar<'_>, plot: &Plot<'_>, (x, y): (f64, f64)) -> Drawn {
    let Effect { verdict, .. } = bar.own.effect;
    let effect = size(plot.scale, bar.value, plot.unit);
    canvas.text(
        &effect,
        (x, y),
        Anchor::Left,
        Type {
            bold: true,
            ..LABEL
        },
    )?;
    let word = word(verdict, plot.language);
    canvas.text(word, (WIDTH - EDGE, y), Anchor::Right, TICK)
}

/// The same effect on either transport, below the bar.
fn draw_differing(canvas: &Canvas<'_>, on: [f64; 2], plot: &Plot<'_>, y: f64) -> Drawn {
    let differs = plot.language.of("differs by transport", "因传输方式而异");
    canvas.text(differs, (EDGE + 12.0, y), Anchor::Left, TICK)?;
    let ends = on.map(|value| plot.x.at(value));
    canvas.line(&ends.map(|end| (end, y)), Pen::solid(MUTED, 1.2))?;
    for (end, marker) in ends.into_iter().zip(ON) {
        canvas.marker((end, y), marker, 4.0, INK, 1.0)?;
    }
    let [first, second] = on.map(|value| size(plot.scale, value, plot.unit));
    let said = match plot.language {
        Language::English => format!("{first} and {second}"),
        Language::Chinese => format!("{first} 与 {second}"),
    };
    let x = WIDTH - EDGE - FIGURES + 12.0;
    canvas.text(
        &fitted(&said, TICK, FIGURES - 12.0),
        (x, y),
        Anchor::Left,
        TICK,
    )
}

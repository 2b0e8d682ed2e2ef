//! What all charts share: colours, sizes, and how an arm looks in each of them.

use plotters::style::RGBColor;

use crate::language::Language;
use crate::record::{Experiment, Plan};

/// The reader's own sans serif.
pub const FONT: &str = "sans-serif";

/// Behind everything, so that an SVG on its own is readable on any page.
pub const SHEET: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// Titles and figures. The page's style sheet replaces these five in dark mode.
pub const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);

/// Subtitles, ticks and axis titles.
pub const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);

/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xE4, 0xE7, 0xEB);

/// Axes.
pub const AXIS: RGBColor = RGBColor(0x9A, 0xA4, 0xAF);

/// The A/A control: it is the noise, not a contender.
pub const CONTROL: RGBColor = RGBColor(0x80, 0x86, 0x8E);

/// Okabe and Ito's colours, distinct to colour-blind eyes; without their yellow (too pale on white)
/// and black (the text's).
pub const PALETTE: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
];

/// A text's looks.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    /// Font size, CSS pixels.
    pub size: f64,
    /// Whether bold.
    pub bold: bool,
    /// Of the letters.
    pub color: RGBColor,
}

/// Bold, above the chart.
pub const TITLE: Type = Type {
    size: 17.0,
    bold: true,
    color: INK,
};

/// Grey, below the title.
pub const SUBTITLE: Type = Type {
    size: 13.0,
    bold: false,
    color: MUTED,
};

/// Legend and panel titles.
pub const LABEL: Type = Type {
    size: 12.5,
    bold: false,
    color: INK,
};

/// Ticks and axis titles.
pub const TICK: Type = Type {
    size: 12.0,
    bold: false,
    color: MUTED,
};

/// A line's pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dash {
    /// Unbroken.
    Solid,
    /// Lengths in CSS pixels.
    Pattern {
        /// Drawn.
        on: f64,
        /// Left out.
        off: f64,
    },
}

const DASHES: [Dash; 4] = [
    Dash::Solid,
    Dash::Pattern { on: 9.0, off: 4.0 },
    Dash::Pattern { on: 14.0, off: 3.0 },
    Dash::Pattern { on: 5.0, off: 3.0 },
];

const CONTROL_DASH: Dash = Dash::Pattern { on: 2.5, off: 3.0 };

/// A marker's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Round.
    Circle,
    /// Point upwards.
    Triangle,
    /// On its side.
    Square,
    /// On its corner.
    Diamond,
    /// Point downwards; the control's.
    Drop,
}

const MARKERS: [Marker; 4] = [
    Marker::Circle,
    Marker::Triangle,
    Marker::Square,
    Marker::Diamond,
];

/// How an arm looks, in every chart of a report alike.
#[derive(Debug, Clone)]
pub struct ArmStyle {
    /// The arm.
    pub label: String,
    /// What the legend says: the label, marked as control where it is one.
    pub legend: String,
    /// Of its lines and markers.
    pub color: RGBColor,
    /// Of its lines.
    pub dash: Dash,
    /// Of its points.
    pub marker: Marker,
}

/// The experiment's arms in its order; colours go by the arm's place in the plan, so that they are the
/// same in every chart.
pub fn arm_styles(plan: &Plan, experiment: &Experiment, language: Language) -> Vec<ArmStyle> {
    let mut contenders = 0;
    let mut styles = Vec::new();
    for arm in &plan.arms {
        let place = contenders;
        let (legend, color, dash, marker) = match &arm.control_of {
            Some(original) => (
                match language {
                    Language::English => format!("{} (control: {original} again)", arm.label),
                    Language::Chinese => format!("{}（对照：再测一次 {original}）", arm.label),
                },
                CONTROL,
                CONTROL_DASH,
                Marker::Drop,
            ),
            None => {
                contenders += 1;
                (
                    arm.label.clone(),
                    PALETTE[place % PALETTE.len()],
                    DASHES[place % DASHES.len()],
                    MARKERS[place % MARKERS.len()],
                )
            }
        };
        styles.push(ArmStyle {
            label: arm.label.clone(),
            legend,
            color,
            dash,
            marker,
        });
    }
    let place = |style: &ArmStyle| {
        experiment
            .arms
            .iter()
            .position(|label| *label == style.label)
    };
    styles.retain(|style| place(style).is_some());
    styles.sort_by_key(place);
    styles
}

/// About how wide a text is in CSS pixels; there is no font to ask, so it errs on the wide side.
pub fn width(text: &str, face: Type) -> f64 {
    let em: f64 =
        text.chars()
            .map(|c| match c {
                'i' | 'j' | 'l' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '/' | '(' | ')'
                | '-' => 0.36,
                'm' | 'w' | 'M' | 'W' | '%' => 0.9,
                c if c.is_uppercase() => 0.7,
                c if is_wide(c) => 1.0,
                _ => 0.58,
            })
            .sum();
    em * face.size * if face.bold { 1.08 } else { 1.0 }
}

/// `text` cut to `limit` CSS pixels, with an ellipsis where something is missing.
pub fn fitted(text: &str, face: Type, limit: f64) -> String {
    if width(text, face) <= limit {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while !kept.is_empty() && width(&kept, face) + face.size > limit {
        kept.pop();
    }
    format!("{}…", kept.trim_end())
}

/// `text` in lines of at most `limit` CSS pixels, broken at spaces and beside ideographs; a closing mark
/// stays with what it closes.
pub fn wrapped(text: &str, face: Type, limit: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (gap, piece) in unbroken(text) {
        match lines.last_mut() {
            Some(line) if width(&format!("{line}{gap}{piece}"), face) <= limit => {
                line.push_str(gap);
                line.push_str(&piece);
            }
            _ => lines.push(fitted(&piece, face, limit)),
        }
    }
    lines
}

/// Marks that begin no line, and that end none.
const CLOSING: &str = "，。、；：！？）》」”…";
const OPENING: &str = "（《「“";

/// The pieces within which no line ends, each after what separates it from the one before.
fn unbroken(text: &str) -> Vec<(&'static str, String)> {
    let mut pieces: Vec<(&str, String)> = Vec::new();
    for word in text.split_whitespace() {
        let mut gap = " ";
        let mut before = None;
        for c in word.chars() {
            let starts = before.is_none_or(|before| {
                (is_wide(before) || is_wide(c)) && !CLOSING.contains(c) && !OPENING.contains(before)
            });
            match pieces.last_mut() {
                Some((_, piece)) if !starts => piece.push(c),
                _ => pieces.push((gap, c.to_string())),
            }
            gap = "";
            before = Some(c);
        }
    }
    pieces
}

/// An ideograph, or a full-width mark.
fn is_wide(c: char) -> bool {
    u32::from(c) >= 0x2E80
}

//! What a plan says in English, in another language: the caller's table of whole texts.

use crate::record::{Chart, Experiment, Plan};

/// Pairs of an English text and its translation. `{}` stands for a piece that varies, such as a number;
/// the pieces stand in the same order in both, and each is looked up as a text of its own. A text without
/// an entry stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dictionary(&'static [(&'static str, &'static str)]);

/// Where a text has a piece that varies.
const HOLE: &str = "{}";

impl Dictionary {
    /// Without a single entry: every text stays English.
    pub const EMPTY: Self = Self(&[]);

    /// Of these pairs; where several fit, the first counts, and one without holes before any with.
    pub const fn new(pairs: &'static [(&'static str, &'static str)]) -> Self {
        Self(pairs)
    }

    /// Whether there is an entry for it.
    pub fn has(&self, english: &str) -> bool {
        self.find(english).is_some()
    }

    /// The translation, or the text itself.
    pub fn text(&self, english: &str) -> String {
        self.find(english).unwrap_or_else(|| english.to_owned())
    }

    fn find(&self, english: &str) -> Option<String> {
        let exact = self.0.iter().find(|(own, _)| *own == english);
        if let Some((_, translation)) = exact {
            return Some((*translation).to_owned());
        }
        let mut with_holes = self.0.iter().filter(|(own, _)| own.contains(HOLE));
        with_holes
            .find_map(|(own, translation)| Some(self.filled(translation, &pieces(own, english)?)))
    }

    fn filled(&self, translation: &str, pieces: &[&str]) -> String {
        let mut pieces = pieces.iter();
        let mut parts = translation.split(HOLE);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            out.push_str(&pieces.next().map_or_else(String::new, |own| self.text(own)));
            out.push_str(part);
        }
        out
    }

    /// The plan with all that it says translated; names, labels and units stay.
    pub fn plan(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        plan.question = self.text(&plan.question);
        for text in &mut plan.notes {
            *text = self.text(text);
        }
        for claim in &mut plan.claims {
            claim.statement = self.text(&claim.statement);
            claim.remark = self.text(&claim.remark);
        }
        for experiment in &mut plan.experiments {
            self.experiment(experiment);
        }
        plan
    }

    fn experiment(&self, experiment: &mut Experiment) {
        for text in [&mut experiment.title, &mut experiment.question] {
            *text = self.text(text);
        }
        for metric in &mut experiment.metrics {
            metric.title = self.text(&metric.title);
            metric.margin_reason = self.text(&metric.margin_reason);
        }
        for text in experiment.charts.iter_mut().flat_map(texts) {
            *text = self.text(text);
        }
    }
}

/// All that a chart says.
fn texts(chart: &mut Chart) -> Vec<&mut String> {
    match chart {
        Chart::Percentiles {
            title,
            subtitle,
            caption,
            ..
        }
        | Chart::Dots {
            title,
            subtitle,
            caption,
            ..
        }
        | Chart::Multiples {
            title,
            subtitle,
            caption,
            ..
        }
        | Chart::Stack {
            title,
            subtitle,
            caption,
            ..
        }
        | Chart::Tornado {
            title,
            subtitle,
            caption,
            ..
        } => vec![title, subtitle, caption],
        Chart::Slope {
            title,
            subtitle,
            caption,
            x_title,
            y_title,
            ..
        } => {
            vec![title, subtitle, caption, x_title, y_title]
        }
        Chart::Timeline {
            title,
            subtitle,
            caption,
            y_title,
            mark_titles,
            ..
        } => {
            let mut texts = vec![title, subtitle, caption, y_title];
            texts.extend(mark_titles);
            texts
        }
    }
}

/// What stands in the holes of `pattern`, where the whole text fits it; no piece is empty.
fn pieces<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let (head, rest) = pattern.split_once(HOLE)?;
    let mut text = text.strip_prefix(head)?;
    let mut pieces = Vec::new();
    let mut between: Vec<&str> = rest.split(HOLE).collect();
    let tail = between.pop()?;
    for part in between {
        let (piece, after) = text.split_once(part)?;
        pieces.push(piece);
        text = after;
    }
    pieces.push(text.strip_suffix(tail)?);
    pieces
        .iter()
        .all(|piece| !piece.is_empty())
        .then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Dictionary = Dictionary::new(&[
        ("What moves the {}", "什么左右{}"),
        ("latency p50", "延迟 p50"),
        ("{} streams, {} ms", "{} 条流，{} ms"),
        ("12 streams, 3 ms", "十二条流"),
    ]);

    #[test]
    fn a_text_is_found_whole_or_by_its_pattern_and_never_lost() {
        for (english, chinese) in [
            ("latency p50", "延迟 p50"),
            ("What moves the latency p50", "什么左右延迟 p50"),
            ("What moves the tides", "什么左右tides"),
            ("100 streams, 2.5 ms", "100 条流，2.5 ms"),
            ("12 streams, 3 ms", "十二条流"),
            (" streams, 3 ms", " streams, 3 ms"),
            ("latency p99", "latency p99"),
            ("", ""),
        ] {
            assert_eq!(OWN.text(english), chinese);
            assert_eq!(OWN.has(english), english != chinese);
        }
    }
}

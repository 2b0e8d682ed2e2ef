//! Numbers to predict or to compute.

use pushbench_reports::{language::Language, quantity::number};

use super::{Answers, Mark, NOT_ANSWERED, said};

/// How far an answer may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Not at all.
    Exact,
    /// A share of the truth.
    Share(f64),
}

/// A number, and what it is for certain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// By which it is answered.
    pub key: &'static str,
    /// The truth.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
    /// How far off is right.
    pub tolerance: Tolerance,
    /// Where the truth comes from, in the reader's language.
    pub why: &'static str,
}

impl Expected {
    fn allows(&self, answer: f64) -> bool {
        match self.tolerance {
            Tolerance::Exact => answer == self.value,
            Tolerance::Share(share) => (answer - self.value).abs() <= share * self.value.abs(),
        }
    }
}

/// Each answer against the truth.
///
/// # Errors
/// A key that is not asked, or no number.
pub fn grade(
    expected: &[Expected],
    answers: &Answers,
    language: Language,
) -> anyhow::Result<Vec<Mark>> {
    let marks = expected.iter().map(|own| {
        let Expected {
            key,
            value,
            unit,
            why,
            ..
        } = own;
        let truth = number(*value);
        Ok(match answers.number(key)? {
            Some(answer) if own.allows(answer) => Mark {
                right: true,
                text: format!("{key} = {truth} {unit}"),
            },
            Some(answer) => {
                let is = language.of("it is", "应为");
                let answer = number(answer);
                Mark {
                    right: false,
                    text: format!("{key}={answer}: {is} {truth} {unit}\n    {why}"),
                }
            }
            None => Mark {
                right: false,
                text: format!("{key}: {}", said(NOT_ANSWERED, language)),
            },
        })
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_within_its_tolerance() {
        let expected = |tolerance| Expected {
            key: "n",
            value: 100.0,
            unit: "bytes",
            tolerance,
            why: "counted",
        };
        let right = |tolerance, answer: &str| {
            let answers = Answers::parse([answer]).unwrap();
            let marks = grade(&[expected(tolerance)], &answers, Language::English).unwrap();
            assert_eq!(marks[0].text.contains("counted"), !marks[0].right);
            marks[0].right
        };
        assert!(right(Tolerance::Exact, "n=100") && !right(Tolerance::Exact, "n=101"));
        let tenth = Tolerance::Share(0.1);
        assert!(right(tenth, "n=91") && right(tenth, "n=109"));
        assert!(!right(tenth, "n=89") && !right(tenth, "n=111"));
        let none = Answers::default();
        let marks = grade(&[expected(tenth)], &none, Language::Chinese).unwrap();
        assert!(!marks[0].right);
    }
}

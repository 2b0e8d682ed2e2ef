//! Statements to sort.

use pushbench_reports::language::Language;

use super::{Answers, Mark, NOT_ANSWERED, Words, said};

/// A statement, and where it belongs.
#[derive(Debug)]
pub struct Statement {
    /// By which it is answered.
    pub key: &'static str,
    /// What is stated.
    pub text: Words,
    /// One of the lesson's kinds.
    pub truth: &'static str,
    /// Why.
    pub why: Words,
}

/// Each answer against its truth; `kinds` is what may be answered.
///
/// # Errors
/// A key or a kind that there is not.
pub fn grade(
    statements: &[Statement],
    kinds: &[&str],
    answers: &Answers,
    language: Language,
) -> anyhow::Result<Vec<Mark>> {
    let keys: Vec<_> = statements.iter().map(|own| own.key).collect();
    answers.only(&keys)?;
    let marks = statements.iter().map(|own| {
        let answer = answers.text(own.key);
        if let Some(answer) = answer.filter(|answer| !kinds.contains(answer)) {
            let kinds = kinds.join(", ");
            anyhow::bail!("`{}={answer}` is none of {kinds}", own.key);
        }
        let right = answer == Some(own.truth);
        let (key, statement) = (own.key, said(own.text, language));
        let text = match answer {
            Some(answer) if right => format!("{key}={answer}  {statement}"),
            Some(answer) => {
                let why = said(own.why, language);
                format!("{key}={answer}  {statement}\n    {why}")
            }
            None => {
                let missing = said(NOT_ANSWERED, language);
                format!("{key}: {missing}  {statement}")
            }
        };
        Ok(Mark { right, text })
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [Statement; 2] = [
        Statement {
            key: "a",
            text: ("water is wet", "水是湿的"),
            truth: "true",
            why: ("touch it", "摸一下"),
        },
        Statement {
            key: "b",
            text: ("fire is cold", "火是冷的"),
            truth: "false",
            why: ("do not touch it", "别摸"),
        },
    ];

    #[test]
    fn a_wrong_answer_is_explained_and_a_missing_one_told() {
        let graded = |texts: &[&str]| {
            let answers = Answers::parse(texts.iter().copied())?;
            grade(&TWO, &["true", "false"], &answers, Language::Chinese)
        };
        let marks = graded(&["a=true", "b=true"]).unwrap();
        assert!(marks[0].right && !marks[1].right);
        assert!(marks[1].text.contains("别摸"), "{marks:?}");
        let marks = graded(&["b=false"]).unwrap();
        assert!(!marks[0].right && marks[0].text.contains("没有回答") && marks[1].right);
        assert!(graded(&["a=maybe"]).is_err() && graded(&["c=true"]).is_err());
    }
}

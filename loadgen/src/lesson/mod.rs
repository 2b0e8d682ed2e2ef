//! The book's exercises: what each asks, and how an answer is graded. One file a lesson; a lesson is asked
//! without an answer and graded with one.

mod agents;
mod answer;
mod articles;
mod buffers;
mod bytes;
mod capstone;
mod case_study;
mod choices;
mod coalescing;
mod cuts;
mod measured;
mod numbers;
mod omission;
mod parser;
mod post;
mod program;
mod relay;
mod round_trips;
mod stage;
mod stop;

use std::path::PathBuf;

use anyhow::bail;
use pushbench_reports::language::Language;

use crate::bench::Site;

pub use answer::Answers;
pub use capstone::Workload;

/// A text in English and in Chinese.
pub type Words = (&'static str, &'static str);

/// The one in the reader's language.
fn said(words: Words, language: Language) -> &'static str {
    language.of(words.0, words.1)
}

/// Said of what was asked and is missing.
const NOT_ANSWERED: Words = ("not answered", "没有回答");

/// What there is to know of a lesson before it is taken.
#[derive(Debug)]
pub struct Lesson {
    /// The chapter's.
    pub number: u8,
    /// Heading.
    pub title: Words,
    /// What is asked, and how to answer.
    pub question: Words,
}

/// Every lesson, in order.
pub const LESSONS: [&Lesson; 13] = [
    &articles::LESSON,
    &bytes::LESSON,
    &parser::LESSON,
    &post::LESSON,
    &omission::LESSON,
    &coalescing::LESSON,
    &buffers::LESSON,
    &cuts::LESSON,
    &round_trips::LESSON,
    &stop::LESSON,
    &agents::LESSON,
    &case_study::LESSON,
    &capstone::LESSON,
];

/// How a lesson is taken.
#[derive(Debug)]
pub struct Call {
    /// Of what is said.
    pub language: Language,
    /// `KEY=VALUE`.
    pub answers: Answers,
    /// A file in place of values: lesson 5's plan.
    pub file: Option<PathBuf>,
    /// The learner's program and its arguments.
    pub program: Vec<String>,
    /// Whether to record what crosses the wire, in lesson 1.
    pub capture: bool,
    /// Where files are written.
    pub out: PathBuf,
    /// The learner's own run, in lesson 12.
    pub run: Option<PathBuf>,
    /// What it is for.
    pub workload: Option<Workload>,
    /// Where trials run; no directory yet.
    pub site: Site,
}

impl Call {
    /// Whether nothing was answered, so that the lesson is asked.
    fn asks(&self) -> bool {
        self.answers.is_empty()
            && self.file.is_none()
            && self.program.is_empty()
            && self.run.is_none()
    }
}

/// One part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whether it is right.
    pub right: bool,
    /// What was answered, and of a wrong one why it is.
    pub text: String,
}

/// What came of taking a lesson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The question, with what was prepared for it.
    Asked(String),
    /// The answer, part by part; passed if all are right.
    Graded(Vec<Mark>),
}

/// Refuses what this lesson has no use for: an option that did nothing would pass for one that was heard.
fn fits(lesson: &Lesson, call: &Call) -> anyhow::Result<()> {
    let number = lesson.number;
    let programs = [2, 3, 7, 9];
    let refused = [
        (call.capture, number == 1 && call.asks(), "--capture"),
        (
            !call.program.is_empty(),
            programs.contains(&number),
            "a program",
        ),
        (call.run.is_some(), number == 12, "--run"),
        (call.workload.is_some(), number == 12, "--workload"),
    ];
    match refused
        .iter()
        .find(|(given, has_use, _)| *given && !has_use)
    {
        None => Ok(()),
        Some((.., what)) => bail!(
            "lesson {number} has no use for {what} here: `pushbench lesson {number}` says how to answer"
        ),
    }
}

/// Asks or grades.
///
/// # Errors
/// An answer that cannot be read, or an exercise that cannot be set up.
pub async fn take(lesson: &Lesson, call: &Call) -> anyhow::Result<Outcome> {
    fits(lesson, call)?;
    if call.asks() {
        let prepared = match lesson.number {
            1 if call.capture => bytes::capture(call).await?,
            4 => omission::prepare(call)?,
            _ => String::new(),
        };
        let question = said(lesson.question, call.language);
        return Ok(Outcome::Asked(format!("{question}\n{prepared}")));
    }
    let marks = match lesson.number {
        0 => articles::grade(call)?,
        1 => bytes::grade(call).await?,
        2 => parser::grade(call).await?,
        3 => post::grade(call).await?,
        4 => omission::grade(call)?,
        5 => coalescing::grade(call).await?,
        6 => buffers::grade(call).await?,
        7 => cuts::grade(call).await?,
        8 => round_trips::grade(call).await?,
        9 => stop::grade(call).await?,
        10 => agents::grade(call)?,
        11 => case_study::grade(call)?,
        12 => capstone::grade(call)?,
        other => bail!("there is no lesson {other}: they are 0 to 12"),
    };
    Ok(Outcome::Graded(marks))
}

/// The learner's program, or how to name it.
fn program_of(call: &Call) -> anyhow::Result<&[String]> {
    if call.program.is_empty() {
        bail!(
            "this lesson runs a program of yours: name it behind `--`, such as `-- python3 mine.py`"
        );
    }
    Ok(&call.program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lessons_are_numbered_as_they_stand() {
        for (lesson, number) in LESSONS.iter().zip(0..) {
            assert_eq!(lesson.number, number);
            let command = format!("pushbench lesson {number}");
            for text in [lesson.question.0, lesson.question.1] {
                assert!(text.contains(&command), "{number} does not say how");
            }
        }
    }
}

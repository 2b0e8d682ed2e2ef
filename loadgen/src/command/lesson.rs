//! `pushbench lesson`: the book's exercises, asked and graded.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use pushbench_reports::language::Language;

use super::{
    run::{outcome::INTERRUPTED, site},
    say, single_threaded, stop_signal,
};
use crate::{
    lesson::{Answers, Call, LESSONS, Lesson, Mark, Outcome, Workload, take},
    meter::limits::raise_open_files,
};

/// Take a lesson of the book: without an answer it is asked, with one it is graded
///
/// Exits with 1 if an answer is wrong.
#[derive(Debug, clap::Args)]
pub struct Take {
    /// The chapter's number; without it the lessons are listed
    #[arg(value_name = "N")]
    number: Option<u8>,

    /// Answers, as KEY=VALUE; lesson 5 takes a plan file
    #[arg(value_name = "ANSWER")]
    answers: Vec<String>,

    /// Language of the lesson: en or zh
    #[arg(long, value_name = "LANG", default_value_t)]
    lang: Language,

    /// Lesson 1: record what crosses the wire, and write it to files
    #[arg(long)]
    capture: bool,

    /// Directory for what a lesson writes
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Lesson 12: directory of your own run
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,

    /// Lesson 12: what is chosen for
    #[arg(long, value_name = "NAME")]
    workload: Option<Workload>,

    /// Your program, behind `--`
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// Lists, asks or grades.
///
/// # Errors
/// Bad input, or a lesson that cannot be set up.
pub fn run(args: Take) -> anyhow::Result<ExitCode> {
    let Some(number) = args.number else {
        say(&list(args.lang))?;
        return Ok(ExitCode::SUCCESS);
    };
    let lesson = LESSONS
        .into_iter()
        .find(|lesson| lesson.number == number)
        .with_context(|| format!("there is no lesson {number}: they are 0 to 12"))?;
    let language = args.lang;
    let call = call(args)?;
    raise_open_files();
    let outcome = single_threaded()?.block_on(async {
        let mut stop = std::pin::pin!(stop_signal()?);
        tokio::select! {
            // Dropping the lesson ends what it started, the learner's program too.
            () = &mut stop => Ok(None),
            outcome = take(lesson, &call) => outcome.map(Some),
        }
    })?;
    let Some(outcome) = outcome else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    match outcome {
        Outcome::Asked(question) => {
            say(&format!("{}\n\n{}", heading(lesson, language), question))?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Graded(marks) => {
            let passed = marks.iter().all(|mark| mark.right);
            say(&graded(lesson, &marks, passed, language))?;
            Ok(ExitCode::from(u8::from(!passed)))
        }
    }
}

fn call(args: Take) -> anyhow::Result<Call> {
    let (files, answers): (Vec<_>, Vec<_>) = args
        .answers
        .into_iter()
        .partition(|text| !text.contains('='));
    let file = match files.as_slice() {
        [] => None,
        [file] if args.number == Some(5) => Some(PathBuf::from(file)),
        [other, ..] => bail!("`{other}` is no answer: write KEY=VALUE"),
    };
    Ok(Call {
        language: args.lang,
        answers: Answers::parse(answers.iter().map(String::as_str))?,
        file,
        program: args.program,
        capture: args.capture,
        out: args.out,
        run: args.run,
        workload: args.workload,
        site: site()?,
    })
}

fn list(language: Language) -> String {
    let lines = LESSONS.map(|lesson| format!("{}\n", heading(lesson, language)));
    lines.concat()
}

fn heading(lesson: &Lesson, language: Language) -> String {
    let title = language.of(lesson.title.0, lesson.title.1);
    format!("{}. {title}", lesson.number)
}

fn graded(lesson: &Lesson, marks: &[Mark], passed: bool, language: Language) -> String {
    let lines = marks.iter().map(|mark| {
        let sign = if mark.right { "✓" } else { "✗" };
        format!("{sign} {}\n", mark.text)
    });
    let number = lesson.number;
    let end = match (passed, language) {
        (true, Language::English) => format!("lesson {number}: passed"),
        (false, Language::English) => format!("lesson {number}: not yet"),
        (true, Language::Chinese) => format!("第 {number} 课：通过"),
        (false, Language::Chinese) => format!("第 {number} 课：还没有"),
    };
    format!("{}{end}\n", lines.collect::<String>())
}

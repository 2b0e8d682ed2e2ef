//! `claims.html`: every claim with its verdict on one page, in both languages, without network or script.

use askama::Template;

use super::Verdicts;
use super::book::{bearing, verdict};
use super::claim::Words;
use super::judged::{Figure, Judged};
use super::phrase::Both;
use super::rule::{Bearing, Verdict};
use crate::language::Language;
use crate::link::link;

/// What the template shows.
#[derive(Template)]
#[template(path = "claims.html")]
struct Page<'a> {
    verdicts: &'a Verdicts,
    language: Language,
}

/// The whole page, which shows `language` first.
///
/// # Errors
/// Whatever the template engine reports; into memory it has no reason to.
pub fn page(verdicts: &Verdicts, language: Language) -> Result<String, askama::Error> {
    Page { verdicts, language }.render()
}

/// A text in each language, for the template.
fn each(words: &Words) -> Both {
    Both {
        en: words.en.to_owned(),
        zh: words.zh.to_owned(),
    }
}

fn told(claim: &Judged) -> Both {
    Both::each(|language| verdict(claim, language))
}

fn says(own: &Bearing) -> Both {
    Both::each(|language| bearing(*own, language).to_owned())
}

/// The look of a verdict, by the classes that every page has.
fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "supported",
        Verdict::Refuted => "contradicted",
        Verdict::DependsOn => "mixed",
        Verdict::NotDecidableHere => "undecidable",
    }
}

/// The same of what a figure says.
fn look(bearing: &Bearing) -> &'static str {
    match bearing {
        Bearing::Holds => "supported",
        Bearing::Fails => "contradicted",
        Bearing::Open | Bearing::Missing => "undecidable",
    }
}

/// Address of the page of a figure's run.
fn run(figure: &Figure) -> String {
    match figure.run.as_str() {
        "" => link("index.html"),
        run => link(&format!("{run}/index.html")),
    }
}

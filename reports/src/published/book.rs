//! The book's chapter of claims, one a language.

use std::fmt::Write;

use super::Verdicts;
use super::judged::{Figure, Finding, Judged};
use super::rule::{Bearing, Verdict};
use crate::language::Language;
use crate::link::link;
use crate::markdown::plain;

/// The chapter; `way` leads from its folder to the runs'.
pub fn chapter(verdicts: &Verdicts, way: &str, language: Language) -> String {
    let mut out = opening(verdicts, language);
    out += &overview(verdicts, language);
    for claim in &verdicts.claims {
        out += &section(claim, way, language);
    }
    out
}

fn opening(verdicts: &Verdicts, language: Language) -> String {
    let [confirmed, refuted, depends, open] = [
        Verdict::Confirmed,
        Verdict::Refuted,
        Verdict::DependsOn,
        Verdict::NotDecidableHere,
    ]
    .map(|verdict| verdicts.count(verdict));
    let all = verdicts.claims.len();
    match language {
        Language::English => format!(
            "# Claims on trial\n\n[中文](../zh/claims.md)\n\n\
             <!-- Written by `pushbench claims`; a change by hand is lost. -->\n\n\
             What others have published on SSE and WebSocket, held against the committed runs. A rule over figures and \
             their intervals decides each; the rule stands in its section. Of {all} claims {confirmed} are confirmed, \
             {refuted} refuted, {depends} depend on a knob, and {open} cannot be decided here. Where a claim was made at a \
             larger scale than this machine has, our slope carries the figure there and the section says so. `pushbench \
             claims docs/sample --book docs` renews this page.\n\n"
        ),
        Language::Chinese => format!(
            "# 公开说法的检验\n\n[English](../en/claims.md)\n\n\
             <!-- 由 `pushbench claims` 生成，手工修改会丢失。 -->\n\n\
             关于 SSE 和 WebSocket，别人公开发表过的说法，在这里与已提交的运行记录对照。判定由数字及其区间上的规则作出，规则写在各节里。{all} \
             条说法中，{confirmed} 条证实，{refuted} 条证伪，{depends} 条取决于某个因素，{open} 条在这里无法判定。说法的规模大于本机所能达到的，\
             按我们的斜率推算，并在该节注明。运行 `pushbench claims docs/sample --book docs` 可以更新本页。\n\n"
        ),
    }
}

/// A table of all.
fn overview(verdicts: &Verdicts, language: Language) -> String {
    let mut out = language
        .of(
            "| | Claim | Verdict | Published |\n|---|---|---|---|\n",
            "| | 说法 | 判定 | 公开的数字 |\n|---|---|---|---|\n",
        )
        .to_owned();
    for claim in &verdicts.claims {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} | **{}** | {} |",
            claim.number,
            text(language.of(claim.statement.en, claim.statement.zh)),
            text(&verdict(claim, language)),
            text(language.of(claim.published.en, claim.published.zh)),
        );
    }
    out
}

fn section(claim: &Judged, way: &str, language: Language) -> String {
    let own = |words: super::claim::Words| language.of(words.en, words.zh);
    let line = |out: &mut String, title: &str, said: &str| {
        let _ = writeln!(
            out,
            "- **{title}**{}{}",
            language.of(": ", "："),
            text(said)
        );
    };
    let mut out = format!(
        "\n## {}. {}\n\n**{}**{} {}\n\n",
        claim.number,
        text(own(claim.statement)),
        text(&verdict(claim, language)),
        language.of(".", "。"),
        text(claim.sentence.of(language)),
    );
    line(&mut out, language.of("Source", "来源"), own(claim.source));
    line(
        &mut out,
        language.of("Published", "公开的数字"),
        own(claim.published),
    );
    line(
        &mut out,
        language.of("Conditions", "条件"),
        own(claim.conditions),
    );
    line(
        &mut out,
        language.of("Judged by", "判定方法"),
        claim.judged_by.of(language),
    );
    line(&mut out, language.of("To know", "说明"), own(claim.remark));
    if !claim.findings.is_empty() {
        out += language.of(
            "\n| Figure | Here | Bearing | Rule | Run |\n|---|---|---|---|---|\n",
            "\n| 数字 | 这里的结果 | 意义 | 规则 | 运行 |\n|---|---|---|---|---|\n",
        );
        for finding in &claim.findings {
            out += &row(finding, way, language);
        }
    }
    out
}

fn row(finding: &Finding, way: &str, language: Language) -> String {
    let mut what = text(language.of(finding.what.en, finding.what.zh));
    if !finding.decides {
        what += language.of(" (beside)", "（仅供参考）");
    }
    let (here, run) = match &finding.figure {
        None => (
            language.of("no record", "没有记录").to_owned(),
            format!("`pushbench run --plan {}`", finding.plan),
        ),
        Some(figure) => (here(figure, language), run(figure, way, language)),
    };
    format!(
        "| {what} | {here} | {} | {} | {run} |\n",
        bearing(finding.bearing, language),
        text(finding.rule.of(language)),
    )
}

fn here(figure: &Figure, language: Language) -> String {
    let mut here = format!(
        "**{}**<br>{}",
        text(figure.shown.of(language)),
        text(figure.sides.of(language))
    );
    let carried = figure.carried.of(language);
    if !carried.is_empty() {
        here += &format!("<br>{}", text(carried));
    }
    here
}

fn run(figure: &Figure, way: &str, language: Language) -> String {
    let page = match figure.run.as_str() {
        "" => "index.html".to_owned(),
        run => format!("{run}/index.html"),
    };
    // The address starts with `./`, which a way before it has no use for.
    let page = link(&format!("{way}{page}"));
    let page = page.strip_prefix("./").unwrap_or(&page);
    let rounds = figure.rounds;
    let commit = plain(&figure.commit);
    let workload = plain(figure.workload.of(language));
    let (plan, machine) = (plain(&figure.run_plan), plain(&figure.machine));
    match language {
        Language::English => {
            format!(
                "[plan {plan}]({page})<br>{workload}, {rounds} rounds, commit {commit}; {machine}"
            )
        }
        Language::Chinese => {
            format!("[计划 {plan}]({page})<br>{workload}，{rounds} 轮，提交 {commit}；{machine}")
        }
    }
}

/// The verdict in words.
pub fn verdict(claim: &Judged, language: Language) -> String {
    let word = match claim.verdict {
        Verdict::Confirmed => language.of("confirmed", "证实"),
        Verdict::Refuted => language.of("refuted", "证伪"),
        Verdict::DependsOn => language.of("depends on ", "取决于"),
        Verdict::NotDecidableHere => language.of("not decidable here", "在这里无法判定"),
    };
    let knob = claim.knob.map_or("", |knob| language.of(knob.en, knob.zh));
    format!("{word}{knob}")
}

/// What a figure says of a claim, in a word.
pub fn bearing(bearing: Bearing, language: Language) -> &'static str {
    match bearing {
        Bearing::Holds => language.of("holds", "成立"),
        Bearing::Fails => language.of("fails", "不成立"),
        Bearing::Open => language.of("open", "未定"),
        Bearing::Missing => language.of("no record", "没有记录"),
    }
}

/// Prose whose names stand between backticks: what is between them stays code, all else is plain.
fn text(prose: &str) -> String {
    let pieces = crate::page::pieces(prose);
    let shown = pieces.iter().map(|piece| match piece.code {
        // A backtick cannot be in it, and a cell ends at a bar even within code.
        true => format!("`{}`", piece.text.replace('|', "\\|")),
        false => plain(piece.text),
    });
    shown.collect()
}

//! A calibration's files: its JSON, its charts, and a page that needs neither network nor script.

use std::path::{Path, PathBuf};

use askama::Template;

use super::{Calibration, Check, FILE, chart, markdown::markdown};
use crate::link::link;
use crate::render::{RenderError, write};

/// What the template shows.
#[derive(Template)]
#[template(path = "calibration.html")]
struct Page<'a> {
    calibration: &'a Calibration,
    answer: String,
    sections: Vec<Section<'a>>,
}

/// One check with its chart.
struct Section<'a> {
    check: &'a Check,
    /// Caption, address, SVG document.
    figure: Option<(&'a str, String, String)>,
}

/// Writes `calibration.json`, `calibration.md`, `charts/*.svg` and `index.html` into `dir`, and returns
/// the page's path. The same calibration gives the same bytes.
///
/// # Errors
/// [`RenderError`], naming the file and the remedy.
pub fn render_calibration(calibration: &Calibration, dir: &Path) -> Result<PathBuf, RenderError> {
    let mut charts = Vec::new();
    for check in &calibration.checks {
        let svg = check.picture.as_ref().map(chart::draw).transpose()?;
        charts.push(svg.flatten().map(|svg| (chart_path(check), svg)));
    }
    let answer = answer(calibration);
    let paths: Vec<_> = charts
        .iter()
        .map(|chart| chart.as_ref().map(|(path, _)| link(path)))
        .collect();
    let summary = markdown(calibration, &answer, &paths);
    let page = page(calibration, answer, &charts)?;
    let mut json = serde_json::to_vec_pretty(calibration)?;
    json.push(b'\n');
    // All is ready before the first is written; the page last, for it links to the others.
    for (path, svg) in charts.iter().flatten() {
        write(&dir.join(path), svg.as_bytes())?;
    }
    write(&dir.join(FILE), &json)?;
    write(&dir.join("calibration.md"), summary.as_bytes())?;
    let index = dir.join("index.html");
    write(&index, page.as_bytes())?;
    Ok(index)
}

fn page(
    calibration: &Calibration,
    answer: String,
    charts: &[Option<(String, String)>],
) -> Result<String, askama::Error> {
    let sections = calibration.checks.iter().zip(charts);
    let sections = sections.map(|(check, drawn)| Section {
        check,
        figure: drawn
            .as_ref()
            .zip(check.picture.as_ref())
            .map(|(drawn, picture)| {
                let (path, svg) = drawn;
                (picture.caption.as_str(), link(path), svg.clone())
            }),
    });
    Page {
        calibration,
        answer,
        sections: sections.collect(),
    }
    .render()
}

/// Below the calibration's directory. A name is the program's own; one that is not stays in the folder.
fn chart_path(check: &Check) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = check.name.chars().map(plain).collect();
    format!("charts/{:02}-{name}.svg", check.number)
}

/// What came out, in one or two sentences.
pub fn answer(calibration: &Calibration) -> String {
    let checks = &calibration.checks;
    let failed = checks.iter().filter(|check| !check.passed());
    let failed: Vec<String> = failed.map(|check| check.name.clone()).collect();
    let count = |count: usize| match count {
        1 => "1 check".to_owned(),
        count => format!("{count} checks"),
    };
    match (checks.len(), failed.len()) {
        (0, _) => "No check was finished, so nothing is shown.".to_owned(),
        (made, 0) => format!("{} made, and every row passed.", count(made)),
        (made, bad) => format!(
            "{} made, {bad} of them failed: {}. What these measure is not to be trusted on this machine with this build.",
            count(made),
            failed.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{FORMAT, Look, Picture, Row, Series};
    use super::*;

    fn row(pass: bool) -> Row {
        Row {
            subject: "ws-h1 <p50>".into(),
            truth: "5 ms".into(),
            measured: "5.01 ms".into(),
            tolerance: "± 2 %".into(),
            pass,
        }
    }

    fn check(number: u32, name: &str, rows: Vec<Row>) -> Check {
        Check {
            number,
            name: name.into(),
            title: format!("Check {name}"),
            method: "Injects, measures.".into(),
            counts: "20 trials".into(),
            rows,
            picture: Some(Picture {
                title: "Seen".into(),
                subtitle: "of it".into(),
                caption: "Read it so.".into(),
                x_title: "x".into(),
                y_title: "y".into(),
                x_logarithmic: false,
                y_logarithmic: true,
                series: vec![Series {
                    name: "measured".into(),
                    look: Look::Dots,
                    points: vec![[1.0, 2.0]],
                }],
            }),
            note: String::new(),
        }
    }

    fn calibration(checks: Vec<Check>) -> Calibration {
        Calibration {
            format: FORMAT,
            started_at: "2026-11-24T12:00:00Z".into(),
            duration_s: 61.2,
            quick: true,
            machine: "m".into(),
            build: "b".into(),
            environment: [("cpu".to_owned(), "a <cpu>".to_owned())].into(),
            client_us: [("sse-h1".to_owned(), 3.1)].into(),
            checks,
        }
    }

    #[test]
    fn the_same_calibration_gives_the_same_files() {
        let of = calibration(vec![
            check(1, "delay", vec![row(true)]),
            check(2, "../stall", vec![row(true), row(false)]),
        ]);
        let read = || {
            let temp = tempfile::TempDir::new().unwrap();
            render_calibration(&of, temp.path()).unwrap();
            let charts = ["charts/01-delay.svg", "charts/02----stall.svg"];
            [
                charts[0],
                charts[1],
                "index.html",
                "calibration.json",
                "calibration.md",
            ]
            .map(|name| fs::read_to_string(temp.path().join(name)).unwrap())
        };
        let files = read();
        assert_eq!(files, read());
        let page = &files[2];
        assert!(page.contains("2 checks made, 1 of them failed: ../stall"));
        assert!(page.contains("ws-h1 &#60;p50&#62;") && !page.contains("<p50>"));
        assert!(page.contains("✓ passed") && page.contains("✗ failed"));
        assert!(page.contains("default-src 'none'") && !page.contains("<script"));
        let again: Calibration = serde_json::from_str(&files[3]).unwrap();
        assert_eq!(again, of);
    }

    #[test]
    fn what_was_not_shown_has_not_passed() {
        assert!(!calibration(Vec::new()).passed());
        assert!(answer(&calibration(Vec::new())).contains("nothing"));
        let empty = calibration(vec![check(1, "delay", Vec::new())]);
        assert!(!empty.passed() && answer(&empty).contains("failed: delay"));
        let one = calibration(vec![check(9, "quantiles", vec![row(true)])]);
        assert!(one.passed());
        let digest = one.digest(12);
        assert_eq!((digest.passed, digest.of, digest.quick), (1, 12, true));
    }
}

//! `summary.md`: the page's first half for a terminal, a pull request or a README.

use std::fmt::Write as _;

use crate::estimate::level;
use crate::preface::{calibration, looks, noise_of_screens, warnings};
use crate::read::Run;
use crate::screening::table::{Line, Table, tables};
use crate::section::Figure;
use crate::statistics::Level;
use crate::summary::Summary;
use crate::table::{Row, rows};

/// The whole file.
pub fn markdown(run: &Run, summary: &Summary, figures: &[Vec<Figure>]) -> String {
    let plan = &summary.plan;
    let mut out = format!(
        "# {}\n\n{}\n",
        plain(&plan.question),
        prose(&summary.answer)
    );
    for warning in warnings(&run.manifest, &run.records, &summary.effects) {
        block(&mut out, &format!("> **Note:** {}", prose(&warning)));
    }
    if let Some(looks) = looks(plan, &run.records) {
        block(&mut out, &prose(&looks));
    }
    claims(&mut out, summary);
    let (primary, exploratory): (Vec<Row>, Vec<Row>) =
        rows(plan, &summary.effects, &summary.noise_floor)
            .into_iter()
            .partition(|row| row.primary);
    effects(&mut out, "Effects: primary metrics", &primary, level(plan));
    effects(
        &mut out,
        "Effects: exploratory metrics",
        &exploratory,
        level(plan),
    );
    if let Some(noise) = noise_of_screens(plan) {
        block(&mut out, &prose(&noise));
    }
    for (experiment, figures) in plan.experiments.iter().zip(figures) {
        block(&mut out, &format!("## {}", plain(&experiment.title)));
        block(&mut out, &plain(&experiment.question));
        figures.iter().for_each(|own| figure(&mut out, own));
        let screens = summary
            .screens
            .iter()
            .filter(|own| own.experiment == experiment.name);
        screens
            .flat_map(|own| tables(plan, own))
            .for_each(|own| screened(&mut out, &own, level(plan)));
    }
    deliveries(&mut out, summary);
    trials(&mut out, summary, run.records.len());
    block(&mut out, "## Machine and versions");
    block(&mut out, &prose(&calibration(&run.manifest)));
    let fact = |(name, value): (&String, &String)| [code(name), plain(value)];
    table(&mut out, &["", ""], summary.environment.iter().map(fact));
    for note in &plan.notes {
        block(&mut out, &prose(note));
    }
    out
}

fn claims(out: &mut String, summary: &Summary) {
    if summary.claims.is_empty() {
        return;
    }
    block(out, "## Claims");
    let row = |claim: &crate::answer::Ruling| {
        let evidence = claim.evidence.iter().map(|own| prose(&own.sentence));
        let evidence: Vec<String> = evidence.chain([prose(&claim.remark)]).collect();
        let ruling = format!("**{}**", claim.ruling.words());
        [plain(&claim.statement), ruling, evidence.join("<br>")]
    };
    table(
        out,
        &["Claim", "This run", "Because"],
        summary.claims.iter().map(row),
    );
}

fn effects(out: &mut String, heading: &str, rows: &[Row], level: Level) {
    if rows.is_empty() {
        return;
    }
    block(out, &format!("## {heading}"));
    let spans = ["Ratio", "Difference"].map(|of| format!("{of} ({})", level.words()));
    let header = [
        "Metric",
        "Baseline",
        "Arm",
        &spans[0],
        &spans[1],
        "A/A floor",
        "Verdict",
        "In words",
    ];
    let line = |row: &Row| {
        [
            format!("{}: {}", plain(&row.experiment), plain(&row.metric)),
            format!("{} {}", code(&row.baseline), plain(&row.baseline_value)),
            format!("{} {}", code(&row.arm), plain(&row.arm_value)),
            format!("{} ({})", row.ratio, row.ratio_span),
            format!(
                "{} ({})",
                plain(&row.difference),
                plain(&row.difference_span)
            ),
            plain(&row.floor),
            format!("**{}**", row.verdict_word()),
            prose(&row.sentence),
        ]
    };
    table(out, &header, rows.iter().map(line));
}

fn screened(out: &mut String, own: &Table, level: Level) {
    block(out, &format!("### {}", plain(&own.title)));
    block(out, &prose(&own.ranking));
    block(out, &plain(&own.basis));
    let effect = format!("Effect ({})", level.words());
    let header = [
        "Factor",
        &effect,
        "p (Holm)",
        "Interaction",
        "Verdict",
        "In words",
    ];
    let line = |line: &Line| {
        let only = match line.only.as_str() {
            "" => String::new(),
            only => format!(", {}", plain(only)),
        };
        let interaction = [
            &line.interaction,
            &line.interaction_span,
            &line.by_transport,
        ];
        let interaction: Vec<String> = interaction
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| plain(part))
            .collect();
        [
            format!("{}: {}{only}", plain(&line.factor), plain(&line.levels)),
            format!("{} ({})", plain(&line.effect), plain(&line.span)),
            line.p.clone(),
            interaction.join("; "),
            format!("**{}**", line.verdict_word()),
            prose(&line.sentence),
        ]
    };
    table(out, &header, own.lines.iter().map(line));
}

fn figure(out: &mut String, figure: &Figure) {
    match figure {
        Figure::Drawn {
            path,
            title,
            caption,
            ..
        } => {
            block(out, &format!("![{}]({path})", plain(title)));
            block(out, &plain(caption));
        }
        Figure::Products(products) => {
            block(out, &format!("**{}**", plain(&products.title)));
            block(out, &plain(&products.subtitle));
            let mut header = vec!["Arm".to_owned(), "Figure".to_owned(), "Value".to_owned()];
            header.extend(
                products
                    .factors
                    .iter()
                    .map(|factor| format!("× {}", plain(factor))),
            );
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            let line = |row: &crate::section::ProductRow| {
                let mut cells = vec![code(&row.arm), plain(&row.metric), row.value.clone()];
                cells.extend(row.products.iter().map(|product| plain(product)));
                cells
            };
            table(out, &header, products.rows.iter().map(line));
            block(out, &plain(&products.caption));
        }
        Figure::Absent { title } => {
            let said = format!(
                "*{}*: left out, no valid trial has data for it.",
                plain(title)
            );
            block(out, &said);
        }
    }
}

fn deliveries(out: &mut String, summary: &Summary) {
    block(out, "## Deliveries");
    let row = |account: &crate::accounting::Account| {
        let books = account.books;
        let counts = [
            books.owed,
            books.received,
            books.lost,
            books.duplicated,
            books.dropped,
        ];
        let mut cells = vec![code(&account.arm)];
        cells.extend(counts.map(|count| count.to_string()));
        cells
    };
    let header = ["Arm", "Owed", "Received", "Lost", "Duplicated", "Dropped"];
    table(out, &header, summary.accounting.iter().map(row));
}

fn trials(out: &mut String, summary: &Summary, count: usize) {
    block(out, "## Trials");
    let row = |own: &crate::attendance::Attendance| {
        let counts = [
            own.planned,
            own.valid,
            own.invalid,
            own.run_again,
            own.rounds_dropped,
        ];
        let mut cells = vec![plain(&own.experiment), code(&own.arm)];
        cells.extend(counts.map(|count| count.to_string()));
        cells
    };
    let header = [
        "Experiment",
        "Arm",
        "Planned",
        "Valid",
        "Invalid",
        "Run again",
        "Rounds dropped",
    ];
    table(out, &header, summary.attendance.iter().map(row));
    block(out, "## Invalid trials");
    let invalid = &summary.invalid_trials;
    if invalid.is_empty() {
        return block(out, &format!("None of {count}."));
    }
    block(out, &format!("{} of {count}.", invalid.len()));
    let row = |trial: &crate::summary::InvalidTrial| {
        [
            trial.trial.to_string(),
            plain(&trial.experiment),
            code(&trial.arm),
            trial.round.to_string(),
            trial.attempt.to_string(),
            plain(&trial.reasons.join("; ")),
        ]
    };
    table(
        out,
        &["Trial", "Experiment", "Arm", "Round", "Attempt", "Why"],
        invalid.iter().map(row),
    );
}

/// A paragraph or heading with an empty line before it.
pub(crate) fn block(out: &mut String, text: &str) {
    out.push('\n');
    out.push_str(text);
    out.push('\n');
}

pub(crate) fn table<R: AsRef<[String]>>(
    out: &mut String,
    header: &[&str],
    rows: impl Iterator<Item = R>,
) {
    // Writing into a string cannot fail.
    let _ = writeln!(
        out,
        "\n| {} |\n|{}",
        header.join(" | "),
        "---|".repeat(header.len())
    );
    for row in rows {
        let _ = writeln!(out, "| {} |", row.as_ref().join(" | "));
    }
}

/// Text of a plan or record, which must not become markup.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A name as code; one with a backtick or a bar is plain text, which can hold both.
fn code(name: &str) -> String {
    if name.is_empty() || name.contains(['`', '|', '\\']) || name.contains(char::is_control) {
        plain(name)
    } else {
        format!("`{name}`")
    }
}

/// Our own sentences: names between backticks are code.
pub(crate) fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return plain(text);
    }
    let piece = |(position, part): (usize, &&str)| match position % 2 {
        1 => code(part),
        _ => plain(part),
    };
    parts.iter().enumerate().map(piece).collect()
}

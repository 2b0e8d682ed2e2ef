//! The documentation's promises that a program can keep: every relative link leads somewhere, and the
//! files it names as valid are.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory, Parser};
use pushbench::{
    command::Pushbench,
    plan,
    validity::{Evidence, Process},
};
use pushbench_reports::noise::is_of_the_machine;
use pushbench_server::{counters::Counter, limits::Limits};

/// Of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Folders that are not written by hand.
const GENERATED: [&str; 4] = [".git", "target", "runs", "node_modules"];

/// Every Markdown file of the project.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !GENERATED.contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The text without code: what looks like a link or a heading there is none.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    // What stands between two backticks is every other part.
    let without_code = lines.map(|line| {
        let parts = line.split('`').enumerate();
        let outside = parts.map(|(n, part)| if n % 2 == 0 { part } else { "code" });
        outside.collect::<String>()
    });
    without_code.collect::<Vec<_>>().join("\n")
}

/// Where the page's links lead: `[text](target)`, `![text](target)` and `[text](target "title")`.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .map(|target| target.split(" \"").next().unwrap_or(target).to_owned())
        .collect()
}

/// The fragments of a page's headings, as GitHub makes them.
fn fragments(text: &str) -> Vec<String> {
    let mut fenced = false;
    let headings = text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    let fragment = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(fragment).collect()
}

/// What is wrong with a link of `page`, if something is.
fn broken(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        page.parent().unwrap().join(path)
    };
    if !target.exists() {
        return Some(format!(
            "{} leads to {link}, which is not there",
            page.display()
        ));
    }
    let known = || fragments(&fs::read_to_string(&target).unwrap());
    if !fragment.is_empty() && !known().iter().any(|known| known == fragment) {
        return Some(format!(
            "{} leads to {link}, which is no heading",
            page.display()
        ));
    }
    None
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.contains(&root().join("README.md")), "{pages:?}");
    let mut checked = 0;
    let mut all_broken = Vec::new();
    for page in &pages {
        for link in links(&fs::read_to_string(page).unwrap()) {
            checked += 1;
            all_broken.extend(broken(page, &link));
        }
    }
    assert!(all_broken.is_empty(), "{}", all_broken.join("\n"));
    assert!(checked > 50, "only {checked} links were found");
}

/// Commands of ours in the page's shell blocks.
fn commands(text: &str) -> Vec<&str> {
    let mut in_shell = false;
    let lines = text.lines().filter(|line| {
        if line.starts_with("```") {
            in_shell = *line == "```sh";
        }
        in_shell
    });
    let ours =
        |line: &&str| line.starts_with("pushbench ") || line.starts_with("cargo run --release -- ");
    lines.filter(ours).collect()
}

/// The words of a command as a shell has them, without comment, redirection and what is joined to it; starts
/// with the program.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = command.trim_start();
    while !rest.is_empty() && !rest.starts_with(['#', '>', '&', '|']) {
        let quote = rest.chars().next().filter(|c| "\'\"".contains(*c));
        let (word, behind) = match quote {
            Some(quote) => rest[1..].split_once(quote).unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    let cargo = words.first().is_some_and(|word| word == "cargo");
    match words.iter().position(|word| word == "--").filter(|_| cargo) {
        Some(ours) => [&["pushbench".to_owned()], &words[ours + 1..]].concat(),
        None => words,
    }
}

#[test]
fn every_command_is_one_that_there_is() {
    let mut subcommands = Vec::new();
    for page in pages() {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            let words = words(command);
            let parsed = Pushbench::try_parse_from(&words);
            assert!(
                parsed.is_ok(),
                "{}: {command}\n{}",
                page.display(),
                parsed.unwrap_err()
            );
            subcommands.push(words[1].clone());
        }
    }
    let shown: Vec<String> = Pushbench::command()
        .get_subcommands()
        .filter(|own| !own.is_hide_set())
        .map(|own| own.get_name().to_owned())
        .collect();
    assert!(shown.contains(&"doctor".to_owned()), "{shown:?}");
    for subcommand in shown {
        assert!(
            subcommands.contains(&subcommand),
            "no example of {subcommand}"
        );
    }
}

/// What the report blames on other programs is what the rules say of the machine, word for word.
#[test]
fn the_report_knows_the_reasons_that_a_quieter_machine_would_spare() {
    use Evidence::{
        Backwards, CutOff, GeneratorLoad, ReadLag, RunQueueWait, SendLag, Steal, Unsettled,
    };
    let wait = |whose| RunQueueWait { whose, share: 0.5 };
    let of_the_machine = [
        SendLag(2e6),
        ReadLag(2e6),
        wait(Process::Server),
        wait(Process::Generator),
        Steal(0.5),
        Unsettled(8_000.0),
    ];
    let of_the_plan = [GeneratorLoad(0.9), Backwards(1), CutOff("reset".into())];
    let spared = |evidence: &Evidence| is_of_the_machine(&evidence.reason().unwrap());
    assert!(of_the_machine.iter().all(spared));
    assert!(!of_the_plan.iter().any(spared));
}

#[test]
fn every_limit_and_every_counter_is_documented() {
    let page = |name: &str| fs::read_to_string(root().join("docs/reference").join(name)).unwrap();
    let (protocol, records) = (page("protocol.md"), page("records.md"));
    let limits = format!("{:#?}", Limits::default());
    let fields = limits.lines().filter_map(|line| {
        // Of the struct itself, not of a field's value.
        let field = line.strip_prefix("    ")?;
        Some(field.split_once(": ")?.0).filter(|name| !name.starts_with(' '))
    });
    let fields: Vec<_> = fields.collect();
    assert!(fields.contains(&"connections"), "{fields:?}");
    for field in fields {
        assert!(protocol.contains(&format!("| `{field}` |")), "{field}");
    }
    for counter in Counter::ALL {
        assert!(
            records.contains(&format!("`{}`", counter.name())),
            "{}",
            counter.name()
        );
    }
}

#[test]
fn plans_that_are_shipped_are_valid() {
    for entry in fs::read_dir(root().join("loadgen/plans")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        let plan = plan::parse(&fs::read_to_string(&path).unwrap(), &name, "plan");
        assert!(plan.is_ok(), "{}", plan.unwrap_err());
    }
}

#[test]
fn links_and_headings_are_told_from_code() {
    let page = "# The A/A `floor`\n[a](b.md#c) [h](i.html \"j (k)\") `[no](d)`\n```\n# no\n[no](e)\n```\n![f](g.svg)\n";
    assert_eq!(links(page), ["b.md#c", "i.html", "g.svg"]);
    assert_eq!(fragments(page), ["the-aa-floor"]);
    let shell = "```sh\npushbench a\nls\ncargo run --release -- b\n```\n```\npushbench no\n```\npushbench no\n";
    assert_eq!(commands(shell), ["pushbench a", "cargo run --release -- b"]);
    assert_eq!(
        words("cargo run --release -- x --y '{\"z\": 1}'   > file # why"),
        ["pushbench", "x", "--y", "{\"z\": 1}"]
    );
    assert_eq!(
        words("pushbench x -- y || true"),
        ["pushbench", "x", "--", "y"]
    );
    let here = root().join("loadgen/tests/docs.rs");
    assert_eq!(broken(&here, "https://example.org"), None);
    assert_eq!(broken(&here, "docs.rs"), None);
    assert!(broken(&here, "none.md").is_some());
    assert!(broken(&root().join("docs/reference/records.md"), "#nowhere").is_some());
    assert_eq!(
        broken(
            &root().join("docs/reference/records.md"),
            "method.md#margins"
        ),
        None
    );
}

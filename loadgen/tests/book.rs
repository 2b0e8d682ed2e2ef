//! The book in docs/: two editions with the same chapters and commands, figures that are the committed
//! runs' own, and commands that run.
//!
//! `PUSHBENCH_RENEW=1 cargo test -p pushbench --test book figures` fills the figures in again from the runs.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod book {
    pub mod figures;
    pub mod shell;
    pub mod site;
}

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use book::{figures, shell, site};

const EDITIONS: [&str; 2] = ["en", "zh"];

/// Of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn edition(name: &str) -> PathBuf {
    root().join("docs").join(name)
}

/// The names of an edition's pages, sorted.
fn pages(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(edition(name)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".md")).collect()
}

fn page(edition_name: &str, page: &str) -> String {
    fs::read_to_string(edition(edition_name).join(page)).unwrap()
}

#[test]
fn both_editions_have_the_same_pages_each_in_the_summary_and_linking_to_its_twin() {
    let [english, chinese] = EDITIONS.map(pages);
    assert_eq!(english, chinese);
    assert!(english.len() > 15, "{english:?}");
    for (own, other) in [("en", "zh"), ("zh", "en")] {
        let summary = page(own, "SUMMARY.md");
        for name in english.iter().filter(|name| *name != "SUMMARY.md") {
            assert!(summary.contains(&format!("]({name})")), "{own}: {name}");
            let twin = format!("](../{other}/{name})");
            assert!(page(own, name).contains(&twin), "{own}/{name} lacks {twin}");
        }
    }
}

/// Also renews them, where that is asked for.
#[test]
fn figures_are_those_of_the_committed_runs() {
    let renew = std::env::var_os("PUSHBENCH_RENEW").is_some();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for folder in EDITIONS.map(edition) {
        for name in pages(folder.file_name().unwrap().to_str().unwrap()) {
            let path = folder.join(name);
            let text = fs::read_to_string(&path).unwrap();
            let filled = figures::filled(&text, &folder, &mut wrong);
            checked += filled.figures;
            if filled.text != text && renew {
                fs::write(&path, &filled.text).unwrap();
            } else if filled.text != text {
                wrong.push(format!("{} has old figures", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "only {checked} figures");
}

#[test]
fn both_editions_have_the_same_commands() {
    for name in pages("en") {
        let [english, chinese] = EDITIONS.map(|edition| shell::blocks(&page(edition, &name)));
        assert_eq!(english, chinese, "{name}");
    }
}

/// Chapter by chapter, each in a folder of its own, as a reader would type them.
#[test]
fn every_command_runs() {
    let mut failed = Vec::new();
    let mut ran = 0;
    for name in pages("en") {
        let blocks = shell::blocks(&page("en", &name));
        if blocks.is_empty() {
            continue;
        }
        ran += blocks.len();
        if let Err(said) = shell::run(&name, &blocks, &root()) {
            failed.push(format!("{name}: {said}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(ran > 12, "only {ran} blocks");
}

/// On the rendered site that `docs/build` leaves: `PUSHBENCH_BOOK` says where.
#[test]
#[ignore = "needs the built book: docs/build"]
fn every_link_of_the_built_book_leads_somewhere() {
    let built = PathBuf::from(std::env::var_os("PUSHBENCH_BOOK").unwrap());
    let (checked, broken) = site::broken_links(&built.join("docs"));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 500, "only {checked} links");
}

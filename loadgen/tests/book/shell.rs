//! A page's shell blocks, and running them as a reader would.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Far above what any page takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Of the pages' text; each reader has it free, a test may not.
const PORTS: [&str; 2] = ["127.0.0.1:3000", "127.0.0.1:7345"];

/// A fenced `sh` block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// As a reader sees it.
    pub shown: String,
    /// The same on a smaller scale, where that is said before it.
    pub smaller: Option<String>,
}

/// In the order of the page.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut smaller = None;
    let mut rest = text;
    loop {
        let comment = rest.find("<!-- smoke\n").unwrap_or(usize::MAX);
        let fence = rest.find("```sh\n").unwrap_or(usize::MAX);
        let at = comment.min(fence);
        if at == usize::MAX {
            return blocks;
        }
        let (start, end) = if comment < fence {
            ("<!-- smoke\n", "-->")
        } else {
            ("```sh\n", "```")
        };
        let inside = &rest[at + start.len()..];
        let length = inside.find(&format!("\n{end}")).unwrap();
        let body = inside[..length].to_owned();
        rest = &inside[length + 1 + end.len()..];
        if comment < fence {
            smaller = Some(body);
        } else {
            blocks.push(Block {
                shown: body,
                smaller: smaller.take(),
            });
        }
    }
}

/// The subcommands of a script, in order.
fn subcommands(script: &str) -> Vec<&str> {
    let mut words = script.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == "pushbench" {
            found.extend(words.next());
        }
    }
    found
}

/// Runs a page's blocks in a folder of their own, one after another.
pub fn run(page: &str, blocks: &[Block], root: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_pushbench"), bin.join("pushbench")).unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    let free = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let mut script = String::new();
    for block in blocks {
        if let Some(smaller) = &block.smaller {
            assert_eq!(
                subcommands(smaller),
                subcommands(&block.shown),
                "{page}: other commands"
            );
        }
        script.push_str(block.smaller.as_ref().unwrap_or(&block.shown));
        script.push('\n');
    }
    for (port, listener) in PORTS.iter().zip(&free) {
        script = script.replace(port, &listener.local_addr().unwrap().to_string());
    }
    let smoke = root.join("loadgen/plans/smoke.toml");
    script = script.replace("--plan smoke", &format!("--plan '{}'", smoke.display()));
    script = script.replace("docs/", &format!("{}/docs/", root.display()));
    drop(free);
    let said = folder.path().join("said");
    let log = fs::File::create(&said).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut child = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(&work)
        .env("PATH", path)
        .env("XDG_DATA_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // What a page starts and forgets ends with it.
        .process_group(0)
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > PATIENCE => break None,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    end_group(child.id());
    let _ = child.wait();
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let mut text = String::new();
    fs::File::open(&said)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    Err(format!("{status:?}\n{script}\n{text}"))
}

/// Of a page that has ended or taken too long.
fn end_group(leader: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{leader}")])
        .stderr(Stdio::null())
        .status();
}

#[test]
fn blocks_are_found_with_what_is_run_in_their_place() {
    let page = "a\n```sh\npushbench x\n```\n<!-- smoke\npushbench y --small\n-->\n```sh\npushbench y\n```\n```text\nz\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].shown, "pushbench x");
    assert_eq!(found[0].smaller, None);
    assert_eq!(found[1].smaller.as_deref(), Some("pushbench y --small"));
    assert_eq!(subcommands("pushbench a b\npushbench c &"), ["a", "c"]);
}

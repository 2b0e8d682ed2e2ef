//! Tells the program what it was built from, for the record: commit, profile, compiler, libraries.
//!
//! Whatever cannot be found out (no git, no lock file in a packaged crate) is left out, never an error.
#![allow(clippy::print_stdout, reason = "how a build script speaks to Cargo")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The libraries whose version changes what is measured.
const LIBRARIES: [&str; 11] = [
    "axum",
    "brotli",
    "flate2",
    "h2",
    "hyper",
    "rustls",
    "tikv-jemalloc-sys",
    "tokio",
    "tokio-tungstenite",
    "yawc",
    "zstd",
];

/// What the binary is made of, from the workspace's root; elsewhere a change does not make it another.
const SOURCES: [&str; 5] = ["Cargo.toml", "Cargo.lock", "server", "loadgen", "reports"];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    watch(&root);
    tell("PUSHBENCH_COMMIT", commit(&root));
    tell("PUSHBENCH_PROFILE", env::var("PROFILE").ok());
    tell("PUSHBENCH_RUSTC", rustc());
    tell("PUSHBENCH_LIBRARIES", libraries(&root));
}

/// Runs this again when a commit is made or checked out, and when a source changes (the tree is then no
/// longer what the commit says).
fn watch(root: &Path) {
    // Git appends to `logs/HEAD` whenever HEAD moves. A file that is missing would mean a run at every build.
    let moves = ["logs/HEAD", "HEAD"]
        .iter()
        .filter_map(|name| git(root, &["rev-parse", "--git-path", name]))
        .map(|path| root.join(path));
    let sources = SOURCES.iter().map(|name| root.join(name)).flat_map(|path| {
        // Runs are written below a source folder, and are none.
        match fs::read_dir(&path) {
            Ok(entries) => entries
                .flatten()
                .filter(|entry| entry.file_name() != "runs")
                .map(|entry| entry.path())
                .collect(),
            Err(_) => vec![path],
        }
    });
    for path in moves.chain(sources).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn commit(root: &Path) -> Option<String> {
    let hash = git(root, &["rev-parse", "--short", "HEAD"])?;
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(SOURCES);
    let dirty = git(root, &status).is_none_or(|changes| !changes.is_empty());
    Some(if dirty { format!("{hash}-dirty") } else { hash })
}

fn rustc() -> Option<String> {
    output(Command::new(env::var_os("RUSTC")?).arg("--version"))
}

/// `name=version` of each library, with a space between; several versions of one with a comma.
fn libraries(root: &Path) -> Option<String> {
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let found = LIBRARIES.iter().filter_map(|library| {
        let name = format!("name = \"{library}\"");
        let versions: Vec<&str> = lock
            .split("[[package]]")
            .filter(|package| package.lines().any(|line| line == name))
            .filter_map(|package| package.split("version = \"").nth(1)?.split('"').next())
            .collect();
        (!versions.is_empty()).then(|| format!("{library}={}", versions.join(",")))
    });
    Some(found.collect::<Vec<_>>().join(" "))
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    output(Command::new("git").arg("-C").arg(root).args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn tell(name: &str, value: Option<String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        println!("cargo::rustc-env={name}={value}");
    }
}

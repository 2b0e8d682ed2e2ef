//! The crates depend on each other in one direction only: `loadgen` on `server` and `reports`, nothing else.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test may"
)]

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    // What is declared is enough, and needs no network.
    command
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps();
    command.exec().unwrap()
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == name)
        .unwrap()
}

/// What a package declares, but for tests.
fn declared(package: &Package) -> BTreeSet<&str> {
    let dependencies = package.dependencies.iter();
    let shipped = dependencies.filter(|dependency| dependency.kind != DependencyKind::Development);
    shipped.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn crates_of_the_workspace_depend_one_way() {
    let metadata = metadata();
    let ours: BTreeSet<_> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(
        ours,
        BTreeSet::from(["pushbench", "pushbench-reports", "pushbench-server"])
    );
    let within = |name| {
        declared(package(&metadata, name))
            .intersection(&ours)
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        within("pushbench"),
        ["pushbench-reports", "pushbench-server"]
    );
    assert_eq!(within("pushbench-reports"), [""; 0]);
    assert_eq!(within("pushbench-server"), [""; 0]);
}

#[test]
fn reports_can_neither_serve_nor_connect() {
    let metadata = metadata();
    let reports = declared(package(&metadata, "pushbench-reports"));
    for network in [
        "tokio",
        "hyper",
        "hyper-util",
        "axum",
        "tokio-tungstenite",
        "tower",
        "tower-http",
    ] {
        assert!(
            !reports.contains(network),
            "pushbench-reports depends on {network}"
        );
    }
}

#[test]
fn there_is_one_binary() {
    let metadata = metadata();
    let binaries = metadata
        .packages
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin());
    assert_eq!(
        binaries
            .map(|target| target.name.as_str())
            .collect::<Vec<_>>(),
        ["pushbench"]
    );
}

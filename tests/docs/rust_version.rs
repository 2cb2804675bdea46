//! The oldest Rust that builds this: what Cargo.toml and the README say, and what the
//! locked packages ask for.

use crate::{read, root};
use serde_json::Value;
use std::process::Command;

/// Where the server runs. A package that only another system needs is not asked.
const SYSTEMS: [&str; 3] = ["x86_64-unknown-linux-gnu", "x86_64-unknown-freebsd", "x86_64-unknown-openbsd"];

/// `1.85` and `1.85.0` are the same Rust.
fn version(text: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = text.split('.').map(|number| number.parse().expect("a number")).collect();
    numbers.resize(3, 0);
    numbers
}

/// The version on the line of a Cargo.toml.
fn rust_version(manifest: &str) -> &str {
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    line.expect("Cargo.toml names a Rust version").trim_matches('"')
}

/// The locked packages that ask for a newer Rust than this one.
fn newer_than(rust: &str, metadata: &Value) -> Vec<String> {
    let asked = metadata["packages"].as_array().expect("packages").iter().filter_map(|package| {
        let asked = package["rust_version"].as_str()?;
        Some((asked, format!("{} asks for Rust {asked}", package["name"])))
    });
    asked.filter(|(asked, _)| version(asked) > version(rust)).map(|(_, complaint)| complaint).collect()
}

#[test]
fn no_locked_package_asks_for_a_newer_rust() {
    let manifest = read("Cargo.toml");
    for system in SYSTEMS {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", system]);
        let output = cargo.current_dir(root()).output().expect("cargo runs this test");
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
        assert!(metadata["packages"].as_array().is_some_and(|packages| packages.len() > 50));
        let newer = newer_than(rust_version(&manifest), &metadata);
        assert!(newer.is_empty(), "{system}: {newer:#?}");
    }
}

#[test]
fn all_name_the_same_rust() {
    let manifest = read("Cargo.toml");
    let rust = rust_version(&manifest);
    assert!(read("README.md").contains(&format!("This needs Rust {rust} or later")));
    for member in ["bench", "docs", "promises", "support"] {
        assert_eq!(rust_version(&read(format!("tests/{member}/Cargo.toml"))), rust, "{member}");
    }
}

#[test]
fn a_package_that_asks_for_more_is_noticed() {
    let package = |name, rust| serde_json::json!({ "name": name, "rust_version": rust });
    let packages = [package("old", "1.60"), package("same", "1.85.0"), package("new", "1.85.1")];
    let metadata = serde_json::json!({ "packages": packages });
    assert_eq!(newer_than("1.85", &metadata), ["\"new\" asks for Rust 1.85.1"]);
}

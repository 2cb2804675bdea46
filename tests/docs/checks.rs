//! The documents, held against the code that they speak of: `make docs-check`.
//!
//! Each check reads the files as they are when it runs. Most come with a test that the
//! check notices a mistake.

#![forbid(unsafe_code)]

mod commands;
mod excerpts;
mod figures;
mod links;
mod measured;
mod names;
mod plan;
mod promises;
mod rust_version;
mod siege;
mod size;
mod trace;
mod transcripts;

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the whole project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the project is two directories up")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a directory of the project whose names end so, as paths within the project.
fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        let entries =
            fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|is| is == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(directory), extension, &mut found);
    found.sort();
    found
}

/// The page of this name, wherever it is below `src`.
fn page(name: &str) -> String {
    let found = files("src", "md").into_iter().find(|path| path.ends_with(name));
    read(found.unwrap_or_else(|| panic!("there is no {name} below src")))
}

/// The code blocks in the documentation of the crate, without their comment signs.
fn blocks_of_the_crate() -> Vec<String> {
    let lib = read("src/lib.rs");
    let text: Vec<_> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    text.join("\n").split("```").skip(1).step_by(2).map(str::to_owned).collect()
}

/// The cells of the tables in a Markdown text, row by row. `\|` in a cell is a bar.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let line = line.replace("\\|", "\0");
        let inside = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(inside.split('|').map(|cell| cell.trim().replace('\0', "|")).collect())
    };
    text.lines().filter_map(cells).collect()
}

/// The rows of the first table after this heading, without the table's own heading.
fn table_after(text: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, after) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section: Vec<_> = after
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(section.len() > 2, "there is no table after {heading}");
    rows(&section[2..].join("\n"))
}

/// The texts in backticks.
fn code_in(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn tables_are_read_cell_by_cell() {
    let text = "# T\n\n## One\n\nwords\n\n| a | b |\n|---|---|\n| `x\\|y` (`z`) | |\n\n| other |\n";
    assert_eq!(table_after(text, "## One"), [["`x|y` (`z`)", ""]]);
    assert_eq!(code_in("`x|y` (`z`)"), ["x|y", "z"]);
}

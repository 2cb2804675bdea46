//! Every test that a document names exists.

use crate::{code_in, files, page, read, rows};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// All code in which a test may be.
struct Tests {
    files: Vec<(PathBuf, String)>,
}

impl Tests {
    fn read() -> Tests {
        let paths = [files("src", "rs"), files("tests", "rs")].concat();
        Tests { files: paths.into_iter().map(|path| (path.clone(), read(path))).collect() }
    }

    /// Is there a test, or a file, of this name? `…` at its end stands for the end of one name. Those of
    /// netcat's tests are made while they run, of a program and what is done with it:
    /// `nc.openbsd_is_stopped`, or of a recipe.
    fn has(&self, name: &str) -> bool {
        if name.ends_with(".rs") {
            return self.files.iter().any(|(path, _)| path.ends_with(name));
        }
        let start = match name.strip_suffix('…') {
            Some(start) => format!("fn {start}"),
            None => format!("fn {name}()"),
        };
        let found: BTreeSet<_> = self.files.iter().flat_map(|(_, text)| tests_in(text, &start)).collect();
        if !found.is_empty() {
            return found.len() == 1;
        }
        let is_netcats = |(path, _): &&(PathBuf, String)| path.starts_with("tests/netcat");
        let netcat: String = self.files.iter().filter(is_netcats).map(|(_, text)| text.as_str()).collect();
        name.split_once('_').is_some_and(|(program, what)| {
            let is_of_it = |text: &str| text.contains(&format!("(\"{program}\""));
            let is_test = netcat.contains(&format!("(\"{what}\", "));
            netcat.contains(&format!("(\"{name}\", ")) || is_of_it(&netcat) && is_test
        })
    }
}

/// The first lines of functions that start so and have `#[test]` among the attributes before them, or are
/// made a test by their name while the tests run.
fn tests_in<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let is_test = |at: &usize| {
        let attributes = lines[..*at].iter().rev().take_while(|line| line.starts_with("#["));
        let name = lines[*at].trim_start_matches("fn ").split('(').next().unwrap_or_default();
        let is_trial =
            lines[*at].contains("() -> Result<(), Failed>") && text.contains(&format!("\"{name}\","));
        attributes.into_iter().any(|line| *line == "#[test]") || is_trial
    };
    (0..lines.len()).filter(|at| lines[*at].starts_with(start)).filter(is_test).map(|at| lines[at]).collect()
}

#[test]
fn every_test_in_the_tables_of_what_it_survives_exists() {
    let tests = Tests::read();
    let rows = rows(&page("survives.md"));
    let is_heading = |row: &[String]| row[0] == "what happens" || row[0].starts_with("---");
    let rows: Vec<_> = rows.iter().filter(|row| !is_heading(row)).collect();
    assert!(rows.len() > 25, "only {} rows", rows.len());
    for row in rows {
        let names = code_in(row.last().unwrap());
        assert!(!names.is_empty(), "no test shows this: {row:?}");
        for name in names {
            assert!(tests.has(name), "there is not exactly one test {name}");
        }
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    let tests = Tests::read();
    let (side_by_side, exercises) = (page("side_by_side.md"), page("exercises.md"));
    let item = |text| str::split(text, "\n\n").next().filter(|item| item.starts_with("**Green"));
    let green: Vec<_> = exercises.split("\n- ").filter_map(item).collect();
    assert!(green.len() >= 8, "{}", green.len());
    let shown: Vec<_> = side_by_side.split("the test is ").skip(1).map(|text| code_in(text)[0]).collect();
    assert!(!shown.is_empty());
    for name in shown.into_iter().chain(green.into_iter().flat_map(code_in)) {
        assert!(tests.has(name), "there is not exactly one test {name}");
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let tests = Tests::read();
    for name in
        ["a_test_that_does_not_exist_is_noticed", "a_test_that_does_…", "names.rs", "nc.openbsd_is_stopped"]
    {
        assert!(tests.has(name), "{name}");
    }
    for name in [
        "a_test_that_does_not_exist",
        "no_such_…",
        "every_test_…",
        "no_such_file.rs",
        "nc.openbsd_dances",
        "nc_is_stopped",
        "read",
    ] {
        assert!(!tests.has(name), "{name}");
    }
}

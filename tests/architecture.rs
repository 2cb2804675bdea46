//! What the documentation says of the code, held against the code.

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use support::ServerProcess;

const LIB: &str = include_str!("../src/lib.rs");

/// The code blocks of the crate's documentation, without their comment signs.
fn blocks() -> Vec<String> {
    let text: Vec<_> = LIB
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    text.join("\n").split("```").skip(1).step_by(2).map(str::to_owned).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn no_file_uses_what_is_on_its_own_floor_or_above() {
    let plan =
        blocks().into_iter().find(|block| block.contains("\nserver\n")).expect("the plan of the floors");
    let floors: HashMap<&str, usize> = plan
        .lines()
        .enumerate()
        .flat_map(|(floor, line)| line.split_whitespace().map(move |file| (file, floor)))
        .collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for path in
        files(&src).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
    {
        let inside = path.strip_prefix(&src).unwrap().with_extension("");
        let module = inside.iter().next().unwrap().to_str().unwrap();
        if matches!(module, "lib" | "main" | "guide") || path.ends_with("tests.rs") {
            continue;
        }
        let floor = floors.get(module).unwrap_or_else(|| panic!("{module} is on no floor"));
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for used in code.lines().filter_map(|line| line.trim_start().strip_prefix("use crate::")) {
            let used = used.split([':', ';']).next().unwrap();
            assert!(
                used == module || floors[used] > *floor || (module == "protocol" && used == "foreign"),
                "{module} uses {used}"
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} uses were found");
}

#[test]
fn the_trace_of_one_line_is_as_the_documentation_shows_it() {
    let expected = blocks().into_iter().find(|block| block.contains("[TRACE]")).expect("a trace");
    let server = ServerProcess::start(&["--log-level", "trace"]);
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    alice.sees("*** guest2 is now bob");
    // The turn before must be over in the log too: a line of nine bytes, which only its author gets an answer to.
    alice.says("/list    ");
    server.logs("client 1: a line of 9 bytes");
    server.logs("client 1: sent, 0 bytes are left");
    alice.says("hello");
    bob.sees("<alice> hello");
    let without_time = |line: &str| line.split_once(" [").map(|(_, rest)| format!("[{rest}"));
    let lines = std::iter::from_fn(|| server.log.recv_timeout(support::DEADLINE).ok());
    let lines =
        lines.filter_map(|line| without_time(&line)).skip_while(|line| !line.contains("a line of 5 bytes"));
    let expected: Vec<_> = expected.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(lines.take(expected.len()).collect::<Vec<_>>(), expected);
}

#[test]
fn no_file_is_longer_than_400_lines() {
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn the_readme_says_how_large_the_program_is() {
    let mut size = 0;
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let is_guide = path.components().any(|part| part.as_os_str() == "guide");
        if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
            && !is_guide
        {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::trim);
            size += code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        }
    }
    let said =
        include_str!("../README.md").split_once("The program is ").unwrap().1.split_once(" lines").unwrap().0;
    let said: usize = said.replace(',', "").parse().unwrap();
    assert!(said.abs_diff(size) * 50 < size, "the README says {said}, and it is {size}");
}

/// The cells of the tables in a Markdown text, row by row, without what is in brackets and without emphasis.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inside = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(inside.split('|').map(|cell| cell.trim().replace("**", "")).collect())
    };
    text.lines().filter_map(cells).collect()
}

/// A cell of the results, such as `6.66 M (6.29 M–6.77 M)`: its median alone, in millions where it is that large.
fn median(cell: &str) -> String {
    let median = cell.split(" (").next().unwrap().to_owned();
    match median.replace(',', "").parse::<f64>() {
        Ok(number) if number >= 100_000.0 => format!("{:.2} M", number / 1e6),
        _ => median,
    }
}

#[test]
fn the_tables_say_what_was_measured() {
    let results = rows(include_str!("../tests/bench/results/results.md"));
    let measured = |load: &str, clients: &str, server: &str| {
        let quiet = format!("{server}-quiet");
        let row = results.iter().find(|row| {
            row[0] == load && row[1] == clients && [server, quiet.as_str()].contains(&row[2].as_str())
        });
        row.map(|row| row[3..].iter().map(|cell| median(cell)).collect::<Vec<_>>())
    };
    for (page, text) in [
        ("README.md", include_str!("../README.md")),
        ("side_by_side.md", include_str!("../src/side_by_side.md")),
    ] {
        let mut checked = 0;
        for row in rows(text) {
            let Some((clients, rate)) = row[0].split_once(" clients") else {
                continue;
            };
            if !clients.starts_with(|c: char| c.is_ascii_digit()) {
                continue;
            }
            if rate.is_empty() {
                for (server, cell) in
                    ["ours", "tokio", "java", "clojure", "ncat", "floor"].iter().zip(&row[1..])
                {
                    let expected =
                        measured("flood", clients, server).map_or("–".to_owned(), |row| row[0].clone());
                    assert_eq!(*cell, expected, "{page}: {server}, {clients} clients");
                    checked += 1;
                }
            } else {
                let load = format!("steady {}", rate.trim_start_matches(", ").trim_end_matches("/s"));
                for (server, cell) in ["ours", "tokio", "floor"].iter().zip(&row[1..]) {
                    let row = measured(&load, clients, server).expect("it was measured");
                    let expected = format!("{} µs ({}, {} ms)", row[1], row[2], row[3]);
                    assert_eq!(*cell, expected, "{page}: {server}, {clients} clients, {load}");
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 5 * 6 + 7 * 3, "{page}");
    }
}

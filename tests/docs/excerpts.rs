//! The excerpts of the side-by-side page: each must still occur in the file that it names.

use crate::{page, read};
use std::ops::RangeInclusive;

/// How long an excerpt may be, in lines.
const LENGTHS: RangeInclusive<usize> = 2..=12;

/// A few lines of a file, as a page shows them.
#[derive(Clone, Debug)]
struct Excerpt<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
}

/// The excerpts of a page: its fenced blocks, each after a line that ends with the path of its file, as in
/// "Java, `tests/bench/peers/java/ChatServer.java`:". Blocks of `text` are no excerpts.
fn excerpts(page: &str) -> Result<Vec<Excerpt<'_>>, String> {
    let mut excerpts = Vec::new();
    let mut lines = page.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let lines: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            match language {
                "text" => {}
                "java" | "clojure" | "rust,ignore" => {
                    let named = before.strip_suffix("`:").and_then(|line| line.rsplit('`').next());
                    let path = named.ok_or(format!("no file is named before {lines:#?}"))?;
                    excerpts.push(Excerpt { path, lines });
                }
                _ => return Err(format!("no excerpt is in {language:?}: {lines:#?}")),
            }
        }
        if !line.is_empty() {
            before = line;
        }
    }
    Ok(excerpts)
}

impl Excerpt<'_> {
    /// Does it occur in `file`, perhaps deeper indented? Its parts, between lines with only an ellipsis,
    /// must occur in this order.
    fn occurs_in(&self, file: &str) -> bool {
        let file: Vec<&str> = file.lines().collect();
        let parts = self.lines.split(|line| is_ellipsis(line)).filter(|part| !part.is_empty());
        (0..=40).any(|depth| {
            let mut rest = &file[..];
            parts.clone().all(|part| {
                let same = |window: &[&str]| {
                    window.iter().zip(part).all(|(theirs, ours)| self.is_same(theirs, depth, ours))
                };
                let at = rest.windows(part.len()).position(same);
                rest = at.map_or(&[], |at| &rest[at + part.len()..]);
                at.is_some()
            })
        })
    }

    /// Is `theirs` the line `ours`, so many columns deeper indented? In Clojure, parentheses that close what
    /// is not shown may be missing at its end.
    fn is_same(&self, theirs: &str, depth: usize, ours: &str) -> bool {
        let (indent, theirs) = theirs.split_at_checked(depth).unwrap_or((theirs, ""));
        let end = if self.path.ends_with(".clj") { ')' } else { '\n' };
        indent.trim().is_empty() && theirs.trim_end_matches(end) == ours.trim_end_matches(end)
    }
}

fn is_ellipsis(line: &str) -> bool {
    ["…", "// …", ";; …"].contains(&line.trim())
}

#[test]
fn every_excerpt_occurs_in_its_file() {
    let page = page("side_by_side.md");
    let excerpts = excerpts(&page).unwrap();
    let lost: Vec<_> = excerpts.iter().filter(|excerpt| !excerpt.occurs_in(&read(excerpt.path))).collect();
    assert!(lost.is_empty(), "these are not in their files any more: {lost:#?}");
    for excerpt in &excerpts {
        assert!(LENGTHS.contains(&excerpt.lines.len()), "{excerpt:#?}");
    }
    for side in ["ChatServer.java", "chat.clj", "chat.rs", "design.rs", "room.rs"] {
        assert!(excerpts.iter().any(|excerpt| excerpt.path.ends_with(side)), "nothing of {side}");
    }
}

#[test]
fn an_excerpt_that_is_not_in_its_file_any_more_is_noticed() {
    let page = page("side_by_side.md");
    for excerpt in excerpts(&page).unwrap() {
        let file = read(excerpt.path);
        for (at, line) in excerpt.lines.iter().enumerate().filter(|(_, line)| !is_ellipsis(line)) {
            let line = format!("{line} changed");
            let mut changed = excerpt.clone();
            changed.lines[at] = &line;
            assert!(!changed.occurs_in(&file), "{changed:#?}");
        }
    }
    let occurs = |lines: &[&str]| {
        let (path, lines) = ("one.rs", lines.to_vec());
        Excerpt { path, lines }.occurs_in("fn one() {\n    1\n\n    + 1\n}\n")
    };
    assert!(occurs(&["1", "", "+ 1"]) && occurs(&["fn one() {", "    …", "    + 1", "}"]));
    assert!(!occurs(&["1", "+ 1"]), "a line is missing");
    assert!(!occurs(&["+ 1", "…", "1"]), "another order");
    assert!(!occurs(&["fn one() {", "1"]), "another indentation");
    assert!(!occurs(&["1", "…", "}"]), "another indentation");
    for page in ["```java\nint x;\n```", "No path:\n\n```rust,ignore\n```", "`src/room.rs`:\n```rust\n```"] {
        assert!(excerpts(page).is_err(), "{page}");
    }
}

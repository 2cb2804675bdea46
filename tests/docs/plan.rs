//! The plan of the house in `src/lib.rs`: a file or folder uses only what is below it.
//!
//! The plan is the block of the crate's documentation that has `server` on a line of its own. Each line is a
//! level, the highest first, with the names of files and folders at the top of `src`. All files in a folder
//! count as the folder, and so does a file of the same name beside it; within a folder anything goes.
//! `lib.rs` and `main.rs` are above all, and `guide` has no part of the program.

use crate::{blocks_of_the_crate, files, read};
use std::collections::{BTreeSet, HashMap};

#[test]
fn every_file_uses_only_what_is_below_it() {
    let plan =
        blocks_of_the_crate().into_iter().find(|block| block.lines().any(|line| line.trim() == "server"));
    let plan = plan.expect("src/lib.rs has the plan of the house");
    let code = files("src", "rs").into_iter().filter_map(|path| {
        let inside = path.strip_prefix("src").unwrap().with_extension("");
        let name = inside.iter().next().unwrap().to_str().unwrap().to_owned();
        let is_rule = !matches!(name.as_str(), "lib" | "main" | "guide") && !path.ends_with("tests.rs");
        is_rule.then(|| (name, read(&path)))
    });
    let (uses, mistakes) = mistakes(&plan, code);
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    assert!(uses > 40, "only {uses} uses were found");
}

/// How many uses there are, and the mistakes in the plan or in them.
fn mistakes(plan: &str, code: impl Iterator<Item = (String, String)>) -> (usize, BTreeSet<String>) {
    let levels: HashMap<&str, usize> = (0..)
        .zip(plan.lines())
        .flat_map(|(level, line)| line.split_whitespace().map(move |name| (name, level)))
        .filter(|(name, _)| *name != "text")
        .collect();
    let (mut count, mut mistakes, mut seen) = (0, BTreeSet::new(), BTreeSet::new());
    for (name, text) in code {
        let Some(level) = levels.get(name.as_str()) else {
            mistakes.insert(format!("{name} is not in the plan"));
            continue;
        };
        for used in uses(&text) {
            count += 1;
            match levels.get(used.as_str()) {
                _ if used == name => {}
                Some(below) if below > level => {}
                Some(_) => drop(mistakes.insert(format!("{name} uses {used}, which is not below it"))),
                None => drop(mistakes.insert(format!("{name} uses {used}, which is not in the plan"))),
            }
        }
        seen.insert(name);
    }
    let missing = levels.keys().filter(|name| !seen.contains(**name));
    mistakes.extend(missing.map(|name| format!("there is no {name} in src")));
    (count, mistakes)
}

/// The names after `crate::` in code, without its tests and comments.
fn uses(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => used.push(word(rest)),
            Some(group) => used.extend(names_in(group)),
        }
    }
    used
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first words of the parts of `{a::B, c::{D, E}}`, from after the first brace.
fn names_in(group: &str) -> Vec<String> {
    let (mut depth, mut part, mut names) = (0, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(std::mem::take(&mut part).trim())),
            _ => {}
        }
        if c != ',' || depth > 0 {
            part.push(c);
        }
    }
    names.push(word(part.trim()));
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn a_use_of_what_is_above_or_beside_is_noticed() {
    let check = |room: &str| {
        let code = [("server", "use crate::room;"), ("room", room), ("name", ""), ("clock", "")];
        let code = code.map(|(name, text)| (name.to_owned(), text.to_owned()));
        mistakes("text\nserver\nroom clock\nname\n", code.into_iter()).1.into_iter().collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(check("use crate::name::Name;\nuse crate::room::inside;"), nothing);
    assert_eq!(check("// crate::server\n#[cfg(test)]\nmod tests { use crate::server; }"), nothing);
    assert_eq!(check("use crate::server::Server;"), ["room uses server, which is not below it"]);
    assert_eq!(check("fn f() { crate::clock::now() }"), ["room uses clock, which is not below it"]);
    assert_eq!(
        check("use crate::{\n    name::{A, B},\n    server,\n    Config,\n};"),
        ["room uses Config, which is not in the plan", "room uses server, which is not below it"]
    );
    let (_, mistakes) = mistakes("server\ngone\n", [("attic".to_owned(), String::new())].into_iter());
    assert_eq!(
        Vec::from_iter(mistakes),
        ["attic is not in the plan", "there is no gone in src", "there is no server in src"]
    );
}

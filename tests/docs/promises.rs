//! The pages speak of promises as `make promises` does. That the tables are true, `make
//! promises` checks itself.

use crate::{code_in, files, page, read, rows};

const PAGES: [&str; 2] = ["lesson.md", "side_by_side.md"];

/// The names of all promises, from the code of their checks.
fn promises() -> Vec<String> {
    let checks = files("tests/promises/src/checks", "rs").into_iter().map(read);
    let names = checks.flat_map(|text| {
        let named = text.split("name: \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        named.collect::<Vec<_>>()
    });
    names.collect()
}

/// Breaks this server the promise, as the table of one of the pages has it?
fn is_broken(server: &str, promise: &str) -> bool {
    PAGES.iter().any(|name| {
        let table = rows(&page(name));
        let head = table.iter().find(|row| row[0] == "promise").expect("a table of promises");
        let row = table.iter().find(|row| row[0].starts_with(&format!("`{promise}`: ")));
        let column = head.iter().position(|head| head == server);
        column.zip(row).is_some_and(|(column, row)| row[column] == "✘")
    })
}

/// Is this a fault of the toy server that breaks the promise?
fn is_fault(fault: &str, promise: &str) -> bool {
    let faults = read("tests/promises/tests/faults.rs");
    let row = faults.lines().find(|line| line.contains(&format!("(\"{promise}\", &[")));
    row.is_some_and(|row| row.contains(&format!("\"{fault}\"")))
}

#[test]
fn each_mistake_of_the_tutorials_breaks_its_promise() {
    let table = rows(&page("side_by_side.md"));
    let mistakes: Vec<_> = table
        .iter()
        .skip_while(|row| row[0] != "the mistake")
        .skip(2)
        .take_while(|row| row.len() == 4)
        .collect();
    assert!(mistakes.len() >= 8, "{mistakes:?}");
    for row in mistakes {
        let (promise, seen) = (code_in(&row[2])[0], code_in(&row[3]));
        assert!(!seen.is_empty(), "{row:?}");
        for server in seen {
            assert!(is_broken(server, promise) || is_fault(server, promise), "{server} keeps {promise}");
        }
    }
    assert!(!is_broken("chat-server", "one-order") && !is_broken("step_1", "no-such-promise"));
    assert!(!is_fault("own-order", "greets") && !is_fault("no-such-fault", "greets"));
}

#[test]
fn every_promise_that_side_by_side_names_exists() {
    let (promises, text) = (promises(), page("side_by_side.md"));
    assert!(promises.len() > 20, "{promises:?}");
    let named = text.split("(`").skip(1).map(|rest| rest.split('`').next().unwrap());
    let named: Vec<_> = named.filter(|name| name.contains('-') && !name.starts_with('-')).collect();
    assert!(named.len() >= 6, "{named:?}");
    for name in named {
        assert!(promises.iter().any(|promise| promise == name), "there is no promise {name}");
    }
}

/// The last paragraph of a chapter says which promises its server keeps for the first
/// time, and which it breaks.
#[test]
fn each_step_of_the_lesson_keeps_and_breaks_what_the_lesson_says() {
    let (text, mut checked) = (page("lesson.md"), 0);
    for chapter in text.split("\n# ").skip(1) {
        let verdict = chapter.trim_end().rsplit("\n\n").next().expect("a paragraph");
        let server = match chapter.as_bytes()[0] {
            number @ b'1'..=b'9' => format!("step_{}", char::from(number)),
            _ if verdict.starts_with("Kept now: ") => "chat-server".to_owned(),
            _ => continue,
        };
        let (kept, broken) = verdict.split_once("Broken: ").unwrap_or((verdict, ""));
        for (names, expected) in [(kept, "✔"), (broken, "✘")] {
            for name in code_in(names) {
                assert_eq!(symbol(&text, &server, name).as_deref(), Some(expected), "{server}: {name}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 20, "only {checked} promises are spoken of");
}

/// The README counts what the report card has.
#[test]
fn the_readme_says_how_many_promises_each_step_keeps() {
    let card: Vec<_> = rows(&page("lesson.md"))
        .into_iter()
        .filter(|row| row[0].starts_with('`') && row.len() == 9)
        .collect();
    let readme = rows(&read("README.md"));
    assert!(readme.iter().any(|row| row[0] == format!("of {} promises", card.len())), "{readme:?}");
    let kept = readme.iter().find(|row| row[0] == "kept").expect("a row");
    for (column, said) in kept.iter().enumerate().skip(1) {
        let count = card.iter().filter(|row| row[column] == "✔").count();
        assert_eq!(*said, count.to_string(), "column {column}");
    }
}

fn symbol(text: &str, server: &str, promise: &str) -> Option<String> {
    let table = rows(text);
    let head = table.iter().find(|row| row[0] == "promise")?;
    let row = table.iter().find(|row| row[0].starts_with(&format!("`{promise}`: ")))?;
    row.get(head.iter().position(|head| head == server)?).cloned()
}

//! Links from the README and from page to page lead somewhere, in the repository and in `cargo doc`.

use crate::{files, read, root};
use std::path::Path;

#[test]
fn every_link_in_the_readme_and_the_pages_leads_to_a_file() {
    let mut followed = 0;
    for path in [vec!["README.md".into()], files("src/guide", "md")].concat() {
        let text = read(&path);
        for target in targets(&text) {
            assert!(leads_to_a_file(&path, target), "{}: {target}", path.display());
            followed += 1;
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}

#[test]
fn every_name_of_a_page_is_a_link_in_the_documentation_too() {
    let lib = read("src/lib.rs");
    for path in files("src/guide", "md") {
        let page = path.file_stem().unwrap().to_str().unwrap();
        let (_, pages) = lib.split_once("pages! { ").expect("lib.rs has the pages");
        let (pages, _) = pages.split_once('}').unwrap();
        assert!(pages.split_whitespace().any(|known| known == page), "lib.rs does not have {page}");
        let text = read(&path);
        for name in text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")) {
            let (name, _) = name;
            assert!(lib.contains(&format!("#[doc = \"[{name}]: ")), "lib.rs has no target for [{name}]");
            assert!(text.contains(&format!("][{name}]")), "{page}.md does not use [{name}]");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "the README has {lines} lines, and it is only the front door");
}

/// The targets of links within the repository: `](target)` and `[name]: target`.
fn targets(text: &str) -> Vec<&str> {
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let named = text.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.1));
    let elsewhere = |target: &&str| !(target.starts_with('#') || target.contains(':'));
    inline.chain(named).filter(elsewhere).collect()
}

fn leads_to_a_file(page: &Path, target: &str) -> bool {
    root().join(page).parent().is_some_and(|folder| folder.join(target).is_file())
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let text = "[a](src/lib.rs), [b](#there), [c](https://example.org), [d](crate::x)\n\n[e]: gone.md\n";
    let found: Vec<_> =
        targets(text).into_iter().map(|to| leads_to_a_file("README.md".as_ref(), to)).collect();
    assert_eq!(found, [true, false]);
}

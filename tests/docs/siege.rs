//! The page about the siege names every attack and no other, and flags that there are.

use std::collections::BTreeSet;

use crate::{code_in, page, read, table_after};

/// The names of the attacks, as clap makes them of the variants: `x01-msg` of `X01Msg`.
fn attacks() -> BTreeSet<String> {
    let code = read("tests/bench/src/siege/attack.rs");
    let (_, variants) = code.split_once("pub enum Attack {\n").expect("the attacks are an enum");
    let variants = variants.lines().take_while(|line| *line != "}").map(str::trim);
    let names = variants.filter(|line| !line.starts_with(['#', '/'])).map(|variant| {
        let kebab = |name: String, c: char| match c {
            c if c.is_ascii_uppercase() && !name.is_empty() => format!("{name}-{}", c.to_ascii_lowercase()),
            c => format!("{name}{}", c.to_ascii_lowercase()),
        };
        variant.trim_end_matches(',').chars().fold(String::new(), kebab)
    });
    names.filter(|name| name != "control").collect()
}

#[test]
fn the_page_about_the_siege_has_every_attack() {
    let table = table_after(&page("siege.md"), "## The attacks");
    let named: BTreeSet<_> = table.iter().flat_map(|row| code_in(&row[0])).map(str::to_owned).collect();
    assert!(named.len() > 15, "{named:?}");
    assert_eq!(named, attacks());
}

#[test]
fn every_flag_on_the_page_about_the_siege_exists() {
    let (page, code) = (page("siege.md"), read("tests/bench/src/siege.rs"));
    let commands = code_in(&page).into_iter().filter(|code| code.starts_with("make siege"));
    let words = commands.flat_map(|command| command.split([' ', '"', '=']));
    let flags: BTreeSet<_> = words.filter_map(|word| word.strip_prefix("--")).collect();
    assert!(flags.len() > 5, "{flags:?}");
    for flag in flags.into_iter().filter(|flag| *flag != "help") {
        assert!(code.contains(&format!("\n    {flag}: ")), "make siege has no --{flag}");
    }
}

//! How large the program is, and how large its files may be.

use crate::{files, page, read, root};
use std::process::Command;

#[test]
fn the_page_on_how_it_works_says_how_large_the_program_is() {
    let output =
        Command::new("make").args(["-s", "size"]).current_dir(root()).output().expect("make is installed");
    let size: usize =
        String::from_utf8(output.stdout).unwrap().trim().parse().expect("make size prints a number");
    let page = page("how_it_works.md");
    let (_, said) = page.split_once("The program is ").expect("the page says how large it is");
    let said: usize = said.split(' ').next().unwrap().replace(',', "").parse().expect("a number");
    assert!(said.abs_diff(size) * 50 < size, "the page says {said}, and it is {size}");
}

#[test]
fn no_file_is_longer_than_400_lines() {
    for path in [files("src", "rs"), files("tests", "rs")].concat() {
        let lines = read(&path).lines().count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}

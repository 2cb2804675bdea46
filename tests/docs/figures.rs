//! A figure is drawn with characters, so that GitHub and `cargo doc` show the same. It must not be cut off in
//! a window of 800 pixels, where `cargo doc` leaves room for some 60 characters beside its list of names.

use crate::{blocks_of_the_crate, files, read};

const WIDTH: usize = 60;

#[test]
fn every_figure_fits_into_a_narrow_window() {
    let mut figures = Vec::new();
    for path in files("src/guide", "md") {
        let text = read(&path);
        assert!(!text.contains("```mermaid"), "cargo doc shows the source of that: {}", path.display());
        figures.extend(
            text.split("```figure\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()),
        );
    }
    assert!(figures.len() >= 9, "only {} figures were found", figures.len());
    figures.extend(blocks_of_the_crate().into_iter().filter(|block| block.contains("▶")));
    for line in figures.iter().flat_map(|figure| figure.lines()) {
        assert!(line.chars().count() <= WIDTH, "this is too wide: {line}");
    }
}

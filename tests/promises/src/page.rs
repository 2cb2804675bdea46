//! The table in a page: written between two comments, and compared with what a run has found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::outcome::{Cell, Verdict};

const BEGIN: &str = "<!-- promises -->";
const END: &str = "<!-- /promises -->";

/// Puts the table between the two comments.
pub fn write(path: &Path, table: &str) -> Result<()> {
    let page = read(path)?;
    let (before, _, after) = parts(&page).with_context(|| no_marks(path))?;
    let new = format!("{before}{BEGIN}\n\n{table}\n{END}{after}");
    fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}

/// Compares the page's table with the results; returns a sentence for each difference. A cell that could not
/// be run here contradicts nothing.
pub fn differences(path: &Path, cells: &[Cell]) -> Result<Vec<String>> {
    let page = read(path)?;
    let (_, table, _) = parts(&page).with_context(|| no_marks(path))?;
    Ok(compare(table, cells)
        .into_iter()
        .map(|difference| format!("{}: {difference}", path.display()))
        .collect())
}

fn compare(table: &str, cells: &[Cell]) -> Vec<String> {
    let symbols = symbols_in(table);
    let mut differences = Vec::new();
    for cell in cells.iter().filter(|cell| cell.result != Verdict::NotRun) {
        let written = symbols.get(&(cell.server.as_str(), cell.promise));
        if written.copied() != Some(cell.result.symbol()) {
            let written = written.map_or("nothing".to_owned(), char::to_string);
            differences.push(format!(
                "{} {}: the page says {written}, the run {} {} {}",
                cell.server,
                cell.promise,
                cell.result.symbol(),
                cell.result.words(),
                cell.seen
            ));
        }
    }
    differences
}

/// The symbol for each server and promise in a table of this program.
fn symbols_in(table: &str) -> BTreeMap<(&str, &str), char> {
    let mut rows = table.lines().filter(|line| line.starts_with('|'));
    let servers = rows.next().map(cells_of).unwrap_or_default();
    let mut symbols = BTreeMap::new();
    for row in rows.skip(1) {
        let cells = cells_of(row);
        for (server, cell) in servers.iter().zip(&cells).skip(1) {
            symbols.extend(cell.chars().next().map(|symbol| ((*server, cells[0].trim_matches('`')), symbol)));
        }
    }
    symbols
}

fn cells_of(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn no_marks(path: &Path) -> String {
    format!("{} has no place for the table: a line {BEGIN}, and further down a line {END}", path.display())
}

fn parts(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    Some((before, table, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Finding;

    const TABLE: &str =
        "\n| promise | step_1 | ncat |\n|---|:-:|:-:|\n| `greets` | ✔ | ✘ |\n| `listed` | – | · |\n";

    fn cell(server: &str, promise: &'static str, outcome: Result<String, Finding>) -> Cell {
        Cell::new(server, promise, outcome)
    }

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let symbols = symbols_in(TABLE);
        assert_eq!(symbols[&("step_1", "greets")], '✔');
        assert_eq!(symbols[&("ncat", "greets")], '✘');
        assert_eq!(symbols[&("step_1", "listed")], '–');
        assert_eq!(symbols.len(), 4);
    }

    #[test]
    fn only_a_result_that_has_changed_is_a_difference() {
        let same = [cell("step_1", "greets", Ok("hello".into()))];
        assert_eq!(compare(TABLE, &same), Vec::<String>::new());
        let not_run = [cell("step_1", "greets", Err(Finding::NotRun("no Java".into())))];
        assert_eq!(compare(TABLE, &not_run), Vec::<String>::new());
        let changed = [cell("step_1", "greets", Err(Finding::Broken("silence".into())))];
        assert_eq!(compare(TABLE, &changed).len(), 1);
        let new = [cell("step_2", "greets", Ok(String::new()))];
        assert_eq!(compare(TABLE, &new).len(), 1);
    }

    #[test]
    fn the_page_around_the_table_stays() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(parts(&page), Some(("before\n", "\nold\n", "\nafter\n")));
        assert_eq!(parts("no marks"), None);
    }
}

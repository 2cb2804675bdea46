//! The table in a page: written between two comments, and compared with what a run has found.
//!
//! The first comment may name the servers that are the columns of this page:
//! `<!-- promises: step_1 step_2 chat-server -->`. Without names they are those of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::outcome::{Cell, Verdict};
use crate::promise::{self, Promise};
use crate::report;

const BEGIN: &str = "<!-- promises";
const MARK_END: &str = "-->";
const END: &str = "<!-- /promises -->";

/// A page, cut into its parts.
struct Page<'a> {
    before: &'a str,
    /// The servers that the first comment names.
    servers: Vec<&'a str>,
    table: &'a str,
    after: &'a str,
}

/// Puts the table between the two comments. A page with a server that could not be run stays as it is.
pub fn write(path: &Path, promises: &[&Promise], cells: &[Cell]) -> Result<()> {
    let text = read(path)?;
    let Page { before, servers, after, .. } = parts(&text).with_context(|| no_marks(path))?;
    for server in &servers {
        ensure!(crate::was_run(server, cells), "{} stays as it is: {server} was not run", path.display());
    }
    let (mark, columns) = match servers[..] {
        [] => (format!("{BEGIN} {MARK_END}"), servers_of(cells)),
        _ => (format!("{BEGIN}: {} {MARK_END}", servers.join(" ")), servers),
    };
    let table = report::markdown(&columns, promises, cells);
    let new = format!("{before}{mark}\n\n{table}\n{END}{after}");
    fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}

/// The servers of a run, in its order.
fn servers_of(cells: &[Cell]) -> Vec<&str> {
    let mut servers: Vec<&str> = cells.iter().map(|cell| cell.server.as_str()).collect();
    servers.dedup();
    servers
}

/// Compares the page's table with the results; returns a sentence for each difference. A cell that could not
/// be run here contradicts nothing.
pub fn differences(path: &Path, cells: &[Cell]) -> Result<Vec<String>> {
    let text = read(path)?;
    let page = parts(&text).with_context(|| no_marks(path))?;
    Ok(compare(&page, cells)
        .into_iter()
        .map(|difference| format!("{}: {difference}", path.display()))
        .collect())
}

fn compare(page: &Page, cells: &[Cell]) -> Vec<String> {
    let symbols = symbols_in(page.table);
    let mut differences = Vec::new();
    let is_wanted = |server: &str| page.servers.is_empty() || page.servers.contains(&server);
    for cell in cells.iter().filter(|cell| cell.result != Verdict::NotRun && is_wanted(&cell.server)) {
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
    // A server or a promise that is gone has no cell that could differ.
    let columns: BTreeSet<&str> = symbols.keys().map(|(server, _)| *server).collect();
    let gone = columns.into_iter().filter(|server| !is_wanted(server));
    differences.extend(gone.map(|server| format!("{server} has a column, and the comment does not name it")));
    let known: Vec<String> = promise::ALL.iter().map(|promise| report::head(promise)).collect();
    let heads = heads_in(page.table).filter(|head| !known.iter().any(|known| known == head));
    differences.extend(heads.map(|head| format!("there is no promise {head}")));
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
            let promise = cells[0].split('`').nth(1).unwrap_or_default();
            symbols.extend(cell.chars().next().map(|symbol| ((*server, promise), symbol)));
        }
    }
    symbols
}

/// The first cell of each row.
fn heads_in(table: &str) -> impl Iterator<Item = &str> {
    let rows = table.lines().filter(|line| line.starts_with('|'));
    rows.skip(2).map(|row| cells_of(row)[0])
}

fn cells_of(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn no_marks(path: &Path) -> String {
    format!(
        "{} has no place for the table: a line {BEGIN} {MARK_END}, and further down a line {END}",
        path.display()
    )
}

fn parts(page: &str) -> Option<Page<'_>> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (servers, rest) = rest.split_once(MARK_END)?;
    let (table, after) = rest.split_once(END)?;
    let servers = servers.trim_start_matches(':').split_whitespace().collect();
    Some(Page { before, servers, table, after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Finding;

    /// A page with a table of two promises and two servers, of which the comment names these.
    fn page(named: &str) -> String {
        let [greets, listed] = ["greets", "listed"].map(|name| report::head(promise::named(name)[0]));
        format!(
            "before\n<!-- promises{named} -->\n\n| promise | step_1 | ncat |\n|---|:-:|:-:|\n| {greets} | ✔ | ✘ |\n\
             | {listed} | – | · |\n<!-- /promises -->\nafter\n"
        )
    }

    fn cell(server: &str, promise: &'static str, outcome: Result<String, Finding>) -> Cell {
        Cell::new(server, promise, outcome, Vec::new())
    }

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let page = page("");
        let symbols = symbols_in(parts(&page).unwrap().table);
        assert_eq!(symbols[&("step_1", "greets")], '✔');
        assert_eq!(symbols[&("ncat", "greets")], '✘');
        assert_eq!(symbols[&("step_1", "listed")], '–');
        assert_eq!(symbols.len(), 4);
    }

    #[test]
    fn only_a_result_that_has_changed_is_a_difference() {
        let page = page("");
        let page = parts(&page).unwrap();
        let same = [cell("step_1", "greets", Ok("hello".into()))];
        assert_eq!(compare(&page, &same), Vec::<String>::new());
        let not_run = [cell("step_1", "greets", Err(Finding::NotRun("no Java".into())))];
        assert_eq!(compare(&page, &not_run), Vec::<String>::new());
        let changed = [cell("step_1", "greets", Err(Finding::Broken("silence".into())))];
        assert_eq!(compare(&page, &changed).len(), 1);
        let new = [cell("step_2", "greets", Ok(String::new()))];
        assert_eq!(compare(&page, &new).len(), 1);
    }

    #[test]
    fn a_page_has_the_servers_that_its_comment_names() {
        let both = page(": step_1 ncat");
        let other = [cell("step_2", "greets", Ok(String::new()))];
        assert_eq!(compare(&parts(&both).unwrap(), &other), Vec::<String>::new());
        let one = page(": step_1");
        assert_eq!(compare(&parts(&one).unwrap(), &[]).len(), 1, "ncat is not named");
    }

    #[test]
    fn a_promise_that_is_gone_is_a_difference() {
        let page = page("").replace("`listed`", "`sings`");
        assert_eq!(compare(&parts(&page).unwrap(), &[]).len(), 1);
    }

    #[test]
    fn the_page_around_the_table_stays() {
        let page = page(": step_1 ncat");
        let Page { before, servers, after, .. } = parts(&page).unwrap();
        assert_eq!((before, after), ("before\n", "\nafter\n"));
        assert_eq!(servers, ["step_1", "ncat"]);
        assert!(parts("no marks").is_none());
    }
}

//! The results as a table for a terminal, as Markdown, and as JSON.

use crate::outcome::{Cell, Verdict};
use crate::promise::Promise;
use crate::servers::Server;

/// Promises down, servers across, and below it what was seen where a promise is broken or was not checked.
pub fn terminal(servers: &[Server], promises: &[&Promise], cells: &[Cell]) -> String {
    let name_width = promises.iter().map(|promise| promise.name.len()).max().unwrap_or(0);
    let mut text = format!("{:name_width$}", "");
    for server in servers {
        text.push_str(&format!(" {:>4}", server.short));
    }
    text.push('\n');
    for promise in promises {
        text.push_str(&format!("{:name_width$}", promise.name));
        for server in servers {
            text.push_str(&format!(" {:>4}", symbol(cells, &server.name, promise.name)));
        }
        text.push('\n');
    }
    text.push_str(&format!("\n{}\n", legend()));
    let shortened = servers.iter().filter(|server| server.name != server.short);
    let shorts: Vec<String> = shortened.map(|server| format!("{} = {}", server.short, server.name)).collect();
    if !shorts.is_empty() {
        text.push_str(&format!("{}\n", shorts.join(", ")));
    }
    for server in servers {
        text.push_str(&remarks(&server.name, cells));
    }
    text
}

/// The reasons why promises of this server are broken or were not checked.
fn remarks(server: &str, cells: &[Cell]) -> String {
    let row: Vec<&Cell> = cells.iter().filter(|cell| cell.server == server).collect();
    if let Some(first) = row.first() {
        if row.iter().all(|cell| cell.result == Verdict::NotRun && cell.seen == first.seen) {
            return format!("\n{server} was not run: {}\n", first.seen);
        }
    }
    let worth_it = |cell: &&&Cell| matches!(cell.result, Verdict::Broken | Verdict::NotRun);
    let lines: Vec<String> = row
        .iter()
        .filter(worth_it)
        .map(|cell| format!("  {} {}: {}\n", cell.result.symbol(), cell.promise, cell.seen))
        .collect();
    if lines.is_empty() { String::new() } else { format!("\n{server}\n{}", lines.concat()) }
}

/// The same for a page, with what each promise says and without what was seen.
pub fn markdown(servers: &[&str], promises: &[&Promise], cells: &[Cell]) -> String {
    let mut text = format!("| promise | {} |\n|---|{}\n", servers.join(" | "), ":-:|".repeat(servers.len()));
    for promise in promises {
        let symbols: Vec<String> =
            servers.iter().map(|server| symbol(cells, server, promise.name).to_string()).collect();
        text.push_str(&format!("| {} | {} |\n", head(promise), symbols.join(" | ")));
    }
    text.push_str(&format!("\n{}.\n", legend()));
    text
}

/// The first cell of a row.
pub fn head(promise: &Promise) -> String {
    format!("`{}`: {}", promise.name, promise.sentence)
}

/// One object a line for each server and promise.
pub fn json(cells: &[Cell]) -> serde_json::Result<String> {
    let lines = cells.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn symbol(cells: &[Cell], server: &str, promise: &str) -> char {
    let cell = cells.iter().find(|cell| cell.server == server && cell.promise == promise);
    cell.map_or(Verdict::NotRun, |cell| cell.result).symbol()
}

fn legend() -> String {
    Verdict::ALL.map(|verdict| format!("{} {}", verdict.symbol(), verdict.words())).join(", ")
}

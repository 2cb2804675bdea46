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
    let most = match (servers.len(), promises.len()) {
        (1, 1) => usize::MAX,
        (1, _) => SHOWN,
        _ => 0,
    };
    for server in servers {
        text.push_str(&remarks(&server.name, cells, most));
    }
    if let Some(broken) = cells.iter().find(|cell| cell.result == Verdict::Broken) {
        let name = broken.promise;
        text.push_str(&format!(
            "\n--explain {name} tells how that is checked, and how servers break it; --promise {name} shows all \
             that happened.\n"
        ));
    }
    text
}

/// How much of a transcript stands below the table of one server. `--promise` and `--json` have all of it.
const SHOWN: usize = 10;

/// The reasons why promises of this server are broken or were not checked, each with the last lines of what
/// happened, `most` of them.
fn remarks(server: &str, cells: &[Cell], most: usize) -> String {
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
        .map(|cell| {
            let Cell { result, promise, seen, transcript, .. } = cell;
            let last = &transcript[transcript.len().saturating_sub(most)..];
            let shown: Vec<String> = last.iter().map(|line| format!("    {line}\n")).collect();
            format!("  {} {promise}: {seen}\n{}", result.symbol(), shown.concat())
        })
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

/// A suite for each server and a case for each promise, as Jenkins and GitLab read it: a broken promise is a
/// failure, and what is not offered or was not run is skipped.
pub fn junit(cells: &[Cell]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for suite in cells.chunk_by(|one, next| one.server == next.server) {
        let count =
            |verdicts: &[Verdict]| suite.iter().filter(|cell| verdicts.contains(&cell.result)).count();
        let (failures, skipped) = (count(&[Verdict::Broken]), count(&[Verdict::NotOffered, Verdict::NotRun]));
        let (name, tests) = (escaped(&suite[0].server), suite.len());
        text += &format!(
            "<testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">\n"
        );
        for Cell { promise, result, seen, transcript, .. } in suite {
            let seen = escaped(seen);
            let inside = match result {
                Verdict::Kept => String::new(),
                Verdict::Broken => {
                    format!("<failure message=\"{seen}\">{}</failure>", escaped(&transcript.join("\n")))
                }
                Verdict::NotOffered | Verdict::NotRun => format!("<skipped message=\"{seen}\"/>"),
            };
            text += &format!("<testcase classname=\"{name}\" name=\"{promise}\">{inside}</testcase>\n");
        }
        text += "</testsuite>\n";
    }
    text + "</testsuites>\n"
}

/// Text in an attribute of XML 1.0, which has no way to write most control characters.
fn escaped(text: &str) -> String {
    let of = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\n' => "\n".to_owned(),
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => "\u{fffd}".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(of).collect()
}

fn symbol(cells: &[Cell], server: &str, promise: &str) -> char {
    let cell = cells.iter().find(|cell| cell.server == server && cell.promise == promise);
    cell.map_or(Verdict::NotRun, |cell| cell.result).symbol()
}

fn legend() -> String {
    Verdict::ALL.map(|verdict| format!("{} {}", verdict.symbol(), verdict.words())).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Finding;

    #[test]
    fn junit_has_a_suite_for_each_server_and_no_character_that_xml_forbids() {
        let cells = [
            Cell::new("a", "greets", Ok(String::new()), Vec::new()),
            Cell::new("a", "listed", Err(Finding::NotOffered("no /list".to_owned())), Vec::new()),
            Cell::new(
                "b",
                "greets",
                Err(Finding::Broken("bob got: <x> & \u{1b}\"".to_owned())),
                vec!["   0.001 bob$ nc".to_owned()],
            ),
        ];
        let text = junit(&cells);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n\
            <testsuite name=\"a\" tests=\"2\" failures=\"0\" skipped=\"1\">\n\
            <testcase classname=\"a\" name=\"greets\"></testcase>\n\
            <testcase classname=\"a\" name=\"listed\"><skipped message=\"no /list\"/></testcase>\n</testsuite>\n\
            <testsuite name=\"b\" tests=\"1\" failures=\"1\" skipped=\"0\">\n\
            <testcase classname=\"b\" name=\"greets\"><failure message=\"bob got: &lt;x> &amp; \u{fffd}&quot;\">   0.001 bob$ nc</failure></testcase>\n\
            </testsuite>\n</testsuites>\n";
        assert_eq!(text, expected);
    }
}

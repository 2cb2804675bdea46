//! The answers that are lists: who is here, and what was said last. They fit the usual width of a terminal.

use jiff::civil::DateTime;
use std::collections::VecDeque;
use unicode_width::UnicodeWidthStr;

/// The usual width of a terminal.
pub(crate) const COLUMNS: usize = 80;

/// How the further lines of a list begin.
pub(crate) const INDENT: &str = "***   ";

/// How the time of a line is written in front of it: `[14:03]`. A line of another day has its date too.
pub(crate) const TIME: &str = "[%H:%M]";
const DATE_AND_TIME: &str = "[%F %H:%M]";

/// How many are here, and as many of their names as fit one line.
pub(super) fn names_in_one_line(count: usize, names: &[String]) -> String {
    let mut lines = (1..=names.len()).rev().map(|named| {
        let names = &names[..named];
        here(count, names) + &more(" ", count, names)
    });
    lines.find(|line| line.width() <= COLUMNS).unwrap_or_default()
}

/// How many are here, and the names, in lines that fit.
pub(super) fn names_in_lines(count: usize, names: &[String]) -> String {
    wrapped(&here(count, names), COLUMNS, INDENT) + &more(&format!("\n{INDENT}"), count, names)
}

fn here(count: usize, names: &[String]) -> String {
    format!("*** {count} here: {}", names.join(", "))
}

/// How many there are besides those named.
fn more(before: &str, count: usize, names: &[String]) -> String {
    match count - names.len() {
        0 => String::new(),
        more => format!("{before}… and {more} more"),
    }
}

/// A text, broken at blanks into lines of at most `width` columns; a wider word has a line of its own. All
/// lines but the first begin with `indent`.
pub(crate) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_inclusive(' ') {
        if column + word.trim_end().width() > width {
            lines.truncate(lines.trim_end().len());
            lines += &format!("\n{indent}");
            column = indent.width();
        }
        lines += word;
        column += word.width();
    }
    lines
}

/// The last lines of talk, each with its time.
pub(super) fn history(lines: &VecDeque<(DateTime, String)>, now: DateTime) -> String {
    let mut history = match lines.len() {
        0 => "*** Nothing has been said yet.".to_owned(),
        1 => "*** The last line:".to_owned(),
        n => format!("*** The last {n} lines:"),
    };
    for (time, line) in lines {
        let format = if time.date() == now.date() { TIME } else { DATE_AND_TIME };
        history += &format!("\n{} {line}", time.strftime(format));
    }
    history
}

#[cfg(test)]
mod tests;

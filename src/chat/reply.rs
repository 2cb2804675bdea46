//! The answers that are lists: who is here, and what was said last. They fit the usual width of a terminal.

use jiff::civil::DateTime;
use std::collections::VecDeque;
use textwrap::{Options, WordSplitter, fill};
use unicode_width::UnicodeWidthStr;

/// The usual width of a terminal.
const COLUMNS: usize = 80;

/// How the time of a line is written in front of it: `[14:03]`. A line of another day has its date too.
pub(crate) const TIME: &str = "[%H:%M]";
const DATE_AND_TIME: &str = "[%F %H:%M]";

/// How many are here, and as many of their names as fit one line.
pub(super) fn names_in_one_line(count: usize, names: &[String]) -> String {
    let mut lines = (1..=names.len()).rev().map(|named| here(count, &names[..named], " "));
    lines.find(|line| line.width() <= COLUMNS).unwrap_or_default()
}

/// How many are here, and the names, in lines that fit.
pub(super) fn names_in_lines(count: usize, names: &[String]) -> String {
    let options = Options::new(COLUMNS).subsequent_indent("***   ");
    fill(&here(count, names, "\n"), options.word_splitter(WordSplitter::NoHyphenation))
}

/// The names of some, and how many more there are.
fn here(count: usize, names: &[String], before_more: &str) -> String {
    let more = match count - names.len() {
        0 => String::new(),
        more => format!("{before_more}… and {more} more"),
    };
    format!("*** {count} here: {}{more}", names.join(", "))
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

//! Everything for the operator, the person at the server's keyboard: the arguments, the console and its orders, the log,
//! the commands to hand out, and the handle that stops the server.

pub mod arguments;
pub mod console;
pub mod invitation;
pub(crate) mod line_queue;
pub mod log;
pub(crate) mod orders;
pub(crate) mod stopper;

use unicode_width::UnicodeWidthStr;

/// The width of the narrowest usual terminal.
const COLUMNS: usize = 80;

/// A list behind `start`, broken between its items into lines of at most `width` columns.
fn list_in_lines(start: &str, items: &[String], width: usize) -> String {
    let indent = if start.starts_with("***") { "***  " } else { "  " };
    let (mut text, mut column) = (start.to_owned(), start.width());
    for (at, item) in items.iter().enumerate() {
        let comma = if at + 1 < items.len() { "," } else { "" };
        let mut gap = " ".to_owned();
        if column + 1 + item.width() + comma.len() > width {
            gap = format!("\n{indent}");
            column = 0;
        }
        column += gap.trim_start_matches('\n').len() + item.width() + comma.len();
        text += &format!("{gap}{item}{comma}");
    }
    text
}

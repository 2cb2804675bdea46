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

/// A text, broken at blanks into lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> String {
    let indent = if text.starts_with("***") { "***  " } else { "  " };
    let (mut lines, mut column) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        if column + word.trim_end().width() > width {
            lines.pop(); // The blank before it.
            lines += &format!("\n{indent}");
            column = indent.len();
        }
        lines += word;
        column += word.width();
    }
    lines
}

//! What the server says to a client. A [`Reply`] becomes text here and nowhere else, so this file and the
//! [table of commands](super::command) are the protocol, but for two lines: the refusal of the acceptor, and the goodbye to
//! a client that comes too late for it. The [audience](crate::audience) adds dates and times. Data, used by the
//! dispatcher's thread.
//!
//! The server's own lines begin with `*** `, a problem with what the client sent begins with `!!! `, and no name can
//! begin like either. A reply may have several lines; [`Display`] puts no line break after the last.

use super::{Problem, clock::Moment, command::help_for_clients, nickname::Nickname};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// The usual width of a terminal.
const COLUMNS: usize = 80;

/// One thing that the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The first thing that a client reads: its name, and who is here.
    Welcome(Nickname, Here),
    List(Here),
    Joined(Nickname),
    /// The reason, if the others should know one, stands in brackets.
    Left(Nickname, Option<String>),
    /// The old name and the new one.
    Renamed(Nickname, Nickname),
    Said(Nickname, Arc<str>),
    Acted(Nickname, Arc<str>),
    /// A private line as its recipient sees it, with the author.
    Whispered(Nickname, Arc<str>),
    /// The same as its author sees it, with the recipient.
    WhisperSent(Nickname, Arc<str>),
    /// The last lines of talk, each with its time, and the time now.
    History(Vec<(Moment, Reply)>, Moment),
    /// A line from the operator.
    Operator(Arc<str>),
    /// The answer to `/help`. Its text has the `*** ` in it already.
    Help,
    /// The answers to two settings.
    Echo(bool),
    Timestamps(bool),
    /// Something else that a client should know, such as the goodbye.
    Notice(String),
    /// The answer to a line that cannot be acted on.
    Problem(Problem),
}

/// How many clients are in the room, and the names of all or the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    pub(crate) count: usize,
    /// In alphabetical order, at most `count`.
    pub(crate) names: Vec<Nickname>,
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Welcome(you, here) => write!(
                f,
                "*** Welcome to chat-server! You are {you}.\n\
                 *** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.\n\
                 {here}"
            ),
            Reply::List(here) => here.write(f, false),
            Reply::Joined(who) => write!(f, "*** {who} joined"),
            Reply::Left(who, None) => write!(f, "*** {who} left"),
            Reply::Left(who, Some(why)) => write!(f, "*** {who} left ({why})"),
            Reply::Renamed(from, to) => write!(f, "*** {from} is now {to}"),
            Reply::Said(who, text) => write!(f, "<{who}> {text}"),
            Reply::Acted(who, text) => write!(f, "* {who} {text}"),
            Reply::Whispered(from, text) => write!(f, "[{from} -> you] {text}"),
            Reply::WhisperSent(to, text) => write!(f, "[you -> {to}] {text}"),
            Reply::History(lines, now) => history(lines, *now, f),
            Reply::Operator(text) => write!(f, "*** [server] {text}"),
            Reply::Help => f.write_str(&help_for_clients()),
            Reply::Echo(true) => f.write_str("*** Echo is on: your own lines come back to you."),
            Reply::Echo(false) => f.write_str("*** Echo is off: your own lines do not come back to you."),
            Reply::Timestamps(true) => f.write_str("*** Timestamps are on: each line begins with its time."),
            Reply::Timestamps(false) => f.write_str("*** Timestamps are off."),
            Reply::Notice(text) => write!(f, "*** {text}"),
            Reply::Problem(problem) => write!(f, "!!! {problem}"),
        }
    }
}

/// In one line.
impl Display for Here {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, true)
    }
}

impl Here {
    /// The names: in one line as many as fit 80 columns, or in lines of that width all of them. Then, how many more
    /// there are.
    fn write(&self, f: &mut Formatter<'_>, in_one_line: bool) -> fmt::Result {
        let more = |named| match self.count - named {
            0 => String::new(),
            unnamed => format!(" … and {unnamed} more"),
        };
        let mut line = format!("*** {} here:", self.count);
        for (i, name) in self.names.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let is_last = i + 1 == self.names.len();
            let after = if in_one_line { more(i + 1).width() } else { usize::from(!is_last) };
            if line.width() + comma.len() + " ".len() + name.to_string().width() + after <= COLUMNS {
                line += &format!("{comma} {name}");
            } else if in_one_line {
                return write!(f, "{line}{}", more(i));
            } else {
                writeln!(f, "{line}{comma}")?;
                line = format!("***   {name}");
            }
        }
        let unnamed = more(self.names.len());
        write!(f, "{line}{}{unnamed}", if in_one_line || unnamed.is_empty() { "" } else { "\n***  " })
    }
}

impl Reply {
    /// About how many bytes a line of talk takes on the wire, with its date and time: never fewer than it does.
    pub(crate) fn size(&self) -> usize {
        const AROUND: usize = "[2026-11-25 14:03] *** [server] <> \n".len() + 4 * Nickname::MAX_CHARS;
        match self {
            Reply::Said(_, text) | Reply::Acted(_, text) | Reply::Operator(text) => AROUND + text.len(),
            _ => AROUND,
        }
    }
}

fn history(lines: &[(Moment, Reply)], now: Moment, f: &mut Formatter<'_>) -> fmt::Result {
    match lines.len() {
        0 => f.write_str("*** Nothing has been said yet."),
        1 => f.write_str("*** The last line:"),
        n => write!(f, "*** The last {n} lines:"),
    }?;
    lines.iter().try_for_each(|(time, line)| write!(f, "\n{} {line}", time.seen_from(now)))
}

#[cfg(test)]
mod tests;

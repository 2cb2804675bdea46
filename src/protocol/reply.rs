//! Everything that the server may say, in one place.
//!
//! A [`Reply`] is what it means; its `Display` is the text on the wire: one line or several, separated by `\n`,
//! without the last line break. What the server itself has to say begins with `*** `, a problem with what a client
//! sent with `!!! `. No name can begin with `*`, `!`, `<` or `[`, and no text can hold a line break, so nobody can
//! forge such a line.
//!
//! Next on the tour: [`audience`](crate::audience), who hears it.

mod problem;

pub use problem::{Problem, Refusal};

use super::clock::ClockTime;
use super::command::COMMANDS;
use super::nickname::Nickname;
use crate::foreign::Foreign;
use problem::Usage;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// How wide a terminal is that nobody has made wider.
const COLUMNS: usize = 80;

/// One thing that the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The first thing that a client reads.
    Welcome {
        /// The name that it starts with.
        you: Nickname,
        /// Who is in the room, the newcomer among them.
        here: Here,
    },
    /// The answer to `/list`.
    List(Here),
    /// Somebody came in.
    Joined(Nickname),
    /// Somebody is gone, perhaps with a last word or for a reason that the others should know.
    Left(Nickname, Option<Reason>),
    /// In a large room: how many came and went.
    Moves {
        /// How many came.
        joined: usize,
        /// How many went.
        left: usize,
        /// How many are in the room now.
        here: usize,
    },
    /// Somebody is called something else now.
    Renamed {
        /// The name up to now.
        from: Nickname,
        /// The name from now on.
        to: Nickname,
    },
    /// A line of talk.
    Said(Nickname, Arc<str>),
    /// A `/me` line.
    Acted(Nickname, Arc<str>),
    /// What the recipient of a private line sees.
    Whispered {
        /// Who wrote it.
        from: Nickname,
        /// What was written.
        text: Arc<str>,
    },
    /// What the author of a private line sees.
    WhisperSent {
        /// Who got it.
        to: Nickname,
        /// What was written.
        text: Arc<str>,
    },
    /// The answer to `/echo`.
    Echo(bool),
    /// The answer to `/timestamps`.
    Timestamps(bool),
    /// What was said last, each line with its time.
    History(Vec<(ClockTime, Reply)>),
    /// A line from the person at the server's keyboard.
    Operator(Arc<str>),
    /// What somebody reads who is sent away by that person.
    Kicked(Option<Arc<str>>),
    /// The answer to `/help`.
    Help,
    /// The only answer to a program that is no chat client.
    NotForYou(Foreign),
    /// The last line before the server stops.
    Goodbye,
    /// The only line that somebody reads who is not let in.
    Refused(Refusal),
    /// The answer to a line that cannot be acted on.
    Problem(Problem),
}

/// Why somebody left, as far as it concerns the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A last word of its own.
    LastWord(Arc<str>),
    /// It did not read what was said.
    TooSlow,
    /// Nothing has been heard of its machine for too long, or there is no way to it any more.
    Lost,
    /// The person at the server's keyboard sent it away, perhaps for a reason.
    Kicked(Option<Arc<str>>),
    /// The server made a mistake.
    Bug,
}

/// How many are in the room, and the names of all or the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// How many there are, always exact.
    pub count: usize,
    /// Names in alphabetical order, at most `count`.
    pub names: Vec<Nickname>,
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Welcome { you, here } => write!(
                f,
                "*** Welcome to chat-server! You are {you}.\n\
                 *** Type a line to say it to everyone. /nick NAME to be known by name, /help for the rest.\n\
                 {here}"
            ),
            Reply::List(here) => list(here, f),
            Reply::Joined(who) => write!(f, "*** {who} joined"),
            Reply::Left(who, None) => write!(f, "*** {who} left"),
            Reply::Left(who, Some(why)) => write!(f, "*** {who} left ({why})"),
            Reply::Moves { joined, left, here } => {
                write!(f, "*** {} joined, {} left; {} here", Grouped(*joined), Grouped(*left), Grouped(*here))
            }
            Reply::Renamed { from, to } => write!(f, "*** {from} is now {to}"),
            Reply::Said(who, text) => write!(f, "<{who}> {text}"),
            Reply::Acted(who, text) => write!(f, "* {who} {text}"),
            Reply::Whispered { from, text } => write!(f, "[{from} -> you] {text}"),
            Reply::WhisperSent { to, text } => write!(f, "[you -> {to}] {text}"),
            Reply::Echo(true) => f.write_str("*** Echo is on: your own lines come back to you."),
            Reply::Echo(false) => f.write_str("*** Echo is off: your own lines do not come back to you."),
            Reply::Timestamps(true) => f.write_str("*** Timestamps are on: each line begins with its time."),
            Reply::Timestamps(false) => f.write_str("*** Timestamps are off."),
            Reply::History(lines) => history(lines, f),
            Reply::Operator(text) => write!(f, "*** [server] {text}"),
            Reply::Kicked(None) => f.write_str("!!! You have been sent away by the operator."),
            Reply::Kicked(Some(reason)) => {
                write!(f, "!!! You have been sent away by the operator: {reason}")
            }
            Reply::Help => help(f),
            Reply::NotForYou(foreign) => {
                write!(f, "!!! This is a chat server and does not speak {foreign}. Use netcat: nc HOST PORT")
            }
            Reply::Goodbye => f.write_str("*** The server is shutting down. Goodbye!"),
            Reply::Refused(refusal) => write!(f, "!!! Sorry, {refusal}."),
            Reply::Problem(problem) => write!(f, "!!! {problem}"),
        }
    }
}

/// A number as people read it: 4,211.
struct Grouped(usize);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            small @ ..1000 => small.fmt(f),
            large => write!(f, "{},{:03}", Grouped(large / 1000), large % 1000),
        }
    }
}

impl Display for Here {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "*** {} here: ", self.count)?;
        for (i, name) in self.names.iter().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        match self.count - self.names.len() {
            0 => Ok(()),
            unnamed => write!(f, " … and {unnamed} more"),
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reason::LastWord(text) => f.write_str(text),
            Reason::TooSlow => f.write_str("too slow: too much was waiting to be read"),
            Reason::Lost => f.write_str("connection lost"),
            Reason::Kicked(None) => f.write_str("sent away"),
            Reason::Kicked(Some(reason)) => write!(f, "sent away: {reason}"),
            Reason::Bug => f.write_str("an error in the server"),
        }
    }
}

impl Reply {
    /// About how many bytes a line of talk takes on the wire, with its time: never fewer than it does.
    pub fn size(&self) -> usize {
        const AROUND: usize = "[14:03] *** [server] <> \n".len() + 4 * Nickname::MAX_CHARS;
        match self {
            Reply::Said(_, text) | Reply::Acted(_, text) | Reply::Operator(text) => AROUND + text.len(),
            _ => AROUND,
        }
    }
}

/// Everybody, in lines of at most 80 columns.
fn list(here: &Here, f: &mut Formatter<'_>) -> fmt::Result {
    let mut line = format!("*** {} here:", here.count);
    for (i, name) in here.names.iter().enumerate() {
        let comma = if i + 1 < here.names.len() { "," } else { "" };
        let item = format!(" {name}{comma}");
        if line.width() + item.width() > COLUMNS {
            f.write_str(&line)?;
            line = "\n***  ".to_owned();
        }
        line += &item;
    }
    f.write_str(&line)
}

fn history(lines: &[(ClockTime, Reply)], f: &mut Formatter<'_>) -> fmt::Result {
    match lines.len() {
        0 => f.write_str("*** Nothing has been said yet."),
        1 => f.write_str("*** The last line:"),
        n => write!(f, "*** The last {n} lines:"),
    }?;
    lines.iter().try_for_each(|(time, line)| write!(f, "\n{time} {line}"))
}

fn help(f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str("*** Any text is said to everyone. Beyond that:")?;
    for spec in &COMMANDS {
        write!(f, "\n***   {:<18} {}", Usage(spec), spec.help)?;
        for (i, synonym) in spec.words[1..].iter().enumerate() {
            write!(f, "{} /{synonym}", if i == 0 { " (also" } else { "," })?;
        }
        if spec.words.len() > 1 {
            f.write_str(")")?;
        }
    }
    write!(f, "\n***   {:<18} say a line that begins with a slash", "//text")
}

#[cfg(test)]
mod tests;

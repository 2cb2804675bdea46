//! Everything that the server may say, in one place.
//!
//! A [`Reply`] is what it means; its `Display` is the text on the wire: one line or several, separated by `\n`,
//! without the last line break. What the server itself has to say begins with `*** `, a problem with what a client
//! sent with `!!! `. No name can begin with `*`, `!`, `<` or `[`, and no text can hold a line break, so nobody can
//! forge such a line.

use super::clock::ClockTime;
use super::command::{COMMANDS, CommandError, CommandSpec};
use super::nickname::{Nickname, NicknameError};
use crate::foreign::Foreign;
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

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no place left.
    Full,
    /// There are as many clients from its address as there may be.
    TooManyFromThere,
    /// The operator has banned its address.
    Banned,
    /// Its address is not among those that may connect.
    NotAllowed,
    /// The system has nothing left to serve another client with.
    Exhausted,
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

/// What is wrong with a line that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It looks like a command and is none.
    Command(CommandError),
    /// It is longer than this many bytes.
    LineTooLong(usize),
    /// Somebody else has this name.
    NameTaken(Nickname),
    /// This name belongs to another guest.
    GuestName(Nickname),
    /// The new name is the old one.
    SameName(Nickname),
    /// The private line is for somebody who is not here, but perhaps for this one who is.
    NobodyCalled(String, Option<Nickname>),
    /// `/reply`, but nobody has written privately yet.
    NobodyToReplyTo,
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
                write!(
                    f,
                    "*** {} joined, {} left; {} here",
                    Grouped(*joined),
                    Grouped(*left),
                    Grouped(*here)
                )
            }
            Reply::Renamed { from, to } => write!(f, "*** {from} is now {to}"),
            Reply::Said(who, text) => write!(f, "<{who}> {text}"),
            Reply::Acted(who, text) => write!(f, "* {who} {text}"),
            Reply::Whispered { from, text } => write!(f, "[{from} -> you] {text}"),
            Reply::WhisperSent { to, text } => write!(f, "[you -> {to}] {text}"),
            Reply::Echo(true) => f.write_str("*** Echo is on: your own lines come back to you."),
            Reply::Echo(false) => {
                f.write_str("*** Echo is off: your own lines do not come back to you.")
            }
            Reply::Timestamps(true) => {
                f.write_str("*** Timestamps are on: each line begins with its time.")
            }
            Reply::Timestamps(false) => f.write_str("*** Timestamps are off."),
            Reply::History(lines) => history(lines, f),
            Reply::Operator(text) => write!(f, "*** [server] {text}"),
            Reply::Kicked(None) => f.write_str("!!! You have been sent away by the operator."),
            Reply::Kicked(Some(reason)) => {
                write!(f, "!!! You have been sent away by the operator: {reason}")
            }
            Reply::Help => help(f),
            Reply::NotForYou(foreign) => {
                write!(
                    f,
                    "!!! This is a chat server and does not speak {foreign}. Use netcat: nc HOST PORT"
                )
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

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::TooManyFromThere => "there are too many clients from your address already",
            Refusal::Banned => "your address is banned from this server",
            Refusal::NotAllowed => "your address may not connect to this server",
            Refusal::Full => "the server is full; please try again later",
            Refusal::Exhausted => {
                "the server cannot serve one more client at the moment; please try again later"
            }
        })
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

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Command(error) => error.fmt(f),
            Problem::LineTooLong(max) => {
                write!(
                    f,
                    "That line was longer than {max} bytes, so nobody got it. Please send it in pieces."
                )
            }
            Problem::NameTaken(name) => write!(
                f,
                "{name} is taken, or looks like a name that is. Please pick another name."
            ),
            Problem::GuestName(name) => {
                write!(
                    f,
                    "{name} is for the guest with that number. Please pick another name."
                )
            }
            Problem::SameName(name) => write!(f, "You are {name} already."),
            Problem::NobodyCalled(name, Some(nearest)) => {
                write!(
                    f,
                    "No one here is called \"{name}\". Did you mean {nearest}?"
                )
            }
            Problem::NobodyCalled(name, None) => {
                write!(
                    f,
                    "No one here is called \"{name}\". /list shows who is here."
                )
            }
            Problem::NobodyToReplyTo => {
                f.write_str("Nobody has written to you privately yet. Use /msg NAME TEXT.")
            }
        }
    }
}

impl Display for CommandError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Unknown(word, candidates) if candidates.is_empty() => write!(
                f,
                "There is no command /{word}. /help lists them; to say a line that begins with a slash, type //{word}"
            ),
            CommandError::Unknown(word, candidates) => {
                write!(
                    f,
                    "There is no command /{word}. Did you mean /{}?",
                    candidates.join(" or /")
                )
            }
            CommandError::Usage(spec) => {
                write!(
                    f,
                    "/{} needs something else after it. Usage: {}",
                    spec.words[0],
                    Usage(spec)
                )
            }
            CommandError::BadName(NicknameError::Length) => {
                write!(
                    f,
                    "/nick: a name has 1 to {} characters.",
                    Nickname::MAX_CHARS
                )
            }
            CommandError::BadName(NicknameError::Character(c)) => {
                write!(
                    f,
                    "/nick: a name cannot contain {c:?}, only letters, digits, - and _."
                )
            }
            CommandError::BadName(NicknameError::Scripts) => {
                f.write_str("/nick: a name cannot mix letters of different scripts.")
            }
            CommandError::BadName(NicknameError::Reserved) => {
                f.write_str("/nick: that name is reserved. Please pick another.")
            }
            CommandError::NobodyCalled(name) => Problem::NobodyCalled(name.clone(), None).fmt(f),
        }
    }
}

/// A command as it is typed: `/msg NAME TEXT`.
struct Usage<'a>(&'a CommandSpec);

impl Display for Usage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let CommandSpec {
            words, arguments, ..
        } = self.0;
        let space = if arguments.is_empty() { "" } else { " " };
        f.pad(&format!("/{}{space}{arguments}", words[0]))
    }
}

/// Everybody, in lines of at most 80 columns.
fn list(here: &Here, f: &mut Formatter<'_>) -> fmt::Result {
    let mut line = format!("*** {} here:", Grouped(here.count));
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
    lines
        .iter()
        .try_for_each(|(time, line)| write!(f, "\n{time} {line}"))
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
    write!(
        f,
        "\n***   {:<18} say a line that begins with a slash",
        "//text"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<Nickname> {
        names
            .iter()
            .map(|name| Nickname::parse(name).unwrap())
            .collect()
    }

    #[test]
    fn the_welcome_is_three_lines() {
        let here = Here {
            count: 3,
            names: named(&["alice", "bob", "guest1"]),
        };
        let welcome = Reply::Welcome {
            you: Nickname::parse("guest1").unwrap(),
            here,
        };
        assert_eq!(
            welcome.to_string(),
            "*** Welcome to chat-server! You are guest1.\n\
             *** Type a line to say it to everyone. /nick NAME to be known by name, /help for the rest.\n\
             *** 3 here: alice, bob, guest1"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let here = Here {
            count: 43,
            names: named(&["alice", "bob", "carol"]),
        };
        assert_eq!(
            here.to_string(),
            "*** 43 here: alice, bob, carol … and 40 more"
        );
    }

    #[test]
    fn a_list_of_hundreds_is_wrapped() {
        let names: Vec<Nickname> = (0..500)
            .map(|n| Nickname::parse(&format!("person-{n:03}")).unwrap())
            .collect();
        let list = Reply::List(Here { count: 500, names }).to_string();
        assert!(
            list.starts_with("*** 500 here: person-000, person-001, "),
            "{list}"
        );
        assert!(
            list.lines()
                .all(|line| line.len() <= 80 && line.starts_with("*** ")),
            "{list}"
        );
        assert_eq!(list.matches("person-").count(), 500);
        assert!(list.ends_with(" person-498, person-499"));
        let wide = named(&[
            "愛麗絲愛麗絲愛麗絲愛麗絲",
            "アリスアリスアリス",
            "앨리스앨리스앨리스",
            "愛麗絲",
        ]);
        let list = Reply::List(Here {
            count: 4,
            names: wide,
        })
        .to_string();
        assert!(
            list.lines().count() == 2 && list.lines().all(|line| line.width() <= 80),
            "{list}"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (4211, "4,211"),
            (1_000_042, "1,000,042"),
        ] {
            assert_eq!(Grouped(number).to_string(), shown);
        }
    }

    #[test]
    fn help_has_a_line_for_every_command() {
        let help = Reply::Help.to_string();
        for spec in &COMMANDS {
            assert!(
                help.contains(&format!("\n***   /{}", spec.words[0])),
                "{help}"
            );
        }
        assert!(help.lines().all(|line| line.starts_with("*** ")), "{help}");
        assert!(
            help.contains("/list              who is here, and how many (also /who, /names)"),
            "{help}"
        );
    }

    #[test]
    fn every_problem_is_marked_and_names_the_command() {
        let usage = CommandError::Usage(&COMMANDS[1]);
        assert_eq!(
            Reply::Problem(Problem::Command(usage)).to_string(),
            "!!! /msg needs something else after it. Usage: /msg NAME TEXT"
        );
        let unknown = Reply::Problem(Problem::Command(CommandError::Unknown(
            "dance".into(),
            vec![],
        )))
        .to_string();
        assert!(
            unknown.starts_with("!!! There is no command /dance."),
            "{unknown}"
        );
    }
}

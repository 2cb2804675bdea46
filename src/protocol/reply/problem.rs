//! What is wrong: with a line that a client sent, or with letting it in. After the name of the problem its sentence,
//! which says what to do about it.

use crate::protocol::command::{CommandError, CommandSpec};
use crate::protocol::nickname::{Nickname, NicknameError};
use std::fmt::{self, Display, Formatter};

/// What is wrong with a line that a client sent: that it is no command, which the parser finds out alone, or that what it
/// asks for is not possible in the room as it is.
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
            Problem::NameTaken(name) => {
                write!(f, "{name} is taken, or looks like a name that is. Please pick another name.")
            }
            Problem::GuestName(name) => {
                write!(f, "{name} is for the guest with that number. Please pick another name.")
            }
            Problem::SameName(name) => write!(f, "You are {name} already."),
            Problem::NobodyCalled(name, Some(nearest)) => {
                write!(f, "No one here is called \"{name}\". Did you mean {nearest}?")
            }
            Problem::NobodyCalled(name, None) => {
                write!(f, "No one here is called \"{name}\". /list shows who is here.")
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
                write!(f, "There is no command /{word}. Did you mean /{}?", candidates.join(" or /"))
            }
            CommandError::Usage(spec) => {
                write!(f, "/{} needs something else after it. Usage: {}", spec.words[0], Usage(spec))
            }
            CommandError::BadName(NicknameError::Length) => {
                write!(f, "/nick: a name has 1 to {} characters.", Nickname::MAX_CHARS)
            }
            CommandError::BadName(NicknameError::Character(c)) => {
                write!(f, "/nick: a name cannot contain {c:?}, only letters, digits, - and _.")
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

/// A command as it is typed: `/msg NAME TEXT`.
pub(super) struct Usage<'a>(pub &'a CommandSpec);

impl Display for Usage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let CommandSpec { words, arguments, .. } = self.0;
        let space = if arguments.is_empty() { "" } else { " " };
        f.pad(&format!("/{}{space}{arguments}", words[0]))
    }
}

//! The rules of the chat: the commands, the answers, the names, and which line goes to whom.
//!
//! Nothing here knows a socket, a thread or a clock; the caller hands the time in ([`Now`]). So a test of a
//! rule is a few lines, and the rules read without anything around them. The [dispatcher](crate::dispatcher)
//! calls the [`room`]; a [client's thread](crate::client) calls [`command`].

pub(crate) mod command;
mod names;
pub(crate) mod nickname;
pub(crate) mod reply;
pub(crate) mod room;
pub(crate) mod text;

use jiff::civil::DateTime;
use std::fmt;
use std::time::Duration;

/// Identifies one client for as long as the server runs; no number is used twice.
///
/// A guest's first name comes from it: client 7 starts as `guest7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The target of log lines about what the room is told: talk and new names. All of them are in the log,
/// whatever their pace.
pub(crate) const TALK: &str = "talk";

/// One sentence for a person: what was wrong with a line, and what to do about it. Written where the problem
/// is found.
pub(crate) type Problem = String;

/// The time at which something happens. All that happens in one turn of the dispatcher happens at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// The date and time of day where the server is.
    pub(crate) local: DateTime,
    /// How long the server has been running: a clock that nobody can set.
    pub(crate) uptime: Duration,
}

//! What the client threads tell the dispatcher: the contract of the one channel between them.
//!
//! There is one channel for all kinds of events, because `select!` picks at random among several that are ready:
//! with one each for joins, lines and leaves, a client's last words could come after its leave. It is bounded, so
//! that a busy dispatcher makes the readers wait, and through them, by TCP, the clients: back-pressure.
//!
//! Next on the tour: [`dispatcher`](crate::dispatcher), where it arrives.

use crate::foreign::Foreign;
use crate::protocol::ClientId;
use crate::protocol::command::Command;
use crate::protocol::reply::{Problem, Reason};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// How many events may wait for the dispatcher.
pub const CAPACITY: usize = 1024;

/// One thing that happened to one client. For each client first comes one [`Event::Joined`], then any number of
/// [`Event::Line`] and [`Event::TimingMark`], then one [`Event::Left`]; a client
/// that the dispatcher has cut off meanwhile is not in the room any more, and its events come to nothing.
#[derive(Debug)]
pub enum Event {
    /// A client is connected and its thread is about to listen to it.
    Joined {
        /// Who it is from now on.
        id: ClientId,
        /// Where it comes from.
        peer: SocketAddr,
        /// Shared with the client's thread: that one reads, the dispatcher writes.
        socket: Arc<TcpStream>,
    },
    /// A client sent a line.
    Line {
        /// Who sent it.
        id: ClientId,
        /// What it asks for, or what is wrong with it.
        line: Result<Command, Problem>,
    },
    /// A client's telnet asks whether all that it sent has arrived.
    TimingMark {
        /// Who asks.
        id: ClientId,
    },
    /// A client will not be heard of again.
    Left {
        /// Who is gone.
        id: ClientId,
        /// Why.
        why: Departure,
    },
}

/// Why a client left. All kinds of leaving end the same way.
#[derive(Debug)]
pub enum Departure {
    /// It said so, perhaps with a last word.
    Quit(Option<Arc<str>>),
    /// It closed its half of the connection: end of file.
    Closed,
    /// It is no chat client at all.
    Foreign(Foreign),
    /// The connection broke, while reading or while writing.
    Failed(io::Error),
    /// It did not read what it was sent; this many bytes were waiting.
    TooSlow(usize),
    /// The person at the server's keyboard sent it away.
    Kicked(Option<Arc<str>>),
    /// The server stops.
    Shutdown,
    /// A bug in its thread. The others must not suffer for it.
    Panicked,
}

impl Departure {
    /// What the others are told of it, if anything.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Departure::Quit(last_word) => last_word.clone().map(Reason::LastWord),
            Departure::Kicked(reason) => Some(Reason::Kicked(reason.clone())),
            Departure::TooSlow(_) => Some(Reason::TooSlow),
            // A reset is how a program ends that is killed; anything else comes from the network in between.
            Departure::Failed(error) => match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => None,
                _ => Some(Reason::Lost),
            },
            Departure::Panicked => Some(Reason::Bug),
            Departure::Closed | Departure::Foreign(_) | Departure::Shutdown => None,
        }
    }
}

/// For the log.
impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Departure::Quit(None) => f.write_str("it quit"),
            Departure::Quit(Some(last_word)) => write!(f, "it quit ({last_word})"),
            Departure::Kicked(None) => f.write_str("it was kicked"),
            Departure::Kicked(Some(reason)) => write!(f, "it was kicked ({reason})"),
            Departure::Closed => f.write_str("it closed the connection"),
            Departure::Foreign(foreign) => write!(f, "it speaks {foreign}"),
            Departure::Failed(error) => write!(f, "the connection broke ({error})"),
            Departure::TooSlow(backlog) => {
                write!(f, "it was too slow, {backlog} bytes were waiting for it")
            }
            Departure::Shutdown => f.write_str("the server stops"),
            Departure::Panicked => f.write_str("a bug ended its thread"),
        }
    }
}

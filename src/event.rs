//! The messages of the clients' threads, and of the acceptor, to the dispatcher: the contract of the one channel between
//! them.
//!
//! There is one channel for all kinds of events, because `select!` picks at random among several that are ready: with one
//! channel for lines and one for leaves, a client's last words could come after its leave. It is bounded, so that a busy
//! dispatcher makes the clients' threads wait, and through them, by TCP, the clients: back-pressure.

use crate::chat::{ClientId, Problem, command::Request};
use crate::guard::foreign::Foreign;
use crossbeam_channel::Sender;
use std::net::{SocketAddr, TcpStream};
use std::{io, sync::Arc};

/// How many events may wait for the dispatcher.
pub(crate) const CAPACITY: usize = 1024;

/// How many bytes of a last word, or of the operator's reason, the others see.
const MAX_LAST_WORDS: usize = 200;

/// One thing that happened. Each client's first event is [`Event::Joined`], its last is [`Event::Left`]. A client that
/// the dispatcher has cut off meanwhile is not in the room any more, and the dispatcher ignores its later events.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client is connected, and its thread is about to listen to it.
    Joined {
        id: ClientId,
        peer: SocketAddr,
        /// Shared with the client's thread: that one reads, the dispatcher writes.
        socket: Arc<TcpStream>,
        /// The dispatcher sends a ticket back for each few lines that it has taken: [`TICKETS`](crate::guard::TICKETS). It
        /// drops this end when it has nothing more to send to the client.
        tickets: Sender<()>,
    },
    /// A client sent a line: a request, or a problem to tell it about.
    Line { id: ClientId, request: Result<Request, Problem> },
    /// A client's lines have to wait, and it should be told how long.
    Slowed { id: ClientId, how: String },
    /// A client sends nothing more.
    Left { id: ClientId, why: Departure },
    /// The acceptor's last word. The channel keeps its order, so everything said before it arrives.
    Stop,
}

/// Why a client left. Each kind takes the client out of the room in the same way; how the connection ends is in the table
/// of [`audience`](crate::audience).
#[derive(Debug)]
pub(crate) enum Departure {
    /// It said so, perhaps with a last word.
    Quit(Option<Arc<str>>),
    /// It closed its half of the connection: end of file.
    Closed,
    /// It is no chat client at all.
    Foreign(Foreign),
    /// The connection broke, while reading or while writing.
    Failed(io::Error),
    /// So many bytes waited for it that it was disconnected.
    TooSlow(usize),
    /// The operator sent it away, perhaps with a reason.
    Kicked(Option<Arc<str>>),
    /// The server stops.
    Shutdown,
    /// A bug in its thread. It must not harm the others.
    Panicked,
}

impl Departure {
    /// The reason for the log, and the part of it that the others are told, if any.
    pub(crate) fn reason(&self) -> (String, Option<String>) {
        let too_slow = || Some("too slow: too much was waiting to be read".to_owned());
        match self {
            Departure::Quit(None) => ("it quit".into(), None),
            Departure::Quit(Some(last_word)) => (format!("it quit ({last_word})"), Some(quoted(last_word))),
            Departure::Kicked(None) => ("it was kicked".into(), Some("sent away".into())),
            Departure::Kicked(Some(why)) => {
                (format!("it was kicked ({why})"), Some(format!("sent away: {}", quoted(why))))
            }
            Departure::Closed => ("it closed the connection".into(), None),
            Departure::Foreign(foreign) => (format!("it speaks {foreign}"), None),
            Departure::TooSlow(backlog) => {
                (format!("it was too slow, {backlog} bytes were waiting for it"), too_slow())
            }
            Departure::Failed(error) => {
                let told = match error.kind() {
                    // A reset comes from a program that ended before it had read all; another error, from the network.
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => None,
                    io::ErrorKind::OutOfMemory => too_slow(),
                    _ => Some("connection lost".into()),
                };
                (format!("the connection broke ({error})"), told)
            }
            Departure::Shutdown => ("the server stops".into(), None),
            Departure::Panicked => ("a bug ended its thread".into(), Some("an error in the server".into())),
        }
    }
}

/// A person's own words, in quotation marks and cut: last words must not pass for a reason of the server's.
fn quoted(words: &str) -> String {
    let end = (0..=MAX_LAST_WORDS).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    format!("\"{}\"", words.get(..end).unwrap_or(words).trim_end().replace('"', "'"))
}

impl From<io::Error> for Departure {
    fn from(error: io::Error) -> Departure {
        error.downcast().map_or_else(Departure::Failed, Departure::Foreign)
    }
}

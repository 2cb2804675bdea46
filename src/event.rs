//! The messages of the clients' threads, and of the acceptor, to the dispatcher: the contract of the one
//! channel between them.
//!
//! There is one channel for all kinds of events, because `select!` picks at random among several that are
//! ready: with one channel for lines and one for leaves, a client's last words could come after its leave. It
//! is bounded, so that a busy dispatcher makes the clients' threads wait, and through them, by TCP, the
//! clients: back-pressure.

use crate::chat::{ClientId, command::Line};
use crate::credit::{Creditor, Slot};
use crate::ending::Ending;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// How many events may wait for the dispatcher.
pub(crate) const CAPACITY: usize = 1024;

/// One thing that happened. Each client's first event is [`Event::Joined`], its last is [`Event::Left`]. A
/// client that the dispatcher has cut off meanwhile is not in the room any more, and the dispatcher ignores
/// its later events.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client is connected, and its thread is about to listen to it.
    Joined {
        id: ClientId,
        peer: SocketAddr,
        /// Shared with the client's thread: that one reads, the dispatcher writes.
        socket: Arc<TcpStream>,
        /// The dispatcher drops it when it is done with the client.
        creditor: Creditor,
    },
    /// A client sent a few lines, each of them a request, or a problem to tell it about.
    Lines { id: ClientId, lines: Vec<Line>, slot: Slot },
    /// A client's lines have to wait, and it is told why.
    Slowed { id: ClientId, how: String },
    /// A client sends nothing more.
    Left { id: ClientId, ending: Ending },
    /// The acceptor's last word. The channel keeps its order, so everything said before it arrives.
    Stop,
}

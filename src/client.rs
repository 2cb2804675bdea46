//! The thread of one client: it waits in `read`, cuts lines, understands them and tells the dispatcher.
//!
//! It never writes to the socket. It lives exactly as long as the connection: the acceptor starts it with a
//! [`Permit`], and when it ends, the place and the descriptor are free.

use crate::admission::Permit;
use crate::config::LINGER;
use crate::event::{Departure, Event};
use crate::line_reader::{Line, LineReader};
use crate::protocol::ClientId;
use crate::protocol::command::Command;
use crate::protocol::reply::Problem;
use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much stack a client's thread gets. It needs a few KiB; what it does not touch costs no memory.
pub const STACK_SIZE: usize = 128 * 1024;

/// How long a client that closed its half of the connection may take to read what it is still owed.
const PATIENCE: Duration = Duration::from_secs(5);

/// One accepted connection.
#[derive(Debug)]
pub struct Client {
    /// Who it is.
    pub id: ClientId,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The connection, shared with the dispatcher.
    pub socket: Arc<TcpStream>,
    /// The longest line it may send, in bytes.
    pub max_line: usize,
    /// Its place in the room.
    pub permit: Permit,
}

impl Client {
    /// The whole life of the client's thread: join, listen, leave.
    pub fn run(self, events: Sender<Event>) {
        let joined = Event::Joined {
            id: self.id,
            peer: self.peer,
            socket: self.socket.clone(),
        };
        if events.send(joined).is_err() {
            return;
        }
        // A bug that one client's input brings out must end that client alone.
        let why =
            catch_unwind(AssertUnwindSafe(|| self.listen(&events))).unwrap_or(Departure::Panicked);
        let patience = if matches!(why, Departure::Closed) {
            PATIENCE
        } else {
            LINGER
        };
        if events.send(Event::Left { id: self.id, why }).is_ok() {
            linger(&self.socket, patience);
        }
    }

    /// Reads lines until there are no more, and says why.
    fn listen(&self, events: &Sender<Event>) -> Departure {
        let mut lines = LineReader::new(&*self.socket, self.max_line);
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return Departure::Closed,
                Err(error) => return Departure::Failed(error),
            };
            let line = match line {
                Line::TooLong => Err(Problem::LineTooLong(self.max_line)),
                Line::Text(text) => match Command::parse(&text) {
                    None => continue,
                    Some(Ok(Command::Quit(last_word))) => return Departure::Quit(last_word),
                    Some(line) => line.map_err(Problem::Command),
                },
            };
            // This waits while the dispatcher is busy, and so the client waits too. It fails when the server stops.
            if events.send(Event::Line { id: self.id, line }).is_err() {
                return Departure::Closed;
            }
        }
    }
}

/// Waits until both sides have closed the connection, and closes it for good after `patience` at most.
///
/// Our side closes when the dispatcher has sent what the client is owed. Until the client closes its own side,
/// what it still sends is thrown away: closing a socket with unread input makes the kernel send a reset, and that
/// can destroy the last lines before the client has read them (RFC 1122, 4.2.2.13).
fn linger(mut socket: &TcpStream, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut wanted = PollFlags::IN;
    let mut thrown_away = [0; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut sockets = [PollFd::new(socket, wanted)];
        match poll(&mut sockets, Timespec::try_from(left).ok().as_ref()) {
            Ok(1) => {}
            Err(Errno::INTR) => continue,
            _ => break,
        }
        if !sockets[0].revents().contains(PollFlags::IN) {
            break; // Closed on both sides, or broken.
        }
        match socket.read(&mut thrown_away) {
            Ok(0) => wanted = PollFlags::empty(), // The client has closed its side; now only for ours.
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

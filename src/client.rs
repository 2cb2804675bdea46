//! The thread of one client: it waits in `read`, cuts lines, understands them and tells the dispatcher.
//!
//! What it reads comes through several sources, each around the one before, as with Java's `FilterInputStream`: the
//! socket, then the [`Doorkeeper`], the [`TelnetFilter`] and the [`LineReader`].
//!
//! It never writes to the socket. It lives exactly as long as the connection: the acceptor starts it with a
//! [`Permit`], and when it ends, the place and the descriptor are free.
//!
//! Next on the tour: [`foreign`](crate::foreign), the first that sees the bytes.

use crate::admission::Permit;
use crate::config::LINGER;
use crate::event::{Departure, Event};
use crate::foreign::{Doorkeeper, Foreign};
use crate::line_reader::{Line, LineReader};
use crate::pace::Pace;
use crate::protocol::ClientId;
use crate::protocol::command::Command;
use crate::protocol::reply::Problem;
use crate::telnet::TelnetFilter;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use log::trace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::convert::Infallible;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much stack a client's thread gets. It needs a few KiB; what it does not touch costs no memory.
pub const STACK_SIZE: usize = 128 * 1024;

/// How long a client that leaves may take to read what it is still owed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a client's thread looks whether the dispatcher has sent everything, once its client has left. Only then:
/// the threads of those who are here do not wake up.
const LOOK: Duration = Duration::from_millis(50);

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
    /// How fast it may be.
    pub pace: Pace,
    /// Disconnected when the server closes. Nothing is ever received from it.
    pub closing: Receiver<Infallible>,
    /// Its place in the room.
    pub permit: Permit,
}

impl Client {
    /// The whole life of the client's thread.
    pub fn run(self, events: Sender<Event>) {
        self.join_listen_leave(&events);
        // Only now: when all senders are gone, all places are free.
        drop(events);
    }

    fn join_listen_leave(mut self, events: &Sender<Event>) {
        let joined = Event::Joined { id: self.id, peer: self.peer, socket: self.socket.clone() };
        if events.send(joined).is_err() {
            return;
        }
        // A panic is a bug, and a bug that one client's input brings out must end that client alone. Nothing that others
        // use can be left half changed by it (`AssertUnwindSafe`): this thread shares nothing but its socket.
        let why = catch_unwind(AssertUnwindSafe(|| self.listen(events))).unwrap_or(Departure::Panicked);
        if events.send(Event::Left { id: self.id, why }).is_ok() {
            linger(&self.socket);
        }
    }

    /// Reads lines until there are no more, and says why.
    fn listen(&mut self, events: &Sender<Event>) -> Departure {
        let id = self.id;
        let on_timing_mark = || drop(events.send(Event::TimingMark { id }));
        let socket = Doorkeeper::new(&*self.socket);
        let mut lines = LineReader::new(TelnetFilter::new(socket, on_timing_mark), self.max_line);
        let mut is_first = true;
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return Departure::Closed,
                Err(error) => {
                    return Foreign::in_error(&error).map_or(Departure::Failed(error), Departure::Foreign);
                }
            };
            if is_first {
                is_first = lines.last_line().trim_ascii().is_empty();
                let complete = line != Line::TooLong;
                if let Some(foreign) = Foreign::by_first_line(lines.last_line(), complete) {
                    return Departure::Foreign(foreign);
                }
            }
            trace!("client {id}: a line of {} bytes", lines.last_line().len());
            let length = if let Line::Text(text) = &line { text.len() } else { self.max_line };
            let wait = self.pace.next_line(length, Instant::now());
            if !wait.is_zero() && !stays_connected(&self.socket, wait) {
                return Departure::Closed;
            }
            #[cfg(test)]
            assert_ne!(line, Line::Text(tests::FATAL.to_owned()), "provoked by a test");
            let line = match line {
                Line::TooLong => Err(Problem::LineTooLong(self.max_line)),
                Line::Text(text) => match Command::parse(&text) {
                    None => continue,
                    Some(Ok(Command::Quit(last_word))) => return Departure::Quit(last_word),
                    Some(line) => line.map_err(Problem::Command),
                },
            };
            trace!("client {id}: on its way to the dispatcher");
            // This waits while the dispatcher is busy, and so the client waits too.
            let is_closed = events.send(Event::Line { id, line }).is_err();
            if is_closed || self.closing.try_recv() == Err(TryRecvError::Disconnected) {
                return Departure::Shutdown;
            }
        }
    }
}

/// Lets a client that is too fast wait. Its socket fills up meanwhile, and TCP slows it down.
///
/// This is `sleep`, except that the end of the connection ends it, because who is gone need not be waited for: false
/// if that happened.
fn stays_connected(socket: &TcpStream, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Without any event to wait for, `poll` still reports a hangup on both sides and errors.
        match poll(&mut [PollFd::new(socket, PollFlags::empty())], Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return true,
            Err(Errno::INTR) => {}
            _ => return false,
        }
    }
}

/// Waits until both sides have closed the connection, and closes it for good when that takes too long.
///
/// Our side is closed when the dispatcher has sent what the client is owed; then it drops its share of the socket.
/// Until the client closes its own side, what it still sends is thrown away: closing a socket with unread input makes
/// the kernel send a reset, and that can destroy the last lines before the client has read them (RFC 1122, 4.2.2.13).
fn linger(socket: &Arc<TcpStream>) {
    let mut deadline = Instant::now() + PATIENCE;
    let mut wanted = PollFlags::IN;
    let mut thrown_away = [0; 1024];
    let mut is_last_share = false;
    while Instant::now() < deadline {
        if !is_last_share && Arc::strong_count(socket) == 1 {
            is_last_share = true;
            deadline = Instant::now() + LINGER;
        }
        let mut sockets = [PollFd::new(socket, wanted)];
        match poll(&mut sockets, Timespec::try_from(LOOK).ok().as_ref()) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) if sockets[0].revents().contains(PollFlags::IN) => {}
            _ => break, // Closed on both sides, or broken.
        }
        match (&**socket).read(&mut thrown_away) {
            Ok(0) => wanted = PollFlags::empty(), // The client has closed its side; now only for ours.
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use crate::{Config, Server};
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;

    /// A line that ends the client's thread with a panic, in unit tests only.
    pub const FATAL: &str = "panic, please";

    #[test]
    fn a_panic_ends_one_client_and_the_others_are_told() {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let server = Server::bind(Config { listen, ..Config::default() }).unwrap();
        let (address, stopper) = (server.addresses()[0], server.stopper());
        let running = std::thread::spawn(|| server.run());
        let connect = || {
            let socket = TcpStream::connect(address).unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            BufReader::new(socket)
        };
        let sees = |person: &mut BufReader<TcpStream>, line: &str| {
            assert!(person.lines().any(|seen| seen.unwrap() == line), "in vain: {line}");
        };

        let mut alice = connect();
        sees(&mut alice, "*** 1 here: guest1");
        let mut bob = connect();
        sees(&mut alice, "*** guest2 joined");
        bob.get_mut().write_all(format!("{FATAL}\n").as_bytes()).unwrap();
        sees(&mut alice, "*** guest2 left (an error in the server)");
        alice.get_mut().write_all(b"/list\n").unwrap();
        sees(&mut alice, "*** 1 here: guest1");

        stopper.stop();
        running.join().unwrap().unwrap();
    }
}

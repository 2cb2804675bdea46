//! The armour: what keeps clients from hurting the server and each other, whatever they send and however they vanish.
//!
//! The story calls it in a few places: the acceptor asks [`admission`] before it starts a thread, a client's thread
//! reads through [`Lines`] and ends with [`linger`], and the sockets are made by [`listener`]. Without this folder the
//! program would still be a chat server, for friends only.

pub(crate) mod admission;
pub(crate) mod foreign;
pub(crate) mod line_reader;
pub(crate) mod listener;
pub(crate) mod pace;
mod telnet;
pub(crate) mod turned_away;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use foreign::Foreign;
use line_reader::{Line, LineReader};
use pace::Pace;
use std::convert::Infallible;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection whose half we have closed stays half open, so that its client can read the last lines and close
/// its own half. A LAN needs a few milliseconds of it.
pub(crate) const LINGER: Duration = Duration::from_millis(500);

/// How long a client that leaves may take to read its last lines.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a thread that waits looks whether its connection was reset.
const LOOK: Duration = Duration::from_secs(1);

/// The lines that one client sends: cut from the bytes, at the client's pace, as long as it speaks like a chat client.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    socket: &'a TcpStream,
    reader: LineReader<&'a TcpStream>,
    pace: Pace,
    max_line: usize,
    /// Disconnected when the dispatcher is done with the client. Nothing is ever sent on it.
    done: &'a Receiver<Infallible>,
    nothing_said: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(
        socket: &'a TcpStream,
        max_line: usize,
        pace: Pace,
        done: &'a Receiver<Infallible>,
    ) -> Lines<'a> {
        let reader = LineReader::new(socket, max_line);
        Lines { socket, reader, pace, max_line, done, nothing_said: true }
    }

    /// Waits for the next line, and then for as long as the client is ahead of its pace. `None` at the end; a line that is
    /// too long is a problem, in a sentence.
    ///
    /// # Errors
    /// The connection is broken, or the client speaks another protocol (a [`Foreign`] in the error).
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<&[u8], String>>> {
        let Lines { socket, reader, pace, max_line, done, nothing_said } = self;
        let Some(line) = reader.next_line()? else { return Ok(None) };
        let (Line::Whole(bytes) | Line::TooLong(bytes)) = line;
        if *nothing_said {
            *nothing_said = bytes.trim_ascii().is_empty();
            if let Some(foreign) = Foreign::by_first_line(bytes, matches!(line, Line::Whole(_))) {
                return Err(io::Error::other(foreign));
            }
        }
        if !wait(pace.next_line(bytes.len(), Instant::now()), socket, done)? {
            return Ok(None);
        }
        Ok(Some(line.whole(*max_line)))
    }
}

/// Lets a client that is too fast wait. Its socket fills up meanwhile, and TCP slows it down. False when the dispatcher
/// is done with the client.
///
/// # Errors
/// The connection was reset.
fn wait(wait: Duration, socket: &TcpStream, done: &Receiver<Infallible>) -> io::Result<bool> {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(true);
        }
        if done.recv_timeout(left.min(LOOK)) == Err(RecvTimeoutError::Disconnected) {
            return Ok(false);
        }
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
    }
}

/// Waits until the dispatcher has sent a client its last lines and closed our half of the connection, and then until the
/// client has closed its own, but for neither very long.
///
/// Meanwhile the rest of its input is thrown away: closing a socket with unread input makes the kernel send a reset, and
/// that can destroy the last lines before the client has read them (RFC 1122, 4.2.2.13).
pub(crate) fn linger(mut socket: &TcpStream, done: &Receiver<Infallible>) {
    let _ = done.recv_timeout(PATIENCE);
    let _ = socket.set_read_timeout(Some(LINGER));
    let until = Instant::now() + LINGER;
    let mut thrown_away = [0; 1024];
    while Instant::now() < until && matches!(socket.read(&mut thrown_away), Ok(1..)) {}
    let _ = socket.shutdown(Shutdown::Both);
}

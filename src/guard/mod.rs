//! The armour: what keeps clients from hurting the server and each other, whatever they send and however they vanish.
//!
//! The story calls it in a few places: the acceptor asks [`admission`] before it starts a thread, a client's thread
//! reads through [`Lines`] and ends with a [parting], and the sockets are made by [`listener`]. Without this folder the
//! program would still be a chat server, for friends only.

pub(crate) mod admission;
pub(crate) mod foreign;
pub(crate) mod line_reader;
pub(crate) mod listener;
pub(crate) mod pace;
pub(crate) mod parting;
mod telnet;
pub(crate) mod turned_away;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use foreign::Foreign;
use line_reader::{Line, LineReader};
use pace::Pace;
use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How often a thread that waits looks whether its connection was reset.
const LOOK: Duration = Duration::from_secs(1);

/// A client whose lines have waited for so long is told, once for each paste.
const LONG_WAIT: Duration = Duration::from_secs(2);

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
    /// Since when each line had to wait, and whether the client has been told.
    slowed: Option<(Instant, bool)>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(
        socket: &'a TcpStream,
        max_line: usize,
        pace: Pace,
        done: &'a Receiver<Infallible>,
    ) -> Lines<'a> {
        let reader = LineReader::new(socket, max_line);
        Lines { socket, reader, pace, max_line, done, nothing_said: true, slowed: None }
    }

    /// Waits for the next line, and then for as long as the client is ahead of its pace; `tell` gets a sentence for it when
    /// that is long. `None` at the end; a line that is too long is a problem, in a sentence.
    ///
    /// # Errors
    /// The connection is broken, or the client speaks another protocol (a [`Foreign`] in the error).
    pub(crate) fn next(&mut self, tell: impl FnOnce(String)) -> io::Result<Option<Result<&[u8], String>>> {
        let Lines { socket, reader, pace, max_line, done, nothing_said, slowed } = self;
        let Some(line) = reader.next_line()? else { return Ok(None) };
        let (Line::Whole(bytes) | Line::TooLong(bytes)) = line;
        if *nothing_said {
            *nothing_said = bytes.trim_ascii().is_empty();
            if let Some(foreign) = Foreign::by_first_line(bytes, matches!(line, Line::Whole(_))) {
                return Err(io::Error::other(foreign));
            }
        }
        let now = Instant::now();
        let pause = pace.next_line(bytes.len(), now);
        let (since, is_told) = slowed.filter(|_| !pause.is_zero()).unwrap_or((now, false));
        let is_long = now - since + pause > LONG_WAIT;
        *slowed = (!pause.is_zero()).then_some((since, is_told || is_long));
        if is_long && !is_told {
            tell(format!("Your lines come faster than {pace}. They are on their way, and none is lost."));
        }
        if !wait(pause, socket, done)? {
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

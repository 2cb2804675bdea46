//! The armour: it keeps clients from hurting the server and each other, whatever they send and however they vanish. The
//! line reader and the listening sockets live here too, because most of their code is for that.
//!
//! The story calls it in a few places: the acceptor asks [`admission`] before it starts a thread, a client's thread
//! reads through [`Lines`] and ends with a [parting], and the sockets are made by [`listener`]. Without
//! this folder the server would have to trust its clients.

pub(crate) mod admission;
pub(crate) mod foreign;
pub(crate) mod line_reader;
pub(crate) mod listener;
pub(crate) mod pace;
pub(crate) mod parting;
mod sock_diag;
mod telnet;
pub(crate) mod turned_away;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use foreign::Foreign;
use line_reader::{Line, LineReader};
use pace::Pace;
use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How many tickets each client has. It may have so many times [`EVENTS_PER_TICKET`] lines under way: the dispatcher sends
/// a ticket back when it has taken so many of them. Otherwise one flooder could fill the event channel, and everyone else's
/// lines would wait behind a thousand of its own.
pub(crate) const TICKETS: usize = 4;
/// A ticket is for several lines, because each ticket costs a little.
pub(crate) const EVENTS_PER_TICKET: usize = 8;

/// How often a thread that waits looks whether its connection was reset.
const LOOK: Duration = Duration::from_secs(1);

/// A client whose lines have waited for so long is told, once for each paste.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// The lines that one client sends: cut from the bytes, at the client's pace, as long as it speaks like a chat client.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    socket: &'a TcpStream,
    reader: LineReader<&'a TcpStream>,
    pace: &'a mut Pace,
    /// From the dispatcher: see [`TICKETS`]. It drops its end when it is done with the client.
    tickets: &'a Receiver<()>,
    /// How many lines may go now without another ticket.
    free_events: usize,
    nothing_said: bool,
    /// How long the lines of this paste have waited.
    waited: Duration,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(
        socket: &'a TcpStream,
        max_line: usize,
        pace: &'a mut Pace,
        tickets: &'a Receiver<()>,
    ) -> Lines<'a> {
        let reader = LineReader::new(socket, max_line);
        let free_events = TICKETS * EVENTS_PER_TICKET;
        Lines { socket, reader, pace, tickets, free_events, nothing_said: true, waited: Duration::ZERO }
    }

    /// Waits for the next line, and then for as long as the client is ahead of its pace; `tell` gets a sentence for it when
    /// that is long. `None` at the end; a line that is too long is a problem, in a sentence.
    ///
    /// # Errors
    /// The connection is broken, or the client speaks another protocol (a [`Foreign`] in the error).
    pub(crate) fn next(&mut self, tell: impl FnOnce(String)) -> io::Result<Option<Result<String, String>>> {
        let Some(Line { bytes, text }) = self.reader.next_line()? else { return Ok(None) };
        if self.nothing_said {
            self.nothing_said = bytes.trim_ascii().is_empty();
            if let Some(foreign) = Foreign::by_first_line(bytes, text.is_ok()) {
                return Err(io::Error::other(foreign));
            }
        }
        let now = Instant::now();
        let pause = self.pace.take_line(bytes.len(), now);
        let (before, pace) = (self.waited, &self.pace);
        self.waited = if pause.is_zero() { pause } else { before + pause };
        if before <= LONG_WAIT && self.waited > LONG_WAIT {
            tell(format!("Your lines come faster than {pace}. They are on their way, and none is lost."));
        }
        Ok((pause.is_zero() || self.rest_until(now + pause)?).then_some(text))
    }

    /// Lets the client pay for an answer that costs more than its question. Its next line waits for that.
    pub(crate) fn charge(&mut self, tokens: u32) {
        self.pace.take(tokens, Instant::now());
    }

    /// Waits until one more line may go to the dispatcher. False when the dispatcher is done with the client.
    pub(crate) fn may_send(&mut self) -> bool {
        while self.free_events == 0 {
            if self.tickets.recv().is_err() {
                return false;
            }
            self.free_events += EVENTS_PER_TICKET;
        }
        debug_assert!(self.free_events <= TICKETS * EVENTS_PER_TICKET, "more came back than there are");
        self.free_events -= 1;
        true
    }

    /// Lets a client that is too fast wait. Its socket fills up meanwhile, and TCP slows it down. False when the dispatcher
    /// is done with the client.
    ///
    /// # Errors
    /// The connection was reset.
    fn rest_until(&mut self, until: Instant) -> io::Result<bool> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            match self.tickets.recv_timeout(left.min(LOOK)) {
                Ok(()) => self.free_events += EVENTS_PER_TICKET,
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(error) = self.socket.take_error()? {
                        return Err(error);
                    }
                }
            }
        }
    }
}

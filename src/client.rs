//! The thread of one client: it reads, understands lines and tells the dispatcher.
//!
//! It never writes to the socket, so no other client's slowness can hold it up. It waits
//!
//! 1. for its client, in `read`;
//! 2. for its pace: for as many bytes as were read, or as are shown because of them, if these are more;
//! 3. for its turn in the room, if others will read the line;
//! 4. for a slot ([`credit`]), so that few lines of its address are under way to the dispatcher;
//! 5. for space in the event channel;
//! 6. and at the end in [`linger`], until the dispatcher is done with the client, and a second for the client
//!    to hang up.
//!
//! In 2 to 5 it does not read. So the client's socket fills up, and TCP makes the client wait too:
//! back-pressure. In 2 to 4 it also learns when the dispatcher is done with the client ([`Done`]).
//!
//! The acceptor starts the thread with a [`Permit`]. When the thread ends, its permit is dropped, and the
//! place is free.

use crate::chat::command::{COMMANDS, Line, Request, is_said, shown, weight};
use crate::chat::{ClientId, Problem};
use crate::credit::{self, Credit, Done};
use crate::ending::{Ending, is_over, linger};
use crate::event::Event;
use crate::guard::admission::Permit;
use crate::guard::limits::check_headroom;
use crate::guard::line_reader::LineReader;
use crate::guard::pace::{BYTES_PER_TOKEN, Turn};
use crossbeam_channel::Sender;
use log::trace;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use std::{mem, sync::Arc, thread};

/// How much stack a client's thread gets, in bytes. It needs a few KiB; pages that it does not touch cost no
/// memory.
const STACK_SIZE: usize = 128 * 1024;

/// How many lines one event holds at most, where there is no pace. Lines that have arrived together travel
/// together: a message to another thread costs more than a short line. A long line is the last of its event.
pub(crate) const LINES_PER_EVENT: usize = 16;

/// How often a thread that waits for its pace looks whether its connection is over.
const LOOK: Duration = Duration::from_secs(1);

/// A client whose lines must wait for so long, all together, is told. A paste ends with the first line that
/// need not wait, and for each paste the client is told once.
const LONG_WAIT: Duration = Duration::from_secs(2);

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) peer: SocketAddr,
    /// Shared with the dispatcher: this thread reads, the dispatcher writes.
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) max_line: usize,
    /// How many bytes one line may take to show: with what stands around it, it fits into half a backlog.
    pub(crate) max_shown: usize,
    /// Its place in the room, and its pace. When this is dropped, the place is free.
    pub(crate) permit: Permit,
    /// Lines that wait for nothing more. They go in one event, before the thread waits again.
    pub(crate) ready: Vec<Line>,
    pub(crate) lines_per_event: usize,
    /// How long the lines of this paste have waited.
    pub(crate) waited: Duration,
    pub(crate) events: Sender<Event>,
}

impl Client {
    /// Starts the client's thread.
    pub(crate) fn start(self) -> io::Result<()> {
        check_headroom()?;
        let thread = thread::Builder::new().name(format!("client-{}", self.id)).stack_size(STACK_SIZE);
        thread.spawn(move || self.run(Client::listen)).map(drop)
    }

    /// The whole life of the client's thread. `listen` is a parameter, so that a test can put a panic in its
    /// place.
    fn run(mut self, listen: Listen) {
        let (id, peer, socket) = (self.id, self.peer, self.socket.clone());
        let (creditor, credit) = credit::open(self.permit.slots.clone());
        let events = self.events.clone();
        if events.send(Event::Joined { id, peer, socket, creditor }).is_err() {
            return;
        }
        // A panic is a bug, and must end the client whose input brought it out, and no other. Nothing that
        // others use can be left half changed by it (`AssertUnwindSafe`): locks are held only by the pace,
        // which does not panic.
        let ended = catch_unwind(AssertUnwindSafe(|| listen(&mut self, &credit)));
        let _ = self.send(&credit); // What it said before it quit, or before a panic.
        let ending = ended.map_or(Ending::Panicked, |ended| ended.err().unwrap_or(Ending::Closed));
        if events.send(Event::Left { id, ending }).is_ok() {
            linger(&self.socket, credit);
        }
        // Before `events`: when all senders are gone, all connections are closed and all places are free.
        drop(self);
    }

    /// Reads lines and sends them to the dispatcher, until the end of the client's input (`Ok`) or another
    /// ending.
    fn listen(&mut self, credit: &Credit) -> Result<(), Ending> {
        let socket = self.socket.clone();
        let mut reader = LineReader::new(Input(&socket), self.max_line);
        let mut paid = 0; // For the line that has not ended yet.
        while let Some(piece) = reader.next_piece()? {
            let is_whole = piece.line.is_some();
            let line = piece.line.and_then(|line| self.understand(line));
            let bytes = piece.bytes.max(line.as_ref().map_or(0, weight).saturating_sub(paid));
            paid = if is_whole { 0 } else { paid + bytes };
            if self.permit.pace.is_limited() {
                let waited = self.waited;
                self.wait_for_pace(bytes, credit)?;
                if let Some(line) = line.as_ref().filter(|line| is_for_others(line)) {
                    self.wait_for_turn(weight(line), credit)?; // All of it, however many pieces it came in.
                }
                if is_whole && self.waited == waited {
                    self.waited = Duration::ZERO; // It need not wait, so this is no paste.
                }
            }
            if let Some(Ok(Request::Quit(last_words))) = line {
                return Err(Ending::Quit(last_words));
            }
            self.ready.extend(line); // Unless it is blank, or has not ended yet.
            if reader.is_drained() || bytes > BYTES_PER_TOKEN || self.ready.len() == self.lines_per_event {
                self.send(credit)?;
            }
        }
        Ok(())
    }

    /// Sends the lines that wait for nothing more.
    fn send(&mut self, credit: &Credit) -> Result<(), Ending> {
        if !self.ready.is_empty() {
            let (id, lines, slot) = (self.id, mem::take(&mut self.ready), credit.take()?);
            trace!("client {id}: on its way to the dispatcher");
            self.events.send(Event::Lines { id, lines, slot }).map_err(|_| Done)?;
        }
        Ok(())
    }

    /// Understands a line; `None` if it is blank. A control character is shown as several (`\x1b`), so a line
    /// can grow: one that takes up half a backlog could disconnect others who are a little behind.
    fn understand(&self, line: Result<String, Problem>) -> Option<Line> {
        let line = line.map_or_else(|too_long| Some(Err(too_long)), |text| COMMANDS.parse(&text))?;
        let shown = shown(&line);
        if shown <= self.max_shown {
            return Some(line);
        }
        Some(Err(format!(
            "That line would take {shown} bytes to show, so nobody got it. Please send it in pieces."
        )))
    }

    /// Waits while the client is ahead of its pace, or all clients of its address are ahead of theirs.
    fn wait_for_pace(&mut self, bytes: usize, credit: &Credit) -> Result<(), Ending> {
        let pause = self.permit.pace.take(bytes, Instant::now());
        self.wait(pause, credit)
    }

    /// Waits while the room is told more than its slow readers can read.
    fn wait_for_turn(&mut self, bytes: usize, credit: &Credit) -> Result<(), Ending> {
        loop {
            match self.permit.pace.take_turn(bytes, Instant::now()) {
                Turn::After(pause) => return self.wait(pause, credit),
                Turn::AskAgainAfter(pause) => self.wait(pause, credit)?,
            }
        }
    }

    /// Waits, and tells the client when its lines must wait for long. When a client's connection turns out to
    /// be over, on both sides or by a reset, the rest of its lines is not heard.
    fn wait(&mut self, pause: Duration, credit: &Credit) -> Result<(), Ending> {
        if pause.is_zero() {
            return Ok(()); // As nearly always, and then no clock is read.
        }
        self.send(credit)?;
        let begun = Instant::now();
        let was_told = self.waited > LONG_WAIT;
        self.waited += pause;
        if self.waited > LONG_WAIT && !was_told {
            let how = self.permit.pace.to_string();
            let _ = self.events.send(Event::Slowed { id: self.id, how });
        }
        while let Some(left) = pause.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            if is_over(&self.socket) {
                let error = self.socket.take_error()?.unwrap_or(io::ErrorKind::NotConnected.into());
                return Err(Ending::Failed(error));
            }
            credit.wait(left.min(LOOK))?;
        }
        Ok(())
    }
}

/// Whether the others in the room read what comes of a line.
fn is_for_others(line: &Line) -> bool {
    is_said(line) || matches!(line, Ok(Request::Nick(_)))
}

/// The read half of a client's socket.
struct Input<'a>(&'a TcpStream);

impl Read for Input<'_> {
    /// Reads from the socket. A broken connection is an error, even where the kernel has told the error
    /// already to the dispatcher, which writes, and tells this thread of an end of file. Otherwise half a
    /// line before a reset would be said as a whole one.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if is_over(self.0) => Err(io::ErrorKind::NotConnected.into()),
            count => Ok(count),
        }
    }
}

/// The work of a client's thread between joining and leaving.
type Listen = fn(&mut Client, &Credit) -> Result<(), Ending>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::Dispatcher;
    use crate::guard::admission::Admission;
    use crate::guard::line_reader::Piece;
    use crate::operator::stopper::Stopper;
    use crossbeam_channel::bounded;
    use rustix::net::sockopt::set_socket_linger;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    #[test]
    fn a_panic_ends_one_client_and_the_others_are_told() {
        let config = crate::Config::default();
        let (admission, (events, inbox)) = (Admission::new(&config), bounded(10));
        let dispatcher = Dispatcher::new(&config, admission.clone(), None, Stopper::pair().unwrap().0);
        let dispatcher = thread::spawn(move || dispatcher.run(&inbox));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = |id, listen: Listen| {
            let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, peer) = listener.accept().unwrap();
            let (id, permit) = (ClientId(id), admission.admit(peer.ip(), std::time::Instant::now()).unwrap());
            let (socket, events) = (Arc::new(socket), events.clone());
            let client = Client {
                id,
                peer,
                socket,
                max_line: 4096,
                max_shown: 4096,
                permit,
                ready: Vec::new(),
                lines_per_event: 1,
                waited: Duration::ZERO,
                events,
            };
            thread::spawn(move || client.run(listen));
            BufReader::new(far)
        };
        let sees = |person: &mut BufReader<TcpStream>, line: &str| {
            assert!(person.lines().any(|seen| seen.unwrap() == line), "in vain: {line}");
        };

        let mut alice = connect(1, Client::listen);
        sees(&mut alice, "*** 1 here: guest1");
        let mut bob = connect(2, |bob, slot| {
            bob.events
                .send(Event::Lines {
                    id: bob.id,
                    lines: vec![Ok(Request::Say("hello".into()))],
                    slot: slot.take().unwrap(),
                })
                .unwrap();
            panic!("provoked by a test")
        });
        sees(&mut alice, "<guest2> hello");
        sees(&mut alice, "*** guest2 left (an error in the server)");
        alice.get_mut().write_all(b"/list\n").unwrap();
        sees(&mut alice, "*** 1 here: guest1");
        sees(&mut bob, "<guest2> hello");
        bob.lines().for_each(drop); // The end comes.

        events.send(Event::Stop).unwrap();
        sees(&mut alice, "*** The server is shutting down. Goodbye!");
        drop((alice, events));
        dispatcher.join().unwrap();
    }

    #[test]
    fn half_a_line_before_a_reset_is_no_line_whoever_heard_of_the_reset_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        far.write_all(b"hello\nhalf a li").unwrap();
        set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
        drop(far);
        while near.take_error().unwrap().is_none() {
            thread::yield_now();
        }
        let mut reader = LineReader::new(Input(&near), 100);
        assert_eq!(reader.next_piece().unwrap().unwrap().line, Some(Ok("hello".to_owned())));
        let half = Piece { bytes: 0, line: None };
        assert_eq!(reader.next_piece().unwrap(), Some(half));
        assert!(reader.next_piece().is_err());
    }
}

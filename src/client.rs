//! The thread of one client: it waits in `read`, understands lines and tells the dispatcher.
//!
//! It never writes to the socket, so no other client's slowness can hold it up. When it waits, its client waits: for the
//! client's pace, for a ticket, and for space in the event channel. The acceptor starts the thread with a
//! [`Permit`], and when it ends, the place is free.

use crate::chat::ClientId;
use crate::chat::command::{COMMANDS, Request};
use crate::event::{Departure, Event};
use crate::guard::admission::{Permit, check_headroom};
use crate::guard::{Lines, TICKETS, parting::linger};
use crossbeam_channel::{Receiver, Sender, bounded};
use log::trace;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, sync::Arc, thread};

/// How much stack a client's thread gets, in bytes. It needs a few KiB; pages that it does not touch cost no memory.
const STACK_SIZE: usize = 128 * 1024;

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) peer: SocketAddr,
    /// Shared with the dispatcher: this thread reads, the dispatcher writes.
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) max_line: usize,
    /// Its place in the room, given back when this is dropped, and its pace.
    pub(crate) permit: Permit,
}

impl Client {
    /// Starts the client's thread.
    pub(crate) fn start(self, events: Sender<Event>) -> io::Result<()> {
        check_headroom()?;
        let thread = thread::Builder::new().name(format!("client-{}", self.id)).stack_size(STACK_SIZE);
        thread.spawn(move || self.run(events, Client::read_lines)).map(drop)
    }

    /// The whole life of the client's thread. `read_lines` is a parameter, so that a test can put a panic in its place.
    fn run(mut self, events: Sender<Event>, read_lines: ReadLines) {
        let (id, peer, socket) = (self.id, self.peer, self.socket.clone());
        // The dispatcher keeps its end for as long as it has something to send to this client. Dropping it is the message.
        let (ticket_sender, tickets) = bounded(TICKETS);
        let joined = Event::Joined { id, peer, socket, tickets: ticket_sender };
        if events.send(joined).is_err() {
            return;
        }
        // A panic is a bug, and a bug that one client's input brings out must end that client alone. Nothing that others
        // use can be left half changed by it (`AssertUnwindSafe`): it shares only its socket and its address's pace.
        let ended = catch_unwind(AssertUnwindSafe(|| read_lines(&mut self, &events, &tickets)));
        let why = ended.map_or(Departure::Panicked, |result| result.unwrap_or_else(Departure::from));
        if events.send(Event::Left { id, why }).is_ok() {
            linger(&self.socket, &tickets);
        }
        drop(self); // Before the sender of events: when all senders are gone, all places are free.
    }

    /// Reads lines until there are no more, and says why.
    fn read_lines(&mut self, events: &Sender<Event>, tickets: &Receiver<()>) -> io::Result<Departure> {
        let id = self.id;
        let mut lines = Lines::new(&self.socket, self.max_line, &mut self.permit.pace, tickets);
        let tell = |how| drop(events.send(Event::Slowed { id, how }));
        while let Some(line) = lines.next(tell)? {
            let understood = line.map(|line| COMMANDS.parse(&line));
            let request = match understood.unwrap_or_else(|problem| Some(Err(problem))) {
                None => continue, // A blank line.
                Some(Ok(Request::Quit(last_word))) => return Ok(Departure::Quit(last_word)),
                Some(request) => request, // Or a problem that the client is told about.
            };
            lines.charge(request.as_ref().map_or(0, Request::cost));
            trace!("client {id}: on its way to the dispatcher");
            // If `send` fails, the dispatcher is done with the client, and nobody reads the reason.
            // `send` waits while the channel is full, and so the client waits too.
            if !lines.may_send() || events.send(Event::Line { id, request }).is_err() {
                return Ok(Departure::Shutdown);
            }
        }
        Ok(Departure::Closed)
    }
}

/// The work of a client's thread between joining and leaving.
type ReadLines = fn(&mut Client, &Sender<Event>, &Receiver<()>) -> io::Result<Departure>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::Dispatcher;
    use crate::guard::{EVENTS_PER_TICKET, admission::Admission};
    use crate::operator::stopper::Stopper;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    #[test]
    fn a_panic_ends_one_client_and_the_others_are_told() {
        let config = crate::Config::default();
        let (admission, (events, inbox)) = (Admission::new(&config), bounded(10));
        let dispatcher = Dispatcher::new(&config, admission.clone(), None, Stopper::pair().unwrap().0);
        let dispatcher = thread::spawn(move || dispatcher.run(&inbox));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = |id, read_lines: ReadLines| {
            let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, peer) = listener.accept().unwrap();
            let (id, permit) = (ClientId(id), admission.admit(peer.ip(), std::time::Instant::now()).unwrap());
            let client = Client { id, peer, socket: Arc::new(socket), max_line: 4096, permit };
            let events = events.clone();
            thread::spawn(move || client.run(events, read_lines));
            BufReader::new(far)
        };
        let sees = |person: &mut BufReader<TcpStream>, line: &str| {
            assert!(person.lines().any(|seen| seen.unwrap() == line), "in vain: {line}");
        };

        let mut alice = connect(1, Client::read_lines);
        sees(&mut alice, "*** 1 here: guest1");
        let mut bob = connect(2, |bob, events, _| {
            events.send(Event::Line { id: bob.id, request: Ok(Request::Say("hello".into())) }).unwrap();
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
    fn to_be_told_of_a_long_wait_brings_no_ticket() {
        let config = crate::Config::default();
        let (events, inbox) = bounded(100);
        let dispatcher = Dispatcher::new(&config, Admission::new(&config), None, Stopper::pair().unwrap().0);
        let dispatcher = thread::spawn(move || dispatcher.run(&inbox));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let (id, (ticket_sender, tickets)) = (ClientId(1), bounded(TICKETS));
        events.send(Event::Joined { id, peer, socket: Arc::new(socket), tickets: ticket_sender }).unwrap();
        for _ in 0..2 * EVENTS_PER_TICKET {
            events.send(Event::Slowed { id, how: "Slowly!".to_owned() }).unwrap();
            events.send(Event::Line { id, request: Ok(Request::List) }).unwrap();
        }
        events.send(Event::Left { id, why: Departure::Closed }).unwrap();
        assert_eq!(tickets.iter().count(), 2);
        events.send(Event::Stop).unwrap();
        drop(events);
        dispatcher.join().unwrap();
    }
}

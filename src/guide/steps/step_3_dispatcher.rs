//! Step 3 of 7: a dispatcher. One thread owns the room, and the others send it events.
//!
//! Wrong with step 2: a thread that writes to bob waits for bob, and holds the lock that everyone needs.
//!
//! So a thread that others wait for must never wait for a client. The room belongs to one thread, the
//! dispatcher; there is no lock, because no second thread can reach it. The clients' threads send it events
//! through a channel (Java: a `BlockingQueue`; Clojure: a `chan`). And the dispatcher does not write to
//! sockets: each client has a second thread that does, with a channel of its own, the client's outbox.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, thread};

/// All clients by their number, each with the channel to its writer. A line is made once, and all channels
/// share it: an `Arc<str>` is a text with a count of those who hold it.
struct Room {
    clients: BTreeMap<u64, Sender<Arc<str>>>,
}

/// The news for the dispatcher. A client's events come in their order, because its one thread sends them into
/// one channel.
enum Event {
    Joined { id: u64, outbox: Sender<Arc<str>> },
    Line { id: u64, line: String },
    Left { id: u64 },
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    log("Chat server started...");
    log(&format!("Listening on {}", listener.local_addr()?));
    let (events, inbox) = unbounded();
    thread::spawn(move || dispatcher(&inbox));
    acceptor(&listener, &events)
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener, events: &Sender<Event>) -> io::Result<()> {
    for id in 1.. {
        let (socket, _) = listener.accept()?;
        // Otherwise the kernel keeps a line back until the line before it is acknowledged: 40 ms on Linux, up
        // to 200 elsewhere.
        let _ = socket.set_nodelay(true);
        let events = events.clone();
        thread::spawn(move || client(id, Arc::new(socket), &events));
    }
    Ok(())
}

/// The life of one client's thread. A `send` fails only if the dispatcher is gone, and it is never gone.
fn client(id: u64, socket: Arc<TcpStream>, events: &Sender<Event>) {
    let (outbox, lines) = unbounded();
    let write_half = Arc::clone(&socket);
    thread::spawn(move || writer(&write_half, &lines));
    let _ = events.send(Event::Joined { id, outbox });
    // The first error is the end, too: a reset, or a line that is not UTF-8.
    for line in BufReader::new(&*socket).lines().map_while(Result::ok) {
        if !line.trim().is_empty() {
            let _ = events.send(Event::Line { id, line });
        }
    }
    // If anything above panicked, this would not be sent, and the room would keep a ghost. Step 7 sees to
    // that.
    let _ = events.send(Event::Left { id });
}

/// The life of a client's second thread: it may wait for its client as long as it likes, because nobody waits
/// for it.
fn writer(mut socket: &TcpStream, lines: &Receiver<Arc<str>>) {
    // The loop ends when the dispatcher has dropped the outbox and all that was in it is written. Nobody
    // holds the socket then, and it is closed.
    for line in lines {
        if socket.write_all(line.as_bytes()).is_err() {
            // The client reads no more. What it has said is still read, and heard.
            break;
        }
    }
}

/// The one thread that owns the room. The rules below are those of step 2, only called from here.
fn dispatcher(inbox: &Receiver<Event>) {
    let mut room = Room { clients: BTreeMap::new() };
    for event in inbox {
        match event {
            Event::Joined { id, outbox } => room.joined(id, outbox),
            Event::Line { id, line } => room.said(id, &line),
            Event::Left { id } => room.left(id),
        }
    }
}

impl Room {
    /// All of it happens in one turn of the dispatcher, so no line of another client comes between.
    fn joined(&mut self, id: u64, outbox: Sender<Arc<str>>) {
        self.broadcast(&format!("*** guest{id} joined"));
        self.clients.insert(id, outbox);
        self.tell(id, &format!("*** Welcome to chat-server! You are guest{id}."));
        self.tell(id, "*** Type a line to talk.");
        self.tell(id, &self.here());
    }

    fn said(&mut self, id: u64, line: &str) {
        self.broadcast(&format!("<guest{id}> {line}"));
    }

    fn left(&mut self, id: u64) {
        self.clients.remove(&id);
        self.broadcast(&format!("*** guest{id} left"));
    }

    /// Puts a line into all outboxes. It never waits, because these channels have no bound.
    fn broadcast(&self, line: &str) {
        let line = Arc::<str>::from(format!("{line}\n"));
        for outbox in self.clients.values() {
            // An error means that the writer has ended. The client's reader will say that the client left.
            let _ = outbox.send(Arc::clone(&line));
        }
    }

    /// Puts a line into one client's outbox.
    fn tell(&self, id: u64, line: &str) {
        let Some(outbox) = self.clients.get(&id) else { return };
        let _ = outbox.send(format!("{line}\n").into());
    }

    /// How many are here, and their names.
    fn here(&self) -> String {
        let names: Vec<_> = self.clients.keys().map(|id| format!("guest{id}")).collect();
        format!("*** {} here: {}", names.len(), names.join(", "))
    }
}

/// `println!` panics when nobody reads the output any more. This does not.
fn log(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

// Still wrong: a stalled reader eats the memory. All that bob has not read is in his outbox, and the outbox
// has no bound. The same holds for the events: a client that talks faster than the dispatcher listens fills
// that channel. It breaks the promise that a stalled reader does not eat the memory, and it is easy to miss:
// the room goes on as if nothing were wrong, until the kernel kills the process.

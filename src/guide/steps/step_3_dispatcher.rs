//! Step 3 of 5: a dispatcher. One thread owns the map, and the others send it events.
//!
//! Wrong with step 2: a thread that writes to bob waits for bob, and holds the lock that everyone needs.
//!
//! So a thread that others wait for must never wait itself. The map belongs to one thread, the dispatcher;
//! there is no lock, because no second thread can reach it. The clients' threads send it events through a
//! channel (Java: a `BlockingQueue`; Clojure: a `chan`). And the dispatcher does not write to sockets: each
//! client has a second thread that does, with a channel of its own, the client's outbox.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, thread};

/// All clients by their number, each with the channel to its writer.
type Clients = BTreeMap<u64, Sender<String>>;

/// The news for the dispatcher. A client's events come in their order, because its one thread sends them into
/// one channel.
enum Event {
    Joined { id: u64, outbox: Sender<String> },
    Line { id: u64, line: String },
    Left { id: u64 },
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("Chat server started...");
    println!("Listening on {}", listener.local_addr()?);
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
    let _ = events.send(Event::Left { id });
}

/// The life of a client's second thread: it may wait for its client as long as it likes, because nobody waits
/// for it.
fn writer(mut socket: &TcpStream, lines: &Receiver<String>) {
    // The loop ends when the dispatcher has dropped the outbox and all that was in it is written.
    for line in lines {
        if socket.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// The one thread that owns the map. The rules below are those of step 2, only called from here.
fn dispatcher(inbox: &Receiver<Event>) {
    let mut clients = Clients::new();
    for event in inbox {
        match event {
            Event::Joined { id, outbox } => joined(&mut clients, id, outbox),
            Event::Line { id, line } => said(&mut clients, id, &line),
            Event::Left { id } => left(&mut clients, id),
        }
    }
}

/// All of it happens in one turn of the dispatcher, so no line of another client comes between.
fn joined(clients: &mut Clients, id: u64, outbox: Sender<String>) {
    broadcast(clients, &format!("*** guest{id} joined"));
    clients.insert(id, outbox);
    tell(clients, id, &format!("*** Welcome to chat-server! You are guest{id}."));
    tell(clients, id, "*** Type a line to talk.");
    tell(clients, id, &here(clients));
}

fn said(clients: &mut Clients, id: u64, line: &str) {
    broadcast(clients, &format!("<guest{id}> {line}"));
}

fn left(clients: &mut Clients, id: u64) {
    clients.remove(&id);
    broadcast(clients, &format!("*** guest{id} left"));
}

fn broadcast(clients: &Clients, line: &str) {
    for id in clients.keys() {
        tell(clients, *id, line);
    }
}

/// Puts a line into one client's outbox. It never waits, because the channel has no bound.
fn tell(clients: &Clients, id: u64, line: &str) {
    // An error is ignored: the client's reader sees it too.
    let _ = clients[&id].send(format!("{line}\n"));
}

/// How many are here, and their names.
fn here(clients: &Clients) -> String {
    let names: Vec<_> = clients.keys().map(|id| format!("guest{id}")).collect();
    format!("*** {} here: {}", names.len(), names.join(", "))
}

// Still wrong: a stalled reader eats the memory. All that bob has not read is in his outbox, and the outbox
// has no bound. The same holds for the events: a client that talks faster than the dispatcher listens fills
// that channel. It breaks the promise that a stalled reader does not eat the memory, and it is easy to miss:
// the room goes on as if nothing were wrong, until the kernel kills the process.

//! Step 2 of 7: a shared map. Everyone writes to everyone, under one lock.
//!
//! Wrong with step 1: nobody hears anybody, because a client's thread knows no socket but its own.
//!
//! So all sockets go into one room that all threads share. A mutex guards it, and in Rust it does so by type:
//! the room is *inside* the mutex, and there is no way to it but `lock()`. Java's `synchronized` leaves that
//! to the programmer.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{env, thread};

/// All clients by their number, each with the socket to write to. An `Arc` is a reference that threads can
/// share; the last one that is dropped closes the socket.
struct Room {
    clients: BTreeMap<u64, Arc<TcpStream>>,
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    log("Chat server started...");
    log(&format!("Listening on {}", listener.local_addr()?));
    acceptor(&listener)
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener) -> io::Result<()> {
    let room = Arc::new(Mutex::new(Room { clients: BTreeMap::new() }));
    for id in 1.. {
        let (socket, _) = listener.accept()?;
        // Otherwise the kernel keeps a line back until the line before it is acknowledged: 40 ms on Linux, up
        // to 200 elsewhere.
        let _ = socket.set_nodelay(true);
        let room = Arc::clone(&room);
        thread::spawn(move || client(id, Arc::new(socket), &room));
    }
    Ok(())
}

/// The life of one client's thread. Each `lock()` lasts to the end of its statement.
fn client(id: u64, socket: Arc<TcpStream>, room: &Mutex<Room>) {
    // `unwrap`: the lock is broken only if a thread has panicked while it held it, and nothing below panics.
    room.lock().unwrap().joined(id, Arc::clone(&socket));
    // The first error is the end, too: a reset, or a line that is not UTF-8.
    for line in BufReader::new(&*socket).lines().map_while(Result::ok) {
        if !line.trim().is_empty() {
            room.lock().unwrap().said(id, &line);
        }
    }
    // If anything above panicked, this would not be called, and the room would keep a ghost. Step 7 sees to
    // that.
    room.lock().unwrap().left(id);
}

impl Room {
    /// All of it happens under one lock, so no line of another client comes between.
    fn joined(&mut self, id: u64, outbox: Arc<TcpStream>) {
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

    /// Writes a line to all clients. It waits while the buffers of one of them are full, and this thread has
    /// the lock.
    fn broadcast(&self, line: &str) {
        let line = format!("{line}\n");
        for mut outbox in self.clients.values().map(|socket| &**socket) {
            // An error is ignored: the client's reader sees it too.
            let _ = outbox.write_all(line.as_bytes());
        }
    }

    /// Writes a line to one client.
    fn tell(&self, id: u64, line: &str) {
        let Some(mut outbox) = self.clients.get(&id).map(|socket| &**socket) else { return };
        let _ = outbox.write_all(format!("{line}\n").as_bytes());
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

// Still wrong: one stalled reader stops the room. When bob's laptop sleeps, the buffers on the way to him
// fill up, and the next `write_all` to him waits. The thread that waits there holds the lock, so every other
// thread waits for the lock. It breaks the promise that a stalled reader does not stop the room.

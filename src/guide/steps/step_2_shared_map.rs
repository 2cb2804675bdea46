//! Step 2 of 5: a shared map. Everyone writes to everyone, under one lock.
//!
//! Wrong with step 1: nobody hears anybody, because a client's thread knows no socket but its own.
//!
//! So all sockets go into one map that all threads share. A mutex guards it, and in Rust it does so by type:
//! the map is *inside* the mutex, and there is no way to it but `lock()`. Java's `synchronized` leaves that
//! to the programmer.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{env, thread};

/// All clients by their number, each with the socket to write to. An `Arc` is a reference that threads can
/// share; the last one that is dropped closes the socket.
type Clients = BTreeMap<u64, Arc<TcpStream>>;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("Chat server started...");
    println!("Listening on {}", listener.local_addr()?);
    acceptor(&listener)
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener) -> io::Result<()> {
    let clients = Arc::new(Mutex::new(Clients::new()));
    for id in 1.. {
        let (socket, _) = listener.accept()?;
        // Otherwise the kernel keeps a line back until the line before it is acknowledged: 40 ms on Linux, up
        // to 200 elsewhere.
        let _ = socket.set_nodelay(true);
        let clients = Arc::clone(&clients);
        thread::spawn(move || client(id, Arc::new(socket), &clients));
    }
    Ok(())
}

/// The life of one client's thread. Each `lock()` lasts to the end of its statement.
fn client(id: u64, socket: Arc<TcpStream>, clients: &Mutex<Clients>) {
    // `unwrap`: the lock is broken only if a thread has panicked while it held it, and nothing below panics.
    joined(&mut clients.lock().unwrap(), id, Arc::clone(&socket));
    // The first error is the end, too: a reset, or a line that is not UTF-8.
    for line in BufReader::new(&*socket).lines().map_while(Result::ok) {
        if !line.trim().is_empty() {
            said(&mut clients.lock().unwrap(), id, &line);
        }
    }
    left(&mut clients.lock().unwrap(), id);
}

/// All of it happens under one lock, so no line of another client comes between.
fn joined(clients: &mut Clients, id: u64, outbox: Arc<TcpStream>) {
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

/// Writes a line to one client. It waits while the client's buffers are full, and this thread holds the lock.
fn tell(clients: &Clients, id: u64, line: &str) {
    let mut outbox: &TcpStream = &clients[&id];
    // An error is ignored: the client's reader sees it too.
    let _ = outbox.write_all(format!("{line}\n").as_bytes());
}

/// How many are here, and their names.
fn here(clients: &Clients) -> String {
    let names: Vec<_> = clients.keys().map(|id| format!("guest{id}")).collect();
    format!("*** {} here: {}", names.len(), names.join(", "))
}

// Still wrong: one stalled reader stops the room. When bob's laptop sleeps, the buffers on the way to him
// fill up, and the next `write_all` to him waits. The thread that waits there holds the lock, so every other
// thread waits for the lock. It breaks the promise that a stalled reader does not stop the room.

//! Step 1 of 5: echo. A thread for each client.
//!
//! This is the chat server of the Java textbooks, line by line: a `ServerSocket` that accepts, an
//! `ExecutorService` that gives each connection a thread, a `BufferedReader` that reads lines, a
//! `PrintWriter` that answers.
//!
//! Start it with `cargo run -p chat-steps --bin step_1`, and talk to it with `nc localhost 12345`.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, thread};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    // new ServerSocket(12345). The `?` is Java's `throws IOException`: an error ends this function and is
    // returned.
    let listener = TcpListener::bind(address)?;
    println!("Chat server started...");
    println!("Listening on {}", listener.local_addr()?);
    acceptor(&listener)
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener) -> io::Result<()> {
    loop {
        // serverSocket.accept(). If it fails, the server ends, as in Java.
        let (socket, _) = listener.accept()?;
        // pool.execute(() -> client(socket)). There is no pool: a thread lives as long as its client, so a
        // pool of ten would leave the eleventh client without an answer. `move` gives the socket to the
        // closure that the new thread runs, for good, and the closure lends it (`&socket`) to `client`.
        thread::spawn(move || client(&socket));
    }
}

/// The life of one client's thread. `Read` and `Write` are implemented for `&TcpStream`, a borrowed socket.
/// So one part can read from it while another writes to it, and from step 2 on these are two threads.
fn client(mut socket: &TcpStream) -> io::Result<()> {
    // reader.readLine(), until it returns null. A line that is not UTF-8 is an error here.
    for line in BufReader::new(socket).lines() {
        let line = line?;
        println!("Received: {line}");
        // One line, one write: the pieces could leave in packets of their own, with a pause after the first.
        socket.write_all(format!("Echo: {line}\n").as_bytes())?;
    }
    // No `finally`: the thread owned the socket, and when its owner ends, the socket is closed.
    Ok(())
}

// Still wrong: nobody hears anybody. It breaks the first promise of a chat: everyone hears it, the sender
// too.

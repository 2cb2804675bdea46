//! Step 1 of 7: echo. A thread for each client.
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
    log("Chat server started...");
    log(&format!("Listening on {}", listener.local_addr()?));
    acceptor(&listener)
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener) -> io::Result<()> {
    loop {
        // serverSocket.accept(). If it fails, the server says why and ends, as in Java.
        let (socket, _) = listener.accept()?;
        // pool.execute(() -> client(socket)). There is no pool: a thread lives as long as its client, so a
        // pool of ten would leave the eleventh client without an answer. `move` gives the socket to the
        // closure that the new thread runs, for good, and the closure lends it (`&socket`) to `client`.
        thread::spawn(move || client(&socket));
    }
}

/// The life of one client's thread. `&TcpStream` is a borrowed socket: it can be copied, and one can read
/// from it and write to it. So one part of a program reads while another writes, and from step 3 on these are
/// two threads. It is `mut` because `write_all` wants to change what it is called on; here that is this copy
/// of the borrow.
fn client(mut socket: &TcpStream) -> io::Result<()> {
    // reader.readLine(), until it returns null. A line that is not UTF-8 is an error here.
    for line in BufReader::new(socket).lines() {
        let line = line?;
        log(&format!("Received: {line}"));
        // One line, one write: the pieces could leave in packets of their own, with a pause after the first.
        socket.write_all(format!("Echo: {line}\n").as_bytes())?;
    }
    // No `finally`: the thread owned the socket, and when its owner ends, the socket is closed.
    Ok(())
}

/// System.out.println(line). Rust's own `println!` panics when nobody reads the output any more (`step_1 |
/// head`). That would end the thread.
fn log(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

// Still wrong: nobody hears anybody. It breaks the first promise of a chat: everyone hears it, the sender
// too.

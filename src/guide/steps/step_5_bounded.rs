//! Step 5 of 7: a bounded outbox. A reader who stops is disconnected.
//!
//! Wrong with step 4: a stalled reader eats the memory.
//!
//! So the outbox gets a bound. The dispatcher must not wait for a place in it, or bob stops the room again.
//! It tries (`try_send`), and if there is no place, bob has to go: his connection is ended from this side,
//! which also ends the `write_all` in which his writer waits, and the room is told why he left. The siblings
//! in Java and Clojure have this shape.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, mem, thread};

const HELP: &str = "Type a line to talk. /nick NAME, /list, /msg NAME TEXT, /help, /quit";

/// How many lines may wait for one client.
const MAX_WAITING: usize = 1000;

/// All clients by their number. The dispatcher owns it.
struct Room {
    clients: BTreeMap<u64, Client>,
    /// Those whose outbox had no place for a line in this turn.
    too_slow: Vec<u64>,
}

struct Client {
    nickname: String,
    outbox: Outbox,
}

/// The channel to a client's writer, and the socket, to end the connection. A line is made once, and all
/// channels share it: an `Arc<str>` is a text with a count of those who hold it.
struct Outbox {
    lines: Sender<Arc<str>>,
    socket: Arc<TcpStream>,
}

/// The news for the dispatcher. A client's events come in their order, because its one thread sends them into
/// one channel.
enum Event {
    Joined { id: u64, outbox: Outbox },
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
        let (socket, peer) = listener.accept()?;
        // Otherwise the kernel keeps a line back until the line before it is acknowledged: 40 ms on Linux, up
        // to 200 elsewhere.
        let _ = socket.set_nodelay(true);
        log(&format!("client {id} connected from {peer}"));
        let events = events.clone();
        thread::spawn(move || client(id, Arc::new(socket), &events));
    }
    Ok(())
}

/// The life of one client's thread. A `send` fails only if the dispatcher is gone, and it is never gone.
fn client(id: u64, socket: Arc<TcpStream>, events: &Sender<Event>) {
    let (lines, to_write) = bounded(MAX_WAITING);
    let write_half = Arc::clone(&socket);
    thread::spawn(move || writer(&write_half, &to_write));
    let outbox = Outbox { lines, socket: Arc::clone(&socket) };
    let _ = events.send(Event::Joined { id, outbox });
    // The first error is the end, too: a reset, or a line that is not UTF-8.
    for line in BufReader::new(&*socket).lines().map_while(Result::ok) {
        // The dispatcher obeys the other commands. This one ends the thread, and `Left` is its last event.
        if line.split_whitespace().next() == Some("/quit") {
            break;
        }
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
            // The client reads no more, or was cut off. What it has said is still read.
            break;
        }
    }
}

/// The one thread that owns the room.
fn dispatcher(inbox: &Receiver<Event>) {
    let mut room = Room { clients: BTreeMap::new(), too_slow: Vec::new() };
    for event in inbox {
        match event {
            Event::Joined { id, outbox } => room.joined(id, outbox),
            Event::Line { id, line } => room.said(id, &line),
            Event::Left { id } => room.left(id, ""),
        }
        room.cut_off();
    }
}

impl Room {
    /// All of it happens in one turn of the dispatcher, so no line of another client comes between.
    fn joined(&mut self, id: u64, outbox: Outbox) {
        let is_free = |name: &String| self.find(name).is_none();
        // Client 7 is guest7, unless another client has taken that name. There are more numbers than clients,
        // so one is free.
        let nickname = (id..).map(|number| format!("guest{number}")).find(is_free).unwrap();
        self.broadcast(&format!("*** {nickname} joined"));
        self.clients.insert(id, Client { nickname: nickname.clone(), outbox });
        self.tell(id, &format!("*** Welcome to chat-server! You are {nickname}."));
        self.tell(id, &format!("*** {HELP}"));
        self.tell(id, &self.here());
    }

    fn said(&mut self, id: u64, line: &str) {
        // A client that was cut off is gone, and what it had said may still be on its way.
        let Some(Client { nickname, .. }) = self.clients.get(&id) else { return };
        let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        match word {
            "/nick" => self.nick(id, rest.trim()),
            "/list" => self.tell(id, &self.here()),
            "/msg" => self.msg(id, rest.trim()),
            "/help" => self.tell(id, &format!("*** {HELP}")),
            // A mistyped /msg must not be said to everyone. `/*` and `//` are no commands.
            _ if word.starts_with('/') && word[1..].starts_with(char::is_alphabetic) => {
                self.tell(id, &format!("!!! There is no command {word}. {HELP}"));
            }
            _ => {
                log(&format!("{nickname}: {line}"));
                self.broadcast(&format!("<{nickname}> {line}"));
            }
        }
    }

    fn nick(&mut self, id: u64, new: &str) {
        if new.is_empty() || new.chars().count() > 20 || !new.chars().all(char::is_alphanumeric) {
            return self.tell(id, "!!! A name is 1 to 20 letters and digits.");
        }
        if self.find(new).is_some_and(|holder| holder != id) {
            return self.tell(id, &format!("!!! {new} is taken. Please pick another name."));
        }
        let Some(client) = self.clients.get_mut(&id) else { return };
        let old = mem::replace(&mut client.nickname, new.to_owned());
        log(&format!("client {id} ({old}) is now {new}"));
        self.broadcast(&format!("*** {old} is now {new}"));
    }

    fn msg(&mut self, id: u64, rest: &str) {
        let Some((name, text)) = rest.split_once(char::is_whitespace) else {
            return self.tell(id, "!!! /msg needs a name and a text: /msg NAME TEXT");
        };
        let Some(to) = self.find(name) else {
            return self.tell(id, &format!("!!! No one here is called {name}. /list shows who is here."));
        };
        let (from, name) = (self.clients[&id].nickname.clone(), self.clients[&to].nickname.clone());
        log(&format!("{from} wrote to {name} privately"));
        // The author's copy comes second: it says that the line is on its way.
        self.tell(to, &format!("[{from} -> you] {text}"));
        self.tell(id, &format!("[you -> {name}] {text}"));
    }

    /// A client that was cut off is no longer in the map when its thread says that it has left.
    fn left(&mut self, id: u64, why: &str) {
        let Some(Client { nickname, .. }) = self.clients.remove(&id) else { return };
        log(&format!("client {id} ({nickname}) disconnected{why}"));
        self.broadcast(&format!("*** {nickname} left{why}"));
    }

    /// That one is cut off is news for the others, and there may be no place for it in the next outbox. A
    /// client can go only once, so this ends.
    fn cut_off(&mut self) {
        while let Some(id) = self.too_slow.pop() {
            self.left(id, " (too slow)");
        }
    }

    /// Puts a line into all outboxes, and does not wait.
    fn broadcast(&mut self, line: &str) {
        let line = Arc::<str>::from(format!("{line}\n"));
        for (id, client) in &self.clients {
            if !client.outbox.takes(Arc::clone(&line)) {
                self.too_slow.push(*id);
            }
        }
    }

    /// Puts a line into one client's outbox, and does not wait.
    fn tell(&mut self, id: u64, line: &str) {
        if self.clients.get(&id).is_some_and(|client| !client.outbox.takes(format!("{line}\n").into())) {
            self.too_slow.push(id);
        }
    }

    /// The client with this name. Upper and lower case are the same: who would tell bob from Bob?
    fn find(&self, name: &str) -> Option<u64> {
        let is_it = |client: &Client| client.nickname.to_lowercase() == name.to_lowercase();
        self.clients.iter().find(|(_, client)| is_it(client)).map(|(id, _)| *id)
    }

    /// How many are here, and their names.
    fn here(&self) -> String {
        let names: Vec<_> = self.clients.values().map(|client| client.nickname.as_str()).collect();
        format!("*** {} here: {}", names.len(), names.join(", "))
    }
}

impl Outbox {
    /// Takes a line for the writer, or ends the connection, because nothing may come after a line that is
    /// missing. If the writer has ended, the client's reader will say that the client has left.
    fn takes(&self, line: Arc<str>) -> bool {
        let is_full = matches!(self.lines.try_send(line), Err(TrySendError::Full(_)));
        if is_full {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        !is_full
    }
}

/// `println!` panics when nobody reads the output any more. This does not.
fn log(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

// Still wrong: the bound counts lines, and what is used up is bytes. A thousand short lines are nothing, and
// a thousand lines of a megabyte are a gigabyte. The events have no bound yet. And each client costs two
// threads: one line to a hundred clients wakes a hundred writers up.

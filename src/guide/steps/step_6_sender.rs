//! Step 6 of 7: the dispatcher sends. There are no writers any more.
//!
//! Wrong with step 5: the outbox counts lines and not bytes, and one line to a hundred clients wakes up a
//! hundred threads.
//!
//! So the writers go. The dispatcher owns each client's unsent bytes, the backlog. It asks the kernel to take
//! what it can take *now* (`MSG_DONTWAIT`) and keeps the rest. It still never waits for a client. If too many
//! bytes are left, the client is cut off, as before. In Java that would be a `SocketChannel` that does not
//! block; here the flag holds for one call, and the client's thread still waits in `read` on the same socket.

use crossbeam_channel::{Receiver, Sender, after, never, select, unbounded};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use std::{env, mem, thread};

const HELP: &str = "Type a line to talk. /nick NAME, /list, /msg NAME TEXT, /help, /quit";

/// How many bytes may wait for one client.
const MAX_BACKLOG: usize = 256 * 1024;
/// When to try again to send a backlog.
const RETRY: Duration = Duration::from_millis(10);

/// All clients by their number. The dispatcher owns it.
struct Room {
    clients: BTreeMap<u64, Client>,
    /// Those who have left, and have not been sent their last lines.
    leaving: Vec<Outbox>,
}

struct Client {
    nickname: String,
    outbox: Outbox,
}

/// The write half of a client's socket, and the bytes that the kernel has not taken yet.
struct Outbox {
    socket: Arc<TcpStream>,
    backlog: Vec<u8>,
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
    let outbox = Outbox { socket: Arc::clone(&socket), backlog: Vec::new() };
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

/// The one thread that owns the room. Each turn of it waits, then acts, then sends.
fn dispatcher(inbox: &Receiver<Event>) {
    let mut room = Room { clients: BTreeMap::new(), leaving: Vec::new() };
    loop {
        // `select!` takes whichever channel is ready; `after(d)` delivers one message after d; `never()`
        // none. So the timer exists only while there is a backlog, and an idle server does not wake up.
        let retry = if room.is_behind() { after(RETRY) } else { never() };
        select! {
            recv(inbox) -> event => match event {
                Ok(Event::Joined { id, outbox }) => room.joined(id, outbox),
                Ok(Event::Line { id, line }) => room.said(id, &line),
                Ok(Event::Left { id }) => room.left(id, ""),
                Err(_) => return, // The acceptor has ended, and all clients have left.
            },
            recv(retry) -> _ => {}
        }
        room.flush();
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

    /// The outbox stays until the lines in it are sent. A client that was cut off is no longer in the map
    /// when its thread says that it has left.
    fn left(&mut self, id: u64, why: &str) {
        let Some(Client { nickname, outbox }) = self.clients.remove(&id) else { return };
        log(&format!("client {id} ({nickname}) disconnected{why}"));
        self.broadcast(&format!("*** {nickname} left{why}"));
        self.leaving.push(outbox);
    }

    /// Puts a line behind all backlogs. The turn ends with a flush.
    fn broadcast(&mut self, line: &str) {
        let line = format!("{line}\n");
        for client in self.clients.values_mut() {
            client.outbox.backlog.extend(line.as_bytes());
        }
    }

    /// Puts a line behind one client's backlog.
    fn tell(&mut self, id: u64, line: &str) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.outbox.backlog.extend(format!("{line}\n").as_bytes());
    }

    /// Sends each client all that its kernel takes now, and cuts off those for whom too much is left.
    fn flush(&mut self) {
        let mut too_slow = Vec::new();
        for (id, Client { outbox, .. }) in &mut self.clients {
            if outbox.flush() > MAX_BACKLOG {
                let _ = outbox.socket.shutdown(Shutdown::Both); // This wakes the client's thread.
                too_slow.push(*id);
            }
        }
        for id in too_slow {
            self.left(id, " (too slow)"); // The news waits in the others' backlogs, for the next turn.
        }
        self.leaving.retain_mut(|outbox| outbox.flush() > 0);
    }

    fn is_behind(&self) -> bool {
        !self.leaving.is_empty() || self.clients.values().any(|client| !client.outbox.backlog.is_empty())
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
    /// Sends what the kernel takes now and keeps the rest; how many bytes that is.
    fn flush(&mut self) -> usize {
        while !self.backlog.is_empty() {
            // The flag holds for this one call. The client's thread still waits in `read` on the same socket.
            match send(&self.socket, &self.backlog, SendFlags::DONTWAIT) {
                Ok(taken) => drop(self.backlog.drain(..taken)),
                Err(Errno::AGAIN | Errno::INTR) => break,
                // The client reads no more. What it has said is still read, and then it leaves.
                Err(_) => self.backlog.clear(),
            }
        }
        self.backlog.len()
    }
}

/// `println!` panics when nobody reads the output any more. This does not.
fn log(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

// Still wrong: what waits for bob has a bound, and three other things have none. The events: clients that
// talk faster than the dispatcher listens fill that channel. The line: one that never ends is kept until the
// memory is full. The end: who has left and does not read keeps its last lines here for ever. And when there
// is no descriptor left, `accept` fails, and the server ends. Nobody gets a goodbye then, nor at Ctrl-C.

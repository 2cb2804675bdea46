//! Step 7 of 7: the core. What one client could let grow has a bound, and the end is orderly.
//!
//! Wrong with step 6: the channel of events and a line have no bound, nor has the time that a client may take
//! for its last lines. And a server that is stopped, or has no descriptor left, ends without a goodbye.
//!
//! So the channel is bounded: while it is full, the clients' threads wait and do not read, and TCP makes
//! their clients wait. That is back-pressure, and no deadlock: the dispatcher, for which they wait, waits for
//! none of them. A line that is too long is refused. A client that leaves gets some seconds for its last
//! lines. The acceptor outlives an error. And Ctrl-C and SIGTERM are an event like any other: everyone gets a
//! goodbye.

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use rustix::io::Errno;
use rustix::net::{SendFlags, send, sockopt};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, mem, thread};

const HELP: &str = "Type a line to talk. /nick NAME, /list, /msg NAME TEXT, /help, /quit";

/// How many events may wait for the dispatcher.
const CAPACITY: usize = 1024;
/// The longest line, in bytes.
const MAX_LINE: usize = 4096;
const TOO_LONG: &str = "!!! That line was longer than 4096 bytes, so nobody got it.";
/// How many bytes may wait for one client.
const MAX_BACKLOG: usize = 256 * 1024;
/// When to try again to send a backlog.
const RETRY: Duration = Duration::from_millis(10);
/// How long clients may take to read their last lines: one that has left, and all at the end of the server.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Nothing is ever sent on it. It ends when the outbox is dropped, and that tells the client's thread.
    _done: Sender<()>,
}

/// The news for the dispatcher. A client's events come in their order, because its one thread sends them into
/// one channel.
enum Event {
    Joined { id: u64, outbox: Outbox },
    Line { id: u64, line: String },
    LineTooLong { id: u64 },
    Left { id: u64 },
    Stop,
}

/// What a client's thread reads.
enum Input {
    Line(String),
    TooLong,
    End,
}

/// Says that a client has left when it is dropped. A panic of the client's thread drops it as well.
struct Leave<'a>(u64, &'a Sender<Event>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let _ = self.1.send(Event::Left { id: self.0 });
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    // How much of what is sent to a client may wait in the kernel (Linux doubles the number). Left alone, it
    // grows to some MiB. The sockets that the listener accepts inherit it.
    sockopt::set_socket_send_buffer_size(&listener, 128 * 1024)?;
    let (events, inbox) = bounded(CAPACITY);
    let stop = events.clone();
    ctrlc::set_handler(move || drop(stop.send(Event::Stop))).map_err(io::Error::other)?;
    log("Chat server started...");
    log(&format!("Listening on {}", listener.local_addr()?));
    thread::spawn(move || acceptor(&listener, &events));
    dispatcher(&inbox); // When it returns, the program ends, and all other threads with it.
    Ok(())
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener, events: &Sender<Event>) {
    for id in 1.. {
        let events = events.clone();
        let started = listener.accept().and_then(|(socket, peer)| {
            // Otherwise the kernel keeps a line back until the line before it is acknowledged: 40 ms on
            // Linux, up to 200 elsewhere.
            let _ = socket.set_nodelay(true);
            log(&format!("client {id} connected from {peer}"));
            // `thread::spawn` would panic where this returns an error.
            thread::Builder::new().spawn(move || client(id, Arc::new(socket), &events))
        });
        if let Err(error) = started {
            // There is no descriptor left, say, or no thread. Nothing tells when there will be one, so the
            // acceptor tries again.
            log(&format!("a client could not come in: {error}"));
            thread::sleep(Duration::from_millis(500));
        }
    }
}

/// The life of one client's thread. A `send` waits while the channel is full, and so the client waits, too.
fn client(id: u64, socket: Arc<TcpStream>, events: &Sender<Event>) {
    let (_done, is_done) = bounded(0);
    let outbox = Outbox { socket: Arc::clone(&socket), backlog: Vec::new(), _done };
    let _ = events.send(Event::Joined { id, outbox });
    let leave = Leave(id, events);
    let mut reader = BufReader::new(&*socket);
    // The first error is the end, too: a reset, for example.
    loop {
        let _ = match read_line(&mut reader).unwrap_or(Input::End) {
            Input::End => break,
            // The dispatcher obeys the other commands. This one ends the loop, and `Left` is the last event.
            Input::Line(line) if line.split_whitespace().next() == Some("/quit") => break,
            Input::Line(line) if line.trim().is_empty() => continue,
            Input::Line(line) => events.send(Event::Line { id, line }),
            Input::TooLong => events.send(Event::LineTooLong { id }),
        };
    }
    drop(leave);
    // The client still gets its last lines, but it must take them: nobody waits for it for ever.
    let _ = is_done.recv_timeout(PATIENCE);
    let _ = socket.shutdown(Shutdown::Write);
    // Only our half is closed. To close a socket with unread input resets the connection, and a reset can
    // overtake the last lines. So what the client still sends is read and thrown away, within reason.
    let _ = socket.set_read_timeout(Some(PATIENCE));
    let _ = io::copy(&mut reader.take(1024 * 1024), &mut io::sink());
}

/// The next line. Of one that is too long the rest is skipped and never kept.
fn read_line(reader: &mut impl BufRead) -> io::Result<Input> {
    let mut line = Vec::new();
    if reader.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(Input::End);
    }
    if line.len() > MAX_LINE && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
        return Ok(Input::TooLong);
    }
    Ok(Input::Line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
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
                Ok(Event::LineTooLong { id }) => room.tell(id, TOO_LONG),
                Ok(Event::Left { id }) => room.left(id, ""),
                Ok(Event::Stop) | Err(_) => break,
            },
            recv(retry) -> _ => {}
        }
        room.flush();
    }
    goodbye(room, inbox);
}

/// Tells everyone that the server ends, and sends what is left, but not for ever.
fn goodbye(mut room: Room, inbox: &Receiver<Event>) {
    log("shutting down");
    room.broadcast("*** The server is shutting down. Goodbye!");
    let deadline = Instant::now() + PATIENCE;
    while room.is_behind() && Instant::now() < deadline {
        room.flush();
        // The clients' threads must not wait for room in the channel, but nobody hears of these events any
        // more.
        let _ = inbox.recv_timeout(RETRY);
    }
    // The process ends, and the kernel closes what is open. A client that is still talking at this moment
    // gets a reset and can lose the goodbye by it.
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

// Still wrong, and what the program adds:
// - It is not batched: each event costs a `send` for each client. A flood keeps it busy with system calls.
// - It is not paced: one client that floods takes most of the dispatcher's time, and can have a reader on a
//   slow link cut off.
// - It trusts every terminal: escape sequences reach the others' screens as they are, and one of them can
//   hide or forge a line. And it trusts its own: the log waits for a terminal that is stopped, and the
//   dispatcher with it.
// - It lets in anyone, and as many as come.
// - A client that has left can keep its thread for weeks: the timeout is for one read, and a byte now and
//   then is enough.
// - The welcome and `/list` name everyone who is here, however many, and do not stop at 80 columns.

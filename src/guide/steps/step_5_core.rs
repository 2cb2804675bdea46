//! Step 5 of 5: the core. The dispatcher writes to all sockets itself, and never waits for a client.
//!
//! Wrong with step 4: a stalled reader eats the memory. A bounded outbox would do: when `try_send` finds it
//! full, `shutdown(Both)` makes the writer's `write_all` fail. But it counts lines, not bytes, and costs a
//! thread per client and wake-ups per line.
//!
//! So the writers go. The dispatcher owns each client's unsent bytes. It asks the kernel to take what it can
//! take *now* (`MSG_DONTWAIT`) and keeps the rest. If too much is left, it disconnects the client and tells
//! the room why. Everything else that could grow gets a bound as well: the channel of events, and the line.
//!
//! And the server ends in an orderly way: after Ctrl-C or SIGTERM everyone gets a goodbye.

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use rustix::io::Errno;
use rustix::net::{SendFlags, send, sockopt};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, mem, thread};

const HELP: &str = "Type a line to talk. /nick NAME, /list, /msg NAME TEXT, /help, /quit";

/// How many events may wait for the dispatcher. When there are as many, the clients' threads wait.
const CAPACITY: usize = 1024;
/// The longest line, in bytes.
const MAX_LINE: usize = 4096;
/// How many bytes may wait for one client.
const MAX_BACKLOG: usize = 256 * 1024;
/// When to try again to send a backlog.
const RETRY: Duration = Duration::from_millis(10);
/// How long clients may take to read their last lines: one that has left, and all at the end of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// All clients by their number, each with its name and its outbox.
type Clients = BTreeMap<u64, Client>;

struct Client {
    nickname: String,
    outbox: Outbox,
}

/// The write half of a client's socket, and the bytes that the kernel has not taken yet.
struct Outbox {
    socket: Arc<TcpStream>,
    backlog: Vec<u8>,
    /// Nothing is ever sent on it. When the outbox is dropped, the channel ends, and that tells the client's
    /// thread.
    _done: Sender<()>,
}

/// The news for the dispatcher. A client's events come in their order, because its one thread sends them into
/// one channel.
enum Event {
    Joined { id: u64, outbox: Outbox },
    Line { id: u64, line: String },
    LineTooLong { id: u64 },
    Left { id: u64 },
    Retry,
    Stop,
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    // How many bytes may wait for one client in the kernel, which would allow some MiB. The sockets that the
    // listener accepts inherit it.
    sockopt::set_socket_send_buffer_size(&listener, 128 * 1024)?;
    let (events, inbox) = bounded(CAPACITY);
    let stop = events.clone();
    ctrlc::set_handler(move || drop(stop.send(Event::Stop))).map_err(io::Error::other)?;
    println!("Chat server started...");
    println!("Listening on {}", listener.local_addr()?);
    thread::spawn(move || acceptor(&listener, &events));
    dispatcher(&inbox); // When it returns, the program ends, and all other threads with it.
    Ok(())
}

/// Waits for connections, and starts a thread for each.
fn acceptor(listener: &TcpListener, events: &Sender<Event>) {
    for id in 1.. {
        let Ok((socket, peer)) = listener.accept() else {
            // There are no descriptors left, say. Nothing tells when there will be some, so the acceptor
            // tries again.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        // Otherwise the kernel keeps a line back until the line before it is acknowledged: 40 ms on Linux, up
        // to 200 elsewhere.
        let _ = socket.set_nodelay(true);
        println!("client {id} connected from {peer}");
        let events = events.clone();
        thread::spawn(move || client(id, Arc::new(socket), &events));
    }
}

/// The life of one client's thread. A `send` waits while the channel is full, and so the client waits, too.
fn client(id: u64, socket: Arc<TcpStream>, events: &Sender<Event>) {
    let (_done, is_done) = bounded(0);
    let outbox = Outbox { socket: Arc::clone(&socket), backlog: Vec::new(), _done };
    let _ = events.send(Event::Joined { id, outbox });
    let mut reader = BufReader::new(&*socket);
    // The first error is the end, too: a reset, for example.
    while let Ok(Some(line)) = read_line(&mut reader) {
        let Some(line) = line else {
            let _ = events.send(Event::LineTooLong { id });
            continue;
        };
        // The dispatcher obeys the other commands. This one ends the thread, and `Left` is its last event.
        if line.split_whitespace().next() == Some("/quit") {
            break;
        }
        if !line.trim().is_empty() {
            let _ = events.send(Event::Line { id, line });
        }
    }
    let _ = events.send(Event::Left { id });
    // The client still gets its last lines, but it must take them: nobody waits for it for ever.
    let _ = is_done.recv_timeout(PATIENCE);
    let _ = socket.shutdown(Shutdown::Write);
    // Only our half is closed. To close a socket with unread input resets the connection, and a reset can
    // overtake the last lines. So what the client still sends is read and thrown away, within reason.
    let _ = socket.set_read_timeout(Some(PATIENCE));
    let _ = io::copy(&mut reader.take(1024 * 1024), &mut io::sink());
}

/// The next line: `None` at the end, `Some(None)` for a line that is too long. Its rest is skipped and never
/// kept.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Option<String>>> {
    let (mut line, longest) = (Vec::new(), MAX_LINE + "\n".len());
    if reader.take(longest as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() == longest && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
        return Ok(Some(None));
    }
    Ok(Some(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())))
}

/// The one thread that owns the map. Each turn of it waits, then acts, then sends.
fn dispatcher(inbox: &Receiver<Event>) {
    let (mut clients, mut leaving) = (Clients::new(), Vec::new());
    loop {
        // `select!` takes whichever channel is ready; `after(d)` delivers one message after d; `never()`
        // none. So the timer exists only while there is a backlog, and an idle server does not wake up.
        let retry = if is_behind(&clients, &leaving) { after(RETRY) } else { never() };
        let event = select! {
            recv(inbox) -> event => event.unwrap_or(Event::Stop),
            recv(retry) -> _ => Event::Retry,
        };
        match event {
            Event::Joined { id, outbox } => joined(&mut clients, id, outbox),
            Event::Line { id, line } => said(&mut clients, id, &line),
            Event::LineTooLong { id } => {
                let problem = format!("!!! That line was longer than {MAX_LINE} bytes, so nobody got it.");
                tell(&mut clients, id, &problem);
            }
            Event::Left { id } => left(&mut clients, &mut leaving, id, ""),
            Event::Retry => {}
            Event::Stop => break,
        }
        flush(&mut clients, &mut leaving);
    }
    goodbye(clients, leaving, inbox);
}

fn is_behind(clients: &Clients, leaving: &[Outbox]) -> bool {
    !leaving.is_empty() || clients.values().any(|client| !client.outbox.backlog.is_empty())
}

/// Sends each client all that its kernel takes now, and disconnects those for whom that is not enough.
fn flush(clients: &mut Clients, leaving: &mut Vec<Outbox>) {
    // A copy of their numbers, because `left` takes clients out of the map.
    let ids: Vec<u64> = clients.keys().copied().collect();
    for id in ids {
        let Some(Client { outbox, .. }) = clients.get_mut(&id) else { continue };
        if let Err(why) = outbox.flush() {
            let _ = outbox.socket.shutdown(Shutdown::Both); // This wakes the client's thread.
            // That is news for the others. It goes out in this turn or, from their backlogs, in the next.
            left(clients, leaving, id, why);
        }
    }
    // Clients that have left wait for nothing but their last lines. With the last byte the outbox is dropped.
    leaving.retain_mut(|outbox| outbox.flush().is_ok() && !outbox.backlog.is_empty());
}

impl Outbox {
    /// Sends what the kernel takes now and keeps the rest. An error says why the client cannot stay.
    fn flush(&mut self) -> Result<(), &'static str> {
        while !self.backlog.is_empty() {
            // The flag holds for this one call. The client's thread still waits in `read` on the same socket.
            match send(&self.socket, &self.backlog, SendFlags::DONTWAIT) {
                Ok(taken) => drop(self.backlog.drain(..taken)),
                Err(Errno::AGAIN) if self.backlog.len() > MAX_BACKLOG => return Err(" (too slow)"),
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return Err(" (connection lost)"),
            }
        }
        Ok(())
    }
}

/// Tells everyone that the server ends, and sends what is left, but not for ever.
fn goodbye(mut clients: Clients, mut leaving: Vec<Outbox>, inbox: &Receiver<Event>) {
    println!("shutting down");
    broadcast(&mut clients, "*** The server is shutting down. Goodbye!");
    let deadline = Instant::now() + PATIENCE;
    while is_behind(&clients, &leaving) && Instant::now() < deadline {
        flush(&mut clients, &mut leaving);
        // The clients' threads must not wait for room in the channel, but nobody hears of these events any
        // more.
        let _ = inbox.recv_timeout(RETRY);
    }
    // The process ends, and the kernel closes what is open. A client that is still talking at this moment
    // gets a reset and can lose the goodbye by it.
}

/// All of it happens in one turn of the dispatcher, so no line of another client comes between.
fn joined(clients: &mut Clients, id: u64, outbox: Outbox) {
    let is_free = |name: &String| find(clients, name).is_none();
    // Client 7 is guest7, unless another client has taken that name. The numbers do not end, so one is free.
    let nickname = (id..).map(|number| format!("guest{number}")).find(is_free).unwrap();
    broadcast(clients, &format!("*** {nickname} joined"));
    clients.insert(id, Client { nickname: nickname.clone(), outbox });
    tell(clients, id, &format!("*** Welcome to chat-server! You are {nickname}."));
    tell(clients, id, &format!("*** {HELP}"));
    tell(clients, id, &here(clients));
}

fn said(clients: &mut Clients, id: u64, line: &str) {
    // A client that was cut off is gone, and what it had said may still be on its way.
    let Some(nickname) = clients.get(&id).map(|client| client.nickname.clone()) else { return };
    let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    match word {
        "/nick" => nick(clients, id, rest.trim()),
        "/list" => tell(clients, id, &here(clients)),
        "/msg" => msg(clients, id, rest.trim()),
        "/help" => tell(clients, id, &format!("*** {HELP}")),
        // A mistyped /msg must not be said to everyone. `/*` and `//` are no commands.
        _ if word.starts_with('/') && word[1..].starts_with(char::is_alphabetic) => {
            tell(clients, id, &format!("!!! There is no command {word}. {HELP}"));
        }
        _ => {
            println!("{nickname}: {line}");
            broadcast(clients, &format!("<{nickname}> {line}"));
        }
    }
}

fn nick(clients: &mut Clients, id: u64, new: &str) {
    if new.is_empty() || new.chars().count() > 20 || !new.chars().all(char::is_alphanumeric) {
        return tell(clients, id, "!!! A name is 1 to 20 letters and digits.");
    }
    if find(clients, new).is_some_and(|holder| holder != id) {
        return tell(clients, id, &format!("!!! {new} is taken. Please pick another name."));
    }
    let Some(client) = clients.get_mut(&id) else { return };
    let old = mem::replace(&mut client.nickname, new.to_owned());
    println!("client {id} ({old}) is now {new}");
    broadcast(clients, &format!("*** {old} is now {new}"));
}

fn msg(clients: &mut Clients, id: u64, rest: &str) {
    let Some((name, text)) = rest.split_once(char::is_whitespace) else {
        return tell(clients, id, "!!! /msg needs a name and a text: /msg NAME TEXT");
    };
    let Some(to) = find(clients, name) else {
        return tell(clients, id, &format!("!!! No one here is called {name}. /list shows who is here."));
    };
    let (from, name) = (clients[&id].nickname.clone(), clients[&to].nickname.clone());
    println!("{from} wrote to {name} privately");
    // The author's copy comes second: it says that the line is on its way.
    tell(clients, to, &format!("[{from} -> you] {text}"));
    tell(clients, id, &format!("[you -> {name}] {text}"));
}

/// The outbox stays until the lines in it are sent. A client that was cut off is no longer in the map when
/// its thread says that it has left.
fn left(clients: &mut Clients, leaving: &mut Vec<Outbox>, id: u64, why: &str) {
    let Some(Client { nickname, outbox }) = clients.remove(&id) else { return };
    println!("client {id} ({nickname}) disconnected{why}");
    broadcast(clients, &format!("*** {nickname} left{why}"));
    leaving.push(outbox);
}

fn broadcast(clients: &mut Clients, line: &str) {
    for client in clients.values_mut() {
        client.outbox.backlog.extend(format!("{line}\n").as_bytes());
    }
}

/// Puts a line into one client's outbox. The turn ends with a flush, which sends it or finds that it is too
/// much.
fn tell(clients: &mut Clients, id: u64, line: &str) {
    if let Some(client) = clients.get_mut(&id) {
        client.outbox.backlog.extend(format!("{line}\n").as_bytes());
    }
}

/// The client with this name, upper and lower case being the same: bob and Bob would be taken for one person.
fn find(clients: &Clients, name: &str) -> Option<u64> {
    let is_it = |client: &Client| client.nickname.to_lowercase() == name.to_lowercase();
    clients.iter().find(|(_, client)| is_it(client)).map(|(id, _)| *id)
}

/// How many are here, and their names.
fn here(clients: &Clients) -> String {
    let names: Vec<_> = clients.values().map(|client| client.nickname.as_str()).collect();
    format!("*** {} here: {}", names.len(), names.join(", "))
}

// Still wrong, and what the program adds:
// - It is not batched: each event costs a `send` for each client. A flood keeps it busy with system calls.
// - It is not paced: one client that floods takes most of the dispatcher's time, and can have a reader on a
//   slow link cut off.
// - It trusts every terminal: escape sequences reach the others' screens as they are, and one of them can
//   hide or forge a line. And it trusts its own: the log waits for a terminal that is stopped, and the
//   dispatcher with it.
// - It lets in anyone, and as many as come. When the system has no thread left, `thread::spawn` panics, the
//   acceptor ends, and nobody gets in any more.
// - A client that has left can keep its thread for weeks: the timeout is for one read, and a byte now and
//   then is enough.
// - The welcome and `/list` name everyone who is here, however many, and do not stop at 80 columns.

//! chat-server's own design in async Rust, the hardest peer of the benchmark: `sibling-tokio-design ADDR`.
//!
//! One task per client reads lines and sends events into one bounded channel. One task owns the room and the
//! write half of every socket, so nothing is shared or locked. That task works in turns: it waits for an
//! event, takes what else is there, and offers each client's kernel all of the turn with one `try_write`. It
//! never waits for a client: what a kernel does not take is that client's backlog until it is writable.
//!
//! It has none of chat-server's guards and no operator: it paces nobody, passes every byte on to every
//! terminal, and its log waits for the terminal that shows it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Arguments, Write as _};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{iter, mem};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, sink};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

const MAX_LINE: usize = 4096;
/// A client for which more than this is waiting is too slow.
const MAX_BACKLOG: usize = 256 * 1024;
/// A turn ends at either, so that the kernel of a client that keeps up has room for all of it.
const EVENTS_PER_TURN: usize = 256;
const BYTES_PER_TURN: usize = 64 * 1024;
/// How long a turn lets clients catch up that read and are far behind, at most.
const CATCHING_UP: Duration = Duration::from_millis(20);
/// How long a client that is leaving may take to read what it is owed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a connection stays half open after that.
const LINGER: Duration = Duration::from_millis(500);
/// In a larger room nobody's coming and going is announced.
const ANNOUNCED: usize = 200;

const HELP: &str = "*** Any text is for everyone. Or: /nick NAME, /list, /msg NAME TEXT, /quit";

enum Event {
    /// The room drops the last one when it has nothing more for this client, and that ends the client's task.
    Joined(u64, SocketAddr, OwnedWriteHalf, oneshot::Sender<()>),
    Said(u64, String),
    TooLong(u64),
    Left(u64),
}

/// One thread runs all tasks. On two cores a second one cost more CPU for each delivery under flood: 0.15
/// and not 0.09 µs with ten clients, 0.07 and not 0.05 with a hundred (`chat-bench one --peer tokio-design`).
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    let listener = listen(&address).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("Chat server started...\nListening on {}", listener.local_addr()?);
    let (events, inbox) = mpsc::channel(1024);
    tokio::spawn(accept(listener, events));
    let stop = async { tokio::select!(_ = terminate.recv() => {}, _ = interrupt.recv() => {}) };
    Room::default().run(inbox, stop).await;
    Ok(())
}

/// The kernel's buffers are part of what a slow client costs, so they are fixed and do not grow.
async fn listen(address: &str) -> io::Result<TcpListener> {
    let address = lookup_host(address).await?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(128 * 1024)?;
    socket.set_recv_buffer_size(64 * 1024)?;
    socket.bind(address)?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener, events: mpsc::Sender<Event>) {
    let mut id = 0;
    loop {
        let Ok((socket, peer)) = listener.accept().await else {
            // Most likely no descriptor is left. Clients already connected stay.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        id += 1;
        tokio::spawn(converse(id, peer, socket, events.clone()));
    }
}

/// A client's task: it reads and never writes. It ends early when the connection is broken or the room gone.
async fn converse(id: u64, peer: SocketAddr, socket: TcpStream, events: mpsc::Sender<Event>) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    // Before tokio has seen that a new socket is writable, `try_write` does not even try.
    socket.writable().await.ok()?;
    let (reader, writer) = socket.into_split();
    let (done, over) = oneshot::channel();
    events.send(Event::Joined(id, peer, writer, done)).await.ok()?;
    // The usual capacity, 8 KiB, would be most of the memory that an idle client takes.
    let mut reader = BufReader::with_capacity(2048, reader);
    tokio::select! {
        heard = hear(id, &mut reader, &events) => heard?,
        _ = over => {}
    }
    // To close with unread input is a reset, which could overtake the last lines to this client.
    let _ = timeout(LINGER, copy(&mut reader, &mut sink())).await;
    Some(())
}

/// Sends events until the client's input ends.
async fn hear(id: u64, reader: &mut BufReader<OwnedReadHalf>, events: &mpsc::Sender<Event>) -> Option<()> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        line.clear();
        let count = reader.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).await.unwrap_or(0);
        // Otherwise it is a piece of a longer line. The last line of all need not have a line break.
        let ends = line.ends_with(b"\n") || count <= MAX_LINE;
        let event = match (mem::replace(&mut too_long, !ends), ends) {
            _ if count == 0 => return events.send(Event::Left(id)).await.ok(),
            (false, true) if line.trim_ascii().is_empty() => continue,
            (false, true) => Event::Said(id, String::from_utf8_lossy(&line).into_owned()),
            (false, false) => Event::TooLong(id),
            (true, _) => continue,
        };
        events.send(event).await.ok()?;
    }
}

struct Client {
    name: String,
    socket: OwnedWriteHalf,
    /// Bytes that the kernel has not taken yet.
    backlog: Vec<u8>,
    /// How much of the turn's public text this client has, or shall not have.
    heard: usize,
    /// When the kernel last took something.
    taken: Instant,
    _done: oneshot::Sender<()>,
}

impl Client {
    /// Takes over what this turn has said so far, so that a line for this client alone can come behind it.
    fn catch_up(&mut self, public: &str) -> &mut Vec<u8> {
        self.backlog.extend(&public.as_bytes()[self.heard..]);
        self.heard = public.len();
        &mut self.backlog
    }

    /// Offers the kernel all that this client is owed, and keeps the rest. Then `public` starts afresh.
    fn flush(&mut self, public: &str, now: Instant) -> io::Result<()> {
        let news = &public.as_bytes()[mem::take(&mut self.heard)..];
        let taken;
        if self.backlog.is_empty() {
            taken = offer(&self.socket, news)?;
            self.backlog.extend(&news[taken..]);
        } else {
            self.backlog.extend(news);
            taken = offer(&self.socket, &self.backlog)?;
            self.backlog.drain(..taken);
            if self.backlog.is_empty() {
                self.backlog = Vec::new(); // An idle client costs no memory for its largest backlog.
            }
        }
        self.taken = if taken > 0 { now } else { self.taken };
        Ok(())
    }

    /// Waits for this client alone, in a task of its own.
    async fn farewell(mut self) {
        let _ = timeout(PATIENCE, self.socket.write_all(&self.backlog)).await;
    }
}

/// How many of the bytes the kernel takes now.
fn offer(socket: &OwnedWriteHalf, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match socket.try_write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}

/// The state of the room's task. Nothing else can reach it.
#[derive(Default)]
struct Room {
    clients: HashMap<u64, Client>,
    /// By name in lower case, so that no two names differ in case alone.
    names: BTreeMap<String, u64>,
    /// The lines that this turn says to everyone.
    public: String,
}

impl Room {
    async fn run(mut self, mut inbox: mpsc::Receiver<Event>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut turn = Vec::with_capacity(EVENTS_PER_TURN);
        loop {
            tokio::select! {
                _ = inbox.recv_many(&mut turn, EVENTS_PER_TURN) => {}
                () = self.writable() => {}
                () = &mut stop => break,
            }
            if turn.len() > 1 {
                // A flood: let the other tasks read what has come meanwhile, so that a turn moves more lines.
                yield_now().await;
                turn.extend(iter::from_fn(|| inbox.try_recv().ok()).take(EVENTS_PER_TURN - turn.len()));
            }
            for event in turn.drain(..) {
                self.take(event);
                if self.public.len() > BYTES_PER_TURN {
                    self.send().await;
                }
            }
            self.send().await;
        }
        self.public += "*** The server is shutting down. Goodbye!\n";
        self.flush();
        self.clients.into_values().map(Client::farewell).collect::<JoinSet<()>>().join_all().await;
    }

    /// Ends when a kernel takes bytes again of which there is a backlog; never if there is no backlog.
    async fn writable(&self) {
        poll_fn(|context| {
            let mut behind = self.clients.values().filter(|client| !client.backlog.is_empty());
            let writable = behind.any(|client| client.socket.as_ref().poll_write_ready(context).is_ready());
            if writable { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sends what this turn has said. Without the short wait an unpaced flood would cut off readers.
    async fn send(&mut self) {
        let start = Instant::now();
        while self.flush() && start.elapsed() < CATCHING_UP {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns whether a client that reads is far behind.
    fn flush(&mut self) -> bool {
        let (now, mut crowded) = (Instant::now(), false);
        loop {
            let mut lost = Vec::new();
            for (&id, client) in &mut self.clients {
                if client.flush(&self.public, now).is_err() {
                    lost.push((id, ""));
                } else if client.backlog.len() > MAX_BACKLOG {
                    lost.push((id, " (too slow: too much was waiting to be read)"));
                } else {
                    crowded |= client.backlog.len() > MAX_BACKLOG / 2 && now - client.taken < CATCHING_UP;
                }
            }
            self.public.clear();
            if lost.is_empty() {
                return crowded;
            }
            for (id, why) in lost {
                self.remove(id, why);
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Joined(id, peer, socket, done) => self.join(id, peer, socket, done),
            Event::Said(id, line) => self.obey(id, line.trim_end_matches(['\r', '\n'])),
            Event::TooLong(id) => {
                self.tell(id, "!!! That line was longer than 4096 bytes, so nobody got it.")
            }
            Event::Left(id) => self.leave(id, false),
        }
    }

    fn join(&mut self, id: u64, peer: SocketAddr, socket: OwnedWriteHalf, done: oneshot::Sender<()>) {
        let name = format!("guest{id}");
        log(format_args!("{name} connected from {peer}"));
        self.names.insert(name.clone(), id);
        self.announce(format_args!("{name} joined"));
        let (heard, backlog, taken) = (self.public.len(), Vec::new(), Instant::now());
        self.clients.insert(id, Client { name, socket, backlog, heard, taken, _done: done });
        self.tell(id, &format!("*** Welcome to chat-server! You are guest{id}."));
        self.tell(id, HELP);
        self.tell(id, &self.here(80));
    }

    fn obey(&mut self, id: u64, line: &str) {
        let Some(name) = self.clients.get(&id).map(|client| client.name.clone()) else { return }; // It has left.
        let Some(command) = line.trim_start().strip_prefix('/') else {
            return self.say(&name, line);
        };
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match word {
            "nick" => self.rename(id, rest.trim()),
            "list" => self.tell(id, &self.here(4_000)),
            "msg" => match rest.trim().split_once(char::is_whitespace) {
                Some((to, text)) => self.whisper(id, &name, to, text.trim_start()),
                None => self.tell(id, "!!! Usage: /msg NAME TEXT"),
            },
            "quit" => self.leave(id, true),
            _ if word.starts_with('/') => self.say(&name, command),
            _ => self.tell(id, &format!("!!! There is no /{word}. To say it as text, type //{word}")),
        }
    }

    fn say(&mut self, name: &str, text: &str) {
        log(format_args!("{name}: {text}"));
        let _ = writeln!(self.public, "<{name}> {text}");
    }

    fn rename(&mut self, id: u64, name: &str) {
        let key = name.to_lowercase();
        let fine = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let guest = key.strip_prefix("guest").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if !(1..=20).contains(&name.chars().count()) || !name.chars().all(fine) {
            self.tell(id, "!!! A name is 1 to 20 letters, digits, - and _");
        } else if guest && key != format!("guest{id}") {
            self.tell(id, &format!("!!! {name} is for the guest with that number."));
        } else if self.names.get(&key).is_some_and(|&owner| owner != id) {
            self.tell(id, &format!("!!! {name} is taken."));
        } else if let Some(client) = self.clients.get_mut(&id) {
            let old = mem::replace(&mut client.name, name.to_owned());
            log(format_args!("{old} is now {}", client.name));
            let _ = writeln!(self.public, "*** {old} is now {}", client.name);
            self.names.remove(&old.to_lowercase());
            self.names.insert(key, id);
        }
    }

    fn whisper(&mut self, id: u64, from: &str, to: &str, text: &str) {
        let Some(&recipient) = self.names.get(&to.to_lowercase()) else {
            return self.tell(id, &format!("!!! No one here is called {to}."));
        };
        let to = self.clients[&recipient].name.clone();
        log(format_args!("{from} wrote to {to} privately"));
        self.tell(recipient, &format!("[{from} -> you] {text}"));
        self.tell(id, &format!("[you -> {to}] {text}"));
    }

    /// Everyone who is here, or as many names as fit.
    fn here(&self, columns: usize) -> String {
        let count = self.names.len();
        let mut line = format!("*** {count} here: ");
        for (i, id) in self.names.values().enumerate() {
            let name = format!("{}{}", if i == 0 { "" } else { ", " }, self.clients[id].name);
            let more = format!(" … and {} more", count - i);
            let reserved = if i + 1 < count { more.chars().count() } else { 0 };
            if line.chars().count() + name.chars().count() + reserved > columns {
                return line + &more;
            }
            line += &name;
        }
        line
    }

    /// A line for one client alone, behind what everyone has been told so far.
    fn tell(&mut self, id: u64, line: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            let _ = writeln!(client.catch_up(&self.public), "{line}");
        }
    }

    /// Takes a client out of the room, with all that it is owed from this turn.
    fn remove(&mut self, id: u64, why: &str) -> Option<Client> {
        let mut client = self.clients.remove(&id)?;
        client.catch_up(&self.public);
        log(format_args!("{} disconnected{why}", client.name));
        self.announce(format_args!("{} left{why}", client.name));
        self.names.remove(&client.name.to_lowercase());
        Some(client)
    }

    /// A client that quits hears that it left; one that has hung up does not.
    fn leave(&mut self, id: u64, hears_it: bool) {
        if let Some(mut client) = self.remove(id, "") {
            if hears_it {
                client.catch_up(&self.public);
            }
            tokio::spawn(client.farewell());
        }
    }

    fn announce(&mut self, what: Arguments) {
        if self.names.len() <= ANNOUNCED {
            let _ = writeln!(self.public, "*** {what}");
        }
    }
}

fn log(line: Arguments) {
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var("CHAT_LOG").as_deref() != Ok("off"));
    if *ON {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

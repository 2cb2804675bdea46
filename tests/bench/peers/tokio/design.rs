//! chat-server's own design in async Rust, the hardest peer of the benchmark: `sibling-tokio-design ADDR`.
//!
//! One task per client reads lines and sends events into one bounded channel. One task owns the room and the write
//! half of every socket, so nothing is shared and nothing is locked. That task works in turns: it waits for an event,
//! takes what else is there, and then offers each client's kernel all of the turn with one `try_write`. It never waits
//! for a client: the bytes that a kernel does not take stay in that client's backlog until the socket is writable.
//!
//! It has none of chat-server's guards and no operator: it paces nobody, passes every byte on to every terminal, and
//! its log waits for the terminal that shows it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Arguments, Write as _};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write as _};
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
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
    /// The room drops `done` when it has nothing more for this client, and that ends the client's task.
    Joined {
        id: u64,
        address: SocketAddr,
        socket: OwnedWriteHalf,
        done: oneshot::Sender<()>,
    },
    Said {
        id: u64,
        command: Command,
    },
    Left {
        id: u64,
    },
}

#[derive(PartialEq)]
enum Command {
    Say(String),
    Nick(String),
    Msg { to: String, text: String },
    List,
    Quit,
    Problem(String),
}

impl Command {
    /// `None` for a blank line.
    fn parse(line: &str) -> Option<Self> {
        let Some(command) = line.trim_start().strip_prefix('/') else {
            return (!line.trim_start().is_empty()).then(|| Self::Say(line.to_owned()));
        };
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        Some(match word {
            "nick" => Self::Nick(rest.trim().to_owned()),
            "msg" => match rest.trim().split_once(char::is_whitespace) {
                Some((to, text)) => Self::Msg { to: to.to_owned(), text: text.trim_start().to_owned() },
                None => Self::Problem("Usage: /msg NAME TEXT".to_owned()),
            },
            "list" => Self::List,
            "quit" => Self::Quit,
            _ if word.starts_with('/') => Self::Say(command.to_owned()),
            _ => Self::Problem(format!("There is no command /{word}. To say it as text, type //{word}")),
        })
    }
}

/// One thread runs all tasks: with more, every line would wake another thread on its way to the room.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    let listener = listen(&address).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    println!("Chat server started...\nListening on {}", listener.local_addr()?);
    let (events, inbox) = mpsc::channel(1024);
    tokio::spawn(accept(listener, events));
    let stop = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
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
        match listener.accept().await {
            Ok((socket, address)) => {
                id += 1;
                tokio::spawn(converse(id, address, socket, events.clone()));
            }
            Err(error) => {
                // Most likely no descriptor is left. Clients already connected stay.
                log(format_args!("cannot accept: {error}"));
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A client's task: it reads and never writes. It ends early, with `None`, when the connection is broken or the room gone.
async fn converse(
    id: u64,
    address: SocketAddr,
    socket: TcpStream,
    events: mpsc::Sender<Event>,
) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    // Before tokio has seen that a new socket is writable, `try_write` does not even try.
    socket.writable().await.ok()?;
    let (reader, socket) = socket.into_split();
    let (done, over) = oneshot::channel();
    events.send(Event::Joined { id, address, socket, done }).await.ok()?;
    // The usual capacity, 8 KiB, would be most of the memory that an idle client takes.
    let mut reader = BufReader::with_capacity(2048, reader);
    tokio::select! {
        biased;
        outcome = hear(id, &mut reader, &events) => outcome?,
        _ = over => return None,
    }
    // To close with unread input is a reset, which could overtake the last lines to this client.
    timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await.ok()?.ok()?;
    Some(())
}

/// Sends events until the client quits or its input ends.
async fn hear(id: u64, reader: &mut BufReader<OwnedReadHalf>, events: &mpsc::Sender<Event>) -> Option<()> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        line.clear();
        let count = reader.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).await.unwrap_or(0);
        // Otherwise it is a piece of a longer line. The last line of all need not have a line break.
        let ends = line.ends_with(b"\n") || count <= MAX_LINE;
        let command = match (mem::replace(&mut too_long, !ends), ends) {
            _ if count == 0 => return events.send(Event::Left { id }).await.ok(),
            (false, true) => Command::parse(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])),
            (false, false) => Some(Command::Problem(format!("That line was longer than {MAX_LINE} bytes."))),
            (true, _) => None,
        };
        let Some(command) = command else { continue };
        let quits = command == Command::Quit;
        events.send(Event::Said { id, command }).await.ok()?;
        if quits {
            return Some(());
        }
    }
}

struct Client {
    name: String,
    socket: OwnedWriteHalf,
    /// What the kernel has not taken yet.
    backlog: Vec<u8>,
    /// How much of the turn's public text this client has, or shall not have.
    heard: usize,
    /// When the kernel last took something.
    taken: Instant,
    _done: oneshot::Sender<()>,
}

impl Client {
    /// Takes over what has been said in this turn so far, so that a line for this client alone can come behind it.
    fn catch_up(&mut self, public: &str) -> &mut Vec<u8> {
        self.backlog.extend(&public.as_bytes()[self.heard..]);
        self.heard = public.len();
        &mut self.backlog
    }

    /// Offers the kernel all that this client is owed, and keeps what it does not take. Then `public` starts afresh.
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
        if taken > 0 {
            self.taken = now;
        }
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

/// What the room's task owns. Nothing else can reach it.
#[derive(Default)]
struct Room {
    clients: HashMap<u64, Client>,
    /// By name in lower case, so that no two names differ in case alone.
    names: BTreeMap<String, u64>,
    /// What this turn says to everyone.
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
        let behind = || self.clients.values().filter(|client| !client.backlog.is_empty());
        poll_fn(|context| {
            let ready = |client: &Client| client.socket.as_ref().poll_write_ready(context).is_ready();
            if behind().any(ready) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sends what this turn has said. Without the short wait an unpaced flood would cut off clients that do read.
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
            Event::Joined { id, address, socket, done } => {
                let name = format!("guest{id}");
                log(format_args!("{name} connected from {address}"));
                self.names.insert(name.clone(), id);
                self.announce(format_args!("{name} joined"));
                let (heard, backlog, taken) = (self.public.len(), Vec::new(), Instant::now());
                self.clients.insert(id, Client { name, socket, backlog, heard, taken, _done: done });
                self.tell(id, format_args!("*** Welcome to chat-server! You are guest{id}."));
                self.tell(id, format_args!("{HELP}"));
                self.tell(id, format_args!("{}", self.here(80)));
            }
            Event::Said { id, command } => self.obey(id, command),
            Event::Left { id } => {
                if let Some(client) = self.remove(id, "") {
                    tokio::spawn(client.farewell());
                }
            }
        }
    }

    fn obey(&mut self, id: u64, command: Command) {
        let Some(client) = self.clients.get(&id) else { return }; // It was too slow, and is gone.
        match command {
            Command::Say(text) => {
                log(format_args!("{}: {text}", client.name));
                let _ = writeln!(self.public, "<{}> {text}", client.name);
            }
            Command::Nick(name) => self.rename(id, name),
            Command::Msg { to, text } => self.whisper(id, &to, &text),
            Command::List => self.tell(id, format_args!("{}", self.here(4_000))),
            Command::Quit => {
                if let Some(mut client) = self.remove(id, "") {
                    client.catch_up(&self.public); // A client that quits hears that it left.
                    tokio::spawn(client.farewell());
                }
            }
            Command::Problem(problem) => self.tell(id, format_args!("!!! {problem}")),
        }
    }

    fn rename(&mut self, id: u64, name: String) {
        let key = name.to_lowercase();
        let fine = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let guest = key.strip_prefix("guest").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if !(1..=20).contains(&name.chars().count()) || !name.chars().all(fine) {
            self.tell(id, format_args!("!!! A name is 1 to 20 letters, digits, - and _"));
        } else if guest && key != format!("guest{id}") {
            self.tell(id, format_args!("!!! {name} is for the guest with that number."));
        } else if self.names.get(&key).is_some_and(|&owner| owner != id) {
            self.tell(id, format_args!("!!! {name} is taken."));
        } else if let Some(client) = self.clients.get_mut(&id) {
            let old = mem::replace(&mut client.name, name);
            log(format_args!("{old} is now {}", client.name));
            let _ = writeln!(self.public, "*** {old} is now {}", client.name);
            self.names.remove(&old.to_lowercase());
            self.names.insert(key, id);
        }
    }

    fn whisper(&mut self, id: u64, to: &str, text: &str) {
        let Some(&recipient) = self.names.get(&to.to_lowercase()) else {
            return self.tell(id, format_args!("!!! No one here is called {to}."));
        };
        let (from, to) = (self.clients[&id].name.clone(), self.clients[&recipient].name.clone());
        log(format_args!("{from} wrote to {to} privately"));
        self.tell(recipient, format_args!("[{from} -> you] {text}"));
        self.tell(id, format_args!("[you -> {to}] {text}"));
    }

    /// Everyone who is here, or as many names as fit.
    fn here(&self, columns: usize) -> String {
        let mut line = format!("*** {} here: ", self.names.len());
        for (i, id) in self.names.values().enumerate() {
            let (name, rest) = (&self.clients[id].name, self.names.len() - i);
            let more = format!(" … and {rest} more");
            let room = columns
                .saturating_sub(line.chars().count() + if rest > 1 { more.chars().count() } else { 0 });
            let comma = if i == 0 { "" } else { ", " };
            if comma.len() + name.chars().count() > room {
                return line + &more;
            }
            line = line + comma + name;
        }
        line
    }

    /// A line for one client alone, behind what everyone has been told so far.
    fn tell(&mut self, id: u64, line: Arguments) {
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

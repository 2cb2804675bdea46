//! The chat after tokio's `examples/chat.rs`: `sibling-tokio ADDR`.
//!
//! As there, each client has a task and an unbounded channel, and the channels' senders are in a map under
//! tokio's mutex. (Tokio's tutorial advises the mutex of std where no guard lives across an `await`, as
//! here.) A task selects between what its client says and what its client is to see. After a failing
//! `accept` it rests, as mini-redis does.
//!
//! It keeps the example's simplifications too. Nothing bounds what waits for a client that does not read. A
//! line that the codec refuses ends its client. It logs while it holds the room's lock, so a terminal that
//! stops its output stops the room. Escape sequences pass.

use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::io::{self, Write};
use std::mem;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

/// In bytes.
const MAX_LINE: usize = 4096;
/// In a larger room nobody's coming and going is announced.
const ANNOUNCED: usize = 200;
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("Chat server started...\nListening on {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let room = Arc::new(Mutex::new(Room::default()));
    let (mut clients, mut number) = (JoinSet::new(), 0);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => {
                    number += 1;
                    clients.spawn(converse(Arc::clone(&room), socket, address, number));
                }
                Err(error) => {
                    // Most likely no descriptor is left.
                    log(format_args!("cannot accept: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = clients.join_next() => {} // Its task has ended, and is forgotten.
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    room.lock().await.close();
    let _ = timeout(PATIENCE, async { while clients.join_next().await.is_some() {} }).await;
    Ok(())
}

/// A client's task.
async fn converse(room: Arc<Mutex<Room>>, socket: TcpStream, address: SocketAddr, number: u64) {
    let mut lines = Framed::new(socket, LinesCodec::new_with_max_length(MAX_LINE));
    let mut name = format!("guest{number}");
    log(format_args!("{name} connected from {address}"));
    let mut inbox = room.lock().await.join(&name, number);
    // An error means that the connection is broken or the line was refused; the client leaves in either case.
    let outcome = chat(&room, &mut lines, &mut inbox, &mut name).await;
    room.lock().await.leave(&name, outcome);
    // The room has dropped the sender, so this ends after the last line for this client.
    while let Some(line) = inbox.recv().await {
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

/// How a conversation ends, if nothing goes wrong.
enum End {
    Quit,
    HungUp,
}

async fn chat(
    room: &Mutex<Room>,
    lines: &mut Framed<TcpStream, LinesCodec>,
    inbox: &mut mpsc::UnboundedReceiver<String>,
    name: &mut String,
) -> Result<End, LinesCodecError> {
    loop {
        tokio::select! {
            line = inbox.recv() => match line {
                Some(line) => lines.send(line).await?,
                None => return Ok(End::HungUp), // The server has, on everyone.
            },
            said = lines.next() => match said {
                Some(line) => if room.lock().await.obey(name, &line?).is_break() {
                    return Ok(End::Quit);
                },
                None => return Ok(End::HungUp),
            },
        }
    }
}

/// A client as the room sees it: the outbox leads to the client's task.
struct Peer {
    number: u64,
    name: String,
    outbox: mpsc::UnboundedSender<String>,
}

/// All tasks share this.
#[derive(Default)]
struct Room {
    /// By name in lower case, so that no two names differ in case alone.
    peers: BTreeMap<String, Peer>,
}

impl Room {
    fn join(&mut self, name: &str, number: u64) -> mpsc::UnboundedReceiver<String> {
        if self.peers.len() < ANNOUNCED {
            self.broadcast(&format!("*** {name} joined"));
        }
        let (outbox, inbox) = mpsc::unbounded_channel();
        self.peers.insert(name.to_owned(), Peer { number, name: name.to_owned(), outbox });
        self.tell(name, format!("*** Welcome to chat-server! You are {name}."));
        self.tell(
            name,
            "*** Any text is for everyone. Or: /nick NAME, /list, /msg NAME TEXT, /quit".to_owned(),
        );
        self.tell(name, self.here(80));
        inbox
    }

    fn leave(&mut self, name: &str, outcome: Result<End, LinesCodecError>) {
        log(format_args!("{name} disconnected"));
        let line = format!("*** {name} left");
        match outcome {
            // A client that quits sees that it left; one that has hung up has nothing more to see.
            Ok(End::Quit) if self.peers.len() <= ANNOUNCED => self.tell(name, line.clone()),
            Err(error) => self.tell(name, format!("!!! {error}. Goodbye.")),
            _ => {}
        }
        self.peers.remove(&name.to_lowercase());
        if self.peers.len() < ANNOUNCED {
            self.broadcast(&line);
        }
    }

    /// The server ends. Without its sender, each inbox ends after the goodbye.
    fn close(&mut self) {
        self.broadcast("*** The server is shutting down. Goodbye!");
        self.peers.clear();
    }

    /// One line from a client. It breaks off the conversation if the client quits.
    fn obey(&mut self, name: &mut String, line: &str) -> ControlFlow<()> {
        let Some(command) = line.trim_start().strip_prefix('/') else {
            if !line.trim_start().is_empty() {
                self.say(name, line);
            }
            return ControlFlow::Continue(());
        };
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match word {
            "nick" => self.rename(name, rest.trim()),
            "list" => self.tell(name, self.here(4_000)),
            "msg" => match rest.trim().split_once(char::is_whitespace) {
                Some((to, text)) => self.whisper(name, to, text.trim_start()),
                None => self.tell(name, "!!! Usage: /msg NAME TEXT".to_owned()),
            },
            "quit" => return ControlFlow::Break(()),
            _ if word.starts_with('/') => self.say(name, command),
            _ => {
                self.tell(name, format!("!!! There is no command /{word}. To say it as text, type //{word}"))
            }
        }
        ControlFlow::Continue(())
    }

    fn say(&self, name: &str, text: &str) {
        log(format_args!("{name}: {text}"));
        self.broadcast(&format!("<{name}> {text}"));
    }

    fn whisper(&self, from: &str, to: &str, text: &str) {
        let Some(recipient) = self.peers.get(&to.to_lowercase()) else {
            return self.tell(from, format!("!!! No one here is called {to}."));
        };
        let to = &recipient.name;
        log(format_args!("{from} wrote to {to} privately"));
        self.tell(to, format!("[{from} -> you] {text}"));
        self.tell(from, format!("[you -> {to}] {text}"));
    }

    fn rename(&mut self, name: &mut String, new: &str) {
        let (old_key, key) = (name.to_lowercase(), new.to_lowercase());
        let fits = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if !(1..=20).contains(&new.chars().count()) || !new.chars().all(fits) {
            self.tell(name, "!!! A name is 1 to 20 letters, digits, - and _".to_owned());
        } else if is_guest(&key)
            && self.peers.get(&old_key).is_none_or(|it| key != format!("guest{}", it.number))
        {
            self.tell(name, format!("!!! {new} is for the guest with that number."));
        } else if self.peers.contains_key(&key) && key != old_key {
            self.tell(name, format!("!!! {new} is taken."));
        } else if let Some(mut peer) = self.peers.remove(&old_key) {
            let old = mem::replace(name, new.to_owned());
            peer.name = new.to_owned();
            self.peers.insert(key, peer);
            log(format_args!("{old} is now {new}"));
            self.broadcast(&format!("*** {old} is now {new}"));
        }
    }

    /// Everyone who is here, or as many names as fit.
    fn here(&self, columns: usize) -> String {
        let count = self.peers.len();
        let mut line = format!("*** {count} here: ");
        for (i, peer) in self.peers.values().enumerate() {
            let name = if i == 0 { peer.name.clone() } else { format!(", {}", peer.name) };
            let more = format!(" … and {} more", count - i);
            let reserved = if i + 1 < count { more.chars().count() } else { 0 };
            if line.chars().count() + name.chars().count() + reserved > columns {
                return line + &more;
            }
            line += &name;
        }
        line
    }

    fn tell(&self, name: &str, line: String) {
        if let Some(peer) = self.peers.get(&name.to_lowercase()) {
            // It fails only for a client whose task is about to leave the room.
            let _ = peer.outbox.send(line);
        }
    }

    fn broadcast(&self, line: &str) {
        for peer in self.peers.values() {
            let _ = peer.outbox.send(line.to_owned());
        }
    }
}

/// A name of this form is for the guest with that number alone.
fn is_guest(key: &str) -> bool {
    key.strip_prefix("guest").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn log(line: Arguments) {
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var("CHAT_LOG").as_deref() != Ok("off"));
    if *ON {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

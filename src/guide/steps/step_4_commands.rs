//! Step 4 of 5: commands. Names, `/nick`, `/list`, `/msg`, `/quit`, and a log.
//!
//! Wrong with step 3, apart from its memory: nobody has a name, nothing can be said to one person, and the
//! person who runs the server does not see who comes and goes.
//!
//! All of that is a matter of the rules, and the threads stay as they are. Notice `nick`: it looks whether a
//! name is free and then takes it. Nothing comes between these two steps, because one thread runs all rules,
//! one after the other. With a map shared by threads, even a `ConcurrentHashMap`, two clients could both find
//! the name free, unless looking and taking are one call.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, mem, thread};

const HELP: &str = "Type a line to talk. /nick NAME, /list, /msg NAME TEXT, /help, /quit";

/// All clients by their number, each with its name and the channel to its writer.
type Clients = BTreeMap<u64, Client>;

struct Client {
    nickname: String,
    outbox: Sender<String>,
}

/// The news for the dispatcher. A client's events come in their order, because its one thread sends them into
/// one channel.
enum Event {
    Joined { id: u64, outbox: Sender<String> },
    Line { id: u64, line: String },
    Left { id: u64 },
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:12345".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("Chat server started...");
    println!("Listening on {}", listener.local_addr()?);
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
        println!("client {id} connected from {peer}");
        let events = events.clone();
        thread::spawn(move || client(id, Arc::new(socket), &events));
    }
    Ok(())
}

/// The life of one client's thread. A `send` fails only if the dispatcher is gone, and it is never gone.
fn client(id: u64, socket: Arc<TcpStream>, events: &Sender<Event>) {
    let (outbox, lines) = unbounded();
    let write_half = Arc::clone(&socket);
    thread::spawn(move || writer(&write_half, &lines));
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
    let _ = events.send(Event::Left { id });
}

/// The life of a client's second thread: it may wait for its client as long as it likes, because nobody waits
/// for it.
fn writer(mut socket: &TcpStream, lines: &Receiver<String>) {
    // The loop ends when the dispatcher has dropped the outbox and all that was in it is written.
    for line in lines {
        if socket.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// The one thread that owns the map.
fn dispatcher(inbox: &Receiver<Event>) {
    let mut clients = Clients::new();
    for event in inbox {
        match event {
            Event::Joined { id, outbox } => joined(&mut clients, id, outbox),
            Event::Line { id, line } => said(&mut clients, id, &line),
            Event::Left { id } => left(&mut clients, id),
        }
    }
}

/// All of it happens in one turn of the dispatcher, so no line of another client comes between.
fn joined(clients: &mut Clients, id: u64, outbox: Sender<String>) {
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
    let nickname = clients[&id].nickname.clone();
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

fn left(clients: &mut Clients, id: u64) {
    let Some(Client { nickname, .. }) = clients.remove(&id) else { return };
    println!("client {id} ({nickname}) disconnected");
    broadcast(clients, &format!("*** {nickname} left"));
}

fn broadcast(clients: &Clients, line: &str) {
    for id in clients.keys() {
        tell(clients, *id, line);
    }
}

/// Puts a line into one client's outbox. It never waits, because the channel has no bound.
fn tell(clients: &Clients, id: u64, line: &str) {
    // An error is ignored: the client's reader sees it too.
    let _ = clients[&id].outbox.send(format!("{line}\n"));
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

// Still wrong: as in step 3, a stalled reader eats the memory. The server does all that the textbook asks
// for, and it still breaks that promise. The log goes to a terminal, and a terminal can be stopped with
// Ctrl-S. Then the dispatcher waits in `println`.

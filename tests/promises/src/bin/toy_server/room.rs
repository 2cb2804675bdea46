//! The room: who is here, and a queue to each.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::fault::Fault;
use crate::looks::Looks;

/// Lines that may wait for one reader, and lines of talk that a newcomer gets.
const QUEUE: usize = 1024;
const HISTORY: usize = 20;

pub struct Room {
    fault: Option<Fault>,
    unpaced: bool,
    /// A client's first line is its name.
    pub name_first: bool,
    /// What commands begin with.
    pub sign: char,
    /// What stands around its lines.
    pub looks: Looks,
    count: AtomicU64,
    people: Mutex<People>,
    turn: Mutex<()>,
    places_taken: AtomicUsize,
}

#[derive(Default)]
struct People {
    here: Vec<Member>,
    gone: Vec<String>,
    history: VecDeque<String>,
}

#[derive(Clone)]
pub struct Member {
    pub id: u64,
    pub name: String,
    socket: Arc<TcpStream>,
    queue: Sender<String>,
    waiting: Arc<AtomicUsize>,
}

/// The end of the queue from which a client's writer takes lines.
pub struct Outbox {
    pub lines: Receiver<String>,
    pub waiting: Arc<AtomicUsize>,
}

impl Room {
    pub fn new(fault: Option<Fault>, unpaced: bool, name_first: bool, sign: char, looks: Looks) -> Room {
        Room {
            fault,
            unpaced,
            name_first,
            sign,
            looks,
            count: AtomicU64::new(0),
            people: Mutex::default(),
            turn: Mutex::default(),
            places_taken: AtomicUsize::new(0),
        }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub fn is_unpaced(&self) -> bool {
        self.unpaced || self.has(Fault::Unpaced)
    }

    /// Kept by the one client that is read.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().expect("no holder panics")
    }

    /// Whether there is a place for one more, which is taken then.
    pub fn takes_place(&self) -> bool {
        let taken = self.places_taken.fetch_add(1, Ordering::Relaxed);
        let is_full = self.has(Fault::FewPlaces) && taken >= 60;
        if is_full {
            self.frees_place();
        }
        !is_full
    }

    pub fn frees_place(&self) {
        self.places_taken.fetch_sub(1, Ordering::Relaxed);
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().expect("no holder panics")
    }

    /// A new client, greeted and announced. Returns its number.
    pub fn enter(&self, socket: &Arc<TcpStream>) -> (u64, Outbox) {
        let id = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let (queue, lines) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let outbox = Outbox { lines, waiting: Arc::clone(&waiting) };
        let member = Member { id, name: format!("guest{id}"), socket: Arc::clone(socket), queue, waiting };
        let mut people = self.people();
        if !self.has(Fault::Silent) {
            people.history.iter().for_each(|line| self.put(&member, line));
            self.put(&member, &format!("*** Welcome! You are {}.", member.name));
        }
        people.here.push(member);
        (id, outbox)
    }

    pub fn leave(&self, id: u64, last_words: &str) {
        let mut people = self.people();
        let Some(place) = people.here.iter().position(|member| member.id == id) else { return };
        let member = people.here.remove(place);
        people.gone.push(member.name.clone());
        drop(people);
        if self.has(Fault::NeverCloses) {
            std::mem::forget(member.queue.clone());
        }
        self.broadcast(id, &format!("*** {} left{last_words}", member.name));
        if self.has(Fault::LeaveTwice) {
            self.broadcast(id, &format!("*** {} left", member.name));
        }
    }

    pub fn name_of(&self, id: u64) -> String {
        let people = self.people();
        people
            .here
            .iter()
            .find(|member| member.id == id)
            .map(|member| member.name.clone())
            .unwrap_or_default()
    }

    pub fn rename(&self, id: u64, name: &str) {
        let mut people = self.people();
        if people.here.iter().any(|member| member.name == name) {
            return self.put_to(&people, id, &format!("!!! {name} is taken"));
        }
        if self.has(Fault::ChecksThenTakes) {
            drop(people);
            thread::sleep(Duration::from_millis(1));
            people = self.people();
        }
        if let Some(member) = people.here.iter_mut().find(|member| member.id == id) {
            name.clone_into(&mut member.name);
        }
        self.put_to(&people, id, &format!("*** you are now {name}"));
    }

    pub fn list(&self, id: u64) {
        let people = self.people();
        let mut names: Vec<&str> = people.here.iter().map(|member| member.name.as_str()).collect();
        if self.has(Fault::ListMissesOne) {
            // Never the asker itself: a list without it does not look like one.
            let missed =
                people.here.iter().rev().find(|member| member.id != id).map(|member| member.name.as_str());
            names.retain(|name| Some(*name) != missed);
        }
        if self.has(Fault::ListsTheGone) {
            names.extend(people.gone.iter().map(String::as_str));
        }
        self.put_to(&people, id, &format!("*** {} here: {}", names.len(), names.join(", ")));
    }

    pub fn say_privately(&self, id: u64, to: &str, text: &str) {
        let from = self.name_of(id);
        let line = format!("[{from} -> you] {text}");
        if self.has(Fault::PrivateToAll) {
            return self.broadcast(id, &line);
        }
        let mut people = self.people();
        match people.here.iter().find(|member| member.name == to) {
            Some(member) => {
                self.put(member, &line);
                self.put_to(&people, id, &format!("[you -> {to}] {text}"));
            }
            None => self.put_to(&people, id, &format!("!!! there is no {to} here")),
        }
        if self.has(Fault::PrivateInHistory) {
            people.history.push_back(line);
        }
    }

    pub fn say(&self, id: u64, text: &str) {
        let line = format!("<{}> {text}", self.name_of(id));
        self.broadcast(id, &line);
        let mut people = self.people();
        people.history.push_back(line);
        if people.history.len() > HISTORY {
            people.history.pop_front();
        }
    }

    /// Everyone gets the line, under one lock: so all get all lines in one order.
    fn broadcast(&self, from: u64, line: &str) {
        if self.has(Fault::OwnOrder) {
            let mut here = self.people().here.clone();
            if from % 2 == 0 {
                here.reverse();
            }
            for member in here {
                self.put(&member, line);
                thread::yield_now();
            }
            return;
        }
        let people = self.people();
        // The third of the room gets only its own lines.
        let skipped = people.here.get(2).filter(|_| self.has(Fault::SkipsOne)).map(|member| member.id);
        for member in &people.here {
            match self.fault {
                Some(Fault::NoEcho) if member.id == from => (),
                _ if Some(member.id) == skipped && member.id != from => (),
                Some(Fault::EchoTwice) if member.id == from => {
                    self.put(member, line);
                    self.put(member, line);
                }
                _ => self.put(member, line),
            }
        }
    }

    pub fn says_goodbye(&self) {
        let people = std::mem::take(&mut *self.people());
        people.here.iter().for_each(|member| self.put(member, "*** The server is going down. Goodbye!"));
    }

    fn put_to(&self, people: &People, id: u64, line: &str) {
        if let Some(member) = people.here.iter().find(|member| member.id == id) {
            self.put(member, line);
        }
    }

    /// A reader that is too far behind is cut off, so that it knows.
    fn put(&self, member: &Member, line: &str) {
        if self.has(Fault::HoldsUpTheRoom) || self.has(Fault::BlockingWrite) {
            let patience = self.has(Fault::HoldsUpTheRoom).then_some(Duration::from_millis(300));
            let _ = member.socket.set_write_timeout(patience);
            if (&*member.socket).write_all(format!("{line}\n").as_bytes()).is_err() {
                // Its time is over, or it has gone. Its reader sees that.
                let _ = member.socket.shutdown(Shutdown::Both);
            }
            return;
        }
        let is_full = member.waiting.load(Ordering::Relaxed) >= QUEUE;
        if is_full && self.has(Fault::DropsWhenFull) {
            return;
        }
        if is_full && !self.has(Fault::UnboundedQueue) {
            let _ = member.socket.shutdown(Shutdown::Both);
            return;
        }
        member.waiting.fetch_add(1, Ordering::Relaxed);
        // It fails only when the writer has ended, and then the client has gone.
        let _ = member.queue.send(line.to_owned());
    }
}

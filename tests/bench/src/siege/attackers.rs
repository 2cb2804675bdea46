//! The attackers: all their connections, driven by one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::attack::{Attack, Script};
use super::place;

/// How often each connection is looked after at least.
const TICK: Duration = Duration::from_millis(5);

/// A machine makes at most one connection in this time.
const NEXT_VISIT: Duration = Duration::from_micros(150);

/// How long an attacker that has said all waits for the end.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// The attackers that stay behind: how much they want to be waiting for them, in bytes, of which the kernels'
/// buffers hold a good part; the answers that they ask for at once; the time between two questions; and how
/// fast they read. Of 320, 384, 448 and 512 KiB, 448 held chat-server up most without being cut off, when its
/// room still waited for them.
const BEHIND: usize = 448 * 1024;
const AT_ONCE: usize = 199;
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);
const BEHIND_PACE: f64 = 50.0 * 1024.0;
const BEHIND_BUFFER: usize = 4 * 1024;
/// How long they wait for the first answer, to know how large one is.
const FIRST_ANSWER: Duration = Duration::from_millis(200);

/// What they did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Connections made, and those of them that the server turned away with a sentence.
    pub connections: u64,
    pub refused: u64,
    pub sent: u64,
}

/// One connection, made again whenever it ends.
struct Attacker {
    place: Ipv4Addr,
    socket: Option<TcpStream>,
    /// How much of the script has been said.
    said: usize,
    connected: Instant,
    /// When it ended its half.
    ended: Option<Instant>,
    /// Whether it waits for a socket that takes more.
    wants_to_write: bool,
    received: usize,
    behind: Behind,
}

#[derive(Default)]
struct Behind {
    asked: usize,
    asked_at: Option<Instant>,
    /// What it had received before its first question.
    welcome: usize,
    /// How large one answer is, once that is known.
    answer: usize,
    allowance: f64,
}

pub struct Attackers {
    all: Vec<Attacker>,
    script: Script,
    /// Each connection is made again at most once in this time.
    next_visit: Duration,
    address: SocketAddr,
    epoll: OwnedFd,
    done: Done,
    buffer: Vec<u8>,
}

impl Attackers {
    pub fn new(attack: Attack, machines: usize, victim: &str, address: SocketAddr) -> Result<Self> {
        let now = Instant::now();
        let places = (0..machines).map(place::attacker);
        let all = places.flat_map(|place| (0..attack.connections()).map(move |_| place));
        let all = all.map(|place| Attacker {
            place,
            socket: None,
            said: 0,
            connected: now - Duration::from_secs(1),
            ended: None,
            wants_to_write: false,
            received: 0,
            behind: Behind::default(),
        });
        Ok(Self {
            all: all.collect(),
            script: attack.script(victim),
            next_visit: NEXT_VISIT * attack.connections() as u32,
            address,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            done: Done::default(),
            buffer: vec![0; 64 * 1024],
        })
    }

    pub fn attack_until(mut self, end: Instant) -> Result<Done> {
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(256);
        let (mut looked, timeout) = (Instant::now() - TICK, Timespec::try_from(TICK)?);
        while Instant::now() < end {
            let elapsed = looked.elapsed();
            if elapsed >= TICK {
                looked = Instant::now();
                for index in 0..self.all.len() {
                    self.look_after(index, elapsed)?;
                }
            }
            ready.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&timeout))?;
            for event in &ready {
                self.act(event.data.u64() as usize)?;
            }
        }
        Ok(self.done)
    }

    /// Does what is due at this time.
    fn look_after(&mut self, index: usize, elapsed: Duration) -> Result<()> {
        let attacker = &mut self.all[index];
        let Some(socket) = &mut attacker.socket else {
            return self.come_again(index);
        };
        if self.script == Script::Behind {
            let before = attacker.received;
            attacker.received +=
                attacker.behind.read(socket, elapsed, &mut self.buffer).unwrap_or_else(|()| {
                    attacker.socket = None;
                    0
                });
            self.done.refused += u64::from(before == 0 && is_refusal(&self.buffer));
            if let Some(socket) = &mut attacker.socket {
                self.done.sent += attacker.behind.ask(socket, attacker.received);
            }
        } else if attacker.ended.is_some_and(|ended| ended.elapsed() > LAST_WAIT) {
            attacker.socket = None;
        }
        Ok(())
    }

    /// Connects, if it is not too early. The next look finds the others.
    fn come_again(&mut self, index: usize) -> Result<()> {
        if self.all[index].connected.elapsed() < self.next_visit {
            return Ok(());
        }
        let is_behind = self.script == Script::Behind;
        let attacker = &mut self.all[index];
        let socket = place::connect(attacker.place, self.address, is_behind.then_some(BEHIND_BUFFER))?;
        if !is_behind {
            let both = epoll::EventFlags::IN | epoll::EventFlags::OUT;
            epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(index as u64), both)?;
        }
        *attacker = Attacker {
            place: attacker.place,
            socket: Some(socket),
            said: 0,
            connected: Instant::now(),
            ended: None,
            wants_to_write: true,
            received: 0,
            behind: Behind::default(),
        };
        self.done.connections += 1;
        Ok(())
    }

    /// Says and reads what is possible now.
    fn act(&mut self, index: usize) -> Result<()> {
        let Self { all, script, epoll, done, buffer, .. } = self;
        let attacker = &mut all[index];
        let Some(socket) = &mut attacker.socket else { return Ok(()) };
        let (Script::Stay(bytes) | Script::Again(bytes)) = &*script else { return Ok(()) };
        let before = attacker.said;
        let said = say(socket, bytes, &mut attacker.said);
        done.sent += (attacker.said - before) as u64;
        let is_first = attacker.received == 0;
        let read = read_once(socket, buffer);
        if let Ok(count) = read {
            attacker.received += count;
            done.refused += u64::from(is_first && is_refusal(&buffer[..count]));
        }
        if said.is_err() || read.is_err() {
            attacker.socket = None;
            return self.come_again(index);
        }
        if attacker.said == bytes.len() && attacker.wants_to_write {
            attacker.wants_to_write = false;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::modify(&*epoll, &*socket, data, epoll::EventFlags::IN)?;
            if matches!(script, Script::Again(_)) {
                attacker.ended = Some(Instant::now());
                // It fails if the server has closed the connection, which the next read finds out.
                let _ = socket.shutdown(std::net::Shutdown::Write);
            }
        }
        Ok(())
    }
}

impl Behind {
    /// Reads as slowly as it wants to. An error is the end.
    fn read(&mut self, socket: &mut TcpStream, elapsed: Duration, buffer: &mut [u8]) -> Result<usize, ()> {
        buffer[..REFUSAL.len()].fill(0);
        // It reads the first answer at once, to know how large they are.
        let pace = if self.answer == 0 { 1e6 } else { BEHIND_PACE };
        self.allowance = (self.allowance + pace * elapsed.as_secs_f64()).min(pace / 10.0);
        let most = (self.allowance as usize).min(buffer.len());
        let count = if most == 0 { 0 } else { read_once(socket, &mut buffer[..most])? };
        self.allowance -= count as f64;
        Ok(count)
    }

    /// Asks for as many lists as it dares, and says how many bytes that took.
    fn ask(&mut self, socket: &mut TcpStream, received: usize) -> u64 {
        const QUESTION: &[u8] = b"/list\n";
        let since = self.asked_at.map(|at| at.elapsed());
        let questions = match since {
            None if received == 0 => 0,
            None => {
                self.welcome = received;
                1
            }
            Some(since) if self.answer == 0 => {
                if since < FIRST_ANSWER || received == self.welcome {
                    return 0;
                }
                self.answer = received - self.welcome;
                (BEHIND / self.answer).min(AT_ONCE)
            }
            Some(since) => {
                let waiting = (self.asked * self.answer).saturating_sub(received);
                usize::from(since >= BETWEEN_QUESTIONS && waiting < BEHIND)
            }
        };
        if questions == 0 {
            return 0;
        }
        self.asked += questions;
        self.asked_at = Some(Instant::now());
        // So few bytes fit into the kernel's buffer; a connection that is gone is noticed by the next read.
        socket.write(&QUESTION.repeat(questions)).unwrap_or(0) as u64
    }
}

/// Says as much of `bytes` from `said` on as the kernel takes.
fn say(socket: &mut TcpStream, bytes: &[u8], said: &mut usize) -> Result<(), ()> {
    while *said < bytes.len() {
        match socket.write(&bytes[*said..]) {
            Ok(count) => *said += count,
            Err(error) if is_for_later(&error) => break,
            Err(_) => return Err(()),
        }
    }
    Ok(())
}

/// An error is the end of the connection.
fn read_once(socket: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, ()> {
    match socket.read(buffer) {
        Ok(0) => Err(()),
        Ok(count) => Ok(count),
        Err(error) if is_for_later(&error) => Ok(0),
        Err(_) => Err(()),
    }
}

fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}

const REFUSAL: &[u8] = b"!!! Sorry";

fn is_refusal(beginning: &[u8]) -> bool {
    beginning.starts_with(REFUSAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server that reads all and closes.
    fn visits(attack: Attack, machines: usize) -> (Done, Vec<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let end = Instant::now() + Duration::from_millis(300);
        let attackers = Attackers::new(attack, machines, "guest1", address).unwrap();
        let attack = thread::spawn(move || attackers.attack_until(end).unwrap());
        listener.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        while !attack.is_finished() {
            let Ok((mut socket, _)) = listener.accept() else {
                thread::yield_now();
                continue;
            };
            socket.set_nonblocking(false).unwrap();
            socket.write_all(b"*** Welcome! You are guest1.\n").unwrap();
            let mut said = Vec::new();
            // The last visits are reset in the middle.
            if socket.read_to_end(&mut said).is_ok() {
                heard.push(said.len());
            }
        }
        (attack.join().unwrap(), heard)
    }

    #[test]
    fn an_attacker_says_all_of_its_script_and_comes_again() {
        let (done, heard) = visits(Attack::LastWords, 1);
        assert!(heard.len() > 5, "{heard:?}");
        assert!(heard.iter().all(|bytes| *bytes == 3_900), "{heard:?}");
        assert!(done.connections as usize >= heard.len() && done.refused == 0);
        assert!(done.sent as usize >= 3_900 * heard.len());
    }
}

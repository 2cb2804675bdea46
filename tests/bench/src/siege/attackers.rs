//! The attackers: all their connections, driven by one thread. They wait for nothing but what the server
//! makes them wait for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::attack::{Attack, Script};
use super::behind::{BUFFER, Behind};
use super::place::{Family, Part};

/// How often each connection is looked after at least.
const TICK: Duration = Duration::from_millis(5);

/// How long an attacker that has said all waits for the end.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// How often one of them writes before the next one may.
const WRITES_AT_ONCE: usize = 4;

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
    machine: usize,
    script: Arc<Script>,
    socket: Option<TcpStream>,
    /// How many bytes of the script have been said.
    said: usize,
    /// Whether it waits for a socket that takes more.
    wants_to_write: bool,
    /// When it ended its half.
    ended: Option<Instant>,
    received: usize,
    behind: Behind,
}

pub struct Attackers {
    all: Vec<Attacker>,
    family: Family,
    server: SocketAddr,
    epoll: OwnedFd,
    done: Done,
    buffer: Vec<u8>,
}

impl Attackers {
    pub fn new(
        attack: Attack,
        (machines, connections): (usize, usize),
        victim: &str,
        family: Family,
        server: SocketAddr,
    ) -> Result<Self> {
        let common = Arc::new(attack.script(victim, 0));
        let attacker = |number: usize| Attacker {
            machine: number % machines,
            script: match attack {
                Attack::Rename => Arc::new(attack.script(victim, number)),
                _ => common.clone(),
            },
            socket: None,
            said: 0,
            wants_to_write: true,
            ended: None,
            received: 0,
            behind: Behind::default(),
        };
        Ok(Self {
            all: (0..machines * connections).map(attacker).collect(),
            family,
            server,
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
        if *attacker.script == Script::Behind {
            match attacker.behind.read(socket, elapsed, &mut self.buffer) {
                Ok(count) => {
                    self.done.refused +=
                        u64::from(attacker.received == 0 && is_refusal(&self.buffer[..count]));
                    attacker.received += count;
                    self.done.sent += attacker.behind.ask(socket, attacker.received);
                }
                Err(()) => attacker.socket = None,
            }
        } else if attacker.ended.is_some_and(|ended| ended.elapsed() > LAST_WAIT) {
            return self.come_again(index);
        }
        Ok(())
    }

    fn come_again(&mut self, index: usize) -> Result<()> {
        let attacker = &mut self.all[index];
        let is_behind = *attacker.script == Script::Behind;
        // Closed first, or it would have two places.
        attacker.socket = None;
        let buffer = is_behind.then_some(BUFFER);
        let socket = self.family.connect(Part::Attacker, attacker.machine, self.server, buffer)?;
        if !is_behind {
            let both = epoll::EventFlags::IN | epoll::EventFlags::OUT;
            epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(index as u64), both)?;
        }
        let (machine, script) = (attacker.machine, attacker.script.clone());
        *attacker = Attacker {
            machine,
            script,
            socket: Some(socket),
            said: 0,
            wants_to_write: true,
            ended: None,
            received: 0,
            behind: Behind::default(),
        };
        self.done.connections += 1;
        Ok(())
    }

    /// Says and reads what is possible now.
    fn act(&mut self, index: usize) -> Result<()> {
        let Self { all, epoll, done, buffer, .. } = self;
        let attacker = &mut all[index];
        let Some(socket) = &mut attacker.socket else { return Ok(()) };
        let Script::Says { beginning, for_ever, comes_again } = &*attacker.script else { return Ok(()) };
        let before = attacker.said;
        let said = say(socket, beginning, for_ever, &mut attacker.said);
        done.sent += (attacker.said - before) as u64;
        let read = read_once(socket, buffer);
        if let Ok(count) = read {
            done.refused += u64::from(attacker.received == 0 && is_refusal(&buffer[..count]));
            attacker.received += count;
        }
        if said.is_err() || read.is_err() {
            return self.come_again(index);
        }
        let has_said_all = for_ever.is_empty() && attacker.said == beginning.len();
        if has_said_all && attacker.wants_to_write {
            attacker.wants_to_write = false;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::modify(&*epoll, &*socket, data, epoll::EventFlags::IN)?;
            if *comes_again {
                attacker.ended = Some(Instant::now());
                // It fails if the server has closed the connection, which the next read finds out.
                let _ = socket.shutdown(Shutdown::Write);
            }
        }
        Ok(())
    }
}

/// Says as much from byte `said` on as the kernel takes, and no more than is fair to the others.
fn say(socket: &mut TcpStream, beginning: &[u8], for_ever: &[u8], said: &mut usize) -> Result<(), ()> {
    for _ in 0..WRITES_AT_ONCE {
        let rest = match said.checked_sub(beginning.len()) {
            None => &beginning[*said..],
            Some(_) if for_ever.is_empty() => return Ok(()),
            Some(after) => &for_ever[after % for_ever.len()..],
        };
        match socket.write(rest) {
            Ok(count) => *said += count,
            Err(error) if is_for_later(&error) => return Ok(()),
            Err(_) => return Err(()),
        }
    }
    Ok(())
}

/// An error is the end of the connection.
pub fn read_once(socket: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, ()> {
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

fn is_refusal(beginning: &[u8]) -> bool {
    beginning.starts_with(b"!!! Sorry")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server that reads all and closes.
    fn visits(attack: Attack) -> (Done, Vec<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let end = Instant::now() + Duration::from_millis(300);
        let attackers = Attackers::new(attack, (1, 1), "guest1", Family::Ipv4, address).unwrap();
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
        let (done, heard) = visits(Attack::LastWords);
        assert!(heard.len() > 5, "{heard:?}");
        assert!(heard.iter().all(|bytes| *bytes == 213), "{heard:?}");
        assert!(done.connections as usize >= heard.len() && done.refused == 0);
        assert!(done.sent as usize >= 213 * heard.len());
    }

    #[test]
    fn what_is_said_for_ever_begins_again_at_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut said = 0;
        say(&mut socket, b"a", b"bcd", &mut said).unwrap();
        say(&mut socket, b"a", b"bcd", &mut said).unwrap();
        drop(socket);
        let mut heard = String::new();
        listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "abcdbcdbcdbcdbcdbcdbcd");
    }
}

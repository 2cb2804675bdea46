//! The people in the room, who only read: twenty of them 100 KiB a second each, twenty 1 MB, as if their
//! links let through no more, and all others as fast as they can.
//!
//! One thread reads for all of them. It looks every few milliseconds, which costs it little even for
//! thousands.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use super::place::{Family, Part};

/// The time between two looks at everybody.
const TICK: Duration = Duration::from_millis(10);

/// The receive buffer of a person behind a slow link, in bytes.
const SLOW_BUFFER: usize = 32 * 1024;

/// How many people read so slowly, and how many bytes a second each of them.
pub const SLOW: [(usize, f64); 2] = [(20, 100.0 * 1024.0), (20, 1e6)];

/// How many people share an address. In a room that is nearly full it may get fewer.
const PEOPLE_PER_ADDRESS: usize = 60;
const IN_A_FULL_ROOM: usize = 4;

/// How long the server may take to let everybody in.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);

/// How many read calls one person gets in one look.
const READS_PER_LOOK: usize = 4;

/// How many of the first bytes are kept. The welcome with the name comes after the last lines of talk.
const BEGINNING: usize = 4 * 1024;

struct Reader {
    socket: TcpStream,
    /// The first bytes that it got, with its name in them.
    beginning: Vec<u8>,
    received: u64,
    /// How many bytes a second its link lets through, if it is slow.
    pace: Option<f64>,
    /// What a slow link would have let through by now.
    allowance: f64,
    is_gone: bool,
}

pub struct Crowd {
    readers: Vec<Reader>,
    family: Family,
    epoll: OwnedFd,
    buffer: Vec<u8>,
}

impl Crowd {
    pub fn new(family: Family) -> Result<Self> {
        Ok(Self {
            readers: Vec::new(),
            family,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Connects `count` people, at most `burst` at once, and returns when the server has let all of them in.
    pub fn join(&mut self, address: SocketAddr, count: usize, burst: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let inside = self.readers.iter().filter(|reader| reader.received > 0).count();
            if inside == count {
                return Ok(());
            }
            if start.elapsed() > JOIN_PATIENCE {
                bail!("only {inside} of {count} people were let in within {JOIN_PATIENCE:?}");
            }
            let waiting = self.readers.len() - inside;
            for _ in 0..burst.min(256).saturating_sub(waiting).min(count - self.readers.len()) {
                self.connect(address, if count > 1_000 { IN_A_FULL_ROOM } else { PEOPLE_PER_ADDRESS })?;
            }
            self.read_ready(TICK)?;
            if let Some(gone) = self.readers.iter().find(|reader| reader.is_gone) {
                bail!("a person of the crowd was not let in: {}", String::from_utf8_lossy(&gone.beginning));
            }
        }
    }

    /// Everybody reads as fast as they can until nothing has come for so long.
    pub fn settle(&mut self, pause: Duration) -> Result<()> {
        let start = Instant::now();
        while self.read_ready(pause)? > 0 {
            if start.elapsed() > JOIN_PATIENCE {
                bail!("the room did not become quiet within {JOIN_PATIENCE:?}");
            }
        }
        Ok(())
    }

    /// Everybody reads at their pace, for as long as that is wanted.
    pub fn read_while(&mut self, mut is_wanted: impl FnMut() -> bool) -> Result<()> {
        for reader in self.readers.iter().filter(|reader| reader.pace.is_some() && !reader.is_gone) {
            // It fails the second time.
            let _ = epoll::delete(&self.epoll, &reader.socket);
        }
        let mut before = Instant::now();
        while is_wanted() {
            let elapsed = before.elapsed().as_secs_f64();
            before = Instant::now();
            self.read_paced(elapsed);
            self.read_ready(Duration::ZERO)?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// How many of those who read at each of the [`SLOW`] paces, and of all others, the server has
    /// disconnected; also those who have not yet read all that came before the end.
    pub fn cut_off(&self) -> Result<[usize; 3]> {
        let sockets = self.readers.iter().map(|reader| reader.socket.as_fd());
        let mut all: Vec<PollFd> =
            sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)).collect();
        poll(&mut all, Some(&Timespec::default()))?;
        let is_gone: Vec<bool> = all.iter().map(|person| !person.revents().is_empty()).collect();
        let count = |range: Range<usize>| is_gone[range].iter().filter(|is_gone| **is_gone).count();
        let [first, second] = [SLOW[0].0, SLOW[0].0 + SLOW[1].0].map(|end| end.min(is_gone.len()));
        Ok([count(0..first), count(first..second), count(second..is_gone.len())])
    }

    /// The name that the server gave this one.
    pub fn name(&self, person: usize) -> Option<String> {
        let welcome = String::from_utf8_lossy(&self.readers.get(person)?.beginning).into_owned();
        let (_, rest) = welcome.split_once("You are ")?;
        rest.split(['.', '\r', '\n']).next().map(str::to_owned)
    }

    fn connect(&mut self, server: SocketAddr, people_per_address: usize) -> Result<()> {
        let number = self.readers.len();
        let pace = pace(number);
        let (address, buffer) = (number / people_per_address, pace.map(|_| SLOW_BUFFER));
        let socket = self.family.connect(Part::Crowd, address, server, buffer)?;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        let (beginning, allowance) = (Vec::new(), 0.0);
        self.readers.push(Reader { socket, beginning, received: 0, pace, allowance, is_gone: false });
        Ok(())
    }

    /// Waits until anyone can read, lets those read, and says how many they were.
    fn read_ready(&mut self, timeout: Duration) -> Result<usize> {
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(1024);
        let timeout = Timespec::try_from(timeout)?;
        epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&timeout))?;
        for event in &ready {
            let reader = &mut self.readers[event.data.u64() as usize];
            for _ in 0..READS_PER_LOOK {
                if reader.read(&mut self.buffer).is_none() {
                    break;
                }
            }
            if reader.is_gone {
                epoll::delete(&self.epoll, &reader.socket)?;
            }
        }
        Ok(ready.len())
    }

    fn read_paced(&mut self, elapsed: f64) {
        for reader in self.readers.iter_mut().filter(|reader| !reader.is_gone) {
            let Some(pace) = reader.pace else { continue };
            // A link that was idle does not save up: what it may carry at once is a tenth of a second's
            // worth.
            reader.allowance = (reader.allowance + pace * elapsed).min(pace / 10.0);
            while reader.allowance >= 1.0 {
                let most = (reader.allowance as usize).min(self.buffer.len());
                let Some(count) = reader.read(&mut self.buffer[..most]) else { break };
                reader.allowance -= count as f64;
            }
        }
    }
}

/// The slow ones come first.
fn pace(number: usize) -> Option<f64> {
    let mut end = 0;
    SLOW.into_iter()
        .find(|(people, _)| {
            end += people;
            number < end
        })
        .map(|(_, pace)| pace)
}

impl Reader {
    /// Reads once. `None` when there is nothing to read now, or never more.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.socket.read(buffer) {
            Ok(0) => self.is_gone = true,
            Ok(count) => {
                let room = BEGINNING.saturating_sub(self.beginning.len());
                self.beginning.extend(&buffer[..count.min(room)]);
                self.received += count as u64;
                return Some(count);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.is_gone = true,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    /// A server that writes as much as it can to a crowd, with so many in it, and what each of those received
    /// in a second.
    fn received(people: usize) -> Vec<u64> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..people {
            let accepted = listener.try_clone().unwrap();
            thread::spawn(move || {
                let (mut socket, _) = accepted.accept().unwrap();
                socket.write_all(b"*** Welcome! You are guest7.\n").unwrap();
                while socket.write_all(&[b'x'; 1024]).is_ok() {}
            });
        }
        let mut crowd = Crowd::new(Family::Ipv4).unwrap();
        crowd.join(address, people, 100).unwrap();
        assert_eq!(crowd.name(0).as_deref(), Some("guest7"));
        let before: Vec<u64> = crowd.readers.iter().map(|reader| reader.received).collect();
        let end = Instant::now() + Duration::from_secs(1);
        crowd.read_while(|| Instant::now() < end).unwrap();
        assert_eq!(crowd.cut_off().unwrap(), [0; 3]);
        crowd.readers.iter().zip(before).map(|(reader, before)| reader.received - before).collect()
    }

    #[test]
    fn slow_readers_read_at_their_pace_and_others_do_not() {
        let all = received(42);
        for (number, bytes) in all.iter().enumerate() {
            let part = *bytes as f64 / pace(number).unwrap_or(4e6);
            let is_right = if number < 40 { (0.7..1.3).contains(&part) } else { part > 1.0 };
            assert!(is_right, "{bytes} bytes for person {number}");
        }
    }

    #[test]
    fn a_person_who_is_disconnected_counts_as_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::new(Family::Ipv4).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut first = listener.accept().unwrap().0;
            let mut second = listener.accept().unwrap().0;
            first.write_all(b"hello\n").unwrap();
            second.write_all(b"hello\n").unwrap();
            (first, second)
        });
        crowd.join(address, 2, 100).unwrap();
        let (first, second) = server.join().unwrap();
        drop(first);
        assert_eq!(crowd.cut_off().unwrap(), [1, 0, 0]);
        drop(second);
    }
}

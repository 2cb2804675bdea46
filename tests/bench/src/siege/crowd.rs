//! The people in the room, who only read: as fast as they can, or as fast as a slow link would let them.
//!
//! One thread reads for all of them. It looks every few milliseconds, which costs it
//! little even for thousands.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use super::place;

/// The time between two looks at everybody.
const TICK: Duration = Duration::from_millis(10);

/// The receive buffer of a person behind a slow link, in bytes.
const SLOW_BUFFER: usize = 32 * 1024;

/// How long the server may take to let everybody in.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);

/// How many read calls one person gets in one look.
const READS_PER_LOOK: usize = 4;

struct Reader {
    socket: TcpStream,
    /// The first bytes that it got, with its name in them.
    beginning: Vec<u8>,
    received: u64,
    /// What a slow link would have let through by now.
    allowance: f64,
    is_gone: bool,
}

pub struct Crowd {
    readers: Vec<Reader>,
    /// In bytes per second.
    pace: Option<f64>,
    epoll: OwnedFd,
    buffer: Vec<u8>,
}

impl Crowd {
    /// `pace` is how many bytes each of them reads in a second, if there is a limit.
    pub fn new(pace: Option<f64>) -> Result<Self> {
        Ok(Self {
            readers: Vec::new(),
            pace,
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
                self.connect(address)?;
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
        let mut before = Instant::now();
        while is_wanted() {
            match self.pace {
                None => drop(self.read_ready(Duration::ZERO)?),
                Some(pace) => {
                    let elapsed = before.elapsed().as_secs_f64();
                    before = Instant::now();
                    self.read_paced(pace, elapsed);
                }
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// How many the server has disconnected, also those who have not yet read all that came before the end.
    pub fn cut_off(&self) -> Result<usize> {
        let sockets = self.readers.iter().map(|reader| reader.socket.as_fd());
        let mut all: Vec<PollFd> =
            sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)).collect();
        poll(&mut all, Some(&Timespec::default()))?;
        Ok(all.iter().filter(|person| !person.revents().is_empty()).count())
    }

    /// The name that the server gave the first of them.
    pub fn first_name(&self) -> Option<String> {
        let welcome = String::from_utf8_lossy(&self.readers.first()?.beginning).into_owned();
        let (_, rest) = welcome.split_once("You are ")?;
        rest.split(['.', '\r', '\n']).next().map(str::to_owned)
    }

    fn connect(&mut self, address: SocketAddr) -> Result<()> {
        let number = self.readers.len();
        let socket = place::connect(place::crowd(number), address, self.pace.map(|_| SLOW_BUFFER))?;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        let reader = Reader { socket, beginning: Vec::new(), received: 0, allowance: 0.0, is_gone: false };
        self.readers.push(reader);
        Ok(())
    }

    /// Waits until somebody can read, lets those read, and says how many they were.
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

    fn read_paced(&mut self, pace: f64, elapsed: f64) {
        for reader in self.readers.iter_mut().filter(|reader| !reader.is_gone) {
            // A link that was idle does not save up: what it may carry at once is a
            // tenth of a second's worth.
            reader.allowance = (reader.allowance + pace * elapsed).min(pace / 10.0);
            while reader.allowance >= 1.0 {
                let most = (reader.allowance as usize).min(self.buffer.len());
                let Some(count) = reader.read(&mut self.buffer[..most]) else { break };
                reader.allowance -= count as f64;
            }
        }
    }
}

impl Reader {
    /// Reads once. `None` when there is nothing to read now, or never more.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.socket.read(buffer) {
            Ok(0) => self.is_gone = true,
            Ok(count) => {
                let room = 256_usize.saturating_sub(self.beginning.len());
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

    /// A server that writes as much as it can to a crowd of five.
    fn received(pace: Option<f64>, time: Duration) -> Vec<u64> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..5 {
            let accepted = listener.try_clone().unwrap();
            thread::spawn(move || {
                let (mut socket, _) = accepted.accept().unwrap();
                socket.write_all(b"*** Welcome! You are guest7.\n").unwrap();
                while socket.write_all(&[b'x'; 1024]).is_ok() {}
            });
        }
        let mut crowd = Crowd::new(pace).unwrap();
        crowd.join(address, 5, 100).unwrap();
        assert_eq!(crowd.first_name().as_deref(), Some("guest7"));
        let before: Vec<u64> = crowd.readers.iter().map(|reader| reader.received).collect();
        let end = Instant::now() + time;
        crowd.read_while(|| Instant::now() < end).unwrap();
        assert_eq!(crowd.cut_off().unwrap(), 0);
        crowd.readers.iter().zip(before).map(|(reader, before)| reader.received - before).collect()
    }

    #[test]
    fn slow_readers_read_at_their_pace_and_others_do_not() {
        for pace in [100e3, 1e6] {
            for bytes in received(Some(pace), Duration::from_secs(1)) {
                let part = bytes as f64 / pace;
                assert!((0.7..1.3).contains(&part), "{bytes} bytes at {pace} per second");
            }
        }
        let fast = received(None, Duration::from_millis(500));
        assert!(fast.iter().all(|bytes| *bytes > 2_000_000), "{fast:?}");
    }

    #[test]
    fn a_person_who_is_disconnected_counts_as_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut crowd = Crowd::new(Some(1e5)).unwrap();
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
        assert_eq!(crowd.cut_off().unwrap(), 1);
        drop(second);
    }
}

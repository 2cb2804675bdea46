//! The clients: a room full of TCP connections to one server, all driven by the one thread that measures.
//!
//! This file connects them, reads and writes their bytes, and knows nothing of loads or time
//! measured; `load.rs` does. It uses epoll(7) directly, level-triggered: a client that has more to
//! read is simply reported again.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::line::{LEN, Marked, scan};

/// The epoll number of the one descriptor that is not a client; see `load::Alarm`.
pub const NOT_A_CLIENT: u64 = u64::MAX;

/// How long to wait for the server to let everyone in. Connecting 9,000 clients where every join is announced
/// to everyone is 40 million lines.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);

/// How a server behaves, as far as the generator must know.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// A sender gets its own lines too.
    pub echoes: bool,
    /// A client that joins is told something. Where not, clients in the room speak up until all hear them.
    pub greets: bool,
    /// How many may connect at once. With more than its listen backlog the kernel forgets some of them: they
    /// are tried again seconds later, or believe for ever that they are connected.
    pub burst: usize,
    /// How long it may be silent and still have something to say about who has joined.
    pub pause: Duration,
}

/// One connection.
pub struct Client {
    socket: OwnedFd,
    /// The beginning of a line whose end has not come yet.
    cut: Vec<u8>,
    /// Bytes that this client says and the kernel has not taken yet.
    unsent: Vec<u8>,
    /// It has received something, so the server has let it in.
    heard: bool,
    closed: bool,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        // Close with a reset: a polite close leaves a local port unusable for a minute, and there are 28,000.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("cannot connect another client"),
        }
        Ok(Self { socket, cut: Vec::new(), unsent: Vec::new(), heard: false, closed: false })
    }

    /// Reads once, calls `found` for each marked line, and returns whether the client was still connected.
    pub fn read(&mut self, buffer: &mut [u8], found: impl FnMut(Option<Marked>)) -> Result<bool> {
        let kept = self.cut.len();
        buffer[..kept].copy_from_slice(&self.cut);
        match rustix::net::recv(&self.socket, &mut buffer[kept..], RecvFlags::empty()) {
            Ok((0, _)) | Err(Errno::CONNRESET | Errno::PIPE) => self.closed = true,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error).context("a client cannot read"),
            Ok((count, _)) => {
                self.heard = true;
                let bytes = &buffer[..kept + count];
                let rest = scan(bytes, found);
                debug_assert!(bytes.len() - rest < LEN);
                self.cut.clear();
                self.cut.extend(&bytes[rest..]);
            }
        }
        Ok(!self.closed)
    }

    /// Acknowledges what has been read now. Left to itself, the kernel makes a client that also sends wait up
    /// to 40 ms with that, and a server that leaves Nagle's algorithm on holds its next line back for as
    /// long. That would say more about TCP than about the servers.
    pub fn acknowledge(&self) -> Result<()> {
        Ok(sockopt::set_tcp_quickack(&self.socket, true)?)
    }

    /// Puts more bytes behind those that wait to be sent.
    pub fn unsent(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Sends what the kernel takes. The rest waits for the next call: a server that
    /// pushes back is not pressed.
    pub fn send(&mut self) -> Result<()> {
        if self.unsent.is_empty() || self.closed {
            return Ok(());
        }
        match rustix::net::send(&self.socket, &self.unsent, SendFlags::NOSIGNAL) {
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => self.closed = true,
            Err(error) => return Err(error).context("a client cannot send"),
        }
        Ok(())
    }
}

/// All clients in the room. Dropping it disconnects them all.
pub struct Clients {
    pub manners: Manners,
    pub all: Vec<Client>,
    pub epoll: OwnedFd,
    /// One buffer for all, since only one client reads at a time.
    pub buffer: Vec<u8>,
    /// How many lines each sender has said in all loads so far.
    pub said: Vec<u32>,
    ready: Vec<epoll::Event>,
}

impl Clients {
    pub fn new(manners: Manners) -> Result<Self> {
        Ok(Self {
            manners,
            all: Vec::new(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; 64 * 1024],
            said: Vec::new(),
            ready: Vec::with_capacity(256),
        })
    }

    /// Connects `count` more clients and returns how long it took until the server had let all of them in.
    pub fn join(&mut self, address: SocketAddr, count: usize) -> Result<Duration> {
        let start = Instant::now();
        let before = self.all.len();
        let (target, mut inside, mut next_call) = (before + count, before, Duration::ZERO);
        while inside < target {
            // A few at a time, so that the news of them does not pile up for those inside.
            let waiting = self.all.len() - inside;
            let more = (target - self.all.len()).min(self.manners.burst.saturating_sub(waiting)).min(64);
            for _ in 0..more {
                self.connect(address)?;
            }
            if more == 0 && !self.manners.greets && start.elapsed() >= next_call {
                // Two callers, because some servers do not send a line back to its author.
                for caller in self.all.iter_mut().take(2) {
                    caller.unsent().extend(b"is everybody here?\n");
                    caller.send()?;
                }
                next_call = start.elapsed() + Duration::from_millis(5);
            }
            let timeout = Duration::from_millis(if more == 0 { 5 } else { 0 });
            for index in self.wait(timeout)? {
                let was_inside = self.all[index].heard;
                if !self.discard(index)? {
                    bail!("the server disconnected client {} of {target} while they were joining", index + 1);
                }
                inside += usize::from(!was_inside && self.all[index].heard);
            }
            if start.elapsed() > JOIN_PATIENCE {
                bail!("only {} of {count} clients were let in within {JOIN_PATIENCE:?}", inside - before);
            }
        }
        Ok(start.elapsed())
    }

    /// Waits until the server has nothing more to say, so that the measurement that
    /// follows does not count it.
    pub fn settle(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let ready = self.wait(self.manners.pause)?;
            if ready.is_empty() {
                return Ok(());
            }
            if start.elapsed() > JOIN_PATIENCE {
                bail!("the room did not become quiet within {JOIN_PATIENCE:?}");
            }
            for index in ready {
                self.discard(index)?;
            }
        }
    }

    /// The clients that have something to read, or none after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<usize>> {
        self.ready.clear();
        let timeout = Timespec::try_from(timeout)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the clients"),
        }
        let numbers = self.ready.iter().map(|event| event.data.u64());
        let clients = numbers.filter(|&number| number != NOT_A_CLIENT);
        Ok(clients.map(|number| number as usize).collect())
    }

    /// Ends the watch over a client: it has been disconnected, or it is to stop reading.
    pub fn ignore(&self, index: usize) -> Result<()> {
        match epoll::delete(&self.epoll, &self.all[index].socket) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context("cannot stop watching a client"),
        }
    }

    fn connect(&mut self, address: SocketAddr) -> Result<()> {
        let client = Client::connect(address)?;
        let number = epoll::EventData::new_u64(self.all.len() as u64);
        epoll::add(&self.epoll, &client.socket, number, epoll::EventFlags::IN)?;
        self.all.push(client);
        Ok(())
    }

    fn discard(&mut self, index: usize) -> Result<bool> {
        let connected = self.all[index].read(&mut self.buffer, |_| {})?;
        if !connected {
            self.ignore(index)?;
        }
        Ok(connected)
    }
}

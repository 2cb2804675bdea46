//! Two tests in which people and programs act at random, and the code that both use: seeds that can be
//! replayed, bare connections, and how much of the machine a process uses. They load the machine, so they
//! have a program of their own.

mod judge;
mod monkey;
mod soak;

use chat_test_support::DEADLINE;
use fastrand::Rng;
use rustix::net::sockopt::set_socket_linger;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// The seed in this environment variable, or a new one. It is printed either way, for the replay.
pub(crate) fn seed(variable: &str) -> u64 {
    let seed = number_in(variable).unwrap_or_else(|| Rng::new().u64(..1_000_000));
    eprintln!("To replay this: {variable}={seed}");
    seed
}

/// How long to go on: as many seconds as this environment variable says, else three.
pub(crate) fn duration(variable: &str) -> Duration {
    Duration::from_secs(number_in(variable).unwrap_or(3))
}

fn number_in(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// A bare connection. Unlike a `Person`, it reads only when it is told to.
pub(crate) struct Wire {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Wire {
    /// How long one look for a line takes when none comes.
    const GLANCE: Duration = Duration::from_millis(2);

    pub(crate) fn connect(address: SocketAddr) -> io::Result<Wire> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Wire::GLANCE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        Ok(Wire { reader: BufReader::new(socket), line: Vec::new() })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket().write_all(bytes)
    }

    /// Ends the connection at once, with a reset instead of a goodbye.
    pub(crate) fn reset(self) {
        let _ = set_socket_linger(self.socket(), Some(Duration::ZERO));
    }

    /// The next line, without its line break; `None` if it is not there yet. The end of the conversation is
    /// an error too, `UnexpectedEof`.
    pub(crate) fn glance(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.reader.read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.ends_with(b"\n") => {
                self.line.pop();
                Ok(Some(mem::take(&mut self.line)))
            }
            Ok(_) => Err(ErrorKind::UnexpectedEof.into()),
            // The part of the line that has come stays in `line`.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same, for people who must get nothing but UTF-8.
    pub(crate) fn glance_at_text(&mut self) -> io::Result<Option<String>> {
        let line = self.glance()?;
        Ok(line.map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => panic!("not UTF-8: {:?}", error.into_bytes().escape_ascii().to_string()),
        }))
    }

    /// Waits for the next line.
    pub(crate) fn next_line(&mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Some(line) = self.glance_at_text().expect("the conversation goes on") {
                return line;
            }
        }
        panic!("waited in vain for a line");
    }

    /// Has a line come only in part?
    pub(crate) fn is_in_mid_line(&self) -> bool {
        !self.line.is_empty()
    }
}

/// How much of the machine a process uses, where `/proc` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) memory_kib: usize,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Option<Usage> {
        let count = |what: &str| Some(fs::read_dir(format!("/proc/{process}/{what}")).ok()?.count());
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Usage {
            memory_kib: resident.trim().trim_end_matches(" kB").parse().ok()?,
            descriptors: count("fd")?,
            threads: count("task")?,
        })
    }
}

/// Are descriptors and threads the same? Memory need not be: allocators keep some.
pub(crate) fn same(before: Option<Usage>, after: Option<Usage>) -> bool {
    let counted = |usage: Option<Usage>| usage.map(|usage| (usage.descriptors, usage.threads));
    counted(before) == counted(after)
}

/// The log so far. An error in it, such as a panic that was caught, is a bug in the server.
pub(crate) fn no_errors_in_the_log(log: &Receiver<String>) -> Vec<String> {
    let lines: Vec<String> = log.try_iter().collect();
    let error = lines.iter().find(|line| line.contains(" [ERROR] "));
    assert_eq!(error, None);
    lines
}

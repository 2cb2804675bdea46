//! One person who talks and listens, without ever waiting.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::Result;
use memchr::memchr;
use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt;

use super::place::{Family, Part};

/// Stands around a word and a number, and occurs in no other line.
const MARK: u8 = b'~';

pub struct Person {
    pub socket: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    pub is_gone: bool,
}

impl Person {
    pub fn connect(family: Family, part: Part, number: usize, server: SocketAddr) -> Result<Self> {
        let socket = family.connect(part, number, server, None)?;
        Ok(Self { socket, unread: Vec::new(), unsent: Vec::new(), is_gone: false })
    }

    /// Says a line with a word and a number in it that [`marked`] finds again.
    pub fn say_marked(&mut self, word: &str, number: usize) {
        self.say(&format!("~{word} {number}~"));
    }

    pub fn say(&mut self, line: &str) {
        self.unsent.extend(line.as_bytes());
        self.unsent.push(b'\n');
        self.send();
    }

    /// Sends what the kernel takes now.
    pub fn send(&mut self) {
        while !self.unsent.is_empty() && !self.is_gone {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                // A connection that is not made yet takes nothing either.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(_) => self.is_gone = true,
            }
        }
    }

    /// Reads what there is, and gives each whole line to `heard`.
    pub fn read(&mut self, mut heard: impl FnMut(&[u8])) {
        let mut buffer = [0; 64 * 1024];
        while !self.is_gone {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.is_gone = true,
                Ok(count) => {
                    // Acknowledged at once, or a server that leaves Nagle's algorithm on holds its next line
                    // back for 40 ms. It fails on a connection that has ended, and the next read finds that
                    // out.
                    let _ = sockopt::set_tcp_quickack(&self.socket, true);
                    let mut rest = &buffer[..count];
                    while let Some(end) = memchr(b'\n', rest) {
                        self.unread.extend(&rest[..end]);
                        heard(&self.unread);
                        self.unread.clear();
                        rest = &rest[end + 1..];
                    }
                    self.unread.extend(rest);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(_) => self.is_gone = true,
            }
        }
    }

    pub fn interest(&self) -> PollFd<'_> {
        let write = if self.unsent.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::new(&self.socket, PollFlags::IN | write)
    }
}

/// The number in a line like `<guest1> ~call 17~`.
pub fn marked(line: &[u8], word: &str) -> Option<usize> {
    let begin = memchr(MARK, line)? + 1;
    let end = begin + memchr(MARK, &line[begin..])?;
    let text = std::str::from_utf8(&line[begin..end]).ok()?;
    text.strip_prefix(word)?.trim_start().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_number_is_found_whatever_stands_before_it() {
        assert_eq!(marked(b"<guest1> ~call 17~", "call"), Some(17));
        assert_eq!(marked(b"<user5> ~answer 3~", "answer"), Some(3));
        assert_eq!(marked(b"<guest1> ~call 17~", "answer"), None);
        assert_eq!(marked(b"<guest1> ~call 1", "call"), None);
    }
}

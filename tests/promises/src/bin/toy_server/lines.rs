//! Cuts what a client sends into lines, and keeps it from sending too many.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::room::Room;

const LONGEST: usize = 4096;

pub struct Lines<'a> {
    socket: &'a TcpStream,
    room: &'a Room,
    buffer: Vec<u8>,
    /// Up to here there is no line break in the buffer.
    searched: usize,
    /// The rest of a line that was too long.
    skipping: bool,
    tokens: f64,
    refilled: Instant,
    turn: Option<MutexGuard<'a, ()>>,
}

pub enum Input {
    Line(String),
    EndOfFile,
    Reset,
}

const BURST: f64 = 200.0;
const PER_SECOND: f64 = 20.0;

impl<'a> Lines<'a> {
    pub fn new(socket: &'a TcpStream, room: &'a Room) -> Self {
        Lines {
            socket,
            room,
            buffer: Vec::new(),
            searched: 0,
            skipping: false,
            tokens: BURST,
            refilled: Instant::now(),
            turn: None,
        }
    }

    pub fn next(&mut self) -> Input {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
                self.searched = 0;
                if !std::mem::take(&mut self.skipping) {
                    return self.paced(&line);
                }
            } else if self.buffer.len() > LONGEST && !self.room.has(Fault::UnboundedLine) {
                self.buffer.clear();
                self.skipping = true;
            }
            self.searched = self.buffer.len();
            self.turn = None;
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(0) if self.buffer.is_empty() || self.skipping || self.room.has(Fault::DropsLastLine) => {
                    return Input::EndOfFile;
                }
                Ok(0) => self.buffer.push(b'\n'),
                Ok(_) if self.room.has(Fault::HangUpUnheard) && self.has_hung_up() => return Input::Reset,
                Ok(length) if self.room.has(Fault::PacketsAreLines) => {
                    return self.paced(&chunk[..length]);
                }
                Ok(length) => {
                    if self.room.has(Fault::OneAtATime) {
                        self.turn = Some(self.room.turn());
                    }
                    self.buffer.extend_from_slice(&chunk[..length]);
                    if self.room.has(Fault::PacketsEndLines) && !self.buffer.ends_with(b"\n") {
                        self.buffer.push(b'\n');
                    }
                }
                Err(_) => return Input::Reset,
            }
        }
    }

    /// It gets a moment to do so.
    fn has_hung_up(&self) -> bool {
        let _ = self.socket.set_read_timeout(Some(Duration::from_millis(30)));
        let seen = self.socket.peek(&mut [0]);
        let _ = self.socket.set_read_timeout(None);
        seen.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |length| length == 0)
    }

    /// A client that is too fast waits here, and TCP makes it wait at its end.
    fn paced(&mut self, line: &[u8]) -> Input {
        let passed = self.refilled.elapsed().as_secs_f64();
        self.refilled = Instant::now();
        self.tokens = (self.tokens + passed * PER_SECOND).min(BURST) - 1.0;
        if self.tokens < 0.0 && !self.room.is_unpaced() {
            thread::sleep(Duration::from_secs_f64(-self.tokens / PER_SECOND));
        }
        if self.tokens < BURST / 2.0 && self.room.has(Fault::DropsBurst) {
            return Input::Line(String::new());
        }
        let text = String::from_utf8_lossy(line);
        Input::Line(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}

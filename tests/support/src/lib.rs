//! People who talk through a server: the words in which the tests are written.
//!
//! alice says, bob sees. Nothing here sleeps where an event can be awaited: each person waits for the line
//! that must come, up to a deadline.

#![forbid(unsafe_code)]

mod person;
mod process;
mod server;

pub use person::{PRESS_ENTER, Person, stalled_reader};
pub use process::{ServerProcess, chat_server, limited, program};
pub use server::{TestServer, alice_and_bob, test_config};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a person waits for anything. Far more than is ever needed, so that a busy machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The lines of a stream, as they come.
pub fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, received) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if lines.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    received
}

/// Waits until something holds that no event tells of, such as the number of open descriptors.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A pseudo-terminal: the screen and keyboard that a test holds, and the terminal that a program gets.
pub fn pseudo_terminal() -> (File, File) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(path).unwrap();
    (File::from(controller), terminal)
}

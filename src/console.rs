//! The keyboard and screen of the person who runs the server, the operator.
//!
//! A thread of its own waits for lines on stdin and sends them to the dispatcher, on a channel of their own. What the
//! operator is to see goes through a [queue](crate::line_queue), because a terminal can be stopped.
//!
//! Next on the tour: [`invitation`](crate::invitation).

use crate::line_queue::LineQueue;
use crate::line_reader::{Line, LineReader};
use crossbeam_channel::{Receiver, bounded};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::io::{self, IsTerminal, Read};
use std::thread;
use std::time::Duration;

/// The longest line that the operator may type, in bytes.
pub const MAX_LINE: usize = 4096;

/// How often a server in the background looks whether its terminal is its own again, while somebody types there.
const BACKGROUND_PAUSE: Duration = Duration::from_millis(500);

/// Where the operator takes part.
#[derive(Debug)]
pub struct Console {
    /// What the operator types, line by line. It disconnects at the end of stdin.
    pub lines: Receiver<Line>,
    /// What the operator sees.
    pub screen: LineQueue,
    /// Show the chat too? Not if the log on the same screen does.
    pub shows_chat: bool,
}

impl Console {
    /// A console on stdin and stdout.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(shows_chat: bool) -> io::Result<Console> {
        let (typed, lines) = bounded(16);
        let screen = LineQueue::start("console-screen", io::stdout(), |line| line)?;
        thread::Builder::new().name("console".to_owned()).spawn(move || {
            let mut keyboard = LineReader::new(ForegroundStdin, MAX_LINE);
            while let Ok(Some(line)) = keyboard.next_line() {
                if typed.send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(Console { lines, screen, shows_chat })
    }
}

/// Is there a person at stdin? Perhaps not yet: a server in the background may come to the foreground.
pub fn is_attended() -> bool {
    io::stdin().is_terminal()
}

/// Does the terminal belong to this program, not to the shell that put it into the background? A terminal that does
/// not control this session (the call fails) knows no background.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).map_or(true, |foreground| foreground == getpgrp())
}

/// Stdin, but a terminal only while it is ours: reading it from the background would stop the whole server (SIGTTIN).
#[derive(Debug)]
struct ForegroundStdin;

impl Read for ForegroundStdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        while stdin.is_terminal() {
            let _ = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
            if is_in_foreground() {
                break;
            }
            thread::sleep(BACKGROUND_PAUSE);
        }
        stdin.lock().read(buffer)
    }
}

//! A terminal that another program has at the moment: the server was started with `&`.
//!
//! The kernel stops a whole process that reads from such a terminal (SIGTTIN), and, where `stty tostop` is
//! set, one that writes to it (SIGTTOU; termios(3)). That would stop the chat. So the thread that reads or
//! writes waits until the server is in the foreground.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};
use std::io::{self, IsTerminal, Read, Stdin, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// How often a server in the background looks whether its terminal is its own again.
const PAUSE: Duration = Duration::from_millis(500);

/// A stream that may be a terminal.
#[derive(Debug)]
pub(super) struct InForeground<T>(pub(super) T);

impl Read for InForeground<Stdin> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.0.is_terminal() {
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None);
            if !is_anothers(&self.0) {
                break;
            }
            thread::sleep(PAUSE);
        }
        self.0.lock().read(buffer)
    }
}

impl<T: Write + AsFd> Write for InForeground<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while would_stop(&self.0) {
            thread::sleep(PAUSE);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether to write there now would stop this process.
pub fn would_stop(stream: impl AsFd) -> bool {
    let stops = tcgetattr(&stream).is_ok_and(|modes| modes.local_modes.contains(LocalModes::TOSTOP));
    stops && is_anothers(stream)
}

/// A terminal that does not control this session (the call fails) knows no background.
fn is_anothers(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|foreground| foreground != getpgrp())
}

//! The keyboard and screen of the operator, the person who runs the server.
//!
//! A thread of its own waits for lines on stdin and sends them to the dispatcher, on a channel of their own.
//! Lines for the screen go through a [queue](super::line_queue), because a terminal can be stopped.

use super::line_queue::LineQueue;
use super::terminal::InForeground;
use crate::chat::Problem;
use crate::guard::line_reader::LineReader;
use crossbeam_channel::{Receiver, bounded, never};
use std::io;
use std::thread;

/// The longest line that the operator may type, in bytes.
const MAX_LINE: usize = 4096;

/// How many lines may wait for the dispatcher. The thread waits while there are more.
const CAPACITY: usize = 16;

/// A line from the keyboard, or what is wrong with it.
pub(crate) type Typed = Result<String, Problem>;

/// Where the operator takes part.
#[derive(Debug)]
pub struct Console {
    /// Disconnected at the end of stdin.
    pub(crate) lines: Receiver<Typed>,
    screen: LineQueue,
    pub(crate) shows_chat: bool,
}

impl Console {
    /// A console on stdin and stdout. `shows_chat` is false where the log on the same
    /// screen shows the chat already.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(shows_chat: bool) -> io::Result<Console> {
        let (typed, lines) = bounded(CAPACITY);
        let screen = LineQueue::start("console-screen", InForeground(io::stdout()), |_| {})?;
        thread::Builder::new().name("console".to_owned()).spawn(move || {
            let mut keyboard = LineReader::for_keyboard(InForeground(io::stdin()), MAX_LINE);
            while let Ok(Some(piece)) = keyboard.next_piece() {
                let Some(line) = piece.line else { continue };
                let Ok(()) = typed.send(line) else { return };
            }
        })?;
        Ok(Console { lines, screen, shows_chat })
    }

    /// Shows a line, or several in one text.
    pub(crate) fn show(&self, text: &str) {
        self.screen.enqueue(format!("{text}\n").into_bytes());
    }

    /// The operator's input has ended. That ends the console, not the server.
    pub(crate) fn close(&mut self) {
        self.lines = never();
        self.show("*** The console is closed. The server goes on until Ctrl-C or another signal.");
    }

    /// Waits until the last lines are shown, but not for ever.
    pub(crate) fn finish(&self) {
        self.screen.flush();
    }
}

//! From bytes to lines: however the network cuts them up, the same bytes give the same lines.
//!
//! LF, CR LF, CR NUL (RFC 854) and a lone CR each end a line, at once. Backspace and DEL erase, as they did
//! on the screen of the person who typed them; this comes before all other rules, so what is erased reaches
//! nobody. Holds one buffer of a few KiB and at most one line. It hands over what was read,
//! whether a line ends in it or not, so that a client pays also for what never becomes a line.

use super::foreign::{ENOUGH, Foreign};
use super::telnet::{Meaning, Telnet};
use std::io::{self, BufRead, BufReader, Read};
use std::mem;

/// How much is asked of the kernel at once: enough for a burst of lines, little enough for thousands of
/// clients.
const READ_SIZE: usize = 2048;

/// The longest character in UTF-8 (RFC 3629). A line is kept up to `max` and the rest of a character that
/// began there.
const LONGEST_CHARACTER: usize = 4;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;
/// The keys Ctrl-C, Ctrl-D and Ctrl-Z of a terminal that sends each key.
const END_OF_TEXT: u8 = 0x03;
const END_OF_TRANSMISSION: u8 = 0x04;
const SUBSTITUTE: u8 = 0x1a;

/// Cuts the bytes from `source` into lines.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    buffer: BufReader<R>,
    max: usize,
    /// The first bytes of the stream, which tell a foreign protocol.
    first: Vec<u8>,
    /// Nothing has been said yet, and it may be a program that speaks another protocol.
    may_be_foreign: bool,
    telnet: Telnet,
    line: Vec<u8>,
    /// How many bytes were read that have not been in a [`Piece`] yet.
    unpaid: usize,
    /// How many characters of the line are skipped because it is too long.
    skipped: usize,
    /// The last line ended with a CR: an LF or NUL that follows belongs to it.
    after_cr: bool,
    ended: bool,
}

/// One step of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// How many bytes were read for it, with those that are no text or were erased. The first bytes of a line
    /// count when it ends, or when they are [`READ_SIZE`].
    pub(crate) bytes: usize,
    /// The line that ends here, without its line break; of one that is too long, a sentence for the person
    /// who typed it.
    pub(crate) line: Option<Result<String, String>>,
}

impl<R: Read> LineReader<R> {
    /// Reads lines of at most `max` bytes, line break not counted, from a stranger.
    pub(crate) fn new(source: R, max: usize) -> LineReader<R> {
        LineReader {
            buffer: BufReader::with_capacity(READ_SIZE, source),
            max,
            first: Vec::new(),
            may_be_foreign: true,
            telnet: Telnet::default(),
            line: Vec::new(),
            unpaid: 0,
            skipped: 0,
            after_cr: false,
            ended: false,
        }
    }

    /// The same for a keyboard, where a person types and no program.
    pub(crate) fn for_keyboard(source: R, max: usize) -> LineReader<R> {
        LineReader { may_be_foreign: false, ..LineReader::new(source, max) }
    }

    /// The next piece: up to the end of a line, or of what has been read. Waits only if that has all been
    /// handed over. `None` when there will be no more; a last line without a line break counts as one.
    ///
    /// # Errors
    /// The errors of the source, such as [`io::ErrorKind::ConnectionReset`]; with a [`Foreign`] inside when
    /// the first bytes or the first line are those of another protocol.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        while !self.ended {
            let Some(byte) = self.buffer.by_ref().bytes().next().transpose()? else {
                self.ended = true;
                break;
            };
            self.unpaid += 1;
            self.check_beginning(byte)?;
            match self.telnet.read(byte) {
                // Its first two bytes are all that the line has.
                Meaning::Text(_) if self.first == BYTE_ORDER_MARK => self.line.clear(),
                Meaning::Text(byte) if self.take_byte(byte) => return self.finish().map(Some),
                Meaning::Text(_) | Meaning::Nothing => {}
                Meaning::EndOfFile => self.ended = true,
                Meaning::Interrupt => {
                    self.line.clear(); // As in a terminal, where Ctrl-C throws away the line being typed.
                    self.ended = true;
                }
            }
            if self.ended {
                break;
            }
            self.take_plain();
            if self.is_drained() {
                let bytes = if self.unpaid < READ_SIZE { 0 } else { mem::take(&mut self.unpaid) };
                return Ok(Some(Piece { bytes, line: None }));
            }
        }
        if self.line.is_empty() { Ok(None) } else { self.finish().map(Some) }
    }

    /// Whether all that was read has been handed over.
    pub(crate) fn is_drained(&self) -> bool {
        self.buffer.buffer().is_empty()
    }

    /// Takes the bytes that are here and can only be text, as nearly all are: up to the length of a line.
    fn take_plain(&mut self) {
        if self.telnet != Telnet::Text || self.first.len() < ENOUGH {
            return;
        }
        let is_plain = |byte: &&u8| matches!(**byte, b' '..=b'~' | 0x80..=0xfe);
        let space = self.max.saturating_sub(self.line.len());
        let length = self.buffer.buffer().iter().take(space).take_while(is_plain).count();
        self.line.extend_from_slice(&self.buffer.buffer()[..length]);
        self.buffer.consume(length);
        self.unpaid += length;
        self.after_cr &= length == 0;
    }

    /// Takes one byte of text. True when it ends the line.
    fn take_byte(&mut self, byte: u8) -> bool {
        let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
        match byte {
            b'\n' | 0 if after_cr => {}
            b'\n' | b'\r' => return true,
            BACKSPACE | DELETE => self.erase(),
            END_OF_TEXT | END_OF_TRANSMISSION if self.line.is_empty() => self.ended = true,
            SUBSTITUTE if self.line.is_empty() => {}
            byte => self.keep(byte),
        }
        false
    }

    fn keep(&mut self, byte: u8) {
        let is_inside_character = byte & 0b1100_0000 == 0b1000_0000;
        let longest = self.max + if is_inside_character { LONGEST_CHARACTER } else { 0 };
        if self.skipped == 0 && self.line.len() < longest {
            self.line.push(byte);
        } else if self.skipped == 0 || !is_inside_character {
            self.skipped += 1;
        }
    }

    /// Takes away the last character (code point).
    fn erase(&mut self) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        let continued = self.line.iter().rev().take(LONGEST_CHARACTER - 1);
        let continued = continued.take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
        self.line.truncate(self.line.len().saturating_sub(continued + 1));
    }

    /// The line is whole.
    fn finish(&mut self) -> io::Result<Piece> {
        let max = self.max;
        let is_complete = self.skipped == 0 && self.line.len() <= max;
        if self.may_be_foreign {
            self.may_be_foreign = self.line.trim_ascii().is_empty();
            if let Some(foreign) = Foreign::by_first_line(&self.line, is_complete) {
                return Err(io::Error::other(foreign));
            }
        }
        let line = if is_complete {
            Ok(String::from_utf8_lossy(&self.line).into_owned())
        } else {
            Err(format!("That line was longer than {max} bytes, so nobody got it. Please send it in pieces."))
        };
        self.line.clear();
        self.skipped = 0;
        Ok(Piece { bytes: mem::take(&mut self.unpaid), line: Some(line) })
    }

    /// Notes the first bytes, and fails if they are those of a foreign protocol.
    fn check_beginning(&mut self, byte: u8) -> io::Result<()> {
        if self.first.len() < ENOUGH {
            self.first.push(byte);
            if let Some(foreign) = Foreign::by_first_bytes(&self.first).filter(|_| self.may_be_foreign) {
                return Err(io::Error::other(foreign));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

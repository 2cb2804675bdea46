//! From bytes to lines: however the network cuts them up, the same bytes give the same lines.
//!
//! Runs in the client's thread. Holds one buffer of a few KiB and at most one line, so gigabytes without a line
//! break cost the server nothing but the time to skip them.
//!
//! Next on the tour: [`text`](crate::protocol::text).

use crate::protocol::text::printable;
use std::io::{self, BufRead, BufReader, Read};

/// How much is asked of the kernel at once: enough for a burst of lines, little enough for thousands of clients.
const READ_SIZE: usize = 4096;

/// Cuts what a client sends into lines.
#[derive(Debug)]
pub struct LineReader<R> {
    source: BufReader<R>,
    max: usize,
    line: Vec<u8>,
}

/// What a client sent up to a line break, or up to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The line without its `\n` or `\r\n`, made [printable].
    Text(String),
    /// A line of more bytes than allowed, skipped as a whole.
    TooLong,
}

impl<R: Read> LineReader<R> {
    /// Reads lines of at most `max` bytes, line break not counted, from `source`.
    pub fn new(source: R, max: usize) -> LineReader<R> {
        LineReader { source: BufReader::with_capacity(READ_SIZE, source), max, line: Vec::new() }
    }

    /// The bytes of the line that was read last; of one that was too long, its beginning.
    pub fn last_line(&self) -> &[u8] {
        &self.line
    }

    /// Waits for the next line; `None` when there will be no more. A last line without a line break counts as one.
    ///
    /// # Errors
    /// Whatever reading from the source gives, [`io::ErrorKind::ConnectionReset`] for example.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.line.clear();
        let longest = self.max.saturating_add("\r\n".len());
        let taken = self.source.by_ref().take(longest as u64).read_until(b'\n', &mut self.line)?;
        if taken == 0 {
            return Ok(None);
        }
        if self.line.ends_with(b"\n") {
            let line_break = if self.line.ends_with(b"\r\n") { 2 } else { 1 };
            self.line.truncate(taken - line_break);
        } else if taken == longest {
            self.source.skip_until(b'\n')?;
        }
        if self.line.len() > self.max {
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Text(printable(&self.line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A network that delivers the bytes in pieces of the given sizes, then ends.
    struct Pieces<'a> {
        bytes: &'a [u8],
        sizes: std::iter::Cycle<std::iter::Copied<std::slice::Iter<'a, usize>>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.sizes.next().unwrap_or(1).min(buffer.len());
            self.bytes.take(size as u64).read(buffer).inspect(|&n| self.bytes = &self.bytes[n..])
        }
    }

    fn lines<'a>(bytes: &'a [u8], sizes: &'a [usize], max: usize) -> Vec<Line> {
        let pieces = Pieces { bytes, sizes: sizes.iter().copied().cycle() };
        let mut reader = LineReader::new(pieces, max);
        std::iter::from_fn(|| reader.next_line().unwrap()).collect()
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn both_line_breaks_end_a_line_and_the_end_does_too() {
        let expected = [text("a"), text("b"), text(""), text("c\\x0dd"), text("e")];
        for size in 1..20 {
            assert_eq!(lines(b"a\nb\r\n\nc\rd\r\ne", &[size], 10), expected, "pieces of {size}");
        }
        assert_eq!(lines(b"", &[1], 10), []);
    }

    #[test]
    fn a_character_may_come_in_two_packets_and_nonsense_is_replaced() {
        assert_eq!(lines("grüß\n".as_bytes(), &[1], 10), [text("grüß")]);
        assert_eq!(lines(b"\xff\xfehi\xc3\n", &[1], 10), [text("\u{fffd}\u{fffd}hi\u{fffd}")]);
    }

    #[test]
    fn exactly_the_limit_is_a_line_and_one_more_is_not() {
        for line_break in ["\n", "\r\n", ""] {
            assert_eq!(lines(format!("12345{line_break}").as_bytes(), &[3], 5), [text("12345")]);
            assert_eq!(lines(format!("123456{line_break}").as_bytes(), &[3], 5), [Line::TooLong]);
            assert_eq!(lines(format!("1234567{line_break}").as_bytes(), &[3], 5), [Line::TooLong]);
        }
        assert_eq!(lines(b"1234567890\nok\n", &[4], 5), [Line::TooLong, text("ok")]);
    }

    #[test]
    fn endless_text_without_a_line_break_is_one_error_and_one_buffer() {
        let endless = io::repeat(b'x').take(1 << 28).chain(&b"\nstill here\n"[..]);
        let mut reader = LineReader::new(endless, 4096);
        assert_eq!(reader.next_line().unwrap(), Some(Line::TooLong));
        assert_eq!(reader.next_line().unwrap(), Some(text("still here")));
        assert!(reader.line.capacity() + reader.source.capacity() <= 4 * 4096);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            sizes in proptest::collection::vec(1..9usize, 1..9),
            max in 1..20usize,
        ) {
            prop_assert_eq!(lines(&bytes, &sizes, max), lines(&bytes, &[usize::MAX], max));
        }
    }
}

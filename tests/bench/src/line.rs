//! The marked line: 64 bytes that say who sent them and which of the sender's lines they are.
//!
//! Servers put different things before a line (`<guest1> `, `guest1: `, nothing), and may join several
//! lines into one read. So the generator does not parse a server's lines: it looks for the mark, a byte that
//! occurs nowhere else in a marked line or in these servers' own lines. From there on every byte is
//! known beforehand, and one that differs is found.

use memchr::memchr;

/// Length of a marked line in bytes, its newline included.
pub const LEN: usize = 64;

/// More senders than this cannot be told apart.
pub const MAX_SENDERS: usize = 1 << (6 * SENDER_DIGITS);

const MARK: u8 = b'#';
const SENDER_DIGITS: usize = 2;
const HEADER: usize = 8;
const SEQUENCE_DIGITS: usize = HEADER - 1 - SENDER_DIGITS;

const PADDING: [u8; LEN - HEADER] = {
    let mut padding = [b'.'; LEN - HEADER];
    padding[LEN - HEADER - 1] = b'\n';
    padding
};

/// The meaning of a marked line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    pub sender: usize,
    /// How many lines this sender has said before; wraps after 2³⁰.
    pub sequence: u32,
}

impl Marked {
    /// Appends the line to `out`. A digit carries six bits and is one of the printable bytes from `0` to `o`:
    /// decoding it is a subtraction, and a delivery must cost the generator less than it costs a server.
    pub fn render(self, out: &mut Vec<u8>) {
        let digit = |value: usize, place: usize| b'0' + (value >> (6 * place) & 63) as u8;
        out.push(MARK);
        out.extend((0..SENDER_DIGITS).rev().map(|place| digit(self.sender, place)));
        out.extend((0..SEQUENCE_DIGITS).rev().map(|place| digit(self.sequence as usize, place)));
        out.extend(PADDING);
    }

    /// Reads the `LEN` bytes of a line; `None` if one of them is not as it was sent.
    fn parse(line: &[u8]) -> Option<Self> {
        let (header, padding) = line.split_at(HEADER);
        let (mut number, mut invalid) = (0, 0);
        for byte in &header[1..] {
            let digit = byte.wrapping_sub(b'0');
            number = number << 6 | u64::from(digit & 63);
            invalid |= digit & !63;
        }
        (invalid == 0 && padding == PADDING).then_some(Self {
            sender: (number >> (6 * SEQUENCE_DIGITS)) as usize,
            sequence: (number & ((1 << (6 * SEQUENCE_DIGITS)) - 1)) as u32,
        })
    }
}

/// Calls `found` for every marked line in `bytes`, with `None` for one that is damaged. Returns the start of
/// a line whose end has not come yet, or else the length of `bytes`.
pub fn scan(bytes: &[u8], mut found: impl FnMut(Option<Marked>)) -> usize {
    let mut at = 0;
    while let Some(skipped) = memchr(MARK, &bytes[at..]) {
        let start = at + skipped;
        let Some(line) = bytes.get(start..start + LEN) else {
            return start;
        };
        let marked = Marked::parse(line);
        found(marked);
        // Nothing is known of the length of a damaged line, so look for the next mark right behind this one.
        at = start + if marked.is_some() { LEN } else { 1 };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sender: usize, sequence: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        Marked { sender, sequence }.render(&mut bytes);
        bytes
    }

    fn scanned(bytes: &[u8]) -> (Vec<Option<Marked>>, usize) {
        let mut lines = Vec::new();
        let rest = scan(bytes, |marked| lines.push(marked));
        (lines, rest)
    }

    #[test]
    fn what_is_rendered_is_read_back_whatever_stands_before_it() {
        let marks = [(0, 0), (1, 77), (MAX_SENDERS - 1, (1 << 30) - 1)];
        let bytes: Vec<u8> =
            marks.iter().flat_map(|&(sender, n)| [b"<guest7> ".to_vec(), line(sender, n)].concat()).collect();
        let expected = marks.map(|(sender, sequence)| Some(Marked { sender, sequence }));
        assert_eq!(scanned(&bytes), (expected.to_vec(), bytes.len()));
        assert_eq!(line(0, 0).len(), LEN);
    }

    #[test]
    fn a_cut_line_is_kept_and_other_lines_are_not() {
        let mut bytes = b"*** guest1 joined\n<guest1> ".to_vec();
        assert_eq!(scanned(&bytes), (vec![], bytes.len()));
        let start = bytes.len();
        bytes.extend(&line(3, 9)[..LEN - 1]);
        assert_eq!(scanned(&bytes), (vec![], start));
    }

    #[test]
    fn a_damaged_line_is_noticed_and_the_next_one_still_found() {
        let mut bytes = line(1, 1);
        bytes.remove(20);
        bytes.extend(line(2, 2));
        assert_eq!(scanned(&bytes).0, [None, Some(Marked { sender: 2, sequence: 2 })]);
    }
}

use super::*;
use crate::guard::telnet;
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

const TOO_LONG: &str = "(too long)";

/// The lines in a stream from a keyboard.
fn lines(bytes: &[u8], sizes: &[usize], max: usize) -> Vec<String> {
    let mut reader = LineReader::for_keyboard(Pieces { bytes, sizes: sizes.iter().copied().cycle() }, max);
    let pieces = std::iter::from_fn(|| reader.next_piece().unwrap());
    let lines = pieces.filter_map(|piece| piece.line);
    lines.map(|line| line.unwrap_or_else(|_| TOO_LONG.to_owned())).collect()
}

fn expect(bytes: &[u8], max: usize, expected: &[&str]) {
    for size in 1..=bytes.len().clamp(1, 20) {
        assert_eq!(lines(bytes, &[size], max), expected, "{bytes:?} in pieces of {size}");
    }
}

#[test]
fn every_line_break_ends_a_line_and_the_end_does_too() {
    expect(b"a\nb\r\n\nc\rd\r\0e\r\r\nf\n\rg", 10, &["a", "b", "", "c", "d", "e", "", "f", "", "g"]);
    expect(b"a\0b\n\0c\r\0\0d", 10, &["a\0b", "\0c", "\0d"]);
    expect(b"", 10, &[]);
    expect(b"\r", 10, &[""]);
}

#[test]
fn a_lone_carriage_return_ends_a_line_without_waiting_for_more() {
    let stream = b"hello\r".chain(io::repeat(b'x'));
    let piece = LineReader::new(stream, 100).next_piece().unwrap().unwrap();
    assert_eq!(piece, Piece { bytes: 6, line: Some(Ok("hello".to_owned())) });
}

#[test]
fn backspace_and_delete_erase_by_character_and_never_past_the_beginning() {
    expect(b"\x7f\x7f/msg\n", 10, &["/msg"]);
    expect(b"a\x08b\x7f\x7f\x7fc\nd\x7f\x08e", 10, &["c", "e"]);
    expect("häß\x7f\x08ö\n👍\x7f!\n".as_bytes(), 10, &["hö", "!"]);
    expect(b"12345678\x7f\x7f\x7f\n", 5, &["12345"]);
    expect("1234ä\x7f5\n1234ä\n".as_bytes(), 5, &["12345", "(too long)"]);
    expect("12345ää\x7f\x7f\n".as_bytes(), 5, &["12345"]);
}

#[test]
fn the_keys_that_end_a_conversation_end_it_at_the_beginning_of_a_line_only() {
    expect(b"hi\n\x04too late\n", 20, &["hi"]);
    expect(b"hi\n\x03too late\n", 20, &["hi"]);
    expect(b"\x03too late\n", 20, &[]);
    expect(b"\x1ahi\n", 20, &["hi"]);
    expect(b"hi\x04\x03\x1a\n", 20, &["hi\x04\x03\x1a"]);
    expect(b"one\nhalf\xff\xf4two\n", 20, &["one"]); // Ctrl-C in telnet
    expect(b"one\nhalf\xff\xectwo\n", 20, &["one", "half"]); // end of file
}

#[test]
fn a_byte_order_mark_is_dropped_at_the_start_of_the_stream_only() {
    expect("\u{feff}12345\n\u{feff}x".as_bytes(), 5, &["12345", "\u{feff}x"]);
    expect("\u{feff}".as_bytes(), 5, &[]);
    expect("\u{feff}12345".as_bytes(), 1, &["(too long)"]);
}

#[test]
fn exactly_the_limit_is_a_line_and_one_more_is_not() {
    for line_break in ["\n", "\r\n", "\r", "\r\0", ""] {
        expect(format!("12345{line_break}").as_bytes(), 5, &["12345"]);
        for longer in ["123456", "1234567", "12345ä", "1234ä"] {
            expect(format!("{longer}{line_break}").as_bytes(), 5, &["(too long)"]);
        }
    }
    expect(b"1234567890\nok\n", 5, &["(too long)", "ok"]);
    expect(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\nok\n", 5, &["(too long)", "ok"]);
}

#[test]
fn endless_text_without_a_line_break_is_one_error_and_one_buffer() {
    for byte in [b'x', 0x80, 0x01, BACKSPACE] {
        let endless = io::repeat(byte).take(1 << 22).chain(&b"x\nstill here\n"[..]);
        let mut reader = LineReader::for_keyboard(endless, 4096);
        let pieces: Vec<_> = std::iter::from_fn(|| reader.next_piece().unwrap()).collect();
        assert_eq!(pieces.iter().map(|piece| piece.bytes).sum::<usize>(), (1 << 22) + 13);
        assert!(pieces.iter().all(|piece| piece.bytes < 2 * READ_SIZE));
        let lines: Vec<_> = pieces.into_iter().filter_map(|piece| piece.line).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].is_err() == (byte != BACKSPACE) && lines[1] == Ok("still here".to_owned()));
        assert!(reader.line.capacity() + reader.buffer.capacity() <= 4 * 4096);
    }
}

#[test]
fn what_is_no_text_is_counted_too() {
    let negotiation = [&[telnet::IAC, 250][..], &[0; 2 * READ_SIZE], &[telnet::IAC, 240], b"hi\n"].concat();
    let mut reader = LineReader::new(&negotiation[..], 100);
    let pieces: Vec<_> = std::iter::from_fn(|| reader.next_piece().unwrap()).collect();
    assert_eq!(pieces.iter().map(|piece| piece.bytes).collect::<Vec<_>>(), [READ_SIZE, READ_SIZE, 7]);
    assert_eq!(pieces[2].line, Some(Ok("hi".to_owned())));
}

#[test]
fn a_stranger_that_speaks_another_protocol_is_found_out_at_once_and_a_person_at_a_keyboard_may() {
    for stream in [&b"GET / HTTP/1.1\n"[..], b"\n \nNICK bob\n", b"\x16\x03\x01", b"a\0b\n"] {
        let error = LineReader::new(stream, 100).next_piece();
        let error = error.and_then(|_| LineReader::new(stream.trim_ascii_start(), 100).next_piece());
        assert!(error.unwrap_err().downcast::<Foreign>().is_ok());
        let mut keyboard = LineReader::for_keyboard(stream, 100);
        assert!(std::iter::from_fn(|| keyboard.next_piece().unwrap()).last().is_some());
    }
    let mut later = LineReader::new(&b"hello\nGET / HTTP/1.1\n"[..], 100);
    assert!(std::iter::from_fn(|| later.next_piece().unwrap()).all(|piece| piece.line.unwrap().is_ok()));
}

proptest! {
    #![proptest_config(crate::fuzz::properties())]

    #[test]
    fn any_chunking_gives_the_same_lines(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), Just(8), any::<u8>()], 0..200),
        sizes in proptest::collection::vec(1..9usize, 1..9),
        max in 1..20usize,
    ) {
        prop_assert_eq!(lines(&bytes, &sizes, max), lines(&bytes, &[usize::MAX], max));
    }
}

/// A thread that has lines to pass on must know when the next piece has to be waited for.
#[test]
fn a_piece_ends_where_the_read_ends() {
    let mut reader = LineReader::new(&b"one\r\ntwo\r\nthr"[..], 100);
    let pieces: Vec<_> =
        std::iter::from_fn(|| reader.next_piece().unwrap().map(|piece| (piece.line, reader.is_drained())))
            .collect();
    let line = |text: &str| Some(Ok(text.to_owned()));
    assert_eq!(pieces, [(line("one"), false), (line("two"), false), (None, true), (line("thr"), true)]);
}

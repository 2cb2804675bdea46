//! Telnet is not quite netcat: between the text it sends commands of its own (RFC 854). They are taken out here.
//!
//! In UTF-8 no text contains the byte 255 that begins them, so this does not harm anyone else.
//!
//! Next on the tour: [`line_reader`](crate::line_reader).

use std::io::{self, Read};

/// "Interpret as command". Twice in a row it would be the byte itself, which no UTF-8 contains.
const IAC: u8 = 255;
const DO: u8 = 253;
const SUBNEGOTIATION: u8 = 250;
const SUBNEGOTIATION_END: u8 = 240;
const TIMING_MARK: u8 = 6;

/// The answer to a client that asks for a timing mark (RFC 860): "I have seen all that you sent before".
pub const WILL_TIMING_MARK: [u8; 3] = [IAC, 251, TIMING_MARK];

/// What telnet sends through `source`, without its commands.
///
/// Ctrl-C makes telnet ask for a timing mark and show nothing until it comes. `on_timing_mark` is called when it
/// was asked for.
#[derive(Debug)]
pub struct TelnetFilter<R, F> {
    source: R,
    on_timing_mark: F,
    state: State,
}

/// Where in a command the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT, which is this byte: an option follows.
    Option(u8),
    /// In a subnegotiation, which ends with IAC SE.
    Subnegotiation,
    /// After IAC in a subnegotiation.
    SubnegotiationCommand,
}

impl<R: Read, F: FnMut()> TelnetFilter<R, F> {
    /// Reads from `source`.
    pub fn new(source: R, on_timing_mark: F) -> TelnetFilter<R, F> {
        TelnetFilter { source, on_timing_mark, state: State::Text }
    }

    /// Moves the text to the front of `received`; its length.
    fn strip(&mut self, received: &mut [u8]) -> usize {
        let (mut length, mut wants_timing_mark) = (0, false);
        for at in 0..received.len() {
            let byte = received[at];
            let mut is_text = false;
            self.state = match (self.state, byte) {
                (State::Text, IAC) => State::Command,
                (State::Text, _) => {
                    is_text = true;
                    State::Text
                }
                (State::Command, IAC) => {
                    is_text = true;
                    State::Text
                }
                (State::Command, SUBNEGOTIATION) => State::Subnegotiation,
                (State::Command, 251..=254) => State::Option(byte),
                (State::Command, 240..) => State::Text,
                (State::Command, _) => {
                    is_text = true; // No command begins like this, so it was not telnet.
                    State::Text
                }
                (State::Option(DO), TIMING_MARK) => {
                    wants_timing_mark = true;
                    State::Text
                }
                (State::Option(_), _) => State::Text,
                (State::Subnegotiation, IAC) => State::SubnegotiationCommand,
                (State::SubnegotiationCommand, SUBNEGOTIATION_END) => State::Text,
                (State::Subnegotiation | State::SubnegotiationCommand, _) => State::Subnegotiation,
            };
            if is_text {
                received[length] = byte;
                length += 1;
            }
        }
        if wants_timing_mark {
            (self.on_timing_mark)(); // Once is enough, however often it was asked.
        }
        length
    }
}

impl<R: Read, F: FnMut()> Read for TelnetFilter<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let received = self.source.read(buffer)?;
            if self.state == State::Text && !buffer[..received].contains(&IAC) {
                return Ok(received);
            }
            // Nothing but commands is not the end of the stream.
            match self.strip(&mut buffer[..received]) {
                0 if received > 0 => {}
                length => return Ok(length),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of these packets, and how many timing marks they ask for.
    fn text_of(packets: &[&[u8]]) -> (String, usize) {
        struct Packets<'a>(std::slice::Iter<'a, &'a [u8]>, &'a [u8]);
        impl Read for Packets<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.1.is_empty() {
                    self.1 = self.0.find(|packet| !packet.is_empty()).unwrap_or(&self.1);
                }
                self.1.read(buffer)
            }
        }
        let (mut text, mut marks) = (Vec::new(), 0);
        TelnetFilter::new(Packets(packets.iter(), b""), || marks += 1).read_to_end(&mut text).unwrap();
        (String::from_utf8_lossy(&text).into_owned(), marks)
    }

    #[test]
    fn commands_negotiations_and_subnegotiations_are_taken_out_wherever_they_are_split() {
        let stream = b"a\xff\xf1b\xff\xfb\x1fc\xff\xfa\x1f\x00\n\xff\xff\x18\xff\xf0d\xff\xfd\x0a\ne";
        for at in 0..stream.len() {
            let (one, two) = stream.split_at(at);
            assert_eq!(text_of(&[one, two]), ("abcd\ne".to_owned(), 0), "split at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(text_of(&bytes), ("abcd\ne".to_owned(), 0));
    }

    #[test]
    fn ctrl_c_is_not_text_and_asks_for_a_timing_mark() {
        assert_eq!(
            text_of(&[b"hello\n\xff\xf4\xff\xfd\x06\xff\xfd\x06", b"still here\n"]),
            ("hello\nstill here\n".to_owned(), 1)
        );
    }

    #[test]
    fn what_only_looks_like_telnet_is_left_alone() {
        assert_eq!(text_of(&["grüß dich\n".as_bytes()]), ("grüß dich\n".to_owned(), 0));
        assert_eq!(text_of(&[b"\xff\xff\n\xffa\n"]), ("\u{fffd}\na\n".to_owned(), 0));
    }
}

//! Takes telnet's own commands (RFC 854) out of the text.
//!
//! In UTF-8 no text contains the byte 255 that begins them, so this harms no other client.

/// "Interpret as command". Twice in a row it would be the byte itself, which no UTF-8 contains.
pub(crate) const IAC: u8 = 255;
/// The commands that a person can give from the keyboard, here those that end a program: RFC 1184 (end of
/// file, abort) and RFC 854 (interrupt process: Ctrl-C).
const END_OF_FILE: u8 = 236;
const ABORT: u8 = 238;
const INTERRUPT: u8 = 244;
const SUBNEGOTIATION_END: u8 = 240;
const SUBNEGOTIATION: u8 = 250;

/// Where in a command the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Telnet {
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT: an option follows.
    Option,
    /// In a subnegotiation, which ends with IAC SE.
    Subnegotiation,
    /// After IAC in a subnegotiation.
    SubnegotiationCommand,
}

/// The meaning of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Text(u8),
    /// Part of a command.
    Nothing,
    /// The person ends the conversation: without the line that is being typed,
    Interrupt,
    /// or with it.
    EndOfFile,
}

impl Telnet {
    pub(crate) fn read(&mut self, byte: u8) -> Meaning {
        let (state, meaning) = match (*self, byte) {
            (Telnet::Text, IAC) => (Telnet::Command, Meaning::Nothing),
            (Telnet::Text, _) => (Telnet::Text, Meaning::Text(byte)),
            (Telnet::Command, END_OF_FILE) => (Telnet::Text, Meaning::EndOfFile),
            (Telnet::Command, INTERRUPT | ABORT) => (Telnet::Text, Meaning::Interrupt),
            (Telnet::Command, SUBNEGOTIATION) => (Telnet::Subnegotiation, Meaning::Nothing),
            (Telnet::Command, 251..=254) => (Telnet::Option, Meaning::Nothing),
            // Suspend (237), end of record (239) and the commands of RFC 854 that ask for nothing here.
            (Telnet::Command, 236..=250) => (Telnet::Text, Meaning::Nothing),
            // IAC IAC is the byte itself, and no command begins otherwise, so this was not telnet.
            (Telnet::Command, _) => (Telnet::Text, Meaning::Text(byte)),
            (Telnet::Option, _) => (Telnet::Text, Meaning::Nothing),
            (Telnet::SubnegotiationCommand, SUBNEGOTIATION_END) => (Telnet::Text, Meaning::Nothing),
            (Telnet::Subnegotiation, IAC) => (Telnet::SubnegotiationCommand, Meaning::Nothing),
            // All other bytes of a subnegotiation.
            _ => (Telnet::Subnegotiation, Meaning::Nothing),
        };
        *self = state;
        meaning
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text in a stream, with `^C` and `^D` for its ends.
    fn text_of(stream: &[u8]) -> String {
        let mut telnet = Telnet::default();
        let text = stream.iter().flat_map(|byte| match telnet.read(*byte) {
            Meaning::Text(byte) => vec![byte],
            Meaning::Nothing => vec![],
            Meaning::Interrupt => b"^C".to_vec(),
            Meaning::EndOfFile => b"^D".to_vec(),
        });
        String::from_utf8_lossy(&text.collect::<Vec<_>>()).into_owned()
    }

    #[test]
    fn commands_negotiations_and_subnegotiations_are_taken_out() {
        assert_eq!(
            text_of(b"a\xff\xf1b\xff\xfb\x1fc\xff\xfa\x1f\x00\n\xff\xff\x18\xff\xf0d\xff\xfd\x0a\ne"),
            "abcd\ne"
        );
        for command in 236..=249 {
            assert!(
                ["ab", "a^Cb", "a^Db"].contains(&text_of(&[b'a', IAC, command, b'b']).as_str()),
                "{command}"
            );
        }
    }

    #[test]
    fn ctrl_c_and_the_end_of_file_are_told_apart_from_text() {
        assert_eq!(text_of(b"hello\n\xff\xf4\xff\xfd\x06"), "hello\n^C");
        assert_eq!(text_of(b"hello\n\xff\xec"), "hello\n^D");
        assert_eq!(text_of(b"\xff\xed\xff\xfd\x06on\n"), "on\n");
    }

    #[test]
    fn text_that_only_looks_like_telnet_is_left_alone() {
        assert_eq!(text_of("grüß dich\n".as_bytes()), "grüß dich\n");
        assert_eq!(text_of(b"\xff\xff\n\xffa\n"), "\u{fffd}\na\n");
    }
}

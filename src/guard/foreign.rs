//! Recognises programs that took this port for something else: browsers, scanners, mail and database clients.
//!
//! The danger is not that they would understand nothing. A web page can make a visitor's browser send a request to
//! an address in the LAN, with lines of the page's choice in its body: were those taken for lines of chat, any web
//! site could speak in the room in the visitor's name. (The same was done to Redis, which since then refuses `POST`
//! and `Host:`.) So a client that does not begin like a person is not listened to any further.

use std::fmt;
use std::io;

/// A protocol that is not this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// RFC 9112, and what looks like it: RTSP and SIP.
    Http,
    /// RFC 8446: a handshake record.
    Tls,
    /// RFC 4253: the version exchange.
    Ssh,
    /// Remote desktop: a connection request in a TPKT packet (RFC 1006).
    Rdp,
    /// Windows file sharing: a message in a NetBIOS session packet (RFC 1002).
    Smb,
}

/// How many bytes it takes to know all that [`Foreign::by_first_bytes`] knows.
pub(crate) const ENOUGH: usize = 8;

impl Foreign {
    /// Recognises a protocol by the first bytes of the first packet or packets.
    pub(crate) fn by_first_bytes(bytes: &[u8]) -> Option<Foreign> {
        match bytes {
            [0x16, 0x03, ..] => Some(Foreign::Tls),
            [b'S', b'S', b'H', b'-', ..] => Some(Foreign::Ssh),
            [0x03, 0x00, ..] => Some(Foreign::Rdp),
            [0x00, _, _, _, 0xfe | 0xff, b'S', b'M', b'B', ..] => Some(Foreign::Smb),
            _ => None,
        }
    }

    /// Recognises an HTTP request by its first line (RFC 9112, 3: method, target and version, in any method there may
    /// be); or by the beginning of a line that was too long to be `complete`, where the version may be cut off.
    pub(crate) fn by_first_line(line: &[u8], complete: bool) -> Option<Foreign> {
        const VERSIONS: [&[u8]; 3] = [b"HTTP/", b"RTSP/", b"SIP/"];
        let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
        let is_method =
            |word: &[u8]| word.len() >= 3 && word.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
        let is_request = match words[..] {
            [method, _target, version] if complete => {
                is_method(method) && VERSIONS.iter().any(|known| version.starts_with(known))
            }
            [method, _target, ..] => !complete && is_method(method),
            _ => false,
        };
        is_request.then_some(Foreign::Http)
    }

    /// The sentence for its user.
    pub(crate) fn sentence(self) -> String {
        format!("This is a chat server and does not speak {self}. Use netcat: nc HOST PORT")
    }

    /// The [`Foreign`] that ended the reading, if it was that.
    pub(crate) fn in_error(error: &io::Error) -> Option<Foreign> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl std::error::Error for Foreign {}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Http => "HTTP",
            Foreign::Tls => "TLS",
            Foreign::Ssh => "SSH",
            Foreign::Rdp => "RDP",
            Foreign::Smb => "SMB",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(stream: &[u8]) -> Option<Foreign> {
        (0..=stream.len()).find_map(|received| Foreign::by_first_bytes(&stream[..received]))
    }

    #[test]
    fn binary_protocols_are_stopped_at_their_first_bytes_however_they_come() {
        for (stream, foreign) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], Foreign::Tls),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Foreign::Ssh),
            (b"\x03\x00\x00\x13\x0e\xe0", Foreign::Rdp),
            (b"\x00\x00\x00\x85\xffSMBr", Foreign::Smb),
            (b"\x00\x00\x00\xd4\xfeSMB@", Foreign::Smb),
        ] {
            assert_eq!(stopped(stream), Some(foreign));
        }
    }

    #[test]
    fn text_is_not_stopped() {
        for stream in
            [&b"hello\n"[..], b"SSH is great", b"", b"\x03", b"\xff\xfb\x1fhi\n", "привет".as_bytes()]
        {
            assert_eq!(stopped(stream), None);
        }
    }

    #[test]
    fn requests_are_recognised_and_talk_about_them_is_not() {
        for line in [
            "GET / HTTP/1.1",
            "POST /say?x=1 HTTP/1.0",
            "PROPFIND /dav HTTP/1.1",
            "M-SEARCH * HTTP/1.1",
            "DESCRIBE rtsp://camera RTSP/1.0",
            "OPTIONS sip:nm SIP/2.0",
            "PRI * HTTP/2.0",
        ] {
            assert_eq!(Foreign::by_first_line(line.as_bytes(), true), Some(Foreign::Http), "{line}");
        }
        for line in [
            "GET",
            "GET it",
            "GET the HTTP spec",
            "Get / HTTP/1.1",
            "POST",
            "hello",
            "",
            "/GET / HTTP/1.1",
            "WE USE HTTP/2 NOW",
        ] {
            assert_eq!(Foreign::by_first_line(line.as_bytes(), true), None, "{line}");
        }
    }

    #[test]
    fn a_request_is_recognised_wherever_it_is_cut() {
        let request = format!("POST /{} HTTP/1.1", "x".repeat(100));
        for cut in "POST /".len()..request.len() {
            assert_eq!(
                Foreign::by_first_line(&request.as_bytes()[..cut], false),
                Some(Foreign::Http),
                "{cut}"
            );
        }
        assert_eq!(Foreign::by_first_line(b"I talk about everything at great length", false), None);
    }
}

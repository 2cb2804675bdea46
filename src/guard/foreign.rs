//! Recognises programs that took this port for something else: browsers, scanners, mail and database clients.
//!
//! They would do more than misunderstand. A web page can make a visitor's browser send a request to
//! an address in the LAN, with lines of the page's choice in its body: were those taken for lines of chat, any web
//! site could speak in the room in the visitor's name. (The same was done to Redis, which since then refuses `POST`
//! and `Host:`.) And a mail or database client sends its password with its first lines. So a client that does not begin
//! like a person is not listened to any further.

use std::fmt;

/// A protocol that is not this one, as its user is told: "does not speak HTTP".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign(&'static str);

const REDIS: &str = "the protocol of Redis";

/// How many bytes it takes to know all that [`Foreign::by_first_bytes`] knows.
pub(crate) const ENOUGH: usize = 8;

impl Foreign {
    /// Recognises a protocol by the first bytes of the first packet or packets.
    pub(crate) fn by_first_bytes(bytes: &[u8]) -> Option<Foreign> {
        Some(Foreign(match bytes {
            // A handshake record (RFC 8446).
            [0x16, 0x03, ..] => "TLS",
            // The version exchange (RFC 4253).
            [b'S', b'S', b'H', b'-', ..] => "SSH",
            // Remote desktop: a connection request in a TPKT packet (RFC 1006).
            [0x03, 0x00, ..] => "RDP",
            // Windows file sharing: a message in a NetBIOS session packet (RFC 1002).
            [0x00, _, _, _, 0xfe | 0xff, b'S', b'M', b'B', ..] => "SMB",
            // A binding request over TCP, with its magic cookie (RFC 8489).
            [0x00, 0x01, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => "STUN",
            _ => return None,
        }))
    }

    /// Recognises a protocol by its first line; or by the beginning of one that was too long to be `complete`.
    pub(crate) fn by_first_line(line: &[u8], complete: bool) -> Option<Foreign> {
        let is_control = |byte: &&u8| byte.is_ascii_control() && **byte != b'\t';
        if line.contains(&0) || line.iter().filter(is_control).count() * 2 > line.len() {
            return Some(Foreign("a binary protocol"));
        }
        let words: Vec<&[u8]> = line.split(|b| *b == b' ').filter(|word| !word.is_empty()).take(6).collect();
        Some(Foreign(match words[..] {
            [method, target, ref rest @ ..] if is_request(method, target, rest, complete) => "HTTP",
            // RFC 2812, 3.1, and capability negotiation (IRCv3).
            [b"CAP", b"LS" | b"LIST" | b"REQ" | b"END", ..] | [b"PASS" | b"NICK", _] => "IRC",
            [b"USER", _, _, _, _, ..] => "IRC",
            // RFC 5321, 4.1.1.1.
            [b"EHLO" | b"HELO", _] => "SMTP",
            // A password, or the length of an array (RESP).
            [b"AUTH", _] | [b"AUTH", _, _] => REDIS,
            [[b'*', b'0'..=b'9', more @ ..]] if more.iter().all(u8::is_ascii_digit) => REDIS,
            _ => return None,
        }))
    }

    /// The sentence for its user.
    pub(crate) fn sentence(self) -> String {
        format!("This is a chat server and does not speak {self}. Use netcat: nc HOST PORT")
    }
}

/// Whether a line is an HTTP request (RFC 9112, 3: method, target and version, in any method there may be) or one of RTSP
/// or SIP. In a line that was too long, the version is cut off.
fn is_request(method: &[u8], target: &[u8], rest: &[&[u8]], complete: bool) -> bool {
    const VERSIONS: [&[u8]; 3] = [b"HTTP/", b"RTSP/", b"SIP/"];
    let is_method = method.len() >= 3 && method.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
    let is_path = matches!(target, [b'/' | b'*', ..]) || target.windows(3).any(|three| three == b"://");
    let is_host = method == b"CONNECT" || target.starts_with(b"sip:") || target.starts_with(b"sips:");
    let has_version = matches!(rest, [version] if VERSIONS.iter().any(|known| version.starts_with(known)));
    is_method && if complete { (is_path || is_host) && has_version } else { is_path }
}

impl std::error::Error for Foreign {}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
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
            (&b"\x16\x03\x01\x02\x00\x01"[..], Foreign("TLS")),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Foreign("SSH")),
            (b"\x03\x00\x00\x13\x0e\xe0", Foreign("RDP")),
            (b"\x00\x00\x00\x85\xffSMBr", Foreign("SMB")),
            (b"\x00\x00\x00\xd4\xfeSMB@", Foreign("SMB")),
            (b"\x00\x01\x00\x08\x21\x12\xa4\x42xyz", Foreign("STUN")),
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
    fn first_lines_that_only_programs_send_are_recognised() {
        let (http, irc, smtp, redis) = (Foreign("HTTP"), Foreign("IRC"), Foreign("SMTP"), Foreign(REDIS));
        for (line, foreign) in [
            ("GET / HTTP/1.1", http),
            ("POST /say?x=1 HTTP/1.0", http),
            ("PROPFIND /dav HTTP/1.1", http),
            ("M-SEARCH * HTTP/1.1", http),
            ("GET http://chat/ HTTP/1.1", http),
            ("CONNECT 192.168.1.20:12345 HTTP/1.1", http),
            ("DESCRIBE rtsp://camera RTSP/1.0", http),
            ("OPTIONS sip:nm SIP/2.0", http),
            ("PRI * HTTP/2.0", http),
            ("CAP LS 302", irc),
            ("CAP LS", irc),
            ("PASS hunter2", irc),
            ("NICK alice", irc),
            ("USER alice 0 * :Alice Liddell", irc),
            ("EHLO mail.example.org", smtp),
            ("HELO me", smtp),
            ("AUTH hunter2", redis),
            ("AUTH alice hunter2", redis),
            ("*1", redis),
            ("*12", redis),
            ("a\0b", Foreign("a binary protocol")),
            ("\x01\x02x", Foreign("a binary protocol")),
            ("\x05", Foreign("a binary protocol")),
        ] {
            assert_eq!(Foreign::by_first_line(line.as_bytes(), true), Some(foreign), "{line}");
        }
    }

    #[test]
    fn talk_that_only_looks_like_a_protocol_is_talk() {
        let shouting = format!("FYI {}", "X".repeat(4093));
        for (line, complete) in [
            ("GET", true),
            ("GET it", true),
            ("GET the HTTP spec", true),
            ("Get / HTTP/1.1", true),
            ("THEY USE HTTP/2", true),
            ("TYPE /help to see", true),
            ("POST", true),
            ("hello", true),
            ("", true),
            ("/GET / HTTP/1.1", true),
            (&shouting, false),
            ("ERROR in the third line, and then a long log", false),
            ("WARNING ", false),
            ("PASS me the salt", true),
            ("NICK and I are here", true),
            ("nick bob", true),
            ("USER error", true),
            ("USER error, I think", true),
            ("HELO everybody, how are you?", true),
            ("AUTH is broken again today", true),
            ("CAP on", true),
            ("*", true),
            ("*waves*", true),
            ("* 1", true),
            ("\thello", true),
            ("a\x1b[Ab", true),
        ] {
            assert_eq!(Foreign::by_first_line(line.as_bytes(), complete), None, "{line}");
        }
    }

    #[test]
    fn a_request_is_recognised_wherever_it_is_cut() {
        let request = format!("POST /{} HTTP/1.1", "x".repeat(100));
        for cut in "POST /".len()..request.len() {
            assert_eq!(
                Foreign::by_first_line(&request.as_bytes()[..cut], false),
                Some(Foreign("HTTP")),
                "{cut}"
            );
        }
        assert_eq!(Foreign::by_first_line(b"I talk about everything at great length", false), None);
    }
}

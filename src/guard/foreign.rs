//! Recognises programs that took this port for something else: browsers, scanners, mail and database clients.
//!
//! They would do more than misunderstand. A web page can make a visitor's browser send a request to an
//! address in the LAN, with lines of the page's choice in its body: were those taken for lines of chat, any
//! web site could speak in the room in the visitor's name. (The same was done to Redis, which since then
//! refuses `POST` and `Host:`.) And a mail or database client sends its password with its first lines. So a
//! client that does not begin like a person is not listened to any further.

use std::fmt;
use std::net::IpAddr;

/// A protocol that is not this one, as its user is told: "does not speak HTTP".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign(&'static str);

const REDIS: &str = "the protocol of Redis";

/// How many bytes it takes to know all that [`Foreign::by_first_bytes`] knows.
pub(crate) const ENOUGH: usize = 4;

impl Foreign {
    /// Recognises a protocol by the first bytes of the first packet or packets.
    pub(crate) fn by_first_bytes(bytes: &[u8]) -> Option<Foreign> {
        match bytes {
            // A handshake record (RFC 8446).
            [0x16, 0x03, ..] => Some(Foreign("TLS")),
            // The version exchange (RFC 4253).
            [b'S', b'S', b'H', b'-', ..] => Some(Foreign("SSH")),
            _ => None,
        }
    }

    /// Recognises a protocol by its first line, or by the beginning of one that was too long to be
    /// `complete`.
    ///
    /// People begin with such words as well, so this asks for what only programs send with them. But after
    /// `NICK`, `PASS` and `AUTH` a word or two are enough, for they may be a password.
    pub(crate) fn by_first_line(line: &[u8], complete: bool) -> Option<Foreign> {
        let is_control = |byte: &&u8| byte.is_ascii_control() && **byte != b'\t';
        if line.contains(&0) || line.iter().filter(is_control).count() * 2 > line.len() {
            return Some(Foreign("a binary protocol"));
        }
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).take(6).collect();
        Some(Foreign(match words[..] {
            [method, target, ref rest @ ..] if is_request(method, target, rest, complete) => "HTTP",
            // RFC 2812, 3.1, and capability negotiation (IRCv3).
            ["CAP", "LS" | "LIST" | "END"] | ["CAP", "LS", "302"] | ["CAP", "REQ", _] => "IRC",
            ["CAP", "REQ", first, ..] if first.starts_with(':') => "IRC",
            ["PASS" | "NICK", _] => "IRC",
            ["USER", _, mode, "*", _, ..] if is_number(mode) => "IRC",
            ["USER", _, mode, _, name, ..] if is_number(mode) && name.starts_with(':') => "IRC",
            // RFC 5321, 4.1.1.1.
            ["EHLO" | "HELO", host] if is_host(host) => "SMTP",
            // A password, or the length of an array (RESP).
            ["AUTH", _] | ["AUTH", _, _] => REDIS,
            [array] if array.strip_prefix('*').is_some_and(is_number) => REDIS,
            _ => return None,
        }))
    }

    /// The sentence for its user.
    pub(crate) fn sentence(self) -> String {
        format!("This is a chat server and does not speak {self}. Use netcat: nc HOST PORT")
    }
}

/// Whether a line is an HTTP request (RFC 9112, 3: method, target and version, in any method there may be) or
/// one of RTSP or SIP. A line that was too long is cut in the target or in the version.
fn is_request(method: &str, target: &str, rest: &[&str], complete: bool) -> bool {
    const VERSIONS: [&str; 6] = ["HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "RTSP/1.0", "RTSP/2.0", "SIP/2.0"];
    let is_method = method.len() >= 3 && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    let is_path = target.starts_with('/') || target == "*" || target.contains("://");
    let is_host = method == "CONNECT" || target.starts_with("sip");
    let has_version = match rest {
        [version] if complete => VERSIONS.contains(version),
        [version] => VERSIONS.iter().any(|known| known.starts_with(version)),
        // It is cut off. But with such an address only people begin.
        [] => !complete && !target.starts_with("https://"),
        _ => false,
    };
    is_method && (is_path || is_host) && has_version
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// Whether this is the full name of a host, or its address, as mail programs write it.
fn is_host(word: &str) -> bool {
    let address = word.trim_matches(['[', ']']).trim_start_matches("IPv6:");
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
    let is_name = word.contains('.') && word.split('.').all(is_label) && word.ends_with(char::is_alphabetic);
    is_name || word == "localhost" || address.parse::<IpAddr>().is_ok()
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
        for (stream, foreign) in
            [(&b"\x16\x03\x01\x02\x00\x01"[..], Foreign("TLS")), (b"SSH-2.0-OpenSSH_9.2\r\n", Foreign("SSH"))]
        {
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
            ("SETUP rtsp://192.168.1.7/trackID=1 RTSP/1.0", http),
            ("OPTIONS * RTSP/2.0", http),
            ("OPTIONS sip:nm SIP/2.0", http),
            ("INVITE sips:bob@example.org SIP/2.0", http),
            ("SUBSCRIBE /upnp/event HTTP/1.1", http),
            ("HEAD /ä HTTP/1.0", http),
            ("PRI * HTTP/2.0", http),
            ("CAP LS 302", irc),
            ("CAP LS", irc),
            ("CAP LIST", irc),
            ("CAP REQ sasl", irc),
            ("CAP REQ :sasl multi-prefix", irc),
            ("CAP END", irc),
            ("PASS hunter2", irc),
            ("PASS :hunter2", irc),
            ("NICK alice", irc),
            ("USER alice 0 * :Alice Liddell", irc),
            ("USER alice 8 * alice", irc),
            ("USER alice 12 irc.example.org :Alice", irc),
            ("EHLO mail.example.org", smtp),
            ("HELO printer.local", smtp),
            ("EHLO my_pc.fritz.box", smtp),
            ("EHLO localhost", smtp),
            ("EHLO [192.168.1.20]", smtp),
            ("HELO 192.168.1.20", smtp),
            ("EHLO [IPv6:fe80::1]", smtp),
            ("AUTH hunter2", redis),
            ("AUTH alice hunter2", redis),
            ("AUTH alice pa$$word", redis),
            ("AUTH default secret", redis),
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
        for line in [
            "GET",
            "GET it",
            "GET the HTTP spec",
            "GET /etc/hosts please",
            "GET /etc/hosts",
            "Get / HTTP/1.1",
            "THEY USE HTTP/2",
            "TRY /login with HTTP/1.1",
            "TRY /login HTTP/2",
            "TRY *this* HTTP/1.1",
            "CONNECT the printer HTTP/1.1",
            "LOOK https://example.org/a",
            "TYPE /help to see",
            "SIP or RTSP/1.0",
            "POST",
            "WARNING /var/log/syslog is full",
            "hello",
            "",
            "/GET / HTTP/1.1",
            "PASS me the salt",
            "PASS on it",
            "NICK and I are here",
            "NICK is late",
            "nick bob",
            "USER error",
            "USER error, I think",
            "USER error on the login page",
            "USER error on the :(",
            "USER rights are * everywhere",
            "USER story 12 is done",
            "USER 4 2 6 8",
            "HELO everybody, how are you?",
            "HELO folks",
            "HELO folks.",
            "HELO me...",
            "HELO world",
            "HELO [all]",
            "EHLO everyone",
            "EHLO v2.0",
            "AUTH",
            "AUTH is broken again today",
            "CAP on",
            "CAP LS what?",
            "CAP LIST of today",
            "CAP REQ for you",
            "CAP END of story",
            "*",
            "*waves*",
            "* 1",
            "*1 for that",
            "*1st*",
            "\thello",
            "a\x1b[Ab",
        ] {
            assert_eq!(Foreign::by_first_line(line.as_bytes(), true), None, "{line}");
        }
    }

    #[test]
    fn talk_that_is_too_long_is_talk() {
        let long = "x".repeat(4093);
        for line in [
            &format!("FYI {long}"),
            &format!("WARNING /var/log/syslog {long}"),
            &format!("WARNING /var/log/syslog is full: {long}"),
            &format!("SEE https://example.org/{long}"),
            &format!("SEE https://example.org/ HTTP/1.1 {long}"),
            &format!("*{long}* NOTE"),
            "ERROR in the third line, and then a long log",
            "WARNING ",
            "I talk about everything at great length",
        ] {
            assert_eq!(Foreign::by_first_line(line.as_bytes(), false), None, "{line}");
        }
    }

    #[test]
    fn a_request_is_recognised_wherever_it_is_cut() {
        for (method, version) in
            [("POST /", "HTTP/1.1"), ("PLAY rtsp://cam/", "RTSP/1.0"), ("BYE sip:b", "SIP/2.0")]
        {
            let request = format!("{method}{} {version}", "x".repeat(100));
            for cut in method.len()..=request.len() {
                let line = &request.as_bytes()[..cut];
                assert_eq!(Foreign::by_first_line(line, false), Some(Foreign("HTTP")), "{method} {cut}");
            }
        }
    }
}

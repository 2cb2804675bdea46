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
const PROXY: &str = "the PROXY protocol";

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
            // CONNECT, its length in one byte, and the length of a name that is "MQTT" (MQTT 3.1.1, 3.1).
            [0x10, _, 0x00, 0x04, ..] => Some(Foreign("MQTT")),
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
            // What a proxy says in front of its client's first line: it would hide who comes.
            ["PROXY", "UNKNOWN"] => PROXY,
            ["PROXY", "TCP4" | "TCP6", from, _, ..] if from.parse::<IpAddr>().is_ok() => PROXY,
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
mod tests;

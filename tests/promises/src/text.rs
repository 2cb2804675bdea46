//! What people say, and what stands around it on a screen: texts and names that are new, and who said what.

use std::sync::atomic::{AtomicU32, Ordering};

/// A text that nobody has said before. All have one length, so none is a part of another.
pub fn token() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("q{:06}z", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether one of these texts is in the line: somebody has said it.
pub fn has_token(line: &str) -> bool {
    let is_token = |text: &[u8]| {
        text.len() == 8 && text[0] == b'q' && text[7] == b'z' && text[1..7].iter().all(u8::is_ascii_digit)
    };
    line.as_bytes().windows(8).any(is_token)
}

/// A name that nobody has had before, from letters that nobody takes for others.
pub fn new_name(stem: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjkpqtxz";
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut count = COUNT.fetch_add(1, Ordering::Relaxed) as usize;
    let mut name = stem.to_owned();
    for _ in 0..4 {
        name.push(char::from(LETTERS[count % LETTERS.len()]));
        count /= LETTERS.len();
    }
    name
}

/// Whether the line has this name, or this address, as a word of its own: `guest3` is not in a line about
/// `guest31`.
pub fn mentions(line: &str, name: &str) -> bool {
    let line = as_seen(line);
    let stands_alone = |at: usize| {
        let around = [line[..at].chars().next_back(), line[at + name.len()..].chars().next()];
        !around.into_iter().flatten().any(is_of_a_name)
    };
    !name.is_empty() && line.match_indices(name).any(|(at, _)| stands_alone(at))
}

/// The name before the text in a line such as `<alice> text`; empty if there is none.
pub fn speaker(line: &str, text: &str) -> String {
    let line = as_seen(line);
    let before = line.split(text).next().unwrap_or_default();
    let word = before.split(|c: char| !is_of_a_name(c)).rfind(|word| !word.is_empty());
    word.unwrap_or_default().to_owned()
}

/// The same, if one of these names is expected: `alice says: text` has a word after it.
pub fn author(line: &str, text: &str, expected: &[&str]) -> String {
    let before = line.split(text).next().unwrap_or_default();
    let known = expected.iter().find(|name| mentions(before, name));
    known.map_or_else(|| speaker(line, text), |name| (*name).to_owned())
}

/// The line as a terminal shows it: without its colours.
fn as_seen(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string()
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_of_its_own() {
        assert!(mentions("*** guest3 left", "guest3"));
        assert!(!mentions("*** guest31 left", "guest3"));
        assert!(!mentions("*** guest31 left", ""));
        assert!(mentions("127.0.0.1:4711 has left", "127.0.0.1:4711"));
        assert!(!mentions("127.0.0.1:47112 has left", "127.0.0.1:4711"));
    }

    #[test]
    fn the_speaker_stands_before_the_text() {
        assert_eq!(speaker("<alice> hello", "hello"), "alice");
        assert_eq!(speaker("[09:02] <alice> hello", "hello"), "alice");
        assert_eq!(speaker("Echo: hello", "hello"), "Echo");
        assert_eq!(speaker("hello", "hello"), "");
        assert_eq!(speaker("\x1b[31malice\x1b[0m: hello", "hello"), "alice");
        assert_eq!(author("[09:02] alice says: hello", "hello", &["alice"]), "alice");
        assert_eq!(author("[09:02] bob says: hello", "hello", &["alice"]), "says");
    }

    #[test]
    fn every_token_and_every_name_is_new() {
        assert_ne!(token(), token());
        assert_ne!(new_name("bob"), new_name("bob"));
    }
}

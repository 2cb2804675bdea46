//! What a person in the room is called. A [`Nickname`] is valid because it exists.

use super::ClientId;
use std::fmt;
use std::sync::Arc;

/// Names that would let somebody pass for the server, or make `[you -> NAME]` ambiguous.
const RESERVED: [&str; 3] = ["server", "you", "everyone"];

/// A valid name: 1 to 20 letters, digits, `-` or `_`.
///
/// It keeps the case in which it was typed and is compared without it. Cloning one is cheap (a reference count),
/// because every line that is said carries its speaker's name.
#[derive(Clone, Debug)]
pub struct Nickname {
    shown: Arc<str>,
    key: Arc<str>,
}

/// Why a text is not a [`Nickname`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicknameError {
    /// No character at all, or more than [`Nickname::MAX_CHARS`].
    Length,
    /// A character that is not allowed in names.
    Character(char),
    /// `server`, `you` or `everyone`.
    Reserved,
}

impl Nickname {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 20;

    /// The name that a client has until it picks one.
    pub fn guest(id: ClientId) -> Nickname {
        Nickname::unchecked(&format!("guest{id}"))
    }

    /// Takes `text` for a name, if it can be one.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Nickname, NicknameError> {
        if text.is_empty() || text.chars().count() > Nickname::MAX_CHARS {
            return Err(NicknameError::Length);
        }
        let forbidden = |c: &char| !(c.is_ascii_alphanumeric() || *c == '-' || *c == '_');
        if let Some(c) = text.chars().find(forbidden) {
            return Err(NicknameError::Character(c));
        }
        let name = Nickname::unchecked(text);
        if RESERVED.contains(&&*name.key) {
            return Err(NicknameError::Reserved);
        }
        Ok(name)
    }

    fn unchecked(text: &str) -> Nickname {
        Nickname {
            shown: text.into(),
            key: text.to_lowercase().into(),
        }
    }

    /// What names are compared by: two names with the same key are the same name.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Has this name the form `guestN`, which belongs to client N alone?
    pub fn is_a_guests(&self) -> bool {
        match self.key.strip_prefix("guest") {
            Some(number) => !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()),
            None => false,
        }
    }
}

impl PartialEq for Nickname {
    fn eq(&self, other: &Nickname) -> bool {
        self.key == other.key
    }
}

impl Eq for Nickname {}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_dash_and_underscore_make_a_name() {
        for good in ["a", "alice", "Bob-2", "x_1", "12345678901234567890"] {
            assert_eq!(Nickname::parse(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_name_breaks_a_rule() {
        assert_eq!(Nickname::parse(""), Err(NicknameError::Length));
        assert_eq!(
            Nickname::parse("123456789012345678901"),
            Err(NicknameError::Length)
        );
        for bad in ['*', '!', '<', '[', ' ', '/', '\n', '\u{1b}'] {
            assert_eq!(
                Nickname::parse(&format!("al{bad}ce")),
                Err(NicknameError::Character(bad))
            );
        }
        for taken in ["server", "You", "EVERYONE"] {
            assert_eq!(Nickname::parse(taken), Err(NicknameError::Reserved));
        }
    }

    #[test]
    fn names_keep_their_case_and_compare_without_it() {
        let (low, high) = (
            Nickname::parse("alice").unwrap(),
            Nickname::parse("ALICE").unwrap(),
        );
        assert_eq!(low, high);
        assert_ne!(low.to_string(), high.to_string());
    }

    #[test]
    fn guest_names_are_recognised() {
        let id = ClientId::sequence().nth(6).unwrap();
        assert_eq!(Nickname::guest(id).to_string(), "guest7");
        for (name, guests) in [
            ("guest7", true),
            ("GUEST07", true),
            ("guest", false),
            ("guest7a", false),
        ] {
            assert_eq!(
                Nickname::parse(name).unwrap().is_a_guests(),
                guests,
                "{name}"
            );
        }
    }
}

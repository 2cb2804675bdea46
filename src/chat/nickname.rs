//! The name of a person in the room. Every [`Nickname`] that exists is valid.
//!
//! A name may be in any script, and no name may pass for another: the rules are those of Unicode's security mechanisms
//! ([UTS 39](https://www.unicode.org/reports/tr39/)).

use super::{ClientId, Problem};
use std::fmt;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::general_security_profile::IdentifierType;
use unicode_security::restriction_level::{RestrictionLevel, RestrictionLevelDetection};
use unicode_security::{GeneralSecurityProfile, MixedScript, skeleton};

/// Names that would pass for the server, or make `[you -> NAME]` ambiguous.
const RESERVED: [&str; 4] = ["server", "chat-server", "you", "everyone"];

/// A valid name: 1 to 20 letters, digits and marks of one script, `-` and `_`; at most 80 bytes.
///
/// It keeps the case in which it was typed and is compared without it. Cloning one is cheap (a reference count),
/// because every line that is said carries its speaker's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nickname(Arc<Forms>);

/// The forms in which a name is used.
#[derive(Debug, PartialEq, Eq)]
struct Forms {
    shown: String,
    folded: Arc<str>,
    keys: [Arc<str>; 2],
}

impl Nickname {
    /// The longest name, in characters of its composed form (NFC).
    pub(crate) const MAX_CHARS: usize = 20;

    /// The name that a client has until it picks one.
    pub(crate) fn guest(id: ClientId) -> Nickname {
        Nickname::unchecked(format!("guest{id}"))
    }

    /// Takes `text` for a name, or says in one sentence which rule it breaks.
    pub(crate) fn parse(text: &str) -> Result<Nickname, Problem> {
        // One more than allowed is enough to know, however long the text is.
        let text: String = text.nfc().take(Nickname::MAX_CHARS + 1).collect();
        if text.is_empty() || text.chars().count() > Nickname::MAX_CHARS {
            return Err(format!("a name has 1 to {} characters.", Nickname::MAX_CHARS));
        }
        // A mark at the start would change the `<` before it.
        let leading_mark = text.chars().next().filter(|c| is_combining_mark(*c));
        if let Some(c) = leading_mark.or_else(|| text.chars().find(|c| !is_allowed(*c))) {
            return Err(format!("a name cannot contain {c:?}, only letters, digits, - and _."));
        }
        // The first of the two knows only scripts in modern use, the second only single ones.
        if !text.check_restriction_level(RestrictionLevel::HighlyRestrictive) && !text.is_single_script() {
            return Err("a name cannot mix letters of different scripts.".to_owned());
        }
        let name = Nickname::unchecked(text);
        if RESERVED.iter().any(|word| name.looks_like(&Nickname::unchecked((*word).to_owned()))) {
            return Err("that name is reserved. Please pick another.".to_owned());
        }
        Ok(name)
    }

    fn unchecked(shown: String) -> Nickname {
        let folded = fold(shown.chars());
        // Capital I looks like l, and l is no i: so look-alikes must be found before and after folding the case.
        let keys = [fold(skeleton(&folded)), fold(skeleton(&shown))].map(Arc::from);
        Nickname(Arc::new(Forms { shown, folded: folded.into(), keys }))
    }

    /// The name without its case, by which the list of names is sorted.
    pub(crate) fn folded(&self) -> &Arc<str> {
        &self.0.folded
    }

    /// The case-folded skeletons of the name. A skeleton (UTS 39, 4) has one character in the place of all that look
    /// like it: that of `a1ice` is `alice`. Names that share one look alike.
    pub(crate) fn keys(&self) -> &[Arc<str>; 2] {
        &self.0.keys
    }

    /// Whether one could be taken for the other. Names that differ only in case always can.
    pub(crate) fn looks_like(&self, other: &Nickname) -> bool {
        self.keys().iter().any(|key| other.keys().contains(key))
    }

    /// Whether this name is `guestN` or looks like it. Such a name belongs to client N alone.
    pub(crate) fn is_a_guests(&self) -> bool {
        // In a skeleton the digits 0 and 1 are the letters that they look like.
        let number = |key: &Arc<str>| {
            key.strip_prefix("guest").is_some_and(|rest| {
                !rest.is_empty() && rest.chars().all(|c| matches!(c, 'o' | 'l' | '2'..='9'))
            })
        };
        self.keys().iter().any(number)
    }
}

/// Folds the case. Through the upper case, because some letters have two lower ones (ς and σ, ſ and s).
fn fold(chars: impl Iterator<Item = char>) -> String {
    chars.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn is_allowed(c: char) -> bool {
    use IdentifierType::{Exclusion, Inclusion, Limited_Use, Recommended, Uncommon_Use};
    let is_word = c.is_alphanumeric() || is_combining_mark(c);
    let is_in_use =
        matches!(c.identifier_type(), Some(Recommended | Inclusion | Uncommon_Use | Limited_Use | Exclusion));
    matches!(c, '-' | '_') || (is_word && is_in_use)
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Nickname {
        Nickname::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
    }

    const MIXED: &str = "a name cannot mix letters of different scripts.";
    const RESERVED_NAME: &str = "that name is reserved. Please pick another.";

    fn cannot_contain(c: char) -> String {
        format!("a name cannot contain {c:?}, only letters, digits, - and _.")
    }

    #[test]
    fn letters_and_digits_of_any_one_script_make_a_name() {
        for good in [
            "a",
            "alice",
            "Bob-2",
            "x_1",
            "12345678901234567890",
            "Zoë",
            "Алиса",
            "Αλίκη",
            "愛麗絲",
            "アリスたち",
            "앨리스",
            "ꮳꮃꭹ",
            "أليس",
            "אליס",
            "अलीसा",
            "ᎣᏏᏲ",
            "Bob愛",
            "ひらがなKana漢字",
        ] {
            assert_eq!(name(good).to_string(), good);
        }
        assert_eq!(name("Zoe\u{308}").to_string(), "Zoë", "names are composed");
        assert_eq!(name(&"e\u{301}".repeat(20)).to_string().chars().count(), 20);
    }

    #[test]
    fn a_name_breaks_a_rule() {
        for bad in ["", "123456789012345678901", &"a".repeat(1_000_000)] {
            assert_eq!(Nickname::parse(bad), Err("a name has 1 to 20 characters.".to_owned()));
        }
        for bad in [
            '*', '!', '<', '[', ' ', '/', '\n', '\u{1b}', '\u{202e}', '\u{200d}', '\u{3164}', '👩', '½', 'Ａ',
        ] {
            assert_eq!(Nickname::parse(&format!("al{bad}ce")), Err(cannot_contain(bad)));
        }
        assert_eq!(Nickname::parse("\u{301}a"), Err(cannot_contain('\u{301}')));
        for mixed in ["аlice", "Αlice", "bobאליס", "Cκ"] {
            assert_eq!(Nickname::parse(mixed), Err(MIXED.to_owned()), "{mixed}");
        }
        for taken in ["server", "Chat-Server", "You", "EVERYONE", "y0u", "Y0U", "everуone"] {
            let result = Nickname::parse(taken);
            assert!(result.is_err_and(|why| why == MIXED || why == RESERVED_NAME), "{taken}");
        }
        assert_eq!(Nickname::parse("y0u"), Err(RESERVED_NAME.to_owned()));
    }

    #[test]
    fn names_keep_their_case_and_compare_without_it() {
        for (one, other) in [
            ("alice", "ALICE"),
            ("Zoë", "ZOË"),
            ("Straße", "STRASSE"),
            ("Νίκος", "ΝΊΚΟΣ"),
            ("Алиса", "АЛИСА"),
        ] {
            assert!(name(one).looks_like(&name(other)), "{one} {other}");
            assert_ne!(name(one).to_string(), name(other).to_string());
        }
    }

    #[test]
    fn look_alikes_are_the_same() {
        for (one, other) in [
            ("alice", "a1ice"),
            ("alice", "aIice"),
            ("paypal", "раураІ"),
            ("modern", "rnodern"),
            ("bob", "b0b"),
        ] {
            assert!(name(one).looks_like(&name(other)), "{one} {other}");
        }
        for (one, other) in [("alice", "alicia"), ("bob", "rob"), ("Ali", "All"), ("anna", "hanna")] {
            assert!(!name(one).looks_like(&name(other)), "{one} {other}");
        }
    }

    #[test]
    fn guest_names_are_recognised() {
        let id = ClientId(7);
        assert_eq!(Nickname::guest(id).to_string(), "guest7");
        for guests in ["guest7", "GUEST07", "guest10", "guestl", "guest1O", "guestI"] {
            assert!(name(guests).is_a_guests(), "{guests}");
        }
        for free in ["guest", "guest7a", "guesthouse", "my-guest7"] {
            assert!(!name(free).is_a_guests(), "{free}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_for_a_name_is_safe_to_show(text in ".{0,30}") {
            if let Ok(name) = Nickname::parse(&text) {
                let shown = name.to_string();
                prop_assert!(shown.len() <= 80 && (1..=20).contains(&shown.chars().count()));
                prop_assert!(!shown.starts_with(['*', '!', '<', '[']));
                prop_assert!(shown.chars().all(|c| !c.is_control() && !c.is_whitespace()));
                prop_assert!(Nickname::parse(&shown).is_ok_and(|again| again == name), "composing again changes nothing");
            }
        }
    }
}

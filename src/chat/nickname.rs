//! The name of a person in the room. Every [`Nickname`] that exists is valid.
//!
//! A name may be in any script, and no name may pass for another. The rules are those of Unicode's security
//! mechanisms ([UTS 39](https://www.unicode.org/reports/tr39/)), and stricter where a terminal shows less
//! than a browser: a character that may be invisible is no part of a name.

mod reserved;

use super::{ClientId, Problem};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, compose, is_combining_mark};
use unicode_script::{Script, UnicodeScript};
use unicode_security::general_security_profile::IdentifierType;
use unicode_security::{GeneralSecurityProfile, MixedScript, skeleton};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection};
use unicode_width::UnicodeWidthChar;

/// Letters that are written every day, though Unicode calls them compatibility characters: Thai and Lao am,
/// Lao ho no and ho mo, Armenian yev.
const LETTERS_IN_USE: [char; 5] = ['\u{e33}', '\u{eb3}', '\u{edc}', '\u{edd}', '\u{587}'];

/// Han, and with them the Kana that look like these, in the shape of a dash or a Latin letter. Unicode's
/// table of look-alikes does not have them, though names may mix these scripts with Latin.
const STROKES: [(&str, char); 6] =
    [("ー", '-'), ("丨亅工", 'l'), ("口", 'O'), ("丁丅", 'T'), ("凵", 'U'), ("丫", 'Y')];

/// Marks that put the next letter below this one, and show nothing where none follows (Myanmar, Khmer, Tai
/// Tham, Chakma, Meetei Mayek).
const STACKERS: [char; 5] = ['\u{1039}', '\u{17d2}', '\u{1a60}', '\u{11133}', '\u{aaf6}'];

/// A valid name: 1 to 20 letters, digits and marks of one script, `-` and `_`; at most 80 bytes.
///
/// It keeps the case in which it was typed and is compared without it. Cloning one is cheap (a reference
/// count), because every line that is said carries its speaker's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nickname(Arc<Forms>);

/// The forms in which a name is used.
#[derive(Debug, PartialEq, Eq)]
struct Forms {
    shown: String,
    folded: Arc<str>,
    keys: [Arc<str>; 3],
    is_a_guests: bool,
}

impl Nickname {
    /// The longest name, in characters of its composed form (NFC).
    pub(crate) const MAX_CHARS: usize = 20;
    /// And in bytes of UTF-8.
    pub(crate) const MAX_BYTES: usize = 4 * Nickname::MAX_CHARS;

    /// The name that a client has until it picks one.
    pub(crate) fn guest(id: ClientId) -> Nickname {
        Nickname::new(format!("guest{id}"), true)
    }

    fn new(shown: String, is_a_guests: bool) -> Nickname {
        Nickname(Arc::new(Forms { folded: fold(&shown).into(), keys: keys(&shown), is_a_guests, shown }))
    }

    /// Takes `text` for a name, or says in one sentence which rule it breaks.
    pub(crate) fn parse(text: &str) -> Result<Nickname, Problem> {
        // It stands where bytes were no UTF-8. Which character was meant, only the terminal knows.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err("that name did not arrive as UTF-8. Set your terminal to UTF-8.".to_owned());
        }
        // One more than allowed is enough to know, however long the text is.
        let text: String = text.nfc().take(Nickname::MAX_CHARS + 1).collect();
        if text.is_empty() || text.chars().count() > Nickname::MAX_CHARS {
            return Err(format!("a name has 1 to {} characters.", Nickname::MAX_CHARS));
        }
        let bad = text.chars().find(|c| !is_allowed(*c));
        if let Some(bad) = bad.or_else(|| stray_mark(&text)).or_else(|| piled_mark(&text)) {
            return Err(format!("a name cannot contain {} (only letters, digits, - and _).", describe(bad)));
        }
        // Letters have a script; what scripts share is digits and marks.
        if !text.chars().any(|c| c.is_numeric() || c.script() != Script::Common) {
            return Err("a name needs a letter or a digit.".to_owned());
        }
        // The first of the two knows only scripts in modern use, the second only single ones.
        if !text.check_restriction_level(RestrictionLevel::HighlyRestrictive) && !text.is_single_script() {
            return Err("a name cannot mix letters of different scripts.".to_owned());
        }
        // Digits of one kind, such as ASCII's or either of Arabic's, are alone in a row of sixteen of Unicode.
        let kinds: HashSet<u32> =
            text.chars().filter(|c| c.is_numeric()).map(|c| u32::from(c) / 16).collect();
        if kinds.len() > 1 {
            return Err("a name cannot mix digits of different kinds.".to_owned());
        }
        if reserved::is_reserved(&text) {
            return Err("that name is reserved. Please pick another.".to_owned());
        }
        let is_a_guests = reserved::is_a_guests(&text);
        Ok(Nickname::new(text, is_a_guests))
    }

    /// The name without its case, by which the list of names is sorted.
    pub(crate) fn folded(&self) -> &Arc<str> {
        &self.0.folded
    }

    /// Names that share one of these look alike.
    pub(crate) fn keys(&self) -> &[Arc<str>; 3] {
        &self.0.keys
    }

    /// Whether one could be taken for the other. Names that differ only in case always can.
    pub(crate) fn looks_like(&self, other: &Nickname) -> bool {
        self.keys().iter().any(|key| other.keys().contains(key))
    }

    /// Whether this name is `guestN` or looks like it. Such a name belongs to client N alone.
    pub(crate) fn is_a_guests(&self) -> bool {
        self.0.is_a_guests
    }
}

/// Three keys of a name, each made from its skeleton (UTS 39, 4), which has one character in the place of all
/// that look like it: that of `a1ice` is `alice`.
///
/// Capital I looks like l, and l is no i: so look-alikes must be found before and after folding the case; in
/// the second key both, for Þ looks like p as a small letter only, and `ÞauI` is `paul`. The third key is of
/// capitals, for T looks like the Cyrillic Т, and t does not look like т. It is not folded, so that Ali and
/// All stay two names, and the blank keeps it from meeting the others.
fn keys(name: &str) -> [Arc<str>; 3] {
    // The points of Arabic, Hebrew and Syriac one may write or leave out: محمد and مُحَمَّد are one name.
    let scripts = [Script::Arabic, Script::Hebrew, Script::Syriac];
    let is_point =
        |c: char| is_combining_mark(c) && scripts.iter().any(|s| c.script_extension().contains_script(*s));
    let name: String = name.chars().filter(|c| !is_point(*c)).collect();
    let capitals = format!(" {}", look(&name.to_uppercase()));
    let [first, second] = [&name, &look(&name)].map(|name| fold(&look(&fold(name))));
    [first, second, capitals].map(Arc::from)
}

/// The skeleton, with [`STROKES`], and with the marks on each letter in one order: many terminals show them
/// alike in any.
fn look(text: &str) -> String {
    let as_latin = |c| STROKES.iter().find(|(strokes, _)| strokes.contains(c)).map_or(c, |(_, latin)| *latin);
    let mut chars: Vec<char> = skeleton(text).map(as_latin).collect();
    chars.chunk_by_mut(|_, next| is_combining_mark(*next)).for_each(|letter| letter[1..].sort_unstable());
    chars.into_iter().collect()
}

/// Composes a text (NFC) and folds its case. Through the upper case, because some letters have two lower ones
/// (ς and σ, ſ and s). Turkish writes the lower case of İ as i.
pub(super) fn fold(text: &str) -> String {
    let folded: String = text.nfc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    folded.replace("i\u{307}", "i")
}

fn is_allowed(c: char) -> bool {
    use IdentifierType::{Exclusion, Inclusion, Limited_Use, Recommended, Uncommon_Use};
    let is_letter = c.is_alphanumeric() && c.width() > Some(0) && !is_combining_mark(c);
    match c.identifier_type() {
        _ if matches!(c, '-' | '_') || LETTERS_IN_USE.contains(&c) => true,
        Some(Recommended | Inclusion | Uncommon_Use | Limited_Use) => is_letter || is_combining_mark(c),
        // Nobody writes these scripts today. Some of their marks show nothing.
        Some(Exclusion) => is_letter,
        _ => false,
    }
}

/// The first mark that does not belong to the letter before it, or that shows nothing.
fn stray_mark(name: &str) -> Option<char> {
    let (mut letter, mut previous) = ('_', '_'); // No mark belongs to this one.
    for (c, next) in name.chars().zip(name.chars().skip(1).chain(['_'])) {
        if is_combining_mark(c) {
            // NFC has composed all that it could. A mark that is left may compose with the bare letter.
            let belongs = is_of_its_script(c, letter) || (previous == letter && composes(c, letter));
            let shows = !STACKERS.contains(&c) || (next.script() == c.script() && !is_combining_mark(next));
            if !belongs || !shows {
                return Some(c);
            }
        } else {
            letter = c;
        }
        previous = c;
    }
    None
}

/// Whether the mark is one of the letter's script. Those that Latin shares are for letters of many scripts,
/// and on most of these there is little or nothing to see of them.
fn is_of_its_script(mark: char, letter: char) -> bool {
    let marks = mark.script_extension();
    let is_of_one = letter.script() != Script::Common && !marks.contains_script(Script::Latin);
    is_of_one && marks.contains_script(letter.script())
}

/// Whether the mark makes one character with the bare letter, though not with this one, which has a mark in
/// another place: as in the Yoruba name Ọ̀ṣun.
fn composes(mark: char, letter: char) -> bool {
    let place = canonical_combining_class(mark);
    let mut parts = letter.nfd();
    parts.next().is_some_and(|bare| compose(bare, mark).is_some())
        && parts.all(|other| canonical_combining_class(other) != place)
}

/// The last of more than four marks in a row, or of one twice: they are a picture, not a letter (UTS 39, 5.4).
/// A mark that has a column of its own, such as a vowel beside its letter, piles up with none.
fn piled_mark(name: &str) -> Option<char> {
    let chars: Vec<char> = name.nfd().collect();
    let is_narrow = |c: &char| is_combining_mark(*c) && c.width() == Some(0);
    let twice = chars.windows(2).find(|two| is_combining_mark(two[0]) && two[0] == two[1]);
    let pile = || chars.windows(5).find(|five| five.iter().all(is_narrow));
    twice.or_else(pile)?.last().copied()
}

/// The character itself, or words and its number where a terminal may not show it, or might obey it.
fn describe(c: char) -> String {
    let is_ignorable = c.identifier_type() == Some(IdentifierType::Default_Ignorable);
    let is_shown =
        !is_ignorable && c.width() > Some(0) && !c.is_whitespace() && c.script() != Script::Unknown;
    let kind = match c {
        ' ' => return "a blank".to_owned(),
        _ if is_combining_mark(c) && !is_ignorable => "a mark that does not belong there",
        _ if is_shown && !matches!(c, '\u{2800}' | '\u{fff9}'..='\u{fffb}') => return c.to_string(),
        _ => "an invisible character",
    };
    format!("{kind} (U+{:04X})", u32::from(c))
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

#[cfg(test)]
mod tests;

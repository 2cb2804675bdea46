//! The name of a person in the room. Every [`Nickname`] that exists is valid.
//!
//! A name may be in any script, and no name may pass for another. The rules are those of Unicode's security
//! mechanisms ([UTS 39](https://www.unicode.org/reports/tr39/)), and stricter where a terminal shows less
//! than a browser: a character that may be invisible is no part of a name.

mod reserved;

use super::{ClientId, Problem, text::is_invisible};
use std::collections::HashSet;
use std::fmt;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, compose, is_combining_mark};
use unicode_script::{Script, UnicodeScript};
use unicode_security::general_security_profile::IdentifierType;
use unicode_security::{GeneralSecurityProfile, MixedScript, skeleton};
use unicode_security::{RestrictionLevel::HighlyRestrictive, RestrictionLevelDetection};
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
/// It keeps the case in which it was typed and is compared without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nickname {
    shown: String,
    /// The name without its case.
    pub(super) folded: String,
    /// Names that share one of these look alike.
    keys: [String; 3],
    /// It is `guestN` or looks like it. Such a name belongs to client N alone.
    pub(super) is_a_guests: bool,
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

    pub(super) fn new(shown: String, is_a_guests: bool) -> Nickname {
        Nickname { folded: fold(&shown), keys: keys(&shown), shown, is_a_guests }
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
        if let Some(bad) = bad.or_else(|| stray_mark(&text)) {
            return Err(format!("a name cannot contain {} (only letters, digits, - and _).", describe(bad)));
        }
        // Digits of one kind, such as ASCII's or either of Arabic's, are alone in a row of sixteen of
        // Unicode.
        let digits = text.chars().filter(|c| c.is_numeric());
        let kinds: HashSet<u32> = digits.map(|c| u32::from(c) / 16).collect();
        // Letters have a script; what scripts share is digits and marks.
        let has_letters = text.chars().any(|c| c.script() != Script::Common);
        // The first of the two knows only scripts in modern use, the second only single ones.
        let is_mixed = !text.check_restriction_level(HighlyRestrictive) && !text.is_single_script();
        let readings = reserved::readings(&text);
        let problem = if !has_letters && kinds.is_empty() {
            "a name needs a letter or a digit."
        } else if is_mixed {
            "a name cannot mix letters of different scripts."
        } else if kinds.len() > 1 {
            "a name cannot mix digits of different kinds."
        } else if reserved::is_reserved(&readings) {
            "that name is reserved. Please pick another."
        } else {
            return Ok(Nickname::new(text, reserved::is_a_guests(&readings)));
        };
        Err(problem.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.shown
    }

    /// Whether one could be taken for the other. Names that differ only in case always can.
    pub(crate) fn looks_like(&self, other: &Nickname) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
    }
}

/// Three keys of a name, each made from its skeleton (UTS 39, 4), which has one character in the place of all
/// that look like it: that of `a1ice` is `alice`.
///
/// Capital I looks like l, and l is no i: so look-alikes must be found before and after folding the case; in
/// the second key both, for Þ looks like p as a small letter only, and `ÞauI` is `paul`. The third key is of
/// capitals, for T looks like the Cyrillic Т, and t does not look like т. It is not folded, so that Ali and
/// All stay two names, and the blank keeps it from meeting the others.
fn keys(name: &str) -> [String; 3] {
    // The points of Arabic, Hebrew and Syriac one may write or leave out: محمد and مُحَمَّد are one name.
    let scripts = [Script::Arabic, Script::Hebrew, Script::Syriac];
    let is_point =
        |c: char| is_combining_mark(c) && scripts.iter().any(|s| c.script_extension().contains_script(*s));
    let name: String = name.chars().filter(|c| !is_point(*c)).collect();
    let capitals = format!(" {}", look(&name.to_uppercase()));
    let [first, second] = [&name, &look(&name)].map(|name| fold(&look(&fold(name))));
    [first, second, capitals]
}

/// The skeleton, with [`STROKES`], and with the marks on each letter in one order: many terminals show them
/// alike in any.
fn look(text: &str) -> String {
    let mut chars: Vec<char> = skeleton(text).map(|c| replaced(c, &STROKES)).collect();
    chars.chunk_by_mut(|_, next| is_combining_mark(*next)).for_each(|letter| letter[1..].sort_unstable());
    chars.into_iter().collect()
}

/// The letter that the table has for a character, or else the character itself.
fn replaced(c: char, table: &[(&str, char)]) -> char {
    table.iter().find(|(these, _)| these.contains(c)).map_or(c, |(_, letter)| *letter)
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

/// The first mark that does not belong to the letter before it, that shows nothing, or that makes a picture
/// of the letter (UTS 39, 5.4): one that is there twice, or on top of four others. A mark that has a column
/// of its own, such as a vowel beside its letter, piles up with none.
fn stray_mark(name: &str) -> Option<char> {
    let is_narrow = |c: &&char| c.width() == Some(0);
    let mut letter = '_'; // No mark belongs to this one.
    let mut marks: Vec<char> = Vec::new();
    for (c, next) in name.chars().zip(name.chars().skip(1).chain(['_'])) {
        if !is_combining_mark(c) {
            let mut parts = c.nfd();
            letter = parts.next().unwrap_or(c);
            marks = parts.collect();
            continue;
        }
        let belongs = is_of_its_script(c, letter) || composes(c, letter, &marks);
        let shows = !STACKERS.contains(&c) || (next.script() == c.script() && !is_combining_mark(next));
        let is_twice = marks.contains(&c);
        marks.push(c);
        if !belongs || !shows || is_twice || marks.iter().filter(is_narrow).count() > 4 {
            return Some(c);
        }
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

/// Whether the mark makes one character with the bare letter, and has a place of its own among the other
/// marks: as in the Yoruba name Ọ̀ṣun, where NFC can compose only one of two.
fn composes(mark: char, letter: char, others: &[char]) -> bool {
    let place = canonical_combining_class(mark);
    let has_place = others.iter().all(|other| canonical_combining_class(*other) != place);
    has_place && compose(letter, mark).is_some()
}

/// The character itself, or words and its number where a terminal may not show it, or might obey it.
fn describe(c: char) -> String {
    let has_shape = is_combining_mark(c) || (c.width() > Some(0) && c.script() != Script::Unknown);
    let kind = match c {
        ' ' => return "a blank".to_owned(),
        _ if is_invisible(c) || !has_shape => "an invisible character",
        _ if is_combining_mark(c) => "a mark that does not belong there",
        _ => return c.to_string(),
    };
    format!("{kind} (U+{:04X})", u32::from(c))
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests;

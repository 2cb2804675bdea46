//! The names that nobody may take: those that pass for the server or its operator, and those of the guests.

use super::{look, replaced};
use std::collections::HashSet;
use unicode_normalization::char::is_combining_mark;

/// A name that is made of these words would pass for the server or its operator, or make `[you -> NAME]`
/// ambiguous, with or without those of [`BESIDE`] and a number. `-`, `_` and accents change nothing about
/// that, nor do digits in the place of letters: `the_server`, `Chat-Server2`, `y0u`, `s3rv3r`.
const RESERVED: &str =
    "administrator admin console everybody everyone moderator operator server sysop system you";
const BESIDE: &str = "bot chat the";

/// These too, but with a number only where that is written in digits: `Modi` and `Loop` are names, and not
/// `mod1` and `10op`.
const SHORT: &str = "mod op root staff";

const DIGITS: &str = "0 1 2 3 4 5 6 7 8 9";
const LIKE_DIGITS: &str = "o l";

/// Digits that are written for letters. In other names they do not count as alike: b0b is not b8b.
const FOR_LETTERS: [(&str, char); 5] = [("3", 'e'), ("4", 'a'), ("5", 's'), ("7", 't'), ("8", 'b')];

/// For each character of a name, all that it may be taken for.
pub(super) type Readings = Vec<HashSet<String>>;

/// Whether the name can be read as reserved words, with those [`BESIDE`] them and numbers or without.
pub(super) fn is_reserved(name: &Readings) -> bool {
    let is_made_of = |words: &[&str]| reads_as(name, "", &words.join(" "));
    let with_a_long_one = is_made_of(&[RESERVED, SHORT, BESIDE, DIGITS, LIKE_DIGITS])
        && !is_made_of(&[SHORT, BESIDE, DIGITS, LIKE_DIGITS]);
    with_a_long_one || (is_made_of(&[SHORT, BESIDE, DIGITS]) && !is_made_of(&[BESIDE, DIGITS]))
}

/// Whether the name can be read as that of a guest, with some number.
pub(super) fn is_a_guests(name: &Readings) -> bool {
    reads_as(name, "guest", &[DIGITS, LIKE_DIGITS].join(" ")) && !reads_as(name, "guest", "")
}

/// Whether a name can be read as `begun`, then any of `words`, and nothing else. Each character has several
/// readings, in any mixture. So this follows all of them at once, letter by letter, as a regular expression
/// is matched.
fn reads_as(name: &Readings, begun: &str, words: &str) -> bool {
    // As the readings have them: i looks like l when it is a capital, and m looks like rn.
    let words = words.replace('i', "l").replace('m', "rn");
    let words: Vec<&str> = words.split(' ').collect();
    // What is still to come of the word that has begun, for each way to read the name so far.
    let mut ways = HashSet::from([begun]);
    for character in name {
        let read_on = |ways: HashSet<_>, letter: char| {
            let begin = words.iter().filter(|_| ways.contains(""));
            ways.iter().chain(begin).filter_map(|rest| rest.strip_prefix(letter)).collect()
        };
        ways = character.iter().flat_map(|reading| reading.chars().fold(ways.clone(), read_on)).collect();
    }
    ways.contains("")
}

/// All that each character may be taken for, in small ASCII letters and digits, with an l for each i: what it
/// looks like in any case, what that looks like in any case, and so on. Marks, `-` and `_` read as nothing.
pub(super) fn readings(name: &str) -> Readings {
    name.chars().map(readings_of).collect()
}

fn readings_of(c: char) -> HashSet<String> {
    let mut forms = vec![c.to_string()];
    let mut next = 0;
    while let Some(form) = forms.get(next) {
        let spelled = form.chars().map(|c| replaced(c, &FOR_LETTERS)).collect();
        for more in [look(form), form.to_uppercase(), form.to_lowercase(), spelled] {
            if !forms.contains(&more) {
                forms.push(more);
            }
        }
        next += 1;
    }
    let is_kept = |c: &char| c.is_alphanumeric() && !is_combining_mark(*c);
    let letters = forms.iter().map(|form| form.chars().filter(is_kept).collect::<String>().replace('i', "l"));
    letters.filter(|form| form.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9'))).collect()
}

#[cfg(test)]
mod tests;

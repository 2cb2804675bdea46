//! Only text reaches another person's terminal: nothing in it moves the cursor, rings the bell or turns the
//! reading direction around, and no blanks push it to the next row.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::GeneralSecurityProfile;
use unicode_security::general_security_profile::IdentifierType;

/// How many columns of blanks in a row stay inside a line, and in front of it. Dozens of them would push the
/// rest to the start of the next row, where it could pass for a line of its own. A filler that one sees is
/// left, such as a long word.
const MOST_BLANKS: usize = 8;
const MOST_BLANKS_IN_FRONT: usize = 32;

/// How many marks stay on one letter. No language needs as many; piles of them reach into the lines around.
const MOST_MARKS: usize = 8;

/// Makes a line printable, so that everyone sees all of it and no terminal obeys it.
///
/// A tab becomes a space. Control characters (C0, DEL and C1, which terminals obey: ECMA-48), line and
/// paragraph separators, characters that embed, override or isolate a writing direction (UAX #9), deprecated
/// format characters and annotations (Unicode 23.3, 23.8), and tags outside of a flag (UTS 51) are shown as
/// escapes: `\x1b`, `\u{202e}`. All other text passes unharmed, in any script, but for piles of marks and
/// long runs of blanks.
pub(crate) fn printable(line: &str) -> Cow<'_, str> {
    if is_plain(line) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len());
    let mut room_for_blanks = MOST_BLANKS_IN_FRONT;
    let mut marks = 0;
    let mut is_in_flag = false;
    for c in line.chars().map(|c| if c == '\t' { ' ' } else { c }) {
        is_in_flag = c == '\u{1f3f4}' || (is_in_flag && is_tag(c));
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        let is_escaped = is_obeyed(c) || (is_tag(c) && !is_in_flag) || marks > MOST_MARKS;
        if is_escaped {
            shown += &escape(c);
        } else if is_blank(c) {
            let columns = if c.is_ascii() { 1 } else { 2 }; // Some are two columns wide.
            shown.extend((columns <= room_for_blanks).then_some(c));
            room_for_blanks = room_for_blanks.saturating_sub(columns);
        } else {
            shown.push(c);
        }
        if is_escaped || !is_invisible(c) {
            room_for_blanks = MOST_BLANKS;
        }
    }
    Cow::Owned(shown)
}

fn escape(c: char) -> String {
    let code = u32::from(c);
    if code <= 0xff { format!("\\x{code:02x}") } else { format!("\\u{{{code:x}}}") }
}

/// The part of a line that a person sees, to tell whether it begins like a command: without control sequences
/// (ECMA-48) and invisible characters, every blank as a space, compatible characters such as `／` as their
/// ordinary forms (NFKC).
pub(crate) fn visible(line: &str) -> Cow<'_, str> {
    if is_plain(line) {
        return Cow::Borrowed(line);
    }
    let mut chars = line.chars();
    let mut seen = String::new();
    while let Some(c) = chars.next() {
        let next = chars.as_str().chars().next();
        match (c, next) {
            // A control sequence, from its introducer to its final character; a command string, to the bell
            // or ESC \.
            ('\u{1b}', Some('[')) | ('\u{9b}', _) => {
                chars.find(|c| ('@'..='~').contains(c) && *c != '[');
            }
            ('\u{1b}', Some('O')) => {
                chars.nth(1); // A key of the keypad.
            }
            ('\u{1b}', Some(']' | 'P' | 'X' | '^' | '_')) => {
                chars.find(|c| matches!(c, '\u{7}' | '\\'));
            }
            _ if is_blank(c) => seen.push(' '),
            _ if is_invisible(c) || (is_combining_mark(c) && seen.trim().is_empty()) => {}
            _ => seen.push(c),
        }
    }
    seen.nfkc().collect()
}

/// Whether a line is all printable ASCII without long runs of blanks, as nearly every line is.
fn is_plain(line: &str) -> bool {
    let mut blanks = 0;
    line.bytes().all(|byte| {
        blanks = if byte == b' ' { blanks + 1 } else { 0 };
        blanks <= MOST_BLANKS && matches!(byte, b' '..=b'~')
    })
}

/// Characters that terminals obey.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

fn is_tag(c: char) -> bool {
    ('\u{e0000}'..='\u{e007f}').contains(&c)
}

/// White space, and letters that look like it (Hangul fillers, an empty Braille cell).
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{115f}'
                | '\u{1160}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{ffa0}'
                | '\u{13441}'
                | '\u{13442}'
                | '\u{1d159}'
        )
}

pub(super) fn is_invisible(c: char) -> bool {
    let is_ignorable = || c.identifier_type() == Some(IdentifierType::Default_Ignorable);
    c.is_control() || is_blank(c) || (!c.is_ascii() && (is_ignorable() || is_tag(c) || is_obeyed(c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_control_character_is_shown_as_an_escape() {
        for c in ('\0'..='\x1f').chain('\x7f'..='\u{9f}').filter(|c| *c != '\t') {
            assert_eq!(printable(&c.to_string()), format!("\\x{:02x}", u32::from(c)));
        }
        let obeyed = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\
                      \u{206a}\u{206b}\u{206c}\u{206d}\u{206e}\u{206f}\u{fff9}\u{fffa}\u{fffb}\u{e0001}\u{e0041}";
        let escapes: String = obeyed.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect();
        assert_eq!(printable(obeyed), escapes);
        assert_eq!(printable("\x1b[2Jgone\tnow"), "\\x1b[2Jgone now");
    }

    #[test]
    fn ordinary_text_of_any_script_passes_unharmed() {
        for text in [
            "grüß dich",
            "Привет",
            "你好",
            "مرحبا بالعالم",
            "שלום",
            "नमस्ते",
            "👩🏽‍💻 👨‍👩‍👧‍👦 🏳️‍🌈",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}!",
            "e\u{301}",
            "\u{200e}\u{200f}\u{61c}",
            "                    indented",
            "a        b",
        ] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn long_runs_of_blanks_and_piles_of_marks_are_cut() {
        let (blank, mark) = ("a        b", format!("a{}", "\u{301}".repeat(8)));
        for run in [" ".repeat(9), " ".repeat(1000), "\t".repeat(20), " \u{200b}".repeat(30)] {
            assert_eq!(printable(&format!("a{run}b")).replace('\u{200b}', ""), blank);
        }
        assert_eq!(printable(&format!("a{}", "\u{3000}".repeat(30))).chars().count(), 5);
        assert_eq!(printable(&format!("a{}\x1bb", " ".repeat(9))), r"a        \x1bb");
        assert_eq!(printable(&format!("{mark}\u{301}b")), format!("{mark}\\u{{301}}b"));
    }

    /// However it begins, its first visible character stands on the first row of 80 columns, behind a usual
    /// name.
    #[test]
    fn no_blanks_in_front_push_a_line_to_the_next_row() {
        use unicode_width::UnicodeWidthStr;
        for blank in [
            " ",
            "\t",
            "\u{3000}",
            "\u{2800}",
            "\u{3164}",
            "\u{a0}",
            " \u{200b}",
            "\u{200b} ",
            "\u{ad}\u{3000}",
        ] {
            let line = format!("{}*** [server] the room moves", blank.repeat(80));
            let shown = printable(&line);
            let before = shown.split('*').next().unwrap();
            assert!(
                before.width() <= 32 && before.chars().filter(|c| is_blank(*c)).count() >= 16,
                "{shown:?}"
            );
            assert!(shown.ends_with("*** [server] the room moves"));
        }
    }

    #[test]
    fn what_a_person_sees_has_no_invisible_characters() {
        for line in [
            "/msg",
            "\u{feff}/msg",
            "/m\u{200b}sg",
            "\x1b[A/msg",
            "\x1b[1;31m/msg\x1b[0m",
            "／ｍｓｇ",
            "\x01/msg\u{ad}",
        ] {
            assert_eq!(visible(line), "/msg", "{line:?}");
        }
        assert_eq!(visible("\t\u{a0}\u{3000}\u{3164}x"), "    x");
        assert_eq!(visible("\u{200b}\u{feff}\u{fe0f}\u{e0041}\x07\x1b[A"), "");
    }

    proptest! {
        #![proptest_config(crate::fuzz::properties())]

        #[test]
        fn nothing_that_a_terminal_obeys_gets_through(line in ".*") {
            let shown = printable(&line);
            prop_assert!(!shown.contains(is_obeyed), "{shown:?}");
            prop_assert_eq!(printable(&shown), shown.as_ref());
        }
    }
}

//! Only text reaches another person's terminal: nothing in it moves the cursor, rings the bell or turns the reading
//! direction around.

use std::fmt::Write;

/// Makes what was received printable, so that everybody sees what is in it and nobody's terminal obeys it.
///
/// Invalid UTF-8 becomes U+FFFD and a tab a space. Control characters (C0, DEL and C1, which terminals obey:
/// ECMA-48), line and paragraph separators, and the characters that embed, override or isolate a writing direction
/// (UAX #9) are shown as escapes: `\x1b`, `\u{202e}`. All else passes unharmed, in any script.
pub(crate) fn printable(received: &[u8]) -> String {
    if received.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        // Nearly every line: plain ASCII.
        return String::from_utf8_lossy(received).into_owned();
    }
    let text = String::from_utf8_lossy(received);
    if !text.contains(must_be_escaped) {
        return text.into_owned();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            c if !must_be_escaped(c) => shown.push(c),
            // Writing to a string cannot fail.
            '\0'..='\u{ff}' => drop(write!(shown, "\\x{:02x}", u32::from(c))),
            c => drop(write!(shown, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    shown
}

fn must_be_escaped(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_control_character_is_shown_as_an_escape() {
        for byte in (0..=0x1f).chain([0x7f]).filter(|byte| *byte != b'\t') {
            assert_eq!(printable(&[byte]), format!("\\x{byte:02x}"));
        }
        for c in '\u{80}'..='\u{9f}' {
            assert_eq!(printable(c.to_string().as_bytes()), format!("\\x{:02x}", u32::from(c)));
        }
        let directions =
            "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}";
        let shown =
            r"\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}";
        assert_eq!(printable(directions.as_bytes()), shown);
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
            "e\u{301}",
            "\u{200f}",
        ] {
            assert_eq!(printable(text.as_bytes()), text);
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(printable(b"caf\xe9 \xff ok"), "caf\u{fffd} \u{fffd} ok");
        assert_eq!(printable(b"\x9b2J"), "\u{fffd}2J");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_gets_through(received: Vec<u8>) {
            let shown = printable(&received);
            prop_assert!(!shown.contains(must_be_escaped), "{shown:?}");
            prop_assert_eq!(printable(shown.as_bytes()), shown);
        }
    }
}

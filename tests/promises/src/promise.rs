//! The promises: one table, in the order in which they are printed.

use crate::checks::{commands, hostile, leaving, order, resources, stalled, talk};
use crate::outcome::Outcome;
use crate::servers::Stage;
use crate::visit::Visit;

/// A promise, with all that `--explain` tells of it. It stands next to its check.
pub struct Promise {
    /// It stays for ever: a new promise gets the next one, and that of a promise which is gone is not used
    /// again.
    pub number: u8,
    pub name: &'static str,
    pub sentence: &'static str,
    pub how: &'static str,
    pub why: &'static str,
    pub broken_by: &'static str,
    pub stage: Stage,
    pub check: fn(&Visit) -> Outcome,
}

pub const ALL: [&Promise; 27] = [
    &talk::GREETS,
    &talk::EVERYONE_HEARS,
    &commands::UNIQUE_NAMES,
    &commands::PRIVATE_STAYS_PRIVATE,
    &commands::LISTED,
    &leaving::LEAVE_SAID_ONCE,
    &leaving::LAST_LINE_COUNTS,
    &leaving::HANG_UP_IS_HEARD,
    &leaving::SCRIPT_GETS_RECEIPT,
    &leaving::QUIT_LOSES_NOTHING,
    &talk::HUNDREDTH_CLIENT,
    &talk::ONE_MACHINE_LEAVES_PLACES,
    &order::ONE_ORDER,
    &order::BURST_ARRIVES_WHOLE,
    &order::PACKETS_ARE_NO_LINES,
    &stalled::STOPS_NOBODY,
    &stalled::HOLDS_UP_NOBODY,
    &stalled::BOUNDED_MEMORY,
    &stalled::SEES_NO_GAP,
    &hostile::ENDLESS_LINE_BOUNDED,
    &hostile::NO_ESCAPE_SEQUENCES,
    &hostile::HTTP_IS_NOT_HEARD,
    &hostile::FLOODER_DELAYS_NOBODY,
    &hostile::FLOODER_LEAVES_ROOM,
    &resources::CHURN_LEAVES_NOTHING,
    &resources::DESCRIPTORS_RUN_OUT,
    &resources::GOODBYE_ON_SIGTERM,
];

/// The promises with this name, or whose names begin with it.
pub fn named(name: &str) -> Vec<&'static Promise> {
    let exact: Vec<_> = ALL.into_iter().filter(|promise| promise.name == name).collect();
    if exact.is_empty() {
        ALL.into_iter().filter(|promise| promise.name.starts_with(name)).collect()
    } else {
        exact
    }
}

/// All promises as a page: `src/guide/promises.md`.
pub fn page() -> String {
    let intro = [
        "<!-- make promises ARGS=\"--write-explanations src/guide/promises.md\" writes this page. -->",
        "",
        "What each promise of `make promises` asks of a chat server, how it is checked, and how servers break it. The",
        "server may be any program that takes lines over TCP. Promises about something that it does not have are *not",
        "offered*. [The lesson][lesson] and [Side by side][side_by_side] have the verdicts. A promise keeps its number.",
        "",
    ];
    let intro = intro.join("\n");
    let promises: String = ALL.into_iter().map(Promise::section).collect();
    format!("{intro}{promises}\n[lesson]: lesson.md\n[side_by_side]: side_by_side.md\n")
}

impl Promise {
    fn section(&self) -> String {
        let Promise { number, name, sentence, how, why, broken_by, .. } = self;
        let is_alone = matches!(self.stage, Stage::Alone | Stage::FloodAlone);
        let alone = if is_alone { " It has a server of its own." } else { "" };
        format!(
            "\n# {number}. {name}\n\n{sentence}\n\n- **Checked:** {how}{alone}\n- **Why:** {why}\n- **Broken by:** {broken_by}\n"
        )
    }

    /// Whether a server breaks it only now and then: one broken run says more than one in which it holds.
    pub fn is_broken_by_chance(&self) -> bool {
        let races = [
            "unique-names",
            "script-gets-receipt",
            "one-order",
            "burst-arrives-whole",
            "hang-up-is-heard",
            "quit-loses-nothing",
        ];
        races.contains(&self.name)
    }

    pub fn explanation(&self) -> String {
        let Promise { name, sentence, how, why, broken_by, .. } = self;
        let paragraphs = [
            format!("{name}: {sentence}"),
            format!("How it is checked: {how}"),
            format!("Why: {why}"),
            format!("How servers break it: {broken_by}"),
        ];
        paragraphs.map(|paragraph| wrapped(&paragraph)).join("\n")
    }
}

/// The text in lines that fit a terminal of 80 columns.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.chars().count() > 78 {
            lines.push('\n');
            width = 0;
        }
        if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += word.chars().count();
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        for (index, promise) in ALL.iter().enumerate() {
            assert!(
                promise.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                promise.name
            );
            assert!(ALL[..index].iter().all(|other| other.name != promise.name), "{} twice", promise.name);
        }
    }

    #[test]
    fn a_beginning_selects_all_that_begin_with_it() {
        assert_eq!(named("stalled-").len(), 4);
        assert_eq!(named("greets").len(), 1);
        assert!(named("nothing").is_empty());
    }

    #[test]
    fn no_two_promises_have_one_number() {
        let mut numbers = ALL.map(|promise| promise.number);
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{numbers:?}");
    }

    #[test]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/guide/promises.md");
        assert!(std::fs::read_to_string(path).unwrap() == page(), "write it again with --write-explanations");
    }
}

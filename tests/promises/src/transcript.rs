//! What happened in a check, as a conversation in the notation of the lesson: `alice$` is a shell, `alice>`
//! is typed, and `alice:` is seen. Anyone can play it again with netcat.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::person::shortened;

/// A check may send gigabytes. How it began and how it ended is kept, and what came between is counted.
const FIRST: usize = 16;
const LAST: usize = 32;

/// So many characters of a line.
const SEEN: usize = 100;

/// All people of a check write into one of these.
#[derive(Clone, Debug)]
pub struct Transcript(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    begun: Instant,
    people: BTreeMap<String, u32>,
    first: Vec<Entry>,
    left_out: usize,
    last: VecDeque<Entry>,
}

/// Texts that one person said, or saw, without anything else between them.
#[derive(Debug)]
struct Entry {
    /// Seconds since the check began.
    at: f32,
    who: String,
    mark: char,
    first: [Option<String>; 2],
    more: usize,
    last: String,
}

impl Transcript {
    pub fn new() -> Transcript {
        Transcript(Arc::new(Mutex::new(Book {
            begun: Instant::now(),
            people: BTreeMap::new(),
            first: Vec::new(),
            left_out: 0,
            last: VecDeque::new(),
        })))
    }

    /// A name for a person of this check: the second racer is racer2.
    pub fn introduces(&self, name: &str) -> String {
        let mut book = self.0.lock().expect("no holder panics");
        let number = book.people.entry(name.to_owned()).or_default();
        *number += 1;
        if *number == 1 { name.to_owned() } else { format!("{name}{number}") }
    }

    /// `mark` is `$` for what happens to the connection, `>` for what is typed and `:` for what is seen.
    pub fn notes(&self, who: &str, mark: char, text: &str) {
        let mut book = self.0.lock().expect("no holder panics");
        let at = book.begun.elapsed().as_secs_f32();
        let book = &mut *book;
        let previous = book.last.back_mut().or(book.first.last_mut());
        if let Some(entry) = previous.filter(|entry| entry.mark == mark && entry.who == who && mark != '$') {
            match &mut entry.first {
                [_, second @ None] => *second = Some(shortened(text)),
                _ => {
                    entry.more += 1;
                    entry.last.clear();
                    entry.last.extend(text.chars().take(SEEN)); // It is made readable at the end, if at all.
                }
            }
            return;
        }
        let entry = Entry {
            at,
            who: who.to_owned(),
            mark,
            first: [Some(shortened(text)), None],
            more: 0,
            last: String::new(),
        };
        if book.first.len() < FIRST {
            return book.first.push(entry);
        }
        book.last.push_back(entry);
        if book.last.len() > LAST {
            book.last.pop_front();
            book.left_out += 1;
        }
    }

    /// All of it, line by line, each with the seconds since the beginning.
    pub fn lines(&self) -> Vec<String> {
        let book = self.0.lock().expect("no holder panics");
        let mut lines: Vec<String> = book.first.iter().flat_map(Entry::lines).collect();
        if book.left_out > 0 {
            lines.push(format!("         … ({} more)", book.left_out));
        }
        lines.extend(book.last.iter().flat_map(Entry::lines));
        lines
    }
}

impl Entry {
    fn lines(&self) -> Vec<String> {
        let Entry { at, who, mark, .. } = self;
        let line = |text: &String| format!("{at:8.3} {who}{mark} {text}");
        let mut lines: Vec<String> = self.first.iter().flatten().map(line).collect();
        match self.more {
            0 => {}
            1 => lines.push(line(&shortened(&self.last))),
            more => lines.extend([line(&format!("… ({} more)", more - 1)), line(&shortened(&self.last))]),
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_times(transcript: &Transcript) -> Vec<String> {
        transcript.lines().iter().map(|line| line[9..].to_owned()).collect()
    }

    #[test]
    fn a_long_paste_is_its_beginning_and_its_end() {
        let transcript = Transcript::new();
        let alice = transcript.introduces("alice");
        transcript.notes(&alice, '$', "nc localhost 12345");
        (1..=100).for_each(|number| transcript.notes(&alice, '>', &format!("line {number}")));
        transcript.notes(&alice, ':', "line 1");
        let expected = [
            "alice$ nc localhost 12345",
            "alice> line 1",
            "alice> line 2",
            "alice> … (97 more)",
            "alice> line 100",
            "alice: line 1",
        ];
        assert_eq!(without_times(&transcript), expected);
    }

    #[test]
    fn a_long_talk_is_its_beginning_and_its_end() {
        let transcript = Transcript::new();
        let people = [transcript.introduces("racer"), transcript.introduces("racer")];
        (0..1000).for_each(|number| transcript.notes(&people[number % 2], '>', "hello"));
        let lines = without_times(&transcript);
        assert_eq!(lines.len(), FIRST + 1 + LAST);
        assert_eq!(lines[..2], ["racer> hello", "racer2> hello"]);
        assert_eq!(lines[FIRST], format!("… ({} more)", 1000 - FIRST - LAST));
    }
}

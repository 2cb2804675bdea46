//! The judgement after a round of the soak test: the lines that each visitor saw, compared with the deeds of
//! all. No comparison has any tolerance, and none depends on how fast the machine is.

use crate::soak::{Ending, Visit, Whisper};
use std::collections::HashMap;

const TOO_SLOW: &str = " left (too slow";

/// Is this line for everyone? Nobody here asks the server for anything else that begins with `***`.
pub fn is_public(line: &str) -> bool {
    !line.starts_with('[') && !line.starts_with("!!! ")
}

/// The name of the person whom a line is from or about: `<alice> …`, `* alice …`, `***
/// alice …`, `[alice -> you] …`.
pub fn speaker(line: &str) -> &str {
    let name = line.trim_start_matches(['<', '*', '[', ' ']);
    name.split(['>', ' ']).next().unwrap()
}

/// Compares the lines that each person saw with the deeds of all.
pub fn judge(sequence: &[String], visits: &[Visit]) {
    let mut who = HashMap::new();
    for (number, visit) in visits.iter().enumerate() {
        who.extend(visit.names.iter().map(|name| (name.as_str(), number)));
    }
    let mut places = vec![Vec::new(); visits.len()];
    for (place, line) in sequence.iter().enumerate() {
        let visit = who.get(speaker(line)).expect(line);
        places[*visit].push(place);
    }
    let mut complete = Vec::new();
    for (visit, places) in visits.iter().zip(&places) {
        complete.push(judge_public(sequence, visit, places));
    }
    judge_private(visits, &who, &complete);
}

/// All that a visitor said came out whole, once and in order, at these places of the sequence; and the
/// visitor saw its run from coming to leaving. Returns false if the end of that run may be missing, because
/// the connection was broken off.
fn judge_public(sequence: &[String], visit: &Visit, places: &[usize]) -> bool {
    let name = visit.names.last().unwrap();
    let (Some(&first), Some(&last)) = (places.first(), places.last()) else {
        assert!(visit.said.len() <= 1 || visit.ending == Ending::Reset, "{name} was never heard");
        return false; // It was gone before it was announced.
    };
    let too_slow = sequence[last].contains(TOO_SLOW);
    let broken_off = too_slow || visit.ending == Ending::Reset;
    let explained = too_slow || visit.ending != Ending::CutOff;
    assert!(explained, "{name} was cut off without a word");

    let mut said: Vec<&String> = places.iter().map(|&place| &sequence[place]).collect();
    if broken_off {
        let (left, before) = (said.pop().unwrap(), said.last().unwrap());
        let new_name = before.split_once(" is now ").map(|(_, name)| name);
        let name = new_name.unwrap_or(speaker(before));
        let why = if too_slow { TOO_SLOW } else { " left" };
        assert!(left.starts_with(&format!("*** {name}{why}")), "{left}");
    }
    compare(name, "said", &said, &visit.said, !broken_off);

    let end = match visit.ending {
        _ if too_slow => last,
        Ending::Stayed => sequence.len(),
        Ending::Quit | Ending::Dawdled => last + 1,
        Ending::HalfClosed | Ending::Reset | Ending::CutOff => last,
    };
    let complete = !broken_off && visit.ending != Ending::Dawdled;
    let seen: Vec<&String> = visit.seen.iter().filter(|line| is_public(line)).collect();
    // A newcomer also sees the lines between its welcome and the one that announces it.
    let begun = seen.first().and_then(|line| sequence[..first].iter().rposition(|earlier| earlier == *line));
    let run = sequence[begun.unwrap_or(first)..first].iter().chain(&sequence[first + 1..end]);
    let run: Vec<String> = run.filter(|line| !is_of_an_earlier_guest(line, visit)).cloned().collect();
    compare(name, "saw", &seen, &run, complete);
    assert!(!complete || !visit.mid_line, "{name} saw half a line");
    complete
}

/// Whether a line announces a guest who came before this visitor, who has found that guest here.
fn is_of_an_earlier_guest(line: &str, visit: &Visit) -> bool {
    let number = |name: &str| name.strip_prefix("guest")?.parse::<u64>().ok();
    let joined = line.strip_prefix("*** ").and_then(|line| line.strip_suffix(" joined"));
    joined.and_then(number).is_some_and(|guest| Some(guest) < number(&visit.names[0]))
}

/// Fails unless the lines are the expected ones, or the first of them where not all are needed.
fn compare(who: &str, did: &str, lines: &[&String], expected: &[String], all: bool) {
    let needed = if all { expected.len() } else { 0 };
    for place in 0..lines.len().max(needed) {
        let (line, right) = (lines.get(place).copied(), expected.get(place));
        assert!(line == right, "line {place} that {who} {did} is {line:?} instead of {right:?}");
    }
}

/// Every private line reached its recipient and nobody else, once, and its author has a receipt for it; or it
/// reached nobody, and the author was told so.
fn judge_private(visits: &[Visit], who: &HashMap<&str, usize>, complete: &[bool]) {
    let mut readers = HashMap::new();
    for (reader, visit) in visits.iter().enumerate() {
        for line in visit.seen.iter().filter(|line| is_whisper(line)) {
            assert_eq!(readers.insert(line, reader), None, "twice: {line}");
        }
    }
    for (visit, complete_here) in visits.iter().zip(complete) {
        let (mut whispers, mut wrote_last) = (visit.whispers.iter(), None);
        for answer in visit.seen.iter().filter(|line| !is_public(line)) {
            if is_whisper(answer) {
                let is_own = visit.names.iter().any(|name| name == speaker(answer));
                wrote_last = if is_own { wrote_last } else { Some(speaker(answer)) };
                continue;
            }
            // Every other line is the answer to the next whisper.
            let Whisper { to, line } = whispers.next().expect(answer);
            let reader = readers.remove(line);
            let Some((name, text)) = receipt(answer) else {
                let excuses = ["!!! No one here is called ", "!!! Nobody has written to you "];
                assert!(excuses.iter().any(|excuse| answer.starts_with(excuse)), "{answer}");
                assert_eq!(reader, None, "seen, but answered with {answer:?}: {line}");
                continue;
            };
            let to = who[to.as_deref().or(wrote_last).expect("a line came before the reply")];
            assert_eq!(who[name], to, "for another person: {line}");
            assert!(line.ends_with(&format!("] {text}")), "{text:?} for {line}");
            let lost = reader.is_none() && !complete[to];
            assert!(reader == Some(to) || lost, "seen by {reader:?}, not {to}: {line}");
        }
        // Only the last whispers of a person whose connection was broken off are without an answer.
        for Whisper { to, line } in whispers {
            assert!(!complete_here, "no answer: {line}");
            let reader = readers.remove(line);
            let wrong = |to: &String| reader.is_some_and(|reader| reader != who[to.as_str()]);
            assert!(!to.as_ref().is_some_and(wrong), "seen by {reader:?}: {line}");
        }
    }
    assert!(readers.is_empty(), "nobody wrote {readers:?}");
}

/// Is this a private line, as its reader sees it?
fn is_whisper(line: &str) -> bool {
    line.starts_with('[') && !line.starts_with("[you -> ")
}

/// The name and the text in `[you -> alice] hello`, the author's copy of a private line.
fn receipt(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("[you -> ")?.split_once("] ")
}

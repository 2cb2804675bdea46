//! Many lines at once: all of them, and in one order.

use std::sync::Barrier;
use std::thread;

use crate::manners::what_packets_become;
use crate::outcome::{Finding, Outcome, broken};
use crate::person::Person;
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::token;
use crate::visit::{Visit, hear_each_other};

/// Lines of one flooder. More than 200 at once may be slowed down.
const LINES: usize = 150;

/// Two threads may agree by luck, so they get more than one chance not to.
const ROUNDS: usize = 4;

pub const ONE_ORDER: Promise = Promise {
    number: 10,
    name: "one-order",
    sentence: "Two speak at the same time, and everyone sees their lines in the same order.",
    how: "Two clients send 150 lines each, at once and line by line, four times over. All readers (the two \
          of them too, where they get their own lines) must have seen all lines, in one order.",
    why: "In two orders, the answer stands before the question for some.",
    broken_by: "Each client's thread writes to everyone, with a lock for each socket and none for the room.",
    stage: Stage::Shared,
    check: one_order,
};

fn one_order(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    // They stay to the end, because some servers do not bear it when a client leaves with lines unread.
    let mut all_flooders = Vec::new();
    for _ in 0..ROUNDS {
        let mut flooders = [visit.arrives("flora")?, visit.arrives("flint")?];
        visit.is_heard(&mut alice, &mut [&mut bob])?;
        let texts = flood(&mut flooders)?;
        let on_alices = order_seen(&mut alice, &texts)?;
        compare(&on_alices, &order_seen(&mut bob, &texts)?, "bob")?;
        if visit.manners.echoes {
            for flooder in &mut flooders {
                compare(&on_alices, &order_seen(flooder, &texts)?, &flooder.label)?;
            }
        }
        all_flooders.push(flooders);
    }
    Ok(String::new())
}

/// Both send all their lines at once. Returns what they said.
fn flood(flooders: &mut [Person; 2]) -> Result<Vec<String>, Finding> {
    let start = Barrier::new(flooders.len());
    thread::scope(|scope| {
        let floods = flooders.each_mut().map(|flooder| {
            let start = &start;
            scope.spawn(move || {
                let texts: Vec<String> = (0..LINES).map(|_| token()).collect();
                start.wait();
                texts.iter().try_for_each(|text| flooder.says(text)).map(|()| texts)
            })
        });
        let mut all = Vec::new();
        for flood in floods {
            all.append(&mut flood.join().expect("a flooder does not panic")?);
        }
        Ok(all)
    })
}

/// The texts in the order in which they appear on this screen.
fn order_seen(reader: &mut Person, texts: &[String]) -> Result<Vec<String>, Finding> {
    let seen = reader.reads_until_all(texts)?;
    let text_in = |line: &String| texts.iter().find(|text| line.contains(text.as_str())).cloned();
    Ok(seen.iter().filter_map(text_in).collect())
}

fn compare(one: &[String], other: &[String], whose: &str) -> Result<(), Finding> {
    match one.iter().zip(other).position(|(one, other)| one != other) {
        Some(place) => broken!("from line {} on, {whose} saw another order than alice", place + 1),
        None => Ok(()),
    }
}

/// A paste, in one packet if the network likes.
const PASTE: usize = 180;

pub const BURST_ARRIVES_WHOLE: Promise = Promise {
    number: 11,
    name: "burst-arrives-whole",
    sentence: "A paste of 180 lines arrives whole, once, and in its order.",
    how: "alice sends 180 lines at once. bob must see all of them, each once, in her order.",
    why: "People paste logs, and a log with a hole is worse than none.",
    broken_by: "A limit that drops what is over it, a queue that overwrites its oldest, a read that is taken \
          for a line.",
    stage: Stage::Shared,
    check: burst_arrives_whole,
};

fn burst_arrives_whole(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let lines: Vec<String> = (0..PASTE).map(|_| token()).collect();
    alice.says_lines(&(lines.join("\n") + "\n"))?;
    let last = lines.last().expect("it is not empty");
    let seen = match bob.reads_until(last) {
        Ok(seen) => seen,
        Err(_) => return broken!("bob did not see the last line"),
    };
    let in_place = |line: &String| lines.iter().position(|text| line.contains(text.as_str()));
    let order: Vec<usize> = seen.iter().filter_map(in_place).collect();
    match (0..PASTE).find(|place| order.get(*place) != Some(place)) {
        Some(place) => {
            broken!("bob saw {} of {PASTE} lines; line {} is not in its place", order.len(), place + 1)
        }
        None => Ok(String::new()),
    }
}

pub const PACKETS_ARE_NO_LINES: Promise = Promise {
    number: 12,
    name: "packets-are-no-lines",
    sentence: "A line is a line, however it is cut into packets, and however many come in one.",
    how: "alice sends one line in two packets, and then three lines in one. bob must see each line whole, and \
          as a line of its own that begins as alice's lines do.",
    why: "TCP carries bytes. What one `write` sends, one `read` need not get: a slow network cuts, and a paste \
          joins.",
    broken_by: "What one `read` returns is taken for a message: the commonest fault of tutorial servers.",
    stage: Stage::Shared,
    check: packets_are_no_lines,
};

fn packets_are_no_lines(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    let (mut alice, mut bob) = (visit.connects("alice")?, visit.connects("bob")?);
    hear_each_other(&mut alice, &mut bob)?;
    hear_each_other(&mut bob, &mut alice)?;
    match what_packets_become(&mut alice, &mut bob)? {
        Some(seen) => Err(Finding::Broken(seen)),
        None => Ok(String::new()),
    }
}

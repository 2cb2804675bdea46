//! A reader who stops: a terminal after Ctrl-S, a laptop that sleeps.
//!
//! All three checks send much more than the kernel's buffers hold (a socket of the server may take 4 MiB, see
//! tcp(7)) while one client does not read. The talkers have at most two batches on their way, and read what
//! they have said: so nobody but the one who has stopped is behind, and what piles up piles up for that one.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use crate::outcome::{Finding, Outcome, broken};
use crate::person::{Person, is_timeout, patience};
use crate::process::Process;
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::token;
use crate::visit::Visit;

/// Bytes of one line, of one batch and of one round.
const LINE: usize = 1024;
const BATCH: usize = 64 * LINE;
const ROUND: usize = 16 << 20;

/// A server that takes less than this in a round of at most [`SLOWEST`] cannot be tested in this way.
const ENOUGH: usize = 12 << 20;
const SLOWEST: Duration = Duration::from_secs(15);

/// alice, who talks, bob, who reads, and a number for each line.
struct Talk {
    alice: Person,
    bob: Person,
    said: usize,
    seen: usize,
    mark: String,
    /// The longest time that a batch took to arrive, in the last round.
    longest: Duration,
}

/// How a round ended.
enum Round {
    /// Everything was said, and seen by alice and bob.
    Seen,
    /// So many bytes, and then the talk stood still.
    StoodStill(usize, Finding),
    /// The server takes only so many bytes in a time that has an end.
    Paced(usize),
}

impl Talk {
    fn begin(visit: &Visit) -> Result<Talk, Finding> {
        visit.needs_relay()?;
        let (alice, bob) = visit.alice_and_bob()?;
        Ok(Talk { alice, bob, said: 0, seen: 0, mark: token(), longest: Duration::ZERO })
    }

    /// alice says 16 MiB, and both read it: the first batch while the second is on its way, and so on. With
    /// one batch at a time, its end would wait for Nagle's algorithm in servers that leave it on. Where each
    /// packet is taken for a line, she says one at a time, and goes on when it has come.
    fn round(&mut self, visit: &Visit) -> Round {
        let start = Instant::now();
        let mut bytes = 0;
        let one_by_one = visit.manners.packets;
        let lines = if one_by_one { 1 } else { BATCH / LINE };
        self.longest = Duration::ZERO;
        while bytes < ROUND {
            if start.elapsed() > SLOWEST && bytes < ENOUGH {
                return Round::Paced(bytes);
            }
            let first = self.said;
            let begun = Instant::now();
            let end = if one_by_one { first + lines } else { first };
            if let Err(finding) = self.alice_says(lines).and_then(|()| self.both_read_up_to(end, visit)) {
                return Round::StoodStill(bytes, finding);
            }
            bytes += lines * LINE;
            self.longest = self.longest.max(begun.elapsed());
        }
        match self.both_read_up_to(self.said, visit) {
            Ok(()) => Round::Seen,
            Err(finding) => Round::StoodStill(bytes, finding),
        }
    }

    fn alice_says(&mut self, lines: usize) -> Result<(), Finding> {
        let mut text = String::with_capacity(BATCH);
        for _ in 0..lines {
            let head = format!("{} {:08} ", self.mark, self.said);
            text.push_str(&format!("{head:x<width$}\n", width = LINE - 1));
            self.said += 1;
        }
        self.alice.sends(text.as_bytes())
    }

    /// They read all lines before the one with this number, and bob misses none.
    fn both_read_up_to(&mut self, end: usize, visit: &Visit) -> Result<(), Finding> {
        if end == self.seen {
            return Ok(());
        }
        let last = format!("{} {:08} ", self.mark, end - 1);
        let seen = self.bob.reads_until_one("alice's next lines", |line| line.contains(&last))?;
        if visit.manners.echoes {
            self.alice.reads_until(&last)?;
        }
        let numbers = seen.iter().filter_map(|line| number_in(line, &self.mark));
        let whole = numbers.eq(self.seen..end);
        self.seen = end;
        if whole { Ok(()) } else { broken!("bob, who reads, did not see every line") }
    }
}

/// The number of the line, if it is one of this talk.
fn number_in(line: &str, mark: &str) -> Option<usize> {
    let (_, rest) = line.split_once(mark)?;
    rest.trim_start().get(..8)?.parse().ok()
}

/// mallory, in the room, with a buffer as small as the kernel allows, reading nothing.
fn stalled_reader(visit: &Visit, talk: &mut Talk) -> Result<Person, Finding> {
    // mallory cannot read that the server wants no new client at this moment, so there are five attempts.
    for _ in 0..5 {
        let mut mallory = visit.connects_with_small_buffer("mallory")?;
        let text = token();
        // An error shows in that bob does not see it.
        let _ = mallory.says(&text);
        if talk.bob.sees_within(&text, patience() / 5) {
            return Ok(mallory);
        }
    }
    broken!("bob never saw the line of mallory, who does not read")
}

fn paced(bytes: usize) -> Finding {
    Finding::NotRun(format!(
        "it took {} KiB in {} s: at this pace no reader falls behind; lift it (chat-server: --rate 0)",
        bytes >> 10,
        SLOWEST.as_secs()
    ))
}

pub const STOPS_NOBODY: Promise = Promise {
    number: 13,
    name: "stalled-stops-nobody",
    sentence: "A reader who stops does not stop the others.",
    how: "mallory stops reading. alice says 16 MiB in lines of 1 KiB, and bob must see every line of it.",
    why: "One sleeping laptop would silence the room.",
    broken_by: "The server writes to one client after the other, and a write waits until there is room: for \
          ever, and with the lock held.",
    stage: Stage::Flood,
    check: stops_nobody,
};

fn stops_nobody(visit: &Visit) -> Outcome {
    round_beside_a_stalled_reader(visit).map(|_| String::new())
}

/// The longest time that a batch took to arrive in a round in which mallory does not read.
fn round_beside_a_stalled_reader(visit: &Visit) -> Result<Duration, Finding> {
    let mut talk = Talk::begin(visit)?;
    let _mallory = stalled_reader(visit, &mut talk)?;
    match talk.round(visit) {
        Round::Seen => Ok(talk.longest),
        Round::Paced(bytes) => Err(paced(bytes)),
        Round::StoodStill(bytes, Finding::Broken(why)) => broken!("after {} KiB: {why}", bytes >> 10),
        Round::StoodStill(_, other) => Err(other),
    }
}

/// A batch takes a few milliseconds. A machine that is busy can take longer, but not in each of three rounds.
const HELD_UP: Duration = Duration::from_millis(150);
const TRIES: usize = 3;

pub const HOLDS_UP_NOBODY: Promise = Promise {
    number: 14,
    name: "stalled-holds-up-nobody",
    sentence: "A reader who stops does not hold up the others' lines, not even for a moment.",
    how: "mallory stops reading, alice says 16 MiB, and bob reads. Broken if some 64 KiB took 150 ms or more \
          from alice to bob, in each of three tries with a new mallory.",
    why: "A write with a timeout cuts the reader off in the end, and until then the room waits: again for \
          the next one.",
    broken_by: "The server writes to one client after the other, and each write may wait for so long.",
    stage: Stage::Flood,
    check: holds_up_nobody,
};

fn holds_up_nobody(visit: &Visit) -> Outcome {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        shortest = shortest.min(round_beside_a_stalled_reader(visit)?);
        if shortest < HELD_UP {
            return Ok(format!("at most {} ms", shortest.as_millis()));
        }
    }
    broken!("the others waited {} ms, in the best of {TRIES} rounds", shortest.as_millis())
}

/// Memory may grow a little for many reasons, and a virtual machine's heap for no reason at all. So there are
/// this many rounds to show that it does not grow with the lines said.
const ROUNDS: usize = 6;

pub const BOUNDED_MEMORY: Promise = Promise {
    number: 15,
    name: "stalled-bounded-memory",
    sentence: "A reader who stops does not eat the server's memory.",
    how: "alice says 16 MiB at a time until the resident memory of the process stands still. mallory stops \
          reading, and alice says 16 MiB up to six more times. Kept as soon as the memory has grown by less \
          than half of what was said since, or stands still over two rounds. (A JVM's memory means more with \
          a small heap: -XX:+UseSerialGC -Xms16m.)",
    why: "A few readers who have stopped end the server, and everyone's talk with it.",
    broken_by: "A channel without a bound for each client: nobody ever waits, and nothing is ever thrown \
          away.",
    stage: Stage::FloodAlone,
    check: bounded_memory,
};

fn bounded_memory(visit: &Visit) -> Outcome {
    let process = visit.needs_measured_process()?;
    let mut talk = Talk::begin(visit)?;
    let before = memory_that_stands_still(visit, process, &mut talk)?;
    let _mallory = stalled_reader(visit, &mut talk)?;
    // In KiB, before each round and after the last.
    let mut memory = vec![before];
    for round in 1..=ROUNDS {
        match talk.round(visit) {
            Round::Seen => (),
            Round::Paced(bytes) => return Err(paced(bytes)),
            Round::StoodStill(..) if process.has_ended() => return broken!("the server ended"),
            Round::StoodStill(bytes, _) => {
                return Ok(format!("the room stood still after {} KiB", bytes >> 10));
            }
        }
        let now = process.resident();
        let said = (round * ROUND) as u64 >> 10;
        let stands_still = round > 2 && now.saturating_sub(memory[round - 2]) < ROUND as u64 >> 11;
        if now.saturating_sub(before) <= said / 2 || stands_still {
            return Ok(format!("{} MiB more for {} MiB said", now.saturating_sub(before) >> 10, said >> 10));
        }
        memory.push(now);
    }
    broken!(
        "memory grew by {} MiB while {} MiB were said",
        (memory[ROUNDS] - before) >> 10,
        (ROUNDS * ROUND) >> 20
    )
}

/// Talks until a round costs hardly any memory, and returns how much there is then, in KiB.
fn memory_that_stands_still(visit: &Visit, process: &Process, talk: &mut Talk) -> Result<u64, Finding> {
    const MOST_ROUNDS: usize = 8;
    let mut before = process.resident();
    for _ in 0..MOST_ROUNDS {
        match talk.round(visit) {
            Round::Seen => (),
            Round::Paced(bytes) => return Err(paced(bytes)),
            Round::StoodStill(_, finding) => return Err(finding),
        }
        let now = process.resident();
        if now < before + (ROUND as u64 >> 13) {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

pub const SEES_NO_GAP: Promise = Promise {
    number: 16,
    name: "stalled-sees-no-gap",
    sentence: "A reader who stops and goes on misses no line unseen.",
    how: "mallory stops reading, alice says 16 MiB, and mallory goes on. The lines must be all there, one \
          after the other, up to the last one or to the end of the connection.",
    why: "A reader that is cut off knows it, and connects again. A gap that nobody sees is a lie.",
    broken_by: "A full queue drops the newest line, or the oldest; a broadcast channel skips those that lag.",
    stage: Stage::Flood,
    check: sees_no_gap,
};

fn sees_no_gap(visit: &Visit) -> Outcome {
    let mut talk = Talk::begin(visit)?;
    let mallory = stalled_reader(visit, &mut talk)?;
    let round = talk.round(visit);
    if let Round::Paced(bytes) = round {
        return Err(paced(bytes));
    }
    // Where the room stood still, the lines of the last batch may not all have been taken.
    let last = if matches!(round, Round::Seen) { talk.said.checked_sub(1) } else { None };
    let _ = mallory.socket().set_read_timeout(Some(if last.is_some() { patience() } else { patience() / 4 }));
    let mut reader = BufReader::with_capacity(1 << 16, mallory.socket());
    let mut expected = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        // No line is longer than this, whatever the server puts before it.
        match (&mut reader).take(4 * LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) => {
                return Ok(format!("cut off after {expected} lines, and told by the end of the connection"));
            }
            Err(error) if is_timeout(&error) => {
                return if last.is_some() {
                    broken!("nothing more came after line {expected}")
                } else {
                    Ok("the room stood still".into())
                };
            }
            Err(_) => return Ok(format!("cut off after {expected} lines, and told by a reset")),
            Ok(_) => (),
        }
        let Some(number) = number_in(&String::from_utf8_lossy(&line), &talk.mark) else { continue };
        if number != expected {
            return broken!("line {number} came where line {expected} should be");
        }
        if Some(number) == last {
            return Ok("everything came".into());
        }
        expected += 1;
    }
}

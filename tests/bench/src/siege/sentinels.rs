//! Pairs of people who talk to each other as people do, two lines a second each: one calls, the other
//! answers, and the round trip is timed.
//!
//! The calls are due at fixed times, whether or not the answers come, so a stall shows in all the calls that
//! it delayed. One of them also counts what a reader sees of the attack: joins, leaves and bytes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::event::{Timespec, poll};
use rustix::io::Errno;

use super::person::{Person, marked};
use super::place::{Family, Part};

/// How many pairs there are, and the time between two calls of one pair.
const PAIRS: usize = 4;
const PERIOD: Duration = Duration::from_millis(500);

/// How long they may take to find each other, and wait for the last answer.
const PATIENCE: Duration = Duration::from_secs(15);
const LAST_ANSWER: Duration = Duration::from_secs(2);

const CALL: &str = "call";
const ANSWER: &str = "answer";

pub struct Sentinels {
    callers: Vec<Person>,
    answerers: Vec<Person>,
    /// When each call was due, and how long its answer took. They take turns: call `n` is that of pair `n %
    /// PAIRS`.
    calls: Vec<(Instant, Option<Duration>)>,
    seen: Seen,
}

/// The news in the room, as a reader sees them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub bytes: u64,
    /// Lines that tell of a join or a leave.
    pub comings: u64,
}

/// What the sentinels found.
pub struct Watch {
    /// Sorted. A call without an answer counts as long as it was waited for.
    pub round_trips: Vec<Duration>,
    pub unanswered: usize,
    pub seen: Seen,
    /// How many of them the server has disconnected.
    pub cut_off: usize,
}

impl Sentinels {
    /// Connects them and lets each pair find each other.
    pub fn join(family: Family, server: SocketAddr) -> Result<Self> {
        let person = |number| Person::connect(family, Part::Sentinel, number, server);
        let mut sentinels = Self {
            callers: (0..PAIRS).map(person).collect::<Result<_>>()?,
            answerers: (PAIRS..2 * PAIRS).map(person).collect::<Result<_>>()?,
            calls: Vec::new(),
            seen: Seen::default(),
        };
        let start = Instant::now();
        // Lines said before the other one is in are lost, so all call again.
        while sentinels.unanswered() > 0 || sentinels.calls.is_empty() {
            if start.elapsed() > PATIENCE || sentinels.cut_off() > 0 {
                bail!("the sentinels cannot hear each other");
            }
            sentinels.calls.clear();
            (0..PAIRS).for_each(|_| sentinels.call(Instant::now()));
            let wait = Instant::now() + PERIOD;
            while sentinels.unanswered() > 0 && Instant::now() < wait {
                sentinels.listen_until(Instant::now() + PERIOD / 50)?;
            }
        }
        Ok(sentinels)
    }

    pub fn watch_until(&mut self, end: Instant) -> Result<Watch> {
        // The joins of the crowd are no news of the attack.
        self.listen_until(Instant::now())?;
        self.seen = Seen::default();
        self.calls.clear();
        let mut due = Instant::now();
        while due < end {
            self.call(due);
            due += PERIOD / PAIRS as u32;
            self.listen_until(due)?;
        }
        let seen = self.seen;
        let patience = Instant::now() + LAST_ANSWER;
        while self.unanswered() > 0 && Instant::now() < patience {
            self.listen_until(Instant::now() + PERIOD / 50)?;
        }
        let mut round_trips: Vec<Duration> =
            self.calls.iter().map(|(due, answer)| answer.unwrap_or_else(|| due.elapsed())).collect();
        round_trips.sort_unstable();
        Ok(Watch { round_trips, unanswered: self.unanswered(), seen, cut_off: self.cut_off() })
    }

    fn unanswered(&self) -> usize {
        self.calls.iter().filter(|(_, answer)| answer.is_none()).count()
    }

    fn cut_off(&self) -> usize {
        self.callers.iter().chain(&self.answerers).filter(|person| person.is_gone).count()
    }

    fn call(&mut self, due: Instant) {
        let number = self.calls.len();
        self.calls.push((due, None));
        self.callers[number % PAIRS].say_marked(CALL, number);
    }

    fn listen_until(&mut self, until: Instant) -> Result<()> {
        loop {
            self.answer();
            self.note_answers();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let here = self.callers.iter().chain(&self.answerers).filter(|person| !person.is_gone);
            let mut all: Vec<_> = here.map(Person::interest).collect();
            match poll(&mut all, Some(&Timespec::try_from(left)?)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn answer(&mut self) {
        for (pair, answerer) in self.answerers.iter_mut().enumerate() {
            let mut heard = Vec::new();
            answerer.read(|line| {
                if pair == 0 {
                    self.seen.count(line);
                }
                heard.extend(marked(line, CALL).filter(|number| number % PAIRS == pair));
            });
            heard.into_iter().for_each(|number| answerer.say_marked(ANSWER, number));
            answerer.send();
        }
    }

    fn note_answers(&mut self) {
        for (pair, caller) in self.callers.iter_mut().enumerate() {
            caller.read(|line| {
                let number = marked(line, ANSWER).filter(|number| number % PAIRS == pair);
                if let Some((due, answer @ None)) = number.and_then(|number| self.calls.get_mut(number)) {
                    *answer = Some(due.elapsed());
                }
            });
            caller.send();
        }
    }
}

impl Seen {
    fn count(&mut self, line: &[u8]) {
        self.bytes += line.len() as u64 + 1;
        let is_news = line.starts_with(b"*** ") && (line.ends_with(b" joined") || has(line, b" left"))
            || line.starts_with(b"<announce>") && has(line, b"connected");
        self.comings += u64::from(is_news);
    }
}

fn has(line: &[u8], what: &[u8]) -> bool {
    line.windows(what.len()).any(|part| part == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_leaves_are_counted_and_talk_is_not() {
        let mut seen = Seen::default();
        for line in [
            "*** bob joined",
            "*** bob left",
            "*** bob left (\"bye\")",
            "<bob> *** x joined",
            "*** 3 here: a",
        ] {
            seen.count(line.as_bytes());
        }
        seen.count(b"<announce> 127.0.0.1 is connected as <user5>.");
        assert_eq!(seen.comings, 4);
    }
}

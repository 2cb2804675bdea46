//! Two people who talk to each other all the time: one calls, the other answers, and the round trip is timed.
//!
//! The calls are due at fixed times, whether or not the answers come, so a stall shows in all the calls that
//! it delayed. The second of them also counts what a reader sees of the attack: joins, leaves and bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use memchr::memchr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use super::place;

/// The time between two calls. chat-server lets everybody say 20 lines a second, for as long as they like.
const PERIOD: Duration = Duration::from_millis(50);

/// How long the two may take to find each other, and wait for the last answer.
const PATIENCE: Duration = Duration::from_secs(15);
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// Occurs in no line but theirs.
const MARK: u8 = b'~';
const CALL: &str = "call";
const ANSWER: &str = "answer";

struct Person {
    socket: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    is_gone: bool,
}

pub struct Sentinels {
    caller: Person,
    answerer: Person,
    /// When each call was due, and how long its answer took.
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
    /// How many of the two the server has disconnected.
    pub cut_off: usize,
}

impl Sentinels {
    /// Connects the two and lets them find each other.
    pub fn join(address: SocketAddr) -> Result<Self> {
        let [caller, answerer] = place::SENTINELS.map(|place| Person::connect(place, address));
        let mut sentinels =
            Self { caller: caller?, answerer: answerer?, calls: Vec::new(), seen: Seen::default() };
        let start = Instant::now();
        while sentinels.calls.iter().all(|(_, answer)| answer.is_none()) {
            if start.elapsed() > PATIENCE || sentinels.cut_off() > 0 {
                bail!("the sentinels cannot hear each other");
            }
            sentinels.call(Instant::now());
            // Lines said before the other one is in are lost, so it calls again.
            sentinels.listen_until(Instant::now() + 4 * PERIOD)?;
        }
        sentinels.calls.clear();
        Ok(sentinels)
    }

    pub fn watch_until(&mut self, end: Instant) -> Result<Watch> {
        // The joins of the crowd are no news of the attack.
        self.listen_until(Instant::now())?;
        self.seen = Seen::default();
        self.calls.clear();
        let mut due = Instant::now();
        while due < end && self.cut_off() == 0 {
            self.call(due);
            due += PERIOD;
            self.listen_until(due)?;
        }
        let seen = self.seen;
        let patience = Instant::now() + LAST_ANSWER;
        while self.unanswered() > 0 && Instant::now() < patience && self.cut_off() == 0 {
            self.listen_until(Instant::now() + PERIOD / 10)?;
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
        usize::from(self.caller.is_gone) + usize::from(self.answerer.is_gone)
    }

    fn call(&mut self, due: Instant) {
        let number = self.calls.len();
        self.calls.push((due, None));
        self.caller.say(CALL, number);
    }

    fn listen_until(&mut self, until: Instant) -> Result<()> {
        loop {
            let (calls, answerer, seen) = (&mut self.calls, &mut self.answerer, &mut self.seen);
            let mut heard = Vec::new();
            answerer.read(|line| {
                seen.count(line);
                heard.extend(marked(line, CALL));
            });
            heard.into_iter().for_each(|number| answerer.say(ANSWER, number));
            self.caller.read(|line| {
                let call = marked(line, ANSWER).and_then(|number| calls.get_mut(number));
                if let Some((due, answer @ None)) = call {
                    *answer = Some(due.elapsed());
                }
            });
            self.caller.send();
            self.answerer.send();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.cut_off() > 0 {
                return Ok(());
            }
            let mut both = [&self.caller, &self.answerer].map(Person::interest);
            match poll(&mut both, Some(&Timespec::try_from(left)?)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
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

impl Person {
    fn connect(place: std::net::Ipv4Addr, address: SocketAddr) -> Result<Self> {
        let socket = place::connect(place, address, None)?;
        Ok(Self { socket, unread: Vec::new(), unsent: Vec::new(), is_gone: false })
    }

    fn say(&mut self, what: &str, number: usize) {
        self.unsent.extend(format!("~{what} {number}~\n").into_bytes());
        self.send();
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() && !self.is_gone {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                // A connection that is not made yet takes nothing either.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(_) => self.is_gone = true,
            }
        }
    }

    /// Reads what there is, and gives each whole line to `heard`.
    fn read(&mut self, mut heard: impl FnMut(&[u8])) {
        let mut buffer = [0; 64 * 1024];
        while !self.is_gone {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.is_gone = true,
                Ok(count) => {
                    // Acknowledged at once, or a server that leaves Nagle's algorithm on holds its
                    // next line back for 40 ms. It fails on a connection that has ended, and the
                    // next read finds that out.
                    let _ = sockopt::set_tcp_quickack(&self.socket, true);
                    let mut rest = &buffer[..count];
                    while let Some(end) = memchr(b'\n', rest) {
                        self.unread.extend(&rest[..end]);
                        heard(&self.unread);
                        self.unread.clear();
                        rest = &rest[end + 1..];
                    }
                    self.unread.extend(rest);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(_) => self.is_gone = true,
            }
        }
    }

    fn interest(&self) -> PollFd<'_> {
        let write = if self.unsent.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::new(&self.socket, PollFlags::IN | write)
    }
}

/// The number in a line like `<guest1> ~call 17~`.
fn marked(line: &[u8], what: &str) -> Option<usize> {
    let begin = memchr(MARK, line)? + 1;
    let end = begin + memchr(MARK, &line[begin..])?;
    let text = std::str::from_utf8(&line[begin..end]).ok()?;
    text.strip_prefix(what)?.trim_start().parse().ok()
}

fn has(line: &[u8], what: &[u8]) -> bool {
    line.windows(what.len()).any(|part| part == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_whatever_stands_before_it() {
        assert_eq!(marked(b"<guest1> ~call 17~", CALL), Some(17));
        assert_eq!(marked(b"<user5> ~answer 3~", ANSWER), Some(3));
        assert_eq!(marked(b"<guest1> ~call 17~", ANSWER), None);
        assert_eq!(marked(b"<guest1> ~call 1", CALL), None);
    }

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

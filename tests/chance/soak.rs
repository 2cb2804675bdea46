//! Total order, checked. Many people say, whisper, rename themselves, stall, leave and come back at random;
//! then the lines that each of them saw are compared with the deeds of all, line by line.
//!
//! One observer stays all the time. It sees *the* sequence of public lines, and all others must have seen a
//! contiguous run of it: from their own coming to their own leaving. No comparison has any tolerance, and
//! none depends on how fast the machine is.
//!
//! `SOAK_SECONDS` makes it longer, in rounds of a few seconds, and `SOAK_SEED` repeats a round: all people
//! decide the same again, though threads and network mix it differently.

use crate::judge::{is_public, judge, speaker};
use crate::{Usage, Wire};
use chat_test_support::{DEADLINE, PRESS_ENTER, ServerProcess, eventually};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{io, thread};

/// The server's flags: no pace, no history, and a backlog so small that a few seconds
/// see some readers cut off.
const FLAGS: [&str; 4] = ["--rate=0", "--max-per-ip=0", "--history=0", "--max-backlog=163840"];

/// How many people there are at once.
const PEOPLE: usize = 40;

/// How many lines a person sends in one go, and how many bytes one has, at most. Nobody goes on before the
/// observer has seen the last of them, so no more than 40 * 4 lines are ever on their way to it. That is less
/// than `--max-backlog`: the observer is never too slow, however busy the machine is.
const BURST: usize = 4;
const LINE: usize = 900;

/// How long the server at least waits for a client that leaves and has got everything. It may wait longer;
/// then people who take longer than this to read the rest are judged less strictly than they could be.
const PATIENCE: Duration = Duration::from_millis(250);

const ROUND: Duration = Duration::from_secs(3);
const THE_END: &str = "that is all";

/// Everything that one person did and saw between coming and leaving.
pub struct Visit {
    /// All names that they had. No two visits ever have the same name.
    pub names: Vec<String>,
    /// The public lines that they caused, as all must see them, from coming to leaving.
    pub said: Vec<String>,
    pub whispers: Vec<Whisper>,
    /// Everything that they saw after the welcome, and whether it ended within a line.
    pub seen: Vec<String>,
    pub mid_line: bool,
    pub ending: Ending,
    pub stalls: usize,
}

pub struct Whisper {
    /// `None` is `/reply`.
    pub to: Option<String>,
    /// The line that the other one must see.
    pub line: String,
}

/// How a visit ended, as far as the visitor knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// They were still there at the end of the round.
    Stayed,
    Quit,
    HalfClosed,
    /// Like the last two, but reading the rest took so long that the server was free
    /// to hang up before the end.
    Dawdled,
    Reset,
    /// The server has broken the connection off.
    CutOff,
}

/// All that the threads of a round share.
struct Round {
    seed: u64,
    server: SocketAddr,
    until: Instant,
    /// For each person the number of their last line that the observer has seen.
    observed: Vec<AtomicUsize>,
    talking: AtomicUsize,
}

/// Counts a person as talking until it is dropped, in every case.
struct Talking<'a>(&'a AtomicUsize);

impl Drop for Talking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A person during one visit.
struct Visitor<'a> {
    round: &'a Round,
    person: usize,
    rng: &'a mut Rng,
    /// How many texts they have written, in all their visits. Each carries its number, so
    /// that no two are the same.
    count: &'a mut usize,
    wire: Wire,
    visit: Visit,
}

/// One person visits again and again, until the round is over. The last visit goes on until the observer says
/// that it was all.
fn come_and_go(round: &Round, person: usize) -> Vec<Visit> {
    let mut talking = Some(Talking(&round.talking));
    let (mut rng, mut count) = (Rng::with_seed(round.seed + 1_000_003 * person as u64), 0);
    let mut visits = Vec::new();
    while talking.is_some() {
        let (wire, visit) = come_in(round.server);
        let (rng, count) = (&mut rng, &mut count);
        let mut visitor = Visitor { round, person, rng, count, wire, visit };
        let mut ending = visitor.chat().unwrap_or(Ending::CutOff);
        if Instant::now() >= round.until {
            talking = None;
        }
        let said_so = |seen: &[String]| seen.last().is_some_and(|line| line.ends_with(THE_END));
        if ending == Ending::Stayed {
            match visitor.reads_until(said_so) {
                Ok(()) => drop(visitor.visit.seen.pop()),
                Err(_) => ending = Ending::CutOff,
            }
        }
        visitor.visit.ending = ending;
        visitor.visit.seen.retain(|line| line != PRESS_ENTER);
        visitor.visit.mid_line = visitor.wire.is_in_mid_line();
        visits.push(visitor.visit);
        if ending == Ending::Reset {
            visitor.wire.reset();
        }
    }
    visits
}

fn come_in(server: SocketAddr) -> (Wire, Visit) {
    let mut wire = Wire::connect(server).expect("the server listens");
    let welcome = wire.next_line();
    let guest = welcome.trim_end_matches('.').rsplit(' ').next().unwrap();
    while !wire.next_line().contains(" here: ") {}
    let visit = Visit {
        names: vec![guest.to_owned()],
        said: vec![format!("*** {guest} joined")],
        whispers: Vec::new(),
        seen: Vec::new(),
        mid_line: false,
        ending: Ending::Stayed,
        stalls: 0,
    };
    (wire, visit)
}

impl Visitor<'_> {
    /// An error means that the server has ended the connection.
    fn chat(&mut self) -> io::Result<Ending> {
        while Instant::now() < self.round.until {
            match self.rng.u32(..100) {
                0..4 => {
                    self.visit.stalls += 1;
                    thread::sleep(Duration::from_millis(self.rng.u64(1..1500)));
                }
                4..7 => return self.leave(),
                _ => self.talk()?,
            }
            let rested = Instant::now() + Duration::from_millis(self.rng.u64(..40));
            self.reads_until(|_| Instant::now() >= rested)?;
        }
        Ok(Ending::Stayed)
    }

    fn reads_until(&mut self, done: impl Fn(&[String]) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !done(&self.visit.seen) {
            assert!(Instant::now() < deadline, "{} waits in vain", self.name());
            self.visit.seen.extend(self.wire.glance_at_text()?);
        }
        Ok(())
    }

    /// Sends a few lines at once, and reads on until the observer has seen them.
    fn talk(&mut self) -> io::Result<()> {
        let (mut packet, mut last) = (String::new(), 0);
        for _ in 0..self.rng.usize(1..=BURST) {
            let (name, text) = (self.name(), self.text());
            // The first line is said as a guest, and announces that guest.
            let kind = if self.visit.said.len() == 1 { 0 } else { self.rng.u32(..10) };
            if kind < 7 {
                last = *self.count; // A line that the observer will see.
            }
            packet += &match kind {
                0..6 => {
                    self.visit.said.push(format!("<{name}> {text}"));
                    format!("{text}\n")
                }
                6 => {
                    self.visit.said.push(format!("* {name} {text}"));
                    format!("/me {text}\n")
                }
                7 => {
                    let new = format!("p{}-{}", self.person, self.count);
                    self.visit.said.push(format!("*** {name} is now {new}"));
                    self.visit.names.push(new.clone());
                    format!("/nick {new}\n")
                }
                _ => {
                    let to = self.acquaintance().filter(|_| kind == 8);
                    let line = format!("[{name} -> you] {text}");
                    let typed = match &to {
                        Some(to) => format!("/msg {to} {text}\n"),
                        None => format!("/reply {text}\n"),
                    };
                    self.visit.whispers.push(Whisper { to, line });
                    typed
                }
            }
        }
        self.wire.send(packet.as_bytes())?;
        let observed = &self.round.observed[self.person];
        self.reads_until(|_| observed.load(SeqCst) >= last)
    }

    fn leave(&mut self) -> io::Result<Ending> {
        let (name, text, asked) = (self.name(), self.text(), Instant::now());
        let ending = match self.rng.u32(..3) {
            0 => {
                let text: String = text.chars().take(50).collect(); // No more than the others see of last words.
                let text = text.trim_end();
                self.visit.said.push(format!("*** {name} left (\"{text}\")"));
                self.wire.send(format!("/quit {text}\n").as_bytes())?;
                Ending::Quit
            }
            1 => {
                self.visit.said.push(format!("<{name}> {text}")); // The last line needs no line break.
                self.visit.said.push(format!("*** {name} left"));
                self.wire.send(text.as_bytes())?;
                self.wire.socket().shutdown(Shutdown::Write)?;
                Ending::HalfClosed
            }
            _ => {
                self.wire.send(b"half a li")?;
                return Ok(Ending::Reset);
            }
        };
        let _the_end = self.reads_until(|_| false);
        let dawdled = asked.elapsed() >= PATIENCE;
        Ok(if dawdled { Ending::Dawdled } else { ending })
    }

    fn name(&self) -> String {
        self.visit.names.last().expect("a guest has a name").clone()
    }

    /// `#7-12`, person 7's twelfth text, and any words.
    fn text(&mut self) -> String {
        *self.count += 1;
        let words = ["words ", "grüße ", "Ωμέγα ", "漢字 ", "👩‍🚀 "][self.rng.usize(..5)];
        let words = words.repeat(self.rng.usize(..LINE) / words.len());
        format!("#{}-{} {words}.", self.person, self.count)
    }

    /// The name of a person of whom there was news lately; it may be gone or renamed already.
    fn acquaintance(&mut self) -> Option<String> {
        let news = self.visit.seen.iter().rev().filter(|line| is_public(line));
        news.map(|line| speaker(line).to_owned()).nth(self.rng.usize(..30))
    }
}

/// The number of the person who wrote the text in this line, and of the text: `#7-12`.
fn number_in(line: &str) -> Option<(usize, usize)> {
    let (person, rest) = line.split_once('#')?.1.split_once('-')?;
    let (number, _) = rest.split_once(' ')?;
    Some((person.parse().ok()?, number.parse().ok()?))
}

/// The observer reads, and says that it was all when nobody talks any more. Returns what it saw before that.
fn observe(observer: &mut Wire, round: &Round) -> Vec<String> {
    let (mut sequence, mut said_so) = (Vec::new(), false);
    loop {
        if !said_so && round.talking.load(SeqCst) == 0 {
            observer.send(format!("{THE_END}\n").as_bytes()).unwrap();
            said_so = true;
        }
        let Some(line) = observer.glance_at_text().expect("the observer is not cut off") else {
            continue;
        };
        if line.ends_with(THE_END) {
            return sequence;
        }
        assert!(is_public(&line), "the observer saw {line}");
        if let Some((person, number)) = number_in(&line) {
            round.observed[person].store(number, SeqCst);
        }
        sequence.push(line);
    }
}

/// Is only the observer left? If not, there are people who are about to leave.
fn is_alone(observer: &mut Wire) -> bool {
    observer.send(b"/list\n").unwrap();
    let mut lines = std::iter::repeat_with(|| observer.next_line());
    lines.find(|line| line.contains(" here: ")).unwrap() == "*** 1 here: guest1"
}

/// Adds up the events.
fn count(sequence: &[String], visits: &[Visit], totals: &mut BTreeMap<String, usize>) {
    let mut add = |what: &str, number| *totals.entry(what.to_owned()).or_default() += number;
    add("public lines", sequence.len());
    for visit in visits {
        add("connections", 1);
        add(&format!("ended: {:?}", visit.ending), 1);
        add("private lines", visit.whispers.len());
        add("stalls", visit.stalls);
        add("lines seen", visit.seen.len());
        let bytes = visit.seen.iter().map(|line| line.len() + 1);
        add("bytes seen", bytes.sum());
    }
}

#[test]
fn everybody_sees_the_same_conversation() {
    let mut seed = crate::seed("SOAK_SEED");
    let duration = crate::duration("SOAK_SECONDS");
    let server = ServerProcess::start(&FLAGS);
    let (mut observer, _) = come_in(server.address);
    assert!(is_alone(&mut observer)); // Its first line: from here on it is announced, and nobody sees it join.
    let usage = || Usage::of(server.child.id());
    let (before, begun) = (usage(), Instant::now());
    let mut totals = BTreeMap::new();
    loop {
        let round = &Round {
            seed,
            server: server.address,
            until: Instant::now() + ROUND.min(duration),
            observed: (0..PEOPLE).map(|_| AtomicUsize::new(0)).collect(),
            talking: AtomicUsize::new(PEOPLE),
        };
        let (sequence, visits) = thread::scope(|scope| {
            let person = |person| scope.spawn(move || come_and_go(round, person));
            let people: Vec<_> = (0..PEOPLE).map(person).collect();
            let sequence = observe(&mut observer, round);
            let visits = people.into_iter().flat_map(|person| person.join().unwrap());
            (sequence, visits.collect::<Vec<_>>())
        });
        judge(&sequence, &visits);
        count(&sequence, &visits, &mut totals);
        eventually("only the observer is left", || is_alone(&mut observer));
        crate::no_errors_in_the_log(&server.log);
        if begun.elapsed() >= duration {
            break;
        }
        seed += 1;
        eprintln!("So far so good. To replay the next round: SOAK_SEED={seed}");
    }
    eventually("all is given back", || crate::same(before, usage()));
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{seconds:.1} s, {totals:#?}\nbefore: {before:?}\nafter:  {:?}", usage());
}

//! What the limits cost people who do nothing wrong: how long it takes until all have all that was said.

use std::iter;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::arena::Contestant;
use super::person::{Person, marked};
use super::place::{Family, Part};
use super::table::quantile;
use crate::process::Server;
use crate::progress::Progress;
use crate::report::{Rows, aligned, machine, number};

const NOTES: &str = "\
Everyone in the room reads as fast as they can. A cell has how long it took, in milliseconds, until all had
all lines, and in brackets how long a line took to one person, from when it was due: the median / the most.
Where people speak several times, the first figure is the median of those.
";

/// What people say in a room.
struct Scene {
    what: &'static str,
    people: usize,
    /// How many of them share an address.
    per_address: usize,
    /// How many of them speak, and how many lines each.
    speakers: usize,
    lines: usize,
    /// The time between two lines of one of them; none for those who paste.
    every: Duration,
    rounds: usize,
}

/// A hundred people, each at an address of their own, say a line at once.
const CLASSROOM: Scene = Scene {
    what: "a classroom of 100 says a line at once",
    people: 100,
    per_address: 1,
    speakers: 100,
    lines: 1,
    every: Duration::ZERO,
    rounds: 5,
};
const BEHIND_A_ROUTER: Scene = Scene {
    what: "60 behind one address say a line at once",
    people: 60,
    per_address: 60,
    speakers: 60,
    ..CLASSROOM
};
const ONE: Scene = Scene { what: "one pastes 40 lines", people: 40, speakers: 1, lines: 40, ..CLASSROOM };
const BOTS: Scene = Scene {
    what: "ten bots say 20 lines a second each, for 5 s",
    speakers: 10,
    lines: 100,
    every: Duration::from_millis(50),
    rounds: 1,
    ..ONE
};

const SCENES: [Scene; 7] = [
    CLASSROOM,
    Scene { what: "100 people paste 40 lines each at once", lines: 40, rounds: 1, ..CLASSROOM },
    BEHIND_A_ROUTER,
    Scene {
        what: "60 behind one address paste 10 lines each at once",
        lines: 10,
        rounds: 1,
        ..BEHIND_A_ROUTER
    },
    ONE,
    Scene { what: "one pastes 1,000 lines", lines: 1_000, rounds: 1, ..ONE },
    BOTS,
];

/// The time between two rounds: a person who speaks every other second is no flooder.
const BETWEEN: Duration = Duration::from_secs(2);

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What one person says in one line, at least so many bytes.
const LINE: usize = 60;
const WORD: &str = "line";

pub fn measure(contestants: &[Contestant], versions: &[String]) -> Result<String> {
    let planned =
        |scene: &Scene| BETWEEN * scene.rounds as u32 + Duration::from_millis(50) * scene.lines as u32;
    let all: Duration = SCENES.iter().map(planned).sum();
    let mut progress = Progress::start(all * contestants.len() as u32);
    let head = iter::once("what people do".to_owned()).chain(contestants.iter().map(|one| one.name.clone()));
    let mut rows: Rows = vec![head.collect()];
    for scene in &SCENES {
        let mut row = vec![scene.what.to_owned()];
        for contestant in contestants {
            progress.next(planned(scene), &format!("{}: {}", contestant.name, scene.what));
            let cell = scene.play(contestant).with_context(|| scene.what)?;
            eprintln!("    {cell}");
            row.push(cell);
        }
        rows.push(row);
    }
    progress.end();
    let machine = machine("one run", versions);
    Ok(format!("# What the limits cost in ordinary use\n\n{machine}\n\n{NOTES}\n{}", aligned(&rows)))
}

/// When each line is due, and who says it.
type Script = Vec<(Instant, usize)>;

impl Scene {
    fn play(&self, contestant: &Contestant) -> Result<String> {
        let family = Family::Ipv4;
        let server = Server::start_as_shipped(contestant.peer, &contestant.binary, family.listen())?;
        let address = family.server(server.address.port());
        let person = |number| Person::connect(family, Part::Crowd, number / self.per_address, address);
        let mut people = (0..self.people).map(person).collect::<Result<Vec<_>>>()?;
        let mut waiting = self.people;
        while waiting > 0 {
            let heard = listen(&mut people, Duration::from_secs(10), |line| {
                waiting -= usize::from(line.windows(6).any(|part| part == b" here:"));
            })?;
            ensure!(heard, "{waiting} of {} people were not welcomed", self.people);
        }
        // Until the joins have been announced.
        while listen(&mut people, contestant.peer.manners().pause, |_| {})? {}
        let (mut times, mut delays) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            if round > 0 {
                thread::sleep(BETWEEN);
            }
            let (time, lost) = converse(&mut people, &self.script(), &mut delays)?;
            if lost > 0 {
                return Ok(format!("{lost} lines have not come after {} s", PATIENCE.as_secs()));
            }
            times.push(time);
        }
        times.sort_unstable();
        delays.sort_unstable();
        let ms = |time: Option<Duration>| number(time.unwrap_or_default().as_secs_f64() * 1e3);
        let [time, median] = [&times, &delays].map(|times| ms(quantile(times, 0.5)));
        Ok(format!("{time} ({median} / {})", ms(delays.last().copied())))
    }

    fn script(&self) -> Script {
        let now = Instant::now();
        let line =
            |number: usize| (now + self.every * (number / self.speakers) as u32, number % self.speakers);
        (0..self.speakers * self.lines).map(line).collect()
    }
}

/// Says all lines when they are due, and returns how long it took until all had them, and how many have not
/// come.
fn converse(people: &mut [Person], script: &Script, delays: &mut Vec<Duration>) -> Result<(Duration, usize)> {
    let start = Instant::now();
    let (mut said, mut missing) = (0, script.len() * people.len());
    while missing > 0 && start.elapsed() < PATIENCE {
        while let Some((_, speaker)) = script.get(said).filter(|(due, _)| *due <= Instant::now()) {
            let text = "x".repeat(LINE);
            people[*speaker].say(&format!("~{WORD} {said}~ {text}"));
            said += 1;
        }
        let next = script.get(said).map(|(due, _)| due.saturating_duration_since(Instant::now()));
        listen(people, next.unwrap_or(BETWEEN), |line| {
            if let Some((due, _)) = marked(line, WORD).and_then(|number| script.get(number)) {
                delays.push(due.elapsed());
                missing -= 1;
            }
        })?;
    }
    Ok((start.elapsed(), missing))
}

/// Waits for something to be heard by anyone, at most so long; false if nothing was.
fn listen(people: &mut [Person], timeout: Duration, mut heard: impl FnMut(&[u8])) -> Result<bool> {
    let mut all: Vec<_> = people.iter().map(Person::interest).collect();
    match poll(&mut all, Some(&Timespec::try_from(timeout)?)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready: Vec<PollFlags> = all.iter().map(|person| person.revents()).collect();
    for (person, _) in people.iter_mut().zip(&ready).filter(|(_, ready)| !ready.is_empty()) {
        person.send();
        person.read(&mut heard);
        ensure!(!person.is_gone, "the server has disconnected one who reads");
    }
    Ok(ready.iter().any(|ready| !ready.is_empty()))
}

//! Names, private lines and the list.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::{Finding, Outcome, broken};
use crate::person::{Person, patience, shortened};
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::{author, mentions, new_name, token};
use crate::visit::{Visit, needs};

/// A race is not lost every time, so it is run this often.
const RACES: usize = 20;
const RACERS: usize = 10;

pub const UNIQUE_NAMES: Promise = Promise {
    number: 3,
    name: "unique-names",
    sentence: "Of ten clients who take one name at the same moment, one gets it.",
    how: "Ten clients ask for the same new name at once, each speaks, and a witness counts who bears it. \
          Twenty races.",
    why: "Two alices are one alice to everyone else, and a private line to her reaches the wrong one.",
    broken_by: "The server asks whether the name is free, and takes it in a second step: between the two, \
          another thread asks.",
    stage: Stage::Shared,
    check: unique_names,
};

fn unique_names(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    visit.needs_names()?;
    let mut witness = visit.arrives("wanda")?;
    let mut racers = Vec::new();
    for _ in 0..RACERS {
        racers.push(visit.arrives("racer")?);
    }
    let mut taken = 0;
    for _ in 0..RACES {
        let name = new_name("rose");
        let texts = race(&mut racers, &visit.manners.words.nick(&name))?;
        let seen = witness.reads_until_all(&texts)?;
        let is_bearers = |line: &&String| {
            texts.iter().any(|text| line.contains(text) && author(line, text, &[&name]) == name)
        };
        let bearers = seen.iter().filter(is_bearers).count();
        if bearers > 1 {
            return broken!("{bearers} of ten clients were {name} at the same time");
        }
        taken += bearers;
    }
    if taken == 0 { broken!("no one of ten clients got a free name") } else { Ok(String::new()) }
}

/// All give this command at once, and then speak. Returns the texts that they say.
fn race(racers: &mut [Person], command: &str) -> Result<Vec<String>, Finding> {
    let start = Barrier::new(racers.len());
    thread::scope(|scope| {
        let runs: Vec<_> = racers
            .iter_mut()
            .map(|racer| {
                let start = &start;
                scope.spawn(move || {
                    let text = token();
                    start.wait();
                    racer.says_lines(&format!("{command}\n{text}\n")).map(|()| text)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("a racer does not panic")).collect()
    })
}

pub const PRIVATE_STAYS_PRIVATE: Promise = Promise {
    number: 4,
    name: "private-stays-private",
    sentence: "A private line reaches one person, and nobody else, then or later.",
    how: "alice writes to bob with /msg. bob must see the text; carol, and dave who comes in afterwards, \
          must not.",
    why: "People write under the name of privacy what they would not say aloud.",
    broken_by: "The line goes to all, who are trusted to hide it; or it stands in the history that newcomers \
          get.",
    stage: Stage::Shared,
    check: private_stays_private,
};

fn private_stays_private(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    needs(visit.manners.msg, "no command for private lines was found; --msg says which")?;
    let (mut alice, mut bob) = visit.alice_and_bob()?;
    let mut carol = visit.arrives("carol")?;
    let (secret, end) = (token(), token());
    alice.says(&visit.manners.words.msg(&bob.name, &secret))?;
    bob.sees(&secret)?;
    bob.says(&end)?;
    let mut overheard = carol.reads_until(&end)?;
    let mut dave = visit.arrives("dave")?;
    overheard.append(&mut dave.welcome);
    let end = token();
    alice.says(&end)?;
    overheard.append(&mut dave.reads_until(&end)?);
    match overheard.iter().find(|line| line.contains(&secret)) {
        Some(line) => broken!("another one saw: {}", shortened(line)),
        None => Ok(String::new()),
    }
}

pub const LISTED: Promise = Promise {
    number: 5,
    name: "listed",
    sentence: "/list names everyone who is here, and nobody who has left.",
    how: "alice asks with bob and carol in the room: all three must be named. bob leaves, and must soon be \
          named no more.",
    why: "People decide by it whether to speak, and to whom.",
    broken_by: "The entry of a client goes only with an orderly /quit, or a thread that ends with an error \
          skips the removal.",
    stage: Stage::Shared,
    check: listed,
};

fn listed(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    needs(visit.manners.list, "no command that lists was found; --list says which")?;
    let (mut alice, mut carol) = visit.alice_and_bob()?;
    let mut bob = visit.arrives("bert")?;
    let answer = visit.asks(&mut alice, &mut carol, &visit.manners.words.list)?;
    for name in [&alice.name, &bob.name, &carol.name] {
        if !answer.iter().any(|line| mentions(line, name)) {
            return broken!("{name} is here and not in the list");
        }
    }
    bob.ends_input();
    if visit.manners.leaves {
        alice.reads_until_one("the leave", |line| mentions(line, &bob.name))?;
    }
    let deadline = Instant::now() + patience();
    while visit
        .asks(&mut alice, &mut carol, &visit.manners.words.list)?
        .iter()
        .any(|line| mentions(line, &bob.name))
    {
        if Instant::now() > deadline {
            return broken!("{} left, and is still listed {} s later", bob.name, patience().as_secs());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(String::new())
}

//! Coming in, and being heard.

use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::{Finding, Outcome, broken};
use crate::person::{Next, Person, patience, shortened};
use crate::promise::Promise;
use crate::servers::Stage;
use crate::text::{mentions, speaker, token};
use crate::visit::{Visit, hear_each_other};

pub const GREETS: Promise = Promise {
    number: 1,
    name: "greets",
    sentence: "A newcomer gets a line before it says a word.",
    how: "A client connects and says nothing. A line must come that is not only news of others, and the \
          connection must stay open.",
    why: "With netcat, an empty screen is all one sees of a server that is up, of one that hangs, and of a \
          wrong port.",
    broken_by: "The server reads first, and answers only what it is told.",
    stage: Stage::Shared,
    check: greets,
};

fn greets(visit: &Visit) -> Outcome {
    let mut alice = visit.arrives("alice")?;
    let deadline = Instant::now() + patience();
    // They stay, or the next one would be told that they have left, and that is no greeting.
    let mut newcomers = Vec::new();
    loop {
        let mut newcomer = visit.connects_silently("newcomer")?;
        let greeting = match newcomer.next_line(Instant::now() + patience()) {
            Next::Line(line) => line,
            Next::End => return broken!("the connection ended without a word"),
            // A prompt has no line break.
            Next::Nothing if !newcomer.prompt().is_empty() => return Ok(newcomer.prompt()),
            Next::Nothing => return broken!("nothing came within {} s", patience().as_secs()),
        };
        if visit.manners.name_first || is_for(&mut newcomer, &greeting, &mut alice, visit)? {
            return Ok(shortened(&greeting));
        }
        if Instant::now() > deadline {
            return broken!("the first line was {:?}", shortened(&greeting));
        }
        newcomers.push(newcomer);
        thread::sleep(Duration::from_millis(200));
    }
}

/// Whether the newcomer is in and the line was meant for it. A client that is sent away gets a line too, and
/// a line that alice gets as well is news of others, unless it has the newcomer's name.
fn is_for(newcomer: &mut Person, greeting: &str, alice: &mut Person, visit: &Visit) -> Result<bool, Finding> {
    let text = token();
    // It fails if the newcomer has been sent away, and so does the reading.
    let _ = newcomer.says(&text);
    if visit.manners.echoes && newcomer.sees(&text).is_err() {
        return Ok(false);
    }
    if !visit.manners.relays {
        return Ok(true);
    }
    let seen = alice.reads_until(&text)?;
    let name = speaker(&seen[seen.len() - 1], &text);
    Ok([name, newcomer.address()].iter().any(|name| mentions(greeting, name))
        || !seen.iter().any(|line| line == greeting))
}

pub const EVERYONE_HEARS: Promise = Promise {
    number: 2,
    name: "everyone-hears",
    sentence: "Everyone sees each line once.",
    how: "alice, bob and carol each say a line. Each of the three must see each of the lines exactly once; \
          one's own only on a server that sends lines back to their author.",
    why: "It is what a chat is.",
    broken_by: "The server answers only the speaker (the echo server of the textbooks), or leaves one of the \
          room out.",
    stage: Stage::Shared,
    check: everyone_hears,
};

fn everyone_hears(visit: &Visit) -> Outcome {
    let mut people = [visit.arrives("alice")?, visit.arrives("bob")?, visit.arrives("carol")?];
    let mut screens = vec![Vec::new(); people.len()];
    let lines = [token(), token(), token()];
    // Once the second lines are on a screen, all is there that the first ones brought.
    for texts in [lines.clone(), [token(), token(), token()]] {
        for (person, text) in people.iter_mut().zip(&texts) {
            person.says(text)?;
        }
        for (at, (person, screen)) in people.iter_mut().zip(&mut screens).enumerate() {
            let mut awaited = texts.to_vec();
            if !visit.manners.echoes {
                awaited.remove(at);
            }
            screen.append(&mut person.reads_until_all(&awaited)?);
        }
    }
    for (at, (person, screen)) in people.iter().zip(&screens).enumerate() {
        for (author, line) in lines.iter().enumerate() {
            if author == at && !visit.manners.echoes {
                continue;
            }
            let times = screen.iter().filter(|seen| seen.contains(line)).count();
            if times != 1 {
                return broken!("{} saw a line {times} times", person.label);
            }
        }
    }
    Ok(String::new())
}

pub const HUNDREDTH_CLIENT: Promise = Promise {
    number: 9,
    name: "hundredth-client",
    sentence: "The eleventh client is served, and so is the hundredth.",
    how: "A hundred clients come in, one after the other, and stay. Each says a line, which must come back \
          (or reach another one, where one's own lines do not come back); the first must see the line of the \
          last.",
    why: "A class has thirty, and they all stay.",
    broken_by: "A fixed pool of ten threads, each of which serves one client to its end: the eleventh \
          connects, as the kernel takes the connection, and nothing ever answers.",
    stage: Stage::Crowd,
    check: hundredth_client,
};

fn hundredth_client(visit: &Visit) -> Outcome {
    let mut first = visit.arrives("first")?;
    let mut people = Vec::new();
    for number in 2..=100 {
        match visit.arrives_beside(&mut first, "client") {
            Ok(person) => people.push(person),
            // A server that was running already may have its limit for one address, and says so.
            Err(Finding::Broken(why)) if visit.process.is_none() && why.starts_with("refused: !!! ") => {
                return Err(Finding::NotRun(format!("client {number} was {why}")));
            }
            Err(Finding::Broken(why)) => return broken!("client {number}: {why}"),
            Err(other) => return Err(other),
        }
    }
    let mut last = people.pop().expect("they are 99");
    visit.is_heard(&mut last, &mut [&mut first])?;
    Ok(String::new())
}

/// Connections of one machine.
const OF_ONE_MACHINE: usize = 64;

pub const ONE_MACHINE_LEAVES_PLACES: Promise = Promise {
    number: 26,
    name: "one-machine-leaves-places",
    sentence: "One machine with 64 connections leaves places for the others.",
    how: "64 clients connect from 127.0.0.1 and stay; the server may refuse some of them. alice and bob come from \
          127.0.0.2, and must hear each other.",
    why: "A script that forgets to hang up must not lock a whole LAN out.",
    broken_by: "A fixed pool of threads, or a limit for all clients with none for an address.",
    stage: Stage::Shared,
    check: one_machine_leaves_places,
};

fn one_machine_leaves_places(visit: &Visit) -> Outcome {
    visit.needs_relay()?;
    // What the server makes of them is its own affair.
    let _crowd: Vec<_> = (0..OF_ONE_MACHINE).map_while(|_| visit.connects("script").ok()).collect();
    let mut alice = visit.connects_from_another_address("alice")?;
    let mut bob = visit.connects_from_another_address("bob")?;
    hear_each_other(&mut alice, &mut bob)?;
    hear_each_other(&mut bob, &mut alice)?;
    Ok(String::new())
}

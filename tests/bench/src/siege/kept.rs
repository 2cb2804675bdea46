//! A name that chat-server keeps for the address that had it: its owner leaves, one from elsewhere asks for
//! it all the time, and the attackers try to push it out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{Timespec, poll};

use super::person::Person;
use super::place::{Family, Part};

const NAME: &str = "kept-name";

/// The time between two questions. A new name costs as much as several lines.
const BETWEEN: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(5);

/// How long the name was kept, and whether the other one has got it.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub time: Duration,
    pub is_taken: bool,
}

pub struct Taker {
    person: Person,
    /// What it sees when it gets the name.
    success: String,
    left: Instant,
}

impl Taker {
    /// The owner takes the name and leaves; the other one is in the room by then.
    pub fn wait_for_the_name(family: Family, server: SocketAddr) -> Result<Self> {
        let patience = Instant::now() + PATIENCE;
        let mut person = Person::connect(family, Part::Taker, 0, server)?;
        let mut own_name = None;
        hear(&mut person, patience, |line| {
            let rest = line.split_once("You are ").map(|(_, rest)| rest.trim_end_matches('.').to_owned());
            own_name = own_name.take().or(rest);
            own_name.is_some()
        })?;
        let success = format!("*** {} is now {NAME}", own_name.context("the taker was not welcomed")?);
        // Whoever has said something has been announced, and will not be announced by the new name.
        person.say("hello");
        let mut owner = Person::connect(family, Part::Owner, 0, server)?;
        owner.say("hello");
        owner.say(&format!("/nick {NAME}"));
        let has_it = hear(&mut owner, patience, |line| line.ends_with(&format!(" is now {NAME}")))?;
        ensure!(has_it, "the owner did not get {NAME}");
        owner.say("/quit");
        hear(&mut owner, patience, |_| false)?;
        ensure!(owner.is_gone, "the owner could not leave");
        Ok(Self { person, success, left: Instant::now() })
    }

    pub fn ask_until(mut self, end: Instant) -> Result<Kept> {
        loop {
            let next = (Instant::now() + BETWEEN).min(end);
            self.person.say(&format!("/nick {NAME}"));
            let is_taken = hear(&mut self.person, next, |line| line == self.success)?;
            if is_taken || next == end || self.person.is_gone {
                return Ok(Kept { time: self.left.elapsed(), is_taken });
            }
        }
    }
}

/// Listens for a certain line until then, or until the server has closed the connection; false if it did not
/// come.
fn hear(person: &mut Person, until: Instant, mut is_it: impl FnMut(&str) -> bool) -> Result<bool> {
    let mut is_heard = false;
    loop {
        person.send();
        person.read(|line| is_heard |= is_it(&String::from_utf8_lossy(line)));
        let left = until.saturating_duration_since(Instant::now());
        if is_heard || person.is_gone || left.is_zero() {
            return Ok(is_heard);
        }
        poll(&mut [person.interest()], Some(&Timespec::try_from(left)?))?;
    }
}

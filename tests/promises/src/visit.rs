//! One visit to a server: where it is, what it can do, and how people come in.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::manners::Manners;
use crate::outcome::{Finding, broken};
use crate::person::{Next, PATIENCE, Person, has_token, new_name, shortened, speaker, token};
use crate::process::Process;

/// A check gets one of these to work with.
pub struct Visit<'a> {
    pub address: SocketAddr,
    pub manners: &'a Manners,
    /// The process of the server; there is none when it was running already.
    pub process: Option<&'a Process>,
}

/// How an attempt to come in ended.
enum Arrival {
    In(Person),
    /// The server closed the connection; this was its last line.
    Refused(String),
}

impl Visit<'_> {
    /// A person who has come in, has a name of its own where there are names, and is known to be heard.
    ///
    /// A server may let in only a few new clients a second, so a refusal is not the last word.
    pub fn arrives(&self, stem: &str) -> Result<Person, Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut witness = if self.manners.echoes { None } else { Some(self.witness()?) };
            match self.tries_to_arrive(stem, witness.as_mut())? {
                Arrival::In(person) => return Ok(person),
                Arrival::Refused(last) if Instant::now() > deadline => {
                    return broken!("{stem} was refused: {last}");
                }
                Arrival::Refused(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// A person at a new connection, who has given a name if that is what the server wants first.
    pub fn connects(&self, stem: &str) -> Result<Person, Finding> {
        let mut person = Person::connect(self.address)?;
        // A server that refuses the client may have closed the connection. What comes next tells.
        let _ = person.sends(self.name_first(stem).as_bytes());
        Ok(person)
    }

    /// The line with a name that a client says before all others, if the server wants that.
    pub fn name_first(&self, stem: &str) -> String {
        if self.manners.name_first { new_name(stem) + "\n" } else { String::new() }
    }

    fn witness(&self) -> Result<Person, Finding> {
        let mut witness = self.connects("witness")?;
        "the witness".clone_into(&mut witness.label);
        Ok(witness)
    }

    /// The same for one of many, where a refusal is what the check looks for.
    pub fn arrives_beside(&self, witness: &mut Person, stem: &str) -> Result<Person, Finding> {
        let witness = if self.manners.echoes { None } else { Some(witness) };
        match self.tries_to_arrive(stem, witness)? {
            Arrival::In(person) => Ok(person),
            Arrival::Refused(last) => broken!("refused: {last}"),
        }
    }

    /// Some servers add a client to the room before they greet it, and some after; some do not greet. But a
    /// client whose line comes back is in. Where one's own lines do not come back, a witness listens for
    /// them.
    fn tries_to_arrive(&self, stem: &str, witness: Option<&mut Person>) -> Result<Arrival, Finding> {
        let mut person = self.connects(stem)?;
        stem.clone_into(&mut person.label);
        let mut hello = token();
        let words = &self.manners.words;
        let name = if self.manners.nick && !self.manners.name_first {
            words.nick(&new_name(stem)) + "\n"
        } else {
            String::new()
        };
        // A server that refuses the client may have closed the connection already. The reading below tells.
        let _ = person.sends(format!("{name}{hello}\n").as_bytes());
        let mut welcome = Vec::new();
        let line = match witness {
            Some(witness) => {
                // The witness may have come in after the first line.
                hear_each_other(&mut person, witness)?;
                hello = token();
                person.says(&hello)?;
                witness.sees(&hello)?
            }
            None => loop {
                match person.next_line(Instant::now() + PATIENCE) {
                    Next::Line(line) if line.contains(&hello) => break line,
                    Next::Line(line) => welcome.push(line),
                    Next::End => {
                        return Ok(Arrival::Refused(shortened(welcome.last().map_or("", String::as_str))));
                    }
                    Next::Nothing => return broken!("{stem} came in, and its first line was never answered"),
                }
            },
        };
        person.welcome = welcome;
        person.name = speaker(&line, &hello);
        if person.name.is_empty() || !self.manners.relays {
            stem.clone_into(&mut person.name);
        }
        Ok(Arrival::In(person))
    }

    /// A script: it sends these bytes over a connection of its own, ends its input and reads to the end.
    /// Returns what it read, and whether the end came within `patience` of the last line.
    pub fn runs_script(&self, bytes: &[u8], patience: Duration) -> Result<(Vec<String>, bool), Finding> {
        self.sends_alone(&[self.name_first("script").as_bytes(), bytes].concat(), patience)
    }

    /// The same of a program that knows nothing of names, such as a browser.
    pub fn sends_alone(&self, bytes: &[u8], patience: Duration) -> Result<(Vec<String>, bool), Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut script = Person::connect(self.address)?;
            script.sends(bytes)?;
            script.ends_input();
            let (lines, ended) = script.reads_to_the_end(patience);
            // A server that lets in only a few new clients a second has not heard the script at all.
            let is_refused = lines.last().is_some_and(|line| line.starts_with("!!! Sorry"));
            if !is_refused || Instant::now() > deadline {
                return Ok((lines, ended));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// alice and bob, who hear each other.
    pub fn alice_and_bob(&self) -> Result<(Person, Person), Finding> {
        let mut alice = self.arrives("alice")?;
        let mut bob = self.arrives("bob")?;
        self.meets(&mut alice, &mut bob)?;
        Ok((alice, bob))
    }

    /// Each hears the other, so all that was said before is on both screens.
    pub fn meets(&self, one: &mut Person, other: &mut Person) -> Result<(), Finding> {
        self.is_heard(one, &mut [other])?;
        self.is_heard(other, &mut [one])
    }

    /// The speaker says a new line, and all listeners read on up to it. Where nobody hears anybody, it must
    /// come back to the speaker.
    pub fn is_heard(&self, by: &mut Person, listeners: &mut [&mut Person]) -> Result<(), Finding> {
        let text = token();
        by.says(&text)?;
        if !self.manners.relays {
            return by.sees(&text).map(drop);
        }
        listeners.iter_mut().try_for_each(|listener| listener.sees(&text).map(drop))
    }

    /// The lines that the person sees in answer to a command. `other` is asked to speak where the person's
    /// own line would not come back, so that the end of the answer is known. Talk that comes between is no
    /// part of the answer.
    pub fn asks(&self, person: &mut Person, other: &mut Person, line: &str) -> Result<Vec<String>, Finding> {
        // Lines that are on their way to the person already are no part of the answer.
        self.is_heard(other, &mut [&mut *person])?;
        let end = token();
        person.says(line)?;
        if self.manners.echoes {
            person.says(&end)?;
        } else {
            self.is_heard(person, &mut [&mut *other])?;
            other.says(&end)?;
        }
        Ok(person.reads_until(&end)?.into_iter().filter(|line| !has_token(line)).collect())
    }

    pub fn needs_relay(&self) -> Result<(), Finding> {
        needs(self.manners.relays, "nobody hears anybody here")
    }

    pub fn needs_names(&self) -> Result<(), Finding> {
        needs(self.manners.nick, "no command for names was found; --nick says which")
    }

    /// The process, for what only its host can measure.
    pub fn needs_process(&self) -> Result<&Process, Finding> {
        self.process
            .ok_or_else(|| Finding::NotRun("it takes the server's process, and this one was running".into()))
    }
}

/// alice speaks until bob hears her: both are in.
pub fn hear_each_other(alice: &mut Person, bob: &mut Person) -> Result<(), Finding> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let text = token();
        alice.says(&text)?;
        if bob.sees_within(&text, Duration::from_secs(1)) {
            return Ok(());
        }
    }
    broken!("bob did not see a line of alice's within {} s", PATIENCE.as_secs())
}

pub fn needs(offered: bool, otherwise: &str) -> Result<(), Finding> {
    if offered { Ok(()) } else { Err(Finding::NotOffered(otherwise.to_owned())) }
}

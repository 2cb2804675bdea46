//! One visit to a server: where it is, what it can do, and how people come in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

use crate::manners::Manners;
use crate::outcome::{Finding, broken};
use crate::person::{Next, Person, patience, shortened};
use crate::process::Process;
use crate::text::{has_token, new_name, token};
use crate::transcript::Transcript;

/// A check gets one of these to work with.
pub struct Visit<'a> {
    pub address: SocketAddr,
    pub manners: &'a Manners,
    /// The process of the server; there is none when it was running already.
    pub process: Option<&'a Process>,
    pub notes: Transcript,
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
        self.arrives_by(stem, || self.connects(stem))
    }

    /// The same with a buffer as small as the kernel allows: what she does not read stays with the server.
    pub fn arrives_with_small_buffer(&self, stem: &str) -> Result<Person, Finding> {
        self.arrives_by(stem, || self.connects_with_small_buffer(stem))
    }

    fn arrives_by(
        &self,
        stem: &str,
        connects: impl Fn() -> Result<Person, Finding>,
    ) -> Result<Person, Finding> {
        let deadline = Instant::now() + patience();
        loop {
            let mut witness = if self.manners.echoes { None } else { Some(self.connects("witness")?) };
            match self.tries_to_arrive(stem, connects()?, witness.as_mut())? {
                Arrival::In(person) => {
                    witness.into_iter().for_each(Person::leaves_in_order);
                    return Ok(person);
                }
                Arrival::Refused(last) if Instant::now() > deadline => {
                    return broken!("{stem} was refused: {last}");
                }
                Arrival::Refused(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// A person at a new connection, who has given a name if that is what the server wants first.
    pub fn connects(&self, stem: &str) -> Result<Person, Finding> {
        Ok(self.named(self.connects_silently(stem)?, stem))
    }

    pub fn connects_with_small_buffer(&self, stem: &str) -> Result<Person, Finding> {
        let cannot = |error| Finding::Broken(format!("{stem} cannot connect: {error}"));
        let socket = small_socket(self.address).map_err(cannot)?;
        Ok(self.named(self.at(socket, stem, "(connects, with a receive buffer of 4 KiB)"), stem))
    }

    /// A person on another machine, as far as the server can see.
    pub fn connects_from_another_address(&self, stem: &str) -> Result<Person, Finding> {
        let not_run = |why: &str| Finding::NotRun(format!("it takes a second address, {why}"));
        if self.address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
            return Err(not_run("and the server is not at 127.0.0.1"));
        }
        let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)
            .map_err(|error| not_run(&error.to_string()))?;
        bind(&socket, &other).map_err(|_| not_run("and 127.0.0.2 is none here"))?;
        let connected = connect(&socket, &self.address);
        connected.map_err(|error| Finding::Broken(format!("{stem} cannot connect: {error}")))?;
        let how = format!("nc -s 127.0.0.2 {} {}", self.address.ip(), self.address.port());
        Ok(self.named(self.at(TcpStream::from(socket), stem, &how), stem))
    }

    /// A person at this connection, which came about in this way.
    fn at(&self, socket: TcpStream, stem: &str, how: &str) -> Person {
        let label = self.notes.introduces(stem);
        self.notes.notes(&label, '$', how);
        self.polite(Person::at(socket, &label, &self.notes))
    }

    /// The person sends as this server wants it.
    fn polite(&self, mut person: Person) -> Person {
        person.sends_packets = self.manners.packets;
        person
    }

    fn named(&self, mut person: Person, stem: &str) -> Person {
        let name = self.name_first(stem);
        // A server that refuses the client may have closed the connection. What comes next tells.
        let _ = person.says_lines(&name);
        if !name.is_empty() {
            name.trim_end().clone_into(&mut person.name);
        }
        person
    }

    /// A person at a new connection, who has not said anything.
    pub fn connects_silently(&self, stem: &str) -> Result<Person, Finding> {
        Ok(self.polite(Person::connect(stem, self.address, &self.notes)?))
    }

    /// The line with a name that a client says before all others, if the server wants that.
    fn name_first(&self, stem: &str) -> String {
        if self.manners.name_first { new_name(stem) + "\n" } else { String::new() }
    }

    /// The same for one of many, where a refusal is what the check looks for.
    pub fn arrives_beside(&self, witness: &mut Person, stem: &str) -> Result<Person, Finding> {
        let witness = if self.manners.echoes { None } else { Some(witness) };
        match self.tries_to_arrive(stem, self.connects(stem)?, witness)? {
            Arrival::In(person) => Ok(person),
            Arrival::Refused(last) => broken!("refused: {last}"),
        }
    }

    /// Some servers add a client to the room before they greet it, and some after; some do not greet. But a
    /// client whose line comes back is in. Where one's own lines do not come back, a witness listens for
    /// them.
    fn tries_to_arrive(
        &self,
        stem: &str,
        mut person: Person,
        witness: Option<&mut Person>,
    ) -> Result<Arrival, Finding> {
        let mut hello = token();
        let mut lines = String::new();
        if self.manners.nick && !self.manners.name_first {
            person.name = new_name(stem);
            lines = self.manners.words.nick(&person.name) + "\n";
        }
        // A server that refuses the client may have closed the connection already. The reading below tells.
        let _ = person.says_lines(&format!("{lines}{hello}\n"));
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
                match person.next_line(Instant::now() + patience()) {
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
        person.name = person.author_in(&line, &hello);
        if person.name.is_empty() || !self.manners.relays {
            stem.clone_into(&mut person.name);
        }
        Ok(Arrival::In(person))
    }

    /// A script: it sends these bytes over a connection of its own, ends its input and reads to the end.
    /// Returns what it read, and whether the end came within `patience` of the last line.
    pub fn runs_script(&self, bytes: &[u8], patience: Duration) -> Result<(Vec<String>, bool), Finding> {
        self.runs(&self.name_first("script"), bytes, patience)
    }

    /// The same of a program that knows nothing of names, such as a browser.
    pub fn sends_alone(&self, bytes: &[u8], patience: Duration) -> Result<(Vec<String>, bool), Finding> {
        self.runs("", bytes, patience)
    }

    fn runs(&self, name: &str, bytes: &[u8], time: Duration) -> Result<(Vec<String>, bool), Finding> {
        let deadline = Instant::now() + patience();
        loop {
            let mut script = self.connects_silently("script")?;
            script.says_lines(name)?;
            script.sends(bytes)?;
            script.ends_input();
            let (lines, ended) = script.reads_to_the_end(time);
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

    /// The process, for what /proc tells of it.
    pub fn needs_measured_process(&self) -> Result<&Process, Finding> {
        if cfg!(target_os = "linux") {
            self.needs_process()
        } else {
            Err(Finding::NotRun("it takes Linux's /proc".into()))
        }
    }

    /// The process, for what only its host can do.
    pub fn needs_process(&self) -> Result<&Process, Finding> {
        self.process
            .ok_or_else(|| Finding::NotRun("it takes the server's process, and this one was running".into()))
    }
}

fn small_socket(address: SocketAddr) -> rustix::io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    // It must be set before connecting, which is when TCP agrees on windows.
    sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
    connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

/// alice speaks until bob hears her: both are in.
pub fn hear_each_other(alice: &mut Person, bob: &mut Person) -> Result<(), Finding> {
    let start = Instant::now();
    while start.elapsed() < patience() {
        let text = token();
        alice.says(&text)?;
        if bob.sees_within(&text, Duration::from_secs(1)) {
            return Ok(());
        }
    }
    broken!("bob did not see a line of alice's within {} s", patience().as_secs())
}

pub fn needs(offered: bool, otherwise: &str) -> Result<(), Finding> {
    if offered { Ok(()) } else { Err(Finding::NotOffered(otherwise.to_owned())) }
}

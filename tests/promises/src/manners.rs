//! The features of a server, found by trying them: so that a promise about names is not held against a server
//! that has none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::outcome::{Finding, broken};
use crate::person::{Next, PATIENCE, Person, mentions, new_name, speaker, token};

#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Your own line comes back to you.
    pub echoes: bool,
    /// Others see what you say.
    pub relays: bool,
    /// `/nick NAME` gives you that name.
    pub nick: bool,
    /// `/list` answers you, and only you, with names.
    pub list: bool,
    /// `/msg NAME TEXT` brings NAME the text.
    pub msg: bool,
    /// `/quit` ends your connection.
    pub quit: bool,
    /// The others are told that you have left.
    pub leaves: bool,
}

/// One look at both screens. A feature that is there shows in the first; only what is missing costs the time
/// of all.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS: u32 = 8;

impl Manners {
    pub fn find_out(address: SocketAddr) -> Result<Manners, Finding> {
        let (mut alice, mut bob) = (Person::connect(address)?, Person::connect(address)?);
        let mut manners = Manners::default();
        manners.look_for_lines(&mut alice, &mut bob)?;
        if !manners.echoes && !manners.relays {
            return broken!("two clients spoke, and neither saw a line of it: is this a line-based chat?");
        }
        if manners.relays {
            manners.look_for_commands(&mut alice, &mut bob)?;
            manners.look_for_leaves(address, &mut alice, &mut bob)?;
        }
        Ok(manners)
    }

    /// Both speak, again and again, as one may have spoken before the other was in the room.
    fn look_for_lines(&mut self, alice: &mut Person, bob: &mut Person) -> Result<(), Finding> {
        let start = Instant::now();
        for look in 0.. {
            if (look >= LOOKS && (self.echoes || self.relays)) || start.elapsed() > PATIENCE {
                break;
            }
            let (from_alice, from_bob) = (token(), token());
            alice.says(&from_alice)?;
            bob.says(&from_bob)?;
            let deadline = Instant::now() + LOOK;
            let (mut wanted_by_alice, mut wanted_by_bob) =
                (vec![&from_alice, &from_bob], vec![&from_bob, &from_alice]);
            while Instant::now() < deadline && !(wanted_by_alice.is_empty() && wanted_by_bob.is_empty()) {
                glance(alice, &mut wanted_by_alice);
                glance(bob, &mut wanted_by_bob);
            }
            self.echoes |= !wanted_by_alice.contains(&&from_alice) && !wanted_by_bob.contains(&&from_bob);
            self.relays |= !wanted_by_alice.contains(&&from_bob) && !wanted_by_bob.contains(&&from_alice);
            if self.echoes && self.relays {
                break;
            }
        }
        Ok(())
    }

    fn look_for_commands(&mut self, alice: &mut Person, bob: &mut Person) -> Result<(), Finding> {
        let name = new_name("ada");
        let text = token();
        alice.says(&format!("/nick {name}"))?;
        alice.says(&text)?;
        alice.name = speaker(&bob.sees(&text)?, &text);
        self.nick = alice.name == name;
        exchange(alice, bob)?;

        alice.says("/list")?;
        let (to_alice, to_bob) = exchange(alice, bob)?;
        let shown_to_all = |line: &String| to_bob.contains(line) || line.contains("/list");
        self.list = to_alice.iter().any(|line| mentions(line, &alice.name) && !shown_to_all(line));

        let text = token();
        bob.says(&text)?;
        bob.name = speaker(&alice.sees(&text)?, &text);
        exchange(alice, bob)?;
        let secret = token();
        alice.says(&format!("/msg {} {secret}", bob.name))?;
        let (_, to_bob) = exchange(alice, bob)?;
        self.msg = to_bob.iter().any(|line| line.contains(&secret) && !line.contains("/msg"));
        Ok(())
    }

    /// carol leaves, by `/quit` or at the end of her input.
    fn look_for_leaves(
        &mut self,
        address: SocketAddr,
        alice: &mut Person,
        bob: &mut Person,
    ) -> Result<(), Finding> {
        let mut carol = Person::connect(address)?;
        let text = token();
        carol.says(&text)?;
        carol.name = speaker(&alice.sees(&text)?, &text);
        exchange(alice, bob)?;
        let after_quit = token();
        carol.says("/quit")?;
        // The connection may have ended by now.
        let _ = carol.says(&after_quit);
        let mut told = Vec::new();
        let start = Instant::now();
        while start.elapsed() < PATIENCE
            && !self.quit
            && !told.iter().any(|line: &String| line.contains(&after_quit))
        {
            self.quit = carol.next_line(Instant::now() + Duration::from_millis(20)) == Next::End;
            told.extend(alice.reads_for(Duration::from_millis(1)));
        }
        carol.ends_input();
        for _ in 0..LOOKS {
            let about_carol = |line: &String| mentions(line, &carol.name) && !line.contains(&after_quit);
            self.leaves = told.iter().any(about_carol);
            if self.leaves {
                break;
            }
            told.extend(alice.reads_for(LOOK));
        }
        Ok(())
    }
}

/// Takes off the list what is on this screen now.
fn glance(person: &mut Person, wanted: &mut Vec<&String>) {
    while let Next::Line(line) = person.next_line(Instant::now() + Duration::from_millis(5)) {
        wanted.retain(|text| !line.contains(*text));
    }
}

/// alice speaks, bob answers, and alice hears it: what alice said before has been dealt with. Returns the
/// lines that each saw.
fn exchange(alice: &mut Person, bob: &mut Person) -> Result<(Vec<String>, Vec<String>), Finding> {
    let (question, answer) = (token(), token());
    alice.says(&question)?;
    let to_bob = bob.reads_until(&question)?;
    bob.says(&answer)?;
    Ok((alice.reads_until(&answer)?, to_bob))
}

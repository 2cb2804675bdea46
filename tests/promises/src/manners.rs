//! The features of a server, found by trying them: so that a promise about names is not held against a server
//! that has none.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::{Finding, broken};
use crate::person::{BETWEEN_PACKETS, Next, Person, patience, shortened};
use crate::text::{author, has_token, mentions, new_name, speaker, token};
use crate::transcript::Transcript;
use crate::words::{Given, Words, with_name, with_text};

#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Your own line comes back to you.
    pub echoes: bool,
    /// Others see what you say.
    pub relays: bool,
    /// It takes each packet for a message.
    pub packets: bool,
    /// The first line of a client is its name.
    pub name_first: bool,
    /// Its words for what follows; those of chat-server where it has none.
    pub words: Words,
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
    pub fn find_out(address: SocketAddr, given: &Given) -> Result<Manners, Finding> {
        let notes = Transcript::new();
        let connect = |name| {
            let mut person = Person::connect(name, address, &notes)?;
            person.sends_packets = true; // Until it is known how the server takes them.
            Ok(person)
        };
        let (mut alice, mut bob) = (connect("alice")?, connect("bob")?);
        let mut manners = Manners::default();
        // A server may ask for a name first. Another one takes it for a line of talk.
        (alice.name, bob.name) = (new_name("ada"), new_name("ben"));
        alice.says(&alice.name.clone())?;
        bob.says(&bob.name.clone())?;
        manners.look_for_lines(&mut alice, &mut bob)?;
        if !manners.echoes && !manners.relays {
            return broken!("two clients spoke, and neither saw a line of it: is this a line-based chat?");
        }
        if manners.relays {
            let text = token();
            alice.says(&text)?;
            manners.name_first = author(&bob.sees(&text)?, &text, &[&alice.name]) == alice.name;
            exchange(&mut alice, &mut bob)?;
            manners.packets = what_packets_become(&mut alice, &mut bob)?.is_some();
            manners.look_for_names(given, &mut alice, &mut bob)?;
            manners.look_for_a_list(given, &mut alice, &mut bob)?;
            manners.look_for_private_lines(given, &mut alice, &mut bob)?;
            manners.look_for_leaves(given, connect("carol")?, &mut alice, &mut bob)?;
        }
        Ok(manners)
    }

    /// Both speak, again and again, as one may have spoken before the other was in the room.
    fn look_for_lines(&mut self, alice: &mut Person, bob: &mut Person) -> Result<(), Finding> {
        let start = Instant::now();
        for look in 0.. {
            if (look >= LOOKS && (self.echoes || self.relays)) || start.elapsed() > patience() {
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

    fn look_for_names(&mut self, given: &Given, alice: &mut Person, bob: &mut Person) -> Result<(), Finding> {
        for words in given.nick() {
            let (name, text) = (new_name("ada"), token());
            alice.says(&with_name(&words, &name))?;
            alice.says(&text)?;
            let line = bob.sees(&text)?;
            alice.name = author(&line, &text, &[&name, &alice.name, &alice.address()]);
            exchange(alice, bob)?;
            if alice.name == name {
                bob.says(&with_name(&words, &bob.name.clone()))?;
                (self.nick, self.words.nick) = (true, words);
                break;
            }
        }
        Ok(())
    }

    fn look_for_a_list(
        &mut self,
        given: &Given,
        alice: &mut Person,
        bob: &mut Person,
    ) -> Result<(), Finding> {
        for word in given.list() {
            alice.says(&word)?;
            let (to_alice, to_bob) = exchange(alice, bob)?;
            let is_talk = |line: &String| to_bob.contains(line) || line.ends_with(&word) || has_token(line);
            if to_alice.iter().any(|line| mentions(line, &alice.name) && !is_talk(line)) {
                (self.list, self.words.list) = (true, word);
                break;
            }
        }
        Ok(())
    }

    fn look_for_private_lines(
        &mut self,
        given: &Given,
        alice: &mut Person,
        bob: &mut Person,
    ) -> Result<(), Finding> {
        let text = token();
        bob.says(&text)?;
        bob.name = bob.author_in(&alice.sees(&text)?, &text);
        exchange(alice, bob)?;
        for words in given.msg() {
            let secret = token();
            let command = with_text(&words, &bob.name, &secret);
            alice.says(&command)?;
            let (_, to_bob) = exchange(alice, bob)?;
            // Where the command itself is talk, bob sees it too.
            if to_bob.iter().any(|line| line.contains(&secret) && !line.contains(&command)) {
                (self.msg, self.words.msg) = (true, words);
                break;
            }
        }
        Ok(())
    }

    /// carol leaves, by `/quit` or at the end of her input.
    fn look_for_leaves(
        &mut self,
        given: &Given,
        mut carol: Person,
        alice: &mut Person,
        bob: &mut Person,
    ) -> Result<(), Finding> {
        let name = new_name("carol");
        if self.name_first {
            carol.says(&name)?;
        } else if self.nick {
            carol.says(&with_name(&self.words.nick, &name))?;
        }
        let text = token();
        carol.says(&text)?;
        carol.name = name;
        carol.name = carol.author_in(&alice.sees(&text)?, &text);
        exchange(alice, bob)?;
        let mut told = Vec::new();
        // What carol has typed is no news of her.
        let mut typed = Vec::new();
        for word in given.quit() {
            let after_quit = token();
            // The connection may end at once.
            let _ = carol.says(&word).and_then(|()| carol.says(&after_quit));
            let start = Instant::now();
            while start.elapsed() < patience()
                && !self.quit
                && !told.iter().any(|line: &String| line.contains(&after_quit))
            {
                self.quit = carol.next_line(Instant::now() + Duration::from_millis(20)) == Next::End;
                told.extend(alice.reads_for(Duration::from_millis(1)));
            }
            typed.extend([word.clone(), after_quit]);
            if self.quit {
                self.words.quit = word;
                break;
            }
        }
        carol.ends_input();
        let is_typed = |line: &String| typed.iter().any(|text| line.ends_with(text));
        for _ in 0..LOOKS {
            self.leaves = told.iter().any(|line| mentions(line, &carol.name) && !is_typed(line));
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

/// What alice's lines become if they are cut into packets, or several come in one; `None` if they stay lines.
/// bob hears her.
pub fn what_packets_become(alice: &mut Person, bob: &mut Person) -> Result<Option<String>, Finding> {
    let plain = token();
    alice.says(&plain)?;
    let author = author_mark(&bob.sees(&plain)?, &plain);
    let (cut, [one, two, three]) = (token(), [token(), token(), token()]);
    let (front, back) = cut.split_at(cut.len() / 2);
    for packet in [front.to_owned(), format!("{back}\n"), format!("{one}\n{two}\n{three}\n")] {
        thread::sleep(BETWEEN_PACKETS);
        alice.sends(packet.as_bytes())?;
    }
    thread::sleep(BETWEEN_PACKETS);
    let end = token();
    alice.says(&end)?;
    let seen = bob.reads_until(&end)?;
    for (text, what) in [
        (cut, "a line in two packets"),
        (one, "the first of three lines in one packet"),
        (two, "the second of three lines in one packet"),
        (three, "the last of three lines in one packet"),
    ] {
        if !seen.iter().any(|line| line.contains(&text) && author_mark(line, &text) == author) {
            let screen: Vec<_> = seen.iter().map(|line| shortened(line)).collect();
            return Ok(Some(format!(
                "{what} was not seen as a line of alice's; bob saw: {}",
                screen.join(" | ")
            )));
        }
    }
    Ok(None)
}

/// The word before the text: a name, or the end of a time, which differs from line to line.
fn author_mark(line: &str, text: &str) -> String {
    let word = speaker(line, text);
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { "0".to_owned() } else { word }
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

//! Who is here, and who hears what: the rules of the chat without any network, thread or clock.
//!
//! In go the things that clients do; out come [`Delivery`]s, in the order in which they are to be delivered. The
//! [dispatcher](crate::dispatcher) owns the only `Room` and calls it from its one thread, which is why no lock is
//! needed to check a name and take it.
//!
//! Next on the tour: [`roster`](crate::roster).

use crate::protocol::ClientId;
use crate::protocol::clock::ClockTime;
use crate::protocol::command::Command;
use crate::protocol::nickname::Nickname;
use crate::protocol::reply::{Here, Problem, Reason, Reply};
use crate::roster::Roster;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;

/// How many names a newcomer is shown. Everyone's names would make joining cost the square of the room.
const NAMES_IN_WELCOME: usize = 10;

/// Up to this many people, everybody who comes or goes gets a line. In a larger room that would cost the square of
/// its size, and nobody reads it: there only [numbers](Room::summary) are told.
const EACH_IS_TOLD: usize = 200;

/// How many came and went.
#[derive(Debug, Default)]
struct Moves {
    joined: usize,
    left: usize,
}

/// Everybody in the room.
///
/// ```
/// use chat_server::protocol::{ClientId, clock::ClockTime, command::Command};
/// use chat_server::room::{Delivery, Recipients, Room};
///
/// let mut ids = ClientId::sequence();
/// let (alice, bob) = (ids.next().unwrap(), ids.next().unwrap());
/// let mut room = Room::new(20, 10_000);
/// room.join(alice);
/// room.join(bob);
///
/// let deliveries = room.act(alice, Command::Say("hello".into()), ClockTime::default());
/// assert_eq!(deliveries[0].to, Recipients::Everyone);
/// assert_eq!(deliveries[0].reply.to_string(), "<guest1> hello");
/// ```
#[derive(Debug)]
pub struct Room {
    members: HashMap<ClientId, Member>,
    roster: Roster,
    /// The last lines of talk and when they were said, the oldest first.
    history: VecDeque<(ClockTime, Reply)>,
    /// How many bytes they are on a screen, and how many lines and bytes are kept at most.
    history_bytes: usize,
    max_history: (usize, usize),
    /// Who came and went while the room was too large to tell of each.
    unsaid: Moves,
}

/// What the room knows of one client.
#[derive(Debug)]
struct Member {
    name: Nickname,
    /// Do its own lines come back to it?
    echo: bool,
    /// Who wrote to it privately last, under which name: for `/reply`, and to say who is gone.
    last_whisper: Option<(ClientId, Nickname)>,
    /// How many lines it has said that somebody got, publicly or privately.
    lines: u64,
}

/// Something to be said, and to whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who hears it.
    pub to: Recipients,
    /// What they hear.
    pub reply: Reply,
}

/// Who hears a [`Delivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// All in the room.
    Everyone,
    /// All in the room but this one.
    EveryoneBut(ClientId),
    /// This one alone.
    Only(ClientId),
}

impl Recipients {
    fn hear(self, reply: Reply) -> Delivery {
        Delivery { to: self, reply }
    }
}

/// A member who has left.
#[derive(Debug, PartialEq, Eq)]
pub struct Departed {
    /// The name it had last.
    pub name: Nickname,
    /// How many lines it said.
    pub lines: u64,
    /// What is to be said of it.
    pub farewell: Option<Delivery>,
}

use Recipients::{Everyone, EveryoneBut, Only};

impl Room {
    /// An empty room that remembers the last `history` lines, or fewer if they are more than `history_bytes` long.
    pub fn new(history: usize, history_bytes: usize) -> Room {
        Room {
            members: HashMap::new(),
            roster: Roster::default(),
            history: VecDeque::new(),
            history_bytes: 0,
            max_history: (history, history_bytes),
            unsaid: Moves::default(),
        }
    }

    /// A client comes in, as a guest.
    pub fn join(&mut self, id: ClientId) -> Vec<Delivery> {
        let name = Nickname::guest(id);
        self.roster.enter(name.clone(), id);
        self.members.insert(id, Member { name: name.clone(), echo: true, last_whisper: None, lines: 0 });
        let welcome = Reply::Welcome { you: name.clone(), here: self.here(NAMES_IN_WELCOME) };
        let mut deliveries = vec![Only(id).hear(welcome)];
        if !self.history.is_empty() {
            deliveries.push(Only(id).hear(self.recall()));
        }
        if self.members.len() > EACH_IS_TOLD {
            self.unsaid.joined += 1;
        } else {
            deliveries.push(EveryoneBut(id).hear(Reply::Joined(name)));
        }
        deliveries
    }

    /// A client is gone: its name is free, and it is not heard of again. `None` if it was not here.
    ///
    /// `reason` is what the others may know of it. Who says goodbye, `by_itself`, sees that it was heard.
    pub fn leave(&mut self, id: ClientId, reason: Option<Reason>, by_itself: bool) -> Option<Departed> {
        let each_is_told = self.members.len() <= EACH_IS_TOLD;
        let Member { name, lines, .. } = self.members.remove(&id)?;
        self.roster.strike(&name);
        // Everyone is told in a small room, and in any room the one who says goodbye.
        let to = match (each_is_told, by_itself) {
            (true, true) => Some(Everyone),
            (true, false) => Some(EveryoneBut(id)),
            (false, true) => Some(Only(id)),
            (false, false) => None,
        };
        if !each_is_told {
            self.unsaid.left += 1;
        }
        let farewell = to.map(|to| to.hear(Reply::Left(name.clone(), reason)));
        Some(Departed { name, lines, farewell })
    }

    /// Is there anything for [`summary`](Room::summary) to tell?
    pub fn has_summary(&self) -> bool {
        self.unsaid.joined + self.unsaid.left > 0
    }

    /// How many came and went without a line of their own since the last summary; `None` if nobody did.
    pub fn summary(&mut self) -> Option<Delivery> {
        let Moves { joined, left } = mem::take(&mut self.unsaid);
        (joined + left > 0).then(|| Everyone.hear(Reply::Moves { joined, left, here: self.members.len() }))
    }

    /// Who has exactly this name, but for its case.
    pub fn find(&self, name: &Nickname) -> Option<ClientId> {
        self.roster.find(name)
    }

    /// How many lines the client has said.
    pub fn lines(&self, id: ClientId) -> u64 {
        self.members.get(&id).map_or(0, |member| member.lines)
    }

    /// How many are in the room.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Is nobody in the room?
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The client's current name; `None` if it is not here.
    pub fn name(&self, id: ClientId) -> Option<&Nickname> {
        self.members.get(&id).map(|member| &member.name)
    }

    /// A client does something, `now`. Nothing comes of it if the client is not here any more.
    ///
    /// [`Command::Quit`] is the only command that is not for the room: the client's thread takes it as the end.
    pub fn act(&mut self, id: ClientId, command: Command, now: ClockTime) -> Vec<Delivery> {
        let Some(member) = self.members.get_mut(&id) else {
            return Vec::new();
        };
        let name = member.name.clone();
        let to_all = if member.echo { Everyone } else { EveryoneBut(id) };
        match command {
            Command::Say(text) => {
                member.lines += 1;
                self.talk(to_all, Reply::Said(name, text), now)
            }
            Command::Me(text) => {
                member.lines += 1;
                self.talk(to_all, Reply::Acted(name, text), now)
            }
            Command::Msg { to, text } => match self.roster.find(&to) {
                Some(to) => self.whisper(id, to, text),
                None => {
                    let nearest = self.roster.nearest(&to).cloned();
                    vec![problem(id, Problem::NobodyCalled(to.to_string(), nearest))]
                }
            },
            Command::Reply(text) => match member.last_whisper.clone() {
                Some((to, _)) if self.members.contains_key(&to) => self.whisper(id, to, text),
                Some((_, gone)) => vec![problem(id, Problem::NobodyCalled(gone.to_string(), None))],
                None => vec![problem(id, Problem::NobodyToReplyTo)],
            },
            Command::Nick(new) => self.rename(id, name, new),
            Command::List => vec![Only(id).hear(Reply::List(self.here(usize::MAX)))],
            Command::Echo(on) => {
                member.echo = on;
                vec![Only(id).hear(Reply::Echo(on))]
            }
            // Which lines begin with their time is for those to know who write them.
            Command::Timestamps(on) => vec![Only(id).hear(Reply::Timestamps(on))],
            Command::History => vec![Only(id).hear(self.recall())],
            Command::Help => vec![Only(id).hear(Reply::Help)],
            Command::Quit(_) => Vec::new(),
        }
    }

    /// The person at the server's keyboard says something.
    pub fn announce(&mut self, text: Arc<str>, now: ClockTime) -> Vec<Delivery> {
        self.talk(Everyone, Reply::Operator(text), now)
    }

    /// Says something in public, and remembers it for those who come later.
    fn talk(&mut self, to: Recipients, line: Reply, now: ClockTime) -> Vec<Delivery> {
        let (max_lines, max_bytes) = self.max_history;
        if max_lines > 0 {
            self.history_bytes += line.size();
            self.history.push_back((now, line.clone()));
            while self.history.len() > max_lines || self.history_bytes > max_bytes {
                let Some((_, oldest)) = self.history.pop_front() else {
                    break;
                };
                self.history_bytes -= oldest.size();
            }
        }
        vec![to.hear(line)]
    }

    fn recall(&self) -> Reply {
        Reply::History(self.history.iter().cloned().collect())
    }

    /// Both are here. The recipient hears it first, so that the author's copy means that it was delivered.
    fn whisper(&mut self, from: ClientId, to: ClientId, text: Arc<str>) -> Vec<Delivery> {
        let (Some(author), Some(recipient)) = (self.name(from).cloned(), self.name(to).cloned()) else {
            return Vec::new();
        };
        if let Some(member) = self.members.get_mut(&to) {
            member.last_whisper = Some((from, author.clone()));
        }
        let mut deliveries = vec![Only(to).hear(Reply::Whispered { from: author, text: text.clone() })];
        if let Some(member) = self.members.get_mut(&from) {
            member.lines += 1;
            if member.echo {
                deliveries.push(Only(from).hear(Reply::WhisperSent { to: recipient, text }));
            }
        }
        deliveries
    }

    fn rename(&mut self, id: ClientId, old: Nickname, new: Nickname) -> Vec<Delivery> {
        if new.to_string() == old.to_string() {
            return vec![problem(id, Problem::SameName(old))];
        }
        if new.is_a_guests() && !new.looks_like(&Nickname::guest(id)) {
            return vec![problem(id, Problem::GuestName(new))];
        }
        if !self.roster.is_free_for(&new, id) {
            return vec![problem(id, Problem::NameTaken(new))];
        }
        self.roster.strike(&old);
        self.roster.enter(new.clone(), id);
        if let Some(member) = self.members.get_mut(&id) {
            member.name = new.clone();
        }
        vec![Everyone.hear(Reply::Renamed { from: old, to: new })]
    }

    /// Who is here: the first `most` names, and the number of all.
    fn here(&self, most: usize) -> Here {
        Here { count: self.members.len(), names: self.roster.names().take(most).cloned().collect() }
    }
}

/// Tells a client what is wrong with what it sent.
pub fn problem(to: ClientId, problem: Problem) -> Delivery {
    Only(to).hear(Reply::Problem(problem))
}

#[cfg(test)]
mod tests;

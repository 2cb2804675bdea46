//! The room: who is here under which name, what was said last, and who hears what.
//!
//! In go the things that clients do; out come [`Delivery`]s, in the order in which they are to be delivered. The
//! [dispatcher](crate::dispatcher) owns the only `Room` and calls it from its one thread, so "this name is free, so
//! take it" needs no lock: nothing can come in between.

use super::command::{Request, nobody_called};
use super::reply::{Here, Reply};
use super::{ClientId, Problem, clock::ClockTime, names::Names, nickname::Nickname};
use std::collections::{HashMap, VecDeque};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How many names a newcomer is shown. All names would make joining cost the square of the room.
const NAMES_IN_WELCOME: usize = 10;

/// In a larger room nobody is told of joins and leaves. To tell everyone would cost the square of the room's size, and
/// nobody could read it.
const LARGEST_ANNOUNCED: usize = 200;

/// How many names are compared with one that nobody has, so that asking for such names cannot keep the dispatcher
/// busy.
const MOST_COMPARED: usize = 500;

/// Everyone who is here, and what was said last.
#[derive(Debug, Default)]
pub(crate) struct Room {
    members: HashMap<ClientId, Member>,
    names: Names,
    /// The last lines of talk and when they were said, the oldest first.
    history: VecDeque<(ClockTime, Reply)>,
    /// How many bytes they are on a screen.
    history_bytes: usize,
    /// How many lines and bytes of history are kept.
    max_history: (usize, usize),
}

/// What the room knows of one client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Nickname,
    /// Its own lines come back to it.
    echo: bool,
    /// The author of the last private line to this client, and the name it had then: for `/reply`.
    last_whisper: Option<(ClientId, Nickname)>,
    /// How many of its lines were delivered, public and private ones.
    pub(crate) lines: u64,
}

/// Something to be said, and to whom.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) to: Recipients,
    pub(crate) reply: Reply,
}

/// Who hears a [`Delivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    Everyone,
    EveryoneBut(ClientId),
    Only(ClientId),
}

impl Recipients {
    pub(crate) fn hear(self, reply: Reply) -> Delivery {
        Delivery { to: self, reply }
    }
}

/// A former member, and what to say of it.
type Departed = (Member, Option<Delivery>);

/// [`Reply::Said`] or [`Reply::Acted`].
type Way = fn(Nickname, Arc<str>) -> Reply;

use Recipients::{Everyone, EveryoneBut, Only};

impl Room {
    /// An empty room that remembers the last `history` lines, or fewer if they are more than `history_bytes` long.
    pub(crate) fn new(history: usize, history_bytes: usize) -> Room {
        Room { max_history: (history, history_bytes), ..Room::default() }
    }

    /// Tells the room the time, counted from any moment that stays the same.
    pub(crate) fn set_time(&mut self, now: Duration) {
        self.names.now = now;
    }

    /// A client comes in from `origin`, as a guest. The room only compares origins.
    pub(crate) fn join(&mut self, id: ClientId, origin: IpAddr) -> Vec<Delivery> {
        let name = Nickname::guest(id);
        self.names.add(id, name.clone(), origin);
        let member = Member { name: name.clone(), echo: true, last_whisper: None, lines: 0 };
        self.members.insert(id, member);
        let here = self.here(NAMES_IN_WELCOME);
        let mut deliveries = vec![Only(id).hear(Reply::Welcome(name.clone(), here))];
        if !self.history.is_empty() {
            deliveries.push(Only(id).hear(self.recall()));
        }
        if self.members.len() <= LARGEST_ANNOUNCED {
            deliveries.push(EveryoneBut(id).hear(Reply::Joined(name)));
        }
        deliveries
    }

    /// A client is gone, and its name is free; gives the former member and what to say of it. `None` if it was not here.
    ///
    /// `reason` is what the others may know of it. A client that leaves `by_itself` sees that it was heard.
    pub(crate) fn leave(
        &mut self,
        id: ClientId,
        reason: Option<String>,
        by_itself: bool,
    ) -> Option<Departed> {
        let is_announced = self.members.len() <= LARGEST_ANNOUNCED;
        let member = self.members.remove(&id)?;
        self.names.remove(&member.name);
        let to = match by_itself {
            true => Some(if is_announced { Everyone } else { Only(id) }),
            false => is_announced.then_some(EveryoneBut(id)),
        };
        let farewell = to.map(|to| to.hear(Reply::Left(member.name.clone(), reason)));
        Some((member, farewell))
    }

    /// A client asks for something, `now`. Nothing comes of it if the client is not here any more.
    pub(crate) fn act(&mut self, id: ClientId, request: Request, now: ClockTime) -> Vec<Delivery> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        match request {
            Request::Say(text) => self.speak(id, Reply::Said, text, now),
            Request::Me(text) => self.speak(id, Reply::Acted, text, now),
            Request::Msg { to, text } => match self.find(&to) {
                Some(to) => self.whisper(id, to, text),
                None => vec![problem(id, self.nobody_called(&to))],
            },
            Request::Reply(text) => match member.last_whisper.clone() {
                Some((to, _)) if self.members.contains_key(&to) => self.whisper(id, to, text),
                Some((_, gone)) => vec![problem(id, nobody_called(&gone.to_string()))],
                None => vec![problem(id, "Nobody has written to you privately yet. Use /msg NAME TEXT.")],
            },
            Request::Nick(new) => {
                let renamed = self.rename(id, new);
                vec![renamed.unwrap_or_else(|why| problem(id, why))]
            }
            Request::List => vec![Only(id).hear(Reply::List(self.here(usize::MAX)))],
            Request::Echo(on) => {
                member.echo = on;
                vec![Only(id).hear(Reply::Notice(match on {
                    true => "Echo is on: your own lines come back to you.",
                    false => "Echo is off: your own lines do not come back to you.",
                }))]
            }
            // The audience adds the timestamps; the room only confirms.
            Request::Timestamps(on) => vec![Only(id).hear(Reply::Notice(match on {
                true => "Timestamps are on: each line begins with its time.",
                false => "Timestamps are off.",
            }))],
            Request::History => vec![Only(id).hear(self.recall())],
            Request::Help => vec![Only(id).hear(Reply::Help)],
        }
    }

    /// A member says something, in one of the two ways.
    fn speak(&mut self, id: ClientId, way: Way, text: Arc<str>, now: ClockTime) -> Vec<Delivery> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.lines += 1;
        let to = if member.echo { Everyone } else { EveryoneBut(id) };
        let line = way(member.name.clone(), text);
        self.talk(to, line, now)
    }

    /// The operator says something.
    pub(crate) fn announce(&mut self, text: Arc<str>, now: ClockTime) -> Vec<Delivery> {
        self.talk(Everyone, Reply::Operator(text), now)
    }

    /// Says something in public, and remembers it for newcomers.
    fn talk(&mut self, to: Recipients, line: Reply, now: ClockTime) -> Vec<Delivery> {
        let (max_lines, max_bytes) = self.max_history;
        self.history_bytes += line.size();
        self.history.push_back((now, line.clone()));
        while self.history.len() > max_lines || self.history_bytes > max_bytes {
            let Some((_, oldest)) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.size();
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
        let mut deliveries = vec![Only(to).hear(Reply::Whispered(author, text.clone()))];
        if let Some(member) = self.members.get_mut(&from) {
            member.lines += 1;
            if member.echo {
                deliveries.push(Only(from).hear(Reply::WhisperSent(recipient, text)));
            }
        }
        deliveries
    }

    fn rename(&mut self, id: ClientId, new: Nickname) -> Result<Delivery, Problem> {
        let Some(member) = self.members.get_mut(&id) else { return Err(nobody_called(&new.to_string())) };
        let old = member.name.clone();
        if new.to_string() == old.to_string() {
            return Err(format!("You are {old} already."));
        }
        self.names.change(&old, &new)?;
        member.name = new.clone();
        Ok(Everyone.hear(Reply::Renamed(old, new)))
    }

    /// The client that has exactly this name, but for its case: a private line must not reach a look-alike.
    pub(crate) fn find(&self, name: &Nickname) -> Option<ClientId> {
        self.names.find(name)
    }

    /// One of those who are here.
    pub(crate) fn member(&self, id: ClientId) -> Option<&Member> {
        self.members.get(&id)
    }

    fn name(&self, id: ClientId) -> Option<&Nickname> {
        self.member(id).map(|member| &member.name)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Names the member that may have been meant: the one whose name is one or two slips of a finger away (in a word of
    /// less than four letters, one).
    fn nobody_called(&self, name: &Nickname) -> Problem {
        let slips = if name.folded().chars().count() < 4 { 1 } else { 2 };
        let known = self.names.iter().take(MOST_COMPARED);
        let near = known.map(|known| (strsim::osa_distance(known.folded(), name.folded()), known));
        let nearest = near.filter(|(distance, _)| *distance <= slips).min_by_key(|(distance, _)| *distance);
        match nearest {
            Some((_, nearest)) => format!("No one here is called \"{name}\". Did you mean {nearest}?"),
            None => nobody_called(&name.to_string()),
        }
    }

    /// The first `most` names, and the number of all.
    fn here(&self, most: usize) -> Here {
        Here { count: self.members.len(), names: self.names.iter().take(most).cloned().collect() }
    }
}

/// Tells a client what is wrong with what it sent.
pub(crate) fn problem(to: ClientId, problem: impl Into<Problem>) -> Delivery {
    Only(to).hear(Reply::Problem(problem.into()))
}

#[cfg(test)]
mod tests;

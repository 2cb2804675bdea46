//! The room: the people and their names, the last lines, and which line goes to whom.
//!
//! Clients' requests go in. [`Delivery`]s come out, in the order in which they are to be delivered. The
//! [dispatcher](crate::dispatcher) owns the only `Room` and calls it from its one thread, so "this name is free, so
//! take it" needs no lock: nothing can come in between.

use super::command::{Request, nobody_called};
use super::reply::{Here, Reply};
use super::{ClientId, Problem, clock::Moment, names::Names, nickname::Nickname};
use std::collections::{HashMap, VecDeque};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How many names a newcomer is shown at most, if they fit a line. With all names, n joins would
/// send n² names.
const NAMES_IN_WELCOME: usize = 25;

/// How many names `/list` shows at most.
const NAMES_IN_LIST: usize = 200;

/// In a larger room nobody is told of joins and leaves. To tell everyone of n joins would send n² lines, and
/// nobody could read them.
const LARGEST_ANNOUNCED: usize = 200;

/// How many names are compared with one that nobody has, so that asking for such names cannot keep the dispatcher
/// busy.
const MOST_COMPARED: usize = 50;

/// Everyone who is here, and the last lines of talk.
#[derive(Debug, Default)]
pub(crate) struct Room {
    members: HashMap<ClientId, Member>,
    names: Names,
    /// The last lines of talk and when they were said, the oldest first.
    history: VecDeque<(Moment, Reply)>,
    /// How many bytes they are on a screen.
    history_bytes: usize,
    /// How many lines and bytes of history are kept.
    max_history: (usize, usize),
}

/// One client, as the room knows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Nickname,
    /// The time to tell the others that it joined has passed. In a large room they are not told.
    announced: bool,
    /// Its own lines come back to it.
    echo: bool,
    /// The author of the last private line to this client, and the name it had then: for `/reply`.
    last_whisper: Option<(ClientId, Nickname)>,
    /// How many of its lines were delivered, public and private ones.
    pub(crate) lines: u64,
}

/// Something to say, and its recipients.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) to: Recipients,
    pub(crate) reply: Reply,
}

/// The recipients of a [`Delivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    Everyone,
    EveryoneBut(ClientId),
    Only(ClientId),
    /// The one who asked. The room never waits for a client that is behind with answers to itself.
    Asker(ClientId),
}

impl Recipients {
    pub(crate) fn gets(self, reply: Reply) -> Delivery {
        Delivery { to: self, reply }
    }
}

/// A former member, and the farewell for the others.
type Departed = (Member, Option<Delivery>);

/// [`Reply::Said`] or [`Reply::Acted`].
type Way = fn(Nickname, Arc<str>) -> Reply;

use Recipients::{Asker, Everyone, EveryoneBut, Only};

impl Room {
    /// An empty room that remembers the last `history` lines, or fewer if they are more than `history_bytes` long.
    pub(crate) fn new(history: usize, history_bytes: usize) -> Room {
        Room { max_history: (history, history_bytes), ..Room::default() }
    }

    /// Tells the room the time, counted from any moment that stays the same.
    pub(crate) fn set_time(&mut self, now: Duration) {
        self.names.now = now;
    }

    /// A client comes in from `origin`, as a guest, `now`. It is here at once; [`announce`](Room::announce) tells the others.
    /// The room only compares origins.
    pub(crate) fn join(&mut self, id: ClientId, origin: IpAddr, now: Moment) -> Vec<Delivery> {
        let name = Nickname::guest(id);
        self.names.add(id, name.clone(), origin);
        let member =
            Member { name: name.clone(), announced: false, echo: true, last_whisper: None, lines: 0 };
        self.members.insert(id, member);
        let history = (!self.history.is_empty()).then(|| self.recall(now));
        let welcome = Reply::Welcome(name, self.here(NAMES_IN_WELCOME));
        history.into_iter().chain([welcome]).map(|reply| Asker(id).gets(reply)).collect()
    }

    /// Tells the others that a client has joined, if that has not been said. A client that ends before, without a word, is
    /// never mentioned: most are port scans and health checks.
    pub(crate) fn announce(&mut self, id: ClientId) -> Option<Delivery> {
        let is_small = self.members.len() <= LARGEST_ANNOUNCED;
        let member = self.members.get_mut(&id).filter(|member| !member.announced)?;
        member.announced = true;
        is_small.then(|| EveryoneBut(id).gets(Reply::Joined(member.name.clone())))
    }

    /// A client is gone; [`Names`] keeps its name for a while. Returns the former member and the farewell; `None` if it was not here.
    ///
    /// The others are told the `reason`. A client that `has_quit` sees the farewell too, as a receipt.
    pub(crate) fn leave(&mut self, id: ClientId, reason: Option<String>, has_quit: bool) -> Option<Departed> {
        let is_small = self.members.len() <= LARGEST_ANNOUNCED;
        let member = self.members.remove(&id)?;
        self.names.remove(&member.name);
        let to = match (has_quit, is_small && member.announced) {
            (true, true) => Some(Everyone),
            (true, false) => Some(Only(id)),
            (false, is_announced) => is_announced.then_some(EveryoneBut(id)),
        };
        let farewell = to.map(|to| to.gets(Reply::Left(member.name.clone(), reason)));
        Some((member, farewell))
    }

    /// A client asks for something, `now`. Nothing comes of it if the client is not here any more.
    pub(crate) fn act(&mut self, id: ClientId, request: Request, now: Moment) -> Vec<Delivery> {
        self.answer(id, request, now).unwrap_or_else(|why| vec![problem(id, why)])
    }

    fn answer(&mut self, id: ClientId, request: Request, now: Moment) -> Result<Vec<Delivery>, Problem> {
        let Some(member) = self.members.get_mut(&id) else { return Ok(Vec::new()) };
        let reply = match request {
            Request::Say(text) => return Ok(self.speak(id, Reply::Said, text, now)),
            Request::Me(text) => return Ok(self.speak(id, Reply::Acted, text, now)),
            Request::Msg { to, text } => {
                let to = self.find(&to).ok_or_else(|| self.nobody_called(&to))?;
                return Ok(self.whisper(id, to, text));
            }
            Request::Misaddressed(typed, perhaps) => match self.find(&perhaps) {
                Some(_) => return Err(did_you_mean(&typed, &perhaps)),
                None => return Err(nobody_called(&typed)),
            },
            Request::Reply(text) => match member.last_whisper.clone() {
                Some((to, _)) if self.members.contains_key(&to) => return Ok(self.whisper(id, to, text)),
                Some((_, gone)) if self.find(&gone).is_some() => {
                    return Err(format!(
                        "The {gone} who wrote to you has left. To write to the {gone} who is here: /msg {gone} TEXT"
                    ));
                }
                Some((_, gone)) => return Err(nobody_called(&gone.to_string())),
                None => return Err("Nobody has written to you privately yet. Use /msg NAME TEXT.".to_owned()),
            },
            Request::Nick(new) => return Ok(vec![self.rename(id, new)?]),
            Request::List => Reply::List(self.here(NAMES_IN_LIST)),
            Request::Echo(on) => {
                member.echo = on;
                Reply::Echo(on)
            }
            // The audience adds the timestamps; the room only confirms.
            Request::Timestamps(on) => Reply::Timestamps(on),
            Request::History => self.recall(now),
            Request::Help => Reply::Help,
        };
        Ok(vec![Asker(id).gets(reply)])
    }

    /// A member says something, in one of the two ways.
    fn speak(&mut self, id: ClientId, way: Way, text: Arc<str>, now: Moment) -> Vec<Delivery> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.lines += 1;
        let to = if member.echo { Everyone } else { EveryoneBut(id) };
        let line = way(member.name.clone(), text.clone());
        let mut deliveries = self.talk(to, line, now);
        match text.trim().to_ascii_lowercase().as_str() {
            "quit" | "exit" => deliveries.push(notice(id, "To leave, type /quit.")),
            "help" => deliveries.push(notice(id, "For the commands, type /help.")),
            _ => {}
        }
        deliveries
    }

    /// The operator says something.
    pub(crate) fn say_as_operator(&mut self, text: Arc<str>, now: Moment) -> Vec<Delivery> {
        self.talk(Everyone, Reply::Operator(text), now)
    }

    /// Says something in public, and remembers it for newcomers.
    fn talk(&mut self, to: Recipients, line: Reply, now: Moment) -> Vec<Delivery> {
        let (max_lines, max_bytes) = self.max_history;
        self.history_bytes += line.size();
        self.history.push_back((now, line.clone()));
        while self.history.len() > max_lines || self.history_bytes > max_bytes {
            let Some((_, oldest)) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.size();
        }
        vec![to.gets(line)]
    }

    fn recall(&self, now: Moment) -> Reply {
        Reply::History(self.history.iter().cloned().collect(), now)
    }

    /// Both are here. The author's copy says that the line is on its way to the recipient.
    fn whisper(&mut self, from: ClientId, to: ClientId, text: Arc<str>) -> Vec<Delivery> {
        let name = |id| self.members.get(&id).map(|member| member.name.clone());
        let (Some(author), Some(recipient)) = (name(from), name(to)) else { return Vec::new() };
        // A note to oneself is nothing to reply to.
        if let Some(member) = self.members.get_mut(&to).filter(|_| from != to) {
            member.last_whisper = Some((from, author.clone()));
        }
        let mut deliveries = vec![Only(to).gets(Reply::Whispered(author, text.clone()))];
        if let Some(member) = self.members.get_mut(&from) {
            member.lines += 1;
            if member.echo {
                deliveries.push(Asker(from).gets(Reply::WhisperSent(recipient, text)));
            }
        }
        deliveries
    }

    fn rename(&mut self, id: ClientId, new: Nickname) -> Result<Delivery, Problem> {
        let Some(member) = self.members.get_mut(&id) else { return Err(nobody_called(&new.to_string())) };
        let old = member.name.clone();
        if new == old {
            return Err(format!("You are {old} already."));
        }
        self.names.change(&old, &new)?;
        member.name = new.clone();
        Ok(Everyone.gets(Reply::Renamed(old, new)))
    }

    /// The client that has exactly this name, but for its case: a private line must not reach a look-alike.
    pub(crate) fn find(&self, name: &Nickname) -> Option<ClientId> {
        self.names.find(name)
    }

    /// One of those who are here.
    pub(crate) fn member(&self, id: ClientId) -> Option<&Member> {
        self.members.get(&id)
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
        match near.filter(|(distance, _)| *distance <= slips).min_by_key(|(distance, _)| *distance) {
            Some((_, nearest)) => did_you_mean(&name.to_string(), nearest),
            None => nobody_called(&name.to_string()),
        }
    }

    /// The first `most` names, and the number of all.
    fn here(&self, most: usize) -> Here {
        Here { count: self.members.len(), names: self.names.iter().take(most).cloned().collect() }
    }
}

fn did_you_mean(typed: &str, name: &Nickname) -> Problem {
    format!("No one here is called \"{typed}\". Did you mean {name}?")
}

/// Tells a client something.
pub(crate) fn notice(to: ClientId, text: impl Into<String>) -> Delivery {
    Asker(to).gets(Reply::Notice(text.into()))
}

/// Tells a client what is wrong with a line of its own.
pub(crate) fn problem(to: ClientId, problem: impl Into<Problem>) -> Delivery {
    Asker(to).gets(Reply::Problem(problem.into()))
}

#[cfg(test)]
mod tests;
